"""`network.npz`: a program of stock neurons, samples and the integers that are expected, as arrays.

    about     JSON: what is said of every run: program, program_sha256, network_sha256, sizes; and
              arrays, the SHA-256 of the bytes of every other array
    graphs    JSON: first the network, then the probes; each with the name of its host, processes
              (name, kind, size, vth, exp), synapses (source, target, port, exponent, rows,
              columns), and what is recorded where nobody asks for more; neurons of the network
              (process, place in it), models of probes (text, steps late, answer)
    K.host    int32 (steps, channels): what the host sends in each chip step of graph K
    K.I       int64 (3, synapses): rows, columns, mantissas of the synapses I; and delays, if any
    sent      int64 (samples,): steps in which samples are sent, of all sequences
    process, lag   (neurons,): of each neuron of the network its process, and how many steps after
              a sample it answers
    want      int32 (samples, neurons): the integers that are expected

`script/run.py` reads it, with NumPy alone.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.artifact import fingerprint
from lnn2loihi.converters.loihi2.probes import LATEST, Probe, probes
from lnn2loihi.errors import InputError
from lnn2loihi.formats import IntegerArray
from lnn2loihi.lava.stock_plan import StockPlan, stock_plan
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation import full_initial_state, simulate
from lnn2loihi.simulation.executor import FullState
from lnn2loihi.simulation.result import recorded_words

#: Steps that adapters between host and chip may add; the host goes on for as long.
ADAPTER_STEPS = LATEST
#: Largest stream and expected integers, together (1 GiB).
LARGEST = 1 << 28
#: Bytes that are read of what a file says of itself.
LARGEST_ABOUT = 1 << 22
#: All files of an archive have this date, so that equal networks give equal bytes.
_DATE = (1980, 1, 1, 0, 0, 0)

Arrays = dict[str, npt.NDArray[Any]]


def network_file(
    program: LoihiProgram,
    inputs: IntegerArray,
    lengths: IntegerArray,
    start: FullState | None = None,
) -> bytes:
    """The file of a program.

    Args:
        program: of stock neurons.
        inputs: encoded samples, int64 (batch, time, channels).
        lengths: samples of each sequence, (batch,).
        start: for each population and state word integers (batch, neurons); the program's own
            initial state by default.

    Raises:
        ProgramError: it is no graph of Lava's own processes.
        InputError: nothing would be sent, or the answer is a constant.
    """
    # Interleaved sequences are for a batch, and a stream is one sequence after the other.
    once = program if program.schedule.interleave == 1 else program.interleaved(1)
    start = full_initial_state(once, len(inputs), start)
    plan = stock_plan(once, start)
    if once.output in plan.constants:
        raise InputError(
            "format 'loihi2'", "the answer of the program is a constant: nothing to run"
        )
    updates = lengths * once.substeps
    held = np.repeat(inputs, once.substeps, axis=1)
    stream, sent = _stream(plan, held, updates, start)
    arrays = _expected(plan, held, updates, start)
    arrays["sent"], arrays["0.host"] = sent, stream
    graphs = [_network(plan, arrays)]
    graphs += [_probe(place, probe, arrays) for place, probe in enumerate(probes(), start=1)]
    arrays["graphs"] = np.array(json.dumps(graphs))
    about = {
        "program": program.name,
        "program_sha256": fingerprint(program),
        "network_sha256": _digest(arrays),
        "steps": len(stream) - ADAPTER_STEPS,
        "samples": int(lengths.sum()),
        "sequences": int(np.count_nonzero(lengths)),
        "outputs": once.output_population.size,
        "neurons": sum(one.size for one in plan.processes),
        "synapses": sum(one.mantissas.size for one in plan.synapses),
        "arrays": {n: hashlib.sha256(array.tobytes()).hexdigest() for n, array in arrays.items()},
    }
    arrays["about"] = np.array(json.dumps(about))
    return _archive(arrays)


def is_network_file(path: Path) -> bool:
    """Whether a file is one that `network_file` has made, by what it says of itself."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("about.npy") as member:
            content = io.BytesIO(member.read(LARGEST_ABOUT))
        about = json.loads(str(np.lib.format.read_array(content, allow_pickle=False)))
    except Exception:  # somebody else's file may be anything
        return False
    return isinstance(about, dict) and {"program_sha256", "network_sha256"} <= about.keys()


