"""A front and a core as one program: what running them one after the other is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lavadl_nets import KINDS
from lavadl_nets import network as net_file
from lavadl_nets import samples as net_samples
from networks import random_ltc, random_network, random_samples
from programs import Sizes, random_inputs, random_program
from variants import Variant, network

import lnn2loihi as l2l
from lnn2loihi.errors import InputError, ProgramError
from lnn2loihi.formats import FixedPoint
from lnn2loihi.joining.bridge import ANSWER
from lnn2loihi.lava import lava_is_installed
from lnn2loihi.program import InputPort, LoihiProgram
from lnn2loihi.simulation.reference import run_reference

BUSY = settings(
    max_examples=12, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
DIFFER = "inputs of the core differ by a step"
X = random_samples(1, 3, 6, 3)
FRONT = l2l.quantize(random_network(5, inputs=3, layers=(6, 4), outputs=2), X)
HEARD = l2l.simulate(FRONT, X).outputs
CORE = l2l.quantize(random_network(6, inputs=2, layers=(5,), outputs=3), HEARD)


def apart(
    front: LoihiProgram, core: LoihiProgram, x: Any, elapsed: Any = None
) -> l2l.SimulationResult:
    """The core on what the front answers."""
    first = l2l.simulate(front, x, "reference", timespans=elapsed if front.timed else None)
    return l2l.simulate(core, first.outputs, "reference", timespans=elapsed if core.timed else None)


def counted(front: LoihiProgram, joined: LoihiProgram, result: l2l.SimulationResult) -> np.ndarray:
    """Answers of the front beyond the core's port, for each channel."""
    (marked,) = [
        p.name for p in joined.populations
        if any(mark.name == ANSWER for mark in joined.saturations[p.name])
    ]  # fmt: skip
    assert result.saturated_words is not None
    return np.asarray(result.saturated_words[marked][ANSWER])


def assert_joined(
    front: LoihiProgram, core: LoihiProgram, x: Any, elapsed: Any = None
) -> LoihiProgram:
    """Joined they answer, and count, what they do one after the other."""
    joined = l2l.join(front, core)
    first, second = joined.neurons, front.neurons + core.neurons
    assert first - second in (0, front.output_population.size)
    assert not any(DIFFER in w for w in joined.warnings)
    expected = apart(front, core, x, elapsed)
    found = l2l.simulate(joined, x, "reference", timespans=elapsed)
    np.testing.assert_array_equal(found.integers, expected.integers)
    np.testing.assert_array_equal(found.outputs, expected.outputs)
    np.testing.assert_array_equal(
        counted(front, joined, found), expected.saturated[: core.channels]
    )
    return joined


def port(core: LoihiProgram, **changed: Any) -> LoihiProgram:
    """A core with another input port."""
    return replace(core, input=replace(core.input, **changed))


def test_answers_are_those_of_running_both() -> None:
    joined = assert_joined(FRONT, CORE, X)
    assert joined.name == f"{FRONT.name} + {CORE.name}"
    assert joined.input == FRONT.input
    assert [p.name for p in joined.populations] == [
        "layer_0", "layer_1", "readout", "core.layer_0", "core.readout",
    ]  # fmt: skip
    assert joined.output == "core.readout"
    # No neuron and no step is added: the front's neurons answer in other units.
    assert joined.neurons == FRONT.neurons + CORE.neurons
    assert joined.latency_steps == FRONT.latency_steps + CORE.latency_steps
    assert [row["stage"] for row in joined.table][-2:] == ["core.layer_0", "core.readout"]
    sent = joined.population("readout")
    np.testing.assert_array_equal(sent.decode([[1, 1]]), CORE.input.decode([[1, 1]]))
    assert set(joined.provenance) >= {"front.network", "core.network"}


def test_a_name_and_words_of_both() -> None:
    joined = l2l.join(FRONT, CORE, name="both")
    assert joined.name == "both"
    found = l2l.simulate(joined, X, "reference", return_states=True)
    expected = l2l.simulate(FRONT, X, "reference", return_states=True)
    assert found.states is not None and expected.states is not None
    np.testing.assert_array_equal(found.states["layer_1"]["h"], expected.states["layer_1"]["h"])


