"""Turns the logs of the experiment into a calibrated profile, and says in words what they tell."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.cost.calibration import Calibration, calibrate_profile
from lnn2loihi.cost.estimate import check_chip
from lnn2loihi.cost.experiment.cases import BLOCK, Case, cases
from lnn2loihi.cost.experiment.growth import SHARE, TERM, Growth, growth_of
from lnn2loihi.cost.experiment.lines import ExperimentLog, Measured, read_experiment
from lnn2loihi.cost.experiment.powers import Powers, powers_of
from lnn2loihi.cost.experiment.soundness import contradictions
from lnn2loihi.cost.interval import Z95, Interval
from lnn2loihi.cost.logs import ProfilerLog
from lnn2loihi.devices import Device, load_device, with_prefix
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.printable import kind_of_value
from lnn2loihi.showing import Said, Shown, Table

#: Relative standard error of a value that the probes have measured.
RELATIVE_ERROR = 0.02
#: What cores draw power for: for being allocated while the mesh steps, or for what their neurons
#: do; or nobody can say. They are the two worlds that public data leave open.
CORES, UPDATES, UNKNOWN = "cores", "updates", "cannot be told apart"
#: Watts of an allocated core between both: regressions of one published sweep have 2.1 to 5.1 mW
#: where cores draw them, and at most 0.5 mW where activity does.
BETWEEN = 1e-3
#: Share of what cores draw that is most of it: below it for being there, they draw it for updates
#: too; and the other way round.
MOSTLY = 2.0 / 3.0
#: Cores by which a case may differ from its plan: the source may have one of its own.
_ONE = 1


@dataclass(frozen=True)
class ExperimentResult(Shown):
    """What `analyse_experiment` found.

    Attributes:
        device: the calibrated profile; its notes say what the model has no figure for.
        calibration: what moved, and how far each measured value is off before and after.
        static_power: watts of a chip that idles; None where no power was measured.
        shortest_step: seconds, with what the fit leaves open; None where the logs say too little.
        growth: seconds by which a step is longer on the most cores than on one; None where fewer
            than two allocations were measured.
        growth_cores: the most cores.
        growth_base: seconds of such a step on one core; 0 where that is not known.
        growth_seen: how a step grows where that is more than noise, and what was taken off the
            steps before the fit: a `term` for each further core, or a `share` of the step; empty
            where it is not seen to grow.
        powers: what silent cores draw; None where no silent case has time and power.
        world: `cores`, `updates` or `cannot be told apart`: for what allocated cores draw power.
        contradictions: what of the logs the model cannot say, a sentence each. Where powers do not
            fit, no figure is fitted to them but that of an idle chip; where steps do not, none to
            steps either.
        missing: cases that were not measured, or lack time or power.
        failed: cases that raised, with what was raised.
        remarks: what deserves a second look, a sentence each.
        board, generation, date: where and when.
    """

    device: Device
    calibration: Calibration
    static_power: Interval | None
    shortest_step: Interval | None
    growth: Interval | None
    growth_cores: int
    growth_base: float
    growth_seen: str
    powers: Powers | None
    world: str
    contradictions: tuple[str, ...]
    missing: tuple[str, ...]
    failed: Mapping[str, str]
    remarks: tuple[str, ...]
    board: str
    generation: str
    date: str

    @property
    def identified(self) -> tuple[str, ...]:
        """Figures of the profile that the logs determine."""
        return tuple(change.parameter for change in self.calibration.changes)

    def _headline(self) -> str:
        return f"{self.device.name!r}, board {self.board}, {self.date}, power by {self.world}"

    def _shown(self) -> list[Said]:
        """What the logs tell, in words, and what moved, as text."""
        changes = [
            (c.parameter, str(c.before), c.before.range_text, str(c.after), c.after.range_text)
            for c in self.calibration.changes
        ]
        headers = ("figure", "before", "range", "after", "range")
        lines: list[Said] = [
            f"{self.device.title}: board {self.board}, {self.generation or 'generation unknown'}, "
            f"{self.date}",
            "",
            *(f"- {sentence}" for sentence in self.sentences),
            "",
            Table(headers, changes) if changes else "no figure moved",
            "",
            f"not identified, left as they were: {', '.join(self.calibration.unchanged) or 'none'}",
        ]
        return [*lines, *(f"- {remark}" for remark in self.remarks)]

    @property
    def sentences(self) -> tuple[str, ...]:
        """The answers: what contradicts the model, if anything does; shortest step, idle chip,
        floor, and for what cores draw power."""
        wrong = (f"The log contradicts the model: {text}." for text in self.contradictions)
        return (*wrong, _step_words(self), _static_words(self), *_power_words(self))

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data for JSON."""
        plain = {name: value for name, value in vars(self).items()
                 if name not in ("device", "calibration", "powers")}  # fmt: skip
        for name in ("static_power", "shortest_step", "growth"):
            plain[name] = None if plain[name] is None else asdict(plain[name])
        return {
            **plain,
            "failed": dict(self.failed), "missing": list(self.missing),
            "contradictions": list(self.contradictions),
            "remarks": list(self.remarks), "sentences": list(self.sentences),
            "identified": list(self.identified),
            "powers": None if self.powers is None else asdict(self.powers),
            "calibration": self.calibration.to_dict(), "device": self.device.to_dict(),
        }  # fmt: skip


