"""Which layers bear low precision, and which do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.errors import QuantizationError
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.precision import precision_of
from lnn2loihi.quantization.verb import quantize
from lnn2loihi.recipe import DEFAULT_RECIPE, Recipe
from lnn2loihi.sequences import sequences
from lnn2loihi.showing import Brief, Said, Shown, Table
from lnn2loihi.simulation import simulate

#: Precision whose damage is measured.
LOW = "w4a8"


@dataclass(frozen=True)
class Damage(Brief):
    """What low precision of one layer does to the network's answer.

    Attributes:
        stage: the stage that has low precision, alone.
        synapses: its synapses, that is what low precision saves.
        relative_mse: mean squared error of the worst output against the float network, over its
            variance; None where the stage does not fit the recipe.
        added: relative_mse less that of the network with all layers in the common recipe.
    """

    stage: str
    synapses: int
    relative_mse: float | None
    added: float | None


@dataclass(frozen=True)
class Sensitivity(Shown):
    """The stages, most damaged first.

    Attributes:
        common, low: recipes of the other stages and of the one that is tried.
        baseline: relative error with all stages in the common recipe.
        damages: one for each stage.
    """

    common: str
    low: str
    baseline: float
    damages: tuple[Damage, ...]

    def _headline(self) -> str:
        worst = f", worst {self.damages[0].stage}" if self.damages else ""
        return f"{len(self.damages)} stages, {self.low} alone against {self.common}{worst}"

    def _shown(self) -> list[Said]:
        """The ranking as text."""
        rows = [(d.stage, d.synapses, d.relative_mse, d.added) for d in self.damages]
        return [
            f"each stage alone in {self.low}, the others in {self.common} (relative MSE "
            f"{self.baseline:.3g})",
            Table(("stage", "synapses", "relative MSE", "added"), rows),
        ]


@checks_kinds()
def sensitivity(
    network: LiquidNetwork,
    x: Any,
    recipe: str = DEFAULT_RECIPE,
    low: str = LOW,
    *,
    lengths: npt.ArrayLike | None = None,
    timespans: npt.ArrayLike | None = None,
) -> Sensitivity:
    """Ranks the stages by the damage that low precision does, one stage at a time.

    Args:
        network: the trained network.
        x: typical inputs for calibration and measurement, as for `quantize`: an array (batch,
            time, inputs), a list of sequences, or a loader.
        recipe: of all stages but one.
        low: of that one.
        lengths: as for `quantize`.
        timespans: elapsed times, (batch, time), where time is irregular.

    Raises:
        RecipeError: a recipe is not in the grammar.
        QuantizationError: the network does not fit the common recipe.
        InputError: x does not fit.
    """
    for text in (recipe, low):
        Recipe.parse(text)
    subject = f"network {network.name!r}"
    data = sequences(
        x, network.input_size, subject,
        lengths=lengths, timespans=timespans, irregular=network.irregular, batches=True,
    ).floats(subject).trimmed()  # fmt: skip
    given: dict[str, Any] = {"lengths": data.given_lengths, "timespans": data.timespans}
    truth = data.live(network.evaluate(data.x, **given).outputs)

    def error(layers: dict[str, str]) -> float:
        program = quantize(
            network, data.x, recipe, lengths=data.given_lengths,
            calibrate_timespans=data.timespans, layers=layers,
        )  # fmt: skip
        answer = data.live(simulate(program, data.x, **given).outputs)
        worst = precision_of(truth, answer).worst_db
        return 0.0 if worst is None else 10.0 ** (-worst / 10.0)

    baseline = error({})
    damages = []
    for stage in network.stages:
        try:
            found: float | None = error({stage.name: low})
        except QuantizationError:
            found = None
        added = None if found is None else found - baseline
        damages.append(Damage(stage.name, stage.synapses, found, added))
    damages.sort(key=lambda d: float("inf") if d.added is None else d.added, reverse=True)
    return Sensitivity(recipe, low, baseline, tuple(damages))
