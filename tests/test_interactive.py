"""Pages that run the program: what they hold, what may run in them, and in a browser what they
answer, at the width of a desk and of a phone.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from browser import CHROMIUM, WHY_NOT, Browser, browser
from conftest import Run
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_samples
from profile_rows import NETWORK, X, chip_row, example_program, example_result
from test_report import HOSTILE, Checker
from test_streams import TIMED

import lnn2loihi as l2l
from lnn2loihi.errors import BackendMissingError
from lnn2loihi.micro import tools
from lnn2loihi.profiling.result import ProfileResult
from lnn2loihi.reporting.interactive.energy import EnergyFigures, energy_figures
from lnn2loihi.reporting.interactive.recording import LARGEST_RECORDING, Recording, recorded
from lnn2loihi.reporting.interactive.section import live_module, live_section
from lnn2loihi.reporting.markup import Markup, json_block, printable
from lnn2loihi.reporting.page import document, page
from lnn2loihi.reporting.traces import SAMPLES
from lnn2loihi.sequences import Sequences

MODELS = Path(l2l.__file__).with_name("models")
LTC = MODELS / "families" / "occupancy_ltc_w4a8x12.l2l"
PROGRAM = example_program()
RESULT = example_result(PROGRAM)
FIRST = Sequences(X[:1], np.array([X.shape[1]]), None)
#: Stands for a compiled program where nothing runs it.
MODULE = b"\0asm\1\0\0\0"
WIDTHS = (1280, 390)


def compiler_reason() -> str:
    try:
        tools.wasm_compiler()
    except BackendMissingError as error:
        return str(error)
    return ""


needs_compiler = pytest.mark.skipif(bool(compiler_reason()), reason=compiler_reason())


class PageChecker(Checker):
    """Also keeps the script, the data and the policy of an interactive page."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.policies: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        if tag == "input":  # has no end
            self.open.pop()
        named = dict(attrs)
        if tag == "script":
            self.scripts.append((named, ""))
        if named.get("http-equiv") == "Content-Security-Policy":
            self.policies.append(named["content"] or "")

    def handle_data(self, data: str) -> None:
        super().handle_data(data)
        if self.open and self.open[-1] == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)


def looked_at(document: str) -> tuple[dict[str, Any], PageChecker]:
    """The data of a page that keeps to what it promises."""
    checker = PageChecker()
    checker.feed(document)
    checker.close()
    assert checker.wrong == [] and checker.open == [] and checker.handlers == []
    assert not {"iframe", "object", "embed", "link", "base", "form"} & set(checker.tags)
    assert all(address.startswith("#") for address in checker.addresses)
    assert len(set(checker.ids)) == len(checker.ids)
    (kind, data), (plain, script) = checker.scripts
    assert kind == {"type": "application/json", "id": "live-data"} and plain == {}
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = checker.policies
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{digest}' 'wasm-unsafe-eval'; "
        "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )
    assert document.index("Content-Security-Policy") < document.index("<script")
    assert not re.search(r"https?:|fetch\(|import\(|eval\(|innerHTML|<[a-z]", script)
    for name in re.findall(r'at\("([a-z-]+)"\)', script):
        # Two are there only where there is something to choose.
        assert f"live-{name}" in checker.ids or name in ("channel", "answer"), name
    return json.loads(data), checker


def written(
    program: l2l.LoihiProgram = PROGRAM,
    result: ProfileResult = RESULT,
    recording: Recording | None = None,
    module: bytes = MODULE,
) -> str:
    recording = recorded(program, FIRST) if recording is None else recording
    live = live_section(result, program, module, recording)
    shown = [(live.anchor, live.title, live.content)]
    return document("page", Markup(), shown, "", live.head, live.scripts)


