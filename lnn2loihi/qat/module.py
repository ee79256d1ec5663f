"""A network that trains with the chip's weights and messages, as a PyTorch module."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lnn2loihi.errors import InputError, QuantizationError
from lnn2loihi.formats import FixedPoint, signed_range
from lnn2loihi.layers.memory import MemoryStage
from lnn2loihi.layers.rebuild import with_gates
from lnn2loihi.layers.stage import INPUT, Stage, StageSource
from lnn2loihi.network import LiquidNetwork, heard_again, loops
from lnn2loihi.neurons.phase import PHASE
from lnn2loihi.plugins import import_network
from lnn2loihi.program import LoihiProgram, Population
from lnn2loihi.qat.functions import answer
from lnn2loihi.qat.rounding import message
from lnn2loihi.qat.stage import TrainableStage
from lnn2loihi.quantize import Setting, prepared
from lnn2loihi.quantize.post_training import Plan, Scales
from lnn2loihi.quantize.recipe import DEFAULT_RECIPE, Recipe
from lnn2loihi.simulate import simulate

Hidden = Tensor | tuple[Tensor, Tensor]


def prepare(
    source: Any,
    recipe: str | Recipe = DEFAULT_RECIPE,
    *,
    calibrate: npt.ArrayLike,
    calibrate_timespans: npt.ArrayLike | None = None,
    layers: Mapping[str, str | Recipe] | None = None,
    mask_time_gates: bool = False,
    **options: Any,
) -> TrainableNetwork:
    """A module that computes what `source` does, with the chip's arithmetic.

    Args:
        source: what `import_network` takes (a live ncps.torch.CfC, a module around it, a
            checkpoint), or a LiquidNetwork.
        recipe: as for `quantize`.
        calibrate: as for `quantize`; ranges and formats are settled here, once.
        calibrate_timespans: as for `quantize`.
        layers: as for `quantize`.
        mask_time_gates: gives the time gates the masks of ff1, which ncps leaves dense: a truly
            sparse network, whose accuracy training has to win back.
        options: for `import_network`, such as timespan="irregular".

    Raises:
        ImportNetworkError: the module holds a submodule that the chip cannot run, by name.
        QuantizationError: the recipe or the calibration data do not fit.
    """
    returns_state = not isinstance(source, LiquidNetwork)
    sequences = bool(getattr(source, "return_sequences", True))
    by_layer = type(source).__module__ == "torch.nn.modules.rnn"
    network = source if isinstance(source, LiquidNetwork) else import_network(source, **options)
    setting = prepared(network, calibrate, recipe, calibrate_timespans, layers)
    module = TrainableNetwork(network, setting, returns_state, sequences, by_layer)
    if mask_time_gates:
        module.mask_time_gates()
    return module


class TrainableNetwork(nn.Module):
    """A drop-in for the module that it was made of; see `prepare`.

    In training mode it computes in floats with the rounded weights, messages and inputs of the
    chip, and gradients pass through the rounding. In evaluation mode it answers the integers of
    `export()`, decoded: bit for bit what the chip answers.

    Args:
        network: the float network.
        setting: calibration and recipes.
        returns_state: whether it returns (output, hidden) as ncps does, or the output alone.
        sequences: whether it returns the outputs of all steps, or of the last one.
        by_layer: whether states are (layers, batch, units) as in torch.nn.GRU, or those of all
            layers side by side as in ncps.
    """

    def __init__(
        self,
        network: LiquidNetwork,
        setting: Setting,
        returns_state: bool = False,
        sequences: bool = True,
        by_layer: bool = False,
    ) -> None:
        super().__init__()
        self.network_before, self.setting = network, setting
        self.returns_state, self.return_sequences = returns_state, sequences
        self.by_layer = by_layer
        plan = Plan(network, setting.calibration, setting.recipes)
        exponents = plan.exponents()
        self.trainable = nn.ModuleList(
            TrainableStage(
                stage,
                plan.sources(stage),
                plan.lowering(stage),
                exponents[stage.name],
                setting.calibration.moments[stage.name],
                setting.recipes.of(stage).weight_bits,
                plan.formats[stage.name],
            )
            for stage in network.stages
        )
        port = plan.port
        for part in ("gain", "offset", "low", "high"):
            self.register_buffer(f"input_{part}", torch.tensor(np.array(getattr(port, part))))
        source = plan.senders.sources[INPUT]
        self.register_buffer("input_step", torch.tensor(np.array(source.step)))
        for own in self.stages.values():
            own.start_corrected()
        self._elapsed: FixedPoint | None = plan.senders.elapsed
        self._exported: tuple[tuple[int, ...], LoihiProgram] | None = None

    @property
    def stages(self) -> dict[str, TrainableStage]:
        """The stages by name."""
        return {module.stage.name: module for module in self.trainable}  # type: ignore[union-attr]

    def network(self) -> LiquidNetwork:
        """The float network with the weights as they are now."""
        gates = {
            name: {gate: own.linear(gate) for gate in own.stage.gates}
            for name, own in self.stages.items()
        }
        vectors = {name: own.vectors() for name, own in self.stages.items()}
        return with_gates(self.network_before, gates, vectors)

    def export(self) -> LoihiProgram:
        """The integer program of the weights as they are now.

        Raises:
            QuantizationError: rows do not fit; the penalty `crowding` keeps them inside.
        """
        versions = self._versions()
        if self._exported is None or self._exported[0] != versions:
            network = self.network()
            try:
                program = self.setting.convert(network, self._scales())
            except QuantizationError:
                # Weights have outgrown the exponents that they were trained with: choose anew.
                plan = Plan(network, self.setting.calibration, self.setting.recipes)
                for name, exponents in plan.exponents().items():
                    self.stages[name].change_exponents(exponents)
                program = self.setting.convert(network, self._scales())
            self._exported = versions, program
        return self._exported[1]

    def _versions(self) -> tuple[int, ...]:
        """Changes with every change of a weight or a mask."""
        return tuple(int(p._version) for p in (*self.parameters(), *self.buffers()))

    def _scales(self) -> dict[str, Scales]:
        return {name: Scales(own.exponents, own.steps()) for name, own in self.stages.items()}

    def crowding(self) -> Tensor:
        """A penalty on rows that the 24-bit accumulator leaves fewer weight bits than the recipe
        has; 0 where none is. See `TrainableStage.crowding`.
        """
        return torch.stack([own.crowding() for own in self.stages.values()]).sum()

    def settle(self, share: float) -> None:
        """Moves every weight by this share of the way to the value that it is rounded to.

        Called after every step of the optimizer, it keeps weights from going to and fro between two
        mantissas, which is noise that does not cease with a falling learning rate: only a gradient
        that keeps its sign takes a weight over (dampening, Nagel et al. 2022, arXiv:2203.11086,
        here apart from the gradients, as decoupled weight decay is). What a step of the optimizer
        moves a weight by falls with the learning rate, so that in the end all are settled.

        Args:
            share: 0 to 1; 0.01 suits Adam at 0.001 and 4-bit weights.

        Raises:
            InputError: the share is out of range.
        """
        if not 0.0 <= share <= 1.0:
            raise InputError("share", f"is {share}; give a number from 0 to 1")
        for own in self.stages.values():
            own.settle(share)

    def prune(self, share: float) -> int:
        """Takes the smallest weights of every gate away, for good.

        Args:
            share: of the synapses that are there, 0 to 1.

        Returns:
            The number of synapses that are left.
        """
        if not 0.0 <= share < 1.0:
            raise InputError("share", f"is {share}; give a number from 0 up to, but not, 1")
        left = 0
        for own in self.stages.values():
            for gate in own.trained:
                magnitude = own.effective(gate).detach().abs()
                alive = magnitude[own.mask(gate)]
                drop = int(share * alive.numel())
                if drop:
                    limit = torch.kthvalue(alive, drop).values
                    own.set_mask(gate, own.mask(gate) & (magnitude > limit))
                left += int(own.mask(gate).sum())
        return left

    def mask_time_gates(self) -> None:
        """Gives time gates the masks of ff1."""
        for own in self.stages.values():
            for gate in ("time", "time_a", "time_b"):
                if gate in own.stage.gates and "ff1" in own.stage.gates:
                    own.set_mask(gate, own.mask(gate) & own.mask("ff1"))

    def forward(
        self, input: Tensor, hx: Hidden | None = None, timespans: Tensor | None = None
    ) -> Any:
        """As ncps.torch.CfC: (batch, time, inputs) or (time, inputs) to outputs and state.

        Args:
            input: float samples.
            hx: state that a call returned, or None.
            timespans: elapsed times, (batch, time), where time is irregular.

        Returns:
            Outputs (batch, time, outputs), or the last ones, and with it the state (batch, units),
            a pair of state and memory where there is one; outputs alone for LiquidNetworks.
        """
        batched = input.dim() == 3
        x = input if batched else input[None]
        elapsed = None if timespans is None else timespans.reshape(x.shape[:2])
        if (elapsed is None) == self.network_before.irregular:
            wanted = "missing" if elapsed is None else "given, but time is constant"
            raise InputError("timespans", f"are {wanted}")
        state = self._state_of(hx, x)
        run = self._train if self.training else self._evaluate
        outputs, state = run(x, elapsed, state)
        if not self.return_sequences:
            outputs = outputs[:, -1]
        if not batched:
            outputs, state = outputs[0], {k: v[0] for k, v in state.items()}
        return (outputs, self._hidden(state)) if self.returns_state else outputs

    def _train(
        self, x: Tensor, elapsed: Tensor | None, state: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The chip's arithmetic in floats."""
        channels = x.shape[-1]
        gain, offset = (self.get_buffer(f"input_{n}")[:channels].to(x) for n in ("gain", "offset"))
        low, high = (self.get_buffer(f"input_{n}")[:channels].to(x) for n in ("low", "high"))
        step = self.get_buffer("input_step").to(x)
        messages = {INPUT: message((x - offset) * gain, 1.0, low, high) * step}
        if elapsed is not None:
            assert self._elapsed is not None
            ends = (float(self.get_buffer(f"input_{n}")[-1]) for n in ("low", "high"))
            elapsed = message(elapsed.to(x), self._elapsed.step, *ends)
        substeps = self.network_before.substeps
        if substeps > 1:
            messages[INPUT] = messages[INPUT].repeat_interleave(substeps, dim=1)
            elapsed = None if elapsed is None else elapsed.repeat_interleave(substeps, dim=1)
        final: dict[str, Tensor] = {}
        for group in loops(self.network_before.stages):
            messages |= self._run_group(group, messages, elapsed, state, final)
        answers = messages[self.network_before.stages[-1].name]
        return answers[:, substeps - 1 :: substeps], final

    def _run_group(
        self,
        group: list[Stage],
        messages: dict[str, Tensor],
        elapsed: Tensor | None,
        state: dict[str, Tensor],
        final: dict[str, Tensor],
    ) -> dict[str, Tensor]:
        """A loop of stages over all steps, or one stage without a loop on all steps at once."""
        names = {stage.name for stage in group}
        inside: dict[str, list[tuple[StageSource, Tensor]]] = {}
        outside: dict[str, Tensor] = {}
        for stage in group:
            weight, bias = self.stages[stage.name].maps()
            begin, known = 0, bias
            inside[stage.name] = []
            for source in stage.sources:
                block = weight[:, begin : begin + source.columns]
                begin += source.columns
                if source.name in names:
                    inside[stage.name].append((source, block.T))
                else:  # for all steps at once
                    known = known + messages[source.name] @ block.T
            outside[stage.name] = known
        x = messages[INPUT]
        if not any(inside.values()) and not any(stage.memory for stage in group):
            (stage,) = group
            sums = dict(
                zip(stage.gates, outside[stage.name].chunk(len(stage.gates), -1), strict=True)
            )
            own = self.stages[stage.name]
            return {
                stage.name: own.sent(answer(stage, sums, own.effective_vectors(), None, None)[0])
            }
        # What is kept more finely than it is sent is heard as it would have been sent.
        now = {name: self.stages[name].sent(state[name]) for name in names if name in state}
        memory = {s.name: state[s.state_name(word)] for s in group for word in s.memory}
        steps: dict[str, list[Tensor]] = {name: [] for name in names}
        vectors = {stage.name: self.stages[stage.name].effective_vectors() for stage in group}
        # Taken apart once: the gradient of a single step would be as large as that of all.
        known = {
            stage.name: outside[stage.name].unbind(1)
            if outside[stage.name].dim() == 3
            else (outside[stage.name],) * x.shape[1]
            for stage in group
        }
        for t in range(x.shape[1]):
            since = None if elapsed is None else elapsed[:, t, None]
            first = t % self.network_before.substeps == 0
            for stage in group:
                if stage.once and not first:
                    steps[stage.name].append(now[stage.name])
                    continue
                if first and stage.starts_from:
                    memory[stage.name] = now[stage.starts_from]
                total = known[stage.name][t]
                for source, block in inside[stage.name]:
                    name = (source.first if first else "") or source.name
                    total = torch.addmm(total, now[name], block)
                sums = dict(zip(stage.gates, total.chunk(len(stage.gates), -1), strict=True))
                own, passed = self.stages[stage.name], since if stage.timed else None
                value, kept = answer(
                    stage, sums, vectors[stage.name], memory.get(stage.name), passed
                )
                if kept is not None:
                    memory[stage.name] = kept
                now[stage.name] = own.sent(value)
                steps[stage.name].append(now[stage.name])
        final.update({name: now[name] for name in state if name in names})
        final.update({s.state_name(word): memory[s.name] for s in group for word in s.memory})
        return {name: torch.stack(values, dim=1) for name, values in steps.items()}

    @torch.no_grad()
    def _evaluate(
        self, x: Tensor, elapsed: Tensor | None, state: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The chip's integers, decoded; 24-bit integers are exact in float32."""
        program = self.export()
        start: dict[str, dict[str, np.ndarray]] = {}
        for population in program.populations:
            start[population.name] = {}
            for word, bits in population.program.states:
                if word == PHASE:
                    continue
                name, step = self._word(population, word)
                values = np.floor(state[name].detach().cpu().double().numpy() / step + 0.5)
                ends = signed_range(bits)
                start[population.name][word] = np.clip(values, *ends).astype(np.int64)
        times = None if elapsed is None else elapsed.cpu().double().numpy()
        result = simulate(program, x.cpu().double().numpy(), timespans=times, initial_state=start)
        final: dict[str, Tensor] = {}
        for population in program.populations:
            own = population.program
            # Where a state is kept more finely than it is sent, what is kept comes last and counts.
            words = sorted(own.state_names, key=lambda word: word != own.message_state)
            for word in words:
                if word == PHASE:
                    continue
                name, step = self._word(population, word)
                values = result.final_state[population.name][word] * step
                final[name] = torch.as_tensor(values).to(x)
        return torch.as_tensor(result.outputs).to(x), final

    def _word(self, population: Population, word: str) -> tuple[str, float]:
        """The name of the state that a state word holds, and the real value of one unit."""
        own = self.stages[population.name]
        if word == population.program.message_state:
            return population.name, population.message.step
        return own.stage.state_name(word), own.memory_step

    def _state_of(self, hx: Hidden | None, x: Tensor) -> dict[str, Tensor]:
        """The state of every stage that has one, from ncps's order; zeros without."""
        parts = hx if isinstance(hx, tuple) else (hx,)
        state: dict[str, Tensor] = {}
        for kind, given in enumerate(parts if hx is not None else (None,)):
            if given is None:
                continue
            units = self._stateful(memory=kind == 1)
            flat = torch.cat(list(given), dim=-1) if self.by_layer else given
            split = (flat if flat.dim() == 2 else flat[None]).to(x).split([*units.values()], dim=-1)
            state |= dict(zip(units, split, strict=True))
        for name, count in (self._stateful(memory=False) | self._stateful(memory=True)).items():
            state.setdefault(name, x.new_zeros(x.shape[0], count))
        return state

    def _stateful(self, memory: bool) -> dict[str, int]:
        """Names and units of the states h, or of the cell states c, in the order of the layers."""
        stages = self.network_before.stages
        heard = heard_again(stages)
        found: dict[str, int] = {}
        for stage in stages:
            has_cell = isinstance(stage, MemoryStage)
            if memory and has_cell:
                found |= {stage.state_name(word): stage.units for word in stage.memory}
            elif not memory and (stage.name in heard or (stage.memory and not has_cell)):
                found[stage.name] = stage.units
        return found

    def _hidden(self, state: dict[str, Tensor]) -> Hidden:
        joined = torch.stack if self.by_layer else functools.partial(torch.cat, dim=-1)
        hidden, memory = (
            [state[name] for name in self._stateful(memory=kind)] for kind in (False, True)
        )
        return (joined(hidden), joined(memory)) if memory else joined(hidden)
