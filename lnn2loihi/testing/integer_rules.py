"""Rules of the integer side: programs, executors, training for the chip."""

from __future__ import annotations

import dataclasses
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from lnn2loihi.artifact import load, save
from lnn2loihi.errors import Lnn2LoihiError, QuantizationError
from lnn2loihi.family import lowering_of
from lnn2loihi.formats import FixedPoint
from lnn2loihi.layers.stage import Stage
from lnn2loihi.lowering import Lowering
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.neurons.operations import Rescaling
from lnn2loihi.placement.verb import place
from lnn2loihi.precision import precision_of
from lnn2loihi.quantization.post_training import Plan
from lnn2loihi.quantization.verb import prepared
from lnn2loihi.recipe import Recipe
from lnn2loihi.simulation import full_initial_state, simulate
from lnn2loihi.simulation.reference import run_reference
from lnn2loihi.simulation.streams import open_stream
from lnn2loihi.testing.case import Case, NotHereError, Problems
from lnn2loihi.testing.one_step import Answers, answers_of, reached
from lnn2loihi.verification.verb import verify

#: The finest recipe: what differs with it is another equation.
FINE = Recipe.parse("w8a16x16-lines16")
#: How much larger than the samples inputs are, too, for sums far from where they were calibrated.
WIDER = 8.0
#: How far one update and `Stage.answer` may be apart where both hear the same: so many steps of the
#: word, and this share of what is answered at most, which the activations and quotients of our own
#: families keep with a factor of two.
STEPS_APART, SHARE_APART = 2.0, 2.0**-7
#: Least signal to noise of the worst output with the finest recipe, in decibels. Below it integers
#: and floats are different functions.
LEAST_DB = 12.0


def lowering(case: Case) -> Problems:
    """What `lower` says fits its stage and its program."""
    setting = prepared(case.network, case.x, case.recipe, case.timespans)
    plan = Plan(case.network, setting.calibration, setting.recipes)
    sound = True
    for stage in case.stages:
        for problem in _lowered(stage, plan.lowering(stage), plan.formats[stage.name]):
            sound = False
            yield f"{problem} (stage {stage.name!r})"
    if sound:
        assert case.program.populations  # it can be made


def _lowered(stage: Stage, made: Lowering, form: FixedPoint | None) -> Problems:
    wanted = None if lowering_of(stage).repeats else form
    if made.message != wanted:
        yield (
            f"`message` is {_format(made.message)}, `message_format` says {_format(wanted)}, which "
            "is what others hear; give what self.message(stage, measured.largest_answer, recipe) "
            "answers, or override `message_format`"
        )
    for what, values in (("units", made.units), ("memory_steps", made.memory_steps)):
        for name, given in values.items():
            value = np.asarray(given, np.float64)
            if not (np.isfinite(value).all() and (value > 0.0).all()):
                meaning = "steps per 1.0" if what == "units" else "the real value of one unit"
                yield f"`{what}` of {name!r} are not above 0 and finite; say {meaning}"
            elif value.shape not in ((), (stage.units,)):
                yield f"`{what}` of {name!r} has shape {value.shape}; give ({stage.units},)"
    program = made.program([Rescaling(0)] * len(stage.gates))
    if made.program([Rescaling(0)] * len(stage.gates)) != program:
        yield (
            "`program` makes another program when it is called again; it may depend on what it is "
            "given alone"
        )
    gates = set(stage.gates)
    for what, said, wanted, whose in (
        ("memory_steps", made.memory_steps, stage.memory, "its `memory` is"),
        ("states", made.states, program.state_names, "its program has"),
        ("units", made.units, () if stage.selects else gates, "its gates are"),
    ):
        if set(said) != set(wanted):
            yield f"`{what}` names {sorted(said)}, {whose} {sorted(wanted)}; both have to be equal"
    for what, named in (("held", made.held), ("operands", made.operands)):
        if isinstance(named, str) or not set(named) <= gates:
            yield (
                f"`{what}` names {sorted([named] if isinstance(named, str) else named)}, its gates "
                f"are {sorted(gates)}; only these can be named"
            )


