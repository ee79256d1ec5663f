"""Programs in C, here and on parts that emulators stand for: every word of every update is equal,
and what is missing, fails or hangs is named.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run
from engines import assert_same, random_start, zoo_program
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_samples
from programs import Sizes, random_program
from stock_programs import random_stock_program
from test_streams import TIMED
from wide_programs import reaching_program

import lnn2loihi as l2l
from lnn2loihi.errors import (
    BackendMissingError,
    CompiledRunError,
    DeviceError,
    InputError,
    UnfitProgramError,
)
from lnn2loihi.frozen import identical
from lnn2loihi.measure import against_names
from lnn2loihi.micro import tools
from lnn2loihi.micro.counting import count
from lnn2loihi.micro.driver import Driver
from lnn2loihi.micro.elf import read_elf
from lnn2loihi.micro.parts import PARTS
from lnn2loihi.micro.processes import run_child
from lnn2loihi.micro.room import FLAGS, weight_bits
from lnn2loihi.profiling.microcontrollers import microcontroller_rows
from lnn2loihi.simulation.choice import execution
from lnn2loihi.simulation.executor import EXECUTORS
from lnn2loihi.simulation.native.cache import is_whole

MODELS = Path(l2l.__file__).with_name("models")
HOST, ARM, RISCV, WASM = "c99", "c99:cortex-m@qemu", "c99:rv32@qemu", "c99:wasm"
PLAIN = random_program(3, Sizes(inputs=3, layers=(6, 4), readout=2))


def tools_of(name: str) -> Any:
    """A marker: skipped where the tools of an executor are not here, which is said."""
    reason = execution(name).reason_against(PLAIN)
    return pytest.mark.skipif(bool(reason), reason=reason)


def needs(name: str) -> Any:
    """The name of an executor, with that marker."""
    return pytest.param(name, marks=tools_of(name))


EVERY = [needs(name) for name in (HOST, ARM, RISCV, WASM)]
PART = [
    pytest.param(name, marks=needs(ARM if part.emulator == "qemu-arm" else RISCV).marks)
    for name, part in PARTS.items()
]
NEEDS_ARM = tools_of(ARM)


def initial_state(program: l2l.LoihiProgram, batch: int, seed: int) -> dict[str, dict[str, Any]]:
    """States that differ from sequence to sequence, the ends of their ranges among them."""
    rng = np.random.default_rng(seed)
    found: dict[str, dict[str, Any]] = {}
    for p in program.populations:
        found[p.name] = {}
        for word, bits in p.program.states:
            low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
            if word == p.program.message_state:
                low, high = p.message_low, p.message_high
            drawn = rng.integers(low, high + 1, (batch, p.size))
            ends = rng.choice([low, high], (batch, p.size))
            found[p.name][word] = np.where(rng.random((batch, p.size)) < 0.2, ends, drawn)
    return found


class TestEquality:
    @settings(max_examples=6)
    @given(
        seed=st.integers(0, 10**6), layers=st.lists(st.integers(1, 7), min_size=1, max_size=3),
        density=st.sampled_from([0.3, 1.0]), extreme=st.booleans(), delayed=st.booleans(),
        bits=st.sampled_from([2, 4, 8]), message=st.sampled_from([8, 12, 16]),
    )  # fmt: skip
    def test_on_this_machine(
        self, seed: int, layers: list[int], density: float, extreme: bool, delayed: bool,
        bits: int, message: int,
    ) -> None:  # fmt: skip
        program = random_program(seed, Sizes(
            layers=tuple(layers), density=density, extreme=extreme, skip_delay=delayed,
            weight_bits=bits, message_bits=message,
        ))  # fmt: skip
        x = 3.0 * random_samples(seed, 3, 7, program.channels)
        begun = initial_state(program, 3, seed)
        assert l2l.verify(program, x, f"reference,{HOST}", initial_state=begun).bit_exact

    @pytest.mark.parametrize("name", EVERY)
    def test_states_lengths_and_counters_are_those_of_ours(self, name: str) -> None:
        for program, seed in ((PLAIN, 1), (TIMED, 2)):
            given: dict[str, Any] = {"x": 3.0 * random_samples(seed, 4, 6, 3)}
            if program.timed:
                given["timespans"] = np.abs(random_samples(seed, 4, 6, 1))[..., 0]
            given |= {"lengths": [6, 0, 3, 1], "return_states": True, "step_totals": True,
                      "initial_state": initial_state(program, 4, seed)}  # fmt: skip
            found = l2l.simulate(program, engine=name, **given)
            expected = l2l.simulate(program, engine="blas", **given)
            assert found.saturated_inputs and found.saturated_words is not None
            assert_same(found, expected)
            assert identical(found.counters, expected.counters)

    @pytest.mark.parametrize("name", EVERY)
    @pytest.mark.parametrize(
        "program", [reaching_program(), random_stock_program(0), zoo_program(0, (3, 5, 2))],
        ids=["messages of 24 bits", "stock neurons", "every operation"],
    )  # fmt: skip
    def test_programs_of_every_kind(self, program: l2l.LoihiProgram, name: str) -> None:
        rng = np.random.default_rng(0)
        low, high = program.input.low, program.input.high
        x = rng.integers(low, high + 1, (2, 6, low.size))
        x = np.where(rng.random(x.shape) < 0.3, rng.choice([0, 1], x.shape) * (high - low) + low, x)
        begun = random_start(program, 0, 2)
        found = l2l.verify(
            program, x, f"reference,{name}", encoded=True, initial_state=begun
        )  # fmt: skip
        assert found.bit_exact

    @pytest.mark.parametrize("name", EVERY)
    def test_each_update_of_a_sample_and_the_whole_of_it(self, name: str) -> None:
        program = l2l.load(MODELS / "families" / "occupancy_ltc_w4a8x12.l2l")
        assert program.substeps > 1
        x = random_samples(0, 2, 5, program.channels)
        spans = np.abs(random_samples(0, 2, 5, 1))[..., 0] if program.timed else None
        found = l2l.verify(program, x, f"reference,{name}", timespans=spans)
        assert found.bit_exact and "c99" in found.executors[1]

    def test_streams_go_on_from_the_state(self) -> None:
        x = random_samples(0, 1, 4, 3)
        stream = l2l.open_stream(PLAIN, HOST)
        found = [stream.step(sample).tolist() for sample in x[0]]
        assert found == l2l.simulate(PLAIN, x).outputs[0].tolist()

    def test_a_sample_that_does_not_agree_with_its_updates_is_seen(self) -> None:
        """The step function is compared, not a copy of it."""
        text = Driver(replace(PLAIN, substeps=3))._run()
        assert "net_update(&each, in);" in text and "if ((t + 1) % 3 == 0)" in text
        assert "net_step(&net, in, out);" in text


class TestNames:
    def test_colons_are_part_of_them(self, run: Run, tmp_path: Path) -> None:
        assert {HOST, ARM, RISCV, WASM} <= set(EXECUTORS.names())
        assert {f"cpu:{name}" for name in (HOST, WASM)} <= set(against_names())
        l2l.save(PLAIN, tmp_path / "net.l2l")
        np.save(tmp_path / "x.npy", random_samples(0, 1, 3, 3))
        code, out, err = run(
            "verify", str(tmp_path / "net.l2l"), "-i", str(tmp_path / "x.npy"),
            "--executors", f"reference, {HOST}",
        )  # fmt: skip
        assert (code, err) == (0, "") and "c99 (" in out


class TestMissing:
    """Exit code 3, and the package to install."""

    @pytest.fixture
    def nothing(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        for variable in ("CC", tools.ZIG_VARIABLE):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setattr(tools, "find_spec", lambda name: None)

    @pytest.mark.parametrize(
        ("name", "texts"),
        [
            (HOST, ["no C compiler was found: apt-get install gcc libc6-dev"]),
            (ARM, ["pip install ziglang, or apt-get install gcc-arm-none-eabi",
                   "qemu-arm: was not found: apt-get install qemu-user"]),
            (RISCV, ["pip install ziglang, or apt-get install gcc-riscv64-unknown-elf",
                     "qemu-riscv32: was not found: apt-get install qemu-user"]),
            (WASM, ["compiler for WebAssembly: none was found: pip install ziglang",
                    "neither node nor wasmtime was found: apt-get install nodejs"]),
        ],
    )  # fmt: skip
    def test_executors_say_what_to_install(
        self, name: str, texts: list[str], nothing: None
    ) -> None:
        with pytest.raises(BackendMissingError) as caught:
            l2l.verify(PLAIN, random_samples(0, 1, 2, 3), f"reference,{name}")
        assert caught.value.exit_code == 3
        for text in (*texts, "executors that are here: reference,"):
            assert text in str(caught.value)

    def test_footprints_say_it_too(self, nothing: None, run: Run, tmp_path: Path) -> None:
        l2l.save(PLAIN, tmp_path / "net.l2l")
        code, out, err = run("footprint", str(tmp_path / "net.l2l"))
        assert (code, out) == (3, "") and "pip install ziglang" in err

    @pytest.mark.parametrize("chosen", ["/none/zig", '"'])
    def test_a_variable_that_names_no_zig(
        self, chosen: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(tools.ZIG_VARIABLE, chosen)
        with pytest.raises(BackendMissingError, match="LNN2LOIHI_ZIG is"):
            tools.zig()

    def test_other_compilers_are_taken_where_there_is_no_zig(
        self, nothing: None, tmp_path: Path
    ) -> None:
        for name in ("arm-none-eabi-gcc", "zig"):
            (tmp_path / name).write_text("#!/bin/sh\n")
            (tmp_path / name).chmod(0o755)
            found = tools.cross_compiler(PARTS["cortex-m4"])
            assert found[0] == str(tmp_path / name)
        assert found[1:3] == ("cc", "-target")


class TestFailures:
    """What fails says who and how; nothing runs on, nothing half-written stays."""

    def _child(self, tmp_path: Path, code: str, **options: Any) -> None:
        (tmp_path / "in").write_bytes(b"")
        run_child("executor x", (sys.executable, "-c", code), tmp_path, tmp_path / "in",
                  tmp_path / "out", **options)  # fmt: skip

    def test_an_exit_code_with_what_was_said(self, tmp_path: Path) -> None:
        with pytest.raises(CompiledRunError, match=r"(?s)executor x: .*exit code 4:\nalas"):
            self._child(tmp_path, "import sys; print('alas', file=sys.stderr); sys.exit(4)")

    def test_a_signal(self, tmp_path: Path) -> None:
        with pytest.raises(CompiledRunError, match=r"ended by signal 9 \(Killed\).*memory"):
            self._child(tmp_path, "import os; os.kill(os.getpid(), 9)")

    def test_one_that_hangs_is_ended_with_its_children(self, tmp_path: Path) -> None:
        code = (
            "import os, time\nif not os.fork():\n time.sleep(900)\n"
            "open('pid', 'w').write(str(os.getpid()))\ntime.sleep(900)"
        )
        with pytest.raises(CompiledRunError, match=r"written nothing for 0.5 s.*hangs"):
            self._child(tmp_path, code, stalled=0.5)
        pid = tmp_path / "pid"
        assert not pid.exists() or not Path("/proc", pid.read_text()).exists()

    def test_one_that_is_not_there(self, tmp_path: Path) -> None:
        (tmp_path / "in").write_bytes(b"")
        with pytest.raises(CompiledRunError, match="cannot be started: No such file"):
            run_child("x", (str(tmp_path / "no"),), tmp_path, tmp_path / "in", tmp_path / "out")

    def test_what_a_watcher_raises_ends_it(self, tmp_path: Path) -> None:
        def watch(written: int) -> None:
            raise KeyboardInterrupt

        code = (
            "import os, sys, time\nopen('pid', 'w').write(str(os.getpid()))\n"
            "sys.stdout.write('x'); sys.stdout.flush(); time.sleep(900)"
        )
        with pytest.raises(KeyboardInterrupt):
            self._child(tmp_path, code, watch=watch)
        assert not Path("/proc", (tmp_path / "pid").read_text()).exists()

    def test_a_compiler_that_fails(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._compiler(tmp_path, monkeypatch, "echo 'no such option' >&2; exit 3")
        with pytest.raises(BackendMissingError, match=r"(?s)executor c99: .*code 3:\nno such opt"):
            l2l.verify(PLAIN, random_samples(0, 1, 2, 3), f"reference,{HOST}")
        assert list((tmp_path / "cache").iterdir()) == []

    def test_a_program_that_c_cannot_take(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def write(*given: Any) -> None:
            raise l2l.ProgramError("program", "is too large to be listed")

        monkeypatch.setattr(type(EXECUTORS.get(HOST)), "write", write)
        x = random_samples(0, 1, 2, 3)
        text = "is too large to be listed; the executors c and blas run it"
        with pytest.raises(UnfitProgramError, match=text) as caught:
            l2l.verify(PLAIN, x, f"reference,{HOST}")
        assert caught.value.exit_code == 1
        assert text in l2l.verify(PLAIN, x, "all").missing[HOST]

    def test_a_folder_that_is_not_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert l2l.verify(PLAIN, random_samples(0, 1, 2, 3), f"reference,{HOST}").bit_exact
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
        with pytest.raises(CompiledRunError, match="cannot be written .* set TMPDIR"):
            l2l.verify(PLAIN, random_samples(0, 1, 2, 3), f"reference,{HOST}")

    def test_what_is_cut_off_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(CompiledRunError, match="exit code 2: it could not read all"):
            self._child(tmp_path, "import sys; sys.exit(2)")

    def test_a_compiler_that_writes_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self._compiler(tmp_path, monkeypatch, "exit 0")
        with pytest.raises(BackendMissingError, match="without an error and wrote no program"):
            l2l.verify(PLAIN, random_samples(0, 1, 2, 3), f"reference,{HOST}")

    @pytest.mark.parametrize(
        ("body", "text"),
        [("exit 0", "wrote 0 words, [0-9]+ were expected"), ("exit 5", "exit code 5"),
         ("head -c 99999 /dev/zero", "wrote [0-9,]+ words")],
    )  # fmt: skip
    def test_a_program_that_answers_otherwise(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, text: str
    ) -> None:
        made = tmp_path / "made"
        made.write_text(f"#!/bin/sh\n{body}\n")
        made.chmod(0o755)
        monkeypatch.setattr(type(EXECUTORS.get(HOST)), "call", lambda self, built: (str(made),))
        with pytest.raises(CompiledRunError, match=f"executor c99: .*{text}"):
            l2l.verify(PLAIN, random_samples(0, 1, 2, 3), f"reference,{HOST}")

    def _compiler(self, folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
        script = folder / "broken-cc"
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)
        monkeypatch.setenv("CC", str(script))
        monkeypatch.setenv("LNN2LOIHI_CACHE", str(folder / "cache"))


class TestCache:
    def test_programs_are_kept_and_what_is_damaged_is_made_anew(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LNN2LOIHI_CACHE", str(tmp_path))
        x = random_samples(0, 1, 2, 3)
        assert l2l.verify(PLAIN, x, f"reference,{HOST}").bit_exact
        (kept,) = tmp_path.iterdir()
        content, time = kept.read_bytes(), kept.stat().st_mtime_ns
        assert is_whole(content)
        assert l2l.verify(PLAIN, x, f"reference,{HOST}").bit_exact
        assert kept.stat().st_mtime_ns == time
        kept.write_bytes(content[:-1])
        assert l2l.verify(PLAIN, x, f"reference,{HOST}").bit_exact
        assert is_whole(kept.read_bytes()) and [*tmp_path.iterdir()] == [kept]


class Counted:
    """A network of one input whose step is a loop that anybody can count: 2 n + 2 instructions."""

    header = (
        "#include <stdint.h>\ntypedef struct { int32_t x; } net_state;\n"
        "void net_reset(net_state *net);\n"
        "void net_step(net_state *net, const int32_t *input, int32_t *output);\n"
    )
    words: dict[tuple[str, str], Any] = {}
    source = (
        '#include "net.h"\nvoid net_reset(net_state *net) { net->x = 0; }\n'
        "__attribute__((naked)) void net_step(net_state *net, const int32_t *input, "
        "int32_t *output)\n{\n#ifdef __arm__\n"
        '__asm__ volatile(".syntax unified\\nldr r3, [r1]\\n"\n'
        '"1: subs r3, #1\\nbne 1b\\nbx lr");\n#else\n'
        '__asm__ volatile("lw t0, 0(a1)\\n1: addi t0, t0, -1\\nbnez t0, 1b\\nret");\n#endif\n}\n'
    )


@pytest.mark.parametrize("part", PART)
def test_instructions_are_those_that_are_counted_by_hand(part: str) -> None:
    program = random_program(0, Sizes(inputs=1, layers=(1,), readout=1))
    numbers = np.array([[1], [7], [1000], [2]])
    found = count(program, Counted(), PARTS[part], FLAGS["size"], numbers)
    assert found.instructions.tolist() == [4, 16, 2002, 6]
    assert found.stack == 0


class TestFootprint:
    @pytest.mark.parametrize("part", PART[:1] + PART[-1:])
    def test_it_is_counted(self, part: str) -> None:
        found = l2l.footprint(PLAIN, part, samples=2)
        state = sum(p.size for p in PLAIN.populations)
        assert state <= found.ram <= 16 * state and found.ram % 2 == 0
        assert 500 < found.flash < 8000 and 0 < found.stack < 1000
        least, median, most = found.instructions
        assert 100 < least <= median <= most
        assert f"{found.flash:,} B" in found.summary() and found.to_dict()["part"] == part
        device = replace(l2l.load_device("mcu-stm32u385"), core="")
        other = l2l.footprint(PLAIN, part, goal="speed", samples=2, device=device)
        assert other.ram == found.ram and other.instructions != found.instructions
        assert (other.flash_there, other.ram_there) == (1 << 20, 1 << 18)
        assert other.device == "mcu-stm32u385"

    @pytest.mark.parametrize("part", PART[:1])
    def test_no_room(self, part: str) -> None:
        with pytest.raises(DeviceError) as caught:
            l2l.footprint(PLAIN, part, flash=100, ram=2)
        text = str(caught.value)
        assert "there are 100 B: " in text and "RAM: 'random" in text
        assert "no fewer units help, since its code alone is" in text
        assert "no such network fits: take a part" in text
        need = l2l.footprint(PLAIN, part, samples=1)
        with pytest.raises(DeviceError, match="would fit by the rule .*train fewer units; take a"):
            l2l.footprint(PLAIN, part, flash=need.flash - 1)
        assert l2l.footprint(
            PLAIN, part, samples=1, flash=need.flash, ram=need.ram + need.stack
        ) == replace(need, flash_there=need.flash, ram_there=need.ram + need.stack)
        with pytest.raises(DeviceError, match=f"needs {need.ram + need.stack} B"):
            l2l.footprint(PLAIN, part, samples=1, ram=need.ram + need.stack - 1)

    @NEEDS_ARM
    def test_narrower_weights_that_fit_are_compiled_and_their_recipe_is_named(self) -> None:
        program = l2l.load(MODELS / "damped_sine" / "w4a8x12.l2l")
        assert isinstance(program, l2l.LoihiProgram) and weight_bits(program) == 4
        need = l2l.footprint(program, "cortex-m4", samples=1).flash

        def told(flash: int) -> tuple[str, int]:
            with pytest.raises(DeviceError) as caught:
                l2l.footprint(program, "cortex-m4", flash=flash)
            found = re.search(
                r"recipe (w\da8x12)-ramp12(?:,| it) (?:which )?needs ([\d,]+) B", str(caught.value)
            )
            assert found is not None, str(caught.value)
            return found[1], int(found[2].replace(",", ""))

        recipe, wide = told(need - 1)
        assert recipe == "w3a8x12" and wide < need
        recipe, narrow = told(wide - 1)
        assert recipe == "w2a8x12" and narrow < wide
        with pytest.raises(
            DeviceError, match=f"even with recipe w2a8x12-ramp12 it needs {narrow:,}"
        ):
            l2l.footprint(program, "cortex-m4", flash=narrow - 1)

    @NEEDS_ARM
    def test_on_a_device_time_and_energy_are_those_of_profile(self) -> None:
        found = l2l.footprint(PLAIN, device="mcu-stm32u385", samples=1)
        expected = l2l.estimate_microcontroller(PLAIN, "mcu-stm32u385", counted=found.counted)
        assert found.estimate is not None and found.estimate.to_dict() == expected.to_dict()
        (row, *_) = microcontroller_rows(
            PLAIN, [l2l.load_device("mcu-stm32u385")], None, 1, None, count_instructions=True
        )
        assert row.source.startswith("instructions counted")
        text, document = found.summary(), found.to_dict()
        assert "full speed; CALIBRATED-ESTIMATE" in text and "energy" in text
        assert document["estimate"]["energy"]["total"]["value"] > 0 and json.dumps(document)
        assert l2l.footprint(PLAIN, "cortex-m33", samples=1).estimate is None
        figures = {
            n: f for n, f in l2l.load_device("mcu-stm32u385").figures.items() if n != "clock"
        }
        lacking = replace(l2l.load_device("mcu-stm32u385"), figures=figures)
        without = l2l.footprint(PLAIN, device=lacking, samples=1)
        assert without.estimate is None
        assert any(
            "not estimated: device 'mcu-stm32u385': has no clock" in n for n in without.notes
        )

    @pytest.mark.parametrize("part", PART[:1])
    def test_the_other_goal_is_named_where_it_fits(self, part: str) -> None:
        small = l2l.footprint(PLAIN, part, samples=1).flash
        with pytest.raises(DeviceError, match=f"goal 'size', which needs {small:,} B and fits"):
            l2l.footprint(PLAIN, part, goal="speed", flash=small)
        with pytest.raises(DeviceError, match=f"'size' it needs {small:,} B, which is too much"):
            l2l.footprint(PLAIN, part, goal="speed", flash=small - 1)

    @pytest.mark.parametrize(
        ("part", "device", "said"),
        [
            ("cortex-m33", "mcu-gap9", "cortex-m33 is not the core of device 'mcu-gap9'"),
            ("cortex-m4", "mcu-stm32u385", "cortex-m4 is not the core.*leave the part away"),
            ("rv32imc", "mcu-stm32u385", "rv32imc is not the core"),
            (
                None,
                "mcu-gap9",
                r"names no core .* here \(riscv32\); .*: rv32imc$",
            ),
        ],
    )
    def test_parts_are_those_of_devices(self, part: str | None, device: str, said: str) -> None:
        with pytest.raises(InputError, match=said):
            l2l.footprint(PLAIN, part, device=device)

    @NEEDS_ARM
    def test_the_part_is_that_of_the_device(self) -> None:
        found = l2l.footprint(PLAIN, device="mcu-stm32u385", samples=1)
        assert found.part == "cortex-m33"

    def test_what_makes_no_sense(self) -> None:
        with pytest.raises(InputError, match="part: 'm4' is unknown; there are cortex-m0plus, "):
            l2l.footprint(PLAIN, "m4")

    @pytest.mark.parametrize("part", PART[:1])
    def test_devices_are_micro_controllers(self, part: str) -> None:
        with pytest.raises(DeviceError, match="a footprint is of micro-controllers"):
            l2l.footprint(PLAIN, part, device="loihi2-oheo-gulch")


def test_programs_for_other_machines_are_named(tmp_path: Path) -> None:
    other = tmp_path / "program"
    other.write_bytes(b"\x7fELF\x01\x01" + bytes(60))
    other.chmod(0o755)
    (tmp_path / "in").touch()
    with pytest.raises(BackendMissingError, match="is no program of this machine; if CC is set"):
        run_child("c99", [str(other)], tmp_path, tmp_path / "in", tmp_path / "out")


class TestElf:
    @given(content=st.binary(max_size=200))
    def test_whatever_it_is_given(self, content: bytes) -> None:
        for start in (b"", b"\x7fELF\x01\x01"):
            try:
                read_elf(start + content)
            except CompiledRunError as error:
                assert "cannot be read" in str(error)

    def test_what_is_not_of_32_bits(self) -> None:
        host = shutil.which("true") or os.devnull
        with pytest.raises(CompiledRunError, match="no ELF with 32 bits, little-endian"):
            read_elf(Path(host).read_bytes())
