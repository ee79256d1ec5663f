"""Compiling the C engine: with and without a compiler, once, and never half."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import CODES, level_parameters, random_code, zoo_program
from programs import Sizes, random_program

from lnn2loihi.errors import BackendMissingError
from lnn2loihi.families.cfc.neuron import cfc_program
from lnn2loihi.families.readout.lowering import linear_program
from lnn2loihi.formats import FixedPoint
from lnn2loihi.graph.schedule import derive_schedule
from lnn2loihi.neurons.tracer import Tracer
from lnn2loihi.program import Connection, InputPort, LoihiProgram, Population
from lnn2loihi.simulation import choice, simulate
from lnn2loihi.simulation.native import cache as engine_cache
from lnn2loihi.simulation.native import library
from lnn2loihi.simulation.native.engine import NativeEngine
from lnn2loihi.simulation.native.kernel_code import Level
from lnn2loihi.simulation.native.layout import lay_out, unsupported
from lnn2loihi.simulation.native.neuron_code import neuron_text, shift_arguments
from lnn2loihi.simulation.native.shipped import shipped_programs

needs_compiler = pytest.mark.skipif(library.compiler() is None, reason="there is no C compiler")
PLAIN = library.level_named("plain")
QUICK = ("-O0",)
X = np.zeros((2, 3, 3))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv(library.CACHE_VARIABLE, str(folder))
    return folder


@pytest.fixture
def no_compiler(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "compiler", lambda: None)


@pytest.fixture(autouse=True)
def warns_again() -> Iterator[None]:
    choice._say_once.cache_clear()
    library._say_once.cache_clear()
    yield
    choice._say_once.cache_clear()


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "lnn2loihi"]


def built(number: int = 0, level: Level = PLAIN, flags: tuple[str, ...] = QUICK) -> Path:
    """The library of one of CODES."""
    return library.build("neuron", neuron_text(CODES[number]), level, flags)


class TestWithoutACompiler:
    def test_auto_uses_blas_and_says_so_once(
        self, no_compiler: None, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING, "lnn2loihi"):
            for seed in range(2):
                result = simulate(random_program(seed), X)
                assert result.executor.startswith("blas ")
        assert warnings_of(caplog) == [
            "the C engine is not there, simulations use BLAS instead: C engine: "
            "no C compiler was found: apt-get install gcc libc6-dev"
        ]
        assert [record.levelname for record in caplog.records] == ["WARNING"]

    @pytest.mark.usefixtures("no_compiler")
    def test_the_c_engine_is_missing(self) -> None:
        with pytest.raises(BackendMissingError, match="no C compiler was found: apt-get") as caught:
            simulate(random_program(1), X, "c")
        assert caught.value.exit_code == 3

    @pytest.mark.usefixtures("no_compiler")
    def test_the_other_engines_do_not_mind(self, caplog: pytest.LogCaptureFixture) -> None:
        for engine in ("blas", "reference"):
            simulate(random_program(1), X, engine)
        assert not warnings_of(caplog)

    @needs_compiler
    def test_what_is_in_the_cache_runs(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        simulate(random_program(1), X, "c")
        monkeypatch.setattr(library, "compiler", lambda: None)
        assert simulate(random_program(1), X).executor.startswith("c ")

    def test_cc_is_asked_first(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        mine = tmp_path / "mine"
        mine.write_text("#!/bin/sh\n")
        mine.chmod(0o755)
        monkeypatch.setenv("CC", str(mine))
        assert library.compiler() == (str(mine),)
        monkeypatch.setenv("CC", f"'{mine}' -m64")
        assert library.compiler() == (str(mine), "-m64")
        monkeypatch.setenv("PATH", "")
        monkeypatch.delenv("CC")
        assert library.compiler() is None


class TestABrokenCompiler:
    def test_it_is_said(
        self, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("CC", "false")
        with pytest.raises(BackendMissingError, match="C engine: .*false failed with 1:") as caught:
            simulate(random_program(1), X, "c")
        assert caught.value.exit_code == 3
        assert simulate(random_program(1), X).executor.startswith("blas ")
        assert len(warnings_of(caplog)) == 1 and "false failed with 1" in warnings_of(caplog)[0]
        assert not list(cache.iterdir())

    def test_its_last_words_are_passed_on(
        self, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        broken = tmp_path / "broken"
        broken.write_text("#!/bin/sh\necho 'no space left on device' >&2\nexit 7\n")
        broken.chmod(0o755)
        monkeypatch.setenv("CC", str(broken))
        with pytest.raises(BackendMissingError, match="failed with 7:\nno space left on device"):
            built()

    @needs_compiler
    def test_a_cache_that_cannot_be_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv(library.CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
        with pytest.raises(BackendMissingError, match="set LNN2LOIHI_CACHE to a writable folder"):
            simulate(random_program(1), X, "c")
        assert simulate(random_program(1), X).executor.startswith("blas ")

    @pytest.mark.parametrize(
        ("chosen", "reason"),
        [("no-such-compiler -m64", "there is no program 'no-such-compiler'"),
         ("'gcc", "No closing quotation")],
    )  # fmt: skip
    def test_a_cc_that_is_none_is_named(
        self, cache: Path, monkeypatch: pytest.MonkeyPatch, chosen: str, reason: str
    ) -> None:
        monkeypatch.setenv("CC", chosen)
        with pytest.raises(BackendMissingError) as caught:
            built()
        assert f"CC is {chosen!r}" in str(caught.value) and reason in str(caught.value)
        assert simulate(random_program(1), X).executor.startswith("blas ")

    def test_a_cc_that_compiles_nothing(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CC", "true")
        with pytest.raises(BackendMissingError, match="wrote no library; set CC"):
            built()
        assert not list(cache.iterdir())

    @needs_compiler
    def test_a_cc_for_another_machine(
        self, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        other = tmp_path / "other"
        header = r"\177ELF\001\001\001\000\000\000\000\000\000\000\000\000\000\003\000\003\000"
        other.write_text(
            f'#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\nprintf \'{header}\' > "$2"\n'
        )
        other.chmod(0o755)
        monkeypatch.setenv("CC", str(other))
        with pytest.raises(BackendMissingError, match="another kind of machine than Python runs"):
            built()
        assert not list(cache.iterdir())


class TestUnsupportedPrograms:
    """What the C engine cannot run, it refuses with the reason; auto uses BLAS."""

    @staticmethod
    def check(program: LoihiProgram, reason: str, caplog: pytest.LogCaptureFixture) -> None:
        assert unsupported(program) == reason
        x = np.random.default_rng(1).normal(0, 1e3, (3, 4, program.input.size))
        with pytest.raises(BackendMissingError) as caught:
            simulate(program, x, "c")
        assert caught.value.subject == "executor c"
        assert caught.value.problems == (f"cannot run program {program.name!r}: {reason}",)
        found, expected = simulate(program, x), simulate(program, x, "reference")
        assert found.executor.startswith("blas ")
        assert np.array_equal(found.integers, expected.integers)
        assert not warnings_of(caplog), "it is not missing"

    @needs_compiler
    def test_a_wide_message_that_nobody_reads(self) -> None:
        program = relays()
        assert not unsupported(program)
        x = np.random.default_rng(1).normal(0, 1e4, (9, 4, 1))
        found = simulate(program, x, "c", return_states=True)
        assert np.array_equal(found.integers, simulate(program, x, "reference").integers)

    def test_seven_accumulators(self, caplog: pytest.LogCaptureFixture) -> None:
        population = Population(
            "many",
            random_code(9, 7, 0, 1),
            {},
            {"s0": np.zeros(3)},
            FixedPoint(8, 0),
            -128,
            127,
            3,
        )
        weights = np.arange(21).reshape(21, 1)
        names = population.program.accumulators
        connection = Connection.from_dense("input", "many", names, weights)
        self.check(chain([population], [connection]), "many has 7 accumulators", caplog)


def relays() -> LoihiProgram:
    """Two populations, the second of which has wide messages, which nobody reads."""
    populations = []
    for name, width in (("first", 16), ("second", 24)):
        t = Tracer("relay")
        message = FixedPoint(width, 0)
        state = t.state("h", width)
        t.spike(t.minimum(t.maximum(t.accumulator("sum_in"), message.low), message.high), state)
        populations.append(
            Population(
                name, t.program(), {}, {"h": np.zeros(1)}, message, message.low, message.high, 1
            )
        )
    connections = [
        Connection.from_dense(a, b, ("sum_in",), [[1]])
        for a, b in (("input", "first"), ("first", "second"))
    ]
    return chain(populations, connections)


def chain(populations: list[Population], connections: list[Connection]) -> LoihiProgram:
    port = InputPort("input", FixedPoint(16, 0), np.array([-(1 << 15)]), np.array([(1 << 15) - 1]))
    schedule = derive_schedule("input", [p.name for p in populations], connections)
    return LoihiProgram(
        "by hand", "none", port, tuple(populations), tuple(connections),
        populations[-1].name, schedule,
    )  # fmt: skip


@needs_compiler
class TestCache:
    def test_a_library_is_compiled_once(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = NativeEngine(random_program(1), PLAIN, QUICK)
        kinds = sorted(p.name.partition("-")[0] for p in cache.iterdir())
        assert kinds == ["engine", "neuron", "neuron"]

        def refused(*arguments: Any, **options: Any) -> None:
            raise AssertionError("compiled again")

        monkeypatch.setattr(subprocess, "run", refused)
        # Another program of the same families, with other weights and other sizes.
        other = NativeEngine(random_program(2, Sizes(inputs=7, layers=(3, 2, 9))), PLAIN, QUICK)
        assert first.layout.programs == other.layout.programs
        assert len(list(cache.iterdir())) == 3
        with pytest.raises(AssertionError, match="compiled again"):
            NativeEngine(random_program(1, Sizes(activation="ramp16")), PLAIN, QUICK)

    @pytest.mark.parametrize("bits", [8, 12])
    def test_a_family_is_one_library_whatever_its_shifts(self, bits: int) -> None:
        programs = [cfc_program(shifts, bits, "ramp12") for shifts in ((9, 8, 7), (1, 2, 3))]
        assert [shift_arguments(p) for p in programs] == [(9, 8, 7), (1, 2, 3)]
        assert neuron_text(programs[0]) == neuron_text(programs[1])
        assert neuron_text(programs[0]) != neuron_text(cfc_program((9, 8, 7), bits + 1, "ramp12"))
        assert neuron_text(linear_program(3)) == neuron_text(linear_program(9))

    def test_the_name_says_what_it_was_made_of(self, cache: Path) -> None:
        names = {
            built(),
            built(1),
            built(0, PLAIN, ("-O0", "-DOTHER")),
            *(built(0, level) for level in library.usable_levels()),
        }
        assert len(names) == 2 + len(library.usable_levels())
        assert set(cache.iterdir()) == names

    def test_another_text_is_another_file(
        self, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = library.build("engine", library.engine_text(PLAIN), PLAIN, QUICK)
        changed = library.engine_text(PLAIN) + "\n/* changed */\n"
        assert library.build("engine", changed, PLAIN, QUICK) != before

    def test_an_interrupted_compilation_leaves_nothing(
        self, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(command: list[str], **options: Any) -> None:
            output = Path(command[command.index("-o") + 1])
            assert output.parent.parent == cache
            output.write_bytes(b"\x7fELF, and half of a library")
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "run", interrupted)
            with pytest.raises(KeyboardInterrupt):
                built()
        assert not list(cache.iterdir())
        library.load(built())

    def test_a_failed_compilation_leaves_nothing(self, cache: Path) -> None:
        with pytest.raises(BackendMissingError, match="-fno-such-flag"):
            built(0, PLAIN, ("-fno-such-flag",))
        assert not list(cache.iterdir())

    def test_two_at_once_make_one_file(self, cache: Path) -> None:
        together, found = threading.Barrier(3), list[Path]()

        def build() -> None:
            together.wait()
            found.append(built())

        threads = [threading.Thread(target=build) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 3 and set(cache.iterdir()) == set(found)
        library.load(found[0])

    @pytest.mark.parametrize(
        "damage", ["cut", "zeros", "empty", "longer", "fifo", "link", "folder"]
    )
    def test_what_is_damaged_is_compiled_anew(self, cache: Path, damage: str) -> None:
        path = built()
        content, other = path.read_bytes(), cache.with_name("other.so")
        if damage in ("fifo", "link", "folder"):
            path.unlink()
            other.write_bytes(content)
            {"fifo": os.mkfifo, "link": lambda p: p.symlink_to(other), "folder": os.mkdir}[damage](
                path
            )
        else:
            half = len(content) // 2
            changed = {"cut": content[:half], "zeros": content[:half] + bytes(len(content) - half),
                       "empty": b"", "longer": content + b"x"}[damage]  # fmt: skip
            path.write_bytes(changed)
        found = built()
        assert found.read_bytes() == content
        assert (found == path) == (damage != "folder")
        assert library.load(found).update_sequences

    @pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
    def test_a_folder_that_others_can_write_to(
        self, cache: Path, caplog: pytest.LogCaptureFixture, mode: int
    ) -> None:
        path = built()
        library._say_once.cache_clear()
        cache.chmod(mode)
        with caplog.at_level(logging.WARNING, "lnn2loihi"):
            private = built()
            assert built() == private
        assert private.parent != cache and private.read_bytes() == path.read_bytes()
        assert private.parent.stat().st_mode & 0o077 == 0
        (warning,) = warnings_of(caplog)
        assert f"others can write to it (mode {mode:04o})" in warning and "chmod go-w" in warning
        cache.chmod(0o700)
        assert built() == path

    def test_a_folder_within_one_that_everybody_can_write_to(self, cache: Path) -> None:
        cache.parent.chmod(0o777)
        try:
            assert built().parent != cache
            cache.parent.chmod(0o1777)  # only owners rename: as /tmp
            assert built().parent == cache
        finally:
            cache.parent.chmod(0o700)

    def test_a_library_that_others_can_write_to(self, cache: Path) -> None:
        path = built()
        path.chmod(0o666)
        assert built() == path and path.stat().st_mode & 0o022 == 0

    def test_a_library_of_somebody_else(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = built()
        about = os.lstat(path)
        values = list(about)
        values[4] = os.geteuid() + 1  # st_uid
        monkeypatch.setattr(engine_cache.os, "lstat", lambda _: os.stat_result(values))
        assert engine_cache.why_not(path) == f"it belongs to user {os.geteuid() + 1}"
        assert not engine_cache.why_not(path, os.geteuid() + 1)

    def test_one_without_the_functions(self, cache: Path) -> None:
        text = "int something_else;\n"
        path = library.build("neuron", text, PLAIN, QUICK)
        with pytest.raises(BackendMissingError, match="is no library of it .*; delete that file"):
            library._functions(library.load(path), "update_sequences")

    def test_leftovers_of_killed_processes_are_swept(self, cache: Path) -> None:
        cache.mkdir(mode=0o700)
        names = [
            ".building-dead",
            "tmpabcdefgh",
            ".building-young",
            ".building-alive",
            "tmp_others",
        ]
        for name in names:
            (cache / name).mkdir()
            (cache / name / "text.c").write_text("")
            if name != ".building-young":
                os.utime(cache / name, (1, 1))
        (cache / "tmp_others" / "mine").write_text("")
        os.utime(cache / "tmp_others", (1, 1))
        holder = os.open(cache / ".building-alive", os.O_RDONLY)
        try:
            fcntl.flock(holder, fcntl.LOCK_EX)
            path = built()
        finally:
            os.close(holder)
        assert {p.name for p in cache.iterdir()} == {path.name, *names[2:]}

    def test_a_long_compilation_is_announced(
        self, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(library, "LONG_TEXT", 10)
        with caplog.at_level(logging.WARNING, "lnn2loihi"):
            built()
        (warning,) = warnings_of(caplog)
        assert re.fullmatch(
            r"compiling a neuron program of [0-9,]+ lines; this takes a while, once", warning
        )

    def test_where_it_is(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv(library.CACHE_VARIABLE, str(tmp_path))
        assert library.cache_folder() == tmp_path
        monkeypatch.delenv(library.CACHE_VARIABLE)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert library.cache_folder() == tmp_path / "lnn2loihi"
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert library.cache_folder() == tmp_path / ".cache" / "lnn2loihi"


@needs_compiler
class TestText:
    @pytest.mark.parametrize("level", level_parameters())
    def test_the_shipped_families_compile_without_warnings(self, cache: Path, level: str) -> None:
        """Random code does warn (words that nobody reads), and compiles all the same."""
        strict = ("-O0", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function")
        strict += ("-Wno-unused-parameter",)
        chosen = library.level_named(level)
        library.build("engine", library.engine_text(chosen), chosen, strict)
        for program in shipped_programs():
            library.build("neuron", neuron_text(program), chosen, strict)
        with pytest.raises(BackendMissingError, match="unused variable"):
            built(0, chosen, strict)
        built(0, chosen)


class TestLayout:
    def test_every_tile_fits(self) -> None:
        for seed, sizes in enumerate([(1,), (5, 17), (33, 2, 16)]):
            program = zoo_program(seed, sizes, density=1.0 if seed else 0.05)
            layout = lay_out(program, 16)
            for population, laid in zip(program.populations, layout.populations, strict=True):
                gates = len(population.program.accumulators)
                assert 1 <= laid.tile_neurons * gates <= 6
                tiles = -(-population.size // laid.tile_neurons)
                assert laid.pair_counts.shape == laid.weight_starts.shape == (tiles,)
                assert laid.columns.min() >= 0 and laid.columns.max() < layout.pairs
                assert laid.parameters.shape == (
                    population.size,
                    len(population.program.parameters),
                )
                last = laid.row_parameters[:, population.size :]
                assert np.all(last == laid.row_parameters[:, [population.size - 1]])
                for starts, values, height in (
                    (laid.weight_starts, laid.weights, gates),
                    (laid.column_starts, laid.columns, 1),
                ):
                    rows = np.minimum(
                        laid.tile_neurons,
                        population.size - laid.tile_neurons * np.arange(tiles),
                    )
                    ends = starts + laid.pair_counts * (rows * height if height > 1 else 1)
                    assert ends.max() <= values.size

    def test_all_weights_are_there(self) -> None:
        """The sum of all paired weights, for the tiles and for single sequences."""
        program = zoo_program(3, (5, 17), density=1.0)
        layout = lay_out(program, 16)
        for population, laid in zip(program.populations, layout.populations, strict=True):
            total = sum(int(c.dense().sum()) for c in program.incoming(population.name))
            assert int(laid.weights.view(np.int16).astype(np.int64).sum()) == total
            if laid.row_weights is not None:
                assert int(laid.row_weights.view(np.int16).astype(np.int64).sum()) == total
