"""What a form of stock neurons approximates that fused programs have as it is, as warnings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lnn2loihi.tables import percent
from lnn2loihi.targets.stock.form import RECTIFIERS, StockForm
from lnn2loihi.targets.stock.lines import Lines

#: Rows are named whose rounded weights move their sums by more than this share of what these hear.
#: A row whose weights are eight steps at the most is off by as much.
ROUNDED_SHARE = 1 / 16
#: Largest errors of activations from which on they are named: rounding of 15 bits is below.
NAMED_ERROR = 2.0**-12


class Notes:
    """Notes of a program that is being made.

    Args:
        form: how it is made.
    """

    def __init__(self, form: StockForm) -> None:
        self._form = form
        self._coarse: dict[str, int] = {}
        self._steps: dict[str, list[tuple[str, npt.NDArray[np.float64]]]] = {}
        self._lines: dict[tuple[int, float], dict[str, None]] = {}

    def coarse(self, name: str, bits: int) -> None:
        """Weights that a population hears were rounded by so many bits."""
        self._coarse.setdefault(name, bits)

    def whole_steps(self, name: str, gate: str, shares: npt.NDArray[np.float64]) -> None:
        """Weights of a gate were rounded to whole steps, which moves the sum of each neuron by this
        share of what it hears, (neurons,).
        """
        self._steps.setdefault(name, []).append((gate, shares))

    def approximated(self, name: str, lines: Lines, activation: str, unit: float) -> None:
        """Lines stand for an activation of a population.

        Args:
            name: of the population.
            lines: of `unit` steps of the argument per 1.0.
            activation: key of ACTIVATIONS.
            unit: see `lines`.
        """
        error = lines.error(activation, unit)
        if error > NAMED_ERROR:
            found = self._lines.setdefault((2 * len(lines.changes), round(error, 3)), {})
            found.setdefault(name)

    def warnings(self) -> tuple[str, ...]:
        """A sentence for each."""
        return (*self._coarse_texts(), *self._step_texts(), *self._line_texts())

    def _coarse_texts(self) -> list[str]:
        return [
            f"{name}: weights were rounded by up to {bits} bits, since sums of stock neurons reach "
            "farther than 24 bits otherwise; a recipe with narrower messages leaves them as they "
            "are"
            for name, bits in self._coarse.items()
        ]

    def _step_texts(self) -> list[str]:
        found = []
        for name, gates in self._steps.items():
            every = np.concatenate([shares for _, shares in gates])
            far = np.count_nonzero(every > ROUNDED_SHARE)
            if not far:
                continue
            gate, shares = max(gates, key=lambda one: one[1].max())
            found.append(
                f"{name}: the form fold rounds weights to whole steps, which moves {far:,} of "
                f"{every.size:,} sums by more than {percent(ROUNDED_SHARE)} of what they hear, "
                f"most that of {gate} of neuron {int(shares.argmax())}, by "
                f"{percent(float(shares.max()))}; the form pre keeps weights as they are"
            )
        return found

    def _line_texts(self) -> list[str]:
        most = RECTIFIERS[-1]
        found = []
        for (count, error), names in self._lines.items():
            ways = []
            if count < most:
                coarser = ", but of coarser weights" * (self._form.form == "fold")
                ways.append(f"{_words(self._form, most)} has {most}{coarser}")
            ways.append("a network that is trained for clipped lines (recipes with hard) needs two")
            found.append(
                f"{', '.join(names)}: tanh is a sum of {count} rectifiers here, at most {error:g} "
                f"off where its ends are 1; {'; '.join(ways)}"
            )
        return found


def _words(form: StockForm, rectifiers: int) -> str:
    """The name of the form with another number of rectifiers."""
    return f"stock:{StockForm(rectifiers, form.form, form.flavour).words}"
