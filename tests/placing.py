"""What tests of placement share: devices with other limits, programs, and the memory model again,
synapse by synapse.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from programs import Sizes, random_program

from lnn2loihi.devices import Device, Figure, load_device
from lnn2loihi.devices.figures import DEFINITIONS
from lnn2loihi.neurons.listing import listing
from lnn2loihi.placement.placement import Core
from lnn2loihi.program import Connection, LoihiProgram

CHIP = load_device("loihi2-oheo-gulch")


def device(base: Device = CHIP, /, **limits: float | None) -> Device:
    """A chip with other limits; None takes one away."""
    figures = dict(base.figures)
    for name, value in limits.items():
        figures.pop(name, None)
        if value is not None:
            unit = DEFINITIONS[name].unit
            figures[name] = Figure(value, value, value, unit, "the test", "assumed")
    return replace(base, figures=figures)


def sizes() -> st.SearchStrategy[Sizes]:
    """Small networks of every shape that `random_program` makes."""
    return st.builds(
        Sizes,
        inputs=st.integers(1, 12),
        layers=st.lists(st.integers(1, 40), min_size=1, max_size=3).map(tuple),
        readout=st.sampled_from([0, 1, 5]),
        weight_bits=st.integers(1, 8),
        message_bits=st.just(8),
        input_bits=st.just(8),
        density=st.floats(0.0, 1.0),
        skip_delay=st.booleans(),
    )


def dense_program(units: int, inputs: int = 4, outputs: int = 2, bits: int = 8) -> LoihiProgram:
    """A layer of units with a readout; every synapse that can be is there."""
    shape = Sizes(inputs, (units,), outputs, bits, 8, 8, 0.0)
    program = random_program(0, shape)
    full = []
    for c in program.connections:
        signs = np.random.default_rng(c.rows).choice(
            [-1, 1 if bits > 1 else -1], size=(c.rows, c.source_size)
        )
        full.append(
            Connection.from_dense(c.source, c.target, c.accumulators, signs, mantissa_bits=bits)
        )
    return replace(program, connections=tuple(full))


def synapse_counts(program: LoihiProgram, core: Core) -> dict[tuple[int, int], int]:
    """For each axon into a core, (connection, source neuron), its synapses there."""
    held = {(s.population, n) for s in core.slices for n in range(s.first, s.stop)}
    counts: Counter[tuple[int, int]] = Counter()
    for place, c in enumerate(program.connections):
        neurons = c.rows // len(c.accumulators)
        for row in range(c.rows):
            if (c.target, row % neurons) in held:
                for synapse in range(c.row_starts[row], c.row_starts[row + 1]):
                    counts[place, int(c.columns[synapse])] += 1
    return dict(counts)


def lists(program: LoihiProgram, core: Core) -> dict[tuple[int, int], tuple[int, int]]:
    """For each axon into a core its synapses there, and the bytes of its list."""
    found = {}
    for (place, source), count in synapse_counts(program, core).items():
        bits = 20 if program.connections[place].delay else 16
        found[place, source] = (count, 8 * -(-(count * bits + 32) // 64))
    return found


def usage(program: LoihiProgram, core: Core) -> dict[str, int]:
    """What a core holds, counted one by one."""
    schedule = program.schedule
    stored = lists(program, core)
    found: dict[str, Any] = {
        "neurons": sum(s.stop - s.first for s in core.slices),
        "neuron_groups": len({s.population for s in core.slices}),
        "synapses": sum(synapse_counts(program, core).values()),
        "axons_in": len(stored),
        "synaptic_memory": sum(taken for _, taken in stored.values()),
        "state_memory": 0,
        "accumulator_memory": 0,
        "parameter_memory": 0,
        "axon_memory": 8 * len(stored),
    }
    texts = {}
    for s in core.slices:
        population = program.population(s.population)
        text = listing(
            population.program, schedule.first_valid[s.population], schedule.period,
            population.ports,
        )  # fmt: skip
        lines = [line for line in text.text.splitlines() if not line.startswith(";")]
        texts[population.program, population.ports] = sum(not line.endswith(":") for line in lines)
        # From the last accumulator on, each stands on the next port, in the same step or before it.
        order = population.program.accumulators[::-1]
        ports = population.ports or len(order)
        slots = dict.fromkeys(range(min(ports, len(order))), 1)
        for c in program.incoming(s.population):
            for accumulator in c.accumulators:
                port = order.index(accumulator) % ports
                slots[port] = max(slots[port], c.delay + 1)
        state = [bits for _, bits in population.program.states] + [24] * len(order[ports:])
        parameters = [bits for _, bits in population.program.parameters]
        for name, units in (
            ("state_memory", schedule.interleave * fewest_units([*state, 24])),
            ("accumulator_memory", -(-sum(slots.values()) // 2)),
            ("parameter_memory", fewest_units(parameters)),
            ("axon_memory", sum(c.source == s.population for c in program.connections)),
        ):
            found[name] += 8 * units * (s.stop - s.first)
    found["program_words"] = sum(texts.values())
    found["program_memory"] = 8 * found["program_words"]
    found["memory"] = sum(value for name, value in found.items() if name.endswith("_memory"))
    return found


def fewest_units(widths: list[int]) -> int:
    """64-bit units that words need if the widest are put first where there is room."""
    units: list[int] = []
    for width in sorted(widths)[::-1]:
        for place, used in enumerate(units):
            if used + width <= 64:
                units[place] += width
                break
        else:
            units.append(width)
    return len(units)
