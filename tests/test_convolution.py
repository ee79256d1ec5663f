"""Kernels that neurons share: what they mean, and that everybody takes them for the synapses that
they stand for.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_artifact import container, header_of, load_arrays

import lnn2loihi as l2l
from lnn2loihi.artifact import to_bytes
from lnn2loihi.converters.lavadl.neurons import arriving_at, sigma_delta_program
from lnn2loihi.errors import ArtifactError, InputError, ProgramError
from lnn2loihi.formats import FixedPoint
from lnn2loihi.graph.convolution import LARGEST_COUNT, LARGEST_KERNEL
from lnn2loihi.graph.schedule import derive_schedule, matched_delays
from lnn2loihi.graph.windows import Windows
from lnn2loihi.metrics import program_metrics
from lnn2loihi.neurons.tracer import Tracer
from lnn2loihi.program import AnyConnection
from lnn2loihi.simulation.native.convolved import shared

#: Largest message of the populations here.
LIMIT = 300
EXAMPLES = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def convolutions(draw: st.DrawFn, exponent: int = 0) -> l2l.Convolution:
    """Any windows, with borders and without, in groups, dilated; some kernels mostly zero."""
    random = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    while True:
        groups = int(random.integers(1, 4))
        inner, outer = random.integers(1, 4, 2)
        size = random.integers(1, 4, 2)
        kernel = random.integers(-128, 128, (groups * outer, inner, *size))
        kernel[random.random(kernel.shape) < random.choice([0.0, 0.5, 0.95])] = 0
        stride, padding, dilation = (
            (int(random.integers(low, high)), int(random.integers(low, high)))
            for low, high in ((1, 4), (0, 5), (1, 3))
        )
        source: Any = (int(groups * inner), *map(int, random.integers(1, 9, 2)))
        shape: Any = kernel.shape
        if not Windows(source, shape, stride, padding, dilation, groups).problems():
            return l2l.Convolution(
                "input", "first", ("arriving",), kernel, source, stride, padding, dilation, groups,
                exponent,
            )  # fmt: skip


def population(name: str, size: int, accumulators: int = 1) -> l2l.Population:
    program = sigma_delta_program(1 << 10, LIMIT, accumulators)
    state = {
        "heard": np.zeros(size, np.int64),
        "sigma": np.random.default_rng(size).integers(-(1 << 16), 1 << 16, size),
    }
    return l2l.Population(name, program, {}, state, FixedPoint(10, 0), -LIMIT, LIMIT, size)


def program_of(
    connections: list[AnyConnection], populations: list[l2l.Population]
) -> l2l.LoihiProgram:
    size = connections[0].source_size
    top = np.full(size, 100)
    port = l2l.InputPort("input", FixedPoint(8, 0), -top, top)
    names = [p.name for p in populations]
    connections = list(matched_delays("input", names, connections))
    return l2l.LoihiProgram(
        "kernels", "none", port, tuple(populations), tuple(connections), names[-1],
        derive_schedule("input", names, connections),
    )  # fmt: skip


def unrolled(program: l2l.LoihiProgram) -> l2l.LoihiProgram:
    return replace(program, connections=tuple(c.unrolled() for c in program.connections))


def two_layers(kernel: l2l.Convolution, parts: int = 1) -> l2l.LoihiProgram:
    """The kernel, divided over some accumulators, and a dense layer behind it."""
    names = arriving_at(parts)
    place = np.arange(kernel.kernel.size).reshape(kernel.kernel.shape) % parts
    # Small enough that no sum leaves its word.
    weights = np.sign(kernel.kernel) * np.minimum(np.abs(kernel.kernel), 60)
    first: list[AnyConnection] = [
        replace(
            kernel, accumulators=(name,), exponent=exponent,
            kernel=np.where(place == part, weights >> exponent, 0),
        )
        for part, name in enumerate(names)
        for exponent in (0, 1)
    ]  # fmt: skip
    random = np.random.default_rng(kernel.rows)
    dense = l2l.Connection.from_dense(
        "first", "last", ("arriving",), random.integers(-9, 10, (3, kernel.rows))
    )
    return program_of(
        [*first, dense], [population("first", kernel.rows, parts), population("last", 3)]
    )


def samples(program: l2l.LoihiProgram, batch: int, time: int = 5) -> np.ndarray:
    random = np.random.default_rng(batch)
    x = random.integers(-100, 101, (batch, time, program.channels))
    return np.where(random.random(x.shape) < 0.5, x, 0)


# ---------------------------------------------------------------- what a kernel means


@given(convolutions(exponent=2), st.integers(0, 1 << 30))
@settings(EXAMPLES, max_examples=80)
def test_a_kernel_is_its_synapses(made: l2l.Convolution, seed: int) -> None:
    random = np.random.default_rng(seed)
    listed = made.unrolled()
    assert made.problems(made.rows) == [] and listed.problems(made.rows) == []
    assert (made.rows, made.source_size) == (listed.rows, listed.source_size)
    assert made.synapses == listed.synapses == made.mantissas.size
    assert np.array_equal(made.fan_out(), listed.fan_out())
    assert np.array_equal(made.dense(), listed.dense())
    messages = random.integers(-1000, 1000, (2, made.source_size))
    right = listed.summing()(messages)
    for dtype in (np.int64, np.float64, np.float32):
        own = made.summing(dtype)(messages)
        assert own.dtype == dtype and np.array_equal(own, right)
    low, high = -random.integers(0, 9, made.source_size), random.integers(0, 9, made.source_size)
    assert made.interval(low, high) == listed.interval(low, high)
    assert made.interval(-3, 7) == listed.interval(-3, 7)
    assert replace(made, source="other").unrolled() == replace(listed, source="other")


@given(convolutions())
@settings(EXAMPLES, max_examples=30)
def test_it_is_the_convolution_of_torch(made: l2l.Convolution) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x = np.random.default_rng(made.rows).integers(-9, 10, (2, *made.source_shape))
    conv2d: Any = torch.nn.functional.conv2d
    right = conv2d(
        torch.tensor(x).double(), torch.tensor(made.kernel).double(), None, made.stride,
        made.padding, made.dilation, made.groups,
    ).numpy()  # fmt: skip
    assert right.shape[1:] == made.target_shape
    assert np.array_equal(made.summing()(x.reshape(2, -1)), right.reshape(2, -1))


def test_sums_that_float64_does_not_hold_are_exact() -> None:
    made = l2l.Convolution("a", "b", ("c",), np.full((1, 1, 1, 3), 127), (1, 1, 3), exponent=7)
    message = np.array([[(1 << 45) + 1, 1 << 46, 3]])
    assert made.summing()(message).item() == int(message.sum()) * 127 * 128


def test_sums_are_not_listed() -> None:
    """A kernel of 268 million synapses: what needs them one by one says how many there are."""
    made = l2l.Convolution(
        "a", "b", ("c",), np.ones((16, 16, 5, 5)), (16, 204, 204), padding=(2, 2)
    )
    assert made.synapses > 2**27 and made.problems(made.rows) == []
    with pytest.raises(ProgramError, match=r"has 26[0-9],[0-9,]* synapses, and at most 16,777,216"):
        made.unrolled()


# ---------------------------------------------------------------- executors


@given(convolutions(), st.integers(1, 3), st.sampled_from([1, 3, 50, 64, 66]))
@settings(EXAMPLES, max_examples=25)
def test_executors_agree(made: l2l.Convolution, parts: int, batch: int) -> None:
    program = two_layers(made, parts)
    assert shared(program, program.populations[0])
    x = samples(program, batch)
    lengths = np.random.default_rng(batch).integers(1, x.shape[1] + 1, batch)
    options: dict[str, Any] = {"encoded": True, "return_states": True, "lengths": lengths}
    right = l2l.simulate(unrolled(program), x, "blas", **options)
    found = [l2l.simulate(program, x, name, **options) for name in ("blas", "c")]
    if batch < 9:
        found.append(l2l.simulate(program, x, "reference", **options))
    for result in found:
        assert np.array_equal(result.integers, right.integers)
        assert result.states is not None and right.states is not None
        for name, words in right.states.items():
            for word, values in words.items():
                assert np.array_equal(result.states[name][word], values), (name, word)
        assert result.counters == right.counters
        assert result.saturated_words is not None and right.saturated_words is not None
        for name, marks in right.saturated_words.items():
            for mark, counts in marks.items():
                assert np.array_equal(result.saturated_words[name][mark], counts)


@pytest.mark.parametrize("lanes", [8, 16, 32])
def test_narrow_blocks_agree(lanes: int) -> None:
    from lnn2loihi.simulation.native.engine import NativeEngine
    from lnn2loihi.simulation.native.plan import Piece

    kernel = np.random.default_rng(1).integers(-60, 60, (12, 2, 3, 3))
    made = l2l.Convolution("input", "first", ("arriving",), kernel, (2, 7, 9), (2, 1), (1, 1))
    program = two_layers(made, 2)
    x = samples(program, lanes + 1).astype(np.int32)
    engine = NativeEngine(program)
    engine._functions |= engine._functions_of(lanes)
    engine._pieces = lambda job: (Piece(lanes, 0, job.batch),)
    start = {
        p.name: {w: np.tile(v, (len(x), 1)) for w, v in p.initial_state.items()}
        for p in program.populations
    }
    run, _ = engine.run(x, np.full(len(x), x.shape[1]), start, threads=1)
    assert np.array_equal(run.integers, l2l.simulate(program, x, "blas", encoded=True).integers)


@given(convolutions(), st.integers(1, 2))
@settings(EXAMPLES, max_examples=6)
def test_onnx_agrees(made: l2l.Convolution, parts: int) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    program = two_layers(made, parts)
    assert l2l.verify(
        program, samples(program, 2), executors=("onnxruntime", "onnx-reference"), encoded=True
    ).bit_exact


def test_lava_agrees() -> None:
    pytest.importorskip("lava", reason="Lava is not installed")
    kernel = np.random.default_rng(1).integers(-60, 60, (2, 2, 3, 2))
    made = l2l.Convolution("input", "first", ("arriving",), kernel, (2, 4, 5), (2, 1), (1, 0))
    program = two_layers(made, 2)
    assert l2l.verify(
        program, samples(program, 2), executors=("reference", "lava"), encoded=True
    ).bit_exact


@pytest.mark.parametrize("beside", ["dense", "windows", "wide"])
def test_what_cannot_share_a_layout_is_listed(beside: str) -> None:
    """A population that hears something else too, other windows, or kernels beyond 16 bits."""
    kernel = np.random.default_rng(2).integers(-20, 21, (2, 1, 3, 3))
    made = l2l.Convolution("input", "first", ("arriving",), kernel, (1, 5, 6))
    other: AnyConnection = replace(made, exponent=1)
    if beside == "dense":
        other = l2l.Connection.from_dense("input", "first", ("arriving",), np.ones((made.rows, 30)))
    elif beside == "windows":
        other = replace(made, kernel=kernel[..., :1, :1], source_shape=(1, 3, 4))
        other = replace(other, source="before")
    connections: list[AnyConnection] = [made, other]
    populations = [population("first", made.rows)]
    if beside == "windows":
        image = l2l.Convolution("input", "before", ("arriving",), kernel[:1], (1, 5, 6))
        populations.insert(0, population("before", 12))
        connections.insert(0, image)
    elif beside == "wide":
        connections = [replace(made, kernel=np.sign(kernel) * 127, exponent=7)] * 3
    program = (
        program_of(connections, populations)
        if beside != "wide"
        else replace(
            program_of([made], populations),
            input=l2l.InputPort("input", FixedPoint(2, 0), np.zeros(30), np.ones(30)),
            connections=tuple(connections),
        )
    )
    x = np.minimum(np.abs(samples(program, 3)), 1)
    assert not shared(program, program.populations[-1])
    right = l2l.simulate(unrolled(program), x, "blas", encoded=True)
    for name in ("blas", "c"):
        found = l2l.simulate(program, x, name, encoded=True)
        assert np.array_equal(found.integers, right.integers)


def test_streams_take_kernels() -> None:
    kernel = np.random.default_rng(3).integers(-20, 21, (8, 1, 3, 3))
    made = l2l.Convolution("input", "first", ("arriving",), kernel, (1, 6, 6), padding=(1, 1))
    program = two_layers(made)
    x = samples(program, 1)
    right = l2l.simulate(program, x, "reference", encoded=True).outputs[0]
    stream = l2l.open_stream(program, "c", encoded=True)
    assert all(
        np.array_equal(stream.step(sample), answer)
        for sample, answer in zip(x[0], right, strict=True)
    )


# ---------------------------------------------------------------- costs and files


def test_costs_are_those_of_synapses() -> None:
    kernel = np.random.default_rng(4).integers(-20, 21, (4, 2, 3, 3))
    made = l2l.Convolution("input", "first", ("arriving",), kernel, (2, 6, 7), (2, 2), (1, 1))
    program = two_layers(made)
    listed = unrolled(program)
    assert program.synapses == listed.synapses and program.summary() == listed.summary()
    assert program.bounds == listed.bounds
    own, right = (l2l.place(p, "loihi2-oheo-gulch") for p in (program, listed))
    assert own.summary() == right.summary() and own.cores == right.cores
    counters = l2l.simulate(program, samples(program, 3), encoded=True).counters
    found = [program_metrics(p, counters, 3) for p in (program, listed)]
    assert found[0] == found[1]


@given(convolutions(), st.integers(1, 2))
@settings(EXAMPLES, max_examples=10)
def test_files_keep_kernels(tmp_path_factory: Any, made: l2l.Convolution, parts: int) -> None:
    program = two_layers(made, parts)
    path = l2l.save(program, tmp_path_factory.mktemp("kernels") / "a.l2l")
    assert l2l.load(path) == program
    manifest = json.loads(header_of(path.read_bytes())["__metadata__"]["manifest"])
    assert manifest["schema"] == 5
    assert "kernel" in manifest["connections"][0] and "columns" in manifest["connections"][-1]
    plain = l2l.save(unrolled(program), path)
    assert json.loads(header_of(plain.read_bytes())["__metadata__"]["manifest"])["schema"] == 3


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "older": ({"schema": 4}, "kernels exist from schema version 5 on"),
    "shape": ({"kernel_shape": [1, 1, 1, 1]}, "not a program's"),
    "any shape": ({"kernel_shape": [-1, 1, 3, 3]}, r"a kernel of shape \(-1, 1, 3, 3\)"),
    "no shape": ({"kernel_shape": []}, "a kernel of shape"),
    "flat": ({"kernel_shape": [18]}, "a convolution has a kernel of 4 lengths"),
    "source": ({"source_shape": [1, 3, 10]}, "its kernel gives"),
    "lengths": ({"source_shape": [30]}, "a convolution has a kernel of 4 lengths"),
    "stride": ({"stride": [0, 1]}, "stride, dilation and groups begin at 1"),
    "padding": ({"padding": [1 << 31, 1 << 31]}, "its kernel gives"),
    "dilation": ({"dilation": [1 << 31, 1]}, r"has no place in \(5, 6\)"),
    "groups": ({"groups": 3}, "does not hear 1 channels in 3 groups"),
    "text": ({"stride": "11"}, "expected a list"),
    "truth": ({"groups": True}, "expected an integer"),
    "exponent": ({"exponent": 8}, "outside 0..7"),
    "bits": ({"mantissa_bits": 2}, "does not fit 2 bits"),
    "accumulators": ({"accumulators": []}, "feeds one accumulator"),
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kernel": np.ones((1, 2, 2))}, "a convolution has a kernel of 4 lengths"),
        ({"source_shape": (4, 4)}, "a source_shape of 3"),
        ({"source_shape": (1, 0, 4)}, "shapes, stride, dilation and groups begin at 1"),
        ({"source_shape": (-1, -4, 4)}, "begin at 1"),
        ({"stride": (0, 1)}, "begin at 1"),
        ({"stride": (-1, 1)}, "begin at 1"),
        ({"stride": (1,)}, "2 each of stride, padding and dilation"),
        ({"padding": (0, 0, 0)}, "2 each of stride"),
        ({"padding": (-1, 0)}, "padding at 0"),
        ({"dilation": (9, 9)}, "has no place in"),
        ({"groups": 0}, "begin at 1"),
        ({"groups": 2}, "does not hear 1 channels in 2 groups"),
    ],
)
def test_what_lays_no_windows_is_refused_at_once(change: Any, said: str) -> None:
    """Before anybody asks for rows, shapes or synapses."""
    whole: Any = {"kernel": np.ones((1, 1, 2, 2)), "source_shape": (1, 4, 4)} | change
    with pytest.raises(ProgramError, match=f"input -> first: .*{said}"):
        l2l.Convolution("input", "first", ("arriving",), **whole)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_kernels_are_refused(name: str, tmp_path: Path) -> None:
    kernel = np.arange(18).reshape(2, 1, 3, 3)
    made = l2l.Convolution("input", "first", ("arriving",), kernel, (1, 5, 6))
    content = to_bytes(program_of([made], [population("first", made.rows)]))
    manifest = json.loads(header_of(content)["__metadata__"]["manifest"])
    change, said = HOSTILE[name]
    for key, value in change.items():
        (manifest if key == "schema" else manifest["connections"][0])[key] = value
    path = tmp_path / "a.l2l"
    path.write_bytes(container(json.dumps(manifest), load_arrays(content)))
    with pytest.raises(ArtifactError, match=said):
        l2l.load(path)


def test_files_of_many_neurons_and_few_bytes_are_refused(tmp_path: Path) -> None:
    """Windows that hear nothing cost a file nothing."""
    wide = l2l.Convolution(
        "input", "first", ("arriving",), np.ones((1, 1, 1, 1)), (1, 1, 1), padding=(300, 300)
    )
    t = Tracer("relay")
    t.spike(t.add(t.accumulator("arriving"), 0))
    relay = l2l.Population(
        "first", t.program(), {}, {}, FixedPoint(24, 0), -(1 << 23), (1 << 23) - 1, wide.rows
    )
    content = to_bytes(program_of([wide], [relay]))
    manifest = json.loads(header_of(content)["__metadata__"]["manifest"])
    manifest["populations"][0]["size"] = 4001 * 4001
    manifest["connections"][0]["padding"] = [2000, 2000]
    path = tmp_path / "a.l2l"
    path.write_bytes(container(json.dumps(manifest), load_arrays(content)))
    with pytest.raises(ArtifactError, match=r"48,024,003 instructions times neurons; the limit of"):
        l2l.load(path)


def test_kernels_without_end_are_refused() -> None:
    wide = l2l.Convolution(
        "input", "first", ("arriving",), np.ones((1, 1, 1, LARGEST_KERNEL + 1)),
        (1, 1, LARGEST_KERNEL + 1),
    )  # fmt: skip
    assert "places; at most 4,096" in wide.problems(1)[0]
    many = l2l.Convolution(
        "input", "first", ("arriving",), np.ones((8, 8, 64, 64)), (8, 95, 95), padding=(1, 1)
    )
    assert many.windows.largest_count > LARGEST_COUNT
    assert f"the limit of lnn2loihi is {LARGEST_COUNT:,}" in many.problems(many.rows)[-1]
    some = l2l.Convolution(
        "input", "first", ("arriving",), np.zeros((16, 16, 5, 5)), (16, 204, 204), padding=(2, 2)
    )
    with pytest.raises(ProgramError, match=r"convolutions of 5[0-9,]+ synapses in all"):
        program_of([some, some], [population("first", some.rows)])


def test_matrices_that_are_too_large_are_still_refused() -> None:
    """A kernel beside something else is laid out as a matrix, and that has a limit."""
    made = l2l.Convolution("input", "first", ("arriving",), np.ones((1, 1, 1, 1)), (1, 200, 200))
    size = made.rows
    each = l2l.Connection(
        "input", "first", ("arriving",), np.arange(size + 1), np.arange(size), np.ones(size), size
    )
    x = np.ones((1, 1, size), np.int64)
    alone = program_of([made], [population("first", size)])
    assert l2l.simulate(alone, x, "c", encoded=True).integers.shape == (1, 1, size)
    with pytest.raises(InputError, match="executors keep weights in dense matrices"):
        l2l.simulate(program_of([made, each], [population("first", size)]), x, "c", encoded=True)
