"""Folders for boards: what `run.py` says in Lava's simulator, and of a board that a stand-in is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run
from programs import Sizes, random_program
from stock_graphs import endless, looped, population, program

import lnn2loihi as l2l
from lnn2loihi.converters.loihi2.executor import Loihi2
from lnn2loihi.errors import BackendMissingError, InputError, ProgramError
from lnn2loihi.lava import lava_is_installed
from lnn2loihi.neurons.stock import StockNeuron
from lnn2loihi.program import Connection
from lnn2loihi.simulation import full_initial_state
from lnn2loihi.simulation.reference import run_reference

needs_lava = pytest.mark.skipif(not lava_is_installed(), reason="lava-nc is not installed")
pytestmark = pytest.mark.slow

HERE = Path(__file__).resolve().parent
SCRIPT = HERE.parent / "converters/loihi2/script/run.py"
STAND_IN = HERE / "loihi2_stand_in"
#: What a board needs around it.
SLURM = {"SLURM": "1", "PARTITION": "oheogulch", "LOIHI_GEN": "N3B3"}


def ran(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the script, which knows nothing of ours."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    made = subprocess.run(
        [sys.executable, "-W", "ignore", folder / "run.py", *arguments],
        env={**kept, **environment}, capture_output=True, text=True, check=False, timeout=300,
        cwd=folder.parent, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return made.returncode, made.stdout, made.stderr


def said(folder: Path, *arguments: str, code: int = 0, **environment: str) -> dict[str, Any]:
    """The one line of JSON that it prints."""
    returned, out, err = ran(folder, *arguments, **environment)
    assert returned == code, err
    assert out.count("\n") == 1 and out.endswith("\n")
    return json.loads(out)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of three sequences of different length, whose loops begin somewhere."""
    made = tmp_path_factory.mktemp("boards") / "board"
    first = looped(3)
    begun = [
        replace(p, initial_state={"sent": np.array([900, -1200, 77])}) if p.name == "product" else p
        for p in first.populations
    ]
    x = np.random.default_rng(1).integers(-100, 101, (3, 9, 2))
    written = l2l.export(
        replace(first, populations=tuple(begun)), made, format="loihi2", x=x, encoded=True,
        lengths=[9, 4, 7],
    )  # fmt: skip
    assert written == made
    return made


