"""The reciprocal, over all values of its operand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lnn2loihi.neurons.bounds import IntegerInterval, prove
from lnn2loihi.neurons.instructions import NeuronProgram, apply
from lnn2loihi.neurons.reciprocal import (
    ERROR,
    FRACTION_BITS,
    LARGEST_BITS,
    STEP_BITS,
    Reciprocal,
    minus_reciprocal,
    reduced,
    restored,
)
from lnn2loihi.neurons.tracer import Tracer

ONE = 1 << FRACTION_BITS
#: Where the number of reductions or iterations changes, and both sides of it.
LOWS = (32, 63, 64, 100, 511, 512, 1024, 2047, 2048, 2049, 4095, 4096, 8192, 16384, 30000, 32767)


def traced(form: Reciprocal) -> NeuronProgram:
    """-1 / x, times 2**-STEP_BITS for each reduction that x took."""
    t = Tracer("reciprocal")
    x = t.add(t.accumulator("x"), 0, "x1")
    small, _ = reduced(t, x, form)
    result = minus_reciprocal(t, small, form)
    t.exhaust(result, x)
    t.spike(result)
    return t.program()


def values(program: NeuronProgram, x: np.ndarray) -> dict[str, np.ndarray]:
    words = {"x": x}
    for i in program.instructions:
        if i.result:
            operands = [words[o] if isinstance(o, str) else np.int64(o) for o in i.operands]
            words[i.result] = np.broadcast_to(apply(i.opcode, operands, i.shift), x.shape)
    return words


@pytest.mark.parametrize("low", LOWS)
def test_the_error_is_within_its_bound(low: int) -> None:
    form = Reciprocal.over(low)
    x = np.arange(low, ONE, dtype=np.int64)
    words = values(traced(form), x)
    shifted = sum(v for name, v in words.items() if name.startswith("small"))
    answer = -words[str(traced(form).message)] * 2.0 ** (STEP_BITS * shifted - form.fraction_bits)
    assert np.abs(answer * x / ONE - 1.0).max() <= ERROR


@pytest.mark.parametrize("low", LOWS)
def test_every_word_is_proved(low: int) -> None:
    proved = prove(traced(Reciprocal.over(low)), {"x": IntegerInterval.of(low, ONE - 1)}, {})
    assert not proved.problems
    assert proved.words["message'"].bits <= 16


def test_the_bound_is_not_idle() -> None:
    """The stated error is reached, so it cannot be lower."""
    form = Reciprocal.over(4096)
    x = np.arange(4096, ONE, dtype=np.int64)
    answer = -values(traced(form), x)[str(traced(form).message)] / 2.0**form.fraction_bits
    assert np.abs(answer * x / ONE - 1.0).max() > 0.98 * ERROR


def test_wide_ranges_are_reduced_and_too_wide_ones_refused() -> None:
    assert Reciprocal.over(16384) == Reciprocal((), 1, 2)
    assert Reciprocal.over(2048).reductions == () and Reciprocal.over(2047).reductions == (4096,)
    assert len(Reciprocal.over(ONE >> LARGEST_BITS).reductions) == 3
    with pytest.raises(ValueError, match="more than a factor of 1024"):
        Reciprocal.over((ONE >> LARGEST_BITS) - 1)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(low=st.integers(32, 20000), factor=st.integers(-32768, 32767), share=st.floats(0, 1))
def test_products_are_restored(low: int, factor: int, share: float) -> None:
    """A quotient of a small denominator, against real arithmetic; or cut at the limit."""
    limit = 1 << 18
    form = Reciprocal.over(low)
    t = Tracer("quotient")
    x, shifted = reduced(t, t.add(t.accumulator("x"), 0, "x1"), form)
    shift = form.fraction_bits + 4
    product = t.multiply(factor, minus_reciprocal(t, x, form), shift, "product")
    t.spike(restored(t, product, shifted, limit))
    program = t.program()
    value = low + int(share * (ONE - 1 - low))
    found = int(values(program, np.array([value], np.int64))[str(program.message)][0])
    exact = -factor * ONE / value / 16
    if abs(exact) > limit / 2:
        assert abs(found) >= limit / 2
    else:
        steps = 2.0 ** (STEP_BITS * len(form.reductions)) + 1
        assert abs(found - exact) <= 1.01 * ERROR * abs(exact) + steps
