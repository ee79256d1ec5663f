"""Measures backends side by side: what they answer first, then time, then energy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lnn2loihi.arrays import as_array
from lnn2loihi.devices import Device
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.measure.clock import Budget, Clock
from lnn2loihi.measure.conditions import between, read_conditions, read_snapshot
from lnn2loihi.measure.estimated import unused_profiles
from lnn2loihi.measure.judging import Score, judge
from lnn2loihi.measure.meter import EnergyCounters
from lnn2loihi.measure.meters import find_counters
from lnn2loihi.measure.results import Measurements
from lnn2loihi.measure.runner import Runner, Session
from lnn2loihi.measure.settings import FULL, QUICK, Settings
from lnn2loihi.measure.stopwatch import (
    LARGEST_BATCH,
    Samples,
    Task,
    batch_task,
    best_batch,
    sequence_task,
    streaming_task,
    timed_calls,
)
from lnn2loihi.measure.trial import Trial
from lnn2loihi.measure.windows import Repeat, Window, active_window, idle_window
from lnn2loihi.sequences import sequences
from lnn2loihi.showing.bars import OnPhase

MODES = ("streaming", "sequence", "batch")
#: Shares of what is left of a budget: for warming up and finding batches, and for timing.
_PREPARING, _TIMING = 0.3, 0.5


def measure(
    runners: Runner | Sequence[Runner],
    x: npt.ArrayLike,
    *,
    timespans: npt.ArrayLike | None = None,
    modes: Iterable[str] = MODES,
    batches: Sequence[int] | None = None,
    energy: bool = True,
    quick: bool = False,
    settings: Settings | None = None,
    budget_seconds: float | None = None,
    score: Score | None = None,
    profiles: Sequence[Device] = (),
    progress: OnPhase | None = None,
    counters: EnergyCounters | None = None,
    clock: Clock | None = None,
    root: Path = Path("/"),
) -> Measurements:
    """Latency, throughput and energy of backends, which take turns so that noise is shared.

    A backend that fails is marked so, with what was measured before; the others go on. Ctrl-C and
    the end of the budget leave what there is, marked as partial.

    Args:
        runners: who is measured; see `runners`.
        x: samples, float (batch, time, inputs): sequences as the network will meet them.
        timespans: elapsed times (batch, time), where time is irregular.
        modes: `streaming` (batch 1, one call a step, the state carried), `sequence` (batch 1, the
            loop over the steps compiled; of backends that have one) and `batch`.
        batches: batches to measure, a row each; the one of highest throughput by default.
        energy: whether to read energy counters where there are any.
        quick: shorter windows and fewer repeats, for a look; energies are marked so.
        settings: lengths and counts, in place of those that `quick` chooses.
        budget_seconds: time for all of it. What has begun is finished (a call, an energy window);
            nothing new begins.
        score: judges the answers of each backend to x, for its row.
        profiles: of this CPU and GPU, for an estimated interval where there is no reading; the
            shipped one that fits by default, or that of any CPU thread. One of another device is
            used nowhere, and the result says so.
        progress: called with the phase, what is done of it and what there is.
        counters: the energy counters; found by default.
        clock: the time; tests give their own.
        root: root of the file system that conditions are read from.

    Raises:
        InputError: x, the modes, the batches or the budget make no sense.
    """
    chosen = settings or (QUICK if quick else FULL)
    everyone = [runners] if isinstance(runners, Runner) else list(runners)
    samples = _checked(x, timespans)
    trials = _trials(everyone, tuple(modes), batches, budget_seconds)
    ticking = clock or Clock()
    if counters is None:
        counters = find_counters() if energy else EnergyCounters({})
    machine, before = read_conditions(root), read_snapshot(root, ticking.worked)
    rounds = _Rounds(
        trials=trials,
        samples=samples,
        settings=chosen,
        counters=counters,
        clock=ticking,
        budget=Budget(ticking, budget_seconds),
        progress=progress or (lambda phase, done, total: None),
        score=score,
    )
    stopped = rounds.run()
    machine = between(machine, before, read_snapshot(root, ticking.worked), ticking.overhead())
    rows = [trial.row(chosen, counters, profiles, machine) for trial in trials]
    return Measurements(tuple(rows), stopped, unused_profiles(profiles, everyone, rows))


def _checked(x: npt.ArrayLike, timespans: npt.ArrayLike | None) -> Samples:
    array = as_array(x, "measure", "x")
    channels = array.shape[-1] if array.ndim else 0
    irregular = timespans is not None
    data = sequences(array, channels, "measure", timespans=timespans, irregular=irregular)
    return Samples(data.x.astype(np.float64), data.timespans)


def _trials(
    runners: Sequence[Runner],
    modes: Sequence[str],
    batches: Sequence[int] | None,
    budget_seconds: float | None,
) -> list[Trial]:
    """One for each backend, mode and batch, in the order of the backends."""
    problems = Problems(InputError, "measure")
    problems.extend(
        f"mode {mode!r} does not exist; there are {', '.join(MODES)}"
        for mode in modes
        if mode not in MODES
    )
    problems.extend(
        f"a batch of {batch!r} cannot be run; give whole numbers from 1 to {LARGEST_BATCH}"
        for batch in batches or ()
        if not (isinstance(batch, int) and 1 <= batch <= LARGEST_BATCH)
    )
    if not runners or not modes or batches == ():
        problems.add("there is nothing to measure: give runners and modes")
    if budget_seconds is not None and not budget_seconds > 0:
        problems.add(f"a budget of {budget_seconds} s is no time; give more, or none")
    problems.raise_if_any()
    made: list[Trial] = []
    for runner in runners:
        if runner.missing:
            made.append(Trial(runner, "streaming" if "streaming" in modes else "batch", 1))
            continue
        if "streaming" in modes and runner.streams:
            made.append(Trial(runner, "streaming", 1))
        if "sequence" in modes and runner.sequences:
            made.append(Trial(runner, "sequence", 1))
        if "batch" in modes and runner.batches:
            made += [Trial(runner, "batch", batch) for batch in batches or (None,)]
    return made


@dataclass
class _Rounds:
    """A session: the phases one after the other, all backends in each."""

    trials: list[Trial]
    samples: Samples
    settings: Settings
    counters: EnergyCounters
    clock: Clock
    budget: Budget
    progress: OnPhase
    score: Score | None
    _opened: list[Session] = field(default_factory=list)
    _cut: bool = False

    def run(self) -> str:
        """Fills the trials; returns why it ended early, or nothing."""
        stopped = ""
        try:
            for phase in (self._open, self._judge, self._prepare, self._time, self._read_energy):
                phase()
            if self._cut:
                stopped = f"the budget of {self.budget.seconds:g} s is used up"
        except KeyboardInterrupt:
            stopped = "interrupted"
        finally:
            for session in self._opened:
                with suppress(Exception):  # one that has failed may fail again
                    session.close()
        if stopped:
            self._mark(stopped)
        return stopped

    def _mark(self, stopped: str) -> None:
        """Trials that lack something are partial."""
        for trial in self.trials:
            timed = len(trial.rounds) == self.settings.rounds
            metered = self.counters.charged(trial.runner.kind)
            if not timed or (metered and len(trial.repeats) < self.settings.repeats):
                trial.unfinished = stopped

    @property
    def _alive(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.session is not None and not trial.failure]

    @property
    def _deadline(self) -> float:
        """Time of the clock at which the budget is used up."""
        return self.clock.now() + self.budget.left

    def _by_runner(self) -> Iterator[list[Trial]]:
        """The trials of one backend after the other."""
        for runner in dict.fromkeys(map(id, (trial.runner for trial in self.trials))):
            yield [trial for trial in self.trials if id(trial.runner) == runner]

    def _open(self) -> None:
        """Makes every backend ready, once for all its modes."""
        for own in self._by_runner():
            if own[0].runner.missing:
                continue
            try:
                session = own[0].runner.open()
            except Exception as error:  # a backend may fail in any way; the others go on
                for trial in own:
                    trial.fail(error)
                continue
            self._opened.append(session)
            for trial in own:
                trial.session = session

    def _judge(self) -> None:
        """Nobody is timed whose answers are not what they should be."""
        for own in self._by_runner():
            if own[0].session is None:
                continue
            if self._over():
                return
            judge(own[0].session, own, self.samples, self.score)

    def _prepare(self) -> None:
        """Finds batches, and warms up."""
        waiting = self._alive
        for done, trial in enumerate(waiting):
            self.progress("warm-up", done, len(waiting))
            if self._over():
                return
            share = self.budget.left * _PREPARING / (len(waiting) - done)
            with _guarded(trial):
                self._prepare_one(trial, self.clock.now() + share)
        self.progress("warm-up", len(waiting), len(waiting))

    def _prepare_one(self, trial: Trial, until: float) -> None:
        session, outputs, settings = trial.session, trial.runner.output_size, self.settings
        assert session is not None
        session.activate()
        if trial.mode == "streaming":
            trial.task = streaming_task(session, self.samples)
        elif trial.mode == "sequence":
            trial.task = sequence_task(session, self.samples, outputs, self.clock, until)
        else:
            if trial.batch is None:
                trial.batch, trial.search = best_batch(
                    session, self.samples, outputs, self.clock, settings.search, until
                )
            trial.task = batch_task(session, self.samples, trial.batch, outputs)
        trial.steps = trial.task.steps
        timed_calls(trial.task, self.clock, settings.warm_up, 2, until)

    def _time(self) -> None:
        """Interleaved rounds: every backend has a slice of each, in changing order."""
        rounds = self.settings.rounds
        for number in range(rounds):
            self.progress("timing", number, rounds)
            waiting = _rotated([trial for trial in self._alive if trial.task], number)
            for place, trial in enumerate(waiting):
                if self._over():
                    return
                left = len(waiting) * (rounds - number) - place
                seconds = min(self.settings.slice, self.budget.left * _TIMING / left)
                fewest = -(-self.settings.calls // rounds) if trial.mode == "streaming" else 3
                with _guarded(trial) as (session, task):
                    session.activate()
                    begin, worked = self.clock.now(), self.clock.worked()
                    laps = timed_calls(task, self.clock, seconds, fewest, self._deadline)
                    trial.worked += self.clock.worked() - worked
                    trial.timed += self.clock.now() - begin
                    trial.rounds.append(laps)
        self.progress("timing", rounds, rounds)

    def _read_energy(self) -> None:
        """Active windows of all backends, with an idle one between any two, again and again."""
        metered = [t for t in self._alive if t.rounds and self.counters.charged(t.runner.kind)]
        if not metered:
            return
        windows = [trial.window(self.settings) for trial in metered]
        seconds = 2.0 * sum(windows) + max(windows)
        wanted = self.settings.repeats
        repeats = wanted if self.budget.seconds is None else int(self.budget.left // seconds)
        if repeats < wanted:
            self._cut = True
            for trial in metered:
                trial.energy_note = (
                    f"the budget had {self.budget.left:.0f} s left for energy windows, enough for "
                    f"{max(repeats, 0)} of {wanted} repeats of {seconds:.0f} s each"
                )
        orders = (_rotated(metered, number) for number in range(min(max(repeats, 0), wanted)))
        self._energy_windows([trial for order in orders for trial in order], len(metered))
        self.progress("energy windows", wanted, wanted)

    def _energy_windows(self, order: list[Trial], backends: int) -> None:
        """An idle window, and for each trial in turn an active one and an idle one."""
        if not order:
            return
        before = idle_window(self.counters, self.clock, order[0].window(self.settings))
        following = [*order[1:], order[-1]]
        for place, (trial, after_it) in enumerate(zip(order, following, strict=True)):
            self.progress("energy windows", place // backends, self.settings.repeats)
            if trial.task is None:
                continue
            active: Window | None = None
            with _guarded(trial) as (session, task):
                session.activate()
                active = active_window(
                    self.counters,
                    self.clock,
                    task.function,
                    task.inputs,
                    seconds=self.settings.windows[trial.runner.kind],
                    fewest_calls=-(-self.settings.steps // task.steps),
                    seconds_per_call=trial.seconds_per_call,
                )
            longer = max(trial.window(self.settings), after_it.window(self.settings))
            after = idle_window(self.counters, self.clock, longer)
            if active is not None:
                trial.repeats.append(Repeat(before, active, after))
            before = after

    def _over(self) -> bool:
        self._cut |= self.budget.over
        return self._cut


@contextmanager
def _guarded(trial: Trial) -> Iterator[tuple[Session, Task]]:
    """Whatever a backend raises is noted in its trial, and does not reach the others."""
    session, task = trial.session, trial.task
    try:
        assert session is not None
        yield session, task  # pyright: ignore[reportReturnType]
    except Exception as error:
        trial.fail(error)


def _rotated(trials: list[Trial], places: int) -> list[Trial]:
    """The trials in an order that begins elsewhere, so that none is always first."""
    first = places % len(trials) if trials else 0
    return trials[first:] + trials[:first]
