"""Rules of the integer side: programs, executors, training for the chip."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from lnn2loihi.artifact import load, save
from lnn2loihi.errors import Lnn2LoihiError
from lnn2loihi.neurons.operations import Rescaling
from lnn2loihi.placement.verb import place
from lnn2loihi.precision import precision_of
from lnn2loihi.quantization.post_training import Plan
from lnn2loihi.quantization.verb import prepared
from lnn2loihi.simulation import full_initial_state, simulate
from lnn2loihi.simulation.reference import run_reference
from lnn2loihi.simulation.streams import open_stream
from lnn2loihi.testing.case import Case, NotHereError, Problems
from lnn2loihi.verification.verb import verify

#: Least signal to noise of the worst output, in decibels. Below it integers and floats are
#: different functions; poor formats alone cost less.
LEAST_DB = 12.0


def lowering(case: Case) -> Problems:
    """What `lower` says fits its stage and its program."""
    setting = prepared(case.network, case.x, case.recipe, case.timespans)
    plan = Plan(case.network, setting.calibration, setting.recipes)
    for stage in case.stages:
        made, where = plan.lowering(stage), f"of stage {stage.name!r}"
        for gate, unit in made.units.items():
            if not (np.isfinite(unit).all() and (np.asarray(unit) > 0.0).all()):
                yield f"units of {gate!r} {where} are not above 0 and finite; say steps per 1.0"
        program = made.program([Rescaling(0)] * len(stage.gates))
        pairs = (
            ("memory_steps", made.memory_steps, stage.memory, "its `memory` is"),
            ("states", made.states, program.state_names, "its program has"),
            ("units", made.units, () if stage.selects else stage.gates, "its gates are"),
        )
        for name, said, wanted, what in pairs:
            if set(said) != set(wanted):
                yield (
                    f"`{name}` {where} names {sorted(said)}, {what} {sorted(wanted)}; both have to "
                    "be the same"
                )
    assert case.program.populations  # it can be made


def integers(case: Case) -> Problems:
    """The integers say what the float layer says."""
    for stage in case.stages:
        size = case.program.population(stage.name).size
        if size != stage.units:
            yield f"population {stage.name!r} has {size} neurons, its stage {stage.units} units"
    truth, found = (np.concatenate([*v]) for v in (case.outputs, case.answered.outputs))
    worst = precision_of(truth, found).worst_db
    if worst is not None and worst < LEAST_DB:
        yield (
            f"its outputs are within {worst:.1f} dB of the float layer's, less than "
            f"{LEAST_DB:g}: the neuron program computes something else than `answer`, or the "
            "formats of `lower` lose what matters; see lnn2loihi.compare, and program.listing()"
        )


def executors(case: Case) -> Problems:
    """All executors answer the same integers."""
    found = verify(case.program, case.x, case.chosen, timespans=case.timespans)
    case.executors = found.executors
    if not found.bit_exact:
        yield f"{found.mismatch_count:,} values differ between executors: {found.mismatches[0]}"


def proved_bounds(case: Case) -> Problems:
    """No word leaves its proved bound while a program runs, whatever enters."""
    program, rng = case.program, np.random.default_rng(4)
    shape = (4, 6 * program.substeps, program.input.size)
    low, high = program.input.low, program.input.high
    ends = np.where(rng.random(shape) < 0.5, low, high)
    inputs = np.concatenate([ends, rng.integers(low, high + 1, shape)]).astype(np.int64)
    start = full_initial_state(program, len(inputs), None)
    try:
        run_reference(program, inputs, start, check_bounds=True)
    except Lnn2LoihiError as error:
        yield f"{error}; look at `convex` and `exhaust` of its neuron program, which state bounds"


def streams(case: Case) -> Problems:
    """Sample by sample it answers as at once."""
    stream, times = open_stream(case.program), [None] * case.x.shape[1]
    given = times if case.timespans is None else case.timespans[0].tolist()
    answers = [stream.step(x, time) for x, time in zip(case.x[0], given, strict=True)]
    if not np.array_equal(np.stack(answers), case.answered.outputs[0]):
        yield "a stream answers otherwise than `simulate`; a state word is not carried"


def chip_training(case: Case) -> Problems:
    """What is trained for the chip learns, and answers in evaluation what it exports."""
    if not find_spec("torch"):
        raise NotHereError("PyTorch is not installed")
    import torch

    from lnn2loihi import qat

    times = case.timespans
    module = qat.prepare(case.network, case.recipe, calibrate=case.x, calibrate_timespans=times)
    module = module.double()
    x = torch.tensor(case.x)
    elapsed = None if times is None else torch.tensor(times)
    module.train()
    module(x, timespans=elapsed).square().sum().backward()
    for name, parameter in module.named_parameters():
        if parameter.grad is None or not torch.isfinite(parameter.grad).all():
            yield f"parameter {name} gets no finite gradient: nothing uses it, or divides by 0"
    module.eval()
    answered = module(x, timespans=elapsed).numpy()
    expected = simulate(module.export(), case.x, timespans=times).outputs
    if not np.array_equal(answered, expected):
        yield (
            "in evaluation it answers otherwise than the program that it exports; see "
            "`memory_steps` of its lowering, and `state_name` of its stages"
        )


def saved_program(case: Case) -> Problems:
    """A saved program loads as what it was."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checked.l2l"
        save(case.program, path)
        if load(path) != case.program:
            yield "a program that was saved and loaded differs from itself"


def placement(case: Case) -> Problems:
    """It can be placed, and all that it has is placed."""
    placed = sum(core.neurons for core in place(case.program).cores)
    if placed != case.program.neurons:
        yield f"{placed} of {case.program.neurons} neurons are placed"