class TestFolder:
    def test_holds_a_script_of_100_lines_a_network_and_its_description(self, folder: Path) -> None:
        assert sorted(p.name for p in folder.iterdir()) == ["README.md", "network.npz", "run.py"]
        lines = (folder / "run.py").read_text().splitlines()
        assert len(lines) <= 100 and max(map(len, lines)) <= 100
        imported = [line for line in lines if "import" in line]
        assert imported and not any("lnn2loihi" in line for line in imported)
        assert (folder / "run.py").read_bytes() == SCRIPT.read_bytes()

    def test_equal_programs_give_equal_bytes(self, tmp_path: Path) -> None:
        one, other = (l2l.export(looped(1), "loihi2", samples=5) for _ in range(2))
        assert one == other and set(one) == {"README.md", "network.npz", "run.py"}

    def test_readme_explains_every_field(self, folder: Path) -> None:
        text = (folder / "README.md").read_text()
        with np.load(folder / "network.npz") as file:
            about = json.loads(str(file["about"]))
        fields = (
            *(name for name in about if name != "arrays"), "board", "loihi_gen", "partition", "on",
            "host", "date", "probes", "shift", "unexpected", "error", "model", "mismatches",
            "first_difference", "avg_time_per_step", "total_power",
            "static_total_power", "SLURM", "PARTITION", "BOARD", "LOIHI_GEN", "NXSDKHOST",
            "HOST_BINARY", "NOSLURM", "--sim", "--probes", "--trace", "--measure",
        )  # fmt: skip
        assert [name for name in fields if f"`{name}" not in text] == []

    def test_programs_of_other_neurons_are_refused_with_what_to_type(self, tmp_path: Path) -> None:
        other = random_program(11, Sizes(layers=(4,), readout=1))
        with pytest.raises(ProgramError, match="none of Lava's own neurons.*--target stock"):
            l2l.export(other, tmp_path / "board", format="loihi2")
        assert list(tmp_path.iterdir()) == []

    def test_what_cannot_be_run_is_refused(self, tmp_path: Path) -> None:
        export = lambda made, **options: l2l.export(made, "loihi2", **options)  # noqa: E731
        with pytest.raises(ProgramError, match="may send for ever"):
            export(endless(), x=np.zeros((2, 3, 1)))
        with pytest.raises(InputError, match="give x too, or neither"):
            export(looped(), lengths=[1])
        with pytest.raises(InputError, match="more than 268,435,456 integers"):
            export(looped(), samples=1 << 27)
        with pytest.raises(InputError, match="give at least one sample"):
            export(looped(), x=np.zeros((1, 2, 2)), lengths=[0])
        constant = population("answer", StockNeuron("constant"), 1, 5, value=[5])
        relay = population("relay", StockNeuron("threshold"), 1, 100)
        heard = [Connection.from_dense("input", "relay", ("a_in",), [[1]])]
        with pytest.raises(InputError, match="the answer of the program is a constant"):
            export(program([constant, relay], heard, "answer", 1))

    def test_command_line(self, run: Run, tmp_path: Path) -> None:
        l2l.save(looped(), tmp_path / "net.l2l")
        np.save(tmp_path / "x.npy", np.zeros((1, 3, 2)))
        given = "export", tmp_path / "net.l2l", "--samples", tmp_path / "x.npy", "-o"
        code, out, err = run(*given, tmp_path / "two words", "--format", "loihi2")
        assert code == 0, err
        assert f"python '{tmp_path / 'two words' / 'run.py'}' --sim" in out
        code, _, err = run(*given, tmp_path / "net.onnx")
        assert code == 1 and "--samples: are for what a board runs" in " ".join(err.split())

    def test_a_folder_that_holds_something_else_is_kept(self, folder: Path, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.mkdir()
        l2l.export(looped(), other, format="loihi2", samples=3)
        l2l.export(looped(5), other, format="loihi2", samples=3)  # its own files are replaced
        network = (other / "network.npz").read_bytes()
        for content in (b"mine", b"", network[: len(network) // 2], None):
            if content is None:
                (other / "network.npz").unlink()
            else:
                (other / "network.npz").write_bytes(content)
            with pytest.raises(InputError, match="not exported by lnn2loihi.*give a new folder"):
                l2l.export(looped(), other, format="loihi2", samples=3)
        (other / "network.npz").write_bytes(network)
        (other / "notes.txt").write_text("mine")
        with pytest.raises(InputError, match="holds notes.txt, which would be lost"):
            l2l.export(looped(), other, format="loihi2", samples=3)
        assert (other / "notes.txt").read_text() == "mine"
        (tmp_path / "file").write_text("mine")
        with pytest.raises(InputError, match="is a file, not a folder.*give a new folder"):
            l2l.export(looped(), tmp_path / "file", format="loihi2", samples=3)
        (tmp_path / "file").unlink()
        os.mkfifo(tmp_path / "file")
        with pytest.raises(InputError, match="is a pipe, not a folder"):
            l2l.export(looped(), tmp_path / "file", format="loihi2", samples=3)
        assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@needs_lava
class TestScript:
    def test_simulator(self, folder: Path) -> None:
        found = said(folder, "--sim")
        assert (found["mismatches"], found["shift"], found["first_difference"]) == (0, 0, [])
        assert (found["samples"], found["sequences"], found["neurons"]) == (20, 3, 10)
        assert found["on"] == "simulator" and found["board"] is None

    def test_probes_tell_the_models_of_the_simulator(self, folder: Path) -> None:
        found = said(folder, "--sim", "--probes")["probes"]
        assert len(found) == 19
        for probe in found:
            # The simulator answers as programs count on, and nothing else fits, late or not.
            assert probe["holds"] == [[probe["model"], 0]]

    def test_probes_that_fit_other_models_and_that_raise(self, folder: Path) -> None:
        path = str(STAND_IN)
        late = said(folder, "--sim", "--probes", "--adapters", STAND_IN_LATE="2", PYTHONPATH=path)
        assert (late["shift"], late["unexpected"]) == (2, [])
        assert all(one["holds"] == [[one["model"], 2]] for one in late["probes"])
        # In step 3 all probes hear 1 where nothing is sent: most fit no model then.
        other = said(
            folder, "--sim", "--probes", "--adapters", code=6, STAND_IN_FAULT="3", PYTHONPATH=path
        )
        assert len(other["unexpected"]) > 10
        unlike = [
            one["question"] for one in other["probes"] if [one["model"], 0] not in one["holds"]
        ]
        assert other["unexpected"] == unlike
        failed = said(
            folder, "--sim", "--probes", "--adapters", code=6, STAND_IN_RAISE="1", PYTHONPATH=path
        )
        assert failed["unexpected"] == [one["question"] for one in failed["probes"]]
        assert {one["got"] for one in failed["probes"]} == {"RuntimeError('no board answers')"}

    def test_what_raises_is_said_in_the_line(self, folder: Path) -> None:
        path = str(STAND_IN)
        found = said(folder, "--sim", "--adapters", code=5, STAND_IN_RAISE="1", PYTHONPATH=path)
        assert found["error"] == "RuntimeError('no board answers')" and "mismatches" not in found
        kept = said(folder, "--sim", "--save", str(folder / "no" / "folder.npz"), code=5)
        assert "FileNotFoundError" in kept["error"] and kept["mismatches"] == 0

    def test_adapters_and_their_delay(self, folder: Path) -> None:
        path = str(STAND_IN)
        assert said(folder, "--sim", "--adapters", PYTHONPATH=path)["shift"] == 0
        late = said(folder, "--sim", "--adapters", STAND_IN_LATE="2", PYTHONPATH=path)
        assert (late["mismatches"], late["shift"]) == (0, 2)

    def test_a_board_that_answers_other_integers(self, folder: Path) -> None:
        found = said(
            folder, "--sim", "--adapters", code=1, PYTHONPATH=str(STAND_IN), STAND_IN_FAULT="4"
        )
        (step, process, neuron, expected, got) = found["first_difference"][0]
        assert (step, process) == (5, "heard") and expected != got and found["mismatches"] > 0
        assert 0 <= neuron < 3

    def test_without_a_board_it_says_what_is_missing(self, folder: Path) -> None:
        code, out, err = ran(folder)
        assert (code, out) == (3, "")
        assert "lava.utils.loihi2_profiler" in err and "LOIHI_GEN" in err and "SLURM=1" in err

    @pytest.mark.parametrize(
        ("environment", "text"),
        [
            ({}, "set SLURM=1 with one of PARTITION and BOARD, or else NXSDKHOST"),
            ({**SLURM, "BOARD": "x"}, "one of PARTITION and BOARD"),
            ({"SLURM": "1", "LOIHI_GEN": "N3B3"}, "one of PARTITION and BOARD"),
            ({"NXSDKHOST": "x", "LOIHI_GEN": "N3B3"}, "HOST_BINARY and NOSLURM=1"),
            ({"SLURM": "1", "BOARD": "x"}, "set LOIHI_GEN, to N3B3 as a rule"),
            ({"SLURM": "1", "BOARD": "x", "LOIHI_GEN": "N2A2"}, "set LOIHI_GEN"),
        ],
    )
    def test_the_environment_of_a_board_is_checked(
        self, folder: Path, environment: dict[str, str], text: str
    ) -> None:
        code, out, err = ran(folder, PYTHONPATH=str(STAND_IN), **environment)
        assert (code, out) == (3, "") and text in err and "loihi2_profiler" not in err

    def test_damaged_files(self, folder: Path, tmp_path: Path) -> None:
        whole = (folder / "network.npz").read_bytes()
        middle = len(whole) // 2
        for number, content in enumerate((b"", b"text", whole[:middle], whole[:-30])):
            path = tmp_path / f"{number}.npz"
            path.write_bytes(content)
            code, out, err = ran(folder, "--sim", "--file", str(path))
            assert (code, out) == (4, "") and "is damaged" in err and "Traceback" not in err
        code, _, err = ran(folder, "--sim", "--file", str(tmp_path / "absent.npz"))
        assert code == 4 and "absent.npz" in err

    def test_files_that_load_but_are_not_as_they_were_written(
        self, folder: Path, tmp_path: Path
    ) -> None:
        with np.load(folder / "network.npz") as file:
            whole = dict(file)
        without: list[dict[str, Any]] = [
            {key: value for key, value in whole.items() if key != name}
            for name in ("about", "graphs", "process", "0.1", "1.host")
        ]
        changed = [
            whole | {"want": whole["want"][:, :-1]},
            whole | {"0.0": whole["0.0"] + 1},
            whole | {"about": np.array("[]")},
            whole | {"about": np.array("{}")},
            whole | {"graphs": np.array("[]")},
        ]
        for made in (*without, *changed):
            np.savez(tmp_path / "made.npz", **made)
            code, out, err = ran(folder, "--sim", "--file", str(tmp_path / "made.npz"))
            assert (code, out) == (4, "") and "is damaged" in err and "Traceback" not in err

    @pytest.mark.parametrize(
        "options",
        [
            ("--measure", "both"), ("--sim", "--measure", "time"), ("--probes", "--trace"),
            ("--probes", "--measure", "energy"), ("--probes", "--save", "a.npz"),
        ],
    )  # fmt: skip
    def test_wrong_options(self, folder: Path, options: tuple[str, ...]) -> None:
        code, out, err = ran(folder, *options)
        assert (code, out) == (2, "") and "usage" in err

    def test_without_lava_it_says_so(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "lava").mkdir()
        (tmp_path / "lava" / "__init__.py").write_text("raise ImportError('no Lava')")
        code, out, err = ran(folder, "--sim", PYTHONPATH=str(tmp_path))
        assert (code, out) == (3, "") and "Lava cannot be used" in err and "Traceback" not in err

    def test_a_run_configuration_of_hardware_can_be_made(self) -> None:
        # It is not run: without Intel's compiler it would pick models of floating point for chips.
        # What the host runs are models of integers, by the script's own choice.
        definitions = SCRIPT.read_text().partition("try:\n    arrays")[0]
        code = (
            "import sys; sys.argv = ['run.py', '--measure', 'time']; __file__ = 'run.py'\n"
            f"exec({definitions!r})\n"
            "hardware = run_configs.Loihi2HwCfg\n"
            "run_configs.CLoihiProcessModel = type('C', (), {})\n"
            "def made(**options):\n"
            "    config = hardware(**options)\n"
            "    assert len(options['callback_fxs']) == 1\n"
            "    assert config.callback_fxs == options['callback_fxs']\n"
            "    from lava.magma.compiler.compiler_graphs import ProcGroupDiGraphs\n"
            "    for one in (source.RingBuffer(data=np.zeros((2, 3), int)),\n"
            "                sink.RingBuffer(shape=(2,), buffer=3)):\n"
            "        models = ProcGroupDiGraphs._find_proc_models(one)\n"
            "        assert config.select(one, models).__name__.endswith('Fixed')\n"
            "    sys.exit(7)\n"
            "run_configs.Loihi2HwCfg = made\n"
            "arrays = {'0.host': np.zeros((4, 2), np.int32)}\n"
            "run(0, {'host': 'host', 'processes': [], 'synapses': []}, [])\n"
        )
        made = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(STAND_IN)}, check=False,
        )  # fmt: skip
        assert made.returncode == 7, made.stderr


class TestExecutor:
    def test_without_the_extension_it_says_which_module_is_missing(self) -> None:
        made, x = looped(), np.zeros((1, 2, 2))
        with pytest.raises(BackendMissingError, match="lava.utils.loihi2_profiler is missing"):
            l2l.simulate(made, x, engine="loihi2")
        with pytest.raises(BackendMissingError, match="loihi2_profiler is missing"):
            l2l.verify(made, x, "reference,loihi2")
        assert "loihi2_profiler" in l2l.verify(made, x, "all").missing["loihi2"]

    def test_command_line_ends_with_exit_code_3(self, run: Run, tmp_path: Path) -> None:
        l2l.save(looped(), tmp_path / "net.l2l")
        np.save(tmp_path / "x.npy", np.zeros((1, 2, 2)))
        for verb in (("simulate", "--executor"), ("verify", "--executors")):
            names = "loihi2" if verb[0] == "simulate" else "reference,loihi2"
            code, _, err = run(
                verb[0], tmp_path / "net.l2l", "-i", tmp_path / "x.npy", verb[1], names
            )
            assert code == 3 and "loihi2_profiler is missing" in " ".join(err.split())

    @needs_lava
    def test_runs_the_script_and_returns_every_state(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYTHONPATH", str(STAND_IN))
        monkeypatch.setenv("STAND_IN_LATE", "1")
        made = replace(looped(2, interleave=2), substeps=2)
        x = np.random.default_rng(0).integers(-100, 101, (2, 6, 2))
        begun = {"product": {"sent": np.array([[1, -2, 300], [-4000, 5, 6]])}}
        start = full_initial_state(made, 2, begun)
        found = Loihi2(("--sim", "--adapters")).run(made, x, start)
        expected = run_reference(made, x, start).states
        for name, words in expected.items():
            for word, values in words.items():
                assert np.array_equal(found.states[name][word], values), name

    @needs_lava
    def test_a_board_that_fails_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYTHONPATH", str(STAND_IN))
        start = full_initial_state(looped(), 1, None)
        with pytest.raises(BackendMissingError, match="no board can be used: set SLURM=1"):
            Loihi2().run(looped(), np.zeros((1, 2, 2), np.int64), start)
