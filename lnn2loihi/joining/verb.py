"""Join: a front and a core as one program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.errors import Problems, ProgramError
from lnn2loihi.formats import FixedPoint
from lnn2loihi.graph.schedule import derive_schedule, matched_delays
from lnn2loihi.joining.bridge import ANSWER, Bridge, bridge
from lnn2loihi.neurons.parts import followed
from lnn2loihi.program import AnyConnection, Connection, InputPort, LoihiProgram, Population

#: Name of the population that stands between two programs, where one is needed.
BRIDGE = "bridge"
Chosen = npt.NDArray[np.bool_]
#: What names of the core begin with, where the front has the same.
CORE = "core."


@checks_kinds()
def join(front: LoihiProgram, core: LoihiProgram, *, name: str | None = None) -> LoihiProgram:
    """One program of two: the core hears what the front answers.

    The core's input port is gone. The neurons that answer in the front send their answers in its
    units: rounded half up, held within the range of each channel, and counted as `answer` among
    the saturated words where they leave it, as the port would. Where others hear those neurons as
    well, a population `bridge` does so. It is what running the front, decoding, encoding and
    running the core one after the other is, bit for bit, where a step of the answers is a power of
    two times a step of the inputs; elsewhere inputs may differ by one step, and a warning of the
    program says so.

    Words and populations have the names that they had; populations of the core whose name the front
    has as well are called `core.<name>`.

    Args:
        front: any program.
        core: a program with as many channels, beside the elapsed time, as the front has answers.
            Where its time is irregular, the program's is, and elapsed times go to the core.
        name: of the program; "<front> + <core>" by default.

    Raises:
        ProgramError: sizes differ; the front updates several times for each sample, or the core
            does and the front keeps something from one update to the next; both take elapsed times,
            in different units; they interleave different numbers of sequences; what the front
            answers lies wholly beyond what the core takes, or its units are too different from the
            core's.
        InputError: an argument is of the wrong kind.
    """
    subject = f"{front.name} + {core.name}" if name is None else name
    _check(front, core, f"join {subject!r}")
    place = front.output_population
    own = front.bounds[place.name].words["message'"]
    ends = tuple(
        np.broadcast_to(np.clip(end, place.message_low, place.message_high), place.size)
        for end in (own.low, own.high)
    )
    channels = _channels(core)
    made = bridge(place, (ends[0], ends[1]), channels, f"join {subject!r}")
    populations, connections, spoken = _bridged(front, made, channels)
    port = _port(front, core)
    if port.size > front.input.size:
        connections = [_widened(c, port) for c in connections]
    names = _names(front, core, spoken)
    populations += [replace(p, name=names[p.name]) for p in core.populations]
    connections += [
        replace(part, target=names[c.target])
        for c in core.connections
        for part in _rewired(c, core, names, spoken, port)
    ]
    order = [p.name for p in populations]
    turns = {p.name: p.turns for p in populations if p.ports}
    matched = matched_delays(port.name, order, connections, turns)
    interleave = front.schedule.interleave
    warnings = [*front.warnings, *core.warnings]
    if made.difference:
        warnings.append(
            f"{spoken}: close to half a step, inputs of the core differ by a step from what "
            "decoding and encoding make of the front's answers; the first such channel is "
            f"{made.channel}"
        )
    return LoihiProgram(
        subject,
        front.recipe if front.recipe == core.recipe else f"{front.recipe} + {core.recipe}",
        port,
        tuple(populations),
        matched,
        names[core.output],
        derive_schedule(port.name, order, matched, interleave, turns),
        timed=front.timed or core.timed,
        substeps=core.substeps,
        provenance={
            f"{part}.{key}": text
            for part, program in (("front", front), ("core", core))
            for key, text in program.provenance.items()
        },
        table=(
            *front.table,
            *({**row, "stage": names.get(row["stage"], row["stage"])} for row in core.table),
        ),
        warnings=tuple(warnings),
    )


def _check(front: LoihiProgram, core: LoihiProgram, where: str) -> None:
    """Refuses what does not go together."""
    problems = Problems(ProgramError, where)
    answers = front.output_population.size
    if answers != core.channels:
        problems.add(
            f"{front.name!r} answers {answers} numbers, {core.name!r} takes {core.channels} "
            "channels" + " beside the elapsed time" * core.timed
        )
    keeps = [p.name for p in front.populations if p.program.states]
    if front.substeps > 1 or (core.substeps > 1 and keeps):
        kept = f", and {', '.join(keeps[:3])} keep what they had" if keeps else ""
        problems.add(
            f"{front.name!r} updates {front.substeps} times for each sample, {core.name!r} "
            f"{core.substeps} times{kept}: as one program all update as often, and the core would "
            "hear answers that are not the last ones; join programs with one update"
        )
    if front.timed and core.timed and _elapsed(front.input) != _elapsed(core.input):
        problems.add(
            f"both take elapsed times, {front.name!r} in other units or another range than "
            f"{core.name!r}; quantize both with the same times (calibrate_timespans)"
        )
    if front.schedule.interleave != core.schedule.interleave:
        problems.add(
            f"{front.name!r} interleaves {front.schedule.interleave} sequences, {core.name!r} "
            f"{core.schedule.interleave}; join interleaved(1) of both, and interleave the whole"
        )
    problems.raise_if_any()


@dataclass(frozen=True)
class _Elapsed:
    """How a port takes elapsed times."""

    low: int
    high: int
    gain: float
    offset: float


def _elapsed(port: InputPort) -> _Elapsed:
    low, high = int(port.low[-1]), int(port.high[-1])
    return _Elapsed(low, high, float(port.gain[-1]), float(port.offset[-1]))


def _channels(core: LoihiProgram) -> InputPort:
    """The port of the core, without the elapsed time."""
    port = core.input
    parts = (port.low, port.high, port.gain, port.offset)
    return InputPort(port.name, port.format, *(part[: core.channels] for part in parts))


def _port(front: LoihiProgram, core: LoihiProgram) -> InputPort:
    """Where samples of the whole enter."""
    port, other = front.input, core.input
    if front.timed or not core.timed:
        return port
    wider = max(port.format.bits, other.format.bits)
    joined = [
        np.append(getattr(port, part), getattr(other, part)[-1])
        for part in ("low", "high", "gain", "offset")
    ]
    return InputPort(port.name, FixedPoint(wider, port.format.fraction_bits), *joined)


def _bridged(
    front: LoihiProgram, made: Bridge, channels: InputPort
) -> tuple[list[Population], list[AnyConnection], str]:
    """The front's populations and connections with the bridge, and who sends to the core."""
    populations, connections = list(front.populations), list(front.connections)
    last = front.output_population
    bits = channels.format.bits
    sent = {
        "message": FixedPoint(bits, channels.format.fraction_bits),
        "message_low": made.low,
        "message_high": made.high,
        "scale": 1.0 / channels.gain,
        "offset": channels.offset,
    }
    if any(c.source == last.name for c in connections):
        spoken = _free(BRIDGE, {front.input.name, *(p.name for p in populations)})
        populations.append(
            Population(
                spoken, made.program, made.parameters, {}, size=last.size, **sent,
            )
        )  # fmt: skip
        same = np.eye(last.size, dtype=np.int8)
        connections.append(Connection.from_dense(last.name, spoken, (ANSWER,), same))
        return populations, connections, spoken
    whole = replace(last.program, saturations=front.saturations[last.name])
    parameters = {f"{ANSWER}.{key}": values for key, values in made.parameters.items()}
    populations[populations.index(last)] = replace(
        last,
        program=followed(whole, made.program, ANSWER),
        parameters={**last.parameters, **parameters},
        **sent,
    )
    return populations, connections, last.name