@checks_kinds()
def analyse_experiment(
    device: str | os.PathLike[str] | Device,
    logs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    cores: Mapping[str, int] | None = None,
    relative_error: float = RELATIVE_ERROR,
) -> ExperimentResult:
    """Turns what `measure.py` has logged on a board (`write_experiment`) into a calibrated profile.

    Args:
        device: name or file of the board's Loihi profile, or a Device.
        logs: a file of lines, or several of the same board.
        cores: for cases by name the cores that the compiler took, where their lines do not say.
        relative_error: relative standard error of a measured value.

    Raises:
        InputError: lists every line that is damaged, of the simulator, of another plan or another
            board, in another unit, or there twice; and the cases whose cores nobody has entered.
        DeviceError: the device is no Loihi, or lacks a figure.
    """
    found = load_device(device)
    check_chip(found)
    if not 0.0 < relative_error < 1.0:
        raise InputError("relative_error", f"is {relative_error:g}, expected a share below 1")
    paths = [logs] if isinstance(logs, (str, os.PathLike)) else list(logs)
    _check_paths(paths)
    log = read_experiment(paths, cores or {}, found)
    measured, chips = log.measured, found.count("chips")
    statics = [one.static_power for one in measured if one.static_power is not None]
    static = float(np.mean(statics)) if statics else None
    powers = None if static is None else powers_of(measured, static, relative_error, found)
    wrong_steps, wrong_powers = contradictions(measured, powers, relative_error)
    if powers is not None and (wrong_steps or wrong_powers):
        powers = replace(powers, floor_seen=False)
    floor = powers.floor.value if powers is not None and powers.floor_seen else 0.0
    records, weak = _records(measured, static, chips, floor, relative_error)
    # Powers are of steps: where those are wrong, nothing is fitted but an idle chip.
    left_out = {"total_power"} if wrong_powers or wrong_steps else set()
    left_out |= {"avg_time_per_step"} if wrong_steps else set()
    records = [kept for kept in (_without(record, left_out) for record in records) if kept.measured]
    if left_out and not records:
        raise InputError(
            "logs of the experiment",
            [f"they contradict the model: {text}" for text in (*wrong_steps, *wrong_powers)],
        )
    grown = growth_of(measured, relative_error)
    calibration, way = _fitted(found, records, measured, grown)
    figures = {change.parameter: change.after for change in calibration.changes}
    shortest = figures.get("time_per_step")
    result = ExperimentResult(
        device=calibration.device,
        calibration=calibration,
        static_power=_mean(statics, chips, relative_error),
        shortest_step=None if shortest is None else
        Interval(shortest.value, shortest.low, shortest.high, "s"),
        growth=None if grown is None else grown.interval,
        growth_cores=0 if grown is None else grown.cores,
        growth_base=0.0 if grown is None else grown.base,
        growth_seen=way,
        powers=powers,
        world=UNKNOWN if wrong_steps or wrong_powers else _world(powers),
        contradictions=(*wrong_steps, *wrong_powers),
        missing=_missing(measured),
        failed=log.failed,
        remarks=(),
        board=log.board, generation=log.generation, date=log.date,
    )  # fmt: skip
    notes = (*calibration.device.notes, *_notes(result))
    named = replace(
        calibration.device, notes=notes,
        source_file=f"{found.source_file}, the experiment on {log.board}, {log.date}",
    )  # fmt: skip
    remarks = (*_remarks(result, log, chips), *weak, *calibration.remarks)
    return replace(result, device=named, remarks=remarks)


def _check_paths(paths: Sequence[object]) -> None:
    problems = Problems(InputError, "logs")
    problems.extend(
        f"{kind_of_value(path)} is no path of a file"
        for path in paths
        if not isinstance(path, (str, os.PathLike))
    )
    problems.raise_if_any()