@pytest.mark.parametrize("executor", ["c", "blas", "onnxruntime", "lava"])
def test_all_executors_agree(executor: str) -> None:
    if executor == "lava" and not lava_is_installed():
        pytest.skip("needs Lava")
    if executor == "onnxruntime":
        pytest.importorskip("onnxruntime")
    joined = l2l.join(FRONT, CORE)
    assert l2l.verify(joined, X, ("reference", executor)).bit_exact


@pytest.mark.parametrize("target", ["split", "split_one", "split_graph"])
def test_targets_take_it(target: str) -> None:
    joined = l2l.join(FRONT, CORE)
    assert l2l.verify(joined, X, "reference", target=target).bit_exact
    assert l2l.place(joined, target=target).cores


def test_a_prepared_front_and_core_keep_their_ports() -> None:
    from lnn2loihi.targets import target_of

    split = target_of("split")
    joined = assert_joined(split.prepare(FRONT), split.prepare(CORE), X)
    assert joined.population("layer_0").ports == joined.population("core.layer_0").ports == 2


def test_a_core_of_stock_neurons() -> None:
    """Its constants come with each sample, later than the samples of the front by as much."""
    from lnn2loihi.targets import target_of

    stock = target_of("stock")
    joined = assert_joined(FRONT, stock.prepare(CORE), X)
    assert l2l.verify(joined, X, "reference,blas").bit_exact
    with pytest.raises(l2l.TargetError, match="'linear, bridge' has no form of Lava's own"):
        stock.prepare(l2l.join(FRONT, CORE))


def test_it_is_saved_and_streamed(tmp_path: Path) -> None:
    joined = l2l.join(FRONT, CORE)
    assert l2l.load(l2l.save(joined, tmp_path / "both.l2l")) == joined
    stream = l2l.open_stream(joined)
    found = np.stack([stream.step(x) for x in X[0]])
    np.testing.assert_array_equal(found, apart(FRONT, CORE, X).outputs[0])


def test_answers_that_others_hear_get_a_population_of_their_own() -> None:
    bare = l2l.quantize(random_network(7, inputs=3, layers=(4,), outputs=0), X)
    core = l2l.quantize(
        random_network(8, inputs=4, layers=(3,), outputs=2), l2l.simulate(bare, X).outputs
    )
    joined = assert_joined(bare, core, X)
    assert "bridge" in [p.name for p in joined.populations]
    assert joined.latency_steps == bare.latency_steps + 1 + core.latency_steps
    again = l2l.join(replace(bare, name="a"), core)
    assert l2l.verify(again, X, ("reference", "c")).bit_exact
    # The chip's clock: what the front keeps begins as in its own program.
    rng = np.random.default_rng(3)
    state = {"h": rng.integers(-500, 500, 4)}
    moved = replace(bare, populations=(replace(bare.populations[0], initial_state=state),))
    assert_joined(moved, core, X)


@settings(BUSY, max_examples=6)
@given(st.sampled_from(sorted(KINDS)), st.integers(0, 1 << 30))
def test_networks_of_lava_dl_are_fronts(tmp_path: Path, kind: str, seed: int) -> None:
    pytest.importorskip("h5py")
    content, _, random = net_file(kind, seed)
    (tmp_path / "front.net").write_bytes(content)
    front = l2l.import_program(tmp_path / "front.net")
    integers = np.stack([net_samples(kind, random, 5, front.channels) for _ in range(2)])
    x = front.input.decode(integers)
    heard = l2l.simulate(front, x).outputs
    core = l2l.quantize(random_network(seed % 100, heard.shape[2], (3,), 2), heard)
    joined = assert_joined(front, core, x)
    assert l2l.verify(joined, x, ("reference", "blas")).bit_exact


