"""NeuroBench's metrics, computed from our own graph.

Names and definitions are those of NeuroBench (Yik et al. 2025, arXiv:2304.04640; package
`neurobench` 2.3.0). Its hooks see the modules `nn.Linear`, convolutions and recurrent cells only,
and miss liquid networks: of a CfC with an NCP wiring half of the maps go through a function and
the mask is invisible, of an LTC nothing is found. On a dense CfC without wiring both agree; see
docs/profile.md.

A NeuroBench sample is a sequence with all its steps. Operations are therefore per sequence;
`per_step` has the same per step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.errors import InputError
from lnn2loihi.evaluation import evaluate_stages
from lnn2loihi.frozen import read_only_mapping
from lnn2loihi.kinds import Count, Rate
from lnn2loihi.layers.layer import TrainedMap
from lnn2loihi.layers.linear import SUM, FloatArray
from lnn2loihi.layers.stage import INPUT, Stage
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.placement.activity import activity_of
from lnn2loihi.program import LoihiProgram
from lnn2loihi.sequences import Sequences
from lnn2loihi.sequences import sequences as sequences_of
from lnn2loihi.showing import Shown
from lnn2loihi.simulation.result import Counters
from lnn2loihi.stepping import heard

#: Bytes of a parameter of a network as trained: float32.
FLOAT_BYTES = 4


@dataclass(frozen=True)
class NeuroBenchMetrics(Shown):
    """NeuroBench's static and workload metrics of one network or program.

    Attributes:
        subject: what was counted, and how.
        footprint: bytes of parameters and state, zero weights included.
        connection_sparsity: zero weights over all weights, 0 to 1.
        parameter_count: weights (zeros included), biases and other parameters of neurons.
        activation_sparsity: zero messages over all messages of all stages, steps and sequences.
        synaptic_operations: per sequence Effective_MACs (non-zero weight times non-zero message),
            Effective_ACs (the same where all messages are -1, 0 or 1) and Dense (all weights).
        membrane_updates: per sequence, updates of neurons that keep a state; None for a float
            network, which has no membranes.
        neuron_operations: per sequence "Effective Neuron Ops" and "Neuron Dense Ops", in
            instructions of the neuron programs; None for a float network.
        model_execution_rate: samples per second that the task asks for; None where not given.
        sequences, steps: what was run; steps of all sequences together.
    """

    subject: str
    footprint: float
    connection_sparsity: float
    parameter_count: int
    activation_sparsity: float
    synaptic_operations: Mapping[str, float]
    membrane_updates: float | None
    neuron_operations: Mapping[str, float] | None
    model_execution_rate: float | None
    sequences: int
    steps: int

    def __post_init__(self) -> None:
        if self.sequences < 1 or self.steps < 1:
            raise InputError(
                f"metrics of {self.subject!r:.60}",
                f"{self.sequences} sequences of {self.steps} steps in all; 1 or more were run",
            )
        for name in ("synaptic_operations", "neuron_operations"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, read_only_mapping(getattr(self, name)))

    @property
    def per_step(self) -> dict[str, float]:
        """Synaptic operations per step instead of per sequence."""
        factor = self.sequences / self.steps
        return {name: value * factor for name, value in self.synaptic_operations.items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain values under NeuroBench's names."""
        return {
            "subject": self.subject,
            "Footprint": self.footprint,
            "ConnectionSparsity": self.connection_sparsity,
            "ParameterCount": self.parameter_count,
            "ActivationSparsity": self.activation_sparsity,
            "SynapticOperations": dict(self.synaptic_operations),
            "MembraneUpdates": self.membrane_updates,
            "NeuronOperations": None
            if self.neuron_operations is None
            else dict(self.neuron_operations),
            "ModelExecutionRate": self.model_execution_rate,
            "sequences": self.sequences,
            "steps": self.steps,
        }


@checks_kinds()
def network_metrics(
    network: LiquidNetwork,
    x: npt.ArrayLike,
    *,
    lengths: npt.ArrayLike | None = None,
    timespans: npt.ArrayLike | None = None,
    rate: Rate | None = None,
) -> NeuroBenchMetrics:
    """The metrics of a float network as it was trained: every map by itself, in float32.

    A constant time gate counts as the two maps that were trained (the chip folds them into one).
    Masked weights count as zero weights; the masks themselves are no parameters. Biases that
    PyTorch keeps twice (GRU, LSTM) and mappings that importing folds into weights count once.

    Args:
        network: the network.
        x: (batch, time, inputs), or a list of sequences (time, inputs).
        lengths: as for `LiquidNetwork.evaluate`; what stands beyond is not counted.
        timespans: as for `LiquidNetwork.evaluate`.
        rate: samples per second of the task.

    Raises:
        InputError: as `LiquidNetwork.evaluate`.
    """
    subject = f"network {network.name!r}"
    data = sequences_of(
        x, network.input_size, subject,
        lengths=lengths, timespans=timespans, irregular=network.irregular,
    ).floats(subject)  # fmt: skip
    normalised = (data.x - network.input_offset) / network.input_scale
    states = evaluate_stages(
        network.stages, *network.held(normalised, data.timespans), {}, network.substeps
    ).states
    uses = [*_trained_maps(network, normalised, states, data)]
    sequences = len(data.x)
    sent = [
        data.live(states[stage.name][:, network.substeps - 1 :: network.substeps])
        for stage in network.stages
        if not stage.selects
    ]
    operations = {
        "Effective_MACs": sum(use.effective for use in uses if not use.binary) / sequences,
        "Effective_ACs": sum(use.effective for use in uses if use.binary) / sequences,
        "Dense": sum(use.dense for use in uses) / sequences,
    }
    weights = sum(use.weights for use in uses)
    parameters = weights + sum(use.biases for use in uses) + _other_parameters(network)
    return NeuroBenchMetrics(
        subject="float network as trained (float32)",
        footprint=float(FLOAT_BYTES * parameters),
        connection_sparsity=sum(use.zeros for use in uses) / weights,
        parameter_count=parameters,
        activation_sparsity=_sparsity(
            sum(int(np.count_nonzero(message)) for message in sent),
            sum(message.size for message in sent),
        ),
        synaptic_operations=operations,
        membrane_updates=None,
        neuron_operations=None,
        model_execution_rate=rate,
        sequences=sequences,
        steps=data.samples,
    )


