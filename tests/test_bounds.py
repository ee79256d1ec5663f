"""The proofs of bounds are sound, as tight as they say, and refuse what they cannot know."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lnn2loihi.families.cfc.neuron import GATES, cfc_program
from lnn2loihi.formats import IntegerArray, signed_range
from lnn2loihi.neurons.bounds import (
    LARGEST_BOX,
    LARGEST_TABLE,
    LARGEST_TRAIL,
    IntegerInterval,
    ProvedBounds,
    interval_of,
    prove,
)
from lnn2loihi.neurons.instructions import (
    LARGEST_PROGRAM,
    OPERATIONS,
    Bound,
    Instruction,
    NeuronProgram,
    apply,
)
from lnn2loihi.neurons.tracer import Tracer, Word

POLYNOMIAL = ("ADD", "NEG", "SHL", "MUL_SHR")
MEGABYTE = 1 << 20


def execute(
    program: NeuronProgram, given_words: Mapping[str, IntegerArray]
) -> dict[str, IntegerArray]:
    """Every word of one update, from values of accumulators, parameters and state words."""
    words = {name: np.asarray(values, np.int64) for name, values in given_words.items()}
    made: dict[str, IntegerArray] = {}
    for i in program.instructions:
        operands = [words[o] if isinstance(o, str) else np.asarray(o) for o in i.operands]
        if i.opcode == "SPIKE":
            made["message'"] = operands[0]
        elif i.result in program.state_names:
            made[f"{i.result}'"] = operands[0]
        else:
            words[i.result] = made[i.result] = apply(i.opcode, operands, i.shift)
    return made


def assert_inside(proved: ProvedBounds, words: Mapping[str, IntegerArray]) -> None:
    for name, values in words.items():
        interval = proved.words[name]
        assert np.all(interval.low <= values) and np.all(values <= interval.high), (
            f"{name}: [{np.min(values)}, {np.max(values)}] leaves {interval.hull}"
        )


def finished(t: Tracer, message: Word) -> NeuronProgram:
    t.spike(message)
    return t.program()


def proof(program: NeuronProgram, *ends: tuple[int, int], **parameters: object) -> ProvedBounds:
    """With one neuron's interval for each accumulator."""
    intervals = [IntegerInterval.of(*pair) for pair in ends]
    return prove(
        program, dict(zip(program.accumulators, intervals, strict=True)), parameters  # type: ignore[arg-type]
    )  # fmt: skip


class TestIntervals:
    SMALL = st.tuples(st.integers(-9, 9), st.integers(-9, 9)).map(lambda ends: sorted(ends))

    @pytest.mark.parametrize("opcode", [o.opcode for o in OPERATIONS.values() if o.apply])
    @given(st.data())
    def test_an_interval_holds_every_result(self, opcode: str, data: st.DataObject) -> None:
        operation = OPERATIONS[opcode]
        ends = [data.draw(self.SMALL) for _ in range(operation.operands)]
        shift = data.draw(st.integers(0, 4)) if operation.shifts else None
        found = interval_of(opcode, [IntegerInterval.of(*pair) for pair in ends], shift)
        grids = np.meshgrid(*(np.arange(low, high + 1) for low, high in ends))
        results = apply(opcode, grids, shift)
        assert found.low <= results.min() and results.max() <= found.high
        if opcode in ("RDC", "MOV", "SHL", "ADD", "NEG", "MIN", "MUL_SHR"):
            assert found.hull == (results.min(), results.max())

    def test_neurons_keep_their_own_intervals(self) -> None:
        a = IntegerInterval.of([-1, 0], [1, 5])
        assert interval_of("NEG", [a], None).low.tolist() == [-1, -5]
        assert a.of_neuron(1).hull == (0, 5) and a.fits(3).tolist() == [True, False]


