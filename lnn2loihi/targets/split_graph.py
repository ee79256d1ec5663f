"""The target `split_graph`: units of CfCs as several neurons with at most two accumulators each.

Nothing takes turns, and no message is delayed but to let paths meet, so sequences interleave. A
unit becomes a neuron for each head, one for the gated part of the state and one for the state, and
where time is irregular one more for each part of the time gate:

    ff1, ff2  f = tanh(...)                                   Q14
    rate      time_a times the elapsed time                   irregular time only
    base      time_b                                          irregular time only
    blend     tau = tanh(time), or of rate + base; tau (f2 - f1), or without gate tau f2
    the unit  f1 + f2 + blend, or without gate 2 f1 + f2 + blend; rounded as before

They are parts of the unit's own program, so every word of it is what it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from lnn2loihi.errors import Problems, ProgramError
from lnn2loihi.formats import FixedPoint
from lnn2loihi.graph.schedule import derive_schedule, matched_delays
from lnn2loihi.neurons.bounds import IntegerInterval, prove
from lnn2loihi.neurons.instructions import Bound, Instruction, NeuronProgram
from lnn2loihi.neurons.parts import part_of
from lnn2loihi.program import AnyConnection, Connection, LoihiProgram, Population
from lnn2loihi.targets.fused import UNPROVED
from lnn2loihi.targets.split import rows_of
from lnn2loihi.targets.target import Target

#: Most accumulators of a neuron.
MOST = 2
#: Accumulators of a CfC's unit, with constant and with irregular time.
_CONSTANT = ("ff1", "ff2", "time")
_IRREGULAR = ("ff1", "ff2", "time_a", "elapsed", "time_b")
#: Words of its program: what the heads add up to, and the argument of the gate.
_DOUBLED, _GATE = "new_state", "time.gate"
#: Accumulators of what other neurons of the unit send; that of the gated part gets the heads.
_SUMS = {_DOUBLED: "total", _GATE: "gate"}


@dataclass(frozen=True)
class _Neuron:
    """A neuron of a unit.

    Attributes:
        name: beside the unit's; empty for the one that has the unit's state.
        sent: the word that it sends.
        sums: for each of its accumulators that other neurons of the unit feed the weight of each.
    """

    name: str
    sent: str
    sums: Mapping[str, Mapping[str, int]]


def graph_of_units(program: LoihiProgram) -> LoihiProgram:
    """The same with neurons of at most two accumulators, units of CfCs as several of them.

    Raises:
        ProgramError: the units of a population with more accumulators are no CfC's; names all.
    """
    wide = [p for p in program.populations if len(p.program.accumulators) > MOST]
    if not wide:
        return program
    problems = Problems(ProgramError, f"program {program.name!r}")
    for p in wide:
        if not _is_cfc(p.program):
            problems.add(
                f"{p.name}: its neuron program {p.program.name!r} has "
                f"{len(p.program.accumulators)} accumulators, the limit is {MOST}, and only units "
                "of CfCs are made of several neurons; use the target split or split_one, which "
                "take every family"
            )
    problems.raise_if_any()
    populations: list[Population] = []
    connections: list[AnyConnection] = []
    for p in program.populations:
        if p not in wide:
            populations.append(p)
            connections += program.incoming(p.name)
            continue
        made, inside = _unit(program, p)
        populations += made
        connections += [*inside, *_from_outside(program, p, made)]
    names = [p.name for p in populations]
    matched = matched_delays(program.input.name, names, connections)
    interleave = program.schedule.interleave
    schedule = derive_schedule(program.input.name, names, matched, interleave)
    return replace(program, populations=tuple(populations), connections=matched, schedule=schedule)


def _is_cfc(program: NeuronProgram) -> bool:
    return program.name.split()[0] == "cfc" and sorted(program.accumulators) in (
        sorted(_CONSTANT), sorted(_IRREGULAR),
    )  # fmt: skip


def _unit(
    program: LoihiProgram, population: Population
) -> tuple[list[Population], list[Connection]]:
    """The populations of a population's units, and the connections among them."""
    whole = population.program
    sums = program.accumulator_intervals(population.name)
    read = {i.result: str(i.operands[0]) for i in whole.instructions if i.opcode == "RDC"}
    made: dict[str, Population] = {}
    inside: list[Connection] = []
    eye = np.eye(population.size, dtype=np.int64)
    for neuron in _neurons(whole):
        heard = {**read, **{word: _SUMS.get(word, "heads") for word in neuron.sums}}
        for word, weights in neuron.sums.items():
            sums[heard[word]] = _sum(made, weights)
        if neuron.name:
            part = part_of(whole, f"{whole.name} {neuron.name}", neuron.sent, heard)
            one = _sender(population, neuron.name, part, sums)
        else:
            part = _state_part(population, neuron.sent, heard)
            one = replace(population, program=part, parameters=_parameters(population, part))
        made[neuron.name] = one
        for word, weights in neuron.sums.items():
            inside += [
                Connection.from_dense(made[source].name, one.name, (heard[word],), weight * eye)
                for source, weight in weights.items()
            ]
    return list(made.values()), inside


