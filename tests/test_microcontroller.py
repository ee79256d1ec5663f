"""Micro-controllers: profiles against what was published, the model by hand, copies, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import random_ltc, random_samples
from placing import dense_program

import lnn2loihi as l2l
from lnn2loihi.cost import Interval, microcontroller_work
from lnn2loihi.cost.basis import MET, difference_of, ratio_of
from lnn2loihi.cost.markdown import parameter_markdown
from lnn2loihi.cost.microcontroller_model import PARAMETERS, MicrocontrollerBasis
from lnn2loihi.cost.sample_work import SPARSE_COST, MicrocontrollerWork
from lnn2loihi.devices import Figure, with_prefix
from lnn2loihi.tables import markdown_table, percent_met

ROOT = Path(__file__).parent.parent
MODELS = Path(l2l.__file__).parent / "models"
#: MLPerf Tiny, anomaly detection: uJ an inference, inferences a second, while energy was measured.
PUBLISHED = {
    "mcu-gap9": (5.252, 3683.0), "mcu-stm32u385": (31.83, 185.2), "mcu-efr32xg24": (47.30, 184.3),
    "mcu-stm32u575": (77.24, 313.8), "mcu-stm32l4r5": (160.4, 208.0),
    "mcu-stm32h7a3": (165.7, 818.3), "mcu-ra6m4": (324.1, 219.6),
}  # fmt: skip
#: Of its network, a fully connected autoencoder.
MULTIPLY_ACCUMULATES = 264_192
U385 = l2l.load_device("mcu-stm32u385")
T_MAC, T_NIN, P_RUN, P_SLEEP = (U385.value(name) for name in PARAMETERS)


def shipped(name: str) -> l2l.LoihiProgram:
    return l2l.load(MODELS / f"{name}.l2l")


def with_figures(device: l2l.Device, **values: float) -> l2l.Device:
    """The device with other figures, without a range."""
    figures = dict(device.figures)
    for name, value in values.items():
        figures[name] = Figure(value, value, value, figures[name].unit, "test", "assumed")
    return replace(device, figures=figures)


class TestProfiles:
    def test_those_that_are_promised(self) -> None:
        kinds = {name: l2l.load_device(name).kind for name in l2l.device_names()}
        assert {name for name, kind in kinds.items() if kind == "mcu"} == {*PUBLISHED}

    @pytest.mark.parametrize("name", PUBLISHED)
    def test_figures_give_back_what_was_published(self, name: str) -> None:
        device, (microjoules, rate) = l2l.load_device(name), PUBLISHED[name]
        seconds = MULTIPLY_ACCUMULATES * device.value("time_per_multiply_accumulate")
        assert 1.0 / seconds == pytest.approx(rate, rel=0.01)
        energy = seconds * device.value("active_power")
        assert energy * 1e6 == pytest.approx(microjoules, rel=0.01)

    @pytest.mark.parametrize("name", PUBLISHED)
    def test_ranges_and_grades(self, name: str) -> None:
        device = l2l.load_device(name)
        time = device.figure("time_per_multiply_accumulate")
        assert time.low * 2 == pytest.approx(time.value, rel=0.01)
        assert time.high / 2 == pytest.approx(time.value, rel=0.01)
        cycles = device.value("time_per_neuron_instruction") * device.value("clock")
        assert cycles == pytest.approx(
            {"mcu-stm32h7a3": 2.0, "mcu-gap9": 3 / 8}.get(name, 3.0), 0.01
        )
        grades = {figure: device.figure(figure).grade for figure in PARAMETERS}
        assert grades == dict(zip(PARAMETERS, ("calibrated", "assumed", "measured", "assumed"),
                                  strict=True))  # fmt: skip
        assert "mlcommons/tiny_results_v" in device.figure("active_power").source

    def test_the_command_line_lists_and_shows_them(self, run: Run) -> None:
        code, out, _ = run("devices")
        assert code == 0 and all(name in out for name in PUBLISHED)
        code, out, _ = run("devices", "mcu-stm32u385")
        assert code == 0 and "NUCLEO_U385RG_Q/ad/energy/results.txt: 5.896 mW" in out
        code, out, _ = run("devices", "mcu-stm32u385", "--markdown")
        assert code == 0 and out.strip() == parameter_markdown(U385)

    def test_sleep_is_a_part_of_what_it_draws(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.toml"
        path.write_text(
            'title = "Mine"\nextends = "mcu-stm32u385"\n[figures.sleep_power]\nvalue = 1\nlow = 1\n'
            'high = 1\nunit = "W"\ngrade = "assumed"\nsource = "test"\n'
        )
        with pytest.raises(l2l.DeviceError, match="sleep_power .* is more than active_power"):
            l2l.load_device(path)


class TestWork:
    def test_dense_rows_by_hand(self) -> None:
        program = dense_program(8, inputs=4, outputs=2)
        work = microcontroller_work(program)
        dense = sum(c.rows * c.source_size for c in program.connections)
        assert work.multiply_accumulates == dense == program.synapses
        sizes = {p.name: p.size * p.program.instruction_count for p in program.populations}
        assert work.neuron_instructions == sum(sizes.values())

    def test_a_sparse_row_is_listed_where_that_is_less(self) -> None:
        program = dense_program(8, inputs=4, outputs=2)
        (wide, *others) = program.connections
        few = np.zeros((wide.rows, wide.source_size), np.int8)
        few[:, 0] = 1
        for count, weights in ((wide.rows, few), (wide.rows * wide.source_size, few + 1)):
            sparse = l2l.Connection.from_dense(
                wide.source, wide.target, wide.accumulators, weights, delay=wide.delay
            )
            changed = replace(program, connections=(sparse, *others))
            rest = sum(c.synapses for c in others)
            expected = min(SPARSE_COST * count, wide.rows * wide.source_size)
            assert microcontroller_work(changed).multiply_accumulates == rest + expected

    def test_an_update_for_each_substep(self) -> None:
        network = random_ltc(1, inputs=2, units=3)
        program = l2l.quantize(network, random_samples(1, 2, 3, 2))
        assert program.substeps > 1
        once, work = (microcontroller_work(p) for p in (replace(program, substeps=1), program))
        assert work.multiply_accumulates == program.substeps * once.multiply_accumulates
        assert work.neuron_instructions == program.substeps * once.neuron_instructions
        assert work.flash_memory == once.flash_memory

    def test_kernels_are_held_once(self) -> None:
        pytest.importorskip("h5py")
        program = l2l.import_program(MODELS / "moving_ball" / "front.net")
        shared = [c for c in program.connections if isinstance(c, l2l.Convolution)]
        listed = replace(
            program,
            connections=tuple(
                c.unrolled() if isinstance(c, l2l.Convolution) else c for c in program.connections
            ),
        )
        work, unrolled = microcontroller_work(program), microcontroller_work(listed)
        assert shared and work.neuron_instructions == unrolled.neuron_instructions
        assert work.flash_memory < unrolled.flash_memory
        assert work.multiply_accumulates <= unrolled.multiply_accumulates

    def test_negative_counts_are_refused(self) -> None:
        with pytest.raises(l2l.InputError, match="multiply_accumulates is -1, expected 0 or more"):
            MicrocontrollerWork("x", -1, 1, 1, 1, 1)


class TestModel:
    program = dense_program(8, inputs=4, outputs=2)
    work = microcontroller_work(program)
    time = work.multiply_accumulates * T_MAC + work.neuron_instructions * T_NIN

    def test_full_speed_by_hand(self) -> None:
        found = l2l.estimate_microcontroller(self.program, U385)
        assert found.sample_time.value == pytest.approx(self.time, rel=1e-12)
        assert found.latency == found.sample_time and found.rate_met is None
        assert found.throughput.value == pytest.approx(1 / self.time, rel=1e-12)
        assert found.energy["total"].value == pytest.approx(P_RUN * self.time, rel=1e-12)
        assert found.energy["sleep"] == Interval(0.0, 0.0, 0.0, "J")
        assert found.power["total"].value == pytest.approx(P_RUN, rel=1e-12)
        assert found.tier == "CALIBRATED-ESTIMATE"

    def test_at_a_rate_it_sleeps_in_between(self) -> None:
        found = l2l.estimate_microcontroller(self.program, U385, rate=100.0)
        expected = P_RUN * self.time + P_SLEEP * (0.01 - self.time)
        assert found.energy["total"].value == pytest.approx(expected, rel=1e-12)
        assert found.power["total"].value == pytest.approx(100 * expected, rel=1e-12)
        assert found.rate_met == 1.0 and found.throughput == Interval(100.0, 100.0, 100.0, "Hz")

    def test_copies_take_turns_as_long_as_the_upper_end_meets_the_rate(self) -> None:
        alone = l2l.estimate_microcontroller(self.program, U385, rate=100.0)
        most = int(0.01 / alone.sample_time.high)
        found = l2l.estimate_microcontroller(self.program, U385, rate=100.0, copies=2 * most + 1)
        assert (found.parts, found.copies_per_part) == (3, -(-(2 * most + 1) // 3))
        assert found.latency.value == pytest.approx(found.copies_per_part * self.time, rel=1e-12)
        asleep = 3 * 0.01 / found.copies - self.time
        expected = P_RUN * self.time + P_SLEEP * asleep
        assert found.energy["total"].value == pytest.approx(expected, rel=1e-12)
        assert found.throughput.value == pytest.approx(100.0 * found.copies, rel=1e-12)
        assert any("copies take turns on a part" in note for note in found.notes)

    def test_copies_share_weights_and_need_room_for_their_states(self) -> None:
        program = shipped("families/occupancy_gru_w4a8x12")
        work = microcontroller_work(program)
        room = work.message_memory + 5 * work.state_memory
        device = with_figures(U385, working_memory=room, flash_memory=work.flash_memory)
        assert l2l.estimate_microcontroller(program, device, copies=5).parts == 1
        found = l2l.estimate_microcontroller(program, device, copies=6)
        assert (found.parts, found.copies_per_part) == (2, 3)
        assert found.working_memory == work.working_memory(3)

    def test_a_rate_that_the_upper_end_misses_is_said(self) -> None:
        found = l2l.estimate_microcontroller(self.program, U385, rate=0.9 / self.time, copies=3)
        assert found.parts == 3 and found.rate_met is not None and 0.2 < found.rate_met < 0.9
        assert any(f"in {percent_met(found.rate_met)} of the draws" in note for note in found.notes)

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        rate=st.none() | st.floats(1e-6, 500.0),
        copies=st.integers(1, 10**9),
        device=st.sampled_from([*PUBLISHED]),
    )
    def test_whatever_is_asked_adds_up(self, rate: float | None, copies: int, device: str) -> None:
        found = l2l.estimate_microcontroller(
            self.program, device, rate=rate, copies=copies, draws=100
        )
        assert found.parts <= copies <= found.parts * found.copies_per_part
        assert (found.copies_per_part - 1) * found.parts < copies
        terms = [i.value for name, i in found.energy.items() if name != "total"]
        assert found.energy["total"].value == pytest.approx(sum(terms), rel=1e-12)
        assert all(i.low <= i.value <= i.high for i in found.energy.values())
        if rate is not None and found.rate_met is not None:
            assert found.copies_per_part == 1 or found.rate_met >= MET
        json.dumps(found.to_dict(), allow_nan=False)
        assert found.device in found.summary()

    def test_ratios_are_drawn_together(self) -> None:
        slow, fast = (
            l2l.estimate_microcontroller(self.program, U385, rate=rate).basis
            for rate in (1.0, 100.0)
        )
        assert ratio_of(slow, slow, "total") == Interval(1.0, 1.0, 1.0, "1")
        assert difference_of(fast, fast, "total", "J") == Interval(0.0, 0.0, 0.0, "J")
        both = ratio_of(slow, fast, "total")
        assert 1.0 < both.low < both.value < both.high < 100.0
        run = l2l.simulate(self.program, np.zeros((1, 2, 4)))
        counts = l2l.workload(l2l.place(self.program, "loihi2-oheo-gulch"), run.counters)
        chip = l2l.estimate(counts, "loihi2-oheo-gulch", rate=100.0).basis
        for name in ("total_full_chip", "total_pro_rata", "latency", "throughput"):
            against = ratio_of(chip, fast, name)
            assert against.value == chip.results[name][0] / fast.results[name][0]

    @pytest.mark.parametrize(
        ("wrong", "what"),
        [
            ({"parts": 2}, "1 copies are on 2 parts"),
            ({"draws": 3}, "it has 3 draws of seed 0"),
            ({"rate": float("inf")}, "its rate is inf"),
            ({"figures": {}}, "its figures are none, expected time_per_multiply_accumulate"),
        ],
    )
    def test_a_basis_that_makes_no_sense(self, wrong: dict[str, Any], what: str) -> None:
        basis = l2l.estimate_microcontroller(self.program, U385).basis
        with pytest.raises(l2l.InputError, match=what):
            MicrocontrollerBasis(**{**vars_of(basis), **wrong})


def vars_of(basis: MicrocontrollerBasis) -> dict[str, Any]:
    names = ("work", "figures", "rate", "copies", "parts", "draws", "seed")
    return {name: getattr(basis, name) for name in names}


class TestReference:
    """What an independent recheck expects, energy-2.md section 8: a factor 2 either way."""

    def test_damped_sine(self) -> None:
        found = l2l.estimate_microcontroller(shipped("damped_sine/w4a8x12"), U385)
        assert 0.4e-6 < found.energy["total"].value < 0.8e-6
        assert 30e-6 < found.sample_time.value < 110e-6
        paced = l2l.estimate_microcontroller(shipped("damped_sine/w4a8x12"), U385, rate=100.0)
        assert paced.energy["sleep"].value == pytest.approx(0.1e-6, rel=0.02)

    @pytest.mark.parametrize(
        ("device", "energy", "time"),
        [("mcu-stm32u385", 10e-6, 1.75e-3), ("mcu-stm32u575", 25e-6, 1.0e-3),
         ("mcu-stm32h7a3", 53e-6, 0.39e-3), ("mcu-gap9", 1.7e-6, 88e-6)],
    )  # fmt: skip
    def test_walker2d(self, device: str, energy: float, time: float) -> None:
        found = l2l.estimate_microcontroller(shipped("walker2d/w8a12"), device)
        part = l2l.load_device(device)
        synapses = found.energy["multiply_accumulates"].value
        assert synapses == pytest.approx(energy, rel=0.08)
        assert synapses / part.value("active_power") == pytest.approx(time, rel=0.08)
        assert found.energy["total"].low < energy < found.energy["total"].value < 1.3 * energy


class TestRefused:
    program = dense_program(8, inputs=4, outputs=2)

    def test_a_rate_says_which_term_is_the_longest_and_whose(self) -> None:
        with pytest.raises(l2l.RateError) as caught:
            l2l.estimate_microcontroller(self.program, U385, rate=1e6)
        needed = caught.value.needed
        assert caught.value.available == 1e-6
        for text in (
            f"a sample needs {with_prefix(needed, 's')}", "has 1.00 us",
            "leave a probability of 0 %",
            "the neuron instructions take longest (time_per_neuron_instruction of mcu-stm32u385, "
            "31.2 ns, assumed)", f"about {with_prefix(1 / needed, 'Hz', 4)}",
        ):  # fmt: skip
            assert text in str(caught.value)
        with pytest.raises(l2l.RateError, match="the multiply-accumulates take longest"):
            l2l.estimate_microcontroller(shipped("walker2d/w8a12"), U385, rate=1e4, copies=7)

    def test_other_devices(self) -> None:
        with pytest.raises(
            l2l.DeviceError, match="is a loihi; .* micro-controllers: mcu-efr32xg24"
        ):
            l2l.estimate_microcontroller(self.program, "loihi1")
        run = l2l.simulate(self.program, np.zeros((1, 2, 4)))
        counts = l2l.workload(l2l.place(self.program), run.counters)
        with pytest.raises(l2l.DeviceError, match="is a mcu; .*, estimate_microcontroller is for"):
            l2l.estimate(counts, U385)

    def test_no_room_says_how_much_there_is_and_where_there_is_room(self) -> None:
        work = microcontroller_work(self.program)
        small = with_figures(U385, flash_memory=work.flash_memory - 1, working_memory=1)
        with pytest.raises(l2l.DeviceError) as caught:
            l2l.estimate_microcontroller(self.program, small)
        problems: tuple[str, ...] = caught.value.problems
        assert len(problems) == 3
        flash, ram, fits = problems
        assert f"needs at least {work.flash_memory:,} B of flash memory" in flash
        assert f"it has {work.flash_memory - 1:,} B" in flash
        assert f"needs at least {work.working_memory(1):,} B of RAM" in ram
        assert "fewer units or fewer bits a weight" in fits and "mcu-gap9" in fits

    def test_nothing_is_for_free_but_sleep(self) -> None:
        found = l2l.estimate_microcontroller(
            self.program, with_figures(U385, sleep_power=0.0), rate=1e-6
        )
        assert found.energy["sleep"] == Interval(0.0, 0.0, 0.0, "J") and found.summary()
        free = with_figures(U385, active_power=0.0, time_per_neuron_instruction=0.0)
        with pytest.raises(l2l.DeviceError) as caught:
            l2l.estimate_microcontroller(self.program, free)
        assert [text.split()[0] for text in caught.value.problems] == [
            "time_per_neuron_instruction", "active_power"
        ]  # fmt: skip

    @pytest.mark.parametrize("wrong", [{"copies": 0}, {"rate": 0.0}, {"draws": 1}, {"seed": -1}])
    def test_arguments_that_make_no_sense(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(l2l.InputError, match=next(iter(wrong))):
            l2l.estimate_microcontroller(self.program, U385, **wrong)


@pytest.mark.skipif(not (ROOT / "docs" / "cost.md").is_file(), reason="the documents are not there")
def test_the_tables_of_the_documents() -> None:
    document = (ROOT / "docs" / "cost.md").read_text()
    assert parameter_markdown(U385) in document
    programs = [shipped("damped_sine/w4a8x12"), shipped("walker2d/w8a12")]
    rows: list[tuple[str, ...]] = []
    for name in sorted(PUBLISHED):
        cells = [f"`{name}`"]
        for program in programs:
            found = l2l.estimate_microcontroller(program, name)
            cells += [str(found.sample_time), str(found.energy["total"])]
        rows.append(tuple(cells))
    titles = ("part", "damped_sine, time", "energy", "walker2d, time", "energy")
    assert markdown_table(titles, rows) in document
