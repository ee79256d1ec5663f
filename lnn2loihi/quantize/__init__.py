"""Quantizes a LiquidNetwork into a LoihiProgram."""

from __future__ import annotations

import dataclasses
import hashlib
import platform

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import Lnn2LoihiError, Problems, QuantizationError
from lnn2loihi.network import FloatArray, LiquidNetwork, checked_input
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantize.calibration import Calibration, measure
from lnn2loihi.quantize.measurements import measured_rows
from lnn2loihi.quantize.post_training import convert
from lnn2loihi.quantize.recipe import DEFAULT_RECIPE, Recipe
from lnn2loihi.quantize.warnings import precision_warnings
from lnn2loihi.version import VERSION

#: Widths that are tried in search of a recipe that fits.
TRIED_INPUTS, TRIED_MESSAGES = (12, 8), (14, 12, 10, 8, 6, 4)


def quantize(
    network: LiquidNetwork, calibrate: npt.ArrayLike, recipe: str | Recipe = DEFAULT_RECIPE
) -> LoihiProgram:
    """Quantizes a trained network, and proves the result free of overflow.

    Args:
        network: what was trained.
        calibrate: typical inputs, (batch, time, inputs); a few hundred steps are enough. They
            set the range of every input channel and weigh the errors of the weights.
        recipe: widths and activation form; see `lnn2loihi.quantize.recipe` for the grammar.

    Returns:
        The integer program, with a table of what was measured on the calibration data.

    Raises:
        QuantizationError: lists what is wrong with the recipe and the calibration data, or
            every row that does not fit and the recipe that would.
    """
    if not isinstance(network, LiquidNetwork):
        raise QuantizationError(
            f"quantize a {type(network).__qualname__}",
            "give a LiquidNetwork: import_network(module_or_checkpoint) makes one",
        )
    problems = Problems(QuantizationError, f"quantize network {network.name!r}")
    chosen = _parsed(recipe, problems)
    x = _calibration_data(calibrate, network, problems)
    problems.raise_if_any()
    assert chosen is not None and x is not None
    calibration = measure(network, x)
    provenance = {
        "network": network_hash(network),
        "lnn2loihi": VERSION,
        "numpy": np.__version__,
        "python": platform.python_version(),
        **{f"source.{key}": value for key, value in network.source.items()},
    }
    try:
        program = convert(network, calibration, chosen, provenance)
    except QuantizationError as error:
        fits = _recipe_that_fits(network, calibration, chosen)
        advice = (
            f"recipe {str(fits)!r} fits"
            if fits
            else "no narrower recipe fits: retrain with smaller weights, or scale the inputs down"
        )
        raise QuantizationError(error.subject, [*error.problems, advice]) from None
    rows = measured_rows(program, calibration)
    warnings = precision_warnings(program, calibration, rows)
    return dataclasses.replace(program, table=tuple(rows), warnings=tuple(warnings))


def _parsed(recipe: str | Recipe, problems: Problems) -> Recipe | None:
    if isinstance(recipe, Recipe):
        return recipe
    try:
        return Recipe.parse(recipe)
    except Lnn2LoihiError as error:
        problems.extend(f"recipe {recipe!r}: {problem}" for problem in error.problems)
        return None


def _calibration_data(
    calibrate: npt.ArrayLike, network: LiquidNetwork, problems: Problems
) -> FloatArray | None:
    try:
        return checked_input(calibrate, network.input_size, "calibration data")
    except Lnn2LoihiError as error:
        problems.extend(f"calibration data: {problem}" for problem in error.problems)
        return None


def _recipe_that_fits(
    network: LiquidNetwork, calibration: Calibration, recipe: Recipe
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
            convert(network, calibration, candidate, {})
        except QuantizationError:
            continue
        return candidate
    return None


def network_hash(network: LiquidNetwork) -> str:
    """SHA-256 over layer names, shapes and effective float64 weights, as hexadecimal text."""
    digest = hashlib.sha256()
    stages = [(m.name, m) for m in [network.readout] if m is not None]
    for layer in network.layers:
        stages += [(f"{layer.name}.{gate}", getattr(layer, gate)) for gate in layer.gates]
    for name, stage in sorted(stages, key=lambda pair: pair[0]):
        for array in (stage.weight, stage.bias):
            digest.update(f"{name} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array, "<f8").tobytes())
    digest.update(repr(network.timespan).encode())
    return digest.hexdigest()