def _sum(made: Mapping[str, Population], weights: Mapping[str, int]) -> IntegerInterval:
    """The interval of a sum of messages with these weights."""
    ends = [
        sorted((weight * made[source].message_low, weight * made[source].message_high))
        for source, weight in weights.items()
    ]
    # Each may be silent, too.
    low, high = (sum(end) for end in zip(*((min(a, 0), max(b, 0)) for a, b in ends), strict=True))
    return IntegerInterval.of(low, high)


def _sender(
    population: Population,
    name: str,
    part: NeuronProgram,
    sums: Mapping[str, IntegerInterval],
) -> Population:
    """A population of neurons without a state, with the bound that its part of the program has."""
    parameters = _parameters(population, part)
    own = {a: sums[a] for a in part.accumulators}
    low, high = prove(part, own, parameters).words["message'"].hull
    bits = max(int(high).bit_length(), int(-low - 1).bit_length() if low < 0 else 0) + 1
    return Population(
        f"{population.name}.{name}", part, parameters, {}, FixedPoint(bits, 0), int(low),
        int(high), population.size,
    )  # fmt: skip


def _parameters(population: Population, part: NeuronProgram) -> dict[str, np.ndarray]:
    return {name: population.parameters[name] for name, _ in part.parameters}


def _state_part(population: Population, sent: str, heard: Mapping[str, str]) -> NeuronProgram:
    """The part that has the state. What bounds it from below, that the factors of the sum are
    independent, cannot be seen here: a clamp that never acts states it.
    """
    low, state = population.message_low, population.program.message_state
    clamp = (
        Instruction("LT", "below", (sent, low)),
        Instruction("SEL", "clamped", ("below", low, sent)),
    )
    part = part_of(
        population.program, f"{population.program.name} state", sent, heard, clamp, state
    )
    return replace(part, bounds=(*part.bounds, Bound("clamped", low, None, "clamp")))


def _neurons(program: NeuronProgram) -> list[_Neuron]:
    """The neurons of a unit, those first that are heard by others."""
    made = {i.result: i for i in program.instructions}
    last = {
        scope: [w for w in made if w.startswith(f"{scope}.")][-1]
        for scope in ("ff1", "ff2", "time")
    }
    heads = {last[scope]: scope for scope in ("ff1", "ff2")}
    (blend,) = (
        i for i in program.instructions if i.opcode == "MUL_SHR" and last["time"] in i.operands
        and not i.result.startswith("time.")
    )  # fmt: skip
    (factor,) = (str(o) for o in blend.operands if o != last["time"])
    neurons = [_Neuron(name, word, {}) for word, name in heads.items()]
    sums = {factor: dict(_form(factor, made, heads))}
    if "elapsed" in program.accumulators:
        parts = [str(o) for o in made[_GATE].operands]
        neurons += [_Neuron("rate", parts[0], {}), _Neuron("base", parts[1], {})]
        sums[_GATE] = {"rate": 1, "base": 1}
    neurons.append(_Neuron("blend", blend.result, sums))
    total = _form(_DOUBLED, made, {**heads, blend.result: "blend"})
    message = next(str(i.operands[0]) for i in program.instructions if i.opcode == "SPIKE")
    return [*neurons, _Neuron("", message, {_DOUBLED: dict(total)})]


def _form(word: str, made: Mapping[str, Instruction], known: Mapping[str, str]) -> dict[str, int]:
    """A word as a sum of others: for each of these its weight."""
    if word in known:
        return {known[word]: 1}
    instruction = made[word]
    sign = -1 if instruction.opcode == "NEG" else 1
    found: dict[str, int] = {}
    for operand in instruction.operands:
        for name, weight in _form(str(operand), made, known).items():
            found[name] = found.get(name, 0) + sign * weight
    return found


def _from_outside(
    program: LoihiProgram, population: Population, made: list[Population]
) -> Iterator[Connection]:
    """The connections into a population, each to the neurons that have its accumulators now."""
    size = population.size
    for c in program.incoming(population.name):
        for target in made:
            fed = [a for a in c.accumulators if a in target.program.accumulators]
            if fed:
                places = [c.accumulators.index(a) for a in fed]
                rows = np.concatenate([np.arange(k * size, (k + 1) * size) for k in places])
                yield replace(rows_of(c, tuple(fed), rows), target=target.name)


SPLIT_GRAPH = Target("split_graph", passes=(graph_of_units,), exporter="lava", unproved=UNPROVED)