def _records(
    measured: Sequence[Measured], static: float | None, chips: int, floor: float, error: float
) -> tuple[list[ProfilerLog], list[str]]:
    """Records for `calibrate_profile`, of one chip: the others of a board idle, and are taken off;
    so is a floor, which the model has no figure for. And what is below the probe's resolution.
    """
    records, weak = [], []
    for one in measured:
        values: dict[str, float] = {}
        if one.step_time is not None:
            values["avg_time_per_step"] = one.step_time
        if one.total_power is not None and static is not None:
            values["static_total_power"] = idle = static / chips
            total = one.total_power - static + idle - floor
            if one.case.power and total > idle * (1.0 + error):
                values["total_power"] = total
            elif one.case.power:
                weak.append(
                    f"{one.case.name}: what it adds to an idle chip is below the probe's "
                    "resolution, and was left out"
                )
        records.append(ProfilerLog(one.case.name, one.case.workload(one.cores), values, error))
    return records, weak


def _without(record: ProfilerLog, names: set[str]) -> ProfilerLog:
    kept = {name: value for name, value in record.measured.items() if name not in names}
    return replace(record, measured=kept)


def _fitted(
    device: Device,
    records: Sequence[ProfilerLog],
    measured: Sequence[Measured],
    growth: Growth | None,
) -> tuple[Calibration, str]:
    """The profile, fitted to steps without their growth, where it is seen; and how they grow."""
    if growth is None or not growth.seen:
        return calibrate_profile(device, records), ""
    cores = {one.case.name: one.cores for one in measured}
    found: list[tuple[float, Calibration, str]] = []
    for way in (TERM, SHARE):
        grown, errors = [], {}
        for record in records:
            step = record.measured.get("avg_time_per_step")
            if step is not None:
                beyond, spread = growth.beyond(step, cores[record.name], way)
                record = replace(record, unmodelled_time=beyond, unmodelled_error=spread)
                errors[record.name] = float(np.hypot(record.relative_error * step, spread))
            grown.append(record)
        fitted = calibrate_profile(device, grown)
        off = [(r.after - r.measured) / errors[r.record]
               for r in fitted.residuals if r.quantity == "step time"]  # fmt: skip
        found.append((float(np.mean(np.square(off))), fitted, way))
    _, best, way = min(found, key=lambda one: one[0])
    return best, way


def _mean(values: Sequence[float], chips: int, error: float) -> Interval | None:
    """Mean of readings of one board, of each of its chips."""
    if not values:
        return None
    mean, margin = float(np.mean(values)) / chips, Z95 * error / len(values) ** 0.5
    return Interval(mean, mean * (1.0 - margin), mean * (1.0 + margin), "W")


def _world(powers: Powers | None) -> str:
    """The world that the power of a core and its share of what cores draw agree on."""
    if powers is None or powers.share is None or _is_open(powers.share):
        return UNKNOWN
    if powers.core.low > BETWEEN and powers.share.high > 1.0 - MOSTLY:
        return CORES
    if powers.core.high < BETWEEN and powers.share.high < MOSTLY:
        return UPDATES
    return UNKNOWN


def _is_open(share: Interval) -> bool:
    """Whether cores may draw power mostly for being there, and mostly for what they do."""
    return share.low < 1.0 - MOSTLY and share.high > MOSTLY


def _missing(measured: Sequence[Measured]) -> tuple[str, ...]:
    """Cases of the plan that have not all that they are to measure."""
    found = {one.case.name: one for one in measured}
    return tuple(case.name for case in cases() if not _is_whole(case, found.get(case.name)))


def _is_whole(case: Case, one: Measured | None) -> bool:
    return (
        one is not None
        and one.step_time is not None
        and (one.total_power is not None or not case.power)
    )


def _signed(value: Interval) -> str:
    """An interval whose ends may be below 0."""
    texts = [f"{'-' * (number < 0.0)}{with_prefix(abs(number), value.unit)}"
             for number in (value.value, value.low, value.high)]  # fmt: skip
    return f"{texts[0]} [{texts[1]} to {texts[2]}]"


def _step_words(r: ExperimentResult) -> str:
    t0 = "not identified" if r.shortest_step is None else str(r.shortest_step)
    if r.growth is None:
        return f"Shortest step: {t0}; whether it grows with cores was not measured."
    longer = f"from one core to {r.growth_cores} by {_signed(r.growth)}"
    if r.growth_seen:
        each = with_prefix(r.growth.value / (r.growth_cores - 1), "s")
        how = f"{each} for each further core" if r.growth_seen == TERM else "longer steps by more"
        return (
            f"Shortest step: {t0}, on one core. It grows with cores, {longer} ({how}); this was "
            "taken off before times were fitted."
        )
    return f"Shortest step: {t0}. It is not seen to grow with cores: {longer}."


