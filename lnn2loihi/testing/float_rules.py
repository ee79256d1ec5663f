"""Rules of the float side: the equation of stages, and what is derived from it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np

from lnn2loihi.errors import Lnn2LoihiError
from lnn2loihi.evaluation import evaluate_stages
from lnn2loihi.exporting import export
from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.family import lowering_of
from lnn2loihi.frozen import identical
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.layers.stage import INPUT, Stage, StageSource
from lnn2loihi.metrics import network_metrics
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.network_file import from_bytes, to_bytes
from lnn2loihi.testing.case import SAME, Case, NotHereError, Problems, apart, arguments

#: Magnitudes of sums and of inputs that equations are tried with; 0 for what is usual.
FAR = (0.0, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4)
#: Steps for which a constant input lasts that looks for a bound that is broken.
LASTING = 200
#: Factors by which gates and vectors are changed, until the layer allows one.
CHANGES = (1.5, 1.01, 0.99, 0.7, 1.0001, 0.9999)
_EQUATIONS = (
    "write `answer` with NumPy's functions and those of lnn2loihi.extend alone, and mend what "
    "Family.equations has for it"
)
_REBUILD = "override `with_gates` so that each gate and vector of a stage goes where it came from"


def answer(case: Case) -> Problems:
    """`Stage.answer` gives a message and each word of the memory, finite, one for each unit."""
    for stage in case.stages:
        for far in FAR:
            found = [*_wrong_answer(stage, far)]
            yield from found
            if found:
                break


def _wrong_answer(stage: Stage, far: float) -> Problems:
    where = f"stage {stage.name!r}"
    given = arguments(stage, np.random.default_rng(0), far)
    before = copy.deepcopy(given)
    answered: Any = stage.answer(*given)
    if not isinstance(answered, tuple) or len(answered) != 2 or not isinstance(answered[1], dict):
        yield (
            f"{where} answers {type(answered).__name__}; give the message and a dict with the new "
            "value of each word of `memory`"
        )
        return
    message, kept = answered
    if set(kept) != set(stage.memory):
        yield (
            f"{where} answers with memory {sorted(kept)}, its `memory` names "
            f"{sorted(stage.memory)}; both have to be the same words"
        )
        return
    if not identical(given, before):
        yield f"{where} writes into its arguments; make new arrays"
        return
    shape = (len(next(iter(given[0].values()))), stage.units)
    sums = f"sums up to {far:g}" if far else "sums within (-2, 2)"
    sound = True
    for name, values in {"the message": message, **kept}.items():
        sound = sound and np.shape(values) == shape and bool(np.isfinite(values).all())
        if np.shape(values) != shape:
            yield (
                f"{name} of {where} has shape {np.shape(values)}, expected {shape}: answer one "
                "number for each unit of each sequence"
            )
        elif not np.isfinite(values).all():
            yield (
                f"{name} of {where} is NaN or infinite for {sums}: hold arguments of exp, log, "
                "sqrt and of quotients within what they are defined for, or name gates that are "
                "never negative in `positive`"
            )
    again = stage.answer(*given)
    if sound and not identical((again[0], dict(again[1])), (message, dict(kept))):
        yield f"{where} answers otherwise when it is asked again; it may depend on arguments alone"


def bound(case: Case) -> Problems:
    """No message leaves the bound that its stage, or its lowering, states."""
    states = _driven(case)
    for stage in case.stages:
        own = lowering_of(stage)
        values = np.concatenate([np.abs(found[stage.name]).ravel() for found in states])
        largest = float(np.fmax.reduce(values))
        if largest > stage.bound * (1.0 + SAME):
            yield (
                f"stage {stage.name!r} answers up to {largest:.6g}, its `bound` says "
                f"{stage.bound:.6g}; state one that holds for all inputs, however long they last, "
                "or leave it out"
            )
        if not np.isfinite(values).all():
            yield (
                f"stage {stage.name!r} answers NaN or infinite when constant inputs up to "
                f"{FAR[-1]:g} last for {LASTING} steps; hold what grows within a range"
            )
            continue
        form = own.message_format(stage, largest, case.recipe)
        if own.bounded and form is not None and largest > -form.low * form.step * (1.0 + SAME):
            yield (
                f"stage {stage.name!r} answers up to {largest:.6g}, its lowering is `bounded`, "
                f"with messages up to {-form.low * form.step:g}; leave `bounded` out, so that the "
                "format covers what is calibrated, or override `message_format`"
            )


def _driven(case: Case) -> list[Mapping[str, FloatArray]]:
    """What stages answer to the samples, and to constant inputs of all magnitudes that last, from
    states at both ends of their bounds.
    """
    rng, size = np.random.default_rng(1), case.layer.input_size
    signs = np.array([np.ones(size), -np.ones(size), rng.choice([-1.0, 1.0], size)])
    levels = np.concatenate([signs * far for far in FAR if far])
    count = len(levels)
    starts: dict[str, FloatArray] = {}
    for stage in case.stages:
        form = lowering_of(stage).message_format(stage, 1.0, case.recipe)
        held = lowering_of(stage).bounded and form is not None
        most = min(stage.bound, -form.low * form.step if held and form else np.inf)
        if np.isfinite(most) and stage.name in {stage.state_name(word) for word in stage.memory}:
            ends = np.repeat([0.0, most, -most], count)
            starts[stage.name] = np.broadcast_to(ends[:, None], (3 * count, stage.units))
    levels = np.tile(levels, (3, 1)) if starts else levels
    x = np.repeat(levels[:, None], LASTING, axis=1)
    times = None if case.timespans is None else np.ones(x.shape[:2])
    far = case.bare.evaluate(x, starts, timespans=times).states
    return [case.bare.evaluate(case.x, timespans=case.timespans).states, far]


def carried_state(case: Case) -> Problems:
    """Two halves with the state carried over answer as the whole: states have names and sizes."""
    half = case.x.shape[1] // 2
    if not half:
        raise NotHereError("x has one step")
    times: Any = (None, None)
    if case.timespans is not None:
        times = case.timespans[:, :half], case.timespans[:, half:]
    first = case.network.evaluate(case.x[:, :half], timespans=times[0])
    rest = case.network.evaluate(case.x[:, half:], first.final_state, timespans=times[1])
    yield from apart(
        np.concatenate([first.outputs, rest.outputs], axis=1),
        case.outputs,
        "two halves, the state carried over, differ from the whole",
        "each word of `memory` needs a `state_name` of its own",
    )


def folded_inputs(case: Case) -> Problems:
    """`with_inputs` folds a normalisation into the weights."""
    rng = np.random.default_rng(2)
    factor = rng.uniform(0.5, 2.0, case.layer.input_size)
    offset = rng.normal(size=factor.size)
    changed = case.layer.with_inputs(factor, offset)
    yield from apart(
        case.evaluated(dataclasses.replace(case.network, layers=(changed,))),
        case.evaluated(case.network, factor * case.x + offset),
        "with a normalisation folded in it differs from itself on normalised inputs",
        "override `with_inputs`, or `hears_inputs` for maps that do not hear the inputs",
    )


def hearing(case: Case) -> Problems:
    """`hearing` answers to x as the layer does to matrix @ x + offset, where `can_hear` says so."""
    rng, inputs = np.random.default_rng(6), case.layer.input_size
    offset = rng.normal(size=inputs)
    picked = np.zeros((inputs, inputs + 1))
    picked[np.arange(inputs), rng.permutation(inputs + 1)[:inputs]] = rng.uniform(0.5, 2.0, inputs)
    factors = np.diag(rng.uniform(0.5, 2.0, inputs))
    refused: list[str] = []
    for name, matrix in (
        ("factors", factors), ("picked columns", picked),
        ("mixed columns", rng.normal(size=(inputs, inputs + 2))),
    ):  # fmt: skip
        if not case.layer.can_hear(matrix):
            refused.append(name)
            continue
        x = rng.normal(size=(*case.x.shape[:2], matrix.shape[1]))
        layers = (case.layer.hearing(matrix, offset),)
        changed = LiquidNetwork("checked", layers, case.network.readout, case.timespan)
        yield from apart(
            case.evaluated(changed, x),
            case.evaluated(case.network, x @ matrix.T + offset),
            f"heard through a matrix ({name}) it differs from itself behind the matrix",
            "override `hearing` and `can_hear`, or `hears_inputs` for maps that do not hear the "
            "inputs, or `with_input_maps` for maps that are no fields",
        )
    if "factors" in refused:
        yield "`can_hear` refuses a diagonal matrix, which `with_inputs` hears; let it answer True"
    elif refused:
        case.notes.append(f"hearing: `can_hear` refuses {' and '.join(refused)}")


def several_sources(case: Case) -> Problems:
    """The layer answers the same where what it hears comes from several, side by side."""
    inputs = case.layer.input_size
    # In reverse, so that the input itself is nothing that the layer could hear in their place.
    cuts = [rows for rows in np.array_split(np.eye(inputs)[::-1], 2) if len(rows)]
    before = tuple(
        DenseLayer(f"before {place}", Linear("linear", rows, np.zeros(len(rows))), "identity")
        for place, rows in enumerate(cuts)
    )
    network = dataclasses.replace(
        case.network,
        layers=(*before, case.layer),
        hears={
            **{layer.name: (INPUT,) for layer in before},
            case.layer.name: tuple(layer.name for layer in before),
        },
    )
    yield from apart(
        case.evaluated(network, case.x[..., ::-1]),
        case.outputs,
        "behind two layers that say half of the inputs each it differs",
        "`stages` hears what it is given as `before`, whole, and takes its name from there",
    )


def scaled_inputs(case: Case) -> Problems:
    """`stages` makes up for the factor by which the answer of the layer before is too small."""
    network, before = case.bare, StageSource(INPUT, case.layer.input_size)
    answers: list[FloatArray] = []
    for scale in (1.0, 2.0):
        made, factor = case.layer.stages(before, case.timespan, scale)
        x, times = network.held(case.x / scale, case.timespans)
        found = evaluate_stages(made, x, times, {}, network.substeps)
        answers.append(factor * found.every(network.substeps).outputs)
    yield from apart(
        answers[1],
        answers[0],
        "`stages` with scale=2 answers half the inputs otherwise than with scale=1 the whole ones",
        "multiply the columns of what comes before by `scale`, such as with "
        "Linear.with_columns(name, factors)",
    )


def rebuilt_layer(case: Case) -> Problems:
    """`with_gates` puts what was trained where it came from."""
    gates = {stage.name: dict(stage.gates) for stage in case.network.stages}
    vectors = {s.name: {n: getattr(s, n) for n in s.vectors} for s in case.network.stages}
    same = case.evaluated(case.network.with_gates(gates, vectors))
    yield from apart(same, case.outputs, "with its own gates and vectors it differs", _REBUILD)
    for stage in case.stages:
        maps = [] if stage.selects else [name for name in stage.gates if name not in stage.fixed]
        for name in (*maps, *stage.vectors):
            lost = _is_lost(case, stage, name, gates, vectors)
            if lost is None:
                case.notes.append(
                    f"rebuilt layer: `problems` allows no change of {name!r} of stage "
                    f"{stage.name!r}, so that nobody knows whether `with_gates` keeps it"
                )
            elif lost:
                yield f"{name!r} of stage {stage.name!r} is lost by `with_gates`; {_REBUILD}"


def _is_lost(case: Case, stage: Stage, name: str, gates: Any, vectors: Any) -> bool | None:
    """Whether a change of a gate or vector is lost; None where the layer allows no change."""
    for factor in CHANGES:
        changed = gates if name in stage.gates else vectors
        other = {n: dict(own) for n, own in changed.items()}
        other[stage.name][name] = _grown(other[stage.name][name], factor)
        given = (other, vectors) if name in stage.gates else (gates, other)
        try:
            stages = case.network.with_gates(*given).stages
        except Lnn2LoihiError:  # what the layer does not allow
            continue
        made = next(s for s in stages if s.name == stage.name)
        found = made.gates[name] if name in stage.gates else getattr(made, name)
        expected = _array(other[stage.name][name])
        return not np.allclose(_array(found), expected, SAME, SAME)
    return None


def _grown(value: Any, factor: float) -> Any:
    if isinstance(value, Linear):
        return Linear(value.name, factor * value.weight, factor * value.bias)
    return factor * value


def _array(value: Any) -> FloatArray:
    return value.weight if isinstance(value, Linear) else np.asarray(value)


def saved_network(case: Case) -> Problems:
    """A saved network loads as what it was."""
    advice = (
        "files hold the fields of a layer, and make it of them again: let them be arrays, numbers, "
        "texts, tuples of these, and dataclasses that their annotations name"
    )
    try:
        made = from_bytes(to_bytes(case.network), "checked.l2n")
    except Lnn2LoihiError as error:
        yield f"a network of it cannot be saved and loaded: {error}; {advice}"
        return
    if made != case.network:
        yield f"a network of it that was saved and loaded differs from itself; {advice}"


def counted_parameters(case: Case) -> Problems:
    """Every trained number is counted once."""
    arrays, readout = case.layer.arrays().values(), case.network.readout
    assert readout is not None
    parts = {id(part): part for part in (case.layer, *case.layer.parts)}.values()
    settings = [getattr(one, field.name) for one in parts for field in dataclasses.fields(one)]
    numbers = sum(isinstance(value, (int, float)) for value in settings)
    most = sum(values.size for values in arrays)
    least = sum(int(np.count_nonzero(values)) for values in arrays) - numbers
    found = network_metrics(case.network, case.x, timespans=case.timespans).parameter_count
    found -= readout.weight.size + readout.bias.size
    if not least <= found <= most:
        yield (
            f"{found:g} parameters are counted, its arrays hold {most:,} numbers, {least:,} of "
            "them not zero; override `trained_maps` (matrices), `other_parameters` (what is beside "
            "them), or `arrays` if something else is in it"
        )


def training_equations(case: Case) -> Problems:
    """The equations on tensors are those of `Stage.answer`, in values and gradients."""
    if not find_spec("torch"):
        raise NotHereError("PyTorch is not installed")
    for stage in case.stages:
        for far in FAR:
            found = [*_differences(stage, arguments(stage, np.random.default_rng(3), far))]
            yield from found
            if found:
                break


def _differences(stage: Stage, given: tuple[Any, ...]) -> Problems:
    """Where equations on tensors, or their gradients, differ from those of `answer`."""
    import torch

    from lnn2loihi import tensors

    expected, kept = stage.answer(*given)
    vectors, sums, memory = (
        {name: torch.tensor(value, requires_grad=True) for name, value in values.items()}
        for values in ({n: np.array(getattr(stage, n)) for n in stage.vectors}, *given[:2])
    )
    elapsed = None if given[2] is None else torch.tensor(given[2])
    own = tensors.with_vectors(stage, vectors)
    leaves = [*sums.values(), *memory.values(), *vectors.values()]
    names = [*sums, *memory, *vectors]
    # Each output counts otherwise, so that no two errors make up for each other.
    weights = np.random.default_rng(5).normal(size=(1 + len(kept), *expected.shape))
    gradients: list[list[FloatArray]] = []
    for written in (tensors.equations, tensors.derived):
        message, new = written(own, sums, memory, elapsed)
        answers = {"message": message, **{word: new[word] for word in kept}}
        for name, values in answers.items():
            wanted = expected if name == "message" else kept[name]
            size = np.maximum(np.abs(wanted), 1.0)
            yield from apart(
                values.detach().numpy() / size, wanted / size,
                f"stage {stage.name!r}: on tensors its {name} differs from that of `answer`",
                _EQUATIONS,
            )  # fmt: skip
        counted = zip(answers.values(), map(torch.tensor, weights), strict=True)
        total = torch.stack([(values * weight).sum() for values, weight in counted]).sum()
        found = torch.autograd.grad(total, leaves, allow_unused=True)
        gradients.append(
            [np.zeros(leaf.shape) if g is None else g.numpy()
             for g, leaf in zip(found, leaves, strict=True)]
        )  # fmt: skip
    for name, fast, slow in zip(names, *gradients, strict=True):
        what = f"stage {stage.name!r}: the gradient by {name!r} of Family.equations differs from "
        yield from apart(fast, slow, what + "the derived one", _EQUATIONS)


def float_onnx(case: Case) -> Problems:
    """The float network in onnxruntime answers as evaluation does."""
    if not (find_spec("onnx") and find_spec("onnxruntime")):
        raise NotHereError("onnx and onnxruntime are not installed")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    model = export(case.network, "onnx-float", dtype="float64").SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {"x": case.x, "timespans": case.timespans}
    for value in session.get_inputs():
        if value.name not in feed:
            feed[value.name] = np.zeros((len(case.x), int(value.shape[-1])))
    wanted = [value.name for value in session.get_inputs()]
    yield from apart(
        np.asarray(session.run(["y"], {name: feed[name] for name in wanted})[0]),
        case.outputs,
        "onnxruntime differs from evaluation",
        "write `answer` with functions that have a translation; mend what Family.onnx_nodes has",
    )
