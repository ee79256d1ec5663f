"""The target `stock` in all its forms."""

from __future__ import annotations

from functools import partial
from typing import Literal

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.neurons.stock import are_stock
from lnn2loihi.targets.stock.form import RECTIFIERS, StockForm, form_of
from lnn2loihi.targets.stock.graph import stock_graph
from lnn2loihi.targets.stock.pruning import pruned
from lnn2loihi.targets.stock.relays import relayed
from lnn2loihi.targets.target import Target

NAME = "stock"
#: Sentences of `Target.unproved`: what of it no public example shows.
UNPROVED = (
    "Products of 16 by 16 or 24 by 8 bits whose right shift is not 0, and how silicon rounds them: "
    "public output is of a shift of 0.",
    "Thresholds of 0 of GradedVec and ProdNeuron, and GradedReluVec at all: public output is of "
    "GradedVec and ProdNeuron with a threshold of 1.",
    "Synapses with exponents above 0, and payloads above 17 bits.",
    "Sums are not held within the ends of messages, as fused neurons do it, so nothing of that is "
    "counted: they are proved to fit as they are.",
)


@checks_kinds()
def stock_target(
    rectifiers: int = 0,
    form: Literal["pre", "fold"] = "pre",
    flavour: Literal["relu", "vec"] = "relu",
) -> Target:
    """Networks as graphs of Lava's own processes: the target `stock` in one of its forms.

    Answers are close to those of the program, not equal: an activation is a sum of rectifiers.
    See docs/targets.md.

    Args:
        rectifiers: of each activation: 2, 4, 6 or 8; 0 for 2 where a program is of clipped lines
            (recipes with `hard`), and 4 elsewhere. Clipped lines have 2 in any case.
        form: `pre` for products that rescale each sum before its rectifiers, 3 steps an update; or
            `fold` for rectifiers that hear the synapses themselves, 2 steps.
        flavour: `relu` for GradedReluVec, `vec` for two GradedVec in place of each.

    Returns:
        The target, under the name that command lines give it, such as `stock:pre-6`.

    Raises:
        InputError: there is no such form; names those that there are.
    """
    return _target(StockForm(rectifiers, form, flavour))


def _target(form: StockForm) -> Target:
    graph = partial(stock_graph, form=form)
    graph.__name__ = "stock_graph"  # pyright: ignore[reportAttributeAccessIssue]
    return Target(
        f"{NAME}:{form.words}" if form.words else NAME,
        passes=(graph, pruned, relayed),
        executor="lava-stock",
        exporter="loihi2",
        unproved=UNPROVED,
        exact=False,
        worded=lambda words: _target(form_of(words)),
        closer=_closer(form),
        prepared=lambda program: are_stock(p.program for p in program.populations),
    )


def _closer(form: StockForm) -> str:
    """What brings the answers of a form closer to those of the program."""
    most = RECTIFIERS[-1]
    if form.form == "fold":
        ways = f"the form pre keeps weights as they are (stock:pre-{most} has most rectifiers); "
    else:
        more = form.rectifiers != most
        ways = f"more rectifiers may help (up to {most}: stock:pre-{most}); " * more
    return (
        f"{ways}a network that is trained for clipped lines (a recipe with hard, lnn2loihi.qat) "
        "answers as its program does but for rounding, and the target split keeps all integers"
    )


STOCK = _target(StockForm())
