"""A session of measurements, on a machine that only exists here."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from measuring import INPUTS, OUTPUTS, Backend, Machine, Meter, runner, samples

from lnn2loihi.devices import load_device
from lnn2loihi.errors import BackendMissingError, InputError
from lnn2loihi.measure import (
    AGAINST,
    FULL,
    QUICK,
    EnergyCounters,
    EnergyReading,
    EstimatedEnergy,
    Measurement,
    Measurements,
    Runner,
    Settings,
    measure,
)
from lnn2loihi.measure.estimated import GENERIC
from lnn2loihi.measure.meter import MOST_WATTS, Kind
from lnn2loihi.measure.results import ESTIMATED_LABEL
from lnn2loihi.measure.runner import PYTHON, missing_runner
from lnn2loihi.measure.stopwatch import (
    FEWEST_FOR_P99,
    FEWEST_STEPS,
    GAIN,
    LONG_SEQUENCE,
    MOST_NUMBERS,
    Samples,
    best_batch,
    is_memory_error,
    latency,
    sequence_task,
    streaming_task,
)
from lnn2loihi.measure.windows import QUOTED_REPEATS, QUOTED_SECONDS, QUOTED_STEPS
from lnn2loihi.network import FloatArray

#: Short enough that a test takes no time, long enough for a quoted figure on the made-up machine.
SETTINGS = Settings(warm_up=0.01, search=0.01, rounds=3, slice=0.05, calls=30, steps=100)


def measured(
    machine: Machine, runners: Runner | list[Runner], *, kinds: Any = (), **options: Any
) -> Measurements:
    options = {
        "settings": SETTINGS, "counters": machine.counters(*kinds), "clock": machine.clock,
        "root": Path("/nowhere"), **options,
    }  # fmt: skip
    return measure(runners, options.pop("x", samples()), **options)


def by_mode(found: Measurements) -> dict[str, Measurement]:
    return {row.mode: row for row in found}


def test_streaming_and_batch() -> None:
    machine = Machine()
    backend = Backend(machine, call=1e-3, sequence=1e-6)
    rows = by_mode(measured(machine, runner(backend)))
    streaming, batch = rows["streaming"], rows["batch"]
    assert streaming.status == batch.status == "measured" and backend.closed == 1
    assert streaming.batch == 1 and streaming.steps_per_call == 1
    assert streaming.latency_p50 == pytest.approx(1e-3) == streaming.latency_p99
    assert streaming.throughput is not None and streaming.throughput.mean == pytest.approx(1e3)
    assert streaming.throughput.repeats == 3 and streaming.throughput.low is not None
    assert streaming.step_latency == streaming.sample_latency or (
        streaming.sample_latency is not None
        and streaming.sample_latency.p50 == streaming.latency_p50
    )
    # A call of 8 steps: 1 ms and 1 us for each sample, so larger batches gain for long.
    assert batch.steps_per_call == 8 and batch.batch >= 1024
    seconds = 1e-3 + 8 * batch.batch * 1e-6
    assert batch.latency_p50 == pytest.approx(seconds / 8)
    assert batch.sample_latency is not None and batch.sample_latency.p50 == pytest.approx(seconds)
    assert batch.throughput is not None
    assert batch.throughput.mean == pytest.approx(8 * batch.batch / seconds)
    assert batch.seconds_per_sample == pytest.approx(seconds / (8 * batch.batch))
    assert [b for b, _ in batch.search] == [2**n for n in range(len(batch.search))]
    assert streaming.tier == "MEASURED"


def test_one_sequence_in_a_compiled_loop() -> None:
    """A call is so long that what a call costs is next to nothing."""
    machine = Machine()
    backend = Backend(machine, call=1e-4, sequence=1e-6)
    rows = by_mode(measured(machine, runner(backend, sequences=True, loop="C")))
    assert list(rows) == ["streaming", "sequence", "batch"]
    row = rows["sequence"]
    assert row.batch == 1 and row.status == "measured"
    assert LONG_SEQUENCE <= 1e-4 + row.steps_per_call * 1e-6 < 5 * LONG_SEQUENCE
    assert row.step_latency == row.sample_latency and row.latency_p50 is not None
    assert row.latency_p50 == pytest.approx(1e-6 + 1e-4 / row.steps_per_call)
    assert row.latency_p50 < 1.01e-6
    assert row.latency_p99 is None  # of means over many samples it says nothing
    assert row.throughput is not None
    assert row.throughput.mean == pytest.approx(1.0 / row.latency_p50)
    includes = {mode: row.includes for mode, row in rows.items()}
    assert includes == {
        "streaming": "Python call included", "sequence": "no Python call, loop in C", "batch": ""
    }  # fmt: skip


def test_a_loop_in_python_says_so() -> None:
    machine = Machine()
    rows = by_mode(measured(machine, runner(Backend(machine), loop=PYTHON)))
    assert list(rows) == ["streaming", "batch"]
    assert rows["batch"].includes == "Python loop included"


@pytest.mark.parametrize(("seconds", "steps"), [(1.0, 64), (1e-5, 4096), (1e-9, None)])
def test_a_sequence_is_as_long_as_it_has_to_be(seconds: float, steps: int | None) -> None:
    machine = Machine()
    backend = Backend(machine, call=0.0, sequence=seconds)
    task = sequence_task(backend, Samples(samples(3, 4)), OUTPUTS, machine.clock)
    most = MOST_NUMBERS // (INPUTS + OUTPUTS)
    assert task.steps == (most if steps is None else steps) == task.samples
    x, _ = next(task.inputs)
    assert x.shape == (1, task.steps, INPUTS)
    assert np.array_equal(x[0, :24], np.concatenate([samples(3, 4).reshape(-1, INPUTS)] * 2))


def test_a_sequence_is_no_longer_than_there_is_time() -> None:
    machine = Machine()
    backend = Backend(machine, call=0.0, sequence=1e-6)
    assert sequence_task(backend, Samples(samples()), OUTPUTS, machine.clock, 0.0).steps == 64


def test_backends_take_turns() -> None:
    """Every round has a slice of each, and none is always first."""
    machine, log = Machine(), []
    backends = [Backend(machine, log=log) for _ in range(3)]
    names = ["a", "b", "c"]
    found = measured(
        machine, [runner(b, n) for b, n in zip(backends, names, strict=True)], modes=["streaming"]
    )
    assert [row.name for row in found] == names
    assert log == [*names, *"abc", *"bca", *"cab"]  # warm-up, then three rounds


def test_given_batches_are_rows() -> None:
    machine = Machine()
    found = measured(machine, runner(Backend(machine)), modes=["batch"], batches=[1, 64])
    assert [(row.batch, row.search) for row in found] == [(1, ()), (64, ())]


def test_percentiles_need_enough_calls() -> None:
    few, many = latency([[1.0] * 33] * 3, 1, "a call"), latency([[1.0] * 50] * 2, 4, "a step")
    assert few.p99 is None and few.count == 99
    assert many.p99 == 0.25 and many.p50 == 0.25 and many.mean.mean == 0.25
    spread = latency([[float(n) for n in range(1, 101)]], 1, "a call")
    assert spread.p50 == 50.5 and spread.p99 == pytest.approx(99.01)


def test_energy_is_read_between_idle_windows() -> None:
    machine = Machine()
    backends = [Backend(machine, watts={"cpu": 5.0}), Backend(machine, watts={"cpu": 15.0})]
    found = measured(
        machine, [runner(b, n) for b, n in zip(backends, "ab", strict=True)],
        kinds=["cpu"], modes=["streaming"],
    )  # fmt: skip
    for row, watts in zip(found, (5.0, 15.0), strict=True):
        assert isinstance(row.energy, EnergyReading) and not row.energy_note
        assert row.energy.dynamic is not None
        assert row.energy.dynamic.mean == pytest.approx(watts * 1e-3)
        assert row.energy.total.mean == pytest.approx((10.0 + watts) * 1e-3)
        assert row.energy.total.repeats == 5 and not row.energy.quick
        assert row.energy.steps >= 5 * 10_000  # 10 s of 1 ms
    # An idle window stands between any two active ones: eleven about ten, of 10 s each.
    assert sum(machine.waits) == pytest.approx(11 * 10.0)


def test_slow_steps_make_longer_windows() -> None:
    machine = Machine()
    found = measured(
        machine, runner(Backend(machine, call=1.0)), kinds=["cpu"], modes=["streaming"]
    )
    energy = found[0].energy
    assert isinstance(energy, EnergyReading) and energy.window == pytest.approx(100.0)
    assert sum(machine.waits) == pytest.approx(6 * 100.0)


def test_quick_is_marked() -> None:
    machine = Machine()
    found = measured(machine, runner(Backend(machine)), kinds=["cpu"], settings=None, quick=True)
    assert all(isinstance(row.energy, EnergyReading) and row.energy.quick for row in found)
    assert sum(machine.waits) < 30.0


def test_without_counters_an_interval_that_says_what_it_is() -> None:
    machine = Machine()
    counters = EnergyCounters({}, {"cpu": "no RAPL here"})
    found = measured(machine, runner(Backend(machine)), counters=counters)
    for row in found:
        assert isinstance(row.energy, EstimatedEnergy) and row.energy_note == "no RAPL here"
        assert row.energy.high > row.energy.low > 0.0
    assert "TDP bound, not measured" in found.summary()


@pytest.mark.parametrize(("share", "of"), [(1.0, "median call"), (0.5, "fastest call")])
def test_the_low_end_of_an_interval_is_not_that_of_calls_which_were_held_up(
    share: float, of: str
) -> None:
    """One call of ten takes 100 times as long; under load nine of ten do."""
    machine = Machine(share=share)
    backend = Backend(machine, slow=10, call=1e-3 if share == 1.0 else 0.1)
    if share < 1.0:
        backend.slower = 0.01  # the one that nothing held up
    row = measured(machine, runner(backend), modes=["streaming"])[0]
    assert isinstance(row.energy, EstimatedEnergy) and of in row.energy.source
    assert row.throughput is not None and row.throughput.mean < 110.0
    power = load_device(GENERIC).figure("thermal_design_power")
    assert row.energy.low == pytest.approx(power.low * 1e-3)
    assert row.energy.high == pytest.approx(power.high / row.throughput.mean)


def test_rows_that_were_measured_under_load_say_so() -> None:
    machine = Machine(share=0.5)
    found = measured(machine, runner(Backend(machine), threads=1))
    for row in found:
        assert row.under_load == "it had the CPU for 50 % of the time of its calls"
        assert row.to_dict()["under_load"] == row.under_load
        assert row.busy_share == pytest.approx(0.5)
    assert "2 of 2 rows were measured under load" in found.summary()
    machine = Machine()
    quiet = measured(machine, runner(Backend(machine)))
    assert not any(row.under_load for row in quiet) and "under load" not in quiet.summary()


@pytest.mark.parametrize(("kind", "threads"), [("cuda", None), ("cpu", None)])
def test_who_waits_for_others_is_not_said_to_be_under_load(kind: Kind, threads: int | None) -> None:
    """A GPU, or an executor that has processes of its own: this one has little to do."""
    machine = Machine(share=0.1)
    for row in measured(machine, runner(Backend(machine), kind=kind, threads=threads)):
        assert row.busy_share is None and not row.under_load


def test_energy_may_be_left_out() -> None:
    machine = Machine()
    found = measured(machine, runner(Backend(machine)), counters=None, energy=False)
    assert {row.energy_note for row in found} == {"energy was not asked for"}


def test_a_backend_that_fails_leaves_the_others_alone() -> None:
    """A GPU that vanishes midway: what was measured before stays, and is marked."""
    machine = Machine()
    gone = Backend(machine, fails_at=0.2)
    found = measured(
        machine, [runner(gone, "gpu", kind="cuda"), runner(Backend(machine), "cpu")],
        modes=["streaming"],
    )  # fmt: skip
    gpu, cpu = found
    assert gpu.status == "failed" and gpu.reason == "RuntimeError: GPU is lost"
    assert gpu.throughput is not None and gpu.throughput.repeats < 3
    assert cpu.status == "measured" and cpu.throughput is not None
    assert cpu.throughput.repeats == 3 and gone.closed == 1 and not found.stopped
    assert "gpu, streaming: RuntimeError: GPU is lost" in found.summary()


def test_a_gpu_that_vanishes_while_its_energy_is_read() -> None:
    machine = Machine()
    gone = Backend(machine, fails_at=100.0, watts={"cuda": 100.0})
    counters = EnergyCounters(
        {"cpu": Meter(machine, "cpu"), "cuda": Meter(machine, "cuda", lost_at=100.0)}
    )
    found = measured(
        machine, [runner(gone, "gpu", kind="cuda"), runner(Backend(machine), "cpu")],
        modes=["streaming"], counters=counters,
    )  # fmt: skip
    gpu, cpu = found
    assert gpu.status == "failed" and gpu.throughput is not None
    assert isinstance(gpu.energy, EnergyReading) and gpu.energy.total.repeats < 5
    assert gpu.energy.quick
    assert cpu.status == "measured" and isinstance(cpu.energy, EnergyReading)
    assert cpu.energy.total.repeats == 5 and not cpu.energy.quick


def test_a_backend_that_cannot_be_opened_or_is_missing() -> None:
    machine = Machine()

    def broken() -> Any:
        raise ImportError("libcudart.so.12: cannot open shared object file")

    rows = measured(
        machine,
        [Runner("broken", "cuda", "", "b", "float32", None, 1, broken),
         missing_runner("absent", "cuda", "onnxruntime", "not installed: pip install it"),
         runner(Backend(machine), "fine")],
    )  # fmt: skip
    status = Counter((row.name, row.status) for row in rows)
    assert status == {
        ("broken", "failed"): 2, ("absent", "missing"): 1, ("fine", "measured"): 2,
    }  # fmt: skip
    assert rows[2].reason == "not installed: pip install it" and rows[2].tier is None
    assert rows[2].latency_p99 is None and rows[2].seconds_per_sample is None
    with pytest.raises(BackendMissingError, match="not installed"):
        missing_runner("absent", "cuda", "b", "not installed").outputs(samples())
    with pytest.raises(BackendMissingError, match="not installed"):
        missing_runner("absent", "cuda", "b", "not installed").open()


@pytest.mark.parametrize("at", [0.0, 0.015, 0.2, 60.0])
def test_interrupted_at_any_time(at: float) -> None:
    """Ctrl-C: no exception, the rows that there are, and what is not whole says so."""
    machine = Machine()
    backend = Backend(machine, fails_at=at, error=KeyboardInterrupt())
    found = measured(machine, runner(backend), kinds=["cpu"], modes=["streaming"])
    (row,) = found
    assert found.stopped == "interrupted" and backend.closed == 1
    assert row.status == "partial" and row.reason == "interrupted"
    assert (row.throughput is not None) == (at >= 0.2)
    assert isinstance(row.energy, EnergyReading) == (at >= 60.0)
    assert "ended early: interrupted" in found.summary()


@pytest.mark.parametrize("budget", [0.05, 0.5, 25.0, 45.0, 200.0])
def test_budget(budget: float) -> None:
    """It is kept, to a call, and what it was too short for is said."""
    machine = Machine()
    runners = [runner(Backend(machine), name) for name in "ab"]
    found = measured(machine, runners, kinds=["cpu"], modes=["streaming"], budget_seconds=budget)
    assert machine.time <= budget + 0.1
    assert found.stopped == f"the budget of {budget:g} s is used up"
    assert {row.status for row in found} == {"partial"}
    if budget >= 0.5:
        assert all("seconds" in row.energy_note or " s " in row.energy_note for row in found)
    if budget >= 200.0:
        energy = found[0].energy
        assert isinstance(energy, EnergyReading) and 1 <= energy.total.repeats < 5
        assert energy.quick


def test_a_budget_that_is_enough_says_nothing() -> None:
    machine = Machine()
    found = measured(
        machine, runner(Backend(machine)), kinds=["cpu"], modes=["streaming"], budget_seconds=1e4
    )
    assert not found.stopped and found[0].status == "measured" and not found[0].energy_note


def test_scores() -> None:
    """Answers of every backend are judged once, all of them, in pieces that fit."""
    machine, x, seen = Machine(), samples(5, 7), []

    def score(outputs: FloatArray) -> dict[str, float]:
        seen.append(outputs)
        return {"mean": float(outputs.mean())}

    found = measured(machine, [runner(Backend(machine), n) for n in "ab"], x=x, score=score)
    assert len(seen) == 2 and all(np.array_equal(one, x[:, :, :OUTPUTS]) for one in seen)
    assert {row.accuracy["mean"] for row in found} == {float(x[:, :, :OUTPUTS].mean())}


def test_answers_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lnn2loihi.measure.judging.MOST_NUMBERS", 3 * 7 * (INPUTS + OUTPUTS))
    machine, x, seen = Machine(), samples(8, 7), []
    backend = Backend(machine, most=3)

    def score(outputs: FloatArray) -> dict[str, float]:
        seen.append(outputs)
        return {}

    measured(machine, runner(backend), x=x, score=score, modes=["streaming"])
    assert np.array_equal(seen[0], x[:, :, :OUTPUTS])


def test_a_runner_answers() -> None:
    backend, x = Backend(Machine()), samples()
    assert np.array_equal(runner(backend).outputs(x), x[:, :, :OUTPUTS]) and backend.closed == 1


def test_progress() -> None:
    machine, seen = Machine(), []
    measured(
        machine, runner(Backend(machine)), kinds=["cpu"], modes=["streaming"],
        progress=lambda *now: seen.append(now),
    )  # fmt: skip
    phases = list(dict.fromkeys(phase for phase, _, _ in seen))
    assert phases == ["warm-up", "timing", "energy windows"]
    assert all(0 <= done <= total for _, done, total in seen)
    assert seen[-1] == ("energy windows", 5, 5)


def test_results_are_plain_data() -> None:
    machine = Machine()
    found = measured(machine, runner(Backend(machine), versions={"b": "1"}), kinds=["cpu"])
    again = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert again["rows"][0]["energy"]["tier"] == "MEASURED" and len(found) == 2
    assert again["rows"][0]["energy"]["domains"].keys() == {"cpu 0"}
    assert again["rows"][0]["conditions"]["clock_overhead"] == 0.0
    estimated = measured(machine, runner(Backend(machine)))
    assert json.loads(json.dumps(estimated.to_dict()))["rows"][0]["energy"]["tier"] == "ESTIMATED"


@pytest.mark.parametrize(
    ("options", "words"),
    [({"modes": ["stream"]}, "mode 'stream' does not exist"),
     ({"modes": []}, "nothing to measure"),
     ({"batches": [0]}, "a batch of 0"),
     ({"batches": [2.5]}, "a batch of 2.5"),
     ({"budget_seconds": 0.0}, "no time"),
     ({"budget_seconds": float("nan")}, "no time"),
     ({"x": np.zeros((2, 3))}, "expected \\(batch, time, inputs\\)"),
     ({"x": np.full((1, 1, INPUTS), np.nan)}, "NaN"),
     ({"timespans": np.ones((4, 7))}, "timespans: has shape")],
)  # fmt: skip
def test_what_makes_no_sense(options: dict[str, Any], words: str) -> None:
    machine = Machine()
    with pytest.raises(InputError, match=words):
        measured(machine, runner(Backend(machine)), **options)


# The stopwatch


def searched(backend: Backend, x: FloatArray, until: float = float("inf")) -> tuple[int, int]:
    """The best batch and the largest that was tried."""
    best, tried = best_batch(backend, Samples(x), OUTPUTS, backend.machine.clock, 0.01, until)
    return best, tried[-1][0]


def test_the_search_ends_where_nothing_grows() -> None:
    """Cost in proportion to the batch: batch 1 is best, and two more are tried."""
    machine = Machine()
    assert searched(Backend(machine, call=0.0, sequence=1e-3), samples()) == (1, 4)


def test_the_search_ends_where_memory_is_short() -> None:
    assert searched(Backend(Machine(), most=100), samples()) == (64, 64)


def test_the_search_ends_where_calls_are_too_large_or_too_slow() -> None:
    machine = Machine()
    _, largest = searched(Backend(machine), samples(1, 4096))
    assert largest * FEWEST_STEPS * (INPUTS + OUTPUTS) <= MOST_NUMBERS
    _, largest = searched(Backend(machine, call=3.0), samples())
    assert largest == 1
    assert searched(Backend(machine), samples(), until=machine.time)[1] == 1


def test_memory_that_is_short_for_one_is_a_failure() -> None:
    with pytest.raises(MemoryError):
        searched(Backend(Machine(), most=0), samples())


def test_other_errors_end_the_search_as_failures() -> None:
    backend = Backend(Machine(), fails_at=0.01)
    with pytest.raises(RuntimeError, match="lost"):
        searched(backend, samples())


@pytest.mark.parametrize(
    ("error", "memory"),
    [(MemoryError(), True), (RuntimeError("CUDA out of memory. Tried to allocate"), True),
     (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"), True), (RuntimeError("bad shape"), False),
     (type("OutOfMemoryError", (RuntimeError,), {})(""), True),
     (RuntimeError("[ONNXRuntimeError] : Failed to allocate memory for requested buffer"), True)],
)  # fmt: skip
def test_memory_errors(error: Exception, memory: bool) -> None:
    assert is_memory_error(error) == memory


@given(
    count=st.integers(1, 5), time=st.integers(1, 40), batch=st.integers(1, 64),
    outputs=st.integers(1, 8),
)  # fmt: skip
def test_batches_repeat_the_callers_sequences(
    count: int, time: int, batch: int, outputs: int
) -> None:
    x = np.arange(count * time * INPUTS, dtype=np.float64).reshape(count, time, INPUTS)
    spans = x[..., 0] + 0.5
    many = Samples(x, spans).of_batch(batch, outputs)
    assert many.timespans is not None
    assert many.x.shape == (batch, time, INPUTS) and many.timespans.shape == (batch, time)
    for place in range(batch):
        assert np.array_equal(many.x[place], x[place % count])
        assert np.array_equal(many.timespans[place], spans[place % count])


def test_long_sequences_are_cut() -> None:
    many = Samples(np.zeros((1, MOST_NUMBERS, 1))).of_batch(4, 1)
    assert many.x.shape == (4, MOST_NUMBERS // 8, 1)


def test_streams_go_through_all_samples_again_and_again() -> None:
    x = samples(3, 4)
    task = streaming_task(Backend(Machine()), Samples(x))
    seen = [next(task.inputs) for _ in range(24)]
    assert np.array_equal(seen, np.concatenate([x.reshape(-1, INPUTS)] * 2))
    assert task.samples == 1


def test_the_document_says_what_the_code_does() -> None:
    text = (Path(__file__).parent.parent / "docs" / "measuring.md").read_text()
    assert all(f"`{name}`" in text for name in AGAINST)
    assert f"at least {QUOTED_SECONDS['cpu']:g} s ({QUOTED_SECONDS['cuda']:g} s" in text
    assert f"{QUOTED_STEPS} steps" in text and f"{QUOTED_REPEATS} times" in text
    assert f"rounds ({FULL.rounds}; {QUICK.rounds} with" in text and ESTIMATED_LABEL in text
    assert f"gain less than {100 * (GAIN - 1):.0f} %" in text and MOST_NUMBERS == 1 << 21
    assert f"p99 only from {FEWEST_FOR_P99} calls on" in text and MOST_WATTS == 2000.0