class TestPage:
    def test_holds_one_script_that_its_policy_names_and_asks_for_nothing(self) -> None:
        live = live_section(RESULT, PROGRAM, MODULE, recorded(PROGRAM, FIRST))
        data, checker = looked_at(page(RESULT, PROGRAM, None, live))
        assert "The integers, running here" in checker.text and "live" in checker.ids
        assert base64.b64decode(data["module"]) == MODULE

    def test_without_it_nothing_is_added(self) -> None:
        plain = page(RESULT, PROGRAM, None)
        assert "<script" not in plain and "live-" not in plain and "Security" not in plain

    def test_data_are_those_of_the_reference(self) -> None:
        recording = recorded(PROGRAM, FIRST, NETWORK.evaluate(X[:1]).outputs[0])
        data, _ = looked_at(written(recording=recording))
        run = l2l.simulate(PROGRAM, X[:1], "reference", return_states=True)
        assert run.states is not None and len(data["words"]) == len(recording.words)
        for word in data["words"]:
            kind = {1: "<i1", 2: "<i2", 4: "<i4"}[word["bytes"]]
            found = np.frombuffer(base64.b64decode(word["values"]), kind)
            expected = run.states[word["population"]][word["word"]][0]
            assert found.tolist() == expected.ravel().tolist()
        out = data["output"]
        at = {w["at"]: w for w in data["words"]}[out["at"]]
        assert at["population"] == PROGRAM.output and out["size"] == 2
        floats = np.frombuffer(base64.b64decode(data["expected"]), "<f8")
        assert floats.tolist() == NETWORK.evaluate(X[:1]).outputs[0].ravel().tolist()
        assert data["samples"] == 20 and recording.values == 20 * data["record"]

    @settings(max_examples=15)
    @given(name=HOSTILE)
    def test_names_stay_texts(self, name: str) -> None:
        first = PROGRAM.populations[0]
        population = SimpleNamespace(**{**vars(first), "name": name})
        recording = recorded(PROGRAM, FIRST)
        renamed = {(name if p == first.name else p, w): v for (p, w), v in recording.words.items()}
        row = chip_row(title=name, placement=name)
        result = example_result(PROGRAM, (row,), chips=())
        connections = [
            SimpleNamespace(source=name if c.source == first.name else c.source, fan_out=c.fan_out)
            for c in PROGRAM.connections
        ]
        program = _Named(PROGRAM, (population, *PROGRAM.populations[1:]), connections)
        data, checker = looked_at(
            written(program, result, dataclasses.replace(recording, words=renamed, origin=name))  # type: ignore[arg-type]
        )
        assert data["words"][0]["population"] == data["sources"][1]["name"] == printable(name)
        assert checker.tags.count("script") == 2

    @settings(max_examples=50)
    @given(text=st.text(), number=st.integers())
    def test_a_block_of_data_begins_no_markup(self, text: str, number: int) -> None:
        block = json_block("here", {"text": text, "number": number})
        inside = block.removeprefix('<script type="application/json" id="here">').removesuffix(
            "</script>"
        )
        assert not set("<>&") & set(inside)
        assert json.loads(inside) == {"text": text, "number": number}


@dataclasses.dataclass(frozen=True)
class _Named:
    """A program whose parts have names that no file can have."""

    program: l2l.LoihiProgram
    populations: Sequence[Any]
    connections: Sequence[Any]

    @property
    def output_population(self) -> Any:
        return self.populations[-1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.program, name)


class TestRecording:
    @pytest.mark.parametrize("program", [PROGRAM, TIMED, l2l.load(LTC)])
    def test_made_inputs_keep_to_the_range_and_move(self, program: l2l.LoihiProgram) -> None:
        found = recorded(program, None)
        assert (found.inputs >= program.input.low).all()
        assert (found.inputs <= program.input.high).all()
        assert (np.ptp(found.inputs[:, : program.channels], axis=0) > 0).all()
        assert found.values <= LARGEST_RECORDING and "No samples were given" in found.origin
        if program.timed:
            assert set(found.inputs[:, -1]) == {int(program.input.gain[-1])}

    def test_is_as_long_as_a_page_has_room_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        long = Sequences(random_samples(0, 1, 300, 4), np.array([300]), None)
        assert recorded(PROGRAM, long).samples == SAMPLES
        words = recorded(PROGRAM, long).values // SAMPLES
        module = "lnn2loihi.reporting.interactive.recording.LARGEST_RECORDING"
        monkeypatch.setattr(module, 7 * words)
        assert recorded(PROGRAM, long).samples == 7 == recorded(PROGRAM, None).samples
        monkeypatch.setattr(module, 1)
        short = recorded(PROGRAM, long, np.zeros((300, 2)))
        assert short.samples == 1 and short.expected is not None and len(short.expected) == 1

    def test_values_that_are_clipped_are_counted(self) -> None:
        x = X[:1].copy()
        x[0, 2, 1], x[0, 5, 0] = 1e6, -1e6
        clipped = int(PROGRAM.input.encode(x.astype(np.float64))[1].sum())
        found = recorded(PROGRAM, Sequences(x, FIRST.lengths, None))
        assert clipped >= 2 and f"{clipped} of their 80 values lie outside" in found.origin
        assert ("lie outside" in recorded(PROGRAM, FIRST).origin) == bool(
            PROGRAM.input.encode(X[:1].astype(np.float64))[1].sum()
        )

    def test_encoded_messages_are_taken_as_they_are(self) -> None:
        encoded = PROGRAM.input.encode(X[:1].astype(np.float64))[0]
        given = Sequences(encoded, np.array([X.shape[1]]), None)
        assert recorded(PROGRAM, given).inputs.tolist() == recorded(PROGRAM, FIRST).inputs.tolist()


