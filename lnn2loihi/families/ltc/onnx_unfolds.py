"""Finds one unfold of an LTC in what an ONNX graph computes.

An unfold is a quotient (`lnn2loihi.families.ltc.layer`), whatever order its sums stand in::

    v' = (c v + current) / (c + conductance)

Current and conductance are sums of sigmoids, one for each synapse, each times a constant, and a
constant for the leak. PyTorch's exporters sum rows of them (`ReduceSum`), lnn2loihi's own float
files have one linear map of all. Where the elapsed time is an input, c is divided by it (ncps), or
current and conductance are multiplied by it (lnn2loihi): what is counted is its power.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from lnn2loihi.converters.onnx_read.chain import find_sample
from lnn2loihi.converters.onnx_read.parts import elapsed_input, unexpected
from lnn2loihi.converters.onnx_read.terms import Identities, Monomial, Terms, same
from lnn2loihi.families.ltc.layer import CONDUCTANCE, CURRENT
from lnn2loihi.network import FloatArray

#: What a quotient is expected to be, for messages.
UNFOLD = "the potentials of an LTC: (c v + current) / (c + conductance)"
#: What makes a row that synapses add up to.
_SUMS = ("sum", "sigmoid", "linear")


@dataclass(frozen=True, eq=False)
class FoundUnfold:
    """One unfold.

    Attributes:
        row: the new potentials.
        samples: identities of the sample.
        before: the potentials before; None where an exporter folded an unfold from zero, and with
            it all synapses of the units.
        elapsed: identity of the elapsed time, or None where time is constant.
        capacity: float64 (units,), what v is multiplied by, at an elapsed time of 1; 0 where it is
            folded into the bias of the conductance.
        slope, offset: float64 (units, inputs + units), or (units, inputs) without `before`.
        weights: of CURRENT and CONDUCTANCE, shaped like slope.
        biases: of both, float64 (units,).
    """

    row: Identities
    samples: Identities
    before: Identities | None
    elapsed: int | None
    capacity: FloatArray
    slope: FloatArray
    offset: FloatArray
    weights: dict[str, FloatArray]
    biases: dict[str, FloatArray]


@dataclass(frozen=True, eq=False)
class _Synapses:
    """A sum over synapses, with one number for each in all arrays but the last.

    Attributes:
        target: the position of the unit that it feeds.
        source: identity of what it hears.
        slope, offset: inside of its sigmoid.
        weight: what its sigmoid is multiplied by.
        bias: what stands beside all of them, a number for each unit.
    """

    target: npt.NDArray[np.int64]
    source: Identities
    slope: FloatArray
    offset: FloatArray
    weight: FloatArray
    bias: FloatArray

    def times(self, factor: FloatArray) -> _Synapses:
        """The same ones with a factor for each unit."""
        weight = self.weight * factor[self.target]
        return replace(self, weight=weight, bias=self.bias * factor)


@dataclass(eq=False)
class _Sum:
    """A numerator or denominator, by the power of the elapsed time.

    Attributes:
        constants: what stands alone.
        synapses: all synapses.
        others: factor, power and rows of what is neither, as c v.
        elapsed: identities of the elapsed time.
    """

    constants: dict[int, FloatArray] = field(default_factory=dict)
    synapses: dict[int, list[_Synapses]] = field(default_factory=dict)
    others: list[tuple[FloatArray, int, tuple[Identities, ...]]] = field(default_factory=list)
    elapsed: set[int] = field(default_factory=set)

    def powers(self) -> set[int]:
        """The powers of all but c v."""
        return {*self.constants, *self.synapses}


class UnfoldFinder:
    """Finds unfolds; what the synapses of the sample are is read once for all of its unfolds.

    Args:
        terms: all terms of the graph.
    """

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._read: dict[int, tuple[Identities, _Synapses | None]] = {}

    def find(self, row: Identities) -> FoundUnfold:
        """The unfold that makes a row of potentials.

        Raises:
            NodeError: names the first node that does not fit, and what was expected there.
        """
        terms = self._terms
        operands = terms.operands(row, "divide")
        if operands is None or any(operand.dtype.kind == "f" for operand in operands):
            raise unexpected(terms, row, UNFOLD)
        above, below = (terms.monomials(operand.astype(np.int64)) for operand in operands)
        heard = self._heard([*above, *below])
        current, conductance = self._sum(row, above, heard), self._sum(row, below, heard)
        samples, before = self._sources(row, heard)
        elapsed = self._one_elapsed(row, current, conductance)
        capacity, power, before = self._capacity(row, current, before)
        if conductance.others:
            raise unexpected(
                terms, conductance.others[0][2][0],
                "a conductance: synapses, each w sigmoid(sigma (v - mu)), and constants",
            )  # fmt: skip
        if before is None:
            power = min(conductance.constants, default=0)
        biases = self._biases(row, current, conductance, capacity, power, elapsed is not None)
        if before is None and elapsed is not None:
            capacity = conductance.constants.get(power, np.zeros(row.size))
        slope, offset, weights = self._dense(
            row, samples, before, {CURRENT: current, CONDUCTANCE: conductance}
        )
        return FoundUnfold(
            row, samples, before, elapsed, capacity, slope, offset, weights, biases
        )  # fmt: skip

    def _heard(self, monomials: list[Monomial]) -> set[int]:
        """Identities of all that synapses hear."""
        found: set[int] = set()
        for monomial in monomials:
            rows = [row for row in monomial.rows if self._span(row, set()) is None]
            # A sigmoid beside others is a gate of a mixed memory.
            synapses = self._synapses(rows[0]) if len(rows) == 1 else None
            if synapses is not None:
                found.update(np.unique(synapses.source).tolist())
        return found

    def _sum(self, row: Identities, monomials: list[Monomial], heard: set[int]) -> _Sum:
        made = _Sum()
        for monomial in monomials:
            factor, power, rows = monomial.factor, 0, []
            for candidate in monomial.rows:
                span = self._span(candidate, heard)
                if span is None:
                    rows.append(candidate)
                    continue
                factor, power = factor * span[0], power + span[1]
                made.elapsed.add(span[2])
            synapses = self._synapses(rows[0]) if len(rows) == 1 else None
            if synapses is not None:
                synapses = synapses.times(factor)
                made.synapses.setdefault(power, []).append(synapses)
                factor = synapses.bias
            elif rows:
                made.others.append((factor, power, tuple(rows)))
                continue
            if factor.any():
                made.constants[power] = made.constants.get(power, np.zeros(row.size)) + factor
        return made

    def _span(self, row: Identities, heard: set[int]) -> tuple[FloatArray, int, int] | None:
        """A row as a factor times a power of the elapsed time, and the identity of that."""
        # The potential of a single unit is an input that fills its row as well.
        elapsed = elapsed_input(self._terms, row)
        if elapsed is not None and elapsed not in heard:
            return np.ones(row.size), 1, elapsed
        operands = self._terms.operands(row, "divide")
        if operands is None or operands[0].dtype.kind != "f" or operands[1].dtype.kind == "f":
            return None
        below = self._terms.scaled(operands[1].astype(np.int64))
        elapsed = elapsed_input(self._terms, below.row)
        if elapsed is None or below.offset.any() or not below.factor.all():
            return None
        return operands[0] / below.factor, -1, elapsed

    def _synapses(self, row: Identities) -> _Synapses | None:
        """The synapses that a row is the sum of, if it is such a sum."""
        key = int(row[0])
        if key not in self._read or not same(self._read[key][0], row):
            self._read[key] = (row, self._read_synapses(row))
        return self._read[key][1]

    def _read_synapses(self, row: Identities) -> _Synapses | None:
        terms = self._terms
        found = terms.term_of(row)
        if found is None or found[0].operation not in _SUMS:
            return None
        if found[0].operation == "linear":
            linear = terms.affine(row)
            opened = None if linear is None else self._opened(linear.columns)
            if linear is None or opened is None:
                return None
            target, column = np.nonzero(linear.weight)
            slope, offset, source = opened
            return _Synapses(
                target, source[column], slope[column], offset[column],
                linear.weight[target, column], linear.bias,
            )  # fmt: skip
        parts: list[_Synapses] = []
        for operand in terms.operands(row, "sum") or (row,):
            product = terms.scaled(operand.astype(np.int64))
            opened = self._opened(product.row)
            if opened is None or product.offset.any():
                raise unexpected(
                    terms, operand.astype(np.int64), "a synapse: w sigmoid(sigma (v - mu))"
                )
            slope, offset, source = opened
            target, bias = np.arange(row.size), np.zeros(row.size)
            parts.append(_Synapses(target, source, slope, offset, product.factor, bias))
        return _joined(parts)

    def _opened(self, row: Identities) -> tuple[FloatArray, FloatArray, Identities] | None:
        """Slope, offset and argument of a row of sigmoids."""
        inside = self._terms.only_operand(row, "sigmoid")
        if inside is None:
            return None
        scaled = self._terms.scaled(inside)
        return scaled.factor, scaled.offset, scaled.row

    def _sources(self, row: Identities, heard: set[int]) -> tuple[Identities, Identities | None]:
        """The sample and the potentials before, all of both."""
        terms = self._terms
        samples: Identities | None = None
        before: Identities | None = None
        for identity in sorted(heard):
            one = np.array([identity])
            sampled = find_sample(terms, one) is not None
            whole = samples if sampled else before
            if whole is not None and whole[0] <= identity <= whole[-1]:
                continue
            if whole is not None:
                raise unexpected(
                    terms, one, "synapses to hear one sample, and the potentials of one moment; "
                    "an LTC is read alone, without layers before it"
                )  # fmt: skip
            if sampled:
                samples = terms.whole(one)
            else:
                before = terms.whole(one)
        if samples is None:
            raise unexpected(terms, row, f"{UNFOLD}, with synapses that hear the sample")
        return samples, before

    def _one_elapsed(self, row: Identities, *sums: _Sum) -> int | None:
        elapsed = set().union(*(part.elapsed for part in sums))
        if len(elapsed) > 1:
            raise unexpected(self._terms, row, "one elapsed time for all units")
        return next(iter(elapsed), None)

    def _capacity(
        self, row: Identities, current: _Sum, before: Identities | None
    ) -> tuple[FloatArray, int, Identities | None]:
        """What v is multiplied by, the power of the elapsed time in it, and v."""
        terms, expected = self._terms, "c v: the capacitance times the potentials before"
        if not current.others and before is None:
            return np.zeros(row.size), 0, None
        if len(current.others) != 1:
            raise unexpected(terms, row, f"one product {expected}")
        factor, power, rows = current.others[0]
        first = rows[0]
        before = first if before is None and len(rows) == 1 else before
        parts = [] if before is None else terms.monomials(before)
        if (
            before is None or before.size != row.size or len(parts) != 1
            or len(parts[0].rows) != len(rows) or not parts[0].factor.all()
            or not all(same(one, other) for one, other in zip(parts[0].rows, rows, strict=True))
        ):  # fmt: skip
            if terms.operands(first, "divide") and len(rows) > 1:
                expected += (
                    ", one elapsed time for all units. ncps 1.0.1 spreads the timespans of a batch "
                    "over the units: export a batch of 1"
                )
            raise unexpected(terms, first, expected)
        return factor / parts[0].factor, power, before

    def _biases(
        self, row: Identities, current: _Sum, conductance: _Sum, capacity: FloatArray,
        power: int, irregular: bool,
    ) -> dict[str, FloatArray]:  # fmt: skip
        """The leak: what stands alone in both sums."""
        rest = power + 1 if irregular else power
        zero = np.zeros(row.size)
        folded = not capacity.any()
        if current.powers() - {rest} or conductance.powers() - {power, rest} or (
            irregular and power in conductance.synapses
        ):  # fmt: skip
            raise unexpected(
                self._terms, row, f"{UNFOLD}, with c divided by the elapsed time, or all else "
                "multiplied by it"
            )  # fmt: skip
        above, below = current.constants.get(rest, zero), conductance.constants.get(rest, zero)
        if irregular:
            own = conductance.constants.get(power, zero)
            if not folded and not np.allclose(own, capacity, rtol=self._terms.close, atol=0.0):
                raise unexpected(self._terms, row, f"{UNFOLD}, with the same c above and below")
            return {CURRENT: above, CONDUCTANCE: below}
        # A leak below the rounding of c in the file is none.
        noise = self._terms.precision.epsilon * np.abs(capacity)
        leak = below - capacity
        lost = np.abs(leak) <= noise
        return {
            CURRENT: np.where(lost & (np.abs(above) <= noise), 0.0, above),
            CONDUCTANCE: np.where(lost, 0.0, leak),
        }

    def _dense(
        self, row: Identities, samples: Identities, before: Identities | None,
        sums: dict[str, _Sum],
    ) -> tuple[FloatArray, FloatArray, dict[str, FloatArray]]:  # fmt: skip
        """Slope, offset and both weights as matrices; zero where there is no synapse."""
        width = samples.size + (0 if before is None else before.size)
        slope, offset = np.zeros((row.size, width)), np.zeros((row.size, width))
        known = np.zeros((row.size, width), np.bool_)
        weights: dict[str, FloatArray] = {}
        for name, part in sums.items():
            weights[name] = np.zeros((row.size, width))
            parts = [each for synapses in part.synapses.values() for each in synapses]
            if not parts:
                continue
            found = _joined(parts)
            column = found.source - samples[0]
            if before is not None:
                own = (found.source >= before[0]) & (found.source <= before[-1])
                column[own] = found.source[own] - before[0] + samples.size
            place = (found.target, column)
            again = known[place]
            if np.unique(found.target * width + column).size != column.size or not (
                np.array_equal(slope[place][again], found.slope[again])
                and np.array_equal(offset[place][again], found.offset[again])
            ):
                raise unexpected(
                    self._terms, row, f"{UNFOLD}, with one sigmoid for each pair of units"
                )
            weights[name][place] = found.weight
            slope[place], offset[place], known[place] = found.slope, found.offset, True
        return slope, offset, weights


def _joined(parts: list[_Synapses]) -> _Synapses:
    """All synapses of several sums."""
    return _Synapses(
        np.concatenate([part.target for part in parts]),
        np.concatenate([part.source for part in parts]),
        np.concatenate([part.slope for part in parts]),
        np.concatenate([part.offset for part in parts]),
        np.concatenate([part.weight for part in parts]),
        np.sum([part.bias for part in parts], axis=0),
    )
