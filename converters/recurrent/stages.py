"""Descriptions of whole modules: the stages that a sample passes, one after the other.

A state_dict holds arrays by key, and nothing of what `forward` does with them. Where there is more
than one recurrent layer in a file, its description lists what there is in the order of `forward`::

    [network]
    checkpoint = "net.pt"            # relative to this file; absent where the path is given
    timespan = 1.0                   # or "irregular"; of all layers that take an elapsed time
    ignore = ["critic.", "log_std"]  # keys, or beginnings of keys, that the answer does not need

    [[network.stage]]
    module = "normalise"             # (x - mean) / (std + epsilon)
    mean = "mean"                    # a key
    std = "std"                      # or variance = "...": (x - mean) / sqrt(variance + epsilon)
    epsilon = 0.0

    [[network.stage]]
    module = "torch.nn.Linear"
    prefix = "encoder."
    activation = "tanh"              # required: of what it answers; "identity" where there is none

    [[network.stage]]
    module = "ncps.torch.CfC"        # any recurrent module, with the keys of its own description
    prefix = "rnn."
    input_size = 12
    units = 32

    [[network.stage]]
    module = "activation"            # a function alone, as of what a recurrent layer answers
    activation = "relu"

    [[network.stage]]
    module = "torch.nn.BatchNorm1d"  # with its running statistics
    prefix = "norm."
    eps = 1e-5

    [[network.stage]]
    module = "torch.nn.LayerNorm"    # over the channels of a sample; or "torch.nn.RMSNorm"
    prefix = "layer_norm."           # absent where it has neither gain nor shift
    eps = 1e-5

    [[network.stage]]
    module = "torch.nn.Linear"
    prefix = "head."
    activation = "identity"          # softmax, log_softmax, sigmoid stay on the host at the end

    [[network.stage]]
    module = "scale"                 # factor * x + offset: numbers, lists of numbers, or keys
    factor = "y_std"
    offset = "y_mean"

Every key of the file belongs to a stage or to `ignore`. `[network]` may also have `state`, `name`
and `prefix`, which stands before the keys of all stages; what lies outside of it is named in the
network's source. What answers nothing at inference (Dropout, Identity) is no stage. Branches and
skips cannot be said: save the live module as `.l2n`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lnn2loihi.converters.files.description import (
    Description,
    Timespan,
    description_of,
    number,
    numbers_or_key,
    text,
    texts,
    times,
)
from lnn2loihi.converters.recurrent.family import FamilyImporter
from lnn2loihi.converters.recurrent.known import unknown_module
from lnn2loihi.errors import ImportNetworkError, Problems
from lnn2loihi.layers.activations import activation_problem
from lnn2loihi.printable import kind_of_value

#: Functions that stay on the host where they come last.
HOST = ("softmax", "log_softmax", "sigmoid")
#: What stands in a proposal where keys and shapes do not tell.
UNKNOWN = "?"
#: Most stages of a description.
MOST_STAGES = 256
#: The key of [network] that has the stages.
STAGE = "stage"

LINEAR, BATCH_NORM = "torch.nn.Linear", "torch.nn.BatchNorm1d"
LAYER_NORM, RMS_NORM = "torch.nn.LayerNorm", "torch.nn.RMSNorm"
NORMALISE, SCALE, ACTIVATION = "normalise", "scale", "activation"

#: Where keys belong that a description of a layer alone may have, and a stage may not.
_ELSEWHERE = {
    **dict.fromkeys(
        ("checkpoint", "state", "timespan", "name"), "belongs to the whole: write it into [network]"
    ),
    "readout": f'is a stage of its own here: write [[network.stage]] with module = "{LINEAR}", its '
    "prefix and its activation",
}
_MISSING = (
    ': write the function that is applied to its answer, or activation = "identity" where there '
    "is none"
)


@dataclass(frozen=True, kw_only=True)
class LinearStage(Description):
    """A map, and the function of its answer.

    Attributes:
        activation: its text, as `lnn2loihi.layers.activations` has it, or one of HOST.
    """

    activation: str = text(required=True, missing=_MISSING)


@dataclass(frozen=True, kw_only=True)
class ActivationStage(Description):
    """A function alone.

    Attributes:
        activation: its text, as `lnn2loihi.layers.activations` has it, or one of HOST.
        name: of the layer; the function's where absent.
    """

    activation: str = text(required=True, missing=': write activation = "tanh", for instance')


@dataclass(frozen=True, kw_only=True)
class BatchNormStage(Description):
    """A normalisation by running statistics.

    Attributes:
        eps: what PyTorch adds to the variance.
    """

    eps: float = number(default=1e-5)  # of torch.nn.BatchNorm1d


@dataclass(frozen=True, kw_only=True)
class LayerNormStage(Description):
    """A normalisation by the mean square of the channels of each sample.

    Attributes:
        eps: what PyTorch adds to the mean square; an RMSNorm has to say it, since its own default
            depends on the type of the numbers.
    """

    eps: float | None = number()

    @classmethod
    def translated(cls, values: dict[str, Any]) -> list[str]:
        """Puts the default in, where there is one."""
        if "eps" not in values and values.get("module") == RMS_NORM:
            return [
                "eps is missing: write what its module has, or 1.1920928955078125e-07, which is "
                "float32's own, where it has none"
            ]
        values.setdefault("eps", 1e-5)  # of torch.nn.LayerNorm
        return [] if values["eps"] > 0.0 else ["eps is 0; expected a number above 0"]


@dataclass(frozen=True, kw_only=True)
class NormaliseStage(Description):
    """(x - mean) / (std + epsilon), or (x - mean) / sqrt(variance + epsilon).

    Attributes:
        mean: key of the means.
        std: key of the deviations, or None.
        variance: key of their squares, or None.
        epsilon: what forward adds to either.
    """

    mean: str = text(required=True)
    std: str | None = text()
    variance: str | None = text()
    epsilon: float = number(default=0.0)

    @classmethod
    def translated(cls, values: dict[str, Any]) -> list[str]:
        """Says where there is not just one deviation."""
        if ("std" in values) == ("variance" in values):
            return ["give either std or variance, the key of what it divides by"]
        divisor = values.get("std", values.get("variance"))
        if divisor == values.get("mean"):
            return [f"mean and what it divides by are both the key {divisor!r:.120}"]
        return []


@dataclass(frozen=True, kw_only=True)
class ScaleStage(Description):
    """factor * x + offset.

    Attributes:
        factor: a number, a list with a number for each channel, or a key.
        offset: the same.
    """

    factor: Any = numbers_or_key(default=1.0)
    offset: Any = numbers_or_key(default=0.0)


#: Stages that are no recurrent layer, by what `module` is.
STAGES: Mapping[str, type[Description]] = {
    LINEAR: LinearStage,
    BATCH_NORM: BatchNormStage,
    LAYER_NORM: LayerNormStage,
    RMS_NORM: LayerNormStage,
    NORMALISE: NormaliseStage,
    SCALE: ScaleStage,
    ACTIVATION: ActivationStage,
}


@dataclass(frozen=True)
class Stage:
    """One stage, as described.

    Attributes:
        number: which it is, from 1 on.
        said: what its table says.
        importer: of the family of a recurrent layer; None for all else.
    """

    number: int
    said: Any
    importer: FamilyImporter | None = None

    def __str__(self) -> str:
        """For messages."""
        place = f" at {self.said.prefix!r:.120}" if self.said.prefix else ""
        return f"stage {self.number} ({self.said.module}{place})"

    @property
    def function(self) -> str | None:
        """The activation of a stage that has one, and is no recurrent layer."""
        return None if self.importer else getattr(self.said, "activation", None)


@dataclass(frozen=True, kw_only=True)
class StagesDescription(Description):
    """What a whole module does, stage by stage.

    Attributes:
        ignore: keys, or beginnings of keys that end in a dot, that no stage needs.
        stages: in the order of forward.
    """

    known_as: ClassVar[str] = "of [network] with stages"

    module: str = "a row of stages"
    timespan: Timespan | None = times()
    ignore: tuple[str, ...] = texts()
    stages: tuple[Stage, ...] = ()


def stages_of(
    path: Path, table: Mapping[str, Any], known: Sequence[FamilyImporter]
) -> StagesDescription:
    """Checks a description that has stages.

    Args:
        path: the file, for messages.
        table: its table [network].
        known: the families that recurrent layers may be of.

    Raises:
        ImportNetworkError: all that is wrong with any of them.
    """
    problems = Problems(ImportNetworkError, str(path))
    own = {key: value for key, value in table.items() if key not in (STAGE, "module")}
    if "module" in table:
        problems.add("module belongs into each stage, beside [[network.stage]]; leave it out above")
    said = None
    try:
        said = description_of(path, own, StagesDescription, {})
    except ImportNetworkError as error:
        problems.extend(error.problems)
    tables = table[STAGE]
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        problems.add("stage is no list of tables: write [[network.stage]] before each stage")
        tables = []
    elif not 1 <= len(tables) <= MOST_STAGES:
        problems.add(f"it has {len(tables)} stages, expected 1 to {MOST_STAGES}")
        tables = []
    stages: list[Stage] = []
    for count, one in enumerate(tables, start=1):
        try:
            stages.append(_stage(path, count, one, known))
        except ImportNetworkError as error:
            problems.extend(f"stage {count}: {problem}" for problem in error.problems)
    problems.extend(_function_problems(stages, len(tables)))
    problems.raise_if_any()
    assert said is not None
    values = {name: getattr(said, name) for name in StagesDescription.keys()}
    return StagesDescription(origin=said.origin, stages=tuple(stages), **values)


def _stage(path: Path, count: int, table: dict[str, Any], known: Sequence[FamilyImporter]) -> Stage:
    """One stage, by what its module is."""
    module = table.get("module")
    if not isinstance(module, str):
        has = "is missing" if module is None else f"is {kind_of_value(module)}, no string"
        raise ImportNetworkError(str(path), f"module {has}; {_modules()}")
    kind = STAGES.get(module)
    if kind is not None:
        # A function alone is a layer without keys, from which others have their names.
        own = {key: why for key, why in _ELSEWHERE.items() if (key, module) != ("name", ACTIVATION)}
        return Stage(count, description_of(path, table, kind, STAGES, own))
    for importer in known:
        if module in (*importer.modules, *importer.aliases):
            named = importer.aliases.get(module, module)
            kinds = {name: importer.description_for(name) for name in importer.modules}
            kind = kinds.get(named, importer.description)
            table = {**table, "module": named}
            return Stage(count, description_of(path, table, kind, kinds, _ELSEWHERE), importer)
    raise ImportNetworkError(str(path), f"{unknown_module(module)} {_advice(module)}")


def _modules() -> str:
    return f"a stage is a recurrent layer, or one of {', '.join(STAGES)}"


def _advice(module: str) -> str:
    last = module.rpartition(".")[2]
    if last.startswith(("Dropout", "Identity", "AlphaDropout")):
        return "It does nothing at inference: leave the stage out"
    if activation_problem(last.lower()) == "" or last.lower() in ("softmax", "logsoftmax"):
        return f'A function alone is module = "{ACTIVATION}" with activation = "..."'
    return f"Other stages are {', '.join(STAGES)}"


def _function_problems(stages: Sequence[Stage], count: int) -> list[str]:
    """What is wrong with the functions of stages."""
    found: list[str] = []
    for stage in stages:
        function = stage.function
        if function is None:
            continue
        if function == UNKNOWN:
            found.append(
                f'{stage}: activation is "?": write the function that forward applies to what it '
                'answers, "identity" where it applies none; the weights do not tell'
            )
        elif function in HOST:
            if stage.number != count and function != "sigmoid":
                found.append(
                    f"{stage}: activation is {function!r}, which stays on the host; it may only "
                    "come last"
                )
        elif wrong := activation_problem(function):
            found.append(f"{stage}: {wrong}; or, at the end, {', '.join(HOST)}")
    return found
