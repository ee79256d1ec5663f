"""Passes of Monte-Carlo dropout: one program, T sequences with masks of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.arrays import as_array
from lnn2loihi.dropping import Rates, dropped
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.formats import IntegerArray
from lnn2loihi.kinds import Count, Natural
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.neurons.dropping import dropout_share, mask_words
from lnn2loihi.program import LoihiProgram
from lnn2loihi.sequences import Sequences, sequences
from lnn2loihi.simulation import simulate
from lnn2loihi.simulation.result import Counters, OnStep, SimulationResult
from lnn2loihi.step_masks import (
    PROVENANCE,
    SOURCE,
    MaskChannels,
    channels_in,
    widened,
    with_step_masks,
)
from lnn2loihi.uncertainty.noise import checked_noise
from lnn2loihi.uncertainty.result import MonteCarloResult

#: Input values of passes that run together.
VALUES_AT_ONCE = 1 << 22
#: Probability that a unit is kept, beyond which the program's own counts as another.
_SAME = 2.0**-7
Keep = Annotated[
    Mapping[str, float] | float, "a probability above 0 and at most 1, or a dict of them by name"
]
Masks = Annotated[
    Mapping[str, npt.ArrayLike], "a dict of arrays of truth values (passes, units) by population"
]


@checks_kinds()
def monte_carlo(
    source: LoihiProgram | LiquidNetwork,
    x: npt.ArrayLike,
    samples: Count = 30,
    seed: Natural = 0,
    keep: Keep | None = None,
    noise: Any = None,
    *,
    dropout: Rates | None = None,
    per_step: bool = False,
    masks: Masks | None = None,
    engine: str = "auto",
    lengths: npt.ArrayLike | None = None,
    timespans: npt.ArrayLike | None = None,
    encoded: bool = False,
    threads: Count | None = None,
    progress: OnStep | None = None,
) -> MonteCarloResult:
    """Runs so many passes, each with masks that drop messages at random.

    All passes are sequences of one program that begin with other masks; those of a pass hold from
    the first sample to the last one. The masks of the first passes do not depend on how many there
    are, and a network draws those of the program that was made of it with the same dropout.

    Args:
        source: a program of `quantize(dropout=...)`; or a float network, whose passes are computed
            in float64.
        x: as for `simulate`.
        samples: number of passes, 2 or more.
        seed: of the masks (NumPy's PCG64).
        keep: probability that a unit is kept, where it is not that of the program: one number or
            by name of a population. Messages stay as large as the program takes them to be, and a
            warning says by how much that is wrong.
        noise: standard deviation of the observations' noise: a number, one for each output, or what
            `fit_noise` returns, with which intervals say what they have covered.
        dropout: of a float network its rates, as for `quantize`; those of its training by default.
        per_step: of a float network whether every sample has masks of its own; programs know it
            (`quantize(per_step=True)`). Masks are then bool (passes, time, units), those of a pass
            for all sequences.
        masks: masks of an earlier result, to be used again: bool (passes, units) by name of a
            population; `samples` and `seed` then count nothing.
        engine: as for `simulate`.
        lengths: as for `simulate`.
        timespans: as for `simulate`.
        encoded: as for `simulate`.
        threads: as for `simulate`.
        progress: called with the steps done and the steps in all, for progress bars.

    Raises:
        InputError: x, noise, masks or probabilities do not fit, or there is no dropout.
        BackendMissingError: the executor cannot run the program here, and why.
    """
    runs: _Passes
    if isinstance(source, LiquidNetwork):
        if encoded or keep is not None:
            word = "encoded" if encoded else "keep"
            raise InputError(word, "goes with programs; of a float network give dropout=")
        made = _of_steps if per_step else _of_network
        runs = made(source, dropout, x, lengths, timespans)
    else:
        if dropout is not None or per_step:
            word = "dropout" if dropout is not None else "per_step"
            raise InputError(
                word, f"goes with networks; quantize({word}=) made the masks of a program"
            )
        runs = _of_program(source, (x, lengths, timespans), encoded, engine, threads)
    drawn, chances, warnings = _masks(runs, samples, seed, keep, masks)
    count = len(next(iter(drawn.values())))
    answers, rest = _run(runs, drawn, count, progress)
    deviation, fitted = checked_noise(noise, answers.shape[-1])
    return MonteCarloResult(
        answers, drawn, chances, runs.data.lengths, None if masks is not None else int(seed),
        deviation, fitted, warnings=tuple(warnings), **rest,
    )  # fmt: skip


@dataclass(frozen=True)
class _Passes:
    """What runs passes.

    Attributes:
        subject: the program or the network, for errors.
        data: the sequences.
        sizes: units of each population with dropout.
        keep: the probability that each of its units is kept.
        run: runs sequences, several passes behind each other, with masks (sequences, units), or
            (sequences, time, units).
        steps: samples of a sequence, which have masks of their own; 0 where they do not.
    """

    subject: str
    data: Sequences
    sizes: Mapping[str, int]
    keep: Mapping[str, float]
    run: Callable[[Sequences, Mapping[str, npt.NDArray[np.bool_]], OnStep | None], Any]
    steps: int = 0

    def shape(self, size: int) -> tuple[int, ...]:
        """Of the masks of so many units in a pass."""
        return (self.steps, size) if self.steps else (size,)


@dataclass(frozen=True)
class _Part:
    """Some passes: answers, and what a simulation counts."""

    answers: FloatArray
    executor: str
    saturated: IntegerArray | None = None
    saturations: Mapping[str, int] | None = None
    counters: Counters | None = None


def masked_populations(program: LoihiProgram) -> dict[str, float]:
    """Populations with dropout, each with the share of units that it takes to be kept."""
    found = {p.name: dropout_share(p.program) for p in program.populations}
    return {name: share for name, share in found.items() if share is not None}


def _of_program(
    program: LoihiProgram, samples: tuple[Any, Any, Any], encoded: bool, engine: str,
    threads: int | None,
) -> _Passes:  # fmt: skip
    x, lengths, timespans = samples
    channels = channels_in(program.provenance, PROVENANCE)
    own = sum(one.units for one in channels)
    subject = f"program {program.name!r}"
    if own >= program.channels:
        raise InputError(
            subject,
            f"it says that {own} of its {program.channels} channels are masks; quantize again",
        )
    if channels and encoded:
        raise InputError("encoded", "masks of every sample come in as numbers; give samples")
    data = sequences(
        x, program.channels - own, subject, lengths=lengths, timespans=timespans,
        irregular=program.timed, encoded=encoded,
    )  # fmt: skip

    def run_steps(
        part: Sequences, masks: Mapping[str, npt.NDArray[np.bool_]], progress: OnStep | None
    ) -> _Part:
        result = simulate(
            program, widened(part.x, channels, masks), engine, lengths=part.lengths,
            timespans=part.timespans, threads=threads, progress=progress,
        )  # fmt: skip
        return _part_of(result)

    if channels:
        return _with_steps(subject, data, channels, run_steps)

    def run(
        part: Sequences, masks: Mapping[str, npt.NDArray[np.bool_]], progress: OnStep | None
    ) -> _Part:
        start = {name: mask_words(kept) for name, kept in masks.items()}
        result = simulate(
            program, part.x, engine, lengths=part.lengths, timespans=part.timespans,
            encoded=encoded, initial_state=start, threads=threads, progress=progress,
        )  # fmt: skip
        return _part_of(result)

    keep = masked_populations(program)
    sizes = {p.name: p.size for p in program.populations if p.name in keep}
    return _Passes(subject, data, sizes, keep, run)


def _of_steps(
    network: LiquidNetwork,
    dropout: Rates | None,
    x: npt.ArrayLike,
    lengths: npt.ArrayLike | None,
    timespans: npt.ArrayLike | None,
) -> _Passes:
    made = with_step_masks(network, True if dropout is None else dropout)
    channels, subject = channels_in(made.source, SOURCE), f"network {network.name!r}"
    data = sequences(
        x, network.input_size, subject,
        lengths=lengths, timespans=timespans, irregular=network.irregular,
    )  # fmt: skip

    def run(
        part: Sequences, masks: Mapping[str, npt.NDArray[np.bool_]], progress: OnStep | None
    ) -> _Part:
        found = made.evaluate(
            widened(part.x, channels, masks), lengths=part.lengths, timespans=part.timespans
        )
        return _Part(found.outputs, "float64")

    return _with_steps(subject, data, channels, run)


def _with_steps(
    subject: str, data: Sequences, channels: Sequence[MaskChannels], run: Callable[..., _Part]
) -> _Passes:
    """What runs passes in which every sample has masks of its own."""
    sizes = {one.name: one.units for one in channels}
    keep = {one.name: one.keep for one in channels}
    return _Passes(subject, data, sizes, keep, run, data.x.shape[1])


def _part_of(result: SimulationResult) -> _Part:
    return _Part(
        result.outputs, result.executor, result.saturated, result.saturations, result.counters
    )


def _of_network(
    network: LiquidNetwork,
    dropout: Rates | None,
    x: npt.ArrayLike,
    lengths: npt.ArrayLike | None,
    timespans: npt.ArrayLike | None,
) -> _Passes:
    subject = f"network {network.name!r}"
    masked = dropped(network, True if dropout is None else dropout)
    data = sequences(
        x, network.input_size, subject,
        lengths=lengths, timespans=timespans, irregular=network.irregular,
    )  # fmt: skip

    def run(
        part: Sequences, masks: Mapping[str, npt.NDArray[np.bool_]], progress: OnStep | None
    ) -> _Part:
        factors = {name: kept / masked.keeps[name] for name, kept in masks.items()}
        found = masked.network.evaluate(
            part.x, lengths=part.lengths, timespans=part.timespans, masks=factors
        )
        return _Part(found.outputs, "float64")

    stages = [stage for stage in masked.network.stages if stage.name in masked.keeps]
    keep = {stage.name: masked.keeps[stage.name] for stage in stages}
    return _Passes(subject, data, {s.name: s.units for s in stages}, keep, run)


def _masks(
    runs: _Passes, samples: int, seed: int, keep: Keep | None, masks: Masks | None
) -> tuple[dict[str, npt.NDArray[np.bool_]], dict[str, float], list[str]]:
    """Masks by population, the probabilities that they were drawn with, and warnings.

    Raises:
        InputError: there is no dropout, or masks or probabilities do not fit.
    """
    if not runs.sizes:
        raise InputError(
            runs.subject,
            "it has no population with dropout; quantize(network, x, dropout=0.2) makes one",
        )
    if masks is not None:
        if keep is not None:
            raise InputError("keep", "goes with masks that are drawn; these are given")
        return _given_masks(runs, masks), dict(runs.keep), []
    if samples < 2:
        raise InputError("samples", f"is {samples}; a deviation takes 2 passes or more")
    chances = _chances(runs, keep)
    warnings = [
        f"{name} keeps {own:.4g} of its units, and its program counts on {runs.keep[name]:.4g}: "
        f"what hears it hears {own / runs.keep[name]:.4g} times as much as in training on average; "
        "quantize with that dropout"
        for name, own in chances.items()
        if abs(own - runs.keep[name]) > _SAME
    ]
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = generator.random((samples, *runs.shape(sum(runs.sizes.values()))))
    ends = np.cumsum([*runs.sizes.values()])
    parts = zip(runs.sizes, np.split(drawn, ends[:-1], axis=-1), strict=True)
    return {name: part < chances[name] for name, part in parts}, chances, warnings


def _chances(runs: _Passes, keep: Keep | None) -> dict[str, float]:
    """The probability that a unit is kept, by population."""
    if keep is None:
        return dict(runs.keep)
    own = keep if isinstance(keep, Mapping) else dict.fromkeys(runs.sizes, keep)
    problems = Problems(InputError, "keep")
    for name, chance in own.items():
        if name not in runs.sizes:
            problems.add(f"{name!r:.60} has no dropout; there are {', '.join(runs.sizes)}")
        elif isinstance(chance, bool) or not isinstance(chance, (int, float)):
            problems.add(f"{name}: of type {type(chance).__name__}; give a number")
        elif not 0.0 < chance <= 1.0:
            problems.add(f"{name}: {chance!r}; give a probability above 0 and at most 1")
    problems.raise_if_any()
    return {name: float(own.get(name, runs.keep[name])) for name in runs.sizes}


def _given_masks(runs: _Passes, masks: Masks) -> dict[str, npt.NDArray[np.bool_]]:
    problems = Problems(InputError, "masks")
    found: dict[str, npt.NDArray[np.bool_]] = {}
    if sorted(map(str, masks)) != sorted(runs.sizes):
        problems.add(f"are of {', '.join(map(str, masks))}; give those of {', '.join(runs.sizes)}")
        problems.raise_if_any()
    for name, size in runs.sizes.items():
        kept = as_array(masks[name], "masks", name)
        wanted = runs.shape(size)
        if kept.dtype != np.bool_ or kept.shape[1:] != wanted or len(kept) < 2:
            problems.add(
                f"{name} is {kept.dtype} {kept.shape}; give truth values "
                f"(passes, {', '.join(map(str, wanted))}) of 2 passes or more"
            )
        found[name] = kept
    if not problems and len({len(kept) for kept in found.values()}) > 1:
        problems.add(f"have {', '.join(f'{len(kept)} passes ({n})' for n, kept in found.items())}")
    problems.raise_if_any()
    return found


def _run(
    runs: _Passes,
    masks: Mapping[str, npt.NDArray[np.bool_]],
    passes: int,
    progress: OnStep | None,
) -> tuple[FloatArray, dict[str, Any]]:
    """Answers of all passes, some passes after the others, and what was counted."""
    data = runs.data
    at_once = max(VALUES_AT_ONCE // max(data.x.size, 1), 1)
    parts: list[_Part] = []
    for begin in range(0, passes, at_once):
        count = min(at_once, passes - begin)
        own = {
            name: np.repeat(kept[begin : begin + count], len(data.x), axis=0)
            for name, kept in masks.items()
        }
        parts.append(runs.run(_repeated(data, count), own, _behind(progress, begin, count, passes)))
    answers = np.concatenate([part.answers for part in parts])
    answers = answers.reshape(passes, len(data.x), *answers.shape[1:])
    first = parts[0]
    rest: dict[str, Any] = {"executor": first.executor}
    if first.counters is not None:
        assert first.saturated is not None
        totals: dict[str, int] = {}
        for part in parts:
            for word, times in (part.saturations or {}).items():
                totals[word] = totals.get(word, 0) + times
        rest |= {
            "saturated_inputs": int(first.saturated.sum()) // min(at_once, passes),
            "saturations": None if first.saturations is None else totals,
            "counters": _together([part.counters for part in parts if part.counters]),
        }
    return answers, rest


def _repeated(data: Sequences, times: int) -> Sequences:
    """The sequences so many times behind each other."""
    spans = data.timespans
    return Sequences(
        np.concatenate([data.x] * times),
        np.tile(data.lengths, times),
        None if spans is None else np.concatenate([spans] * times),
    )


def _behind(progress: OnStep | None, begin: int, count: int, passes: int) -> OnStep | None:
    """Progress of some of the passes as part of all."""
    if progress is None:
        return None
    return lambda done, total: progress(begin * total + count * done, passes * total)


def _together(parts: list[Counters]) -> Counters:
    """The counters of all passes."""

    def total(name: str) -> dict[str, IntegerArray]:
        first: Mapping[str, IntegerArray] = getattr(parts[0], name)
        return {key: sum(getattr(part, name)[key] for part in parts) for key in first}  # type: ignore[misc]

    return Counters(total("non_zero"), total("changed"), sum(part.samples for part in parts))