@dataclass(frozen=True)
class _MapUse:
    """What one trained map has, and what it did.

    Attributes:
        weights, zeros: all its weights, and those that are zero.
        biases: its biases.
        effective: non-zero weights times non-zero values that they met.
        dense: all weights, as often as they were used.
        binary: whether it heard nothing but -1, 0 and 1.
    """

    weights: int
    zeros: int
    biases: int
    effective: float
    dense: float
    binary: bool

    @classmethod
    def of(cls, weight: FloatArray, biases: int, heard: FloatArray) -> _MapUse:
        """The use of a map (outputs, inputs) that heard (steps of all sequences, inputs)."""
        present = weight != 0
        met = np.count_nonzero(heard, axis=0)
        return cls(
            present.size,
            present.size - int(np.count_nonzero(present)),
            biases,
            float(met @ present.sum(axis=0)),
            float(present.size * heard.shape[0]),
            bool(np.isin(heard, (-1.0, 0.0, 1.0)).all()),
        )


def _trained_maps(
    network: LiquidNetwork,
    inputs: FloatArray,
    states: Mapping[str, FloatArray],
    data: Sequences,
) -> Iterator[_MapUse]:
    """Every trained map.

    Args:
        network: the network.
        inputs: normalised inputs (batch, time, channels).
        states: messages of each stage in all steps of all samples.
        data: where the sequences end.
    """
    substeps = network.substeps
    messages = {INPUT: inputs}
    messages |= {name: steps[:, substeps - 1 :: substeps] for name, steps in states.items()}
    held = {INPUT: np.repeat(inputs, substeps, axis=1), **states}
    stages = {stage.name: stage for stage in network.stages}
    for layer, own in network.stages_by_layer:
        if layer is not None:
            maps: Iterable[TrainedMap] = layer.trained_maps(own)
        elif network.readout is None:
            continue  # the identity that undoes a scale was not trained
        else:
            maps = [_whole(own[0])]
        for trained in maps:
            every = substeps if trained.every_step else 1
            said = held if trained.every_step else messages
            sources = stages[trained.stage].sources
            z = np.concatenate([heard(source, said, every) for source in sources], axis=-1)
            z = data.live(z[..., trained.columns], every)
            z = np.full(z.shape, 0.5) if trained.never_zero else z
            yield _MapUse.of(trained.weight, trained.biases, z)


def _whole(stage: Stage) -> TrainedMap:
    """The one map of a readout."""
    linear = stage.gates[SUM]
    columns = np.arange(linear.input_size)
    return TrainedMap(linear.weight, linear.bias.size, stage.name, columns)


def _other_parameters(network: LiquidNetwork) -> int:
    """What layers have beside maps: w_tau and A of pure units, capacitances of an LTC."""
    return sum(
        layer.other_parameters(own) for layer, own in network.stages_by_layer if layer is not None
    )


def _sparsity(non_zero: int, values: int) -> float:
    return 1.0 - non_zero / values


@checks_kinds()
def program_metrics(
    program: LoihiProgram,
    counters: Counters,
    sequences: Count,
    *,
    rate: Rate | None = None,
) -> NeuroBenchMetrics:
    """The metrics of a program as the chip executes it, from the exact counters of a simulation.

    A message is an integer of several bits, so operations are MACs. Every neuron executes its
    whole program in each update, so effective and dense neuron operations are the same.

    Args:
        program: the program.
        counters: of `simulate(program, x)`.
        sequences: sequences that were run.
        rate: samples per second of the task.

    Raises:
        InputError: nothing was run, or the counters are of another program.
    """
    activity_of(program, counters)
    steps, updates = counters.samples, counters.samples * program.substeps
    dense = sum(c.rows * c.source_size for c in program.connections)
    weight_bits = sum(c.rows * c.source_size * c.mantissa_bits for c in program.connections)
    word_bits = sum(
        p.size * sum(bits for _, bits in (*p.program.parameters, *p.program.states))
        for p in program.populations
    )
    effective = sum(int(counters.non_zero[c.source] @ c.fan_out()) for c in program.connections)
    sent = sum(int(counters.non_zero[p.name].sum()) for p in program.populations)
    instructions = sum(p.size * p.program.instruction_count for p in program.populations)
    keeping = sum(p.size for p in program.populations if p.program.states)
    operations = instructions * updates / sequences
    return NeuroBenchMetrics(
        subject=f"integers on the chip ({program.recipe})",
        footprint=(weight_bits + word_bits) / 8,
        connection_sparsity=1.0 - program.synapses / dense,
        parameter_count=dense
        + sum(p.size * len(p.program.parameters) for p in program.populations),
        activation_sparsity=_sparsity(sent, program.neurons * updates),
        synaptic_operations={
            "Effective_MACs": effective / sequences,
            "Effective_ACs": 0.0,
            "Dense": dense * updates / sequences,
        },
        membrane_updates=keeping * updates / sequences,
        neuron_operations={"Effective Neuron Ops": operations, "Neuron Dense Ops": operations},
        model_execution_rate=rate,
        sequences=sequences,
        steps=steps,
    )
