"""Targets side by side: what each makes of a program, how far its answers are, what is proved."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run
from networks import random_network, random_samples
from strangers import register

import lnn2loihi as l2l
from lnn2loihi.errors import ProgramError, TargetError
from lnn2loihi.neurons.instructions import Instruction
from lnn2loihi.placement.rules import Rule, Violation
from lnn2loihi.program import LoihiProgram
from lnn2loihi.tables import paragraph
from lnn2loihi.targets import TARGETS, Target, target_of
from lnn2loihi.targets.beside import beside, claims_text, names_of, unproved_of

X = random_samples(1, 2, 12, 3)
NETWORK = random_network(5, layers=(4, 4))
PROGRAM = l2l.quantize(NETWORK, calibrate=X)
MODELS = Path(__file__).parent.parent / "models"
#: Programs that have no stock form: of a CfC with a memory, of other families, of linear heads.
WITHOUT = {
    "digits/s4d_w4a8x12", "digits/liquid_s4d_w4a8x12", "lrcssm/plain_w4a8x12",
    "lrcssm/normed_w4a8x12", "lrcu/asymmetric_w4a8x12", "walker2d/memory-w8a12",
    "linear_cfc/w4a8x12",  # its heads reach beyond its message, which a graph does not clip
}  # fmt: skip
SHIPPED = [
    file
    for file in sorted(MODELS.glob("*/*.l2l"))
    if file.parent.name != "families" or file.stem.split("_")[1] in ("cfc", "ncp")
]
CFCS = [file for file in SHIPPED if f"{file.parent.name}/{file.stem}" not in WITHOUT]


def all_refused(program: LoihiProgram) -> LoihiProgram:
    names = ["layer_0", "layer_1", "readout"]
    raise ProgramError("it", [*(f"{name}: is wide, use mars" for name in names), "it is odd"])


def none_fits(draft: Any) -> Any:
    yield Violation("moons", "layer_0", 2, 1, "me")


class TestPrograms:
    @pytest.mark.parametrize("file", CFCS, ids=lambda file: f"{file.parent.name}-{file.stem}")
    def test_every_cfc_that_is_shipped_has_a_stock_form(self, file: Path) -> None:
        assert beside(l2l.load(file), ["stock"])[0].stock

    @pytest.mark.parametrize("name", sorted(WITHOUT))
    def test_others_say_why_they_have_none(self, name: str) -> None:
        (found,) = beside(l2l.load(MODELS / f"{name}.l2l"), ["stock"])
        reasons = ("has no form of Lava's own processes", "messages can reach")
        assert not found.stock and any(reason in found.refusal for reason in reasons)

    def test_what_is_said_about_a_program_is_not_what_it_computes(self) -> None:
        program = PROGRAM.populations[0].program
        old = replace(program, saturations=None)
        assert old != program and old.computes_as(program) and program.computes_as(old)
        extra = Instruction("NEG", "more", (program.instructions[0].result,))
        other = replace(program, instructions=(*program.instructions, extra))
        assert not other.computes_as(program)
        assert not replace(program, message_state="").computes_as(program)

    def test_programs_of_before_have_a_stock_form(self) -> None:
        populations = tuple(
            replace(p, program=replace(p.program, saturations=None)) for p in PROGRAM.populations
        )
        old = replace(PROGRAM, populations=populations)
        new, stock = target_of("stock").prepare(old), target_of("stock").prepare(PROGRAM)
        assert l2l.simulate(new, X).integers.tolist() == l2l.simulate(stock, X).integers.tolist()


class TestRefusals:
    def test_a_reason_of_many_populations_is_named_once(self) -> None:
        with pytest.raises(TargetError) as raised:
            Target("two", (all_refused,)).prepare(PROGRAM)
        assert raised.value.problems == (
            "it: layer_0, layer_1 and readout: is wide, use mars", "it: it is odd",
        )  # fmt: skip
        (row,) = beside(PROGRAM, [Target("two", (all_refused,))])
        assert row.refusal == "it: layer_0, layer_1 and readout: is wide, use mars; it is odd"
        assert row.cells() == ("two", None, None, None, None, None) and not row.stock

    def test_of_more_the_number(self) -> None:
        wide = l2l.quantize(random_network(5, layers=(2, 2, 2, 2)), calibrate=X)

        def refused(program: LoihiProgram) -> LoihiProgram:
            raise ProgramError("it", [f"{p.name}: is wide" for p in program.populations])

        (row,) = beside(wide, [Target("two", (refused,))])
        assert row.refusal == "it: layer_0, layer_1 and 3 more: is wide"

    def test_names_of_others_are_no_populations(self) -> None:
        def refused(program: LoihiProgram) -> LoihiProgram:
            raise ProgramError("it", ["sun: is hot", "moon: is hot"])

        (row,) = beside(PROGRAM, [Target("two", (refused,))])
        assert row.refusal == "it: sun: is hot; moon: is hot"

    def test_lines_are_as_wide_as_a_page(self) -> None:
        claims = [one.claims for one in beside(PROGRAM, ["stock"])]
        text = claims_text(claims, [("two", "it is " + "very " * 60 + "odd")])
        refusal = text.split("\n\n")[0].splitlines()
        assert len(refusal) > 2 and max(map(len, refusal)) <= 100
        assert all(line.startswith("    very") for line in refusal[1:])
        assert paragraph("a: ", "b\x1b[2J") == "a: b\\x1b[2J"


class TestNames:
    def test_all_is_every_one_the_default_first(self) -> None:
        assert names_of(["all"])[0] == "fused" and sorted(names_of(["all"])) == sorted(
            TARGETS.names()
        )
        assert names_of(["stock:pre-6", "all", "split"])[:2] == ["stock:pre-6", "split"]

    def test_all_of_a_stranger_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        register(monkeypatch, {"mars": Target("mars")}, "lnn2loihi.targets")
        assert "mars" in names_of(["all"])
        found = l2l.profile(PROGRAM, X, against=(), frontier=False, beside="all").sides
        assert {"mars", "stock", "split_one"} < {side.target for side in found}


class TestClaims:
    def test_what_is_proved_of_each(self) -> None:
        fused, split, stock = (one.claims.cells() for one in beside(PROGRAM, [
            "fused", "split", "stock"]))  # fmt: skip
        assert {row[1] for row in (fused, split, stock)} == {"proved, for all inputs"}
        assert fused[2:] == (
            "the program as it is", "no: neuron programs of ours", "microcode of your own",
        )  # fmt: skip
        assert split[2] == "equal; nothing ran here"
        assert stock[2:] == (
            "close, not equal", "yes: an oracle that is not ours", "no microcode to write",
        )  # fmt: skip

    def test_what_several_do_not_prove_is_said_once(self) -> None:
        said = unproved_of([one.claims for one in beside(PROGRAM, ["fused", "split", "stock"])])
        sentences = [sentence for _, sentence in said]
        assert len(sentences) == len(set(sentences))
        assert ("fused, split", "The widths of the operands of MUL_SHR, and the cost of one "
                "instruction.") in said  # fmt: skip


class TestSides:
    def test_how_far_answers_are(self, tmp_path: Path) -> None:
        found = l2l.profile(
            PROGRAM, X, against=(), frontier=False, beside=("split", "stock"), network=NETWORK
        )
        fused, split, stock = found.sides
        true, own = (
            l2l.simulate(p, X).outputs for p in (PROGRAM, target_of("stock").prepare(PROGRAM))
        )
        rms = np.sqrt(((own - true) ** 2).mean(axis=(0, 1)) / true.var(axis=(0, 1)))
        assert stock.off == pytest.approx(rms.max()) and stock.largest == abs(own - true).max()
        assert stock.differ > 0 and stock.stock and not stock.exact
        assert (split.differ, split.off, split.largest) == (0, None, None)
        assert fused.unchanged and fused.distance == "itself"
        assert split.distance == f"equal, all {true.size:,}"
        assert fused.accuracy == found.rows[0].accuracy == split.accuracy != stock.accuracy
        text = found.summary()
        assert f"equal, checked on {true.size:,} by c " in text
        assert "of their spread, at most by" in text and "Not proved on silicon:" in text
        assert l2l.load_profile(found.save(tmp_path / "a.profile.json")) == found
        page = l2l.report(found, PROGRAM, tmp_path / "a.html").read_text()
        assert "What is proved" in page and "no microcode to write" in page
        assert page.count("The widths of the operands of MUL_SHR, and the cost of one") == 1

    def test_an_exact_target_that_is_not(self) -> None:
        aim = replace(target_of("stock"), name="odd", exact=True)
        (_, side) = l2l.profile(PROGRAM, X, against=(), frontier=False, beside=()).sides or (
            None,
            None,
        )
        assert side is None
        found = l2l.profile(PROGRAM, X, against=(), frontier=False, target=aim, beside="fused")
        odd = found.sides[0]
        assert odd.distance is not None and odd.distance.startswith("NOT EQUAL, ")
        assert "answers otherwise than the program" in found.problems[0]

    def test_one_that_approximates_is_no_fault_and_says_how_far(self) -> None:
        found = l2l.profile(PROGRAM, X, against=(), frontier=False, target="stock")
        (side,) = found.sides
        assert found.problems == () and side.target == "stock" and side.off
        assert "of their spread" in found.summary()

    def test_targets_that_leave_it_as_it_is(self) -> None:
        aims = [Target("mars"), Target("moon", rules=(Rule(none_fits, ()),))]
        options: Any = {"against": (), "frontier": False, "target": aims[0], "beside": "fused"}
        mars, fused = l2l.profile(PROGRAM, X, **options).sides
        assert fused == replace(mars, target="fused", unproved=fused.unproved)
        moon = l2l.profile(PROGRAM, X, **{**options, "target": aims[1]}).sides[0]
        assert "moons: 2, the limit is 1" in moon.refusal and moon.distance == "itself"

    def test_only_what_lies_in_a_sequence_is_compared(self) -> None:
        found = l2l.profile(
            PROGRAM, [X[0], X[1, :5]], against=(), frontier=False, beside="split"
        ).sides
        assert {side.compared for side in found} == {17 * PROGRAM.output_population.size}


class TestVerbs:
    @pytest.fixture()
    def files(self, tmp_path: Path) -> Path:
        l2l.save(PROGRAM, tmp_path / "net.l2l")
        np.save(tmp_path / "x.npy", X)
        return tmp_path

    def test_a_profile_shows_three_without_being_asked(self, run: Run, files: Path) -> None:
        given = ("profile", files / "net.l2l", "-i", files / "x.npy", "--against", "none")
        code, out, _ = run(*given, "--json")
        assert code == 0
        sides = json.loads(out)["sides"]
        assert [side["target"] for side in sides] == ["fused", "split", "stock"]
        assert sides[2]["off"] > 0 and sides[2]["stock"] and not sides[2]["exact"]
        code, out, _ = run(*given, "--target", "split", "--json")
        assert code == 0 and json.loads(out)["sides"] == []

    def test_one_that_does_not_fit_does_not_hide_the_others(
        self, run: Run, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aim = Target("mars", rules=(Rule(none_fits, ()),))
        register(monkeypatch, {"mars": aim}, "lnn2loihi.targets")
        code, out, err = run("place", files / "net.l2l", "--target", "fused,mars")
        assert (code, err) == (0, "") and "target mars: layer_0: moons: 2, the limit is 1" in out
        code, out, _ = run("place", files / "net.l2l", "--target", "fused,mars", "--json")
        fused, mars = json.loads(out)["targets"]
        assert fused["placement"] and mars["placement"] is None and "moons" in mars["refusal"]
        code, _, err = run("place", files / "net.l2l", "--target", "mars")
        assert code == 1 and "moons" in err

    def test_every_one_is_inspected(self, run: Run, files: Path) -> None:
        code, out, err = run("inspect", files / "net.l2l", "--target", "all", "--json")
        found = json.loads(out)["targets"]
        assert (code, err) == (0, "") and [one["target"] for one in found] == names_of(["all"])
        assert {one["target"] for one in found if one["lava_processes"]} == {"stock"}
        assert {one["target"] for one in found if not one["exact"]} == {"stock"}
