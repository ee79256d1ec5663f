"""Neurons with fewer accumulators: accumulators that take turns, and units of several neurons."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run
from graphs import beside_each_other, graph
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import random_ltc, random_network, random_samples
from placing import usage
from programs import Sizes, random_inputs, random_program
from test_listing import executed, lines_of
from variants import GATED, Variant, network, samples, variants

import lnn2loihi as l2l
from lnn2loihi.artifact import WITH_PORTS, WITHOUT_PORTS
from lnn2loihi.errors import ArtifactError, ProgramError, TargetError
from lnn2loihi.families.cfc.neuron import cfc_program
from lnn2loihi.families.readout.lowering import linear_program
from lnn2loihi.graph.schedule import derive_schedule, matched_delays
from lnn2loihi.lava import lava_is_installed
from lnn2loihi.neurons.listing import COUNTER, listing
from lnn2loihi.neurons.turns import LARGEST_PORTS, Turns
from lnn2loihi.placement.verb import place
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.reference import run_reference
from lnn2loihi.targets import target_of
from lnn2loihi.targets.split import with_ports

PLAIN = random_program(3, Sizes(inputs=3, layers=(6, 4), readout=2))
X = random_samples(1, 3, 5, 3)
TURNS = {"split": 2, "split_one": 1}
BUSY = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # fmt: skip
some_turns = st.builds(
    lambda many, ports: Turns(tuple("abcdefghijk"[:many]), ports),
    st.integers(1, 11),
    st.integers(0, LARGEST_PORTS),
)


def quantized(net: Any, x: Any, elapsed: Any = None, recipe: str = "w8a12") -> LoihiProgram:
    return l2l.quantize(net, calibrate=x, recipe=recipe, calibrate_timespans=elapsed)


def assert_prepared(program: LoihiProgram, x: Any, elapsed: Any, target: str) -> LoihiProgram:
    """What the target makes of a program has no wider neurons, and answers as it did."""
    prepared = target_of(target).prepare(program)
    most = TURNS.get(target, 2)
    assert max(p.turns.width for p in prepared.populations) <= most
    if target in TURNS:
        assert (prepared.neurons, prepared.synapses) == (program.neurons, program.synapses)
    if prepared is not program:
        found = l2l.verify(program, x, "reference", target=target, timespans=elapsed)
        assert found.bit_exact
        assert target not in TURNS or found.uncompared == ()
    return prepared


class TestTurns:
    @given(some_turns)
    def test_every_sum_has_a_step_and_a_port_of_its_own(self, turns: Turns) -> None:
        places = {(turns.leads[a], turns.places[a]) for a in turns.accumulators}
        assert len(places) == len(turns.accumulators)
        assert {place for _, place in places} == set(range(turns.width))
        assert max(turns.leads.values()) == turns.steps - 1
        flat = [a for phase in turns.phases for a in phase]
        assert tuple(flat) == turns.accumulators
        assert all(len(phase) == turns.width for phase in turns.phases[1:])
        assert 0 < len(turns.phases[0]) <= turns.width
        if turns.ports:
            assert turns.width <= turns.ports

    @given(some_turns, st.integers(0, 5))
    def test_moves_bring_every_sum_to_the_update(self, turns: Turns, idle: int) -> None:
        """Whatever came before: sums are labelled by their accumulator."""
        kept = dict.fromkeys(turns.kept, "rest")
        arriving = [["noise"] * turns.width for _ in range(idle)]
        for phase in turns.phases:
            ports = ["silence"] * turns.width
            for a in phase:
                ports[turns.places[a]] = a
            arriving.append(ports)
        *waiting, now = arriving
        for ports in waiting:
            for a, source in turns.moves:
                kept[a] = ports[source] if isinstance(source, int) else kept[source]
        found = [kept.get(a, now[turns.places[a]]) for a in turns.accumulators]
        assert found == list(turns.accumulators)

    def test_ports_beyond_the_accumulators_are_none(self) -> None:
        turns = Turns(("a", "b"), 5)
        assert (turns.width, turns.steps, turns.kept, turns.moves) == (2, 1, (), ())
        assert Turns(("a", "b", "c")).phases == (("a", "b", "c"),)
        assert Turns(("a", "b", "c"), 2).phases == (("a",), ("b", "c"))


#: A network of each family, and chip steps between two updates: as it is, on two ports and on one.
OF_FAMILIES: dict[str, tuple[Variant, tuple[int, int, int]]] = {
    "cfc": (Variant(layers=2), (1, 2, 3)),
    "cfc no_gate": (Variant(mode="no_gate"), (1, 2, 3)),
    "cfc pure, irregular": (Variant(mode="pure", irregular=True), (1, 1, 2)),
    "cfc, irregular": (Variant(irregular=True, layers=2), (1, 3, 5)),
    "cfc with a backbone, irregular": (Variant(irregular=True, backbone=(5,)), (2, 3, 5)),
    "cfc with memory": (Variant(memory=True), (2, 4, 7)),
    "gru": (Variant(family="gru"), (1, 2, 4)),
    "lstm": (Variant(family="lstm"), (1, 2, 4)),
    "mingru": (Variant(family="mingru"), (1, 1, 2)),
    "minlstm": (Variant(family="minlstm"), (1, 2, 3)),
    "product": (Variant(after="product"), (1, 2, 3)),
}


class TestTakingTurns:
    @pytest.mark.parametrize("name", OF_FAMILIES)
    def test_every_family_and_what_it_costs(self, name: str) -> None:
        variant, periods = OF_FAMILIES[name]
        x, elapsed = samples(variant, 3, 8)
        program = quantized(network(variant), x, elapsed)
        found = [assert_prepared(program, x, elapsed, target) for target in TURNS]
        assert tuple(p.schedule.period for p in (program, *found)) == periods

    @pytest.mark.parametrize(("timespan", "periods"), [(0.7, (2, 2, 3)), (None, (2, 2, 3))])
    def test_ltcs(self, timespan: float | None, periods: tuple[int, ...]) -> None:
        net, variant = random_ltc(2, timespan=timespan), Variant(irregular=timespan is None)
        x, elapsed = samples(variant, 2, 6)
        program = quantized(net, x, elapsed)
        found = [assert_prepared(program, x, elapsed, target) for target in TURNS]
        assert tuple(p.schedule.period for p in (program, *found)) == periods

    @BUSY
    @given(variants(), st.sampled_from(list(TURNS)))
    def test_any_network(self, variant: Variant, target: str) -> None:
        x, elapsed = samples(variant, 2, 5)
        assert_prepared(quantized(network(variant), x, elapsed), 2 * x, elapsed, target)

    @BUSY
    @given(
        st.integers(0, 1 << 30),
        st.lists(st.sampled_from(["cfc", "cfc memory", "relu", *GATED]), min_size=2, max_size=4),
        st.booleans(),
        st.sampled_from(list(TURNS)),
    )
    def test_graphs(self, seed: int, kinds: list[str], irregular: bool, target: str) -> None:
        net = graph(seed, tuple(kinds), irregular)
        x = random_samples(seed, 2, 5, net.input_size)
        elapsed = np.abs(x[..., 0]) if irregular else None
        assert_prepared(quantized(net, x, elapsed), x, elapsed, target)

    def test_ltcs_beside_each_other(self) -> None:
        net = beside_each_other(5, irregular=True)
        x = random_samples(1, 2, 4, net.input_size)
        elapsed = np.abs(x[..., 0])
        for target in TURNS:
            assert_prepared(quantized(net, x, elapsed), x, elapsed, target)

    def test_initial_states_and_bounds(self) -> None:
        prepared = with_ports(PLAIN, 2)
        rng = np.random.default_rng(5)
        start = {"layer_0": {"h": rng.integers(-2048, 2048, (3, 6))}}
        found = l2l.verify(PLAIN, X, "reference,blas", target="split", initial_state=start)
        assert found.bit_exact
        state = {
            p.name: {w: np.zeros((3, p.size), np.int64) for w in p.program.state_names}
            for p in prepared.populations
        }
        run_reference(prepared, random_inputs(1, prepared, 3, 6), state, check_bounds=True)

    def test_what_can_be_there_early_takes_the_first_turns(self) -> None:
        """The elapsed time comes from the input, while a backbone still computes."""
        variant = Variant(irregular=True, backbone=(5,))
        x, elapsed = samples(variant, 2, 6)
        program = quantized(network(variant), x, elapsed)
        prepared = with_ports(program, 2)
        assert prepared.population("layer_0").turns.phases[0] == ("elapsed",)
        assert prepared.latency_steps == program.latency_steps + 1

    def test_they_are_prepared_once(self) -> None:
        two = with_ports(PLAIN, 2)
        assert with_ports(two, 2) is two and with_ports(PLAIN, 3) is PLAIN
        one = with_ports(two, 1)
        assert one == with_ports(PLAIN, 1)

    @pytest.mark.skipif(not lava_is_installed(), reason="Lava is not installed")
    @pytest.mark.parametrize("target", TURNS)
    def test_all_executors(self, target: str) -> None:
        variant = Variant(irregular=True, backbone=(4,), layers=1)
        x, elapsed = samples(variant, 3, 6)
        program = quantized(network(variant), x, elapsed)
        found = l2l.verify(program, x, "all", target=target, timespans=elapsed)
        assert found.bit_exact and any("lava" in name for name in found.executors)

    @pytest.mark.skipif(not lava_is_installed(), reason="Lava is not installed")
    def test_in_lava_every_physical_accumulator_is_a_port(self) -> None:
        for ports in (1, 2):
            made = l2l.export(with_ports(PLAIN, ports), "lava", batch=2, samples=3)
            layer, readout = made.populations["layer_0"], made.populations["readout"]
            assert [p.name for p in layer.in_ports] == [f"a_in_{k}" for k in range(ports)]
            assert [p.name for p in readout.in_ports] == ["a_in"]
            # ff1, then ff2 and time, or one after the other: a Sparse for each gate.
            assert len(made.synapses) == 3 * 4 + 1
        assert [p.name for p in l2l.export(PLAIN, "lava").populations["layer_0"].in_ports] == [
            "a_in"
        ]


class TestSchedules:
    CUT = with_ports(PLAIN, 2)

    def turns(self) -> dict[str, Turns]:
        return {p.name: p.turns for p in self.CUT.populations if p.ports}

    def names(self) -> list[str]:
        return [p.name for p in PLAIN.populations]

    def test_a_connection_feeds_accumulators_of_one_turn(self) -> None:
        with pytest.raises(ProgramError, match="input -> layer_0: feeds accumulators that arrive"):
            derive_schedule("input", self.names(), PLAIN.connections, turns=self.turns())

    def test_delays_lead_to_the_turn(self) -> None:
        late = [replace(c, delay=0) for c in self.CUT.connections]
        with pytest.raises(ProgramError, match="samples arrive in different steps"):
            derive_schedule("input", self.names(), late, turns=self.turns())
        matched = matched_delays("input", self.names(), late, self.turns())
        assert [c.delay for c in matched] == [c.delay for c in self.CUT.connections]

    def test_sequences_would_meet(self) -> None:
        with pytest.raises(ProgramError, match="2 interleaved sequences would meet on the ports"):
            self.CUT.interleaved(2)

    def test_loops_are_not_shorter_than_the_turns(self) -> None:
        """Only the accumulators of the last turn hear the population itself."""
        layer = PLAIN.population("layer_0")
        cut = replace(layer, ports=1)
        inputs = [
            replace(c, delay=c.delay)
            for c in with_ports(PLAIN, 1).incoming("layer_0")
            if c.source == "input"
        ]
        own = [
            c for c in with_ports(PLAIN, 1).incoming("layer_0")
            if c.source == "layer_0" and c.accumulators == ("time",)
        ]  # fmt: skip
        turns = {"layer_0": cut.turns}
        assert derive_schedule("input", ["layer_0"], inputs + own, turns=turns).period == 3
        short = [replace(own[0], delay=0)]
        with pytest.raises(ProgramError, match="arrive in 3 steps, loops take 1; delay the loops"):
            derive_schedule("input", ["layer_0"], inputs + short, turns=turns)

    @pytest.mark.parametrize("ports", [-1, LARGEST_PORTS + 1, 1.5, "2"])
    def test_ports_that_are_none(self, ports: Any) -> None:
        with pytest.raises(ProgramError, match=f"whole number from 0 to {LARGEST_PORTS}"):
            replace(PLAIN.population("layer_0"), ports=ports)


class TestRefusals:
    def test_interleaved_sequences(self) -> None:
        slow = target_of("split_graph").prepare(PLAIN).interleaved(2)
        with pytest.raises(TargetError, match=r"(?s)2 sequences take turns.*interleaved\(1\)"):
            target_of("split_one").prepare(slow)

    def test_paths_beside_long_ones(self) -> None:
        deep = random_network(1, 2, (2,) * 22, 1)
        layers = tuple(replace(deep, hears={}).layers)
        hears = {"readout": (layers[-1].name, "input")}
        readout = l2l.Linear("readout", np.ones((1, 4)), np.zeros(1))
        net = l2l.LiquidNetwork("deep", layers, readout, 1.0, hears=hears)
        program = quantized(net, random_samples(1, 2, 6, 2))
        assert target_of("split").prepare(program).latency_steps == 2 * 22 + 1
        with pytest.raises(TargetError, match="input -> readout: .*66 steps.*at most 62.*split"):
            target_of("split_one").prepare(program)

    @pytest.mark.parametrize("family", ["gru", "lstm", "minlstm"])
    def test_a_graph_of_other_families(self, family: str) -> None:
        variant = Variant(family=family)
        program = quantized(network(variant), samples(variant, 2, 5)[0])
        with pytest.raises(TargetError, match=rf"gated_0: .*'{family}.*accumulators.*target split"):
            target_of("split_graph").prepare(program)


class TestGraphs:
    @BUSY
    @given(
        st.builds(
            Variant,
            mode=st.sampled_from(["default", "no_gate", "pure"]),
            irregular=st.booleans(),
            backbone=st.sampled_from([(), (4,)]),
            layers=st.integers(1, 2),
            units=st.integers(1, 6),
            after=st.sampled_from(["", "relu"]),
            seed=st.integers(0, 1 << 30),
        ),
        st.sampled_from(["w8a12", "w4a8-lines16", "w8a16-ramp16", "w8a12-hard"]),
        st.sampled_from(["tanh", "linear"]),
    )
    def test_units_of_several_neurons(self, variant: Variant, recipe: str, heads: str) -> None:
        x, elapsed = samples(variant, 2, 5)
        net = network(variant)
        if variant.mode != "pure":
            layers = (replace(a, heads=heads) if hasattr(a, "heads") else a for a in net.layers)
            net = replace(net, layers=tuple(layers))
        program = quantized(net, x, elapsed, recipe)
        made = assert_prepared(program, 2 * x, elapsed, "split_graph")
        layer = made.population("layer_0")
        assert layer.size == program.population("layer_0").size
        if variant.mode != "pure" and not variant.backbone:
            assert made.schedule.period == 3
            assert l2l.simulate(made.interleaved(3), x, timespans=elapsed).integers.shape

    def test_what_a_unit_becomes(self) -> None:
        made = target_of("split_graph").prepare(PLAIN)
        names = [p.name for p in made.populations if p.name.startswith("layer_0")]
        assert names == ["layer_0.ff1", "layer_0.ff2", "layer_0.blend", "layer_0"]
        sums = [made.population(name).program.accumulators for name in names]
        assert sums == [("ff1",), ("ff2",), ("time", "heads"), ("total",)]
        weights = {c.source: c.dense()[0].sum() for c in made.incoming("layer_0.blend")}
        assert weights["layer_0.ff1"] == -1 and weights["layer_0.ff2"] == 1
        assert made.neurons == PLAIN.neurons + 3 * 10

    @pytest.mark.parametrize("scale", [0.05, 1.0, 10.0])
    def test_heads_of_any_size(self, scale: float) -> None:
        """Messages inside of a unit have the bounds of their own neurons, not those of the unit."""
        program = quantized(random_network(2, scale=scale), X)
        assert_prepared(program, 3 * X, None, "split_graph")

    def test_it_saturates_where_the_unit_did(self) -> None:
        variant = Variant(irregular=True, seed=4)
        x, elapsed = samples(variant, 4, 8)
        program = quantized(network(variant), x, elapsed)
        made = target_of("split_graph").prepare(program)
        marks = {m.name for p in program.populations for m in program.saturations[p.name]}
        parts = {m.name for p in made.populations for m in made.saturations[p.name]}
        assert marks == parts

    @pytest.mark.skipif(not lava_is_installed(), reason="Lava is not installed")
    def test_all_executors(self) -> None:
        assert l2l.verify(PLAIN, X, "all", target="split_graph").bit_exact


class TestListings:
    @pytest.mark.parametrize("ports", [1, 2, 3])
    def test_its_schedule_moves_what_waits(self, ports: int) -> None:
        program = cfc_program((9, 10, 11), 12, "ramp12")
        turns = Turns(program.accumulators, ports)
        period = turns.steps
        made = listing(program, period, period, ports)
        counter = int(re.search(rf"{re.escape(COUNTER)} starts at (\d+)", made.text)[1])  # type: ignore[index]
        for step in range(4 * period + 1):
            seen, counter, sent = executed(made.text, counter)
            due = step >= period and step % period == 0
            assert len(seen) == (made.update_count if due else made.waiting_count)
            assert sum(" RDC " in line for line in seen) == turns.width
            assert (sent == program.message) == due
        assert made.state_words == len(program.states) + 1 + len(turns.kept)
        plain = listing(program, period, period)
        assert made.update_count == plain.update_count - (3 - turns.width)
        assert made.waiting_count == plain.waiting_count - (3 - turns.width) + len(turns.moves)
        assert made.stored_count == sum(not n.endswith(":") for n in lines_of(made.text))

    def test_one_in_full(self) -> None:
        program = cfc_program((9, 10, 11), 12, "ramp12")
        text = listing(program, 2, 2, 2).text
        head, *_ = text.partition("ff1.biased")
        assert head == (
            f"{listing(program, 2, 2).text.splitlines()[0]}\n"
            "; executed in an update: 74, in a step of waiting: 9\n"
            "; parameters: ff1.bias (24 bit), ff1.multiplier (8 bit), ff2.bias (24 bit), "
            "ff2.multiplier (8 bit), time.bias (24 bit), time.multiplier (8 bit)\n"
            "; state: h (12 bit), ff1.sum (24 bit), schedule.wait (24 bit); schedule.wait starts "
            "at 3\n"
            "; sums arrive in 2 steps, the last one that of the update: port.0 ff2; port.1 ff1 (1 "
            "before), time\n"
            "ff2.sum        = RDC     port.0\n"
            "time.sum       = RDC     port.1\n"
            "schedule.wait  = RMW     schedule.wait, -1\n"
            "waiting        = GE      schedule.wait, 1\n"
            "                 JMP_C   waiting, wait\n"
            "schedule.wait  = MOV     2\n"
        )
        assert text.partition("wait:\n")[2] == (
            "ff1.sum        = MOV     time.sum\n"
            "initial        = EQ      schedule.wait, 2\n"
            "held           = SEL     initial, h, 0\n"
            "                 SPIKE   held\n"
            "end:"
        )

    def test_one_port_for_one_accumulator_changes_nothing(self) -> None:
        assert listing(linear_program(3), 2, 1, 1) == listing(linear_program(3), 2, 1)


class TestPlacing:
    @pytest.mark.parametrize("target", [*TURNS, "split_graph"])
    def test_cores_hold_what_neurons_take(self, target: str) -> None:
        placed = place(PLAIN, target=target)
        for core in placed.cores:
            counted = usage(placed.program, core)
            assert {name: getattr(core, name) for name in counted} == counted
        most = TURNS.get(target, 2)
        assert any(f"up to {most} input accumulator" in text for text in placed.unchecked)
        assert placed.unproved and not any("accumulators" in text for text in placed.unproved)

    def test_steps_and_instructions_are_those_of_the_turns(self) -> None:
        fused, split = place(PLAIN), place(PLAIN, target="split")
        assert (fused.program.steps_per_sample, split.program.steps_per_sample) == (1, 2)
        work = [l2l.workload(one, l2l.simulate(one.program, X).counters) for one in (fused, split)]
        assert [w.period for w in work] == [1, 2]
        assert work[1].per_sample()["instructions"] > work[0].per_sample()["instructions"]


class TestFiles:
    def manifest(self, path: Path) -> Any:
        content = path.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return json.loads(header["__metadata__"]["manifest"])

    def test_ports_have_a_version_of_their_own(self, tmp_path: Path) -> None:
        for ports in (1, 2):
            program = with_ports(PLAIN, ports)
            path = l2l.save(program, tmp_path / "net.l2l")
            assert self.manifest(path)["schema"] == WITH_PORTS
            assert l2l.load(path) == program != PLAIN
        plain = l2l.save(PLAIN, tmp_path / "plain.l2l")
        assert self.manifest(plain)["schema"] == WITHOUT_PORTS
        assert "ports" not in json.dumps(self.manifest(plain))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"schema": WITHOUT_PORTS}, "ports exist from schema version 4 on"),
            ({"ports": 9}, "whole number from 0 to 8"),
            ({"ports": "2"}, "expected an integer, found '2'"),
            ({"ports": 1}, "accumulators that arrive in different steps|schedule"),
        ],
    )
    def test_files_that_are_wrong(
        self, change: dict[str, Any], message: str, tmp_path: Path
    ) -> None:
        from test_artifact import forged

        def forge(manifest: Any, _: Any) -> None:
            manifest["schema"] = WITH_PORTS
            manifest["populations"][0]["ports"] = 2
            for name, value in change.items():
                (manifest if name == "schema" else manifest["populations"][0])[name] = value

        path = tmp_path / "net.l2l"
        path.write_bytes(forged(forge))
        with pytest.raises(ArtifactError, match=message):
            l2l.load(path)


def test_the_command_line(run: Run, tmp_path: Path) -> None:
    program = l2l.save(PLAIN, tmp_path / "net.l2l")
    np.save(tmp_path / "x.npy", X)
    samples_of = ("-i", tmp_path / "x.npy", "--target", "split")
    code, out, err = run("verify", program, *samples_of, "--executors", "reference", "--json")
    assert (code, err) == (0, "") and json.loads(out)["mismatch_count"] == 0
    code, out, err = run("place", program, *samples_of)
    assert (code, err) == (0, "") and "target split" in out
    assert "split, split_graph, split_one, stock" in run("doctor")[1]
    cut = l2l.save(with_ports(PLAIN, 2), tmp_path / "cut.l2l")
    code, out, err = run("inspect", cut, "--listing")
    assert (code, err) == (0, "") and "take turns on 2 ports a neuron" in out and "port.1" in out
    said = json.loads(run("inspect", cut, "--json")[1])
    assert said["ports"] == {"layer_0": 2, "layer_1": 2, "readout": 1}
    assert said["schedule"]["arrivals"]["layer_0"] == [["ff1"], ["ff2", "time"]]


class TestSideBySide:
    NAMES = ("fused", "split", "split_one", "split_graph")

    def test_placements(self, run: Run, tmp_path: Path) -> None:
        program = l2l.save(PLAIN, tmp_path / "net.l2l")
        np.save(tmp_path / "x.npy", X)
        for samples_of in ((), ("-i", tmp_path / "x.npy")):
            code, out, err = run("place", program, "--target", "fused,split,split_graph",
                                 *samples_of)  # fmt: skip
            assert (code, err) == (0, "")
            head, rule, *rows = out.splitlines()
            assert head.startswith("target ") and set(rule) <= {"-", " "}
            cells = [row.split()[:6] for row in rows[:3]]
            assert cells == [
                ["fused", "12", str(PLAIN.synapses), "3", "1", "3"],
                ["split", "12", str(PLAIN.synapses), "2", "2", "5"],
                ["split_graph", "42", str(PLAIN.synapses + 50), "2", "3", "7"],
            ]
            assert rows[4].startswith("Placed fast; pipelined, ")
        code, out, _ = run("place", program, "--target", "fused,split", "--json")
        found = json.loads(out)["targets"]
        assert [one["target"] for one in found] == ["fused", "split"]
        assert found[1]["placement"]["target"] == "split" and found[1]["unproved"]

    def test_one_that_is_refused_does_not_hide_the_others(self, run: Run, tmp_path: Path) -> None:
        variant = Variant(family="gru")
        x = samples(variant, 2, 5)[0]
        program = l2l.save(quantized(network(variant), x), tmp_path / "net.l2l")
        np.save(tmp_path / "x.npy", x)
        code, out, err = run("place", program, "--target", "split,split_graph")
        assert (code, err) == (0, "") and "split_graph: program 'variant': gated_0" in out
        code, out, err = run("inspect", program, "--target", "split,split_graph")
        assert (code, err) == (0, "") and "split_graph: program 'variant': gated_0" in out
        code, out, err = run("profile", program, "-i", tmp_path / "x.npy", "--against", "none",
                             "--target", "split,split_graph")  # fmt: skip
        assert code == 0 and "target split_graph: program 'variant': gated_0" in out
        for verb in ("place", "inspect"):
            code, _, err = run(verb, program, "--target", "split_graph")
            assert code == 1 and "use the target split or split_one" in err
        code, _, err = run("place", program, "--target", "split,mars")
        assert code == 1 and "'mars' does not exist" in err

    def test_inspected(self, run: Run, tmp_path: Path) -> None:
        program = l2l.save(PLAIN, tmp_path / "net.l2l")
        code, out, err = run("inspect", program, "--target", "split_one", "--listing")
        assert (code, err) == (0, "") and "take turns on 1 port a neuron" in out
        code, out, _ = run("inspect", program, "--target", "fused,split", "--json")
        found = json.loads(out)["targets"]
        assert [one["ports"]["layer_0"] for one in found] == [3, 2]
        code, _, err = run("inspect", tmp_path / "a.toml", "--target", "split")
        assert code == 1 and "--target: goes with a program" in err

    def test_profiles_and_pages(self, tmp_path: Path) -> None:
        with pytest.raises(l2l.InputError, match="beside: 'mars' does not exist"):
            l2l.profile(PLAIN, X, against=(), beside="split,mars")
        found = l2l.profile(PLAIN, X, against=(), frontier=False, beside=[*self.NAMES[1:], "split"])
        assert [side.target for side in found.sides] == list(self.NAMES)
        assert [side.accumulators for side in found.sides] == [3, 2, 1, 2]
        assert [side.steps_per_sample for side in found.sides] == [1, 2, 3, 3]
        assert {(side.compared, side.differ) for side in found.sides} == {(X[..., 0].size * 2, 0)}
        for side in found.sides:
            assert side.sample_time is not None and side.total_energy is not None
            assert side.cores and side.unproved and not side.refusal
        assert "Targets side by side on loihi2-oheo-gulch" in found.summary()
        path = found.save(tmp_path / "a.profile.json")
        assert l2l.load_profile(path) == found
        page = l2l.report(found, PLAIN, tmp_path / "a.html").read_text()
        assert "Targets side by side on loihi2-oheo-gulch" in page and "split_one" in page
        plain = l2l.profile(PLAIN, X, against=(), frontier=False, beside="fused")
        assert plain.sides == () and "Targets" not in plain.summary()
        document = json.loads(path.read_text())
        del document["profile"]["sides"]
        path.write_text(json.dumps(document))
        assert l2l.load_profile(path).sides == ()
