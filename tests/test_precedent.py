"""What no public example has is said by programs, placements and reports, of old files too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Run
from hypothesis import given, settings
from hypothesis import strategies as st
from profile_rows import chip_row, example_program, example_result
from variants import Variant
from variants import network as variant_network
from variants import samples as variant_samples

import lnn2loihi as l2l
from lnn2loihi.graph.precedent import (
    ACCUMULATORS_UNKNOWN,
    LARGEST_PRECEDENT,
    NO_PRECEDENT,
    without_precedent,
)
from lnn2loihi.program import LoihiProgram
from lnn2loihi.reporting.page import answer_of
from lnn2loihi.targets import target_of
from lnn2loihi.targets.split import with_ports

MODELS = Path(l2l.__file__).resolve().parent / "models"
#: A GRU, which has four accumulators, in a file that was made before there was this warning.
OLD = MODELS / "families" / "halfcheetah_gru_w4a8x12.l2l"
IRREGULAR = Variant(irregular=True, layers=1)


def program_of(variant: Variant) -> LoihiProgram:
    x, elapsed = variant_samples(variant, 2, 6)
    spans = {"calibrate_timespans": elapsed} if variant.irregular else {}
    return l2l.quantize(variant_network(variant), x, **spans)


FIVE, THREE = program_of(IRREGULAR), program_of(Variant())


def test_an_old_file_says_it() -> None:
    assert NO_PRECEDENT.encode() not in OLD.read_bytes()
    program = l2l.load(OLD)
    (said,) = without_precedent(program.warnings)
    assert said == (
        "no public precedent: more than 3 input accumulators on a neuron of layer_0 (4); the most "
        "that public examples have is 3 (PrototypeLIF of Lava's CLP); the target split makes it 2, "
        "which take turns"
    )
    assert f"warning: {said}" in program.summary()


def test_files_do_not_store_it(tmp_path: Path) -> None:
    stored = replace(FIVE, warnings=("A loss.",))
    saved = l2l.save(stored, tmp_path / "net.l2l")
    stays = saved.read_bytes()
    assert b"A loss." in stays and NO_PRECEDENT.encode() not in stays
    assert l2l.load(saved) == stored
    assert stored.warnings[0] == "A loss." and len(stored.warnings) == 2


def test_three_have_a_precedent_and_what_is_said_of_others_does_not_stay() -> None:
    assert LARGEST_PRECEDENT == 3 == max(p.turns.width for p in THREE.populations)
    assert not without_precedent(THREE.warnings)
    forged = replace(THREE, warnings=(f"{NO_PRECEDENT}: of something else", "A loss."))
    assert forged.warnings == ("A loss.",)


@pytest.mark.parametrize("target", ["split", "split_one", "split_graph"])
def test_targets_that_avoid_it_do_not_say_it(target: str) -> None:
    assert without_precedent(FIVE.warnings)
    assert not without_precedent(target_of(target).prepare(FIVE).warnings)


@settings(max_examples=8)
@given(st.integers(1, 6))
def test_ports_count_not_accumulators(ports: int) -> None:
    made = with_ports(FIVE, ports)
    width = max(p.turns.width for p in made.populations)
    assert width == min(ports, 5)
    assert bool(without_precedent(made.warnings)) == (width > LARGEST_PRECEDENT)
    assert all(f"({width})" in text for text in without_precedent(made.warnings))


def test_many_populations_and_interleaved_sequences() -> None:
    wide = program_of(replace(IRREGULAR, layers=5))
    (said,) = without_precedent(wide.warnings)
    assert "layer_0 (5), layer_1 (5), layer_2 (5) and 2 more; " in said
    deep = program_of(replace(IRREGULAR, backbone=(5,)))
    turns = deep.interleaved(deep.schedule.period)
    assert "; the target split makes" in without_precedent(deep.warnings)[0]
    (said,) = without_precedent(turns.warnings)
    assert "; interleaved(1) and the target split makes it 2" in said
    assert not without_precedent(target_of("split").prepare(turns.interleaved(1)).warnings)


def test_placements_say_it() -> None:
    (said,) = without_precedent(FIVE.warnings)
    placed = l2l.place(FIVE, objective="packed")
    assert "Warnings of the program:\n- no public precedent: more than 3" in placed.summary()
    assert said in placed.to_dict()["warnings"]
    for calm in (l2l.place(THREE), l2l.place(FIVE, target="split")):
        assert NO_PRECEDENT not in calm.summary()
        assert not without_precedent(calm.to_dict()["warnings"])


def test_reports_and_the_command_line_say_it(run: Run) -> None:
    program = l2l.load(OLD)
    (said,) = without_precedent(program.warnings)
    result = example_result(example_program(), (chip_row(),))
    assert "no public precedent: more than 3" in answer_of(result, program)
    code, out, _ = run("inspect", OLD)
    assert code == 0 and said in out
    assert said in json.loads(run("inspect", OLD, "--json")[1])["warnings"]
    assert said in json.loads(run("place", OLD, "--json")[1])["warnings"]
    code, out, _ = run("inspect", OLD, "--target", "split")
    assert code == 0 and NO_PRECEDENT not in out


def test_what_is_not_known_of_accumulators_is_said_in_the_same_words_everywhere() -> None:
    sentence = f"{ACCUMULATORS_UNKNOWN[0].upper()}{ACCUMULATORS_UNKNOWN[1:]}."
    assert sentence in target_of("fused").unproved
    unchecked = l2l.place(FIVE).unchecked
    assert f"up to 5 input accumulators a neuron: {ACCUMULATORS_UNKNOWN}" in unchecked