class TestEnergy:
    def test_of_the_profiles_own_samples_is_the_profiles(self) -> None:
        result = l2l.profile(PROGRAM, X, against=(), frontier=False, devices="loihi2-oheo-gulch")
        found = energy_figures(result)
        assert isinstance(found, EnergyFigures)
        row = min(
            (r for r in result.rows if r.kind == "loihi" and r.total_energy is not None),
            key=lambda r: r.total_energy.middle,  # type: ignore[union-attr]
        )
        assert row.dynamic_energy is not None and row.total_energy is not None
        assert found.mean_dynamic == pytest.approx(row.dynamic_energy.middle, rel=1e-9)
        total = found.mean_dynamic + found.static
        assert total == pytest.approx(row.total_energy.middle, rel=1e-9)
        assert row.title in found.label and found.tier == row.energy_tier

    def test_synaptic_operations_are_those_of_the_placement(self) -> None:
        data, _ = looked_at(written())
        counters = l2l.simulate(PROGRAM, X).counters
        operations = sum(
            int(np.frombuffer(base64.b64decode(one["fanOut"]), "<i4")
                @ counters.non_zero[one["name"]])
            for one in data["sources"]
        )  # fmt: skip
        counted = l2l.workload(l2l.place(PROGRAM, "loihi2-oheo-gulch"), counters).per_sample()
        assert operations / counters.samples == pytest.approx(counted["synaptic_operations"])

    def test_where_there_is_no_figure_the_page_says_why(self) -> None:
        data, _ = looked_at(written())
        assert data["energy"] is None and "no estimate of a chip" in data["reason"]
        subject = dataclasses.replace(RESULT.subject, target="stock")
        other = energy_figures(dataclasses.replace(RESULT, subject=subject))
        assert other == (
            "The profile is of the target stock, and this page runs the program it was made of: no "
            "energies are shown."
        )


