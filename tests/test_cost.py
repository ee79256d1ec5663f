"""The cost model: its equations by hand, its intervals, its modes, and what it refuses."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cost_recomputed import costs, drawn
from hypothesis import given, settings
from hypothesis import strategies as st

import lnn2loihi as l2l
from lnn2loihi.cost import Interval, workload_of_totals
from lnn2loihi.cost.demand import Demand, demand_of
from lnn2loihi.cost.interval import Z95, deviations, sample
from lnn2loihi.cost.model import Operation, evaluate, lower_bounds, step_times
from lnn2loihi.cost.workload import PIPELINED
from lnn2loihi.devices import COST_PARAMETERS, Figure, with_prefix

OHEO = l2l.load_device("loihi2-oheo-gulch")
NOMINAL = {
    name: 0.0 if (figure := OHEO.get(name)) is None else figure.value for name in COST_PARAMETERS
}
T0, T_SYN, T_N0, T_INS, T_MSG = (
    NOMINAL[f"time_per_{what}"]
    for what in ("step", "synaptic_operation", "neuron_update", "instruction", "message")
)
E_0, E_SYN, E_N0, E_INS, E_MSG, E_HOP = (
    NOMINAL[f"energy_per_{what}"]
    for what in ("step", "synaptic_operation", "neuron_update", "instruction", "message", "hop")
)
E_SPIKE, T_OUT, T_LINK = (
    NOMINAL[name]
    for name in ("energy_per_spike", "time_per_outgoing_message", "time_per_link_message")
)
P_ST, P_CORE = NOMINAL["static_power_per_chip"], NOMINAL["active_core_power"]
#: Figures that the first specification of the model had, where they were others.
FIRST_FIGURES = {
    "static_power_per_chip": (0.23, 0.21, 0.28), "active_core_power": (4e-3, 2e-3, 6e-3),
    "energy_per_synaptic_operation": (5e-12, 3e-12, 13e-12),
    "energy_per_instruction": (5e-12, 1.5e-12, 15e-12),
    "energy_per_message": (100e-12, 20e-12, 200e-12), "time_per_step": (1.15e-6, 0.2e-6, 1.8e-6),
    "time_per_instruction": (1.7e-9, 1e-9, 3e-9),
}  # fmt: skip


def tiny(**given: Any) -> l2l.Workload:
    """Two cores and three phases, different in everything."""
    fields: dict[str, Any] = {
        "name": "tiny", "chips": 1, "period": 3, "latency_steps": 5, "interleave": 1,
        "synaptic_operations": [[1000, 10], [0, 2000], [5, 5]],
        "neuron_updates": [[10, 20]] * 3,
        "instructions": [[500, 60], [30, 1000], [30, 60]],
        "messages_in": [[100, 0], [0, 300], [1, 1]],
        "messages": [100, 300, 2], "hops": [250, 310, 2],
        "core_names": ("one", "two"), "source": "made up",
        "waiting_updates": [10, 20], "waiting_instructions": [30, 60],
        "spikes": [[10, 0], [0, 20], [1, 0]], "messages_out": [[40, 60], [250, 50], [2, 0]],
    }  # fmt: skip
    return l2l.Workload(**{**fields, **given})


def random_workload(seed: int, cores: int, period: int, tied: bool = False) -> l2l.Workload:
    rng = np.random.default_rng(seed)

    def counts(*shape: int) -> np.ndarray:
        drawn = rng.integers(0, 4 if tied else 10**6, shape)
        return drawn * 10.0 ** (0 if tied else rng.integers(-3, 1))

    return l2l.Workload(
        "random", 1, period, int(rng.integers(1, 9)), int(rng.integers(1, period + 1)),
        counts(period, cores), counts(period, cores), counts(period, cores),
        counts(period, cores), counts(period), counts(period),
        tuple(f"core {i}" for i in range(cores)), "drawn",
        spikes=counts(period, cores), messages_out=counts(period, cores),
        link_messages=counts(period),
    )  # fmt: skip


def demand(workload: l2l.Workload) -> Demand:
    return demand_of(workload, PIPELINED, 120, 1)


def sets(draws: int = 50, seed: int = 0) -> dict[str, np.ndarray]:
    absent = Figure(0.0, 0.0, 0.0, "1", "", "assumed")
    figures = {name: OHEO.get(name) or absent for name in COST_PARAMETERS}
    nominal = np.array([[figure.value for figure in figures.values()]])
    values = np.concatenate([nominal, sample(figures, draws, seed)])
    return dict(zip(COST_PARAMETERS, values.T, strict=True))


class TestEquations:
    def test_step_times_by_hand(self) -> None:
        nominal = {k: v[:1] for k, v in sets().items()}
        additive, links = step_times(demand(tiny()), nominal)
        lower = lower_bounds(demand(tiny()), nominal, links)
        loads = [
            [(1000, 10, 500, 100, 40), (10, 20, 60, 0, 60)],
            [(0, 10, 30, 0, 250), (2000, 20, 1000, 300, 50)],
            [(5, 10, 30, 1, 2), (5, 20, 60, 1, 0)],
        ]
        for phase, cores in enumerate(loads):
            times = [
                (s * T_SYN, u * T_N0 + i * T_INS, m * T_MSG, o * T_OUT) for s, u, i, m, o in cores
            ]
            assert additive[0, phase] == pytest.approx(T0 + max(map(sum, times)), rel=1e-12)
            assert lower[0, phase] == pytest.approx(T0 + max(map(max, times)), rel=1e-12)
        assert not links.any(), "no message was counted on a link"
        busy = demand(tiny(link_messages=[0, 10**7, 10**3]))
        additive, links = step_times(busy, nominal)
        lower = lower_bounds(busy, nominal, links)
        assert links[0] == pytest.approx([0.0, 1e7 * T_LINK, 1e3 * T_LINK], rel=1e-12)
        for times in (additive, lower):
            assert times[0, 1] == pytest.approx(T0 + 1e7 * T_LINK, rel=1e-12)

    def test_energies_of_a_sample_by_hand(self) -> None:
        found = l2l.estimate(tiny(), OHEO)
        energy = {name: interval.value for name, interval in found.energy.items()}
        time = 3 * found.step_time.value
        expected = {
            "steps": 3 * E_0,
            "synapses": 3020 * E_SYN,
            "neurons": 90 * E_N0 + 1680 * E_INS,
            "spikes": 31 * E_SPIKE,
            "messages": 402 * E_MSG,
            "hops": 562 * E_HOP,
            "active_cores": 2 * P_CORE * time,
            "static_full_chip": P_ST * time,
            "static_pro_rata": P_ST * time * 2 / 120,
            "static_idle_chips": 0.0,
            "io": 0.0,
        }
        for name, value in expected.items():
            assert energy[name] == pytest.approx(value, rel=1e-12), name
        dynamic = sum(list(expected.values())[:7])
        assert energy["dynamic"] == pytest.approx(dynamic, rel=1e-12)
        for share in ("full_chip", "pro_rata"):
            total = dynamic + expected[f"static_{share}"]
            assert energy[f"total_{share}"] == pytest.approx(total, rel=1e-12)
        assert energy["total_board"] == energy["total_full_chip"], "a board of one chip"
        for name, interval in found.power.items():
            assert interval.value == pytest.approx(energy[name] / time, rel=1e-12)
        assert found.sample_time.value == pytest.approx(time)
        assert found.latency.value == pytest.approx(5 * found.step_time.value)
        assert found.throughput.value == pytest.approx(1 / time)
        delay = energy["total_full_chip"] * found.latency.value
        assert found.energy_delay_product.value == pytest.approx(delay)
        assert found.energy_delay_product.unit == "J*s"

    def test_chips_multiply_the_static_and_the_step_energy(self) -> None:
        one = l2l.estimate(tiny(), "loihi2-kapoho-point").energy
        four = l2l.estimate(tiny(chips=4), "loihi2-kapoho-point").energy
        for name in ("steps", "static_full_chip"):
            assert four[name].value == pytest.approx(4 * one[name].value)
        for name in ("synapses", "active_cores", "static_pro_rata"):
            assert four[name].value == one[name].value

    @pytest.mark.parametrize(
        ("units", "inputs", "cores", "expected"),
        [
            (19, 4, 1, [(3.2, 4.9, 6.8), (0.039, 0.057, 0.088), (0.75, 1.1, 1.7), (0.8, 1.2, 1.7)]),
            (64, 16, 4, [(5.3, 8.6, 12.8), (0.20, 0.30, 0.46), (1.2, 2.0, 3.1), (1.5, 2.3, 3.5)]),
            (256, 32, 16, [(13, 24, 39), (2.1, 3.4, 5.6), (3.0, 5.7, 9.5), (5.6, 9.2, 14)]),
        ],
    )
    def test_liquid_networks_cost_what_the_specification_expects(
        self, units: int, inputs: int, cores: int, expected: list[tuple[float, float, float]]
    ) -> None:
        """Dense CfCs with three heads and 50 instructions, in us and uJ: 5, 50 and 95 % of its
        draws, with two digits, at its figures: it has none at the sender. It does not say how many
        messages there are; every input and state to every core are taken here. Its 50 % is the
        median, ours the nominal value. At today's figures the equations say what an independent
        recomputation says.
        """
        counts = {
            "cores": cores, "synaptic_operations": 3 * (inputs + units) * units,
            "neuron_updates": units, "instructions_per_update": 50,
            "messages": (inputs + units) * cores,
        }  # fmt: skip
        figures = {
            name: replace(figure, value=value, low=low, high=high)
            for name, figure in OHEO.figures.items()
            for value, low, high in (
                FIRST_FIGURES.get(name, (figure.value, figure.low, figure.high)),
            )
            if name not in ("energy_per_spike", "time_per_outgoing_message")
        }
        workload = workload_of_totals("CfC", counts, "by hand")
        found = l2l.estimate(workload, replace(OHEO, figures=figures))
        energy = found.energy
        names = ("dynamic", "static_full_chip", "total_full_chip")
        intervals = found.step_time, *(energy[name] for name in names)
        for interval, printed in zip(intervals, expected, strict=True):
            ours = tuple(1e6 * n for n in (interval.low, interval.value, interval.high))
            assert ours == pytest.approx(printed, rel=0.1)
        today = l2l.estimate(workload, OHEO)
        again = costs({"chips": 1, **counts}, drawn("loihi2-oheo-gulch", 1))
        assert today.step_time.value == pytest.approx(again["step time"][0], rel=1e-12)
        for name, theirs in zip(names, ("dynamic energy", "static energy", "energy"), strict=True):
            assert today.energy[name].value == pytest.approx(again[theirs][0], rel=1e-12)

    @given(
        seed=st.integers(0, 10**6), cores=st.integers(1, 40), period=st.integers(1, 4),
        tied=st.booleans(),
    )  # fmt: skip
    def test_only_cores_that_can_be_slowest_are_computed(
        self, seed: int, cores: int, period: int, tied: bool
    ) -> None:
        workload, p = random_workload(seed, cores, period, tied), sets()
        additive, links = step_times(demand(workload), p)
        lower = lower_bounds(demand(workload), p, links)
        assert workload.messages_out is not None and workload.link_messages is not None
        for phase in range(period):
            synapses = np.outer(
                p["time_per_synaptic_operation"], workload.synaptic_operations[phase]
            )
            neurons = np.outer(p["time_per_neuron_update"], workload.neuron_updates[phase])
            neurons += np.outer(p["time_per_instruction"], workload.instructions[phase])
            messages = np.outer(p["time_per_message"], workload.messages_in[phase])
            sending = np.outer(p["time_per_outgoing_message"], workload.messages_out[phase])
            link = p["time_per_link_message"] * workload.link_messages[phase]
            slowest = np.maximum((synapses + neurons + messages + sending).max(axis=1), link)
            bound = np.max([synapses, neurons, messages, sending], axis=0).max(axis=1)
            bound = np.maximum(bound, link)
            np.testing.assert_allclose(additive[:, phase], p["time_per_step"] + slowest, rtol=1e-12)
            np.testing.assert_allclose(lower[:, phase], p["time_per_step"] + bound, rtol=1e-12)
        assert (lower <= additive * (1 + 1e-12)).all()

    @settings(max_examples=40, deadline=None)
    @given(data=st.data())
    def test_totals_cost_what_a_recomputation_says(self, data: st.DataObject) -> None:
        """Of a Loihi 2 and a Loihi 1, whose figures of a spike differ; any mode, any rate."""
        device = data.draw(st.sampled_from(["loihi2-oheo-gulch", "loihi2-hala-point", "loihi1"]))
        number = st.floats(0.0, 1e6)
        counts: dict[str, float] = {
            "chips": data.draw(st.integers(1, 1 if device.endswith("gulch") else 8)),
            "cores": data.draw(st.integers(1, 120)), "latency_steps": data.draw(st.integers(1, 9)),
            **{name: data.draw(number) for name in ("synaptic_operations", "neuron_updates",
                                                    "messages", "hops", "link_messages")},
        }  # fmt: skip
        counts["spikes"] = data.draw(st.floats(0.0, 1.0)) * counts["messages"]
        for busiest, total in (
            ("busiest_synaptic_operations", "synaptic_operations"),
            ("busiest_messages_in", "messages"), ("busiest_messages_out", "messages"),
        ):  # fmt: skip
            least = counts[total] / counts["cores"]
            counts[busiest] = least + data.draw(st.floats(0.0, 1.0)) * (counts[total] - least)
        if device != "loihi1":
            counts["instructions_per_update"] = data.draw(st.floats(0.0, 200.0))
        how: dict[str, Any] = {"mode": data.draw(st.sampled_from(["pipelined", "fall-through"]))}
        workload = workload_of_totals("drawn", counts, "drawn")
        found = l2l.estimate(workload, device, draws=100, **how)
        if data.draw(st.booleans()) and how["mode"] == "fall-through":
            how["rate"] = 0.5 / found.sample_time.value
            found = l2l.estimate(workload, device, draws=100, **how)
        again = costs(counts, drawn(device, 1), **how)
        for name, interval in (
            ("step time", found.step_time), ("lower bound", found.step_time_lower_bound),
            ("latency", found.latency), ("energy", found.energy["total_full_chip"]),
            ("dynamic energy", found.energy["dynamic"]),
            ("static energy", found.energy["static_full_chip"]),
            ("power", found.power["total_full_chip"]),
        ):  # fmt: skip
            assert interval.value == pytest.approx(again[name][0], rel=1e-9), name

    @given(seed=st.integers(0, 10**6), cores=st.integers(1, 6), period=st.integers(1, 4))
    def test_more_work_never_costs_less(self, seed: int, cores: int, period: int) -> None:
        workload = random_workload(seed, cores, period)
        more = replace(workload, synaptic_operations=workload.synaptic_operations + 7.0)
        operation, p = Operation(), sets()
        before, after = (evaluate(demand(w), p, operation) for w in (workload, more))
        assert before.keys() == after.keys()
        for name in before.keys() - {"throughput"}:
            assert (after[name] >= before[name] * (1 - 1e-12)).all(), name


class TestIntervals:
    def test_ranges_are_quantiles_and_the_value_is_the_median(self) -> None:
        figure = Figure(2e-9, 1e-9, 16e-9, "s", "", "assumed")
        assert deviations(figure) == (math.log(2) / Z95, math.log(8) / Z95)
        drawn = sample({"a": figure}, 200_000, 3)[:, 0]
        quantiles = np.quantile(drawn, (0.05, 0.5, 0.95))
        np.testing.assert_allclose(quantiles, (1e-9, 2e-9, 16e-9), rtol=0.03)

    def test_an_exact_figure_is_not_sampled(self) -> None:
        exact = {str(n): Figure(n, n, n, "s", "", "vendor") for n in (3.0, 0.0)}
        drawn = sample(exact, 10, 0)
        assert (drawn == [3.0, 0.0]).all()

    def test_interval_of_draws(self) -> None:
        found = Interval.of(np.array([50.0, *np.linspace(0, 100, 101)]), "s")
        assert found == Interval(50.0, 5.0, 95.0, "s")
        assert Interval.of(np.array([1.0, 2.0, 3.0]), "s").low == 1.0, "it holds its value"
        assert str(Interval(2e-6, 1e-6, 3e-6, "s")) == "2.00 us [1.00 us to 3.00 us]"
        assert str(Interval(2e-6, 2e-6, 2e-6, "s")) == "2.00 us"

    def test_the_same_seed_gives_the_same_intervals(self) -> None:
        first, again = (l2l.estimate(tiny(), OHEO, draws=200) for _ in range(2))
        other = l2l.estimate(tiny(), OHEO, draws=200, seed=1)
        assert first == again and first.step_time != other.step_time
        assert first.step_time.value == other.step_time.value

    def test_a_device_without_ranges_has_no_intervals(self) -> None:
        exact = {n: replace(f, low=f.value, high=f.value) for n, f in OHEO.figures.items()}
        found = l2l.estimate(tiny(), replace(OHEO, figures=exact))
        for interval in (found.step_time, found.latency, *found.energy.values()):
            assert interval.high - interval.low <= 1e-12 * interval.value

    def test_sensitivity_is_the_estimate_with_one_figure_at_its_end(self) -> None:
        found = l2l.estimate(tiny(), OHEO, rate=1000.0)
        assert found.sensitivity[0].parameter == "static_power_per_chip"
        swings = [effect.swing for effect in found.sensitivity]
        assert swings == sorted(swings, reverse=True)
        for effect in found.sensitivity:
            assert effect.grade == OHEO.figure(effect.parameter).grade
            for end, total, time in (
                ("low", effect.total_at_low, effect.sample_time_at_low),
                ("high", effect.total_at_high, effect.sample_time_at_high),
            ):
                figure = OHEO.figure(effect.parameter)
                moved = replace(figure, value=getattr(figure, end))
                device = replace(OHEO, figures={**OHEO.figures, effect.parameter: moved})
                there = l2l.estimate(tiny(), device, rate=1000.0, draws=100)
                assert there.energy["total_full_chip"].value == pytest.approx(total, rel=1e-12)
                assert there.sample_time.value == pytest.approx(time, rel=1e-12)


class TestModes:
    def test_real_time_pays_static_power_all_the_time(self) -> None:
        full, slow = l2l.estimate(tiny(), OHEO), l2l.estimate(tiny(), OHEO, rate=1000.0)
        assert slow.energy["static_full_chip"].value == pytest.approx(P_ST * 1e-3)
        assert slow.energy["dynamic"].value == full.energy["dynamic"].value, "cores only step"
        assert slow.power["total_full_chip"].value == pytest.approx(
            1000 * slow.energy["total_full_chip"].value
        )
        assert slow.throughput == Interval(1000.0, 1000.0, 1000.0, "Hz")
        assert slow.rate_met == 1.0 and full.rate_met is None
        assert slow.sample_time == full.sample_time

    def test_at_the_fastest_rate_nothing_changes(self) -> None:
        full = l2l.estimate(tiny(), OHEO)
        same = l2l.estimate(tiny(), OHEO, rate=0.999 / full.sample_time.value)
        total = same.energy["total_full_chip"].value
        assert total == pytest.approx(full.energy["total_full_chip"].value, rel=2e-3)
        assert same.rate_met is not None and 0.1 < same.rate_met < 0.9
        assert "is met at the nominal figures, but not by the upper end" in same.notes[-1]

    def test_a_slow_pipeline_delays_its_answers(self) -> None:
        step = l2l.estimate(tiny(), OHEO).step_time.value
        for latency, waits, rest in ((1, 0, 1), (3, 0, 3), (4, 1, 1), (5, 1, 2), (7, 2, 1)):
            found = l2l.estimate(tiny(latency_steps=latency), OHEO, rate=100.0)
            assert found.latency.value == pytest.approx(waits / 100 + rest * step)
            direct = l2l.estimate(
                tiny(latency_steps=latency), OHEO, rate=100.0, mode="fall-through"
            )
            assert direct.latency.value == pytest.approx(latency * step)

    def test_fall_through_takes_all_steps_and_waits_in_them(self) -> None:
        pipelined = l2l.estimate(tiny(), OHEO)
        through = l2l.estimate(tiny(), OHEO, mode="fall-through")
        assert (pipelined.steps_per_sample, through.steps_per_sample) == (3, 5)
        assert through.sample_time.value == pytest.approx(5 / 3 * pipelined.sample_time.value)
        further = 2 * (30 * E_N0 + 90 * E_INS)
        assert through.energy["neurons"].value == pytest.approx(
            pipelined.energy["neurons"].value + further
        )
        for name in ("synapses", "spikes", "messages", "hops"):
            assert through.energy[name] == pipelined.energy[name]
        assert through.energy["steps"].value == pytest.approx(5 * E_0)
        assert l2l.estimate(tiny(latency_steps=2), OHEO, mode="fall-through").steps_per_sample == 3

    def test_interleaved_sequences_share_a_period(self) -> None:
        one, two = l2l.estimate(tiny(), OHEO), l2l.estimate(tiny(interleave=2), OHEO)
        assert two.steps_per_sample == 1.5
        for name, interval in two.energy.items():
            assert interval.value == pytest.approx(one.energy[name].value / 2), name
        assert two.latency == one.latency
        through = l2l.estimate(tiny(interleave=2), OHEO, mode="fall-through")
        assert through.steps_per_sample == 5 and "one sequence at a time" in through.notes[-1]

    def test_host_input_and_output_is_a_term_of_its_own(self) -> None:
        chip, system = l2l.estimate(tiny(), OHEO), l2l.estimate(tiny(), OHEO, io="host")
        time, power = NOMINAL["host_io_time"], NOMINAL["host_power"]
        host = power * system.sample_time.value
        assert system.energy["io"].value == pytest.approx(host), "it is on all the time"
        assert system.sample_time.value == pytest.approx(chip.sample_time.value + time)
        assert system.latency.value == pytest.approx(chip.latency.value + time)
        assert system.energy["dynamic"] == chip.energy["dynamic"]
        static = P_ST * system.sample_time.value
        assert system.energy["static_full_chip"].value == pytest.approx(static)
        total = chip.energy["dynamic"].value + static + host
        assert system.energy["total_full_chip"].value == pytest.approx(total)
        slow = l2l.estimate(tiny(), OHEO, io="host", rate=10.0)
        assert slow.energy["io"].value == pytest.approx(power * 0.1), "for the whole period"

    def test_input_and_output_on_the_board(self) -> None:
        chip = l2l.estimate(tiny(io_messages=8), OHEO)
        board = l2l.estimate(tiny(io_messages=8), OHEO, io="on-board")
        time = 8 * NOMINAL["time_per_board_message"]
        assert board.io_time.value == pytest.approx(time)
        assert board.latency.value == pytest.approx(chip.latency.value + time)
        assert board.energy["io"].value == 0.0
        assert any(note.startswith("what the board draws beside its chips is left out")
                   for note in board.notes)  # fmt: skip
        figure = Figure(2.0, 1.0, 4.0, "W", "a power meter", "measured")
        owned = replace(OHEO, figures={**OHEO.figures, "board_power": figure})
        found = l2l.estimate(tiny(io_messages=8), owned, io="on-board", rate=10.0)
        assert found.energy["io"].value == pytest.approx(0.2)
        assert not any("the board draws" in note for note in found.notes)

    def test_idle_chips_of_a_board_are_charged_apart(self) -> None:
        found = l2l.estimate(tiny(), "loihi2-kapoho-point", rate=100.0)
        idle, full = found.energy["static_idle_chips"], found.energy["total_full_chip"]
        assert idle.value == pytest.approx(7 * P_ST / 100)
        assert found.energy["total_board"].value == pytest.approx(full.value + idle.value)
        assert any("the 7 other chips of the board draw 1.61 W" in note for note in found.notes)
        assert "total board" in found.summary()

    def test_copies_share_what_runs_anyway(self) -> None:
        one, four = tiny(), tiny(copies=4)
        alone, shared = (l2l.estimate(w, OHEO, rate=1000.0) for w in (one, four))
        for name in set(alone.energy) - {"io"}:
            assert shared.energy[name].value == pytest.approx(alone.energy[name].value / 4), name
            assert shared.power[name].value == pytest.approx(alone.power[name].value), name
        assert shared.latency == alone.latency and shared.throughput.value == 4000.0
        assert shared.copies == 4 and "4 copies" in shared.summary()

    def test_a_measured_step_time_goes_into_energies_but_not_into_the_models_own(self) -> None:
        found = l2l.estimate(tiny(), OHEO, step_time=1e-3)
        assert found.step_time == l2l.estimate(tiny(), OHEO).step_time
        assert found.sample_time.value == pytest.approx(3e-3)
        assert found.energy["active_cores"].value == pytest.approx(2 * P_CORE * 3e-3)
        assert "measured step time of 1.00 ms" in found.notes[-1]

    def test_the_busiest_core_is_named(self) -> None:
        found = l2l.estimate(tiny(), OHEO)
        assert (found.worst_phase, found.bottleneck_core) == (1, "two")
        assert found.bottleneck_resource == "synapses"
        assert found.worst_step_time.value == pytest.approx(
            T0 + sum(found.bottleneck["two"].values())
        )
        assert list(found.bottleneck) == ["one", "two"]
        assert found.bottleneck["one"] == pytest.approx(
            {
                "synapses": 0.0,
                "neurons": 10 * T_N0 + 30 * T_INS,
                "messages": 0.0,
                "sending": 250 * T_OUT,
            }
        )
        small = workload_of_totals("small", {"neuron_updates": 1}, "made up")
        assert l2l.estimate(small, OHEO).bottleneck_resource == "steps"


class TestRefusals:
    def test_a_rate_that_cannot_be_met(self) -> None:
        needed = l2l.estimate(tiny(), OHEO).sample_time.value
        with pytest.raises(l2l.RateError) as caught:
            l2l.estimate(tiny(), OHEO, rate=1e6)
        assert isinstance(caught.value, l2l.InputError)
        assert (caught.value.needed, caught.value.available) == (needed, 1e-6)
        text = str(caught.value)
        assert f"needs {needed * 1e6:,.3g} us" in text and "has 1.00 us" in text
        assert "two takes longest, by its synapses" in text and "a probability of 0 %" in text
        assert f"the fastest rate is about {with_prefix(1 / needed, 'Hz', 4)}" in text
        with pytest.raises(l2l.RateError, match="pipelined mode takes fewer steps"):
            l2l.estimate(tiny(), OHEO, rate=1e6, mode="fall-through")
        with pytest.raises(l2l.RateError) as caught:
            l2l.estimate(tiny(), OHEO, rate=500.0, io="host")
        text = str(caught.value)
        assert "and input and output through the host" in text
        assert "input and output take longest, 4.26 ms a sample (host loop, host_io_time" in text
        assert "no placement makes it faster" in text and "the shortest chip step" not in text
        chance = l2l.estimate(tiny(), OHEO, rate=200.0, io="host").rate_met
        assert chance is not None and 0.5 <= chance < 0.95
        small = workload_of_totals("small", {"neuron_updates": 1}, "made up")
        with pytest.raises(l2l.RateError, match="time_per_step of loihi2-oheo-gulch, 1.30 us"):
            l2l.estimate(small, OHEO, rate=1e6)
        crowded = tiny(link_messages=[10**9] * 3)
        with pytest.raises(l2l.RateError, match="the heaviest link of the mesh takes longest"):
            l2l.estimate(crowded, OHEO, rate=1e3)

    def test_arguments_all_at_once(self) -> None:
        with pytest.raises(l2l.InputError) as caught:
            l2l.estimate(tiny(), OHEO, rate=-1.0, mode="fast", step_time=math.nan, draws=3)
        assert len(caught.value.problems) == 4
        for rate in (0, math.inf, math.nan, "100 Hz", True):
            with pytest.raises(l2l.InputError, match="rate is"):
                l2l.estimate(tiny(), OHEO, rate=rate)  # type: ignore[arg-type]

    def test_devices_that_do_not_fit(self) -> None:
        with pytest.raises(l2l.DeviceError, match="is a gpu; this model is of Loihi"):
            l2l.estimate(tiny(), "gpu-a100-pcie-80gb")
        large = workload_of_totals("large", {"chips": 2, "cores": 241}, "made up")
        with pytest.raises(l2l.DeviceError) as caught:
            l2l.estimate(large, OHEO)
        assert caught.value.problems == (
            "it has 1 chips, 'large' takes 2",
            "'large' takes 241 cores on 2 chips with 120 usable cores each",
        )

    def test_figures_that_a_device_has_not(self) -> None:
        with pytest.raises(l2l.DeviceError) as caught:
            l2l.estimate(tiny(), "loihi1", io="host")
        needed = ["energy_per_instruction", "host_io_time", "host_power", "time_per_instruction"]
        assert sorted(p.split()[2].rstrip(":") for p in caught.value.problems) == needed
        assert any("fixed-function" in problem for problem in caught.value.problems)
        found = l2l.estimate(
            tiny(instructions=np.zeros((3, 2)), waiting_instructions=None), "loihi1"
        )
        assert found.energy["steps"].value == found.energy["active_cores"].value == 0.0
        assert any(note.startswith("energy_per_step is left out: the energy of the barrier")
                   for note in found.notes)  # fmt: skip


class TestResult:
    def test_plain_data_with_lavas_names(self) -> None:
        found = l2l.estimate(tiny(), OHEO, rate=1000.0)
        plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        for lava, ours in (
            ("avg_time_per_step", plain["step_time"]),
            ("total_energy", plain["energy"]["total_full_chip"]),
            ("dynamic_energy", plain["energy"]["dynamic"]),
            ("static_energy", plain["energy"]["static_full_chip"]),
            ("total_power", plain["power"]["total_full_chip"]),
            ("static_total_power", plain["power"]["static_full_chip"]),
        ):
            assert plain[lava] == ours and set(ours) == {"value", "low", "high", "unit"}
        counts = plain["syn_ops"], plain["dendrite_updates"], plain["axon_out"], plain["spikes_in"]
        assert counts == (3020, 90, 402, 402)
        assert plain["tier"] == "CALIBRATED-ESTIMATE"

    def test_summary_says_what_it_is(self) -> None:
        text = l2l.estimate(tiny(), OHEO, rate=1000.0).summary()
        parts = ("tiny on loihi2-oheo-gulch", "CALIBRATED-ESTIMATE", "counts: made up",
                 "1000 samples a second", "step, lower bound", "static pro rata",
                 "Longest: synapses; busiest: two", "static_power_per_chip", "measured",
                 "factor 3")  # fmt: skip
        for part in parts:
            assert part in text
        assert "input and output" not in text and "total board" not in text
        assert "input and output: host" in l2l.estimate(tiny(), OHEO, io="host").summary()


class TestWorkload:
    def test_it_comes_back_from_plain_data(self) -> None:
        plain = json.loads(json.dumps(tiny().to_dict()))
        assert l2l.Workload.from_dict(plain) == tiny()
        assert l2l.Workload.from_dict(plain).counts_key == tiny(name="other").counts_key
        assert tiny(hops=[0, 0, 0]).counts_key != tiny().counts_key

    def test_what_is_wrong_is_listed(self) -> None:
        with pytest.raises(l2l.InputError) as caught:
            tiny(messages=["a", "b", "c"], messages_in=[[1], [1, 2], []])
        assert len(caught.value.problems) == 2
        with pytest.raises(l2l.InputError) as caught:
            tiny(synaptic_operations=[1, 2], hops=[1, -1, 0], neuron_updates=[[np.nan, 1]] * 3)
        assert len(caught.value.problems) == 3
        for fields, what in (
            ({"chips": 0, "period": 0}, "chips is 0.*\n.*period is 0"),
            ({"interleave": 4}, "4 sequences cannot take turns in 3 phases"),
            ({"core_names": ()}, "it has no core"),
        ):
            with pytest.raises(l2l.InputError, match=what):
                tiny(**fields)

    def test_plain_data_that_is_none(self) -> None:
        plain = tiny().to_dict()
        del plain["hops"]
        with pytest.raises(l2l.InputError) as caught:
            l2l.Workload.from_dict({**plain, "extra": 1})
        assert set(caught.value.problems) == {"'extra' is unknown", "hops is missing"}
        with pytest.raises(l2l.InputError, match="not printable texts"):
            l2l.Workload.from_dict({**tiny().to_dict(), "core_names": 3})

    def test_waiting_defaults_and_read_only(self) -> None:
        workload = tiny(waiting_updates=None, waiting_instructions=None)
        assert workload.waiting_updates is not None and workload.waiting_instructions is not None
        assert workload.waiting_updates.tolist() == [10, 20]
        assert workload.waiting_instructions.tolist() == [0, 0]
        with pytest.raises(ValueError, match="read-only"):
            workload.hops[0] = 1
        assert workload.steps_per_sample(PIPELINED) == 3

    @given(
        cores=st.integers(1, 50), synapses=st.floats(0, 1e9), share=st.floats(0, 1),
        updates=st.floats(0, 1e6), instructions=st.floats(0, 100),
    )  # fmt: skip
    def test_totals_are_kept(
        self, cores: int, synapses: float, share: float, updates: float, instructions: float
    ) -> None:
        busiest = synapses / cores + share * (synapses - synapses / cores)
        counts = {
            "cores": cores, "synaptic_operations": synapses, "neuron_updates": updates,
            "busiest_synaptic_operations": busiest, "instructions_per_update": instructions,
        }  # fmt: skip
        workload = workload_of_totals("n", counts, "s")
        assert workload.cores == cores
        assert workload.synaptic_operations.max() == pytest.approx(busiest)
        sums = workload.per_sample()
        assert sums["synaptic_operations"] == pytest.approx(synapses)
        assert sums["instructions"] == pytest.approx(updates * instructions)

    def test_totals_that_contradict_themselves(self) -> None:
        with pytest.raises(l2l.InputError) as caught:
            workload_of_totals("n", {"cores": 0, "chips": True, "hops": -1, "axons": 1,
                                     "messages": "many"}, "s")  # fmt: skip
        assert len(caught.value.problems) == 5
        for busiest in (9, 101):
            with pytest.raises(
                l2l.InputError, match="10 cores have 100 in all: it must be 10 to 100"
            ):
                workload_of_totals("n", {"cores": 10, "messages": 100,
                                         "busiest_messages_in": busiest}, "s")  # fmt: skip
            with pytest.raises(l2l.InputError, match=f"busiest_messages_out is {busiest}, but"):
                workload_of_totals("n", {"cores": 10, "messages": 100,
                                         "busiest_messages_out": busiest}, "s")  # fmt: skip
        with pytest.raises(l2l.InputError, match="spikes is 5, but only 3 messages are sent"):
            workload_of_totals("n", {"messages": 3, "spikes": 5}, "s")
