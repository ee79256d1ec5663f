"""What the cores of a placement do in each phase, wherever they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lnn2loihi.formats import IntegerArray
from lnn2loihi.neurons.listing import listing
from lnn2loihi.placement.activity import Activity
from lnn2loihi.placement.line import FloatArray
from lnn2loihi.placement.links import PhaseFlow, flows_of
from lnn2loihi.placement.phases import arrivals, busy, first_sent, instructions
from lnn2loihi.placement.placement import Placement


@dataclass(frozen=True)
class CoreCounts:
    """Counts of a period.

    Attributes:
        by_phase: by the names of a workload float64 (period, cores).
        waiting: by the names of a workload float64 (cores,).
        flows: messages that arrive in the same phases.
        cores: number of cores.
    """

    by_phase: Mapping[str, FloatArray]
    waiting: Mapping[str, FloatArray]
    flows: Sequence[PhaseFlow]
    cores: int


def core_counts(placement: Placement, activity: Activity) -> CoreCounts:
    """What a placement does at an activity."""
    program, axons, cores = placement.program, placement.axons, len(placement.cores)
    schedule, updates = program.schedule, activity.updates
    held = _held(placement)
    by_phase = {
        name: np.zeros((schedule.period, cores))
        for name in ("synaptic_operations", "messages_in", "messages_out", "spikes")
    }
    for place, connection in enumerate(program.connections):
        own = np.flatnonzero(axons.connection == place)
        sent = activity.messages[connection.source][axons.source[own]]
        phase = arrivals(schedule, connection.source)
        target, origin = axons.target[own], axons.origin[own]
        work = np.bincount(target, weights=sent * axons.synapses[own], minlength=cores)
        by_phase["synaptic_operations"] += np.outer(phase, work / updates)
        arrived = np.bincount(target, weights=sent, minlength=cores)
        by_phase["messages_in"] += np.outer(phase, arrived / updates)
        left = np.bincount(origin[origin >= 0], sent[origin >= 0], minlength=cores)
        sending = busy(schedule, first_sent(schedule, connection.source))
        by_phase["messages_out"] += np.outer(sending, left / updates)
    for place, population in enumerate(program.populations):
        before = np.concatenate([[0], np.cumsum(activity.messages[population.name])])
        first, stop = held[place]
        sending = busy(schedule, first_sent(schedule, population.name))
        by_phase["spikes"] += np.outer(sending, (before[stop] - before[first]) / updates)
    neurons, executed, waiting = _neurons(placement, held)
    by_phase["neuron_updates"] = np.tile(neurons, (schedule.period, 1))
    by_phase["instructions"] = executed
    return CoreCounts(
        by_phase,
        {"waiting_updates": neurons, "waiting_instructions": waiting},
        flows_of(program, axons, activity, cores),
        cores,
    )


def _held(placement: Placement) -> IntegerArray:
    """First neuron of each population on each core, and where they stop, int64 (populations, 2,
    cores).
    """
    program = placement.program
    places = {p.name: place for place, p in enumerate(program.populations)}
    found = np.zeros((len(places), 2, len(placement.cores)), np.int64)
    for number, core in enumerate(placement.cores):
        for part in core.slices:
            found[places[part.population], :, number] = part.first, part.stop
    return found


def _neurons(placement: Placement, held: IntegerArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Neurons (cores,), instructions that they execute (period, cores), and those that they
    execute where all wait (cores,).
    """
    program, schedule = placement.program, placement.program.schedule
    neurons = (held[:, 1] - held[:, 0]).astype(np.float64)
    texts = [
        listing(p.program, schedule.first_valid[p.name], schedule.period, p.ports)
        for p in program.populations
    ]
    executed = np.array(
        [
            instructions(schedule, p.name, text)
            for p, text in zip(program.populations, texts, strict=True)
        ]
    )
    waiting = np.array([text.waiting_count for text in texts])
    return neurons.sum(axis=0), executed.T @ neurons, waiting @ neurons
