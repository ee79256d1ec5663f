"""The section that runs the program: its controls, its data, its script, and who may run what."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import BackendMissingError
from lnn2loihi.micro.executors import WasmC
from lnn2loihi.profiling.result import ProfileResult
from lnn2loihi.program import LoihiProgram
from lnn2loihi.reporting.interactive.energy import energy_figures
from lnn2loihi.reporting.interactive.recording import Recording
from lnn2loihi.reporting.markup import Markup, element, joined, json_block, printable
from lnn2loihi.simulation.choice import execution
from lnn2loihi.simulation.result import recorded_words

#: Who writes the program as WebAssembly.
_WRITER = "c99:wasm"
#: Little-endian types that recorded words take, the narrowest first.
_WIDTHS = ("<i1", "<i2", "<i4")


@dataclass(frozen=True)
class LiveSection:
    """What an interactive page has beside the plain one.

    Attributes:
        anchor, title, content: of the section.
        head: the policy of what may run, and the style.
        scripts: the data and the script.
    """

    anchor: str
    title: str
    content: Markup
    head: Markup
    scripts: Markup


def live_module(program: LoihiProgram) -> bytes:
    """The program as WebAssembly.

    Raises:
        BackendMissingError: what compiles it is not here; says what to install.
    """
    writer = execution(_WRITER).executor
    if not isinstance(writer, WasmC):
        raise BackendMissingError(
            f"executor {_WRITER}", "another package's stands in its place, which makes no module"
        )
    return writer.module(program)


def live_section(
    result: ProfileResult, program: LoihiProgram, module: bytes, recording: Recording
) -> LiveSection:
    """The section of a program, with all that its script needs.

    Args:
        result: the profile, for the energies.
        program: what runs.
        module: of `live_module`.
        recording: what it has to answer.
    """
    script, style = _file("live.js"), _file("live.css")
    policy = (
        f"default-src 'none'; script-src 'sha256-{_digest(script)}' 'wasm-unsafe-eval'; "
        "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )
    meta = element("meta", http_equiv="Content-Security-Policy", content=policy)
    data = _data(result, program, module, recording)
    return LiveSection(
        "live",
        "The integers, running here",
        _content(program, module, recording),
        joined(meta, element("style", Markup(style))),
        joined(json_block("live-data", data), element("script", Markup(script))),
    )


def _file(name: str) -> str:
    return resources.files("lnn2loihi.reporting.interactive").joinpath(name).read_text("utf-8")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _numbers(values: npt.NDArray[Any]) -> str:
    """An array as base64, little-endian whatever the machine is."""
    kind = values.dtype.newbyteorder("<")
    return base64.b64encode(np.ascontiguousarray(values, kind).tobytes()).decode()


def _packed(values: npt.NDArray[Any]) -> Mapping[str, object]:
    """Integers in the narrowest type that holds them all."""
    ends = (int(values.min()), int(values.max())) if values.size else (0, 0)
    kind = next(
        kind for kind in _WIDTHS
        if np.iinfo(kind).min <= ends[0] and ends[1] <= np.iinfo(kind).max
    )  # fmt: skip
    return {"bytes": np.dtype(kind).itemsize, "values": _numbers(values.astype(kind))}


def _data(
    result: ProfileResult, program: LoihiProgram, module: bytes, recording: Recording
) -> Mapping[str, object]:
    """All numbers of the script; names are printable, and stand in texts alone."""
    words: list[Mapping[str, object]] = []
    places: dict[tuple[str, str], int] = {}
    at = 0
    for (population, word), values in recording.words.items():
        places[population, word] = at
        words.append({"population": printable(population), "word": printable(word), "at": at,
                      "size": values.shape[1], **_packed(values)})  # fmt: skip
        at += values.shape[1]
    energy = energy_figures(result)
    out, port = program.output_population, program.input
    return {
        "module": base64.b64encode(module).decode(),
        "updates": program.substeps,
        "samples": recording.samples,
        "words": words,
        "record": at,
        "inputs": _numbers(recording.inputs.astype(np.int32)),
        "channels": [
            {"name": name, "low": int(low), "high": int(high), "gain": float(gain),
             "offset": float(offset)}
            for name, low, high, gain, offset in zip(
                _channels(program), port.low, port.high, port.gain, port.offset, strict=True
            )
        ],
        "output": {"at": places[out.name, out.program.message_state or "message"],
                   "size": out.size, "scale": np.asarray(out.scale, float).tolist(),
                   "offset": np.asarray(out.offset, float).tolist()},
        "expected": None if recording.expected is None else _numbers(recording.expected),
        "sources": [
            {"name": printable(name), "at": place, "size": size, "fanOut": _numbers(fan_out)}
            for name, place, size, fan_out in _sources(program, places)
        ],
        "energy": None if isinstance(energy, str) else asdict(energy),
        "reason": energy if isinstance(energy, str) else "",
    }  # fmt: skip


def _channels(program: LoihiProgram) -> list[str]:
    names = [f"input {channel}" for channel in range(program.channels)]
    return [*names, "elapsed time"] if program.timed else names


def _sources(
    program: LoihiProgram, places: Mapping[tuple[str, str], int]
) -> list[tuple[str, int, int, npt.NDArray[np.int32]]]:
    """Whoever sends messages: its name, where its messages stand in a record (-1: they are the
    input), how many there are, and how many synapses each of them reaches.
    """
    sizes = {program.input.name: program.input.size}
    sizes |= {p.name: p.size for p in program.populations}
    reached = {name: np.zeros(size, np.int32) for name, size in sizes.items()}
    for connection in program.connections:
        reached[connection.source] += np.asarray(connection.fan_out(), np.int32)
    found = [(program.input.name, -1, program.input.size, reached[program.input.name])]
    for p in program.populations:
        (message,) = [w for w in recorded_words(p.program)
                      if w == (p.program.message_state or "message")]  # fmt: skip
        found.append((p.name, places[p.name, message], p.size, reached[p.name]))
    return found


def _content(program: LoihiProgram, module: bytes, recording: Recording) -> Markup:
    """What is seen; the script fills it."""
    told = (
        f"The program runs in this page as WebAssembly, {len(module):,} bytes of it, the same C "
        f"that a micro-controller runs. {recording.origin} On opening, the page compared every "
        "state and every message after each of these samples with what the executor "
        f"{recording.executor} had answered."
    )
    floats = (
        "Float answers are recorded, and stand beside the integers while the input is the recorded "
        "one; this page does not run the float network, so for other inputs the integers are alone."
        if recording.expected is not None
        else "The page was made without the float network: its answers are not shown."
    )
    several = recording.inputs.shape[1] > 1
    return joined(
        element("div", element("p", "The check is not done: this page needs scripts and "
                               "WebAssembly.", id="live-check", role="status"),
                element("p", told, class_="note"), class_="card wide", id="live-head"),
        element("div",
                _input_card(several), _output_card(program, floats), _states_card(),
                _counters_card(), class_="grid", id="live-cards", hidden="hidden"),
    )  # fmt: skip


def _card(caption: str, *children: object) -> Markup:
    return element("div", element("p", caption, class_="caption"), *children, class_="card")


def _label(words: str, control: Markup) -> Markup:
    return element("label", element("span", words), control)


def _choice(name: str) -> Markup:
    return element("select", id=name)


def _slider(name: str) -> Markup:
    return element("input", type="range", id=name, min=0, max=0, value=0, step=1)


def _button(name: str, words: str) -> Markup:
    return element("button", words, type="button", id=name)


def _input_card(several: bool) -> Markup:
    return _card(
        "Input",
        element("canvas", id="live-input", tabindex="0", role="img",
                aria_label="The input of the chosen channel: drag over it to draw"),
        element("div",
                _label("Channel", _choice("live-channel")) if several else None,
                _label("Sample", _slider("live-sample")),
                _label("Its value", _slider("live-value")),
                class_="live-controls"),
        element("div", _button("live-recorded", "Recorded input"), _button("live-zero", "Middle"),
                _button("live-sine", "Sine"), _button("live-play", "Play"),
                class_="live-controls"),
        element("p", id="live-input-text", class_="note"),
        element("p", "Drag over the chart, or use the arrow keys on it: left and right move along "
                "the samples, up and down change the value.", class_="note"),
    )  # fmt: skip


def _output_card(program: LoihiProgram, floats: str) -> Markup:
    several = program.output_population.size > 1
    return _card(
        "Answer",
        element("canvas", id="live-output", role="img", aria_label="The chosen answer by sample"),
        element("div", _label("Answer", _choice("live-answer")), class_="live-controls")
        if several else None,
        element("p", id="live-output-text", class_="note"),
        element("p", floats, class_="note"),
    )  # fmt: skip


def _states_card() -> Markup:
    return _card(
        "States and messages",
        element("canvas", id="live-states", role="img",
                aria_label="Words of neurons by sample, shaded by value"),
        element("div", _label("Word", _choice("live-word")), class_="live-controls"),
        element("p", id="live-states-text", class_="note"),
    )  # fmt: skip


def _counters_card() -> Markup:
    return _card(
        "Counters and energy",
        element("canvas", id="live-counts", role="img",
                aria_label="Synaptic operations by sample"),
        element("table", element("tbody", id="live-table")),
        element("p", id="live-energy-text", class_="note"),
    )  # fmt: skip
