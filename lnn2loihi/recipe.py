"""Quantization recipes and their grammar.

    recipe     = weights messages [inputs] ["-" activation]
    weights    = "w" BITS      2 to 8     synaptic mantissas
    messages   = "a" BITS      2 to 16    states and messages between populations
    inputs     = "x" BITS      2 to 24    samples; default: 12, or the messages' width if larger
    activation = "ramp12" | "ramp16" | "lines16" | "hard"    default: ramp12

Examples: `w8a12` (the default), `w8a10`, `w4a8x12`, `w8a12-lines16`. Accumulators, state words
and outputs are always at most 24 bits wide. One signed bit holds -1 and 0 only, so `w2` is the
narrowest weight. `hard` is a clipped line in place of tanh, which a network has to be trained with
(`lnn2loihi.qat`); the other forms follow tanh.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from lnn2loihi.arguments import checks_fields
from lnn2loihi.defaults import DEFAULT_RECIPE as DEFAULT_RECIPE
from lnn2loihi.errors import Problems, RecipeError
from lnn2loihi.layers.stage import Stage
from lnn2loihi.neurons.activations import ACTIVATIONS
from lnn2loihi.showing import Said, Shown

DEFAULT_INPUT_BITS = 12
WEIGHT_WIDTHS = (2, 8)
MESSAGE_WIDTHS = (2, 16)
INPUT_WIDTHS = (2, 24)

_GRAMMAR = re.compile(r"w(\d{1,2})a(\d{1,2})(?:x(\d{1,2}))?(?:-([a-z0-9]+))?", re.ASCII)


@checks_fields(RecipeError)
@dataclass(frozen=True)
class Recipe(Shown):
    """Widths and forms of a quantized network.

    Attributes:
        weight_bits: width of synaptic mantissas.
        message_bits: width of states and of messages between populations.
        input_bits: width of encoded samples.
        activation: key of `lnn2loihi.neurons.activations.ACTIVATIONS`.

    Raises:
        RecipeError: lists every width out of range, when made.
    """

    weight_bits: int = 8
    message_bits: int = 12
    input_bits: int = DEFAULT_INPUT_BITS
    activation: str = "ramp12"

    def __post_init__(self) -> None:
        problems = Problems(RecipeError, f"recipe {str(self)!r}")
        for what, bits, (low, high) in (
            ("weights (w)", self.weight_bits, WEIGHT_WIDTHS),
            ("messages (a)", self.message_bits, MESSAGE_WIDTHS),
            ("inputs (x)", self.input_bits, INPUT_WIDTHS),
        ):
            if not low <= bits <= high:
                problems.add(f"{what} of {bits} bits; {low} to {high} are possible")
        if self.activation not in ACTIVATIONS:
            problems.add(
                f"unknown activation {self.activation!r}; there are {', '.join(ACTIVATIONS)}"
            )
        problems.raise_if_any()

    @classmethod
    def parse(cls, text: str) -> Recipe:
        """The recipe that a text of the grammar names.

        Raises:
            RecipeError: the text is not in the grammar, or a width is out of range.
        """
        match = _GRAMMAR.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise RecipeError(
                f"recipe {text!r}",
                "not understood; write w<bits>a<bits>[x<bits>][-<activation>], for example "
                f"w8a12, w8a10, w4a8x12 or w8a12-lines16 (activations: {', '.join(ACTIVATIONS)})",
            )
        weights, messages, inputs, activation = match.groups()
        # As wide as messages are, if they can be: nothing is said of a width that nobody wrote.
        usual = max(DEFAULT_INPUT_BITS, min(int(messages), MESSAGE_WIDTHS[1]))
        try:
            return cls(
                int(weights),
                int(messages),
                int(inputs) if inputs else usual,
                activation or next(iter(ACTIVATIONS)),
            )
        except RecipeError as error:
            raise RecipeError(f"recipe {text.strip()!r}", error.problems) from None

    def _shown(self) -> list[Said]:
        """The recipe in full, as it is stored."""
        text = f"w{self.weight_bits}a{self.message_bits}x{self.input_bits}"
        return [text + f"-{self.activation}"]


#: Recipes by name of a layer or a stage.
LayerRecipes = Annotated[
    Mapping[str, str | Recipe],
    "a dict of recipes by name of layer, such as {'layer_0': 'w4a8'}",
]


@dataclass(frozen=True)
class Recipes:
    """A recipe for all layers, and other ones for some of them (mixed precision).

    Attributes:
        common: the recipe of every layer that has none of its own; it says the inputs' width.
        layers: recipes by name of a layer or of one of its stages (`layer_0.memory`), which goes
            before. A memory that layers share has a name of its own (`memory`).
    """

    common: Recipe
    layers: Mapping[str, Recipe] = field(default_factory=dict)

    def of(self, stage: Stage) -> Recipe:
        """The recipe of a stage."""
        layer = stage.name.partition(".")[0]
        return self.layers.get(stage.name, self.layers.get(layer, self.common))

    def __str__(self) -> str:
        """All of them, as they are stored."""
        return "; ".join([str(self.common), *(f"{n}: {r}" for n, r in self.layers.items())])
