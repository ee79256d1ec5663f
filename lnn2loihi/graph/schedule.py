"""When populations update: two clocks, samples and chip steps, and how they belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from lnn2loihi.arguments import checks_fields, checks_kinds
from lnn2loihi.errors import Problems, ProgramError
from lnn2loihi.frozen import read_only_mapping
from lnn2loihi.graph.convolution import AnyConnection
from lnn2loihi.neurons.turns import Turns
from lnn2loihi.showing import Shown

#: No accumulators take turns.
NO_TURNS: Mapping[str, Turns] = MappingProxyType({})


@checks_fields(ProgramError)
@dataclass(frozen=True)
class Schedule(Shown):
    """When the input sends and each population updates, in chip steps.

    The input sends sample s of a sequence in step first_input + s * period. Population p updates
    in the steps first_valid[p] + s * period, and sends what it makes of the sample. What the
    recurrence needs before the first sample, the initial state, it sends one period earlier. In
    all other steps it is silent, and what arrives is dropped.

    Where accumulators take turns (see `lnn2loihi.neurons.turns`), first_valid is the step of the
    update, in which the last of them arrive; the others arrive in the steps before it.

    With `interleave` above 1, so many independent sequences take turns: sequence k runs k steps
    later, on its own copy of every state word.

    Attributes:
        period: initiation interval: chip steps between two samples of a sequence.
        first_valid: for each population the step of its first update.
        first_input: step of the first sample.
        interleave: independent sequences that share the chip, 1 to period.
    """

    period: int
    first_valid: Mapping[str, int]
    first_input: int = 0
    interleave: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "first_valid", read_only_mapping(self.first_valid))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Schedule):
            return NotImplemented
        return self._key() == other._key()

    def _key(self) -> tuple[object, ...]:
        return self.period, dict(self.first_valid), self.first_input, self.interleave

    @checks_kinds()
    def steps(self, samples: int) -> int:
        """Chip steps from the first to the last population's last update, of all interleaved
        sequences.
        """
        last = max(self.first_valid.values(), default=0)
        return (samples - 1) * self.period + last + 1 + (self.interleave - 1)

    def turn(self, step: int, first: int) -> tuple[int, int] | None:
        """Which sample of which interleaved sequence is due; -1 is the initial state.

        Args:
            step: chip step.
            first: first step of the population or the input.

        Returns:
            (sample, sequence), or None where nothing is due.
        """
        sample, sequence = divmod(step - first, self.period)
        return (sample, sequence) if sample >= -1 and sequence < self.interleave else None


def _places(input_name: str, names: Sequence[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate((input_name, *names))}


def is_recurrent(connection: AnyConnection, places: Mapping[str, int]) -> bool:
    """Whether a connection carries the messages of the sample before: it goes back."""
    return _goes_back((connection.source, connection.target), places)


def _goes_back(pair: tuple[str, str], places: Mapping[str, int]) -> bool:
    return places[pair[0]] >= places[pair[1]]


def delays_of(
    input_name: str,
    names: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    leads: Sequence[int] | None = None,
    least_period: int = 1,
) -> list[int]:
    """For each pair of a source and its target the delay that makes all paths meet.

    Populations update as soon as their last input can be there; the initiation interval is the
    length of the longest loop.

    Args:
        input_name: name of the input port.
        names: populations in the order in which they follow each other within a sample.
        pairs: who sends to whom.
        leads: for each pair how many steps before the update of its target it has to be there; 0
            by default.
        least_period: what the initiation interval is at least.
    """
    places = _places(input_name, names)
    early = [0] * len(pairs) if leads is None else leads
    first = {input_name: 0}
    heard: dict[str, list[tuple[str, int]]] = {name: [] for name in names}
    for (source, target), lead in zip(pairs, early, strict=True):
        if not _goes_back((source, target), places):
            heard[target].append((source, lead))
    for name in names:
        # What hears nothing within a sample sends constants with it, as the input does.
        first[name] = max((1 + first[source] + lead for source, lead in heard[name]), default=0)
    loops = [
        1 + first[source] + lead - first[target]
        for (source, target), lead in zip(pairs, early, strict=True)
        if _goes_back((source, target), places)
    ]
    period = max([least_period, *loops])
    return [
        first[target] - lead - first[source] - 1
        + (period if _goes_back((source, target), places) else 0)
        for (source, target), lead in zip(pairs, early, strict=True)
    ]  # fmt: skip


def matched_delays(
    input_name: str,
    names: Sequence[str],
    connections: Sequence[AnyConnection],
    turns: Mapping[str, Turns] = NO_TURNS,
) -> tuple[AnyConnection, ...]:
    """The connections with the delays that make all paths meet; see `delays_of`.

    Args:
        input_name: name of the input port.
        names: populations in the order in which they follow each other within a sample.
        connections: all connections, whatever their delays; none of them feeds accumulators that
            arrive in different steps.
        turns: of the populations whose accumulators take turns.
    """
    pairs = [(c.source, c.target) for c in connections]
    leads = [max(_leads(c, turns), default=0) for c in connections]
    delays = delays_of(input_name, names, pairs, leads, _longest_turns(turns))
    return tuple(replace(c, delay=d) for c, d in zip(connections, delays, strict=True))


def _leads(connection: AnyConnection, turns: Mapping[str, Turns]) -> set[int]:
    """How many steps before the update the accumulators of a connection are read."""
    own = turns.get(connection.target)
    return {0} if own is None else {own.leads.get(a, 0) for a in connection.accumulators}


def _longest_turns(turns: Mapping[str, Turns]) -> int:
    return max((own.steps for own in turns.values()), default=1)


def derive_schedule(
    input_name: str,
    names: Sequence[str],
    connections: Sequence[AnyConnection],
    interleave: int = 1,
    turns: Mapping[str, Turns] = NO_TURNS,
) -> Schedule:
    """The schedule that follows from the connections and their delays.

    A population that nobody feeds sends when the input does; whether it may be one is for the
    program to say.

    Args:
        input_name: name of the input port.
        names: populations in the order in which they follow each other within a sample.
        connections: all connections.
        interleave: independent sequences that take turns.
        turns: of the populations whose accumulators take turns.

    Raises:
        ProgramError: paths of different length meet without a delay that matches them, loops
            take different numbers of steps, more sequences are to be interleaved than fit, or
            accumulators that take turns would meet.
    """
    problems = Problems(ProgramError, "schedule")
    places = _places(input_name, names)
    known = [c for c in connections if c.source in places and c.target in places]
    leads: dict[int, int] = {}
    for c in known:
        steps_before = _leads(c, turns)
        leads[id(c)] = max(steps_before, default=0)
        if len(steps_before) > 1:
            problems.add(
                f"{c.name}: feeds accumulators that arrive in different steps; make a connection "
                "for each step"
            )
    sent = {input_name: 0}
    for name in names:
        heard = [c for c in known if c.target == name]
        arrivals = [
            (c.name, sent[c.source] + 1 + c.delay + leads[id(c)])
            for c in heard
            if not is_recurrent(c, places)
        ]
        steps = {step for _, step in arrivals}
        if heard and not arrivals:
            problems.add(f"{name} gets no input from any earlier stage")
        if len(steps) > 1:
            paths = ", ".join(f"{path} in step {step}" for path, step in arrivals)
            problems.add(
                f"{name}: samples arrive in different steps ({paths}); delay the shorter paths"
            )
        # What hears nothing at all sends constants, when the input sends.
        sent[name] = max(steps, default=1 if heard else 0)
    loops = {
        (c.name, c.accumulators): 1 + c.delay + leads[id(c)] + sent[c.source] - sent[c.target]
        for c in known
        if is_recurrent(c, places)
    }
    least = _longest_turns(turns)
    period = max([least, *loops.values()])
    if len(set(loops.values())) > 1:
        lengths = ", ".join(f"{name} takes {length} steps" for (name, _), length in loops.items())
        problems.add(f"loops of different length ({lengths}); delay the shorter ones")
    elif loops and period not in loops.values():
        problems.add(
            f"accumulators arrive in {least} steps, loops take {max(loops.values())}; delay the "
            "loops"
        )
    if least > 1 and interleave > 1:
        slow = ", ".join(name for name, own in turns.items() if own.steps > 1)
        problems.add(
            f"{interleave} interleaved sequences would meet on the ports of {slow}, where "
            "accumulators take turns; run one"
        )
    if not 1 <= interleave <= period:
        problems.add(
            f"{interleave} interleaved sequences; its initiation interval of {period} steps has "
            f"room for 1 to {period}"
        )
    problems.raise_if_any()
    # The initial state is sent a period before the first update, and no step comes before 0.
    senders = [c.source for c in known if is_recurrent(c, places)]
    wait = max((period - sent[name] for name in senders), default=0)
    wait = max(wait, 0)
    return Schedule(period, {name: sent[name] + wait for name in names}, wait, interleave)
