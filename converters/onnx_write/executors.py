"""Executors that run a program as an ONNX model: onnxruntime, and onnx's reference evaluator."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

import numpy as np

from lnn2loihi.converters.onnx_write.program import OnnxProgramExporter
from lnn2loihi.formats import IntegerArray
from lnn2loihi.program import AnyConnection, Convolution, LoihiProgram
from lnn2loihi.simulation.executor import Executor
from lnn2loihi.simulation.result import IntegerRun, OnStep, recorded_words

#: Sequences of a call, and values that it records at most: a call cannot be interrupted.
BLOCK, LARGEST_CALL = 1024, 1 << 22
#: Seconds that the reference evaluator takes for a node, for each value of one, for a multiply-add,
#: and to put a weight together in each step, roughly (measured on one core); its share is what it
#: does in SHARE_SECONDS.
NODE_SECONDS, VALUE_SECONDS, MULTIPLY_SECONDS, WEIGHT_SECONDS = 2.5e-5, 1e-9, 2e-9, 1e-8
SHARE_SECONDS = 20.0
#: Nodes of an instruction, roughly, the calls of functions included.
NODES = 3
#: First versions that are right: onnx's evaluator takes one state of a Scan for all of them before,
#: and onnxruntime 1.18 writes to memory that is still in use (right with enable_mem_reuse=False).
RIGHT = {"onnx": (1, 22), "onnxruntime": (1, 19)}
#: Runs a model: outputs by name, from inputs by name.
Session = Callable[[dict[str, Any]], Mapping[str, Any]]


class OnnxRuntime(Executor):
    """Entry point `onnxruntime` of the group `lnn2loihi.executors`."""

    def reason_against(self, program: LoihiProgram) -> str:
        """Whether it is missing, or of a version that computes wrong."""
        return _missing("onnx") or _missing("onnxruntime")

    def run(
        self,
        program: LoihiProgram,
        inputs: IntegerArray,
        initial_state: Mapping[str, Mapping[str, IntegerArray]],
        on_step: OnStep | None = None,
    ) -> IntegerRun:
        """See `Executor`."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            _model(program).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        names = [output.name for output in session.get_outputs()]

        def run(feed: dict[str, Any]) -> Mapping[str, Any]:
            return dict(zip(names, session.run(names, feed), strict=True))

        name = f"onnxruntime {onnxruntime.__version__}"
        return _run(name, run, program, inputs, initial_state, on_step)


class OnnxReference(Executor):
    """Entry point `onnx-reference` of the group `lnn2loihi.executors`."""

    def reason_against(self, program: LoihiProgram) -> str:
        """Whether it is missing, or of a version that computes wrong."""
        return _missing("onnx")

    def run(
        self,
        program: LoihiProgram,
        inputs: IntegerArray,
        initial_state: Mapping[str, Mapping[str, IntegerArray]],
        on_step: OnStep | None = None,
    ) -> IntegerRun:
        """See `Executor`."""
        import onnx
        from onnx.reference import ReferenceEvaluator

        evaluator: Any = ReferenceEvaluator(_model(program))

        def run(feed: dict[str, Any]) -> Mapping[str, Any]:
            return dict(zip(evaluator.output_names, evaluator.run(None, feed), strict=True))

        return _run(
            f"onnx reference {onnx.__version__}", run, program, inputs, initial_state, on_step
        )

    def share(self, program: LoihiProgram, batch: int, updates: int) -> tuple[int, int]:
        """What it does in SHARE_SECONDS: fewer sequences first, while they cost most, then fewer
        steps.
        """
        codes = [(NODES * p.program.instruction_count, p.size) for p in program.populations]
        weights = sum(_multiplications(c) for c in program.connections)
        fixed = NODE_SECONDS * sum(nodes for nodes, _ in codes) + WEIGHT_SECONDS * weights
        each = VALUE_SECONDS * sum(nodes * size for nodes, size in codes)
        each += MULTIPLY_SECONDS * weights
        most = max(SHARE_SECONDS / updates - fixed, fixed) / each
        sequences = int(min(batch, max(most, 1)))
        samples = int(SHARE_SECONDS / (fixed + each * sequences)) // program.substeps
        return sequences, min(updates, max(samples, 1) * program.substeps)


def _multiplications(connection: AnyConnection) -> int:
    """Of a step of one sequence."""
    if isinstance(connection, Convolution):
        return connection.windows.largest_count
    return connection.rows * connection.source_size


def _missing(package: str) -> str:
    """Why it cannot be used, and what to do; empty where it can."""
    first = RIGHT[package]
    command = f"pip install '{package}>={'.'.join(map(str, first))}'"
    try:
        found = import_module(package).__version__
    except ImportError:
        return f"{package} is not installed: {command}"
    if tuple(int(part) for part in re.findall(r"\d+", found)[:2]) < first:
        return f"{package} {found} is installed, whose answers are wrong: {command}"
    return ""


def _model(program: LoihiProgram) -> Any:
    return OnnxProgramExporter().export(program, record=True)


def _run(
    name: str,
    session: Session,
    program: LoihiProgram,
    inputs: IntegerArray,
    initial_state: Mapping[str, Mapping[str, IntegerArray]],
    on_step: OnStep | None,
) -> IntegerRun:
    """Runs all sequences block by block, and each block some samples at a time."""
    batch, updates, _ = inputs.shape
    recorded = {p.name: recorded_words(p.program) for p in program.populations}
    states = {
        p.name: {w: np.zeros((batch, updates, p.size), np.int64) for w in recorded[p.name]}
        for p in program.populations
    }
    words = sum(p.size * len(recorded[p.name]) for p in program.populations)
    blocks = -(-batch // BLOCK)
    for number in range(blocks):
        rows = slice(number * BLOCK, min((number + 1) * BLOCK, batch))
        state = {
            f"{population}.{word}": values[rows].astype(np.int32)
            for population, kept in initial_state.items()
            for word, values in kept.items()
        }
        some = max(LARGEST_CALL // (words * (rows.stop - rows.start)), 1)
        for steps in _pieces(updates, some, program.substeps):
            # The model repeats samples by itself.
            x = inputs[rows, steps.start : steps.stop : program.substeps].astype(np.int32)
            found = session({"x": x, **state})
            state = {key: found[f"{key}.final"] for key in state}
            for population, kept in states.items():
                for word, values in kept.items():
                    values[rows, steps] = found[f"{population}.{word}.steps"]
            if on_step is not None:
                on_step(number * updates + steps.stop, blocks * updates)
    return IntegerRun(name, states)


def _pieces(updates: int, some: int, substeps: int) -> Iterator[slice]:
    """The updates in pieces of about as many, each of whole samples."""
    length = max(some // substeps, 1) * substeps
    for begin in range(0, updates, length):
        yield slice(begin, min(begin + length, updates))
