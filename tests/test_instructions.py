"""The instruction table against plain Python integers, and what a program must look like."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnn2loihi.errors import ProgramError
from lnn2loihi.neurons.instructions import (
    LARGEST_PROGRAM,
    LISTING_ONLY,
    OPERATIONS,
    Bound,
    Instruction,
    NeuronProgram,
    apply,
)
from lnn2loihi.neurons.tracer import Tracer

#: The public list of DESIGN.md.
PUBLIC = ("RMW RDC MOV SEL AND OR SHL ADD NEG MIN MUL_SHR LT GE EQ SKP_C JMP_C SPIKE PROBE").split()
WORDS = st.integers(-(1 << 23), (1 << 23) - 1)
#: What each operation makes, written once more in plain Python.
EXPECTED: dict[str, Callable[..., int]] = {
    "RDC": lambda a: a,
    "MOV": lambda a: a,
    "SEL": lambda c, a, b: a if c else b,
    "AND": lambda a, b: a & b,
    "OR": lambda a, b: a | b,
    "SHL": lambda a, n: a * 2**n,
    "ADD": lambda a, b: a + b,
    "NEG": lambda a: -a,
    "MIN": min,
    "MUL_SHR": lambda a, b, n: a * b // 2**n,
    "LT": lambda a, b: int(a < b),
    "GE": lambda a, b: int(a >= b),
    "EQ": lambda a, b: int(a == b),
}


class TestTable:
    def test_it_is_exactly_the_public_list(self) -> None:
        assert len(PUBLIC) == 18
        assert sorted(OPERATIONS) == sorted(PUBLIC)
        assert all(key == operation.opcode for key, operation in OPERATIONS.items())

    def test_every_operation_makes_a_word_sends_one_or_is_for_listings(self) -> None:
        makers = {name for name, operation in OPERATIONS.items() if operation.apply}
        assert makers == set(EXPECTED)
        assert set(OPERATIONS) - makers == {*LISTING_ONLY, "SPIKE"}

    @pytest.mark.parametrize("opcode", sorted(EXPECTED))
    @given(st.data())
    def test_an_operation_means_what_plain_integers_say(
        self, opcode: str, data: st.DataObject
    ) -> None:
        operation = OPERATIONS[opcode]
        operands = [
            data.draw(st.one_of(WORDS, st.integers(-3, 3))) for _ in range(operation.operands)
        ]
        shift = data.draw(st.integers(0, 31)) if operation.shifts else None
        expected = EXPECTED[opcode](*operands, *([] if shift is None else [shift]))
        arrays = [np.array([operand, operand], np.int64) for operand in operands]
        found = apply(opcode, arrays, shift)
        assert found.dtype == np.int64 and found.tolist() == [expected, expected]
        assert apply(opcode, [np.int64(o) for o in operands], shift) == expected

    @pytest.mark.parametrize(
        ("a", "b", "shift", "expected"),
        [(-1, 1, 1, -1), (-1, 1, 31, -1), (-3, 1, 1, -2), (3, 1, 1, 1), (-8, 1, 3, -1),
         (-32768, -32768, 15, 32768), (-(1 << 23), -128, 7, 1 << 23), (5, 0, 3, 0)],
    )  # fmt: skip
    def test_a_right_shift_rounds_towards_minus_infinity(
        self, a: int, b: int, shift: int, expected: int
    ) -> None:
        assert apply("MUL_SHR", [np.int64(a), np.int64(b)], shift) == expected

    @pytest.mark.parametrize("opcode", [*LISTING_ONLY, "SPIKE"])
    def test_operations_without_a_word_are_not_applied(self, opcode: str) -> None:
        with pytest.raises(ProgramError, match="does not make a word"):
            apply(opcode, [np.int64(1)] * OPERATIONS[opcode].operands, None)


def sound() -> NeuronProgram:
    return NeuronProgram(
        "sound",
        ("a",),
        (("p", 8),),
        (("h", 12),),
        (
            Instruction("RDC", "sum", ("a",)),
            Instruction("MIN", "low", ("sum", 100)),
            Instruction("MOV", "h", ("low",)),
            Instruction("SPIKE", "", ("low",)),
        ),
        (),
        "h",
    )


def inserted(*instructions: Instruction) -> NeuronProgram:
    """The sound program with instructions after its second."""
    before = sound()
    code = (*before.instructions[:2], *instructions, *before.instructions[2:])
    return dataclasses.replace(before, instructions=code)


class TestWellFormed:
    def test_the_sound_program_is_accepted(self) -> None:
        program = sound()
        assert program.message == "low" and program.instruction_count == 4
        assert program.opcode_counts() == {"RDC": 1, "MIN": 1, "MOV": 1, "SPIKE": 1}
        assert program.parameter_names == ("p",) and program.state_names == ("h",)

    @pytest.mark.parametrize(
        ("instruction", "message"),
        [
            (Instruction("DIV", "x", ("sum", 2)), "unknown opcode; the set is RDC, RMW"),
            (Instruction("RMW", "x", ("h", 1)), "exists in listings only"),
            (Instruction("PROBE", "x", ("h",)), "exists in listings only"),
            (Instruction("SKP_C", "x", ("h",)), "exists in listings only"),
            (Instruction("JMP_C", "x", ("h",)), "exists in listings only"),
            (Instruction("ADD", "x", ("sum",)), "takes 2 operands, has 1"),
            (Instruction("NEG", "x", ("sum", 1)), "takes 1 operands, has 2"),
            (Instruction("MUL_SHR", "x", ("sum", 2)), "needs a shift"),
            (Instruction("ADD", "x", ("sum", 2), 1), "takes no shift"),
            (Instruction("SHL", "x", ("sum",), -1), "shift -1 is outside 0..31"),
            (Instruction("SHL", "x", ("sum",), 32), "shift 32 is outside 0..31"),
            (Instruction("ADD", "x", ("later", 2)), "'later' is used before it is made"),
            (Instruction("ADD", "x", ("a", 2)), "'a' is used before it is made"),
            (Instruction("ADD", "x", ("x", 2)), "'x' is used before it is made"),
            (Instruction("ADD", "x", ("sum", 1 << 23)), "immediate 8388608 does not fit 24 bits"),
            (Instruction("ADD", "x", ("sum", -(1 << 23) - 1)), "-8388609 does not fit 24 bits"),
            (Instruction("ADD", "x", ("sum", 0.5)), "operand 0.5 is neither a word nor an integer"),  # type: ignore[arg-type]
            (Instruction("ADD", "sum", ("p", 2)), "'sum' is assigned a second time"),
            (Instruction("ADD", "p", ("sum", 2)), "'p' is assigned a second time"),
            (Instruction("ADD", "a", ("sum", 2)), "'a' is assigned a second time"),
            (Instruction("ADD", "", ("sum", 2)), "the result has no name"),
            (Instruction("ADD", "h", ("sum", 2)), "only MOV writes a state word, here 'h'"),
            (Instruction("MOV", "h", ("low",)), "state word 'h' is written twice"),
            (Instruction("RDC", "x", ("p",)), "'p' is not an accumulator"),
            (Instruction("RDC", "x", (3,)), "RDC reads an accumulator, not an immediate"),
            (Instruction("RDC", "x", ("a",)), "every accumulator must be read and cleared once"),
            (Instruction("SPIKE", "", ("sum",)), "this one has 2"),
            (Instruction("SPIKE", "x", ("sum",)), "it makes no word, here 'x'"),
            (Instruction("ADD", "message'", ("sum", 0)), "\"message'\" is no name of a word"),
            (Instruction("ADD", "1", ("sum", 0)), "'1' is no name of a word"),
            (Instruction("ADD", "x; system()", ("sum", 0)), "is no name of a word"),
        ],
    )  # fmt: skip
    def test_an_ill_formed_instruction_is_named(
        self, instruction: Instruction, message: str
    ) -> None:
        with pytest.raises(ProgramError, match=re.escape(message)):
            inserted(instruction)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"accumulators": ()}, "at least one dendritic accumulator"),
            ({"accumulators": ("a", "b")}, "has ['a', 'b'], reads ['a']"),
            ({"accumulators": ("a", "p")}, "name 'p' is declared twice"),
            ({"parameters": (("p", 8), ("h", 8))}, "name 'h' is declared twice"),
            ({"parameters": (("p", 25),)}, "p is 25 bits wide; words have 1 to 24 bits"),
            ({"states": (("h", 0),)}, "h is 0 bits wide; words have 1 to 24 bits"),
            ({"states": (("h", 12), ("message", 12))}, "name 'message' is kept for"),
            ({"parameters": (("", 8),)}, "'' is no name of a word"),
            ({"parameters": (("h'", 8),)}, '"h\'" is no name of a word'),
            ({"message_state": "low"}, "message_state 'low' is not a state word"),
            ({"instructions": sound().instructions[:3]}, "this one has 0"),
            ({"bounds": (Bound("x", 0, 1, "clamp"),)}, "bound of 'x', which no instruction makes"),
            ({"bounds": (Bound("p", 0, 1, "clamp"),)}, "bound of 'p', which no instruction makes"),
            ({"bounds": (Bound("h", 0, 1, "clamp"),)}, "bound of 'h', which no instruction makes"),
            ({"bounds": (Bound("low", 0, 1, "exhaustion", ("x",)),)}, "names 'x', which no"),
            ({"bounds": (Bound("low", 0, 1, "hope"),)}, "unknown proof 'hope'"),
            ({"bounds": (Bound("low", 0, 1, "clamp", ("sum",)),)}, "wrong number of words for"),
            ({"bounds": (Bound("low", 0, 1, "exhaustion"),)}, "wrong number of words for"),
            ({"bounds": (Bound("low", 0, 1, "exhaustion", ("sum", "p")),)}, "wrong number"),
            ({"bounds": (Bound("low", 0, 1, "convexity"),)}, "wrong number of words for"),
        ],
    )  # fmt: skip
    def test_an_ill_formed_declaration_is_named(
        self, changes: dict[str, tuple[object, ...]], message: str
    ) -> None:
        with pytest.raises(ProgramError, match=re.escape(message)):
            dataclasses.replace(sound(), **changes)  # type: ignore[arg-type]

    def test_a_state_word_is_not_read_after_it_was_written(self) -> None:
        start = sound()
        code = (*start.instructions, Instruction("ADD", "x", ("h", 1)))
        with pytest.raises(ProgramError, match="state word 'h' is read after it was written"):
            dataclasses.replace(start, instructions=code)

    @pytest.mark.parametrize("written", ["sum", None])
    def test_the_message_state_keeps_what_is_sent(self, written: str | None) -> None:
        start = sound()
        read, low, _, spike = start.instructions
        write = () if written is None else (Instruction("MOV", "h", (written,)),)
        with pytest.raises(
            ProgramError, match="'h' must be written with the word that SPIKE sends"
        ):
            dataclasses.replace(start, instructions=(read, low, *write, spike))

    def test_all_problems_are_listed_together(self) -> None:
        with pytest.raises(ProgramError) as caught:
            NeuronProgram(
                "bad",
                ("a", "a"),
                (("p", 0),),
                (),
                (Instruction("DIV", "x", ()), Instruction("ADD", "y", ("z", 1 << 30))),
                (Bound("w", 0, 0, "hope"),),
                "s",
            )
        text = str(caught.value)
        for part in (
            "neuron program 'bad'", "'a' is declared twice", "p is 0 bits wide", "unknown opcode",
            "'z' is used before", "1073741824 does not fit", "read and cleared once",
            "this one has 0", "'s' is not a state word", "bound of 'w'", "unknown proof 'hope'",
        ):  # fmt: skip
            assert part in text

    @pytest.mark.parametrize("what", ["instructions", "parameters", "bounds"])
    def test_a_huge_program_is_refused_by_its_size_alone(self, what: str) -> None:
        many = LARGEST_PROGRAM + 1
        entries: dict[str, tuple[object, ...]] = {
            "instructions": (Instruction("ADD", "x", (1, 1)),) * many,
            "parameters": (("p", 8),) * many,
            "bounds": (Bound("low", 0, 0, "clamp"),) * many,
        }
        with pytest.raises(ProgramError) as caught:
            dataclasses.replace(sound(), **{what: entries[what]})  # type: ignore[arg-type]
        (problem,) = caught.value.problems
        assert problem.endswith(f"the limit is {LARGEST_PROGRAM}")


class TestTracer:
    def test_expansions_are_counted(self) -> None:
        t = Tracer("expansions")
        x = t.accumulator("a")
        t.maximum(x, 3)
        t.subtract(x, 1)
        t.negative_magnitude(x)
        t.shift_right(x, 2)
        assert t.round_half_up(x, 0) is x
        t.spike(t.round_half_up(x, 4))
        assert [i.opcode for i in t.program().instructions] == (
            "RDC LT SEL NEG ADD NEG MIN MUL_SHR ADD MUL_SHR SPIKE".split()
        )

    def test_names_carry_their_scope_and_stay_unique(self) -> None:
        t = Tracer("names")
        with t.scope("outer"), t.scope("inner"):
            first, second = t.accumulator("a"), t.accumulator("b")
        after = t.add(first, second)
        assert (first.name, second.name) == ("outer.inner.sum", "outer.inner.sum2")
        assert after.name == "add"

    def test_an_immediate_that_is_no_integer_is_not_truncated(self) -> None:
        t = Tracer("float")
        with pytest.raises(TypeError, match="integer"):
            t.add(t.accumulator("a"), 0.5)  # type: ignore[arg-type]

    def test_a_line_of_a_listing(self) -> None:
        line = str(Instruction("MUL_SHR", "x", ("a", -3), 15))
        assert line.split() == ["x", "=", "MUL_SHR", "a,", "-3,", "#15"]
        assert str(Instruction("SPIKE", "", ("x",))).split() == ["SPIKE", "x"]
