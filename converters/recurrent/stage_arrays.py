"""Reads the arrays of the stages that a description lists; what is wrong with them is collected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from lnn2loihi.converters.files.arrays import Arrays, array_problems
from lnn2loihi.converters.files.tensor import FloatArray, Tensor
from lnn2loihi.converters.recurrent.asked import asked
from lnn2loihi.converters.recurrent.family import FamilyParts
from lnn2loihi.converters.recurrent.stages import (
    ACTIVATION,
    BATCH_NORM,
    LAYER_NORM,
    LINEAR,
    NORMALISE,
    RMS_NORM,
    Stage,
)
from lnn2loihi.errors import Lnn2LoihiError

#: What BatchNorm1d counts, which its answer does not need.
_COUNTER = "num_batches_tracked"


@dataclass
class ReadStage:
    """A stage with its arrays.

    Attributes:
        stage: as described.
        inputs, outputs: channels, as far as its arrays say them; None for any number.
        parts: of a recurrent layer; None where it could not be read.
        weight: of a map.
        factor, offset: of a map its bias as offset; of all that goes channel by channel, and of a
            norm, both, with one element for any number of channels.
        norm: which norm it is, "layer_norm" or "rms_norm"; None for all else.
        problems: everything that is wrong with it alone.
    """

    stage: Stage
    inputs: int | None = None
    outputs: int | None = None
    parts: FamilyParts | None = None
    weight: FloatArray | None = None
    factor: FloatArray | None = None
    offset: FloatArray | None = None
    norm: str | None = None
    problems: list[str] = field(default_factory=list)


def read_stage(subject: str, stage: Stage, own: Mapping[str, Tensor]) -> ReadStage:
    """Reads the arrays of one stage.

    Args:
        subject: what a faulty importer of a family is said to have been asked about.
        stage: as described.
        own: the tensors that it takes, by key.
    """
    made = ReadStage(stage)
    if stage.importer is not None:
        _read_layer(subject, made, own)
    elif stage.said.module == LINEAR:
        _read_linear(made, own)
    elif stage.said.module == BATCH_NORM:
        _read_batch_norm(made, own)
    elif stage.said.module in (LAYER_NORM, RMS_NORM):
        _read_norm(made, own)
    elif stage.said.module == NORMALISE:
        _read_normalise(made, own)
    elif stage.said.module != ACTIVATION:
        _read_scale(made, own)
    return made


def _read_layer(subject: str, made: ReadStage, own: Mapping[str, Tensor]) -> None:
    importer = made.stage.importer
    assert importer is not None
    try:
        made.parts, made.problems = asked(subject, importer, importer.read, own, made.stage.said)
    except Lnn2LoihiError as error:
        made.problems = [*getattr(error, "problems", [str(error)])]
    if made.parts is not None:
        readout, layers = made.parts.readout, made.parts.layers
        made.inputs = layers[0].input_size
        made.outputs = layers[-1].units if readout is None else readout.output_size


def _read_linear(made: ReadStage, own: Mapping[str, Tensor]) -> None:
    arrays = Arrays(own, made.stage.said.prefix)
    weight = arrays.take("weight", None, None)
    bias = np.zeros(len(weight))
    if "bias" in arrays.keys:
        bias = arrays.take("bias", len(weight), 0)
    arrays.refuse_others(LINEAR)
    made.problems = arrays.problems
    if not made.problems:
        made.weight, made.offset = weight, bias
        made.outputs, made.inputs = weight.shape


def _read_batch_norm(made: ReadStage, own: Mapping[str, Tensor]) -> None:
    prefix = made.stage.said.prefix
    arrays = Arrays({k: t for k, t in own.items() if k != prefix + _COUNTER}, prefix)
    mean = arrays.take("running_mean", None, 0)
    size = len(mean)
    variance = arrays.take("running_var", size, 0)
    weight, bias = (
        arrays.take(key, size, 0) if key in arrays.keys else np.full(size, default)
        for key, default in (("weight", 1.0), ("bias", 0.0))
    )
    arrays.refuse_others(BATCH_NORM)
    made.problems = arrays.problems
    if not made.problems:
        deviation = np.sqrt(np.maximum(variance + made.stage.said.eps, 0.0))
        _normalised(made, mean, deviation, weight, bias)


def _read_norm(made: ReadStage, own: Mapping[str, Tensor]) -> None:
    said = made.stage.said
    arrays = Arrays(own, said.prefix)
    gain, shift = np.ones(1), np.zeros(1)
    if "weight" in arrays.keys:
        gain = arrays.take("weight", None, 0)
    if "bias" in arrays.keys and said.module == LAYER_NORM:
        shift = arrays.take("bias", len(gain) if "weight" in arrays.keys else None, 0)
    if said.prefix and not own:
        arrays.problems.append(
            f"no key begins with {said.prefix!r:.120}; leave prefix out where it has neither gain "
            "nor shift"
        )
    arrays.refuse_others(said.module)
    made.problems = arrays.problems
    if not made.problems:
        made.norm = "layer_norm" if said.module == LAYER_NORM else "rms_norm"
        _channels(made, gain, shift)


def _read_normalise(made: ReadStage, own: Mapping[str, Tensor]) -> None:
    said = made.stage.said
    mean = _vector(made, own, said.mean)
    name = said.std or said.variance
    divisor = _vector(made, own, name)
    if made.problems:
        return
    if len({len(mean), len(divisor)} - {1}) > 1:
        made.problems.append(f"{said.mean} has {len(mean)} channels, and {name} {len(divisor)}")
        return
    if said.variance is not None:
        divisor = np.sqrt(np.maximum(divisor + said.epsilon, 0.0))
    else:
        divisor = divisor + said.epsilon
    _normalised(made, mean, divisor, np.ones(1), np.zeros(1))


def _normalised(
    made: ReadStage,
    mean: FloatArray,
    deviation: FloatArray,
    weight: FloatArray,
    bias: FloatArray,
) -> None:
    """(x - mean) / deviation * weight + bias, channel by channel."""
    if not (deviation > 0.0).all():
        made.problems.append("it divides by deviations that are not above 0")
        return
    factor = weight / deviation
    _channels(made, factor, bias - mean * factor)


def _read_scale(made: ReadStage, own: Mapping[str, Tensor]) -> None:
    said = made.stage.said
    factor, offset = (
        _vector(made, own, given) if isinstance(given, str) else np.ravel(np.asarray(given, float))
        for given in (said.factor, said.offset)
    )
    if not made.problems:
        _channels(made, factor, offset)


def _channels(made: ReadStage, factor: FloatArray, offset: FloatArray) -> None:
    sizes = {len(array) for array in (factor, offset)} - {1}
    if len(sizes) > 1:
        made.problems.append(
            f"its arrays are of {len(factor)} and {len(offset)} channels; expected the same number"
        )
        return
    made.factor, made.offset = np.broadcast_arrays(factor, offset)
    made.inputs = made.outputs = next(iter(sizes), None)


def _vector(made: ReadStage, own: Mapping[str, Tensor], key: str) -> FloatArray:
    """An array of one number for each channel, or of one for all; zeros with a problem."""
    whole = made.stage.said.prefix + key
    if whole not in own:
        made.problems.append(f"the key {whole} is missing")
        return np.zeros(1)
    tensor = own[whole]
    if any(length != 1 for length in tensor.shape[:-1]):
        made.problems.append(
            f"{whole} has shape {tensor.shape}, expected (channels,), with axes of 1 before it"
        )
        return np.zeros(1)
    found: dict[str, FloatArray] = {}
    wrong = array_problems(whole, tensor, False, found)
    made.problems += wrong
    return np.zeros(1) if wrong else found[whole].ravel()
