"""Profiles a program: places it, estimates it, and measures what it is compared with."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.artifact import fingerprint
from lnn2loihi.comparison import check_pair
from lnn2loihi.conversion import import_network
from lnn2loihi.cost.board_log import BoardLog
from lnn2loihi.cost.model import NO_IO
from lnn2loihi.defaults import AUTO, DEFAULT_DEVICES, DEFAULT_TARGET, FAST, IO, PACKED, PLACEMENTS
from lnn2loihi.devices import (
    MICROCONTROLLER,
    Device,
    device_tables,
    known_devices,
    load_device,
)
from lnn2loihi.errors import DeviceError, Problems
from lnn2loihi.kinds import Count, OneOf, Rate, Seconds
from lnn2loihi.measure import Measurements, Runner, measure, runners
from lnn2loihi.measure.estimated import unused_profiles
from lnn2loihi.metrics import NeuroBenchMetrics, network_metrics, program_metrics
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.neurons.stock import are_stock
from lnn2loihi.profiling.accuracy import Judge, judge_for, judged
from lnn2loihi.profiling.board import board_rows
from lnn2loihi.profiling.chips import ChipAnswer, profile_chip
from lnn2loihi.profiling.circumstances import circumstances
from lnn2loihi.profiling.contest import Contest
from lnn2loihi.profiling.frontier import Frontier
from lnn2loihi.profiling.measured import measured_rows, row_provenance
from lnn2loihi.profiling.microcontrollers import known_controllers, microcontroller_rows
from lnn2loihi.profiling.passes import masked_start
from lnn2loihi.profiling.request import ChipRequest
from lnn2loihi.profiling.result import ENDED_EARLY, ProfileResult, Subject
from lnn2loihi.profiling.rows import ProfileRow
from lnn2loihi.profiling.sides import Side, Way, sides_of
from lnn2loihi.program import LoihiProgram
from lnn2loihi.sequences import Sequences
from lnn2loihi.showing.bars import OnPhase, progress_or_bars
from lnn2loihi.simulation import simulate
from lnn2loihi.simulation.inputs import decoded, given
from lnn2loihi.simulation.result import SimulationResult
from lnn2loihi.targets import Target, target_of
from lnn2loihi.targets.beside import names_of, not_proved

#: Fields of a request that the result tells again.
_TOLD = ("rate", "io", "placement", "closed_loop", "copies")
#: One device or several: names of profiles, files, or Device objects.
Devices = str | os.PathLike[str] | Device | Sequence[str | os.PathLike[str] | Device]
Budget = Annotated[Seconds, "seconds for the measurements, from 1e-12 to 1e12"]


@checks_kinds()
def profile(
    program: LoihiProgram,
    x: npt.ArrayLike,
    devices: Devices = DEFAULT_DEVICES,
    against: Sequence[str] | str = ("cpu", "cuda"),
    rate: Rate | None = None,
    *,
    target: str | Target = DEFAULT_TARGET,
    beside: Sequence[str] | str = (),
    network: LiquidNetwork | None = None,
    module: Any = None,
    lengths: npt.ArrayLike | None = None,
    timespans: npt.ArrayLike | None = None,
    encoded: bool = False,
    targets: npt.ArrayLike | None = None,
    metric: str | None = None,
    placement: Annotated[str, OneOf(PLACEMENTS)] = AUTO,
    closed_loop: bool = False,
    io: Annotated[str, OneOf(IO)] = NO_IO,
    copies: Count = 1,
    passes: Count = 1,
    frontier: bool = True,
    quick: bool = False,
    allow_estimated: bool = False,
    count_instructions: bool = False,
    batches: Sequence[Count] | None = None,
    budget_seconds: Budget | None = None,
    board_log: BoardLog | None = None,
    command: str = "",
    progress: OnPhase | Literal[False] | None = None,
) -> ProfileResult:
    """Says what a program costs on Loihi devices, against what is measured on this machine.

    The program is placed on each device and estimated from the exact counters of a simulation of
    `x`; backends are measured on the same samples. What fails is marked in its row.

    Args:
        program: the integers.
        x: (batch, time, inputs), or a list of sequences (time, inputs), as the network meets them.
        devices: names of hardware profiles, or files, or Device objects. The program is placed on
            those whose kind has rules, such as a Loihi; micro-controllers are estimated, and the
            cheapest known one too; that of a CPU or GPU bounds the energy of what is measured.
            The default micro-controller, or Loihi beside those alone, joins where none is named.
        against: what is measured here, see `lnn2loihi.measure.runners`; () or "none" for nothing.
        rate: samples per second of each copy that the task asks for; None for full speed alone.
        target: what it is prepared for, to be placed; what is measured here runs it as it is.
        beside: names of targets to stand beside it on the first device, or `all` for every one.
        placement: `packed` (fewest cores), `fast` (least energy x time), or `auto`, by the rate.
        closed_loop: whether the next sample waits for the answer to this one: nothing is pipelined.
        io: where samples come from, as for `estimate`.
        copies: independent copies that share a device; figures are of a sample of one copy.
        network: the float network, for onnxruntime, PyTorch, agreement and NeuroBench's metrics.
        module: the live PyTorch module, in place of the network.
        passes: of Monte-Carlo dropout, of an answer; rows are of one, `rate` is that of answers.
        lengths: samples of each sequence, (batch,). Only what is measured runs on whole arrays.
        timespans: elapsed times (batch, time), where time is irregular.
        encoded: whether x (and timespans) holds encoded messages, as for `simulate`.
        targets: what answers should be: numbers (batch, time, outputs), classes (batch[, time]).
        metric: "mse" or "accuracy"; found from the targets where absent.
        frontier: whether to find where the chip wins, which takes a second or two.
        quick: shorter measurements, for a look; marked so.
        allow_estimated: whether ESTIMATED energies (bounds from data sheets) take part in ratios.
        count_instructions: whether an emulator counts instructions for micro-controllers; seconds.
        batches: batches to measure; the best one by default.
        budget_seconds: time for the measurements.
        board_log: what a board has measured, for one of these targets; see `read_board_log`.
        command: what makes this profile again; part of its provenance.
        progress: called with phase, what is done and what there is; None for bars, False for none.

    Raises:
        DeviceError: lists devices that are unknown; or none of them is a Loihi.
        RateError: no device can meet the rate: what a sample needs, which term takes longest.
        InputError: an argument makes no sense, or the network is not that of the program.
        TargetError: the target cannot prepare the program.
        BackendMissingError: a backend that was demanded by name is not there.
    """
    aim, how = target_of(target), (placement, closed_loop, copies)
    others, prepared = _others(aim, beside), aim.prepare(program)
    board = board_rows(board_log, program, (aim, *others))
    chips, controllers, processors = _devices(devices)
    asked = given(program, x, lengths, timespans, encoded)
    data = decoded(program, asked).floats(f"program {program.name!r}")
    network = _network(program, network, module)
    backends = runners(program, network, module, names) if (names := _names(against)) else []
    run, problems = _simulated(program, prepared, aim, asked, encoded, passes)
    judge = judge_for(run.outputs.shape, data, targets, metric, network)
    accuracy = None if judge is None else judged(judge(run.outputs))
    request = ChipRequest(prepared, aim, run.counters, rate and rate * passes, io, accuracy, *how)
    told = {"quick": quick, "batches": batches, "score": judge, "budget_seconds": budget_seconds}
    with progress_or_bars(progress) as on_phase:
        answers = _estimated(chips, request, on_phase)
        measured = _measured(backends, data, processors, progress=on_phase, **told)
    rows = [row for answer in answers for row in answer.rows] + board
    rows += _processor_rows(program, request, controllers, processors, measured, count_instructions)
    data_of_sides, wins = (asked, data, judge, encoded), allow_estimated if frontier else None
    return ProfileResult(
        subject=_subject(program, request, run, data),
        metrics=_metrics(prepared, run, network, data, request.rate),
        problems=(*problems, *_ended(measured)),
        sides=_sides(program, (aim, *others), chips[0], request, answers[0], *data_of_sides),
        frontier=_frontier(program, request, (chips, controllers), answers, rows, wins),
        **_tables(rows, answers, (*chips, *controllers)), **circumstances(measured, data),
        **{name: getattr(request, name) for name in _TOLD},
        quick=quick, allow_estimated=allow_estimated, command=command, passes=passes,
    )  # fmt: skip


def _frontier(
    program: LoihiProgram,
    request: ChipRequest,
    devices: tuple[Sequence[Device], Sequence[Device]],
    answers: Sequence[ChipAnswer],
    rows: Sequence[ProfileRow],
    allow_estimated: bool | None,
) -> Frontier | None:
    """Where the first chip that the program has been placed on wins, if that is asked.

    Args:
        program: the program as it is.
        request: what is asked of the chips.
        devices: chips, and micro-controllers.
        answers: what became of each chip.
        rows: of the table.
        allow_estimated: whether ESTIMATED energies may win; None where nobody asks.
    """
    chips, controllers = devices
    placed = [device for device, one in zip(chips, answers, strict=True) if one.chips]
    if allow_estimated is None or not placed:
        return None
    return Contest(program, request, placed[0], controllers, rows, allow_estimated).frontier()


def _processor_rows(
    program: LoihiProgram,
    request: ChipRequest,
    controllers: Sequence[Device],
    processors: Sequence[Device],
    measured: Measurements,
    count_instructions: bool,
) -> list[ProfileRow]:
    """Rows of micro-controllers, CPUs and GPUs: they run the program as it is."""
    accuracy = request.accuracy if request.target.exact else None
    rows = microcontroller_rows(
        program, controllers, request.rate, request.copies, accuracy,
        known=known_controllers(), count_instructions=count_instructions,
    )  # fmt: skip
    profiles = {one.name: one for one in processors}
    return rows + measured_rows(measured, request.rate, profiles, request.copies)


def _tables(
    rows: Sequence[ProfileRow], answers: Sequence[ChipAnswer], devices: Sequence[Device]
) -> dict[str, Any]:
    """The rows, what was placed where, where the numbers come from, and notes on devices of the
    table.
    """
    there = {row.device for row in rows}
    named = {one.name: one for one in (*known_controllers(), *devices)}.values()
    return {
        "rows": tuple(rows),
        "chips": tuple(chip for answer in answers for chip in answer.chips),
        "provenance": (*row_provenance(rows), *(e for one in answers for e in one.provenance)),
        "notes": {one.title: tuple(one.notes) for one in named if one.notes and one.name in there},
    }


def _others(target: Target, beside: Sequence[str] | str) -> list[Target]:
    """The targets that stand beside one, each once."""
    found = [target_of(name, "beside") for name in names_of(_names(beside))]
    return [other for other in found if other.name != target.name]


def _sides(
    program: LoihiProgram,
    targets: Sequence[Target],
    device: Device,
    request: ChipRequest,
    first: ChipAnswer,
    given: Sequences,
    data: Sequences,
    judge: Judge | None,
    encoded: bool,
) -> tuple[Side, ...]:
    """Targets side by side, where there are several, or one that only approximates."""
    if len(targets) < 2 and targets[0].exact:
        return ()
    options: dict[str, Any] = {
        "lengths": given.given_lengths, "timespans": given.timespans, "encoded": encoded
    }  # fmt: skip

    def run(one: LoihiProgram) -> SimulationResult:
        return simulate(one, given.x, **options)

    how = Way(device, _objective(request, first), request.closed_loop, request.io)
    return sides_of(program, targets, how, run, data, judge)


def _objective(request: ChipRequest, first: ChipAnswer) -> str:
    """How targets are placed side by side: as was asked for, or as the rate chose."""
    if request.placement != AUTO:
        return request.placement
    packed = request.rate is not None and any(one.objective == PACKED for one in first.chips)
    return PACKED if packed else FAST


def _network(
    program: LoihiProgram, network: LiquidNetwork | None, module: Any
) -> LiquidNetwork | None:
    """The float network, of a module where there is one; it is the one that was quantized."""
    if module is not None and network is None:
        network = import_network(module)
    if network is not None:
        check_pair(network, program)
    return network


def _simulated(
    program: LoihiProgram,
    prepared: LoihiProgram,
    target: Target,
    data: Sequences,
    encoded: bool,
    passes: int,
) -> tuple[SimulationResult, tuple[str, ...]]:
    """The run of the prepared program, of several passes with masks, and what is wrong with it:
    where the target is exact, it answers as its source does.
    """
    options: dict[str, Any] = {
        "lengths": data.given_lengths, "timespans": data.timespans, "encoded": encoded,
        "initial_state": masked_start(prepared, len(data.x), passes),
    }  # fmt: skip
    run = simulate(prepared, data.x, **options)
    if prepared is program or not target.exact:
        return run, ()
    wrong = np.count_nonzero(run.integers != simulate(program, data.x, **options).integers)
    problem = (
        f"what the target {target.name} has prepared answers otherwise than the program: {wrong:,} "
        f"of {run.integers.size:,} values differ; verify with this target says where"
    )
    return run, (problem,) * bool(wrong)


def _measured(
    backends: Sequence[Runner], data: Sequences, processors: Sequence[Device], **options: Any
) -> Measurements:
    """What is measured here; nothing where there is nobody."""
    if not backends:
        return Measurements((), unused=unused_profiles(processors, (), ()))
    return measure(backends, data.x, timespans=data.timespans, profiles=processors, **options)


def _ended(measured: Measurements) -> tuple[str, ...]:
    return (f"{ENDED_EARLY}{measured.stopped}",) if measured.stopped else ()


def _estimated(
    chips: Sequence[Device], request: ChipRequest, progress: OnPhase | None
) -> list[ChipAnswer]:
    """What becomes of each device.

    Raises:
        RateError: none of those that hold the program meets the rate.
    """
    report = progress or (lambda phase, done, total: None)
    answers: list[ChipAnswer] = []
    for place, device in enumerate(chips):
        report("placing and estimating", place, len(chips))
        answers.append(profile_chip(device, request))
    report("placing and estimating", len(chips), len(chips))
    too_slow = [answer.too_slow for answer in answers if answer.too_slow is not None]
    if too_slow and len(too_slow) == sum(bool(answer.chips) for answer in answers):
        raise too_slow[0]
    return answers


def _names(against: Sequence[str] | str) -> tuple[str, ...]:
    if against == "none":
        return ()
    if isinstance(against, str):
        return tuple(name.strip() for name in against.split(",") if name.strip())
    return tuple(against)


def _devices(devices: Devices) -> tuple[list[Device], list[Device], list[Device]]:
    """Those that the program is placed on, micro-controllers, and the others."""
    listed = [devices] if isinstance(devices, (str, os.PathLike, Device)) else list(devices)
    problems = Problems(DeviceError, "devices")
    found: list[Device] = []
    for wanted in listed:
        try:
            found.append(load_device(wanted))
        except DeviceError as error:
            problems.extend(f"{error.subject}: {problem}" for problem in error.problems)
    problems.raise_if_any()
    placeable = device_tables().placeable
    chips = [device for device in found if placeable(device.kind)]
    others = [device for device in found if not placeable(device.kind)]
    controllers = [device for device in others if device.kind == MICROCONTROLLER.name]
    loihi, beside = map(load_device, DEFAULT_DEVICES)
    if controllers and not chips:
        chips = [loihi]
    if not chips:
        known = ", ".join(device.name for _, device in known_devices() if placeable(device.kind))
        raise DeviceError("devices", f"give at least one Loihi to place the program on: {known}")
    processors = [device for device in others if device not in controllers]
    return chips, controllers or [beside], processors


def _subject(
    program: LoihiProgram, request: ChipRequest, run: SimulationResult, data: Sequences
) -> Subject:
    prepared = request.program
    return Subject(
        program=program.name,
        recipe=program.recipe,
        sha256=fingerprint(program),
        neurons=prepared.neurons,
        synapses=prepared.synapses,
        inputs=program.channels,
        outputs=program.output_population.size,
        period=prepared.steps_per_sample,
        latency_steps=prepared.latency_steps,
        sequences=len(data.x),
        samples=run.counters.samples,
        saturated=run.saturated_inputs,
        executor=run.executor,
        saturated_words=run.saturations,
        target=request.target.name,
        unproved=(*not_proved(request.target, prepared), *_approximating(request)),
        stock=are_stock(p.program for p in prepared.populations),
        input_values=run.input_values,
    )


def _approximating(request: ChipRequest) -> tuple[str, ...]:
    """What has to be said of a target whose programs answer otherwise than their sources."""
    if request.target.exact or request.accuracy is None:
        return ()
    return (
        f"The accuracy of its rows is that of what {request.target.name} has prepared, which "
        "approximates the program.",
    )


def _metrics(
    program: LoihiProgram,
    run: SimulationResult,
    network: LiquidNetwork | None,
    data: Sequences,
    rate: float | None,
) -> tuple[NeuroBenchMetrics, ...]:
    found = [program_metrics(program, run.counters, len(data.x), rate=rate)]
    if network is not None:
        float_metrics = network_metrics(
            network, data.x, lengths=data.given_lengths, timespans=data.timespans, rate=rate
        )
        found.insert(0, float_metrics)
    return tuple(found)