def _format(form: FixedPoint | None) -> str:
    if form is None:
        return "None"
    return f"{form.bits} bits with {form.fraction_bits} behind the point"


def integers(case: Case) -> Problems:
    """The integers say what the float layer says."""
    for stage in case.stages:
        size = case.program.population(stage.name).size
        if size != stage.units:
            yield f"population {stage.name!r} has {size} neurons, its stage {stage.units} units"
            return
    # With a readout as the recipe is; alone as finely as integers go; alone far out.
    for network, recipe, factor in (
        (case.network, case.recipe, 1.0),
        (case.bare, FINE, 1.0),
        (case.bare, FINE, WIDER),
    ):
        try:
            found = [*_unlike(case, network, recipe, factor)]
        except QuantizationError as error:
            if factor == 1.0:
                raise
            case.notes.append(f"integers: inputs {factor:g} times as large, which fail: {error}")
            continue
        if found:
            yield from found
            return


def _unlike(case: Case, network: LiquidNetwork, recipe: Recipe, factor: float) -> Problems:
    """Where a program says something else than a network whose inputs are so much larger."""
    x, times = factor * case.x, case.timespans
    setting = prepared(network, x, recipe, times)
    plan = Plan(network, setting.calibration, setting.recipes)
    program = plan.convert({})
    found: list[str] = []
    reach = reached(program)
    for stage in case.stages:
        for answers in answers_of(plan, program, stage, reach):
            found += _apart(case, stage, answers, recipe)
    if recipe == FINE and not found:  # what another recipe costs is its own choice
        truth = network.evaluate(x, timespans=times).outputs
        answered = simulate(program, x, timespans=times).outputs
        worst = precision_of(truth, answered).worst_db
        if worst is not None and worst < LEAST_DB:
            found.append(
                f"with recipe {recipe} its outputs are within {worst:.1f} dB of the float layer's, "
                f"less than {LEAST_DB:g}: the formats of `lower` lose what matters; see "
                "lnn2loihi.compare, and program.listing()"
            )
    yield from found


def _apart(case: Case, stage: Stage, answers: Answers, recipe: Recipe) -> Problems:
    """Where one update of the population is not what the stage answers to the same sums."""
    where = f"{answers.name} of stage {stage.name!r}"
    if answers.counted.all():
        case.notes.append(f"integers: {where} saturates (counted) in all cases that were tried")
        return
    difference = np.abs(answers.found - answers.expected)
    allowed = STEPS_APART * answers.step + SHARE_APART * answers.size
    over = np.where(answers.counted | ~np.isfinite(difference), 0.0, difference - allowed)
    place = np.unravel_index(int(over.argmax()), over.shape)
    if not over[place] > 0.0:
        return
    sums = ", ".join(f"{gate} {values[place]:.4g}" for gate, values in answers.sums.items())
    memory = ", ".join(f"{word} {values[place]:.4g}" for word, values in answers.memory.items())
    yield (
        f"with recipe {recipe} {where} is {answers.found[place]:.4g}, where `answer` says "
        f"{answers.expected[place]:.4g} (unit {place[1]}; sums: {sums}; memory: "
        f"{memory or 'none'}); nothing saturates there that is counted, so they may be "
        f"{allowed[place]:.2g} apart: the neuron program computes something else than `answer`, or "
        "`units` or `memory_steps` say something else than it computes with; see program.listing()"
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
        if not parameter.requires_grad:  # of a gate that is fixed
            continue
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
    half = case.x.shape[1] // 2
    if not half or not any(stage.memory or stage.recurrent for stage in case.stages):
        return
    module.calls = dataclasses.replace(module.calls, returns_state=True)
    spans = (None, None) if elapsed is None else (elapsed[:, :half], elapsed[:, half:])
    first, state = module(x[:, :half], timespans=spans[0])
    rest = module(x[:, half:], state, timespans=spans[1])[0]
    if not np.array_equal(np.concatenate([first, rest], axis=1), answered):
        yield (
            "in evaluation two halves, the state carried over, differ from the whole; see "
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