def _free(name: str, taken: set[str]) -> str:
    """The name, with as many `core.` before it as it takes."""
    while name in taken:
        name = CORE + name
    return name


def _names(front: LoihiProgram, core: LoihiProgram, spoken: str) -> dict[str, str]:
    """What the core's populations are called."""
    taken = {front.input.name, spoken, *(p.name for p in front.populations)}
    kept = {p.name for p in core.populations} - taken
    names: dict[str, str] = {}
    for p in core.populations:
        names[p.name] = p.name if p.name in kept else _free(p.name, taken | kept)
        taken.add(names[p.name])
    return names


def _rewired(
    connection: AnyConnection,
    core: LoihiProgram,
    names: dict[str, str],
    spoken: str,
    port: InputPort,
) -> Iterator[AnyConnection]:
    """A connection of the core from who sends now; one from its port is two, where the elapsed time
    comes from the port still.
    """
    if connection.source != core.input.name:
        yield replace(connection, source=names[connection.source])
        return
    if not core.timed:
        yield replace(connection, source=spoken)
        return
    connection = connection.unrolled()
    elapsed = connection.columns >= core.channels
    if not elapsed.all() or not elapsed.size:
        yield _part(connection, ~elapsed, spoken, core.channels)
    if elapsed.any():
        yield _part(connection, elapsed, port.name, port.size, port.size - core.input.size)


def _widened(connection: AnyConnection, port: InputPort) -> AnyConnection:
    """A connection of the front, from a port that has one more channel."""
    if connection.source != port.name:
        return connection
    return _part(connection, np.ones(connection.synapses, bool), port.name, port.size)


def _part(
    whole: AnyConnection, chosen: Chosen, source: str, size: int, moved: int = 0
) -> Connection:
    """The chosen synapses, from another source whose columns lie so much further on."""
    connection = whole.unrolled()
    row = np.repeat(np.arange(connection.rows), np.diff(connection.row_starts))[chosen]
    starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=connection.rows))])
    return Connection(
        source,
        connection.target,
        connection.accumulators,
        starts,
        connection.columns[chosen] + moved,
        connection.mantissas[chosen],
        source_size=size,
        exponent=connection.exponent,
        delay=connection.delay,
        mantissa_bits=connection.mantissa_bits,
    )
