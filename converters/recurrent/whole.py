"""Makes one network of a state_dict and the stages that its description lists.

The stages become the steps that `lnn2loihi.converters.modules.chain` puts together, as it does with
what the forward of a live module was seen to do: the network is the same, down to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lnn2loihi.converters.files.arrays import listing
from lnn2loihi.converters.files.description import Timespan, checked_timespan
from lnn2loihi.converters.files.tensor import Tensor
from lnn2loihi.converters.files.wrappers import unwrapped
from lnn2loihi.converters.modules.chain import Chain
from lnn2loihi.converters.modules.streams import Step
from lnn2loihi.converters.provenance import with_source
from lnn2loihi.converters.recurrent.stage_arrays import ReadStage, read_stage
from lnn2loihi.converters.recurrent.stages import (
    ACTIVATION,
    BATCH_NORM,
    LAYER_NORM,
    LINEAR,
    RMS_NORM,
    Stage,
    StagesDescription,
)
from lnn2loihi.errors import ImportNetworkError, NetworkError, Problems
from lnn2loihi.network import LiquidNetwork

_IDENTITY = "identity"


def network_of_stages(
    subject: str,
    tensors: Mapping[str, Tensor],
    said: StagesDescription,
    timespan: Timespan | None,
    name: str,
    origin: Mapping[str, str],
) -> LiquidNetwork:
    """The network that a description says.

    Args:
        subject: what errors are about.
        tensors: by key.
        said: the description.
        timespan: goes before the description's.
        name: of the network.
        origin: of the file, for the network's source.

    Raises:
        ImportNetworkError: lists all that does not fit: keys that are missing, that two stages
            take or that none does, shapes, sizes of stages in a row.
    """
    own, before = _unwrapped(tensors, said)
    inside = {k[len(said.prefix) :]: t for k, t in own.items() if k.startswith(said.prefix)}
    outside = [key for key in own if not key.startswith(said.prefix)]
    reading = read_stages(subject, inside, said)
    problems = Problems(ImportNetworkError, subject)
    if not inside:
        problems.add(f"no key begins with the prefix {said.prefix!r:.120} of {said.origin}")
    problems.extend(reading.problems)
    elapsed = _elapsed(subject, said, timespan, problems)
    problems.raise_if_any()
    chain = _chain(reading.stages)
    problems.extend(list(dict.fromkeys(chain.problems)))
    problems.raise_if_any()
    try:
        network = LiquidNetwork(
            name, tuple(chain.layers), chain.readout, elapsed,
            host=tuple(chain.host), **chain.normalisation,
        )  # fmt: skip
    except NetworkError as error:
        raise ImportNetworkError(subject, error.problems) from error
    notes = {"ignored": reading.ignored, f"outside of {said.prefix}": outside}
    left = {place: listing(keys) for place, keys in notes.items() if keys}
    left |= {"inside of": before} if before else {}
    versions = {key: text for one in chain.families for key, text in one.versions().items()}
    return with_source(network, {"importer": "stages", **origin, **versions, **left})


def _unwrapped(
    tensors: Mapping[str, Tensor], said: StagesDescription
) -> tuple[Mapping[str, Tensor], str]:
    """The tensors by the keys that a description means, and what wrappers have put before these;
    nothing is taken off where its stages say it too.
    """
    places = [stage.said.prefix for stage in said.stages if _by_prefix(stage)]
    places += [key for stage in said.stages for key in _named_keys(stage)]
    whole = tuple(said.prefix + place for place in places if place)
    if whole and any(key.startswith(whole) for key in tensors):
        return tensors, ""
    return unwrapped(tensors, said.prefix)


@dataclass(frozen=True)
class Reading:
    """All stages with their arrays.

    Attributes:
        stages: in the order of forward.
        left: keys that no stage takes and that are not ignored.
        ignored: keys that no stage takes and that are.
        problems: everything that is wrong.
    """

    stages: tuple[ReadStage, ...]
    left: tuple[str, ...]
    ignored: tuple[str, ...]
    problems: tuple[str, ...]


def read_stages(subject: str, tensors: Mapping[str, Tensor], said: StagesDescription) -> Reading:
    """Reads the arrays of all stages, and says everything that is wrong with them.

    Args:
        subject: what a faulty importer of a family is said to have been asked about.
        tensors: by key, without the prefix of the whole.
        said: the description.
    """
    ignored = [key for key in tensors if any(_covers(one, key) for one in said.ignore)]
    unknown = dict(tensors)
    for key in ignored:
        del unknown[key]
    problems: list[str] = []
    taken: dict[str, Stage] = {}
    stages: list[ReadStage] = []
    for stage in said.stages:
        own = _own(stage, said.stages, unknown)
        read = read_stage(subject, stage, own)
        prefix = stage.said.prefix
        lost = [key for key in ignored if prefix and key.startswith(prefix)]
        if read.problems and lost:
            read.problems.append(f"ignore leaves out {listing(lost)}")
        others = {taken[key].number: taken[key] for key in own if key in taken}
        problems += [
            f"{other} and {stage} take the same keys; a layer that forward uses twice cannot be "
            "described, so save the live module in Python: "
            'l2l.save(l2l.import_network(module), "net.l2n")'
            for other in others.values()
            # Means and deviations may come again: what is normalised before is scaled back after.
            if _by_prefix(stage) or _by_prefix(other)
        ]
        taken |= dict.fromkeys(own, stage)
        stages.append(read)
    problems += [f"{one.stage}: {problem}" for one in stages for problem in one.problems]
    problems += _size_problems(stages)
    if not any(one.stage.importer for one in stages):
        problems.append("none of its stages is a recurrent layer; at least one is needed")
    left = tuple(key for key in unknown if key not in taken)
    if left:
        problems.append(
            f"keys that no stage takes: {listing(left)}; describe them as stages, or, where the "
            f"answer does not depend on them, write ignore = [...] into [network] of {said.origin}"
        )
    problems += [
        f"ignore names {one!r:.120}, and no key is or begins so"
        for one in said.ignore
        if not any(_covers(one, key) for key in tensors)
    ]
    return Reading(tuple(stages), left, tuple(ignored), tuple(problems))


def _own(stage: Stage, stages: Sequence[Stage], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a stage takes: the keys that it names, or all behind its prefix that no other stage
    names or has a longer prefix of.
    """
    if not _by_prefix(stage):
        return {key: tensors[key] for key in _named_keys(stage) if key in tensors}
    prefix = stage.said.prefix
    named = {key for other in stages for key in _named_keys(other)}
    prefixes = (other.said.prefix for other in stages if _by_prefix(other))
    deeper = tuple(one for one in prefixes if one != prefix and one.startswith(prefix))

    def elsewhere(key: str) -> bool:
        # A key beside the weights of a layer is its own, whoever names it too.
        own = key[len(prefix) :]
        beside = "." not in own and (prefix != "" or own in ("weight", "bias"))
        return key.startswith(deeper) or (key in named and not beside)

    return {
        key: tensor
        for key, tensor in tensors.items()
        if key.startswith(prefix) and not elsewhere(key)
    }