class TestUnits:
    """What the bridge makes of units of all kinds."""

    @BUSY
    @given(
        st.integers(0, 1 << 30),
        st.lists(st.tuples(st.integers(-3, 14), st.floats(-3, 3)), min_size=2, max_size=2),
    )
    def test_powers_of_two_are_exact(self, seed: int, units: list[tuple[int, float]]) -> None:
        front = random_program(seed % 50, Sizes(inputs=3, layers=(3,), readout=2))
        core = random_program(seed % 50 + 1, Sizes(inputs=2, layers=(3,), readout=1))
        gain = np.array([2.0**k for k, _ in units])
        offset = np.array([np.round(o, 3) for _, o in units])
        rng = np.random.default_rng(seed)
        low = -rng.integers(1, 2048, 2)
        core = port(core, gain=gain, offset=offset, low=low, high=rng.integers(1, 2047, 2))
        x = front.input.decode(random_inputs(seed, front, 4, 8))
        try:
            joined = l2l.join(front, core)
        except ProgramError as error:  # units so far apart that words do not hold both
            assert "channel" in str(error)
            return
        assert joined.warnings == ()
        assert_joined(front, core, x)

    @BUSY
    @given(st.integers(0, 1 << 30), st.floats(0.7, 300), st.floats(0.7, 300), st.floats(-5, 5))
    def test_others_differ_by_what_is_said(
        self, seed: int, first: float, second: float, offset: float
    ) -> None:
        front = random_program(seed % 50, Sizes(inputs=3, layers=(3,), readout=2))
        core = random_program(seed % 50 + 1, Sizes(inputs=2, layers=(3,), readout=1))
        core = port(core, gain=np.array([first, second]), offset=np.array([offset, 0.0]))
        try:
            joined = l2l.join(front, core)
        except ProgramError as error:
            assert "channel" in str(error)
            return
        limit = int(any(DIFFER in w for w in joined.warnings))
        x = front.input.decode(random_inputs(seed, front, 16, 8))
        sent = l2l.simulate(joined, x, "reference", return_states=True)
        assert sent.states is not None
        expected, _ = core.input.encode(l2l.simulate(front, x).outputs)
        assert np.abs(sent.states["readout"]["message"] - expected).max() <= limit

    def test_the_limit_is_reached_somewhere(self) -> None:
        """It is tried out and not guessed: all messages there are, against what is said."""
        front = random_program(3, Sizes(inputs=3, layers=(3,), readout=2))
        last = replace(front.output_population, scale=np.array([0.0371, 0.25]))
        front = replace(front, populations=(*front.populations[:-1], last))
        core = port(
            random_program(4, Sizes(inputs=2, layers=(3,), readout=1)),
            gain=np.array([0.7, 0.001]), low=np.array([-2000, -5]), high=np.array([2000, 9]),
        )  # fmt: skip
        joined = l2l.join(front, core)
        own = joined.populations[1]
        m = np.repeat(np.arange(-90_000, 90_000)[:, None], 2, axis=1)
        from lnn2loihi.joining import bridge as module

        ends = front.bounds["readout"].words["message'"]
        made = module.bridge(last, (ends.low, ends.high), core.input, "here")
        found = np.clip(module._words(made, {ANSWER: m}), core.input.low, core.input.high)
        expected = core.input.encode(last.decode(m)[None])[0][0]
        worst = int(np.abs(found - expected).max())
        assert worst == made.difference == 1
        assert any(DIFFER in w for w in joined.warnings)
        assert own.message_low == -2000

    def test_a_channel_that_is_beyond_everywhere_is_refused(self) -> None:
        low, high = np.full(2, -5), np.full(2, 5)
        far = port(CORE, offset=np.array([1e6, 0.0]), low=low, high=high)
        with pytest.raises(ProgramError, match="channel 0: the front answers .* wholly below what"):
            l2l.join(FRONT, far)
        with pytest.raises(ProgramError, match="wholly above what"):
            l2l.join(FRONT, port(CORE, offset=np.array([-1e6, 0.0]), low=low, high=high))

    def test_units_that_no_word_holds_are_refused(self) -> None:
        with pytest.raises(ProgramError, match="channel 0: its units differ so much"):
            l2l.join(FRONT, port(CORE, gain=np.array([1.0, 1e9])))
        with pytest.raises(ProgramError, match="channel 1: a step of the front's answer is"):
            l2l.join(FRONT, port(CORE, gain=np.array([1.0, 2.0**60])))

    @given(st.lists(st.floats(1e-30, 1e30), min_size=2, max_size=2), st.floats(-1e9, 1e9))
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def test_any_units_are_joined_or_refused(self, gain: list[float], offset: float) -> None:
        core = port(CORE, gain=np.array(gain), offset=np.array([offset, -offset]))
        try:
            joined = l2l.join(FRONT, core)
        except ProgramError as error:
            assert "join" in str(error) and "channel" in str(error)
        else:
            new = set(joined.warnings) - {*FRONT.warnings, *core.warnings}
            assert all(DIFFER in warning for warning in new)