class RandomCode:
    """A random program that states every kind of bound about its own words."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.neurons = int(self.rng.integers(1, 4))
        self.t = Tracer(f"random {seed}")
        self.words = [self.t.accumulator("a"), self.t.accumulator("b")]
        self.words += [self.t.parameter("p", 6), self.t.parameter("q", 4)]
        self.state = self.t.state("s", 5)
        self.words.append(self.state)
        self.roots: list[tuple[Word, set[str]]] = []
        for _ in range(int(self.rng.integers(4, 16))):
            self.step()
        for _ in range(int(self.rng.integers(1, 4))):
            self.state_convexity(self.words[-int(self.rng.integers(1, 5))])
        self.t.write(self.state, self.t.minimum(self.t.maximum(self.word(), -16), 15))
        self.program = finished(self.t, self.words[-1])

    def word(self) -> Word:
        last = len(self.words)
        low = max(0, last - 6) if self.rng.random() < 0.7 else 0
        return self.words[int(self.rng.integers(low, last))]

    def operand(self) -> Word | int:
        return self.word() if self.rng.random() < 0.8 else int(self.rng.integers(-20, 20))

    def step(self) -> None:
        t, rng = self.t, self.rng
        kind = int(rng.integers(0, 12))
        if kind < 3:
            made = t.multiply(self.word(), self.operand(), int(rng.integers(3, 9)))
        elif kind < 5:
            made = t.add(self.operand(), self.operand())
        elif kind == 5:
            made = t.subtract(self.operand(), self.word())
        elif kind == 6:
            made = t.maximum(self.word(), int(rng.integers(-30, 30)))
        elif kind == 7:
            made = t.negative_magnitude(self.word())
        elif kind == 8:
            made = t.select(t.less(self.word(), self.operand()), self.operand(), self.operand())
        elif kind == 9:
            made = t.minimum(self.operand(), self.word())
        elif kind == 10:
            opcode = str(rng.choice(["AND", "OR", "EQ", "GE", "MOV", "SHL"]))
            operands = [self.operand() for _ in range(OPERATIONS[opcode].operands)]
            shift = int(rng.integers(0, 3)) if opcode == "SHL" else None
            made = t._emit(opcode, opcode.lower(), *operands, shift=shift)
        else:
            return self.exhausted_chain()
        self.words.append(made)

    def exhausted_chain(self) -> None:
        """Words that depend on one clamped word alone, and one that looks as if it did."""
        t, rng = self.t, self.rng
        root = t.minimum(t.maximum(self.word(), -40), 40, "root")
        first = t.multiply(root, root, 2)
        second = t.add(t.multiply(first, root, 3), first)
        t.exhaust(second, root)
        self.words += [root, second, t.add(second, self.word())]
        if rng.random() < 0.5:
            t.exhaust(t.minimum(root, second), root)

    def state_convexity(self, word: Word) -> None:
        """States that a word is bounded by words somewhere above it, whatever those depend on."""
        made = {i.result: i for i in self.t._instructions}
        leaves, open_words = [], [word.name]
        while open_words:
            name = open_words.pop()
            instruction = made.get(name)
            expand = instruction is not None and instruction.opcode in POLYNOMIAL
            if expand and (name == word.name or self.rng.random() < 0.6):
                assert instruction is not None
                open_words += [o for o in instruction.operands if isinstance(o, str)]
            else:
                leaves.append(name)
        of = tuple(dict.fromkeys(leaves))
        if of and len(of) <= LARGEST_BOX:
            self.t._bounds.append(Bound(word.name, None, None, "convexity", of))

    def data(self) -> tuple[dict[str, IntegerInterval], dict[str, IntegerArray]]:
        rng, n = self.rng, self.neurons
        intervals = {}
        for name in self.program.accumulators:
            scale = 1 << int(rng.integers(1, 9))
            ends = np.sort(rng.integers(-scale, scale, (2, n)), axis=0)
            intervals[name] = IntegerInterval.of(ends[0], ends[1])
        parameters = {"p": rng.integers(-32, 32, n), "q": rng.integers(-8, 8, n)}
        return intervals, parameters

    def samples(
        self,
        intervals: Mapping[str, IntegerInterval],
        parameters: Mapping[str, IntegerArray],
        count: int,
    ) -> dict[str, IntegerArray]:
        """Values (count, neurons), a third of them at either end."""
        rng, shape = self.rng, (count, self.neurons)
        ends = {name: (i.low, i.high) for name, i in intervals.items()}
        ends["s"] = (np.full(self.neurons, -16), np.full(self.neurons, 15))
        values = {}
        for name, (low, high) in ends.items():
            which = rng.integers(0, 6, shape)
            middle = rng.integers(low, high, shape, endpoint=True)
            values[name] = np.where(which == 0, low, np.where(which == 1, high, middle))
        return {**values, **parameters}


class TestSoundness:
    def test_no_word_of_a_proved_random_program_leaves_its_interval(self) -> None:
        proved_programs = 0
        for seed in range(400):
            code = RandomCode(seed)
            intervals, parameters = code.data()
            proved = prove(code.program, intervals, parameters)
            if not proved.problems:
                proved_programs += 1
                values = code.samples(intervals, parameters, 300)
                assert_inside(proved, execute(code.program, values))
        assert proved_programs > 250  # otherwise this test looks away

    @settings(max_examples=60)
    @given(st.integers(0, 10**9))
    def test_every_value_of_small_accumulators_stays_inside(self, seed: int) -> None:
        code = RandomCode(seed)
        intervals = {"a": IntegerInterval.of(-3, 4), "b": IntegerInterval.of(-2, 2)}
        parameters = {"p": np.array([-32]), "q": np.array([7])}
        proved = prove(code.program, intervals, parameters)
        if proved.problems:
            return
        grid = np.meshgrid(np.arange(-3, 5), np.arange(-2, 3), np.arange(-16, 16), indexing="ij")
        a, b, s = (axis.reshape(-1, 1) for axis in grid)
        assert_inside(proved, execute(code.program, {"a": a, "b": b, "s": s, **parameters}))

    @pytest.mark.parametrize("activation", ["ramp12", "ramp16", "lines16"])
    def test_a_cfc_stays_inside_at_random_and_extreme_sums(self, activation: str) -> None:
        program = cfc_program((9, 9, 9), 12, activation)
        rng, n = np.random.default_rng(0), 4
        intervals = {g: IntegerInterval.of([-(1 << 22)] * n, [(1 << 22)] * n) for g in GATES}
        parameters = {f"{g}.bias": rng.integers(-(1 << 21), 1 << 21, n) for g in GATES}
        parameters |= {f"{g}.multiplier": rng.integers(-127, 128, n) for g in GATES}
        proved = prove(program, intervals, parameters)
        assert not proved.problems
        shape = (4000, n)
        sums = {
            g: np.where(
                rng.random(shape) < 0.2,
                rng.choice([-(1 << 22), 1 << 22], shape),
                rng.integers(-(1 << 18), 1 << 18, shape),
            )
            for g in GATES
        }
        assert_inside(
            proved, execute(program, {**sums, **parameters, "h": np.zeros(shape, np.int64)})
        )


class TestExhaustion:
    @given(st.integers(-170, 0), st.integers(0, 170), st.integers(0, 5), st.integers(-9, 9))
    def test_it_is_exact(self, low: int, high: int, shift: int, offset: int) -> None:
        t = Tracer("table")
        x = t.accumulator("a")
        square = t.multiply(x, x, shift)
        word = t.add(t.multiply(square, t.add(x, offset), 2), square)
        t.exhaust(word, x)
        program = finished(t, word)
        proved = proof(program, (low, high))
        words = execute(program, {"a": np.arange(low, high + 1)})
        assert not proved.problems
        for name in (square.name, word.name, "message'"):
            assert proved.words[name].hull == (words[name].min(), words[name].max())

    def test_a_root_may_depend_on_data_once_it_is_clamped(self) -> None:
        t = Tracer("clamped")
        x = t.add(t.accumulator("a"), t.accumulator("b"))
        root = t.minimum(t.maximum(x, -5), 9, "root")
        word = t.subtract(t.multiply(root, root, 0), root)
        t.exhaust(word, root, 0, 72)
        assert not proof(finished(t, word), (-9999, 9999), (0, 77)).problems

    @pytest.mark.parametrize("ends", [(1, 72), (0, 71)])
    def test_a_bound_that_is_one_too_tight_is_refused(self, ends: tuple[int, int]) -> None:
        t = Tracer("tight")
        root = t.minimum(t.maximum(t.accumulator("a"), -5), 9, "root")
        word = t.subtract(t.multiply(root, root, 0), root, "word")
        t.exhaust(word, root, *ends)
        (problem,) = proof(finished(t, word), (-9999, 9999)).problems
        assert problem == (
            f"bound [{ends[0]}, {ends[1]}] stated of 'word' does not hold: by exhaustion it "
            "reaches [0, 72]"
        )

    @pytest.mark.parametrize("other", ["accumulator", "parameter", "state", "second root"])
    def test_a_word_of_two_words_is_no_table(self, other: str) -> None:
        t = Tracer("two")
        root = t.accumulator("a")
        makers: dict[str, Callable[[], Word]] = {
            "accumulator": lambda: t.accumulator("b"),
            "parameter": lambda: t.parameter("p", 4),
            "state": lambda: t.state("s", 4),
            "second root": lambda: t.accumulator("b"),
        }
        second = makers[other]()
        word = t.add(root, second, "word")
        t.exhaust(word, root)
        if other == "second root":
            t.exhaust(t.negative(second), second)
        ends = [(0, 3)] * (1 + (other in ("accumulator", "second root")))
        proved = proof(finished(t, word), *ends, p=[3])
        assert "bound of 'word' cannot be checked by exhaustion from sum" in proved.problems

    @pytest.mark.parametrize("root", ["p", "s"])
    def test_parameters_and_states_are_no_roots(self, root: str) -> None:
        t = Tracer("root")
        words = {"p": t.parameter("p", 4), "s": t.state("s", 4)}
        t.accumulator("a")
        word = t.negative(words[root], "word")
        t.exhaust(word, words[root])
        (problem,) = proof(finished(t, word), (0, 0), p=[1]).problems
        assert problem == f"bound of 'word' cannot be checked by exhaustion from {root}"

    @pytest.mark.parametrize(
        ("values", "fits"), [(LARGEST_TABLE, True), (LARGEST_TABLE + 1, False)]
    )
    def test_a_root_with_too_many_values_is_refused(self, values: int, fits: bool) -> None:
        t = Tracer("large")
        x = t.accumulator("a")
        word = t.minimum(x, 0, "word")
        t.exhaust(word, x)
        problems = proof(finished(t, word), (1 - values, 0)).problems
        assert (not problems) == fits
        if not fits:
            assert f"word 'sum' has {values} values, too many to try" in problems[0]

    def test_after_a_violation_a_table_goes_on_inside_24_bits(self) -> None:
        t = Tracer("violation")
        x = t.accumulator("a")
        far = t.shift_left(x, 31, "far")
        word = t.multiply(far, 1, 8, "word")
        t.exhaust(word, x)
        proved = proof(finished(t, word), (-2, 2))
        assert len(proved.problems) == 1 and "word 'far' can reach" in proved.problems[0]
        assert proved.words["word"].hull == (-(1 << 15), (1 << 15) - 1)


class TestConvexity:
    BOX = st.tuples(st.integers(-6, 6), st.integers(-6, 6)).map(lambda ends: tuple(sorted(ends)))

    @given(BOX, BOX, BOX, st.integers(-9, 9))
    def test_it_is_exact_for_independent_words_without_shifts(
        self, x_ends: tuple[int, int], y_ends: tuple[int, int], z_ends: tuple[int, int], c: int
    ) -> None:
        t = Tracer("exact")
        x, y, z = (t.accumulator(name) for name in "abc")
        word = t.add(t.add(x, t.multiply(z, t.subtract(y, x), 0)), t.multiply(y, c, 0), "word")
        t._bounds.append(Bound(word.name, None, None, "convexity", (x.name, y.name, z.name)))
        program = finished(t, word)
        proved = proof(program, x_ends, y_ends, z_ends)
        a, b, d = np.meshgrid(*(np.arange(e[0], e[1] + 1) for e in (x_ends, y_ends, z_ends)))
        values = execute(program, {"a": a, "b": b, "c": d})["word"]
        assert not proved.problems
        assert proved.words["word"].hull == (values.min(), values.max())

    @given(BOX, BOX, BOX, st.lists(st.integers(0, 4), min_size=3, max_size=3), st.booleans())
    def test_nested_shifts_of_either_sign_stay_inside_and_cost_only_their_rounding(
        self,
        x_ends: tuple[int, int],
        y_ends: tuple[int, int],
        z_ends: tuple[int, int],
        shifts: list[int],
        negate: bool,
    ) -> None:
        t = Tracer("nested")
        x, y, z = (t.accumulator(name) for name in "abc")
        first = t.multiply(x, y, shifts[0])
        first = t.negative(first) if negate else first
        second = t.multiply(t.multiply(first, z, shifts[1]), -3, shifts[2])
        word = t.add(second, first, "word")
        t._bounds.append(Bound(word.name, None, None, "convexity", (x.name, y.name, z.name)))
        program = finished(t, word)
        proved = proof(program, x_ends, y_ends, z_ends)
        a, b, c = np.meshgrid(*(np.arange(e[0], e[1] + 1) for e in (x_ends, y_ends, z_ends)))
        assert not proved.problems
        assert_inside(proved, execute(program, {"a": a, "b": b, "c": c}))

    @pytest.mark.parametrize(
        ("ends", "holds"), [((-8, 7), True), ((-7, 7), False), ((-8, 6), False)]
    )
    def test_the_floor_of_a_product_takes_up_to_one_more_away(
        self, ends: tuple[int, int], holds: bool
    ) -> None:
        # x y / 8 lies in [-7.5, 7.5] at the corners; the floor reaches -8, and 7 from above.
        t = Tracer("floor")
        x, y = t.accumulator("a"), t.accumulator("b")
        word = t.multiply(x, y, 3, "word")
        t.convex(word, (x, y), *ends)
        problems = proof(finished(t, word), (-10, 10), (-6, 6)).problems
        assert (not problems) == holds
        assert all("does not hold: by convexity it reaches [-8, 7]" in p for p in problems)

    def test_the_blend_of_a_cfc_is_bounded_where_intervals_say_twice_as_much(self) -> None:
        t = Tracer("blend")
        f1, f2, tau = (t.accumulator(name) for name in ("f1", "f2", "tau"))
        blend = t.multiply(tau, t.subtract(f2, f1), 14)
        word = t.add(t.add(f1, f2), blend, "word")
        ends = [(-16383, 16383)] * 3
        plain = proof(finished(t, word), *ends).words["word"].hull
        t.convex(word, (f1, f2, tau), -32768, 32767)
        proved = proof(t.program(), *ends)
        assert not proved.problems
        assert plain[1] > 65000 and proved.words["word"].hull == (-32767, 32766)

    def test_words_that_depend_on_each_other_are_bounded_by_their_box(self) -> None:
        # y = x + 1 and z = -x: the product runs over a curve, the claim over the whole box.
        t = Tracer("dependent")
        x = t.accumulator("a")
        y, z = t.add(x, 1, "y"), t.negative(x, "z")
        word = t.multiply(y, z, 0, "word")
        t.convex(word, (y, z), -30, 30)
        program = finished(t, word)
        proved = proof(program, (-5, 5))
        assert not proved.problems
        assert proved.words["word"].hull == (-30, 30)
        assert_inside(proved, execute(program, {"a": np.arange(-5, 6)}))

    def test_a_word_downstream_of_another_counts_as_free(self) -> None:
        t = Tracer("downstream")
        x = t.accumulator("a")
        y = t.multiply(x, x, 0, "y")
        word = t.subtract(t.add(y, x), y, "word")
        t.convex(word, (x, y), -4, 4)
        program = finished(t, word)
        proved = proof(program, (-4, 4))
        assert not proved.problems and proved.words["word"].hull == (-4, 4)
        assert_inside(proved, execute(program, {"a": np.arange(-4, 5)}))

    def test_parameters_and_states_may_be_corners(self) -> None:
        t = Tracer("parameter")
        x, p, s = t.accumulator("a"), t.parameter("p", 8), t.state("s", 4)
        word = t.add(t.multiply(x, p, 0), t.multiply(s, p, 0), "word")
        t.convex(word, (x, p, s), -120, 120)
        proved = proof(finished(t, word), (-2, 2), p=[3, -12])
        assert not proved.problems and proved.words["word"].hull == (-108, 120)

    @pytest.mark.parametrize(
        "make",
        [
            lambda t, x, y: (t.multiply(x, x, 0), (x,)),
            lambda t, x, y: (t.multiply(t.add(x, y), t.subtract(x, y), 0), (x, y)),
            lambda t, x, y: (t.add(t.select(t.less(x, 0), y, x), x), (x, y)),
            lambda t, x, y: (t.add(t.less(x, y), x), (x, y)),
            lambda t, x, y: (t.add(t.minimum(x, y), x), (x, y)),
            lambda t, x, y: (t.add(t._emit("AND", "and", x, 3), x), (x, y)),
            lambda t, x, y: (t.add(x, y), (x,)),
        ],
        ids=["square", "hidden square", "SEL", "LT", "MIN", "AND", "word left out"],
    )
    def test_what_is_not_multilinear_in_the_words_is_refused(
        self, make: Callable[[Tracer, Word, Word], tuple[Word, tuple[Word, ...]]]
    ) -> None:
        t = Tracer("refused")
        x, y = t.accumulator("a"), t.accumulator("b")
        word, of = make(t, x, y)
        t.convex(word, of, -(1 << 20), 1 << 20)
        (problem,) = proof(finished(t, word), (-5, 5), (-5, 5)).problems
        assert re.fullmatch(
            r"bound of '\w+' cannot be checked by convexity from sum(, sum2)?", problem
        )

    def test_words_that_are_made_later_are_refused(self) -> None:
        t = Tracer("later")
        x = t.accumulator("a")
        word, later = t.negative(x, "word"), t.add(x, 1, "later")
        t.convex(word, (later,), -9, 9)
        (problem,) = proof(finished(t, word), (-5, 5)).problems
        assert problem == "bound of 'word' cannot be checked by convexity from later"

    def test_too_many_words_are_refused(self) -> None:
        t = Tracer("many")
        words = [t.accumulator(f"a{n}") for n in range(LARGEST_BOX + 1)]
        total = words[0]
        for word in words[1:]:
            total = t.add(total, word)
        t.convex(total, tuple(words), -99, 99)
        (problem,) = proof(finished(t, total), *[(-1, 1)] * len(words)).problems
        assert "cannot be checked by convexity" in problem


class TestClamps:
    @given(st.integers(-50, 50), st.integers(-50, 50), st.integers(0, 40))
    def test_patterns_are_exact(self, floor: int, low: int, width: int) -> None:
        t = Tracer("clamps")
        x = t.accumulator("a")
        larger, magnitude = t.maximum(x, floor), t.negative_magnitude(x)
        smaller = t.select(t.less(x, floor), x, floor, "smaller")
        t._bounds.append(Bound("smaller", None, floor, "clamp"))
        program = finished(t, larger)
        proved = proof(program, (low, low + width))
        words = execute(program, {"a": np.arange(low, low + width + 1)})
        assert not proved.problems
        for word in (larger, smaller):
            values = words[word.name]
            assert proved.words[word.name].hull == (values.min(), values.max())
        assert proved.words[magnitude.name].hull[1] <= 0
        assert_inside(proved, words)

    @pytest.mark.parametrize(
        "make",
        [
            lambda t, x, y, z: t.select(t.less(x, y), y, z),
            lambda t, x, y, z: t.select(t.less(x, y), z, x),
            lambda t, x, y, z: t.select(t.less(x, y), z, y),
            lambda t, x, y, z: t.select(t.less(x, y), x, z),
            lambda t, x, y, z: t.select(t.less(x, y), x, x),
            lambda t, x, y, z: t.select(t.less(x, 0), 1, x),
            lambda t, x, y, z: t.select(t._emit("GE", "ge", x, y), y, x),
            lambda t, x, y, z: t.select(t._emit("EQ", "eq", x, y), y, x),
            lambda t, x, y, z: t.select(x, y, x),
            lambda t, x, y, z: t.select(t._emit("MOV", "mov", t.less(x, y)), y, x),
            lambda t, x, y, z: t.select(1, y, x),
            lambda t, x, y, z: t.minimum(x, t.negative(y)),
            lambda t, x, y, z: t.minimum(t.negative(x), x),
            lambda t, x, y, z: t.minimum(x, t.add(x, -1)),
            lambda t, x, y, z: t.minimum(x, 0),
            lambda t, x, y, z: t.add(x, 0),
            lambda t, x, y, z: t.accumulator("d"),
        ],
    )
    def test_what_only_looks_like_a_clamp_is_refused(
        self, make: Callable[[Tracer, Word, Word, Word], Word]
    ) -> None:
        t = Tracer("near miss")
        x, y, z = (t.accumulator(name) for name in "abc")
        word = make(t, x, y, z)
        t._bounds.append(Bound(word.name, -(1 << 22), 1 << 22, "clamp"))
        program = finished(t, word)
        (problem,) = proof(program, *[(-9, 9)] * len(program.accumulators)).problems
        assert problem == f"bound of {word.name!r} cannot be checked by clamp"

    def test_a_clamp_to_the_other_side_does_not_hold(self) -> None:
        t = Tracer("swapped")
        x = t.accumulator("a")
        word = t.select(t.less(x, 3), x, 3, "word")
        t._bounds.append(Bound("word", 3, None, "clamp"))
        (problem,) = proof(finished(t, word), (-9, 9)).problems
        assert problem == (
            "bound [3, None] stated of 'word' does not hold: by clamp it reaches [-9, 3]"
        )


class TestViolations:
    def test_a_word_that_is_too_wide_is_named_with_its_neuron(self) -> None:
        t = Tracer("wide")
        word = t.add(t.accumulator("a"), t.parameter("p", 24), "biased")
        intervals = {"a": IntegerInterval.of([-5, 0, 0], [5, (1 << 23) - 1, 0])}
        proved = prove(finished(t, word), intervals, {"p": [0, 1, -(1 << 23)]})
        assert proved.problems == (
            "word 'biased' of neuron 1 can reach [1, 8388608], which needs 25 bits; "
            "the limit is 24",
        )
        assert proved.words["biased"].high.tolist() == [5, (1 << 23) - 1, -(1 << 23)]

    def test_an_accumulator_that_is_too_wide_is_named(self) -> None:
        t = Tracer("sum")
        word = t.accumulator("a")
        (problem,) = proof(finished(t, word), (-(1 << 40), 0)).problems
        assert problem.startswith("word 'sum' can reach [-1099511627776, 0], which needs 41 bits")

    @pytest.mark.parametrize(
        ("left", "right", "fits"),
        [(16, 16, True), (24, 8, True), (8, 24, True), (17, 16, False), (16, 17, False),
         (24, 9, False), (17, 9, False)],
    )  # fmt: skip
    def test_products_are_as_wide_as_the_multiplier(
        self, left: int, right: int, fits: bool
    ) -> None:
        t = Tracer("product")
        word = t.multiply(t.accumulator("a"), t.accumulator("b"), 31, "word")
        problems = proof(finished(t, word), signed_range(left), signed_range(right)).problems
        assert problems == (
            () if fits else (
                f"word 'word' multiplies {left} by {right} bits; MUL_SHR takes 16 by 16 or 24 by 8 "
                "(32-bit product)",
            )
        )  # fmt: skip

    def test_a_product_that_is_too_wide_is_named_with_its_neuron(self) -> None:
        t = Tracer("product")
        word = t.multiply(t.accumulator("a"), t.parameter("p", 24), 8, "word")
        intervals = {"a": IntegerInterval.of([-9, -70000, -70000], [9, 0, 0])}
        (problem,) = prove(finished(t, word), intervals, {"p": [70000, 1, 128]}).problems
        assert problem.startswith("word 'word' of neuron 2 multiplies 18 by 9 bits")

    def test_many_neurons_are_counted_and_not_all_named(self) -> None:
        t = Tracer("many")
        word = t.shift_left(t.accumulator("a"), 20, "word")
        n = 12
        problems = prove(
            finished(t, word), {"a": IntegerInterval.of([0] * n, [99] * n)}, {}
        ).problems
        assert len(problems) == 6
        assert problems[-1] == "word 'word': 7 more neurons like these"

    def test_parameters_and_new_states_are_checked_against_their_widths(self) -> None:
        t = Tracer("declared")
        x, p, s = t.accumulator("a"), t.parameter("p", 4), t.state("s", 4)
        t.write(s, x)
        problems = proof(finished(t, t.add(x, p)), (-9, 3), p=[7, 8]).problems
        assert problems == (
            "word 'p' of neuron 1 can reach [8, 8], which needs 5 bits; the limit is 4",
            'word "s\'" can reach [-9, 3], which needs 5 bits; the limit is 4',
        )

    def test_one_violation_makes_no_others_and_nothing_leaves_the_words(self) -> None:
        t = Tracer("contained")
        x = t.accumulator("a")
        far = t.shift_left(x, 31, "far")
        word = t.add(t.multiply(far, 1, 4), 0)
        for _ in range(20):
            word = t.minimum(t.negative(t.negative(t.multiply(word, 127, 7))), far)
        proved = proof(finished(t, word), (-(1 << 23), (1 << 23) - 1))
        assert len(proved.problems) == 1
        low, high = signed_range(24)
        for name, interval in proved.words.items():
            assert low <= interval.hull[0] <= interval.hull[1] <= high, name

    @given(st.lists(st.sampled_from(["SHL", "MUL_SHR", "ADD", "NEG"]), min_size=1, max_size=40))
    def test_no_chain_of_operations_overflows_the_analysis(self, opcodes: list[str]) -> None:
        code = [Instruction("RDC", "w0", ("a",))]
        for n, opcode in enumerate(opcodes):
            operands = (f"w{n}",) * OPERATIONS[opcode].operands
            shift = {"SHL": 31, "MUL_SHR": 0}.get(opcode)
            code.append(Instruction(opcode, f"w{n + 1}", operands, shift))
        code.append(Instruction("SPIKE", "", (f"w{len(opcodes)}",)))
        bounds = (Bound(f"w{len(opcodes)}", None, None, "convexity", ("w0",)),)
        program = NeuronProgram("chain", ("a",), (), (), tuple(code), bounds)
        proved = proof(program, (-(1 << 23), (1 << 23) - 1))
        low, high = signed_range(24)
        assert all(low <= i.hull[0] <= i.hull[1] <= high for i in proved.words.values())


def peak_memory(program: NeuronProgram, neurons: int = 1) -> tuple[ProvedBounds, int]:
    ends = np.zeros(neurons, np.int64), np.full(neurons, 30_000)
    tracemalloc.start()
    try:
        proved = prove(program, {"a": IntegerInterval.of(*ends)}, {})
        return proved, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class TestHostilePrograms:
    """They come from files: little memory, and done in a moment."""

    def test_thousands_of_tables(self) -> None:
        code = [Instruction("RDC", "w0", ("a",))]
        roots = LARGEST_PROGRAM - 2
        code += [Instruction("MIN", f"w{n}", (f"w{n - 1}", 30_000)) for n in range(1, roots + 1)]
        code.append(Instruction("SPIKE", "", ("w1",)))
        bounds = tuple(
            Bound(f"w{n + 1}", None, None, "exhaustion", (f"w{n}",)) for n in range(roots)
        )
        program = NeuronProgram("tables", ("a",), (), (), tuple(code), bounds)
        proved, peak = peak_memory(program)
        assert any("cannot be checked by exhaustion" in p for p in proved.problems)
        assert peak < 250 * MEGABYTE

    def test_thousands_of_words_of_one_table(self) -> None:
        code = [Instruction("RDC", "w0", ("a",))]
        for n in range(LARGEST_PROGRAM - 2):
            code.append(Instruction("MIN", f"w{n + 1}", (f"w{n}", 30_000)))
        code.append(Instruction("SPIKE", "", ("w1",)))
        bounds = (Bound("w9", 0, 30_000, "exhaustion", ("w0",)),)
        program = NeuronProgram("table", ("a",), (), (), tuple(code), bounds)
        proved, peak = peak_memory(program)
        assert not proved.problems and peak < 250 * MEGABYTE

    def test_thousands_of_proofs_by_convexity_over_deep_chains(self) -> None:
        code = [Instruction("RDC", "w0", ("a",))]
        for n in range(LARGEST_PROGRAM - 2):
            operation = ("ADD", (f"w{n}", -1), None) if n % 2 else ("MUL_SHR", (f"w{n}", 3), 2)
            code.append(Instruction(operation[0], f"w{n + 1}", operation[1], operation[2]))
        code.append(Instruction("SPIKE", "", ("w1",)))
        bounds = tuple(
            Bound(f"w{n}", None, None, "convexity", ("w0",)) for n in range(LARGEST_PROGRAM - 1)
        )
        program = NeuronProgram("convex", ("a",), (), (), tuple(code), bounds)
        proved, peak = peak_memory(program)
        refused = sum("cannot be checked by convexity" in p for p in proved.problems)
        assert len(bounds) - refused <= LARGEST_TRAIL and peak < 100 * MEGABYTE

    def test_polynomials_with_many_terms_and_huge_coefficients(self) -> None:
        t = Tracer("terms")
        words = [t.accumulator("a")]
        words += [t.add(words[0], n, f"x{n}") for n in range(3)]
        total = words[0]
        for n, word in product(range(40), words):
            total = t.add(t.multiply(total, t.add(word, n), 15), t.shift_left(word, n % 9))
        t.convex(total, tuple(words), -(1 << 23), (1 << 23) - 1)
        proved, peak = peak_memory(finished(t, total))
        assert any("cannot be checked by convexity" in p for p in proved.problems)
        assert peak < 100 * MEGABYTE