def _static_words(r: ExperimentResult) -> str:
    if r.static_power is None:
        return "Static power: not measured (run measure.py --measure energy)."
    return f"Static power: a chip that idles draws {r.static_power}."


def _power_words(r: ExperimentResult) -> tuple[str, ...]:
    if r.powers is None:
        return ("Floor, cores and updates: no silent case has both time and power.",)
    powers = r.powers
    floor = f"{_signed(powers.floor)} above the static power, with no core counted"
    seen = "there is one" if powers.floor_seen else "none is seen"
    seen = "not to be concluded from such a log" if r.contradictions else seen
    updates = ", ".join(f"{kind} {_signed(each)}" for kind, each in powers.updates.items())
    words = [f"Floor: {seen}: {floor}.",
             f"An allocated core: {_signed(powers.core)}; an update: {updates}."]  # fmt: skip
    meaning = {
        CORES: "World (i): cores draw power for being allocated, so fewer cores cost less energy",
        UPDATES: "World (ii): cores draw power for what their neurons do, and next to none for "
        "being allocated, so the number of cores costs no energy",
        UNKNOWN: f"Worlds (i) and (ii) cannot be told apart: {_why_open(r)}",
    }[r.world]
    if powers.share is None or r.contradictions:
        return (*words, f"{meaning}.")
    share = f"{powers.share.low:.0%} to {powers.share.high:.0%}"
    share = share if r.world == UNKNOWN else f"{powers.share.value:.0%} [{share}]"
    return (*words, f"{meaning} (of what {powers.cores} cores of {BLOCK} silent neurons draw, "
            f"{share} is for being allocated).")  # fmt: skip


def _why_open(r: ExperimentResult) -> str:
    assert r.powers is not None
    if r.contradictions:
        return "the log contradicts the model"
    if r.powers.core.low <= BETWEEN <= r.powers.core.high:
        return f"the interval of an allocated core holds {with_prefix(BETWEEN, 'W')}"
    return "the share of what cores draw for being there leaves both open"


def _notes(r: ExperimentResult) -> list[str]:
    """What the profile has no figure for, as estimates print it."""
    found = [f"The experiment on {r.board} contradicts the model: {text}."
             for text in r.contradictions]  # fmt: skip
    if r.growth_seen and r.growth is not None:
        each = with_prefix(r.growth.value / (r.growth_cores - 1), "s")
        found.append(
            f"The experiment on {r.board} found that a step grows with cores, from one core to "
            f"{r.growth_cores} by {_signed(r.growth)}"
            f"{f', {each} for each further core' if r.growth_seen == TERM else ''}. No figure "
            "holds it, and times are fitted to steps without it: "
            + (
                "add it to each step."
                if r.growth_seen == TERM
                else f"steps are longer by that share of {with_prefix(r.growth_base, 's')}."
            )
        )
    if r.powers is not None and r.powers.floor_seen:
        found.append(
            f"The experiment on {r.board} found a floor of {_signed(r.powers.floor)} while the "
            "mesh steps, above the static power. No figure holds it: add it to what is estimated."
        )
    return found


def _remarks(r: ExperimentResult, log: ExperimentLog, chips: int) -> list[str]:
    found = [f"{name} failed: {error:.200}" for name, error in r.failed.items()]
    padded = [case.name for case in cases() if case.is_padded]
    missing = [name for name in r.missing if name not in padded]
    if missing:
        found.append(f"not measured, or not whole: {', '.join(missing)}")
    if set(padded) & set(r.missing):
        found.append(
            "without the padded neurons, time and energy of one instruction cannot be told from "
            "those of an update: instructions of Lava's own neurons are not public, and are taken "
            "to be those of this project's listings"
        )
    found += [
        f"{one.case.name}: the compiler took {one.cores} core{'s' * (one.cores != 1)}, not "
        f"{one.case.cores} as planned; what the busiest of them does is taken from the plan, or is "
        "the mean where that is more"
        for one in log.measured
        if abs(one.cores - one.case.cores) > _ONE
    ]
    if chips > 1:
        found.append(f"power is that of a board of {chips} chips, {chips - 1} of which idle: they "
                     "are taken off, each with the same static power")  # fmt: skip
    if "energy_per_message" in r.identified:
        found.append(
            "where blocks lie on the mesh is not known: hops are the mean of places drawn at "
            "random, and the energy of a message holds what that leaves"
        )
    if "time_per_link_message" in r.calibration.unchanged:
        found.append(
            "a link shows only where it takes longer than the cores at its ends: it did not, or "
            "the logs say too little"
        )
    return found