class TestAsking:
    def test_a_compiler_that_is_missing_is_named_before_anything_is_written(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tools, "zig", lambda: None)
        program = l2l.save(PROGRAM, tmp_path / "net.l2l")
        profile = RESULT.save(tmp_path / "net.profile.json")
        target = tmp_path / "net.html"
        np.save(tmp_path / "x.npy", X)
        for verb in (
            ("report", profile, "-p", program, "-o", target, "--interactive"),
            ("profile", program, "-i", tmp_path / "x.npy", "--report", target, "--interactive"),
        ):
            code, _, err = run(*verb)
            assert code == 3 and "pip install ziglang" in err and not target.exists()

    def test_interactive_needs_a_page(self, run: Run, tmp_path: Path) -> None:
        program = l2l.save(PROGRAM, tmp_path / "net.l2l")
        np.save(tmp_path / "x.npy", X)
        code, _, err = run("profile", program, "-i", tmp_path / "x.npy", "--interactive")
        assert code == 1 and "give --report FILE.html" in err

    def test_samples_alone_are_for_interactive_pages(self, run: Run, tmp_path: Path) -> None:
        program = l2l.save(PROGRAM, tmp_path / "net.l2l")
        profile = RESULT.save(tmp_path / "net.profile.json")
        np.save(tmp_path / "x.npy", X)
        code, _, err = run(
            "report", profile, "-p", program, "-o", tmp_path / "a.html", "-i", tmp_path / "x.npy"
        )
        assert code == 1 and "an interactive page takes --input alone too" in err


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole page of a profile, with a float network and samples."""
    result = l2l.profile(PROGRAM, X, against=(), devices="loihi2-oheo-gulch")
    path = tmp_path_factory.mktemp("page") / "net.html"
    return l2l.report(result, PROGRAM, path, network=NETWORK, x=X, interactive=True)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT)
@needs_compiler
class TestInTheBrowser:
    @pytest.mark.parametrize("width", WIDTHS)
    def test_checks_draws_and_fits_the_screen(self, tab: Browser, net: Path, width: int) -> None:
        tab.complaints.clear()
        tab.addresses.clear()
        tab.open(net, width)
        values = recorded(PROGRAM, FIRST).values
        assert tab.text("live-check") == f"{values:,} values, 0 differ"
        assert tab.value("document.documentElement.scrollWidth <= innerWidth")
        assert tab.value("innerWidth") == width
        before = [tab.text(f"live-{name}") for name in ("output-text", "states-text", "table")]
        assert "float" in before[0]
        left, top, wide, high = tab.place("live-input")
        stroke = [(left + wide * at, top + high * up) for at, up in ((0.1, 0.1), (0.9, 0.2))]
        tab.drag(stroke, touched=width < 500)
        after = [tab.text(f"live-{name}") for name in ("output-text", "states-text", "table")]
        assert "float" not in after[0]
        assert all(a != b for a, b in zip(before, after, strict=True))
        tab.value("document.getElementById('live-recorded').click()")
        tab.drawn()
        assert "float" in tab.text("live-output-text")
        assert tab.complaints == [] and tab.addresses == [net.resolve().as_uri()]

    def test_keys_reach_all_of_it(self, tab: Browser, net: Path) -> None:
        tab.open(net, 1280)
        tab.value("document.getElementById('live-input').focus()")
        first = tab.text("live-input-text")
        tab.press("ArrowUp")
        raised = tab.text("live-input-text")
        tab.press("ArrowRight")
        assert first != raised and tab.text("live-input-text").startswith("Sample 1, input 0")
        wanted = "#live canvas[tabindex], #live select, #live input, #live button"
        names = tab.value(f"[...document.querySelectorAll('{wanted}')].map((e) => e.id)")
        reached: list[str] = []
        for _ in names:
            reached.append(tab.value("document.activeElement.id"))
            tab.press("Tab")
        assert reached == names and len(names) > 8

    def test_what_is_drawn_is_what_the_library_answers(self, tab: Browser, net: Path) -> None:
        tab.open(net, 1280)
        tab.value("document.getElementById('live-sine').click()")
        tab.drawn()
        inputs = np.array(tab.value("Array.from(input)")).reshape(1, -1, PROGRAM.channels)
        run = l2l.simulate(PROGRAM, inputs, "reference", encoded=True)
        found = tab.value(
            "Array.from({length: data.samples}, (_, t) => Array.from(run.words.subarray("
            "t * data.record + data.output.at, t * data.record + data.output.at + "
            "data.output.size)))"
        )
        assert found == run.integers[0].tolist()
        sent = np.array(tab.value("run.counts.map((count) => count.messages)")).sum(axis=0)
        assert sent.tolist() == [int(n.sum()) for n in run.counters.non_zero.values()]

    def test_who_prefers_no_motion_gets_none(self, tab: Browser, net: Path) -> None:
        shown = "getComputedStyle(document.getElementById('live-play')).display"
        tab.open(net, 1280, prefers_reduced_motion="reduce")
        assert tab.value(shown) == "none"
        tab.open(net, 1280)
        assert tab.value(shown) != "none"

    @pytest.mark.parametrize("program", [TIMED, l2l.load(LTC)])
    def test_time_that_is_irregular_and_samples_of_many_updates(
        self, tab: Browser, tmp_path: Path, program: l2l.LoihiProgram
    ) -> None:
        recording = recorded(program, None)
        path = tmp_path / "net.html"
        path.write_text(written(program, RESULT, recording, live_module(program)))
        tab.open(path, 1280)
        assert tab.text("live-check") == f"{recording.values:,} values, 0 differ"

    def test_a_word_that_differs_is_counted(self, tab: Browser, tmp_path: Path) -> None:
        recording = recorded(PROGRAM, FIRST)
        words = {key: values.copy() for key, values in recording.words.items()}
        next(iter(words.values()))[3, 2] ^= 1
        changed = dataclasses.replace(recording, words=words)
        path = tmp_path / "net.html"
        path.write_text(written(recording=changed, module=live_module(PROGRAM)))
        tab.open(path, 1280)
        assert tab.text("live-check") == f"{recording.values:,} values, 1 differ"

    def test_a_module_that_is_broken_is_said(self, tab: Browser, tmp_path: Path) -> None:
        path = tmp_path / "net.html"
        path.write_text(written(module=b"\0asm\7"))
        tab.open(path, 1280)
        assert tab.text("live-check").startswith("The program does not run in this browser: ")

    def test_other_scripts_do_not_run(self, tab: Browser, tmp_path: Path) -> None:
        path = tmp_path / "net.html"
        added = written(module=live_module(PROGRAM)).replace(
            "</body>", "<script>window.other = true</script></body>"
        )
        path.write_text(added)
        tab.open(path, 1280)
        assert tab.value("window.other === undefined")