def check_size(program: LoihiProgram, samples: int) -> None:
    """Refuses more samples than a file takes, before anything is made of them.

    Raises:
        InputError: says what there is, and the limit.
    """
    steps = samples * program.steps_per_sample
    values = samples * program.substeps * program.neurons + steps * program.input.size
    if values > LARGEST:
        raise InputError(
            "format 'loihi2'",
            f"{samples:,} samples of {program.neurons:,} neurons, sent in {steps:,} steps, are "
            f"more than {LARGEST:,} integers; give fewer samples",
        )


def _stream(
    plan: StockPlan, inputs: IntegerArray, updates: IntegerArray, start: FullState
) -> tuple[npt.NDArray[np.int32], IntegerArray]:
    """What the host sends, (steps, channels), and the steps in which samples are sent."""
    rows: list[npt.NDArray[np.int32]] = []
    sent: list[IntegerArray] = []
    begin = 0
    schedule = plan.program.schedule
    for sequence, count in enumerate(updates):
        if not count:
            continue
        # As if another one followed: with the silence that it takes.
        layout = plan.layout(2 if np.count_nonzero(updates) > 1 else 1, int(count), width=1)
        single = replace(layout, batch=1, chunks=1)
        one = slice(sequence, sequence + 1)
        begun = {name: {w: v[one] for w, v in words.items()} for name, words in start.items()}
        part = plan.stream(single, inputs[one, :count], begun)
        whole = np.zeros((layout.steps, part.shape[1]), np.int32)
        whole[: len(part)] = part[: layout.steps]
        rows.append(whole)
        sent.append(begin + schedule.first_input + schedule.period * np.arange(count))
        begin += len(whole)
    if not rows:
        raise InputError("lengths", "all sequences have length 0; give at least one sample")
    rows.append(np.zeros((ADAPTER_STEPS, plan.host_size), np.int32))
    return np.concatenate(rows), np.concatenate(sent)


def _expected(
    plan: StockPlan, inputs: IntegerArray, updates: IntegerArray, start: FullState
) -> Arrays:
    """What all neurons answer, by the fastest engine that is here."""
    program = replace(plan.program, substeps=1)
    channels = program.channels
    found = simulate(
        program, inputs[..., :channels], lengths=updates, encoded=True, return_states=True,
        initial_state=start, timespans=inputs[..., channels] if program.timed else None,
    ).states  # fmt: skip
    assert found is not None
    inside = np.arange(inputs.shape[1]) < updates[:, None]
    want = []
    for one in plan.processes:
        (word,) = recorded_words(program.population(one.name).program)
        want.append(found[one.name][word][inside])
    schedule = program.schedule
    lags = [schedule.first_valid[one.name] - schedule.first_input for one in plan.processes]
    sizes = [one.size for one in plan.processes]
    return {
        "want": np.concatenate(want, axis=1),
        "process": np.repeat([one.name for one in plan.processes], sizes),
        "lag": np.repeat(np.array(lags, np.int64), sizes),
    }


def _network(plan: StockPlan, arrays: Arrays) -> dict[str, Any]:
    sizes = {plan.host: plan.host_size, **{one.name: one.size for one in plan.processes}}
    for place, one in enumerate(plan.synapses):
        arrays[f"0.{place}"] = np.stack([one.rows, one.columns, one.mantissas]).astype(np.int64)
    return {
        "host": plan.host,
        "processes": [
            [one.name, one.kind, one.size, one.threshold, one.shift] for one in plan.processes
        ],
        "synapses": [
            [one.source, one.target, one.port, one.exponent, sizes[one.target], sizes[one.source]]
            for one in plan.synapses
        ],
        "record": [plan.program.output],
        "neurons": [[one.name, place] for one in plan.processes for place in range(one.size)],
    }


def _probe(key: int, probe: Probe, arrays: Arrays) -> dict[str, Any]:
    arrays[f"{key}.host"] = probe.stream
    for place, one in enumerate(probe.synapses):
        arrays[f"{key}.{place}"] = one.array()
    return probe.to_dict()


def _digest(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """SHA-256 of names, types, shapes and contents."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape} ".encode() + array.tobytes())
    return digest.hexdigest()


def _archive(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """The arrays as `numpy.savez_compressed` writes them, but for the time of day."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in _ordered(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, arrays[name], allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, member.getvalue())
    return content.getvalue()


def _ordered(arrays: Mapping[str, npt.NDArray[Any]]) -> Sequence[str]:
    first = ["about", "graphs"]
    return [*first, *sorted(name for name in arrays if name not in first)]
