"""The verb that makes a network, or a whole module, one that trains for the chip."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, overload

import numpy.typing as npt

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.conversion import convert, import_network
from lnn2loihi.converted.parts import ConvertedModule
from lnn2loihi.dropping import Rates
from lnn2loihi.errors import InputError, QuantizationError
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.printable import kind_of_value
from lnn2loihi.qat.calls import calls_of
from lnn2loihi.qat.module import TrainableNetwork
from lnn2loihi.qat.whole import TrainableModule, prepare_module
from lnn2loihi.quantization.verb import prepared
from lnn2loihi.recipe import DEFAULT_RECIPE, LayerRecipes, Recipe


@overload
def prepare(  # pyright: ignore[reportOverlappingOverload]
    source: ConvertedModule,
    recipe: str | Recipe = ...,
    *,
    calibrate: Any,
    layers: LayerRecipes | None = ...,
    mask_time_gates: bool = ...,
) -> TrainableModule: ...
@overload
def prepare(
    source: Any,
    recipe: str | Recipe = ...,
    *,
    calibrate: Any,
    layers: LayerRecipes | None = ...,
    mask_time_gates: bool = ...,
    example: Sequence[Any],
) -> TrainableModule: ...
@overload
def prepare(
    source: Any,
    recipe: str | Recipe = ...,
    *,
    calibrate: Any,
    calibrate_timespans: npt.ArrayLike | None = ...,
    lengths: npt.ArrayLike | None = ...,
    layers: LayerRecipes | None = ...,
    mask_time_gates: bool = ...,
    dropout: Rates | None = ...,
    example: None = ...,
    **options: Any,
) -> TrainableNetwork: ...
@checks_kinds(QuantizationError)
def prepare(
    source: Any,
    recipe: str | Recipe = DEFAULT_RECIPE,
    *,
    calibrate: Any,
    calibrate_timespans: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    layers: LayerRecipes | None = None,
    mask_time_gates: bool = False,
    dropout: Rates | None = None,
    example: Sequence[Any] | None = None,
    **options: Any,
) -> TrainableNetwork | TrainableModule:
    """A module that computes what `source` does, with the chip's arithmetic.

    Args:
        source: what `import_network` takes (a live ncps.torch.CfC, a module around it, a
            checkpoint), a LiquidNetwork, or a ConvertedModule.
        recipe: as for `quantize`.
        calibrate: as for `quantize`; ranges and formats are settled here, once. Of a converted
            module as for `ConvertedModule.quantize`: calls, or None for the example.
        calibrate_timespans: as for `quantize`.
        lengths: as for `quantize`.
        layers: as for `quantize`.
        mask_time_gates: gives the time gates the masks of ff1, which ncps leaves dense: a truly
            sparse network, whose accuracy training has to win back.
        dropout: as for `quantize`: training drops messages, and `export` makes a program whose
            passes do (`lnn2loihi.monte_carlo`). Not for modules that are converted as a whole.
        example: positional arguments of a live module, a tuple or a list, with which it is
            converted as a whole first (see `lnn2loihi.convert`): for modules that
            `import_network` does not take.
        options: for `import_network`, such as timespan="irregular".

    Raises:
        ImportNetworkError: the module holds a submodule that the chip cannot run, by name.
        InputError: options are given beside a LiquidNetwork, or an example beside what is no live
            module.
        QuantizationError: the recipe or the calibration data do not fit.
    """
    if example is not None:
        _check_example(source, example)
        source = convert(source, *example)
    if isinstance(source, ConvertedModule):
        beside = {"calibrate_timespans": calibrate_timespans, "lengths": lengths,
                  "dropout": dropout, **options}  # fmt: skip
        if given := [name for name, value in beside.items() if value is not None]:
            raise InputError(", ".join(given), "go with networks; calibrate has whole calls")
        return prepare_module(source, recipe, calibrate, layers, mask_time_gates)
    if isinstance(source, LiquidNetwork):
        if options:
            raise InputError(", ".join(options), "go with modules; a LiquidNetwork has its own")
        network = source
    else:
        network = import_network(source, **options)
    setting = prepared(
        network, calibrate, recipe, calibrate_timespans, layers, lengths=lengths, dropout=dropout
    )
    module = TrainableNetwork(setting.network, setting, calls_of(source, network))
    if mask_time_gates:
        module.mask_time_gates()
    return module


def _check_example(source: Any, example: Sequence[Any]) -> None:
    """Whether an example is one call of a live module.

    Raises:
        InputError: it is not.
    """
    if isinstance(source, (ConvertedModule, LiquidNetwork, str, os.PathLike)):
        raise InputError(
            "example", f"goes with a live module, which it converts; {kind_of_value(source)} "
            "needs none"
        )  # fmt: skip
    if not isinstance(example, (tuple, list)):
        raise InputError(
            "example", f"is of type {type(example).__qualname__}; give a tuple of what forward "
            "takes, such as (x,)"
        )  # fmt: skip
