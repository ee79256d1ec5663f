"""Imports whole PyTorch modules: recurrent layers, normalisation, linear layers, activations.

A copy of the module runs on random samples of two lengths and batches, and everything that its
`forward` does with them is recorded (`lnn2loihi.converters.trace.record`): operators, and the parts
that are read as a whole. The samples are then followed through it (`reader`, `operators`, `moves`,
`recurrences`) as steps that become layers (`chain`). What is followed, in any number and order:

- recurrent layers, at least one, of any family: what is accepted of them is said beside its
  importer (`lnn2loihi/families/<name>/importer.py`; the output mapping of an LTC goes into the
  `Linear` that follows it); loops over their cells, or over a layer step by step, from zeros on;
- `Linear`, and `ReLU`, `Tanh`, `Sigmoid`, `SiLU` and `GELU`, as parts or as functions;
- `Identity`, `Dropout` and conversions between kinds of floating-point numbers;
- `BatchNorm1d` with its running statistics, `lnn2loihi.converters.normalise.Normalise(mean, std)`,
  and sums, differences, products and quotients with numbers, parameters and buffers, one for each
  feature: at the input they become the network's `input_offset` and `input_scale` (a negative
  factor goes into the weights), elsewhere they go into the weights next to them;
- whatever moves axes without mixing them, all features or some, the last step alone, and the last
  state of a layer where it is its last answer;
- at the end softmax, log_softmax or sigmoid over the outputs, which stays on the host and is named
  there (`LiquidNetwork.host`). A map that comes last is the readout.

All else that forward does with what it answers is refused by its own reason, with the line that
does it; what it computes in vain is passed over. Hooks are followed where they stand on a part, and
refused within a layer. A state that a fresh module keeps from call to call is named in the
network's `source`; one that an earlier call has left in it is refused.

Layers have the names under which the parts are registered, with `_` in place of dots: `rnn_layer_0`
is the first layer of the wiring of `rnn` (and `rnn_memory` the mixed memory of all its layers),
`layer_2` is part 2 of a `Sequential`; those of functions have the function's.

Last, module and network answer sequences of 300 samples, near and wide, in double precision; a
difference above 1e-6 of the size of an output is refused. A `Sequential` cannot pass on the tuple
that a CfC answers with, so one with a CfC before its end, and a `ModuleList`, are taken as what
they say: one part after the other, of a CfC the first of its answers. A `forward` may take
`timespans` (batch, time) and hand them to its recurrent layers; one without it runs at an elapsed
time of 1.0, which is what ncps takes, or at the given `timespan`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.converters.files.description import Timespan, checked_timespan
from lnn2loihi.converters.modules.chain import Chain
from lnn2loihi.converters.modules.check import compared
from lnn2loihi.converters.modules.classes import class_name, is_torch_module
from lnn2loihi.converters.modules.registered import (
    Part,
    accepted,
    does_nothing,
    host_module,
    is_container,
    parts_of,
)
from lnn2loihi.converters.modules.streams import GIVEN, Step
from lnn2loihi.converters.modules.wrapped import unwrapped_module
from lnn2loihi.converters.provenance import with_source
from lnn2loihi.converters.recurrent.known import is_recurrent
from lnn2loihi.errors import ImportNetworkError, NetworkError, Problems
from lnn2loihi.family import importer_of, importers
from lnn2loihi.network import LiquidNetwork

if TYPE_CHECKING:
    from lnn2loihi.converted.parts import ConvertedModule


class ModulesImporter:
    """Entry point `modules` of the group `lnn2loihi.importers`."""

    #: Asked last: it takes every module that no other importer takes, to say what is accepted.
    catch_all = True

    def recognises(self, source: object) -> bool:
        """Whether `source` is a PyTorch module other than a recurrent layer; imports nothing.

        Every such module is recognised, so that `load` can say what is accepted.
        """
        return is_torch_module(source) and not is_recurrent(unwrapped_module(source))

    def converts(self, source: object) -> bool:
        """Whether `source` is a PyTorch module, or a method of one."""
        return is_torch_module(getattr(source, "__self__", source))

    def convert(
        self, source: object, args: Sequence[Any], keywords: Mapping[str, Any]
    ) -> ConvertedModule:
        """See `lnn2loihi.convert`."""
        from lnn2loihi.converters.modules.converting import converted_module  # needs PyTorch

        return converted_module(source, args, keywords)

    @checks_kinds(ImportNetworkError)
    def load(
        self,
        source: object,
        *,
        timespan: Timespan | None = None,
        description: object = None,
        name: str | None = None,
    ) -> LiquidNetwork:
        """Turns a live module into a LiquidNetwork.

        Args:
            source: the module; it is left as it is. What only wraps one (`DataParallel`, what
                `torch.compile` makes, `AveragedModel`) stands for what it wraps.
            timespan: constant elapsed time between two samples, for every layer in it that takes
                one, or "irregular" where it comes with the samples; 1.0 where absent.
            description: goes with checkpoints only; leave it out.
            name: name of the network; else the class's in lower case.

        Raises:
            ImportNetworkError: lists every part that is not supported or damaged, or says by how
                much the network that was read off its forward answers otherwise.
        """
        source = unwrapped_module(source)
        subject = class_name(source)
        if description is not None:
            raise ImportNetworkError(subject, "a live module needs no description; leave it out")
        return _load(source, subject, checked_timespan(subject, timespan), name)


def _load(source: Any, subject: str, timespan: float | None, name: str | None) -> LiquidNetwork:
    if not is_torch_module(source) or not is_container(source):
        raise ImportNetworkError(
            subject,
            "this class cannot be imported; give a recurrent layer (ncps.torch.CfC, for instance), "
            f"or a module that holds one among others: {accepted()}",
        )
    registered = list(parts_of(source))
    recurrent = [part for part in registered if is_recurrent(part.module)]
    if not recurrent:
        known = [said for _, family in importers() if (said := family.refusal(source))]
        raise ImportNetworkError(
            subject,
            known or [f"it holds no recurrent layer; {accepted()}", *_part_problems(registered)],
        )
    follower, followed = _followed(source, subject, registered)
    reading = followed.reading
    chain = Chain(followed.inputs)
    parts = dict(source.named_modules())
    chain.build(reading.steps, parts, reading.dropouts)
    problems = Problems(ImportNetworkError, subject)
    found = list(dict.fromkeys((*reading.problems, *chain.problems)))
    if reading.problems:
        places = " or ".join(f"module.{part.path}" for part in recurrent[:8])
        found[-1] += (
            ". Or lnn2loihi.convert(module, x), which keeps on the host what no network does. Or "
            f"import the recurrent layer alone: give {places}"
        )
    problems.extend(found)
    problems.extend(_timespan_problems(reading.steps, parts, timespan, follower.timed))
    for family in dict.fromkeys(chain.families):
        problems.extend([] if timespan is None else family.timespan_problems(timespan))
    if not problems and not chain.families:
        problems.add("its answer does not depend on a recurrent layer; give a module that uses one")
    problems.raise_if_any()
    try:
        network = LiquidNetwork(
            name or type(source).__name__.lower(),
            tuple(chain.layers),
            chain.readout,
            timespan,
            host=tuple(chain.host),
            dropout=chain.dropout,
            **chain.normalisation,
        )
    except NetworkError as error:
        raise ImportNetworkError(subject, error.problems) from error
    _compare(follower, network, reading, subject)
    said = {"importer": "modules", "class": subject}
    if followed.kept:
        said["state kept in the module"] = f"{', '.join(followed.kept)}: zeros before each sequence"
    if reading.constants:
        said["answers that are constant, and no part of the network"] = ", ".join(
            map(str, reading.constants)
        )
    versions = {key: text for family in chain.families for key, text in family.versions().items()}
    return with_source(network, {**said, **versions})


def _followed(source: Any, subject: str, registered: list[Part]) -> tuple[Any, Any]:
    """What forward does, and the copy that runs.

    Raises:
        ImportNetworkError: it cannot be run or followed; parts that could not be imported anyway
            are named then.
    """
    from lnn2loihi.converters.modules.follow import Follower
    from lnn2loihi.converters.trace.record import CannotRunError
    from lnn2loihi.converters.trace.recorder import CannotFollowError
    from lnn2loihi.converters.trace.runner import CannotCopyError

    try:
        follower = Follower(source)
    except CannotCopyError as error:
        raise ImportNetworkError(subject, [str(error), *_part_problems(registered)]) from error
    try:
        return follower, follower.follow()
    except CannotFollowError as error:
        raise ImportNetworkError(subject, str(error)) from error
    except CannotRunError as error:
        # A part that is of no use here is often why, if it was reached; what comes after it is then
        # not reached, and named all the same.
        entered = follower.entered()
        reached = _part_problems([part for part in registered if part.path in entered])
        found = _part_problems(registered) if reached else []
        # What an earlier call left in it is as likely a reason.
        found = found if found and not follower.held() else [str(error), *found]
        raise ImportNetworkError(subject, found) from error


def _compare(follower: Any, network: LiquidNetwork, reading: Any, subject: str) -> None:
    """Refuses a network that answers otherwise than the module."""
    from lnn2loihi.converters.trace.record import CannotRunError

    try:
        differences = compared(follower.run, network, reading.steps, reading.last)
    except CannotRunError as error:
        differences = [str(error)]
    if differences:
        raise ImportNetworkError(subject, differences)


def _part_problems(registered: list[Part]) -> list[str]:
    """What is wrong with each part by itself."""
    found: list[str] = []
    for part in registered:
        chain = Chain()
        if not does_nothing(part.module) and not host_module(part.module):
            chain.build([Step("part", path=part.path)], {part.path: part.module})
        found += chain.problems
    return found


def _takes_time(module: Any) -> bool:
    importer = importer_of(module)
    return importer is not None and importer.takes_time


def _timespan_problems(
    steps: Sequence[Step], parts: Mapping[str, Any], timespan: float | None, takes_timespans: bool
) -> list[str]:
    """Where forward gives a recurrent layer another elapsed time than the network has."""
    found: list[str] = []
    timed = [step for step in steps if step.kind == "part" and _takes_time(parts[step.path])]
    given = [step.path for step in timed if step.elapsed == GIVEN]
    others = [step.path for step in timed if step.elapsed is None]
    if others and given:
        found.append(
            f"forward gives its timespans to {', '.join(given)}, but not to {', '.join(others)}; "
            "all layers of a network have the same elapsed time"
        )
    elif others and takes_timespans and timespan is None:
        found.append(f"forward takes timespans, but does not give them to {', '.join(others)}")
    for step in timed:
        if isinstance(step.elapsed, float) and step.elapsed != timespan:
            has = "irregular" if timespan is None else f"{timespan:g}"
            found.append(
                f"{step.path} is given an elapsed time of {step.elapsed:g} ({step.line}), and that "
                f"of the network is {has}; give timespan={step.elapsed:g}"
            )
    return found
