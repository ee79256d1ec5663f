"""Targets: passes that prove themselves, and what placing, verifying and exporting make of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_network, random_samples
from programs import Sizes, random_inputs, random_program
from strangers import register
from test_streams import TIMED

import lnn2loihi as l2l
from lnn2loihi.errors import PluginError, TargetError
from lnn2loihi.formats import FixedPoint
from lnn2loihi.graph.schedule import derive_schedule, matched_delays
from lnn2loihi.lava import lava_is_installed
from lnn2loihi.neurons.instructions import Instruction, NeuronProgram
from lnn2loihi.placement.rules import RULES, Rule, Violation
from lnn2loihi.program import Connection, LoihiProgram, Population
from lnn2loihi.simulation.executor import EXECUTORS
from lnn2loihi.targets import TARGETS, Target, target_of

PLAIN = random_program(3, Sizes(inputs=3, layers=(6, 4), readout=2))
FORWARD = random_program(4, Sizes(inputs=3, layers=(), readout=2))
X = random_samples(1, 3, 5, 3)
SPANS = np.abs(random_samples(2, 3, 5, 1))[..., 0]
RELAY = NeuronProgram(
    "relay", ("sum",), (), (),
    (Instruction("RDC", "word", ("sum",)), Instruction("SPIKE", "", ("word",))),
)  # fmt: skip


def relay_of(sender: Population, name: str) -> tuple[Population, Connection]:
    """Says once more what a population says, and the way there."""
    made = Population(
        name, RELAY, {}, {}, sender.message, sender.message_low, sender.message_high, sender.size,
        sender.scale, sender.offset,
    )  # fmt: skip
    return made, Connection.from_dense(sender.name, name, ("sum",), np.eye(sender.size, dtype=int))


def rebuilt(program: LoihiProgram, populations: Any, connections: Any, **other: Any) -> Any:
    names = [p.name for p in populations]
    matched = matched_delays(program.input.name, names, connections)
    return replace(
        program, populations=tuple(populations), connections=matched,
        schedule=derive_schedule(program.input.name, names, matched), **other,
    )  # fmt: skip


def relay_behind(program: LoihiProgram) -> LoihiProgram:
    """Answers come from a relay behind the output."""
    relay, link = relay_of(program.output_population, "answer")
    populations, connections = [*program.populations, relay], [*program.connections, link]
    return rebuilt(program, populations, connections, output="answer")


def relay_between(program: LoihiProgram) -> LoihiProgram:
    """What the output hears of another population comes through a relay."""
    place = [p.name for p in program.populations].index(program.output)
    (heard,) = [c for c in program.incoming(program.output) if c.source != program.input.name][:1]
    relay, link = relay_of(program.population(heard.source), "between")
    populations = list(program.populations)
    populations.insert(place, relay)
    others = [c for c in program.connections if c is not heard]
    return rebuilt(program, populations, [*others, link, replace(heard, source="between")])


def twice(program: LoihiProgram) -> LoihiProgram:
    """Takes twice the updates: right where nobody remembers anything."""
    return replace(program, substeps=2 * program.substeps)


def sums_elsewhere(program: LoihiProgram) -> LoihiProgram:
    """Cuts populations of more than two accumulators: the third and later sums are made by
    populations of their own, and sent.
    """
    populations: list[Population] = []
    connections: list[Connection] = []
    for p in program.populations:
        moved = p.program.accumulators[2:]
        intervals = program.accumulator_intervals(p.name)
        for sum_ in moved:
            low, high = intervals[sum_].hull
            part = Population(
                f"{p.name}_{sum_}", RELAY, {}, {}, FixedPoint(24, 0), low, high, p.size
            )
            link = np.eye(p.size, dtype=int)
            connections.append(Connection.from_dense(part.name, p.name, (sum_,), link))
            populations.append(part)
        populations.append(p)
        for c in program.incoming(p.name):
            rows = (c.dense() >> c.exponent).reshape(len(c.accumulators), p.size, -1)
            for sum_, weights in zip(c.accumulators, rows, strict=True):
                target, fed = (f"{p.name}_{sum_}", "sum") if sum_ in moved else (p.name, sum_)
                connections.append(
                    Connection.from_dense(c.source, target, (fed,), weights, exponent=c.exponent)
                )
    return rebuilt(program, populations, connections)


def at_most_two(draft: Any) -> Iterator[Violation]:
    for p in draft.program.populations:
        if len(p.program.accumulators) > 2:
            yield Violation("accumulators", p.name, len(p.program.accumulators), 2, "me")


def forgetful(program: LoihiProgram) -> LoihiProgram:
    """Changes an answer: one multiplier of the second layer is another."""
    layer = program.population("layer_1")
    names = [name for name in layer.parameters if name.endswith(".multiplier")]
    values = layer.parameters[names[0]].copy()
    values[2] = 127 - values[2]
    changed = replace(layer, parameters={**layer.parameters, names[0]: values})
    populations = [changed if p is layer else p for p in program.populations]
    return replace(program, populations=tuple(populations))


def nothing(program: LoihiProgram) -> Any:
    return None


def raising(program: LoihiProgram) -> Any:
    return {}["layer_7"]


def unproved(program: LoihiProgram) -> LoihiProgram:
    """Doubles what the readout hears until a word overflows."""
    links = [
        replace(c, exponent=7) if c.target == program.output else c for c in program.connections
    ]
    return replace(program, connections=tuple(links))


def narrower(program: LoihiProgram) -> LoihiProgram:
    return replace(
        program, output="layer_0", input=replace(program.input, low=program.input.low + 1)
    )


BEHIND, BETWEEN = Target("behind", (relay_behind,)), Target("between", (relay_between,))
BOTH = Target(
    "both", (relay_between, relay_behind), exporter="onnx", executor="blas",
    unproved=("Nobody has seen a relay on silicon.",),
)  # fmt: skip
TWICE = Target("twice", (twice,))


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        made = {t.name: t for t in (BEHIND, BETWEEN, BOTH, TWICE)}
        register(patch, made, "lnn2loihi.targets")
        yield


class TestVerify:
    @settings(max_examples=15, deadline=None)
    @given(
        target=st.sampled_from([BEHIND, BOTH]), timed=st.booleans(), seed=st.integers(0, 99),
        executors=st.sampled_from(["reference", "blas,reference", "reference,onnxruntime", None]),
        lengths=st.none() | st.lists(st.integers(1, 5), min_size=3, max_size=3),
    )  # fmt: skip
    def test_what_is_prepared_answers_as_its_source(
        self, target: Target, timed: bool, seed: int, executors: Any, lengths: Any
    ) -> None:
        if timed and target is BOTH:
            target = BEHIND  # the output of an LTC hears the input and itself
        program = TIMED if timed else random_program(seed, Sizes(inputs=3, layers=(6, 4)))
        if target is BEHIND and executors is None:
            executors = "blas"  # its executor would be Lava
        x = 3.0 * random_samples(seed, 3, 5, 3)
        found = l2l.verify(
            program, x, executors, target=target, lengths=lengths,
            timespans=SPANS if timed else None,
        )  # fmt: skip
        assert found.bit_exact and found.target == target.name
        ran = 2 if executors is None else len(executors.split(","))
        assert len(found.executors) == 1 + ran
        assert f", prepared for {target.name}" in found.executors[1]
        samples = 15 if lengths is None else sum(lengths)
        assert found.samples == samples
        words = sum(
            p.size * (len(p.program.state_names) + (not p.program.message_state))
            for p in program.populations
        )
        assert found.compared == ran * samples * words
        assert "answer.message (" not in str(found.uncompared)
        assert ("between.message (both)" in found.uncompared) == (target is BOTH)
        assert f"target {target.name}: the prepared program is compared" in found.summary()

    @settings(max_examples=10, deadline=None)
    @given(seed=st.integers(0, 99), lengths=st.sampled_from([None, [5, 0, 2]]))
    def test_a_population_that_is_cut(self, seed: int, lengths: Any) -> None:
        program = random_program(seed, Sizes(inputs=3, layers=(6, 4)))
        aim = Target("cut", (sums_elsewhere,), executor="blas")
        prepared = aim.prepare(program)
        assert len(prepared.populations) == 5
        assert prepared.steps_per_sample == program.steps_per_sample + 1
        found = l2l.verify(
            program, 3.0 * random_samples(seed, 3, 5, 3), target=aim, lengths=lengths
        )
        assert found.bit_exact and "layer_1.h" in found.summary()
        assert set(found.uncompared) == {
            f"{p.name}.message (cut)" for p in prepared.populations if p.program is RELAY
        }

    def test_more_updates_than_the_source(self) -> None:
        for executors in ("reference", "c", "reference,onnxruntime,blas"):
            found = l2l.verify(FORWARD, X, executors, target="twice")
            assert found.bit_exact and (found.steps, found.samples) == (5, 15)
            assert found.uncompared == ()
        # What remembers is another program with twice the updates: found, and named.
        found = l2l.verify(PLAIN, X, "reference", target="twice")
        assert not found.bit_exact and found.mismatches[0].population == "layer_0"

    def test_all_executors_and_shares(self, monkeypatch: pytest.MonkeyPatch) -> None:
        program = replace(FORWARD, substeps=1)
        found = l2l.verify(program, X, "all", target=TWICE)
        assert found.bit_exact and found.executors[0] == "reference"
        assert len(found.executors) + len(found.missing) == 1 + len(EXECUTORS.names())

    @pytest.mark.skipif(not lava_is_installed(), reason="Lava is not installed")
    def test_lava_runs_what_is_prepared(self) -> None:
        found = l2l.verify(PLAIN, X[:1, :3], target="behind")
        assert found.bit_exact and found.executors[2].startswith("lava-nc")

    def test_a_pass_that_changes_answers_is_found(self) -> None:
        aim = Target("forgetful", (relay_behind, forgetful))
        found = l2l.verify(PLAIN, random_inputs(1, PLAIN, 3, 5), "reference", encoded=True,
                           target=aim)  # fmt: skip
        assert not found.bit_exact
        wrong = {cell.population for cell in found.matrix if cell.mismatches}
        assert "layer_1" in wrong and "layer_0" not in wrong
        assert found.mismatches[0].population == "layer_1" and found.mismatches[0].neuron == 2
        assert "reference, prepared for forgetful: population layer_1" in found.summary()

    def test_an_initial_state_goes_to_both(self) -> None:
        state = l2l.simulate(PLAIN, X).final_state
        assert l2l.verify(PLAIN, X, "blas", target="both", initial_state=state).bit_exact

        def renamed(program: LoihiProgram) -> LoihiProgram:
            layers = [
                replace(p, name="other") if p.name == "layer_0" else p for p in program.populations
            ]
            links = [
                replace(
                    c, source="other" if c.source == "layer_0" else c.source,
                    target="other" if c.target == "layer_0" else c.target,
                )
                for c in program.connections
            ]  # fmt: skip
            return rebuilt(program, layers, links)

        aim = Target("renamed", (renamed,))
        found = l2l.verify(PLAIN, X, "blas", target=aim)
        assert found.bit_exact
        assert found.uncompared == ("layer_0.h (source)", "other.h (renamed)")
        with pytest.raises(l2l.InputError, match="layer_0.h is not there once .* for renamed; it"):
            l2l.verify(PLAIN, X, "blas", target=aim, initial_state=state)

    def test_the_default_is_as_before(self) -> None:
        assert target_of("fused").prepare(PLAIN) is PLAIN
        found = l2l.verify(PLAIN, X, "reference,blas")
        assert found.target == "fused" and found.uncompared == ()
        assert "target" not in found.summary()
        assert found.to_dict()["target"] == "fused"
        with pytest.raises(l2l.InputError, match="give at least two different ones"):
            l2l.verify(PLAIN, X, "reference")
        with pytest.raises(l2l.InputError, match="give at least one"):
            l2l.verify(PLAIN, X, (), target="behind")


class TestRefusals:
    @pytest.mark.parametrize(
        ("one", "message"),
        [
            (nothing, "pass nothing: returned a NoneType; a pass returns the LoihiProgram"),
            (raising, "pass raising: cannot prepare 'random 3': raised KeyError: 'layer_7'"),
            (unproved, "pass unproved: .*readout: word .* needs 25 bits"),
            (narrower, "changes the input port; samples have to be encoded as before"),
            (narrower, "makes 6 outputs of 2"),
        ],
    )
    def test_a_pass_that_fails_is_named(self, one: Any, message: str) -> None:
        aim = Target("odd", (relay_between, one))
        for call in (
            lambda: l2l.place(PLAIN, target=aim),
            lambda: l2l.verify(PLAIN, X, "reference", target=aim),
            lambda: l2l.profile(PLAIN, X, against=(), target=aim),
            lambda: l2l.export(PLAIN, "onnx", target=aim),
        ):
            with pytest.raises(TargetError, match=f"(?s)target 'odd', {'.*'}{message}"):
                call()

    def test_scales_stay(self) -> None:
        def louder(program: LoihiProgram) -> LoihiProgram:
            output = program.output_population
            made = replace(output, scale=2 * output.scale)
            return replace(program, populations=(*program.populations[:-1], made))

        with pytest.raises(TargetError, match="pass louder: changes scale or offset of the outp"):
            Target("loud", (louder,)).prepare(PLAIN)

    def test_targets_that_do_not_exist(self, monkeypatch: pytest.MonkeyPatch) -> None:
        known = (
            "'nowhere' does not exist; there are fused, split, split_graph, split_one, stock, "
            "behind, between, both, twice"
        )
        for call in (l2l.place, lambda p, **k: l2l.export(p, "onnx", **k)):
            with pytest.raises(l2l.InputError, match=known):
                call(PLAIN, target="nowhere")
        register(monkeypatch, {"no_target": 3}, "lnn2loihi.targets")
        with pytest.raises(PluginError, match="target 'no_target': .*and no Target"):
            l2l.place(PLAIN, target="no_target")
        with pytest.raises(l2l.InputError, match=r"Target 'a': passes\[0\] is of type int; give a"):
            Target("a", passes=(3,))  # type: ignore[arg-type]
        with pytest.raises(l2l.InputError, match="quantize the network first"):
            l2l.export(random_network(1), "onnx-float", target="both")

    def test_a_target_is_known_by_the_name_it_is_registered_with(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        register(monkeypatch, {"other": BEHIND}, "lnn2loihi.targets")
        assert target_of("other") == replace(BEHIND, name="other")
        assert "fused" in TARGETS.names()


class TestPlacesAndProfiles:
    def test_what_is_prepared_is_placed(self) -> None:
        found, plain = l2l.place(PLAIN, target="both"), l2l.place(PLAIN)
        assert (found.target, plain.target) == ("both", "fused")
        held = {s.population for core in found.cores for s in core.slices}
        assert {"between", "answer"} <= held
        assert "random 3 (target both) on loihi2-oheo-gulch" in found.summary()
        assert "Not proved about the target both:\n- Nobody has seen a relay" in found.summary()
        assert found.to_dict()["unproved"] == ["Nobody has seen a relay on silicon."]
        assert "Not proved" not in plain.summary() and len(plain.unproved) == 4
        counted = l2l.simulate(BOTH.prepare(PLAIN), X).counters
        placed = l2l.place(PLAIN, target=BOTH, counters=counted)
        assert l2l.workload(placed, counted).per_sample()
        with pytest.raises(l2l.InputError, match="simulate.target.prepare.program., x..counters"):
            l2l.place(PLAIN, target=BOTH, counters=l2l.simulate(PLAIN, X).counters)

    def test_rules_are_those_of_the_target(self) -> None:
        aim = Target("two", rules=(*RULES, Rule(at_most_two, ())))
        with pytest.raises(
            l2l.PlacementError, match="(?s)for two: .*layer_0: accumulators: 3, the"
        ):
            l2l.place(PLAIN, target=aim)
        assert l2l.place(FORWARD, target=aim).target == "two"
        placed = l2l.place(PLAIN, target=Target("cut", (sums_elsewhere,)))
        held = {s.population for core in placed.cores for s in core.slices}
        assert held == {p.name for p in sums_elsewhere(PLAIN).populations}
        assert (
            l2l.profile(PLAIN, X, against=(), frontier=False, target=aim).rows[0].status == "failed"
        )
        with pytest.raises(l2l.InputError, match=r"rules\[0\] is of type int; give a lnn2loihi"):
            Target("odd", rules=(3,))  # type: ignore[arg-type]

    def test_profiles_are_of_what_is_prepared(self, tmp_path: Path) -> None:
        found = l2l.profile(PLAIN, X, against=(), frontier=False, target="both")
        plain = l2l.profile(PLAIN, X, against=(), frontier=False)
        prepared = BOTH.prepare(PLAIN)
        assert found.subject.neurons == prepared.neurons == plain.subject.neurons + 4 + 2
        assert found.subject.latency_steps == plain.subject.latency_steps + 2
        assert found.subject.sha256 == plain.subject.sha256
        assert found.subject.unproved == BOTH.unproved
        assert "prepared for both" in found.summary()
        assert "target both: not proved: Nobody has seen a relay on silicon." in found.summary()
        assert "not proved" not in plain.summary()
        assert l2l.load_profile(found.save(tmp_path / "a.profile.json")) == found
        assert l2l.report(found, PLAIN, tmp_path / "a.html").is_file()
        more = l2l.profile(FORWARD, X, against=(), frontier=False, target="twice").subject
        assert more.period == 2 * l2l.profile(FORWARD, X, against=(), frontier=False).subject.period

    def test_wrong_answers_are_said(self) -> None:
        def biased(program: LoihiProgram) -> LoihiProgram:
            output = program.output_population
            biases = {w: v + 64 for w, v in output.parameters.items() if w.endswith(".bias")}
            made = replace(output, parameters={**output.parameters, **biases})
            return replace(program, populations=(*program.populations[:-1], made))

        found = l2l.profile(
            PLAIN, X, against=(), frontier=False, target=Target("biased", (biased,))
        )
        (problem,) = found.problems
        assert "the target biased has prepared answers otherwise than the program" in problem
        assert problem in found.summary() and not found.complete

    def test_a_measured_backend_runs_the_program_as_it_is(self) -> None:
        found = l2l.profile(
            PLAIN,
            X,
            against="cpu:blas",
            frontier=False,
            target="both",
            quick=True,
            budget_seconds=0.2,
        )
        assert {row.status for row in found.rows} <= {"complete", "partial"}


class TestExports:
    def test_what_is_prepared_is_exported(self, tmp_path: Path) -> None:
        onnx = pytest.importorskip("onnx", "1.22")
        made = l2l.export(PLAIN, "onnx", target="both", record=True)
        assert "answer.message.steps" in [value.name for value in made.graph.output]
        path = l2l.export(PLAIN, tmp_path / "net.onnx", target=BOTH)
        assert onnx.load(path) == l2l.export(BOTH.prepare(PLAIN), "onnx")

    def test_an_exporter_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        target = Target("odd", exporter="zzz")
        with pytest.raises(TargetError, match="target 'odd': its exporter 'zzz' is not registered"):
            l2l.export(random_program(1), tmp_path / "a.onnx", target=target)
        assert not (tmp_path / "a.onnx").exists()

    def test_the_exporter_of_a_target_comes_first(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        class Text:
            suffixes = (".onnx",)

            def accepts(self, source: object) -> bool:
                return isinstance(source, LoihiProgram)

            def export(self, source: LoihiProgram) -> str:
                return source.output

            def to_bytes(self, made: str) -> bytes:
                return made.encode()

        register(monkeypatch, {"z_text": Text()}, "lnn2loihi.exporters")
        aim = replace(BEHIND, exporter="z_text")
        assert l2l.export(PLAIN, "z_text", target=aim) == "answer"
        assert l2l.export(PLAIN, tmp_path / "a.onnx", target=aim).read_bytes() == b"answer"
        assert l2l.export(PLAIN, tmp_path / "b.onnx", target=BEHIND).read_bytes() != b"answer"


def test_the_command_line(run: Run, tmp_path: Path) -> None:
    program = l2l.save(PLAIN, tmp_path / "net.l2l")
    np.save(tmp_path / "x.npy", X)
    samples = ("-i", tmp_path / "x.npy", "--target", "both")
    code, out, err = run("verify", program, *samples, "--executors", "reference", "--json")
    assert (code, err) == (0, "") and json.loads(out)["target"] == "both"
    code, out, err = run("verify", program, *samples)
    assert code == 0 and "blas, prepared for both" in out
    code, out, err = run("place", program, *samples, "--json")
    assert (code, err) == (0, "") and json.loads(out)["target"] == "both"
    code, out, err = run("profile", program, *samples, "--against", "none")
    assert (code, err) == (0, "") and "prepared for both" in out
    pytest.importorskip("onnx", "1.22")
    code, out, err = run("export", program, "-o", tmp_path / "a.onnx", "--target", "both",
                         "--record")  # fmt: skip
    assert (code, err) == (0, "") and b"answer.message" in (tmp_path / "a.onnx").read_bytes()
    named = "fused, split, split_graph, split_one, stock, behind, between, both, twice"
    assert named in " ".join(run("doctor")[1].split())
    code, _, err = run("place", program, "--target", "mars")
    assert (
        code == 1
        and "target: 'mars' does not exist; there are fused, split, split_graph, split_one, stock"
        in err
    )
