"""Fixed-point formats against exact rational arithmetic; arrays of frozen objects."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnn2loihi.errors import ProgramError
from lnn2loihi.formats import FixedPoint, bits_needed, signed_range
from lnn2loihi.frozen import identical, read_only, read_only_mapping

FORMATS = st.builds(FixedPoint, st.integers(1, 24), st.integers(-10, 30))


class TestRanges:
    def test_known_widths(self) -> None:
        assert signed_range(1) == (-1, 0)
        assert signed_range(8) == (-128, 127)
        assert signed_range(24) == (-8_388_608, 8_388_607)

    @given(st.integers(-(2**30), 2**30), st.integers(-(2**30), 2**30))
    def test_bits_needed_is_the_narrowest_word_that_holds_both_ends(self, a: int, b: int) -> None:
        low, high = sorted((a, b))
        bits = bits_needed(low, high)
        least, most = signed_range(bits)
        assert least <= low and high <= most
        if bits > 1:
            least, most = signed_range(bits - 1)
            assert low < least or most < high


class TestFixedPoint:
    @given(FORMATS, st.integers(-(2**40), 2**40), st.integers(0, 20))
    def test_encode_rounds_half_up_and_saturates(
        self, form: FixedPoint, numerator: int, power: int
    ) -> None:
        value = Fraction(numerator, 2**power)
        scale = Fraction(2) ** form.fraction_bits
        exact = min(max(floor(value * scale + Fraction(1, 2)), form.low), form.high)
        assert form.encode(float(value)) == exact

    def test_halves_go_up_on_both_sides_of_zero(self) -> None:
        assert FixedPoint(8, 0).encode([-1.5, -0.5, 0.5, 1.5]).tolist() == [-1, 0, 1, 2]

    @given(FORMATS, st.data())
    def test_decode_is_exact_and_encode_brings_it_back(
        self, form: FixedPoint, data: st.DataObject
    ) -> None:
        n = data.draw(st.integers(form.low, form.high))
        assert Fraction(float(form.decode(n))) == Fraction(n) / Fraction(2) ** form.fraction_bits
        assert form.encode(form.decode(n)) == n

    def test_infinity_and_what_becomes_infinite_saturate_without_a_warning(self) -> None:
        encoded = FixedPoint(8, 1000).encode([1e300, -1e300, np.inf, -np.inf])
        assert encoded.tolist() == [127, -128, 127, -128]

    @given(st.integers(2, 24), st.floats(1e-12, 1e12))
    def test_covering_is_the_finest_format_that_does_not_saturate(
        self, bits: int, largest: float
    ) -> None:
        form = FixedPoint.covering(bits, largest)
        finer = Fraction(largest) * Fraction(2) ** (form.fraction_bits + 1) + Fraction(1, 2)
        assert floor(Fraction(largest) * Fraction(2) ** form.fraction_bits + Fraction(1, 2)) <= (
            form.high
        )
        assert floor(finer) > form.high

    @pytest.mark.parametrize("largest", [0.0, -1.0, float("inf"), float("nan"), 5e-324, 1e-300])
    def test_covering_of_nothing_is_the_unit_interval(self, largest: float) -> None:
        assert FixedPoint.covering(12, largest) == FixedPoint(12, 11)

    def test_q_notation(self) -> None:
        assert str(FixedPoint(12, 11)) == "Q0.11"
        assert str(FixedPoint(8, -2)) == "Q9.-2"


class TestReadOnlyArrays:
    def test_it_is_a_copy_that_cannot_be_written(self) -> None:
        source = np.arange(3)
        array = read_only(source, np.int32)
        source[0] = 9
        assert array.tolist() == [0, 1, 2] and array.dtype == np.int32
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1

    @pytest.mark.parametrize(
        "values", [[128], [-129], np.array([300]), [0.5], [float("nan")], [2**70], ["a"]]
    )
    def test_an_integer_array_never_wraps_or_truncates(self, values: object) -> None:
        with pytest.raises(ProgramError, match="that int8 cannot hold"):
            read_only(values, np.int8)  # type: ignore[arg-type]

    def test_ends_and_whole_floats_and_empty_arrays_are_kept(self) -> None:
        assert read_only([-128.0, 127.0], np.int8).tolist() == [-128, 127]
        assert read_only([], np.int8).dtype == np.int8
        assert np.isnan(read_only([np.nan], np.float64)[0])

    def test_a_mapping_is_a_copy_that_cannot_be_written(self) -> None:
        source = {"a": 1}
        mapping = read_only_mapping(source)
        source["a"] = 2
        assert mapping["a"] == 1
        with pytest.raises(TypeError, match="does not support item assignment"):
            mapping["a"] = 3  # type: ignore[index]


class TestIdentical:
    @pytest.mark.parametrize(
        ("left", "right"),
        [
            (1, 1.0),
            (1, True),
            (np.array([1], np.int64), np.array([1], np.int32)),
            (np.zeros((1, 2)), np.zeros((2, 1))),
            ({"a": 1}, {"b": 1}),
            ((1, 2), (1, 2, 3)),
            (FixedPoint(8, 0), FixedPoint(8, 1)),
        ],
    )
    def test_types_dtypes_shapes_and_keys_count(self, left: object, right: object) -> None:
        assert identical(left, left) and identical(right, right)
        assert not identical(left, right) and not identical(right, left)
