"""Rules of the float side: the layer, its stages, and what is derived from them."""

from __future__ import annotations

import dataclasses
import pickle
from importlib.util import find_spec
from typing import Any

import numpy as np

from lnn2loihi.conversion import export
from lnn2loihi.errors import Lnn2LoihiError
from lnn2loihi.family import families, lowering_of
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.layers.stage import Stage
from lnn2loihi.metrics import network_metrics
from lnn2loihi.testing.case import SAME, Case, NotHereError, Problems, apart

#: How much farther inputs are drawn that look for a bound that is broken.
WIDER = 8.0
_EQUATIONS = (
    "write `answer` with NumPy's functions and those of lnn2loihi.extend alone, and mend what "
    "Family.equations has for it"
)
_REBUILD = "override `with_gates` so that each gate and vector of a stage goes where it came from"


def family(case: Case) -> Problems:
    """The layer's class belongs to a family, and each of its stages has a lowering."""
    kind = type(case.layer).__qualname__
    if not any(isinstance(case.layer, one.layers) for one in families()):
        yield (
            f"no registered family has {kind} among its layers; name it in Family(layers=...), and "
            "register the family (entry point of the group lnn2loihi.families, or "
            "lnn2loihi.extend.register)"
        )
    for stage in case.stages:
        try:
            lowering_of(stage)
        except Lnn2LoihiError:
            own = type(stage).__qualname__
            yield (
                f"stage {stage.name!r}, of class {own}, has no lowering; write a StageLowering and "
                f"name it in Family(lowerings={{{own}: ...}})"
            )


def layer(case: Case) -> Problems:
    """The layer fits itself: sizes, names of its stages, copies."""
    last, own = case.stages[-1], case.layer
    name = own.parts[-1].name
    if (last.name, last.units) != (name, own.units):
        yield (
            f"its last stage is {last.name!r} with {last.units} units, the layer {name!r} with "
            f"{own.units}; the stage that answers has the layer's name and units"
        )
    for stage in case.stages:
        for gate, linear in stage.gates.items():
            if linear.weight.shape != (stage.units, stage.columns):
                yield (
                    f"gate {gate!r} of {stage.name!r} has weight {linear.weight.shape}, expected "
                    f"{(stage.units, stage.columns)}: a row for each unit, columns of all sources"
                )
    if pickle.loads(pickle.dumps(own)) != own:
        yield "a pickled copy differs; make it a dataclass with frozen=True, eq=False"
    if own.renamed(lambda name: f"{name}_2").name != f"{own.name}_2":
        yield "`renamed` gives it another name than it was asked for; override it"


def answer(case: Case) -> Problems:
    """`Stage.answer` gives a message and each word of the memory, of the right shape."""
    rng = np.random.default_rng(0)
    for stage in case.stages:
        message, kept = stage.answer(*_arguments(stage, rng))
        if set(kept) != set(stage.memory):
            yield (
                f"stage {stage.name!r} answers with memory {sorted(kept)}, its `memory` names "
                f"{sorted(stage.memory)}; both have to be the same words"
            )
        for name, values in {"the message": message, **kept}.items():
            if np.shape(values) != (5, stage.units) or not np.isfinite(values).all():
                yield (
                    f"{name} of stage {stage.name!r} has shape {np.shape(values)} or is not "
                    f"finite, expected {(5, stage.units)}"
                )


def _arguments(stage: Stage, rng: np.random.Generator) -> tuple[Any, ...]:
    """Random sums, memory and elapsed time of a stage."""
    low = dict.fromkeys(stage.positive, 0.05)
    sums = {g: rng.uniform(low.get(g, -2.0), 2.0, (5, stage.units)) for g in stage.gates}
    memory = {word: rng.uniform(-1.0, 1.0, (5, stage.units)) for word in stage.memory}
    return sums, memory, rng.uniform(0.1, 2.0, (5, 1)) if stage.timed else None