class TestTime:
    """Elapsed times, and updates for each sample."""

    irregular = Variant("cfc", irregular=True)

    def core(self, heard: Any, elapsed: Any) -> LoihiProgram:
        net = network(replace(self.irregular, inputs=heard.shape[2]))
        return l2l.quantize(net, calibrate=heard, calibrate_timespans=elapsed)

    def test_elapsed_times_go_to_the_core(self) -> None:
        elapsed = np.random.default_rng(1).uniform(0.1, 2.0, X.shape[:2])
        core = self.core(HEARD, elapsed)
        joined = assert_joined(FRONT, core, X, elapsed)
        assert joined.timed and joined.input.size == FRONT.input.size + 1
        assert l2l.verify(joined, X, ("reference", "c", "blas"), timespans=elapsed).bit_exact

    def test_elapsed_times_go_to_both(self) -> None:
        elapsed = np.random.default_rng(1).uniform(0.1, 2.0, X.shape[:2])
        front = self.core(X, elapsed)
        heard = l2l.simulate(front, X, timespans=elapsed).outputs
        core = self.core(heard, elapsed)
        joined = assert_joined(front, core, X, elapsed)
        assert joined.input == front.input
        with pytest.raises(ProgramError, match="both take elapsed times"):
            l2l.join(front, self.core(heard, 5 * elapsed))

    def test_elapsed_times_go_to_the_front(self) -> None:
        elapsed = np.random.default_rng(2).uniform(0.1, 2.0, X.shape[:2])
        front = self.core(X, elapsed)
        assert assert_joined(front, CORE, X, elapsed).timed

    def test_a_front_without_memory_feeds_an_ltc(self) -> None:
        """It may update as often as the core: its answer stays what it is."""
        dense = _dense(X)
        ltc = l2l.quantize(random_ltc(1, inputs=2), l2l.simulate(dense, X).outputs)
        joined = assert_joined(dense, ltc, X)
        assert joined.substeps == ltc.substeps > 1

    def test_substeps_that_differ_are_refused(self) -> None:
        ltc = l2l.quantize(random_ltc(1, inputs=2), HEARD)
        with pytest.raises(ProgramError, match="layer_0, layer_1 keep what they had"):
            l2l.join(FRONT, ltc)
        first = l2l.quantize(random_ltc(2, inputs=3), X)
        with pytest.raises(ProgramError, match="updates 4 times for each sample"):
            l2l.join(first, ltc)


def _dense(x: Any) -> LoihiProgram:
    rng = np.random.default_rng(4)
    layers = (
        l2l.DenseLayer("a", l2l.Linear("a", rng.normal(size=(4, 3)), rng.normal(size=4)), "tanh"),
    )
    readout = l2l.Linear("readout", rng.normal(size=(2, 4)), rng.normal(size=2))
    return l2l.quantize(l2l.LiquidNetwork("dense", layers, readout), x)


def test_sizes_and_interleaving_are_refused_together() -> None:
    bare = l2l.quantize(random_network(7, inputs=3, layers=(4,), outputs=0), X)
    slow = _interleaving(bare)
    with pytest.raises(ProgramError) as raised:
        l2l.join(slow, CORE)
    text = str(raised.value)
    assert "answers 4 numbers, 'random 6' takes 2 channels" in text
    assert "interleaves 2 sequences, 'random 6' 1; join interleaved(1) of both" in text
    with pytest.raises(InputError, match="core is of type list"):
        l2l.join(FRONT, [CORE])  # pyright: ignore[reportArgumentType]


def _interleaving(program: LoihiProgram) -> LoihiProgram:
    from lnn2loihi.targets import target_of

    prepared = target_of("split_graph").prepare(program)
    return prepared.interleaved(2)


def test_sequences_take_turns() -> None:
    """The core's loops take three steps, and those of the front as many then."""
    from lnn2loihi.targets import target_of

    joined = assert_joined(FRONT, target_of("split_graph").prepare(CORE), X)
    assert joined.schedule.period == 3
    assert l2l.verify(joined.interleaved(3), X, "reference,blas").bit_exact
    np.testing.assert_array_equal(
        l2l.simulate(joined.interleaved(3), X, "reference").integers,
        apart(FRONT, CORE, X).integers,
    )


