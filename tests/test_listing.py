"""Listings: every instruction is there, the counts are those of the text, the schedule is right."""

from __future__ import annotations

import re

import pytest

from lnn2loihi.families.cfc.neuron import cfc_program
from lnn2loihi.families.gru.neuron import gru_program
from lnn2loihi.families.lstm.neuron import lstm_program
from lnn2loihi.families.minimal.layer import FORMS
from lnn2loihi.families.minimal.neuron import MinimalFormats, min_gru_program, min_lstm_program
from lnn2loihi.families.readout.lowering import linear_program
from lnn2loihi.neurons.activations import ACTIVATIONS
from lnn2loihi.neurons.instructions import OPERATIONS, NeuronProgram
from lnn2loihi.neurons.listing import COUNTER, instruction_table, listing

PROGRAMS = [
    *(cfc_program((9, 10, 11), 12, name) for name in ACTIVATIONS),
    linear_program(6),
    linear_program(0),
    gru_program((9, 9, 9, 9), 12, 1, "ramp12"),
    lstm_program((9, 9, 9, 9), 12, 12, "ramp12"),
    lstm_program((9, 9, 9, 9), 12, 12, "ramp12", hears_itself=True),
    *(
        program((9, 9, 9)[:gates], MinimalFormats(12, 9, 12, 0, "ramp12", form))
        for program, gates in ((min_gru_program, 2), (min_lstm_program, 3))
        for form in FORMS
    ),
]
CASES = pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)


def lines_of(text: str) -> list[str]:
    """Instructions and labels, without comments."""
    return [line for line in text.splitlines() if not line.startswith(";")]


def executed(text: str, counter: int) -> tuple[list[str], int, str]:
    """Instructions that a neuron executes in one step, the counter after it, and the word that it
    sends ("" for none or 0).
    """
    lines, place, seen, waiting, sent = lines_of(text), 0, [], False, ""
    labels = {line.split(":")[0]: n for n, line in enumerate(lines) if ":" in line}
    initial, held = False, ""
    while place < len(lines) and lines[place] != "end:":
        line = lines[place].strip()
        place += 1
        if line.endswith(":"):
            continue
        seen.append(line)
        if "RMW" in line:
            counter += int(line.split(",")[-1])
        elif re.fullmatch(r"waiting += GE +schedule\.wait, 1", line):
            waiting = counter >= 1
        elif line.startswith("JMP_C"):
            condition, label = re.fullmatch(r"JMP_C +(\w+), (\w+)", line).groups()  # type: ignore[union-attr]
            if condition == "1" or (condition == "waiting" and waiting):
                place = labels[label]
        elif line.startswith(f"{COUNTER} ") and "MOV" in line:
            counter = int(line.split()[-1])
        elif found := re.fullmatch(r"initial += EQ +schedule\.wait, (\d+)", line):
            initial = counter == int(found.group(1))
        elif found := re.fullmatch(r"held += SEL +initial, (\S+), 0", line):
            held = found.group(1) if initial else ""
        elif line.startswith("SPIKE"):
            word = line.split()[-1]
            sent = held if word == "held" else word
    return seen, counter, sent


