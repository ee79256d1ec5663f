"""What a placed program does in a chip step, counted from the messages of a simulation."""

from __future__ import annotations

import numpy as np

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.cost.workload import Workload
from lnn2loihi.neurons.listing import listing
from lnn2loihi.placement.activity import activity_of
from lnn2loihi.placement.mesh import Mesh, Positions
from lnn2loihi.placement.phases import arrivals, instructions
from lnn2loihi.placement.placement import Placement
from lnn2loihi.simulation.result import Counters


@checks_kinds()
def workload(placement: Placement, counters: Counters) -> Workload:
    """Counts per chip step of each core and phase, from exact counters.

    All that a message causes (synaptic operations, its arrival, its hops) counts in the phase in
    which it arrives. Samples that are sent several times (`substeps`) make a period longer.

    Args:
        placement: where the neurons are.
        counters: non-zero messages of each source neuron, `simulate(program, x).counters`.

    Raises:
        InputError: the counters do not belong to the program.
    """
    program, axons, cores = placement.program, placement.axons, len(placement.cores)
    schedule = program.schedule
    activity = activity_of(program, counters)
    positions = positions_of(placement)
    steps = positions.hops(axons.origin.astype(np.int64), axons.target.astype(np.int64))[0]
    operations, messages = (np.zeros((schedule.period, cores)) for _ in range(2))
    hops = np.zeros(schedule.period)
    for place, connection in enumerate(program.connections):
        own = np.flatnonzero(axons.connection == place)
        sent = activity.messages[connection.source][axons.source[own]].astype(np.float64)
        phase = arrivals(schedule, connection.source)
        target = axons.target[own]
        work = np.bincount(target, weights=sent * axons.synapses[own], minlength=cores)
        operations += np.outer(phase, work / activity.updates)
        arrived = np.bincount(target, weights=sent, minlength=cores)
        messages += np.outer(phase, arrived / activity.updates)
        hops += phase * (sent @ steps[own] / activity.updates)
    neurons, executed, waiting = _neurons(placement)
    times = program.substeps
    return Workload(
        name=program.name,
        chips=placement.chips,
        period=schedule.period * times,
        latency_steps=program.latency_steps,
        interleave=schedule.interleave,
        synaptic_operations=np.tile(operations, (times, 1)),
        neuron_updates=np.tile(neurons, (schedule.period * times, 1)),
        instructions=np.tile(executed, (times, 1)),
        messages_in=np.tile(messages, (times, 1)),
        messages=np.tile(messages.sum(axis=1), times),
        hops=np.tile(hops, times),
        core_names=tuple(core.name for core in placement.cores),
        source=activity.text,
        waiting_updates=neurons,
        waiting_instructions=waiting,
    )


def positions_of(placement: Placement) -> Positions:
    """Where the cores of a placement lie."""
    chip = np.array([core.chip for core in placement.cores])
    slot = np.array([core.index for core in placement.cores])
    return Positions(chip, slot, Mesh.of(placement.device, placement.chips))


def _neurons(placement: Placement) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Neurons (cores,), instructions that they execute (period, cores), and those that they
    execute where all wait (cores,).
    """
    program, schedule = placement.program, placement.program.schedule
    places = {p.name: place for place, p in enumerate(program.populations)}
    neurons = np.zeros((len(places), len(placement.cores)))
    for number, core in enumerate(placement.cores):
        for part in core.slices:
            neurons[places[part.population], number] = part.stop - part.first
    texts = [
        listing(p.program, schedule.first_valid[p.name], schedule.period, p.ports)
        for p in program.populations
    ]
    executed = np.array(
        [instructions(schedule, name, text) for name, text in zip(places, texts, strict=True)]
    )
    waiting = np.array([text.waiting_count for text in texts])
    return neurons.sum(axis=0), executed.T @ neurons, waiting @ neurons
