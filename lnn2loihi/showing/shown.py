"""The mixin of whatever shows itself to people."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from lnn2loihi.showing.brief import Brief, brief, cut
from lnn2loihi.showing.parts import Said, Table, as_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Characters of a value in the table of a class that says nothing better.
_CELL = 80


class Drawn:
    """Mixin of results that `lnn2loihi.showing.plots` has a picture of."""

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draws the result; `lnn2loihi.showing.plots` says what each picture shows.

        Args:
            ax: axes of matplotlib to draw on; None for a figure of its own.

        Raises:
            BackendMissingError: matplotlib is not installed.
            InputError: these are no axes, or there is nothing to draw.
        """
        from lnn2loihi.showing.plots import PLOTS

        names = (base.__name__ for base in type(self).__mro__)
        return next(PLOTS[name] for name in names if name in PLOTS)(self, ax)


class Shown(Brief):
    """Mixin: `repr` is one line, `print` and `summary` the whole of it, a notebook shows HTML.

    A class overrides `_shown`, which says all of it as data, and where it can `_headline`. Without,
    it shows its fields, with the range of each array.
    """

    #: Whether sentences are folded where it is printed; not those of a text that others quote.
    _folds: ClassVar[bool] = True

    def _shown(self) -> Sequence[Said]:
        """Lines and tables, the most important line first."""
        names = [f.name for f in dataclasses.fields(self) if f.repr]  # type: ignore[arg-type]
        rows = [(name.replace("_", " "), _cell(getattr(self, name))) for name in names]
        return [type(self).__name__, Table(("attribute", "value"), rows)]

    def summary(self) -> str:
        """All that there is to read, as text."""
        return as_text(self._shown())

    def __str__(self) -> str:
        """The summary, whose sentences are folded as its tables are; one line stays a line."""
        parts = self._shown()
        return as_text(parts, folded=self._folds and len(parts) > 1)

    def _repr_html_(self) -> str:
        """The same for a notebook: one piece of HTML without scripts, styles or links."""
        from lnn2loihi.showing.markup import as_html

        return as_html(self._shown())


def _cell(value: Any) -> str:
    """A value in a table, with the range of an array."""
    if getattr(value, "shape", ()) and getattr(value, "size", 0) and hasattr(value, "dtype"):
        if value.dtype.kind in "iuf":
            return f"{brief(value)}, {value.min():.4g} to {value.max():.4g}"
    text = str(value) if isinstance(value, str) else brief(value)
    return cut(text, _CELL)