def bound(case: Case) -> Problems:
    """No message leaves the bound that its stage, or its lowering, states."""
    spread = float(np.abs(case.x).max()) * WIDER
    wide = np.random.default_rng(1).uniform(-spread, spread, case.x.shape)
    states = [case.network.evaluate(x, timespans=case.timespans).states for x in (case.x, wide)]
    for stage in case.stages:
        own = lowering_of(stage)
        largest = max(float(np.abs(found[stage.name]).max()) for found in states)
        if largest > stage.bound * (1.0 + SAME):
            yield (
                f"stage {stage.name!r} answers up to {largest:.6g}, its `bound` says "
                f"{stage.bound:.6g}; state one that holds for all inputs, or leave it out"
            )
        form = own.message_format(stage, largest, case.recipe)
        if own.bounded and form is not None and largest > -form.low * form.step * (1.0 + SAME):
            yield (
                f"stage {stage.name!r} answers up to {largest:.6g}, its lowering is `bounded`, "
                f"with messages up to {-form.low * form.step:g}; leave `bounded` out, so that the "
                "format covers what is calibrated, or override `message_format`"
            )


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


def rebuilt_layer(case: Case) -> Problems:
    """`with_gates` puts what was trained where it came from."""
    gates = {stage.name: dict(stage.gates) for stage in case.network.stages}
    vectors = {s.name: {n: getattr(s, n) for n in s.vectors} for s in case.network.stages}
    same = case.evaluated(case.network.with_gates(gates, vectors))
    yield from apart(same, case.outputs, "with its own gates and vectors it differs", _REBUILD)
    for stage in case.stages:
        trained = [] if stage.selects else [*stage.gates]
        for name in (*trained, *stage.vectors):
            changed: dict[str, dict[str, Any]] = gates if name in trained else vectors
            other = {n: dict(own) for n, own in changed.items()}
            other[stage.name][name] = _grown(other[stage.name][name])
            given = (other, vectors) if name in trained else (gates, other)
            stages = case.network.with_gates(*given).stages
            made = next(s for s in stages if s.name == stage.name)
            found = made.gates[name] if name in trained else getattr(made, name)
            if not np.allclose(_array(found), _array(other[stage.name][name]), SAME, SAME):
                yield f"{name!r} of stage {stage.name!r} is lost by `with_gates`; {_REBUILD}"


def _grown(value: Any) -> Any:
    if isinstance(value, Linear):
        return Linear(value.name, 1.5 * value.weight, 1.5 * value.bias)
    return 1.5 * value


def _array(value: Any) -> FloatArray:
    return value.weight if isinstance(value, Linear) else np.asarray(value)


def counted_parameters(case: Case) -> Problems:
    """Every trained number is counted once."""
    arrays, readout = case.layer.arrays().values(), case.network.readout
    assert readout is not None
    settings = [getattr(case.layer, field.name) for field in dataclasses.fields(case.layer)]
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
    import torch

    from lnn2loihi import tensors

    rng = np.random.default_rng(3)
    for stage in case.stages:
        arrays = _arguments(stage, rng)
        expected, kept = stage.answer(*arrays)
        vectors, sums, memory = (
            {name: torch.tensor(value, requires_grad=True) for name, value in values.items()}
            for values in ({n: np.array(getattr(stage, n)) for n in stage.vectors}, *arrays[:2])
        )
        elapsed = None if arrays[2] is None else torch.tensor(arrays[2])
        own = tensors.with_vectors(stage, vectors)
        leaves = [*sums.values(), *memory.values(), *vectors.values()]
        gradients: list[list[FloatArray]] = []
        for written in (tensors.equations, tensors.derived):
            message, new = written(own, sums, memory, elapsed)
            for name, values in {"message": message, **new}.items():
                what = f"stage {stage.name!r}: on tensors its {name} differs from that of `answer`"
                wanted = expected if name == "message" else kept[name]
                yield from apart(values.detach().numpy(), wanted, what, _EQUATIONS)
            total = message.sum() + sum(values.sum() for values in new.values())
            found = torch.autograd.grad(total, leaves, allow_unused=True)
            gradients.append(
                [np.zeros(leaf.shape) if g is None else g.numpy()
                 for g, leaf in zip(found, leaves, strict=True)]
            )  # fmt: skip
        for fast, slow in zip(*gradients, strict=True):
            what = f"stage {stage.name!r}: a gradient of Family.equations differs from the derived"
            yield from apart(fast, slow, what, _EQUATIONS)


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
