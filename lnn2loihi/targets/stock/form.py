"""What forms of a stock program there are, and how they are called."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, cast

from lnn2loihi.errors import InputError, Problems

#: Rectifiers of an activation, how sums are rescaled, and of what rectifiers are made.
RECTIFIERS = (2, 4, 6, 8)
FORMS = ("pre", "fold")
FLAVOURS = ("relu", "vec")


@dataclass(frozen=True)
class StockForm:
    """How stages become stock neurons.

    Attributes:
        rectifiers: of each activation, one of RECTIFIERS; 0 for 2 where a program is of clipped
            lines, and 4 elsewhere. A clipped line has 2 in any case.
        form: `pre` for products that rescale each sum before its rectifiers, or `fold` for
            rectifiers that hear the synapses themselves.
        flavour: `relu` for GradedReluVec, or `vec` for two GradedVec in place of each.
    """

    rectifiers: int = 0
    form: Literal["pre", "fold"] = "pre"
    flavour: Literal["relu", "vec"] = "relu"

    def __post_init__(self) -> None:
        problems = Problems(InputError, "target 'stock'")
        if self.rectifiers not in (0, *RECTIFIERS):
            problems.add(f"rectifiers is {self.rectifiers!r:.40}; there are {_listed(RECTIFIERS)}")
        for name, known in (("form", FORMS), ("flavour", FLAVOURS)):
            if getattr(self, name) not in known:
                problems.add(f"{name} is {getattr(self, name)!r:.40}; there are {_listed(known)}")
        problems.raise_if_any()

    @property
    def words(self) -> str:
        """What stands after the colon of its name; empty for the default."""
        number = str(self.rectifiers) if self.rectifiers else ""
        parts = [number, self.flavour if self.flavour != "relu" else ""]
        parts = [part for part in parts if part]
        return "-".join([self.form, *parts]) if parts or self.form != "pre" else ""


def form_of(words: str) -> StockForm:
    """The form that words say, such as `pre-6`, `fold-2` or `pre-4-vec`, in any order.

    Raises:
        InputError: a word is none of them, or says again what another says; names those that
            there are.
    """
    form, said = StockForm(), set[str]()
    problems = Problems(InputError, f"target 'stock:{words:.40}'")
    for word in words.split("-"):
        numbers = {str(number): number for number in RECTIFIERS}
        if word in numbers:
            field, form = "number of rectifiers", replace(form, rectifiers=numbers[word])
        elif word in FORMS:
            field, form = "form", replace(form, form=cast(Literal["pre", "fold"], word))
        elif word in FLAVOURS:
            field, form = "flavour", replace(form, flavour=cast(Literal["relu", "vec"], word))
        else:
            problems.add(
                f"{word!r:.40} is none of its words; there are the forms {_listed(FORMS)}, the "
                f"numbers of rectifiers {_listed(RECTIFIERS)} and the flavours "
                f"{_listed(FLAVOURS)}, as in stock:pre-6 or stock:fold-2-vec"
            )
            continue
        if field in said:
            problems.add(f"{word!r} is a second {field}")
        said.add(field)
    problems.raise_if_any()
    return form


def _listed(values: tuple[object, ...]) -> str:
    return ", ".join(map(str, values))
