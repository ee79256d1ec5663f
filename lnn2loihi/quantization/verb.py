"""Quantizes a LiquidNetwork into a LoihiProgram."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.dropping import Rates, dropped, without_relays
from lnn2loihi.errors import FamilyError, Lnn2LoihiError, Problems, QuantizationError
from lnn2loihi.graph.connection import LARGEST_DELAY
from lnn2loihi.graph.schedule import delays_of
from lnn2loihi.layers.stage import INPUT
from lnn2loihi.network import FloatArray, LiquidNetwork
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantization.calibration import (
    MASKS_SEED,
    RANGES,
    CalibrationRun,
    run_calibration,
)
from lnn2loihi.quantization.measurements import measured_rows, measured_run
from lnn2loihi.quantization.post_training import Plan, Scales
from lnn2loihi.quantization.rounding import CORRECTIONS
from lnn2loihi.quantization.sizes import check_memory, memory_that_ends
from lnn2loihi.quantization.state_words import StateWord
from lnn2loihi.quantization.warnings import (
    LEAVE_OUT,
    POOR_DB,
    Judged,
    outlier_warnings,
    precision_warnings,
    unit_warnings,
)
from lnn2loihi.recipe import (
    DEFAULT_INPUT_BITS,
    DEFAULT_RECIPE,
    LayerRecipes,
    Recipe,
    Recipes,
)
from lnn2loihi.sequences import Sequences, sequences
from lnn2loihi.step_masks import SOURCE, channels_in, widened, with_step_masks
from lnn2loihi.version import VERSION

#: Sequences of the calibration data on which integers and floats are compared.
SEQUENCES_COMPARED = 64
#: Larger networks are not converted again in search of a recipe that helps, which takes as long.
SYNAPSES_TRIED_AGAIN = 300_000
#: Widths of messages that are tried in such a search.
WIDER_MESSAGES = (12, 16)
#: Widths that are tried in search of a recipe that fits.
TRIED_INPUTS, TRIED_MESSAGES = (12, 8), (14, 12, 10, 8, 6, 4)


@checks_kinds(QuantizationError)
def quantize(
    network: LiquidNetwork,
    calibrate: Any,
    recipe: str | Recipe = DEFAULT_RECIPE,
    *,
    calibrate_timespans: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    layers: LayerRecipes | None = None,
    ranges: str = "range",
    correction: str = "full",
    dropout: Rates | None = None,
    per_step: bool = False,
) -> LoihiProgram:
    """Quantizes a trained network, and proves the result free of overflow.

    Args:
        network: what was trained.
        calibrate: typical inputs: numbers of any type, (batch, time, inputs); a list of sequences
            (time, inputs) of any length; or a loader of batches (a DataLoader, a generator, a
            function that returns one: see `lnn2loihi.batches`). A few hundred steps are enough.
            They set the range of every input channel and weigh the errors of the weights.
        recipe: widths and activation form; see `lnn2loihi.recipe` for the grammar.
        calibrate_timespans: elapsed times of these inputs, (batch, time), where the network's
            time is irregular.
        lengths: samples of each sequence, (batch,), where some end before the array does; what
            stands beyond counts nowhere.
        layers: recipes of layers or of single stages by name, where they differ (mixed precision).
        ranges: how formats follow from the data: "range" (nothing saturates), "percentile" (the
            outermost 0.1 % does) or "mse" (least error of rounding and saturation together).
        correction: how rounding the weights is made up for: "none", "bias" (its average, by the
            biases) or "full" (as far as the other weights and the bias can on the calibration
            data).
        dropout: rates at which passes of Monte-Carlo dropout drop messages: by name of a layer
            (others hear it with a mask), `input`, `<layer>.recurrent` (the layer hears itself with
            a mask, too) or a stage within a layer; one number for all layers that others hear; True
            for those of `network.dropout`. The program answers as ever until masks are drawn
            (`lnn2loihi.monte_carlo`). None for a program without masks.
        per_step: whether every sample has masks of its own. They come in as channels behind those
            of x, one for each unit that can be dropped, which `monte_carlo` adds; whoever runs the
            program otherwise gives 1 there. Of layers that others hear and of `input` alone.

    Returns:
        The integer program, with a table of what was measured on the calibration data.

    Raises:
        QuantizationError: lists what is wrong with the recipes and the calibration data, or
            every row that does not fit and the recipe that would; or says how much memory would
            be needed.
        InputError: lists rates and names that dropout cannot have.
    """
    if correction not in CORRECTIONS:
        raise QuantizationError(
            "correction", f"{correction!r} does not exist; there are {', '.join(CORRECTIONS)}"
        )
    if per_step:
        network, calibrate, lengths, calibrate_timespans = _with_step_masks(
            network, calibrate, lengths, calibrate_timespans, dropout
        )
        dropout = None
    setting = prepared(
        network, calibrate, recipe, calibrate_timespans, layers, ranges, lengths, dropout=dropout
    )
    with memory_that_ends(network):
        return setting.convert(setting.network, correction=correction)


def _with_step_masks(
    network: LiquidNetwork,
    calibrate: Any,
    lengths: npt.ArrayLike | None,
    timespans: npt.ArrayLike | None,
    dropout: Rates | None,
) -> tuple[LiquidNetwork, FloatArray, npt.NDArray[Any], npt.NDArray[Any] | None]:
    """The network with channels for masks, and the calibration data with open ones and with masks.

    Raises:
        QuantizationError: lists what is wrong with the calibration data.
    """
    made = with_step_masks(network, True if dropout is None else dropout)
    problems = Problems(QuantizationError, f"quantize network {network.name!r}")
    data = _calibration_data(calibrate, timespans, lengths, network, problems)
    problems.raise_if_any()
    assert data is not None
    channels = channels_in(made.source, SOURCE)
    generator = np.random.Generator(np.random.PCG64(MASKS_SEED))
    kept = {
        one.name: generator.random((*data.x.shape[:2], one.units)) < one.keep for one in channels
    }
    x = np.concatenate([widened(data.x, channels), widened(data.x, channels, kept)])
    spans = None if data.timespans is None else np.concatenate([data.timespans] * 2)
    return made, x, np.tile(data.lengths, 2), spans


@dataclass(frozen=True)
class PreparedQuantization:
    """What was settled before a network is converted: measurements and recipes.

    Attributes:
        network: what was measured.
        calibration: the measurements.
        recipes: widths.
    """

    network: LiquidNetwork
    calibration: CalibrationRun
    recipes: Recipes

    def state_words(self, network: LiquidNetwork, program: LoihiProgram) -> tuple[StateWord, ...]:
        """The words of a program that hold states of the network that it was converted of."""
        return Plan(network, self.calibration, self.recipes).state_words(program)

    def convert(
        self,
        network: LiquidNetwork,
        scales: Mapping[str, Scales] | None = None,
        correction: str = "none",
    ) -> LoihiProgram:
        """The program of this network, or of one with the same stages and other weights.

        Raises:
            QuantizationError: lists the rows that do not fit, and the recipe that would.
        """
        ranges = self.calibration.ranges
        provenance = {
            "network": network_hash(network),
            "lnn2loihi": VERSION,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "ranges": ranges,
            "correction": correction,
            **self.calibration.left_out,
            **({"host": ", ".join(network.host)} if network.host else {}),
            **{f"source.{key}": value for key, value in network.source.items()},
        }
        plan = Plan(network, self.calibration, self.recipes)
        try:
            program = plan.convert(provenance, correction, scales)
        except FamilyError:
            raise
        except QuantizationError as error:
            fits = _recipe_that_fits(network, self.calibration, self.recipes.common)
            if fits:
                advice = f"recipe {str(fits)!r} fits"
            elif any("too small, or too far apart" in problem for problem in error.problems):
                advice = "no narrower recipe fits"
            else:
                advice = (
                    "no narrower recipe fits: the sums of weights times inputs are too large, "
                    "which scaling one against the other does not change; standardise the inputs "
                    "and train anew, or train on with weight decay"
                )
            named = [f"{o}; {LEAVE_OUT}" for o in self.calibration.outliers]
            raise QuantizationError(error.subject, [*named, *error.problems, advice]) from None
        compared = self.calibration.first(min(SEQUENCES_COMPARED, self.calibration.unmasked))
        if network is not self.network:
            compared = run_calibration(
                network, compared.x, compared.timespans, ranges, compared.lengths, compared.initial
            )
        run = measured_run(program, compared, plan.state_words(program))
        rows = measured_rows(program, compared, run)
        judged = Judged(
            network, program, compared, run, self.recipes, scales is not None,
            partial(_recipe_that_helps, network, compared, self.recipes, correction),
        )  # fmt: skip
        warnings = outlier_warnings(self.calibration)
        warnings += precision_warnings(judged, rows) + unit_warnings(judged)
        return dataclasses.replace(program, table=tuple(rows), warnings=tuple(warnings))


def prepared(
    network: LiquidNetwork,
    calibrate: Any,
    recipe: str | Recipe = DEFAULT_RECIPE,
    calibrate_timespans: npt.ArrayLike | None = None,
    layers: LayerRecipes | None = None,
    ranges: str = "range",
    lengths: npt.ArrayLike | None = None,
    initial_state: Mapping[str, npt.ArrayLike] | None = None,
    dropout: Rates | None = None,
) -> PreparedQuantization:
    """Checks and measures what `quantize` is given; see there.

    `initial_state` is what the sequences begin with, as `LiquidNetwork.evaluate` takes it.
    """
    with_masks = dropped(network, dropout)
    network = with_masks.network
    problems = Problems(QuantizationError, f"quantize network {network.name!r}")
    recipes = _recipes(network, recipe, layers, problems)
    data = _calibration_data(calibrate, calibrate_timespans, lengths, network, problems)
    if ranges not in RANGES:
        problems.add(f"ranges {ranges!r} does not exist; there are {', '.join(RANGES)}")
    problems.raise_if_any()
    assert recipes is not None and data is not None
    check_memory(network, data.x.shape[0] * data.x.shape[1])
    with memory_that_ends(network):
        problems.extend(_delay_problems(network))
        problems.raise_if_any()
        initial = network.initial(initial_state, len(data.x))
        measured = run_calibration(
            network, data.x, data.timespans, ranges, data.given_lengths, initial, with_masks.keeps
        )
    return PreparedQuantization(network, measured, recipes)


def _delay_problems(network: LiquidNetwork) -> list[str]:
    """Messages that would have to wait longer than the chip's axons let them, for what hears them
    to have heard all else.
    """
    pairs: dict[tuple[str, str], None] = {}
    for stage in network.stages:
        heard = [name for source in stage.sources for name in (source.name, source.first)]
        heard += [stage.starts_from, INPUT if stage.timed else ""]
        pairs |= dict.fromkeys((name, stage.name) for name in heard if name)
    delays = delays_of(INPUT, [stage.name for stage in network.stages], [*pairs])
    return [
        f"{target} hears {source} past longer paths: messages would wait {delay} steps for the "
        f"others, and the chip's axons delay them by at most {LARGEST_DELAY}; make the longest "
        "path to it shorter, or let it hear something nearer"
        for (source, target), delay in zip(pairs, delays, strict=True)
        if delay > LARGEST_DELAY
    ]


def _recipes(
    network: LiquidNetwork,
    recipe: str | Recipe,
    layers: LayerRecipes | None,
    problems: Problems,
) -> Recipes | None:
    common = _parsed(recipe, problems)
    layers = {} if layers is None else layers
    own = {name: _parsed(text, problems) for name, text in layers.items()}
    names = [stage.name for stage in network.stages]
    known = {*names, *(name.partition(".")[0] for name in names)}
    for name in sorted(set(layers) - known):
        problems.add(f"layers: there is no layer {name!r}; there are {', '.join(sorted(known))}")
    chosen = {name: found for name, found in own.items() if found is not None}
    return Recipes(common, chosen) if common is not None and len(chosen) == len(own) else None


def _parsed(recipe: str | Recipe, problems: Problems) -> Recipe | None:
    if isinstance(recipe, Recipe):
        return recipe
    try:
        return Recipe.parse(recipe)
    except Lnn2LoihiError as error:
        problems.extend(f"recipe {recipe!r}: {problem}" for problem in error.problems)
        return None


def _calibration_data(
    calibrate: Any,
    timespans: npt.ArrayLike | None,
    lengths: npt.ArrayLike | None,
    network: LiquidNetwork,
    problems: Problems,
) -> Sequences | None:
    """The data without steps that no sequence has, so that no figure depends on the padding."""
    subject = "calibration data"
    try:
        return (
            sequences(
                calibrate, network.input_size, subject, lengths=lengths, timespans=timespans,
                irregular=network.irregular, batches=True, timespans_subject="calibrate_timespans",
            )
            .floats(subject)
            .trimmed()
        )  # fmt: skip
    except Lnn2LoihiError as error:
        problems.extend(f"{error.subject}: {problem}" for problem in error.problems)
        return None


def _recipe_that_fits(
    network: LiquidNetwork, calibration: CalibrationRun, recipe: Recipe
) -> Recipe | None:
    """The widest narrower recipe that fits: fewer message and input bits leave the accumulator
    more room for the weights.
    """
    # A conversion of a large network takes seconds, so only a few widths are tried.
    narrower = [
        dataclasses.replace(recipe, input_bits=bits)
        for bits in TRIED_INPUTS
        if bits < recipe.input_bits
    ]
    narrower += [
        dataclasses.replace(
            recipe, message_bits=bits, input_bits=min(recipe.input_bits, max(bits, 8))
        )
        for bits in TRIED_MESSAGES
        if bits < recipe.message_bits
    ]
    for candidate in narrower:
        try:
            Plan(network, calibration, Recipes(candidate)).convert({})
        except QuantizationError:
            continue
        return candidate
    return None


def _recipe_that_helps(
    network: LiquidNetwork, calibration: CalibrationRun, recipes: Recipes, correction: str
) -> tuple[str, float] | None:
    """The first wider recipe that brings the worst output above POOR_DB, and its decibels."""
    if network.synapses > SYNAPSES_TRIED_AGAIN:
        return None
    common = recipes.common
    for bits in WIDER_MESSAGES:
        wider = dataclasses.replace(
            common, weight_bits=8, message_bits=max(bits, common.message_bits),
            input_bits=max(common.input_bits, DEFAULT_INPUT_BITS),
        )  # fmt: skip
        if wider == common and not recipes.layers:
            continue
        try:
            plan = Plan(network, calibration, Recipes(wider))
            program = plan.convert({}, correction)
        except QuantizationError:
            continue
        run = measured_run(program, calibration, plan.state_words(program))
        found = measured_rows(program, calibration, run)[-1]
        if found["worst_db"] is None or found["worst_db"] >= POOR_DB:
            return str(wider), math.inf if found["worst_db"] is None else found["worst_db"]
    return None


def network_hash(network: LiquidNetwork) -> str:
    """SHA-256 over the stages with their effective float64 weights, as hexadecimal text; relays,
    which say nothing of their own, count nothing.
    """
    network = without_relays(network)
    digest = hashlib.sha256()
    for stage in network.stages:
        for field in dataclasses.fields(stage):
            value = getattr(stage, field.name)
            if field.name != "gates":
                text = value.tobytes().hex() if isinstance(value, np.ndarray) else repr(value)
                digest.update(f"{stage.name} {field.name} {text}".encode())
        for name, gate in stage.gates.items():
            for array in (gate.weight, gate.bias):
                digest.update(f"{stage.name}.{name} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array, "<f8").reshape(-1).data)
    for array in (network.input_offset, network.input_scale):
        digest.update(np.ascontiguousarray(array, "<f8").reshape(-1).data)
    return digest.hexdigest()