def _covers(ignored: str, key: str) -> bool:
    """Whether an entry of `ignore` is a key, or what it begins with."""
    return key == ignored or (ignored.endswith(".") and key.startswith(ignored))


def _by_prefix(stage: Stage) -> bool:
    """Whether a stage takes all keys behind its prefix."""
    norms = (LAYER_NORM, RMS_NORM) if stage.said.prefix else ()
    return stage.importer is not None or stage.said.module in (LINEAR, BATCH_NORM, *norms)


def _named_keys(stage: Stage) -> Iterator[str]:
    """The keys that a stage names one by one."""
    if not _by_prefix(stage) and stage.said.module not in (ACTIVATION, LAYER_NORM, RMS_NORM):
        for name in ("mean", "std", "variance", "factor", "offset"):
            if isinstance(key := getattr(stage.said, name, None), str):
                yield stage.said.prefix + key


def _size_problems(stages: Sequence[ReadStage]) -> list[str]:
    """Where a stage hears another number of channels than it takes."""
    found: list[str] = []
    width: int | None = None
    giver: Stage | None = None
    for one in stages:
        if None not in (width, one.inputs) and width != one.inputs:
            found.append(
                f"{one.stage} takes {one.inputs} channels, and {giver} answers with {width}"
            )
        if one.outputs is not None:
            width, giver = one.outputs, one.stage
        elif one.problems or one.weight is not None:
            width, giver = None, None
    return found


def _elapsed(
    subject: str, said: StagesDescription, timespan: Timespan | None, problems: Problems
) -> float | None:
    """The elapsed time of the network."""
    given = said.timespan if timespan is None else timespan
    timed = [one for one in said.stages if one.importer and one.importer.takes_time]
    if not timed:
        if given not in (None, 1.0):
            problems.add(
                f"timespan is {given}, but none of its layers takes an elapsed time; leave it out, "
                "or give it to the network as an input of its own"
            )
        return 1.0
    asks = next((one.said for one in timed if one.said.default_timespan is None), None)
    try:
        elapsed = checked_timespan(subject, given, asks)
    except ImportNetworkError as error:
        problems.extend(error.problems)
        return 1.0
    for one in timed:
        assert one.importer is not None
        wrong = [] if elapsed is None else one.importer.timespan_problems(elapsed)
        problems.extend([f"{one}: {problem}" for problem in wrong])
    return elapsed


def _chain(stages: Sequence[ReadStage]) -> Chain:
    """The layers of all stages."""
    widths = _widths(stages)
    chain = Chain(widths[0])
    steps: list[Step] = []
    parts: dict[str, Any] = {}
    for one, width in zip(stages, widths, strict=True):
        said, function = one.stage.said, one.stage.function
        path = said.prefix.removesuffix(".") or said.module.rpartition(".")[2].lower()
        if one.parts is not None:
            key = str(one.stage.number)
            parts[key] = (one.stage.importer, one.parts)
            steps.append(Step("layers", path, path=key))
        elif one.weight is not None:
            assert one.offset is not None
            weight = np.ascontiguousarray(one.weight).tobytes()
            steps.append(Step("map", path, weight=weight, offset=tuple(one.offset.tolist())))
        elif one.factor is not None:
            assert one.offset is not None
            if width is None:
                chain.problems.append(
                    f"{one.stage}: nothing says how many channels it has; give a list of numbers"
                )
                continue
            factor = tuple(np.broadcast_to(one.factor, (width,)).tolist())
            offset = tuple(np.broadcast_to(one.offset, (width,)).tolist())
            if one.norm is None:
                steps.append(Step("affine", path, factor=factor, offset=offset))
            else:
                steps.append(
                    Step("norm", one.norm, path, factor=factor, offset=offset, epsilon=said.eps)
                )
        if function not in (None, _IDENTITY):
            steps.append(Step("activation", function, path=getattr(said, "name", None) or ""))
    chain.build(steps, parts)
    return chain


def _widths(stages: Sequence[ReadStage]) -> list[int | None]:
    """For each stage how many channels it hears: what the one before answers with, else what the
    next one that says it takes.
    """
    found: list[int | None] = []
    width: int | None = None
    for number, one in enumerate(stages):
        following = (other.inputs for other in stages[number:] if other.inputs is not None)
        width = next(following, None) if width is None else width
        found.append(width)
        width = one.outputs or width
    return found
