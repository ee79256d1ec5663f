"""A network that trains with the chip's weights and messages, as a PyTorch module."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.errors import InputError, Problems, QuantizationError
from lnn2loihi.evaluation import heard_again, loops
from lnn2loihi.formats import FixedPoint
from lnn2loihi.kinds import Share
from lnn2loihi.layers.stage import INPUT
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram
from lnn2loihi.qat.calls import Calls, Hidden
from lnn2loihi.qat.loop import run_loop
from lnn2loihi.qat.rounding import message
from lnn2loihi.qat.stage import TrainableStage
from lnn2loihi.quantization.post_training import Plan, Scales
from lnn2loihi.quantization.state_words import (
    StateWord,
    decoded_states,
    encoded_states,
    words_of,
)
from lnn2loihi.quantization.verb import PreparedQuantization
from lnn2loihi.simulation import simulate


class TrainableNetwork(nn.Module):
    """A drop-in for the module that it was made of; see `prepare`.

    In training mode it computes in floats with the rounded weights, messages and inputs of the
    chip, and gradients pass through the rounding. In evaluation mode it answers the integers of
    `export()`, decoded: bit for bit what the chip answers. With dropout, training drops messages
    as passes of Monte-Carlo dropout do, with a mask for each sequence (PyTorch's generator draws
    them), and evaluation answers as the program does until masks are drawn.

    Args:
        network: the float network.
        setting: calibration and recipes.
        calls: axes of its arguments and answers.
    """

    def __init__(
        self,
        network: LiquidNetwork,
        setting: PreparedQuantization,
        calls: Calls,
    ) -> None:
        super().__init__()
        self.network_before, self.setting = network, setting
        self.calls = calls
        self.host = calls.host  # a part of this module, which moves to devices with it
        plan = Plan(network, setting.calibration, setting.recipes)
        exponents = plan.exponents()
        self.trainable = nn.ModuleList(
            TrainableStage(
                stage,
                plan.sources(stage),
                plan.lowering(stage),
                exponents[stage.name],
                setting.calibration.moments.get(stage.name),
                setting.recipes.of(stage),
                plan.formats[stage.name],
                plan.steps.get(stage.name),
                setting.calibration.keeps.get(stage.name),
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
        self.register_buffer("formats", torch.tensor(list(_digest(plan, network))))
        self._exported: tuple[list[Tensor], LoihiProgram] | None = None

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
        return self.network_before.with_gates(gates, vectors)

    def export(self) -> LoihiProgram:
        """The integer program of the weights as they are now.

        Raises:
            QuantizationError: rows do not fit; the penalty `crowding` keeps them inside.
        """
        if self._exported is None or not self._unchanged(self._exported[0]):
            network = self.network()
            try:
                program = self.setting.convert(network, self._scales())
            except QuantizationError:
                # Weights have outgrown the exponents that they were trained with: choose anew.
                plan = Plan(network, self.setting.calibration, self.setting.recipes)
                for name, exponents in plan.exponents().items():
                    self.stages[name].change_exponents(exponents)
                program = self.setting.convert(network, self._scales())
            self._exported = [value.detach().clone() for value in self._values()], program
        return self._exported[1]

    def _values(self) -> list[Tensor]:
        return [*self.parameters(), *self.buffers()]

    def _unchanged(self, before: list[Tensor]) -> bool:
        """Whether parameters and buffers are what they were. They are compared, since PyTorch does
        not count what is written through `data`, as averaged weights often are.
        """
        pairs = zip(self._values(), before, strict=True)
        return all(now.device == then.device and torch.equal(now, then) for now, then in pairs)

    def _scales(self) -> dict[str, Scales]:
        return {name: Scales(own.exponents, own.steps()) for name, own in self.stages.items()}

    def crowding(self) -> Tensor:
        """A penalty on rows that the 24-bit accumulator leaves fewer weight bits than the recipe
        has; 0 where none is. See `TrainableStage.crowding`.
        """
        return torch.stack([own.crowding() for own in self.stages.values()]).sum()

    @checks_kinds()
    def harden(self, share: Share) -> None:
        """Fixes this share of the weights of every gate at the mantissas that they are nearest to.

        From the first call on, weights that are not fixed are heard unrounded in training, and
        learn to make up for those that are: without the straight-through gradients of weights that
        go to and fro between two mantissas (incremental quantization, Zhou et al. 2017,
        arXiv:1702.03044, there with the largest weights first). Call it now and then with a share
        that grows to 1, while the learning rate is still high; biases and the steps of the rows go
        on learning. Evaluation and `export` round all weights at any time.

        Args:
            share: of the synapses that are there, 0 to 1; what is fixed stays fixed.

        Raises:
            InputError: the share is out of range.
        """
        for own in self.stages.values():
            own.harden(share)

    @checks_kinds()
    def prune(self, share: float) -> int:
        """Takes the smallest weights of every gate away, for good.

        Args:
            share: of the synapses that are there, 0 to 1.

        Returns:
            The number of synapses that are left.
        """
        if not 0.0 <= share < 1.0:
            raise InputError("share", f"is {share!r}; give a number from 0 up to, but not, 1")
        left = 0
        for own in self.stages.values():
            for gate in (name for name in own.trained if name not in own.stage.fixed):
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

    @checks_kinds()
    def forward(
        self,
        input: Tensor,
        hx: Hidden | Sequence[Tensor | None] | None = None,
        timespans: Tensor | None = None,
    ) -> Any:
        """As the module that this one stands for.

        Args:
            input: float samples, (batch, time, inputs) or (time, inputs); (time, batch, inputs) or
                (batch, inputs) where that module takes these.
            hx: state that a call returned, or None.
            timespans: elapsed times, (batch, time), where time is irregular.

        Returns:
            Outputs (batch, time, outputs), or the last ones, and with it the state (batch, units),
            a pair of state and memory where there is one; what of it, and in which order of axes,
            is that module's choice. Outputs alone for LiquidNetworks.

        Raises:
            InputError: a shape is wrong, timespans are missing or too many, or parameters are of
                half precision.
            QuantizationError: weights are NaN or infinite, or rows do not fit.
        """
        x, elapsed, batched = self.calls.batch_first(input, timespans)
        outputs, state = self.answered(x, elapsed, self._state_of(hx, x))
        if not batched and not self.calls.one_step:
            state = {name: values[0] for name, values in state.items()}
        hidden = self._hidden(state) if state else outputs
        return self.calls.answer(outputs, hidden, batched)

    def answered(
        self, x: Tensor, elapsed: Tensor | None, states: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Outputs (batch, time, outputs), and states after the last sample by name.

        Args:
            x: samples (batch, time, inputs).
            elapsed: elapsed times (batch, time), where time is irregular.
            states: those that sequences begin with, (batch, units), by the names of
                `LiquidNetwork.state_sizes`; zeros where absent.

        Raises:
            InputError, QuantizationError: as of `forward`.
        """
        x = self._checked(x, elapsed)
        state = self._state_of(None, x)
        state |= {name: values.to(x) for name, values in states.items()}
        run = self._train if self.training else self._evaluate
        with torch.autocast(x.device.type, enabled=False):  # 16 bits do not hold what the chip does
            return run(x, elapsed, state)

    def _checked(self, x: Tensor, elapsed: Tensor | None) -> Tensor:
        """Samples (batch, time, inputs) in the precision of the parameters."""
        network = self.network_before
        if (elapsed is None) == network.irregular:
            wanted = "missing" if elapsed is None else "given, but time is constant"
            raise InputError("timespans", f"are {wanted}")
        problems = Problems(InputError, "input")
        if x.shape[-1] != network.input_size or 0 in x.shape:
            problems.add(
                f"is {tuple(x.shape)} as (batch, time, inputs); the network has "
                f"{network.input_size} inputs, and needs a sequence and a sample at least"
            )
        kinds = {parameter.dtype for parameter in self.parameters()}
        if not kinds <= {torch.float32, torch.float64}:
            problems.add(
                f"parameters are {', '.join(sorted(map(str, kinds)))}; the chip's integers need "
                "float32 or float64 (automatic mixed precision leaves them there)"
            )
        problems.raise_if_any()
        return x.to(next(iter(kinds), torch.float32))

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
        for own in self.stages.values():
            own.draw(x)
        final: dict[str, Tensor] = {}
        for group in loops(self.network_before.stages):
            messages |= run_loop(group, self.stages, substeps, messages, elapsed, state, final)
        answers = messages[self.network_before.stages[-1].name]
        return answers[:, substeps - 1 :: substeps], final

    @torch.no_grad()
    def _evaluate(
        self, x: Tensor, elapsed: Tensor | None, state: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The chip's integers, decoded; 24-bit integers are exact in float32."""
        program = self.export()
        words = self.state_words(program)
        states = {name: values.detach().cpu().double().numpy() for name, values in state.items()}
        start = encoded_states(words, program, states)[0]
        times = None if elapsed is None else elapsed.cpu().double().numpy()
        result = simulate(program, x.cpu().double().numpy(), timespans=times, initial_state=start)
        found = decoded_states(words, result.final_state)
        final = {name: torch.as_tensor(values).to(x) for name, values in found.items()}
        return torch.as_tensor(result.outputs).to(x), final

    def state_words(self, program: LoihiProgram) -> tuple[StateWord, ...]:
        """The words of the exported program that hold states of the network."""
        found: list[StateWord] = []
        for population in program.populations:
            own = self.stages[population.name]
            found += words_of(population, own.stage, own.memory_steps)
        return tuple(found)

    def _state_of(self, hx: Any, x: Tensor) -> dict[str, Tensor]:
        """The state of every stage that has one, from ncps's order; zeros without."""
        parts = tuple(hx) if isinstance(hx, (tuple, list)) else (hx,)
        state: dict[str, Tensor] = {}
        for kind, given in enumerate(parts):
            if given is None:
                continue
            units = self._stateful(memory=kind == 1) if kind < 2 else {}
            flat = torch.cat(list(given), dim=-1) if self.calls.by_layer else given
            flat = flat if flat.dim() == 2 else flat[None]
            if flat.shape != (x.shape[0], sum(units.values())):
                raise InputError(
                    "hx",
                    f"part {kind + 1} of {len(parts)} has shape {tuple(given.shape)}; the state of "
                    f"{x.shape[0]} sequences has {sum(units.values())} units there "
                    f"({', '.join(units) or 'none'})",
                )
            state |= dict(zip(units, flat.to(x).split([*units.values()], dim=-1), strict=True))
        for name, count in (self._stateful(memory=False) | self._stateful(memory=True)).items():
            state.setdefault(name, x.new_zeros(x.shape[0], count))
        return state

    def _stateful(self, memory: bool) -> dict[str, int]:
        """Names and units of the states h, or of the cell states c, in the order of the layers."""
        stages = self.network_before.stages
        heard = heard_again(stages)
        found: dict[str, int] = {}
        for stage in stages:
            cells = stage.cell_words
            names = [stage.state_name(word) for word in stage.memory if word not in cells]
            if memory:
                found |= {stage.state_name(word): stage.units for word in cells}
            elif stage.name in heard or names:
                found |= dict.fromkeys(names or [stage.name], stage.units)
        return found

    def _hidden(self, state: dict[str, Tensor]) -> Hidden:
        joined = torch.stack if self.calls.by_layer else functools.partial(torch.cat, dim=-1)
        hidden, memory = (
            [state[name] for name in self._stateful(memory=kind)] for kind in (False, True)
        )
        return (joined(hidden), joined(memory)) if memory else joined(hidden)

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Refuses weights that were trained with other formats, which mean other numbers here."""
        given = state_dict.get(f"{prefix}formats")
        if given is not None and not torch.equal(given.cpu(), self.get_buffer("formats").cpu()):
            raise InputError(
                "state_dict",
                "it is of a module with other formats; prepare this one of the same float network, "
                "recipe and calibration data, or keep what was trained as a program: "
                "lnn2loihi.save(module.export(), file)",
            )
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


def _digest(plan: Plan, network: LiquidNetwork) -> bytes:
    """SHA-256 of everything beside weights that decides what a module's parameters stand for."""
    port = plan.port
    said = [repr(plan.recipes), network.substeps, network.irregular, repr(plan.senders.elapsed)]
    for part in ("gain", "offset", "low", "high"):
        said.append([f"{value:.6g}" for value in np.asarray(getattr(port, part)).ravel()])
    for stage in network.stages:
        lowering = plan.lowering(stage)
        units = {
            name: np.round(np.log2(np.unique(values)), 6).tolist()
            for name, values in lowering.units.items()
        }
        form = plan.formats[stage.name]
        memory = [np.unique(step).tolist() for step in lowering.memory_steps.values()]
        said.append([stage.name, type(stage).__name__, repr(form), memory, units])
        said.append(plan.steps.get(stage.name, np.zeros(0)).tolist())
    return hashlib.sha256(repr(said).encode()).digest()