def test_a_front_that_does_not_say_what_saturates_is_counted_as_before() -> None:
    """As programs of old files."""
    silent = [
        replace(p, program=replace(p.program, saturations=None)) for p in FRONT.populations
    ]  # fmt: skip
    old = replace(FRONT, populations=tuple(silent))
    joined = assert_joined(old, CORE, X)
    names = {mark.name for mark in joined.saturations["readout"]}
    assert names == {ANSWER} | {mark.name for mark in old.saturations["readout"]}


def test_programs_that_were_joined_are_joined_again() -> None:
    third = l2l.quantize(
        random_network(9, inputs=3, layers=(2,), outputs=1), l2l.simulate(CORE, HEARD).outputs
    )
    once = l2l.join(l2l.join(FRONT, CORE), third)
    other = l2l.join(FRONT, l2l.join(CORE, third))
    assert once.output == "core.core.readout"
    a, b = (l2l.simulate(one, X, "reference").integers for one in (once, other))
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(a, apart(FRONT, l2l.join(CORE, third), X).integers)


def test_no_word_leaves_its_bound() -> None:
    """The proof, tried with inputs at both ends and the chip's clock."""
    joined = l2l.join(
        random_program(1, Sizes(inputs=3, layers=(4,), readout=2, extreme=True)),
        port(CORE, low=np.array([-40, -1000]), high=np.array([1000, 3])),
    )
    inputs = random_inputs(2, joined, 4, 10)
    state = {
        p.name: {w: np.tile(v, (4, 1)) for w, v in p.initial_state.items()}
        for p in joined.populations
    }
    run_reference(joined, inputs, state, check_bounds=True)
    # Each channel is bounded by itself, as at the port.
    sums = joined.accumulator_intervals("core.layer_0")
    alone = port(CORE, low=np.array([-40, -1000]), high=np.array([1000, 3]))
    own = alone.accumulator_intervals("layer_0")
    for name, interval in sums.items():
        np.testing.assert_array_equal(interval.low, own[name].low)
        np.testing.assert_array_equal(interval.high, own[name].high)


def test_the_command_line(tmp_path: Path, run: Run) -> None:
    front, core, both = (tmp_path / f"{name}.l2l" for name in ("front", "core", "both"))
    l2l.save(FRONT, front)
    l2l.save(CORE, core)
    code, out, _ = run("join", front, core, "-o", both)
    assert code == 0 and f"written: {both}" in out
    assert l2l.load(both) == l2l.join(FRONT, CORE)
    code, out, _ = run("join", front, core, "-o", both, "--name", "pair", "--json")
    assert code == 0 and json.loads(out)["name"] == "pair" and l2l.load(both).name == "pair"
    code, _, error = run("join", core, both, "-o", tmp_path / "x.l2l", "--name", "two\nlines")
    assert code == 1 and "is not one line of printable text" in error
    code, _, error = run("join", front, front, "-o", tmp_path / "x.l2l")
    assert code == 1 and "answers 2 numbers" in error and not (tmp_path / "x.l2l").exists()
    code, _, error = run("join", front, core, "-o", core)
    assert code == 1 and l2l.load(core) == CORE
    module = tmp_path / "part.l2m"
    module.write_bytes(b"PK\x03\x04" + bytes(26) + b"module.json")
    code, _, error = run("join", module, core, "-o", tmp_path / "x.l2l")
    assert code == 1 and "module.chip_parts[0].quantized() is the program of one" in error
    code, _, error = run("join", front, core, "-o", tmp_path / "x.onnx")
    assert code == 1 and "does not end with .l2l" in error


def test_ranges_that_lie_on_one_side_of_zero() -> None:
    """Nothing is sent before the first sample: a message of 0, which no sample is."""
    for low, high in ((59, 2047), (-2000, -7)):
        core = port(CORE, low=np.full(2, low), high=np.full(2, high))
        assert_joined(FRONT, core, X)


def test_ports_of_the_widest_format() -> None:
    """Of 24 bits and of one, with a message of one step."""
    wide = FixedPoint(24, 12)
    core = random_program(4, Sizes(inputs=1, layers=(), readout=1))
    narrow = InputPort("input", FixedPoint(2, 0), np.array([0]), np.array([1]))
    front = random_program(3, Sizes(inputs=1, layers=(3,), readout=1))
    x = front.input.decode(random_inputs(1, front, 4, 8))
    assert_joined(front, replace(core, input=narrow), x)
    tall = InputPort("input", wide, np.array([-(1 << 18)]), np.array([1 << 18]))
    assert_joined(front, replace(core, input=tall), x)
