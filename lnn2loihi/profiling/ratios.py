"""Rows divided by and taken from each other, where they are of the same kind."""

from __future__ import annotations

from collections.abc import Mapping

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.cost.basis import difference_of, ratio_of
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.rows import ENERGIES, ProfileRow
from lnn2loihi.tiers import ESTIMATED

#: Quantities that `ratio` may divide, and the tier that speaks for each.
DIVISIBLE: Mapping[str, str] = {
    **dict.fromkeys(ENERGIES, "energy_tier"),
    "energy_delay_product": "energy_tier",
    "latency": "tier",
    "avg_time_per_step": "tier",
    "throughput": "tier",
}
#: The same by the names of what an estimate is computed from, see `Basis.results`.
ESTIMATED_NAMES: Mapping[str, str] = {
    "dynamic_energy": "dynamic",
    "static_energy": "static_full_chip",
    "static_energy_pro_rata": "static_pro_rata",
    "total_energy": "total_full_chip",
    "total_energy_pro_rata": "total_pro_rata",
    "total_energy_board": "total_board",
    "avg_time_per_step": "step_time",
    "energy_delay_product": "energy_delay_product",
    "latency": "latency",
    "throughput": "throughput",
}


@checks_kinds()
def ratio(
    numerator: ProfileRow,
    denominator: ProfileRow,
    quantity: str | tuple[str, str] = "total_energy",
    *,
    allow_estimated: bool = False,
) -> Quantity:
    """One row's quantity over another's, where the two are of the same kind.

    Args:
        numerator: the row above.
        denominator: the row below.
        quantity: a name of DIVISIBLE, or a pair of names; `energy` stands for the total energy.
        allow_estimated: whether ESTIMATED numbers may take part.

    Returns:
        The quotient. Of two estimates of the cost model it is computed draw by draw, so that
        figures that both rest on fall out: its interval is the 90 % one, and a row over itself is
        exactly 1. Otherwise the interval is the widest that both leave.

    Raises:
        InputError: lists why the two must not be divided: a dynamic by a total energy, a full
            chip by a share of one, one at full speed and one paced, a tier ESTIMATED, or a number
            that is not there, or is 0 and below.
    """
    name, above, below = _comparable("ratio", numerator, denominator, quantity, allow_estimated)
    if below.low == below.high == 0.0:
        raise InputError(
            f"ratio of {numerator.label!r} and {denominator.label!r}",
            f"{_meaning(name)} of the second is 0: nothing is a multiple of it",
        )
    if numerator == denominator:
        return Quantity.exact(1.0, "1")
    if numerator.basis is not None and denominator.basis is not None:
        known = ESTIMATED_NAMES[name]
        return Quantity.of(ratio_of(numerator.basis, denominator.basis, known))
    return above.over(below)


@checks_kinds()
def difference(
    first: ProfileRow,
    second: ProfileRow,
    quantity: str = "total_energy",
    *,
    allow_estimated: bool = False,
) -> Quantity:
    """One row's quantity less another's, where the two are of the same kind.

    Args:
        first: the row from whose quantity is taken.
        second: the row whose quantity is taken away.
        quantity: a name of DIVISIBLE; `energy` stands for the total energy.
        allow_estimated: whether ESTIMATED numbers may take part.

    Returns:
        The difference, draw by draw as for `ratio`; otherwise with the widest interval.

    Raises:
        InputError: as for `ratio`.
    """
    name, more, less = _comparable("difference", first, second, quantity, allow_estimated)
    if first == second:
        return Quantity.exact(0.0, more.unit)
    if first.basis is not None and second.basis is not None:
        known = ESTIMATED_NAMES[name]
        return Quantity.of(difference_of(first.basis, second.basis, known, more.unit))
    return more.less(less)


def _comparable(
    what: str,
    first: ProfileRow,
    second: ProfileRow,
    quantity: str | tuple[str, str],
    allow_estimated: bool,
) -> tuple[str, Quantity, Quantity]:
    """The name of the quantity, and that of both rows.

    Raises:
        InputError: lists why the two must not be compared.
    """
    names = (quantity, quantity) if isinstance(quantity, str) else tuple(quantity)
    names = tuple("total_energy" if name == "energy" else name for name in names)
    problems = Problems(InputError, f"{what} of {first.label!r} and {second.label!r}")
    unknown = [name for name in names if name not in DIVISIBLE]
    if unknown or len(names) != 2:
        problems.add(f"no such quantity: {', '.join(map(repr, unknown))}; there are "
                     f"{', '.join(DIVISIBLE)}")  # fmt: skip
        problems.raise_if_any()
    if names[0] != names[1]:
        problems.add(
            f"{_meaning(names[0])} and {_meaning(names[1])} are not the same kind: their {what} "
            "says nothing; compare total with total or dynamic with dynamic"
        )
    elif names[0] in ENERGIES and first.rate != second.rate:
        problems.add(
            f"one runs {first.pace}, the other {second.pace}: idle power counts "
            "differently; compare rows of the same pace"
        )
    values: list[Quantity] = []
    for row, name in zip((first, second), names, strict=True):
        value, tier = getattr(row, name), getattr(row, DIVISIBLE[name])
        if value is None:
            other = [known for known in ENERGIES if getattr(row, known) is not None]
            has = f"; it has {', '.join(map(_meaning, other))}" if other else ""
            problems.add(f"{row.label!r} has no {_meaning(name)}{has}")
        elif tier == ESTIMATED and not allow_estimated:
            problems.add(
                f"{_meaning(name)} of {row.label!r} is ESTIMATED, nobody measured it; "
                "allow_estimated=True (--allow-estimated) lets it in"
            )
        else:
            values.append(value)
    problems.raise_if_any()
    return names[0], values[0], values[1]


def _meaning(name: str) -> str:
    return ENERGIES.get(name, name.replace("_", " "))