@CASES
class TestListing:
    def test_it_contains_every_instruction_in_order(self, program: NeuronProgram) -> None:
        lines = [line.strip() for line in lines_of(listing(program, 1, 1).text)]
        wanted = [str(i).strip() for i in program.instructions]
        reads = [line for line in wanted if " RDC " in line]
        assert lines[: len(reads)] == reads  # accumulators are cleared in every step
        rest = iter(lines[len(reads) :])
        assert all(line in rest for line in wanted if line not in reads)

    @pytest.mark.parametrize(("first_valid", "period"), [(1, 1), (2, 1), (5, 3)])
    def test_its_schedule_updates_in_the_right_steps_at_the_stated_cost(
        self, program: NeuronProgram, first_valid: int, period: int
    ) -> None:
        made = listing(program, first_valid, period)
        start = re.search(rf"{re.escape(COUNTER)} starts at (\d+)", made.text)
        assert start is not None
        counter = int(start.group(1))
        for step in range(first_valid + 3 * period + 1):
            seen, counter, sent = executed(made.text, counter)
            due = step >= first_valid and (step - first_valid) % period == 0
            assert len(seen) == (made.update_count if due else made.waiting_count)
            before = program.message_state if step == first_valid - period else ""
            assert sent == (program.message if due else before)

    def test_counts_and_words_are_those_of_the_program(self, program: NeuronProgram) -> None:
        made = listing(program, 2, 1)
        loop = bool(program.message_state)
        assert made.update_count == program.instruction_count + 4 + loop
        assert made.waiting_count == len(program.accumulators) + 3 + 3 * loop
        assert made.parameter_words == len(program.parameters)
        assert made.state_words == len(program.states) + 1
        first = made.text.splitlines()[0]
        assert first.startswith(f"; {program.name}: {program.instruction_count} instructions")
        counts = {name: int(n) for name, n in re.findall(r"([A-Z_]+) (\d+)", first)}
        assert counts == program.opcode_counts()
        for name, bits in (*program.parameters, *program.states):
            assert f"{name} ({bits} bit)" in made.text

    def test_it_is_made_of_public_operations_only(self, program: NeuronProgram) -> None:
        made = lines_of(listing(program, 1, 1).text)
        used = {match for line in made for match in re.findall(r"\b[A-Z][A-Z_]+\b", line)}
        assert used <= set(OPERATIONS) and {"RDC", "RMW", "GE", "JMP_C", "SPIKE"} <= used
        assert not any(line != line.rstrip() for line in made)


class TestPinned:
    def test_a_small_listing_in_full(self) -> None:
        text = listing(linear_program(3), 2, 1).text
        assert text == (
            "; linear: 6 instructions without the schedule (ADD 2, MUL_SHR 2, RDC 1, SPIKE 1)\n"
            "; executed in an update: 10, in a step of waiting: 4\n"
            "; parameters: linear.bias (24 bit), linear.multiplier (8 bit)\n"
            "; state: schedule.wait (24 bit); schedule.wait starts at 3\n"
            "sum            = RDC     linear\n"
            "schedule.wait  = RMW     schedule.wait, -1\n"
            "waiting        = GE      schedule.wait, 1\n"
            "                 JMP_C   waiting, end\n"
            "schedule.wait  = MOV     1\n"
            "biased         = ADD     sum, linear.bias\n"
            "preactivation  = MUL_SHR biased, linear.multiplier, #2\n"
            "add            = ADD     preactivation, 1\n"
            "round          = MUL_SHR add, 1, #1\n"
            "                 SPIKE   round\n"
            "end:"
        )

    @pytest.mark.parametrize(
        ("activation", "instructions"),
        [("ramp12", 70), ("ramp16", 70), ("lines16", 175), ("hard", 28)],
    )
    def test_instructions_of_a_cfc_unit_are_pinned(
        self, activation: str, instructions: int
    ) -> None:
        assert cfc_program((9, 9, 9), 12, activation).instruction_count == instructions

    @pytest.mark.parametrize(
        ("name", "instructions"),
        [
            ("gru", 84),
            ("lstm", 118),
            ("mingru log", 65),
            ("mingru linear", 42),
            ("minlstm log", 106),
            ("minlstm linear", 83),
        ],
    )
    def test_instructions_of_other_units_are_pinned(self, name: str, instructions: int) -> None:
        made = next(program for program in PROGRAMS if program.name == name)
        assert made.instruction_count == instructions

    def test_the_table_has_a_row_for_every_operation(self) -> None:
        rows = instruction_table().splitlines()[2:]
        assert [re.findall(r"`(\w+)`", row)[0] for row in rows] == list(OPERATIONS)
        assert all(row.count("|") == 5 for row in rows)
