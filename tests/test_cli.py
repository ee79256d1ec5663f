"""The command line: verbs, JSON, exit codes, and errors as one message."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run
from networks import random_samples
from strangers import register

import lnn2loihi as l2l
from lnn2loihi.lava import lava_is_installed
from lnn2loihi.models import damped_sine
from lnn2loihi.simulation.reference import run_reference

CHECKPOINT = damped_sine.FOLDER / "weights.safetensors"
DESCRIPTION = damped_sine.FOLDER / "network.toml"


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    path = tmp_path / "x.npy"
    np.save(path, random_samples(1, 4, 20, 1))
    return path


@pytest.fixture
def program(tmp_path: Path, samples: Path) -> Path:
    path = tmp_path / "net.l2l"
    l2l.save(l2l.quantize(damped_sine.load(), calibrate=np.load(samples)), path)
    return path


class TestSamples:
    """What the samples of a file are, for every verb that takes some."""

    @staticmethod
    def verbs(tmp_path: Path, program: Path, profile: Path) -> dict[str, list[object]]:
        return {
            "simulate": ["simulate", program],
            "verify": ["verify", program, "--executors", "reference,blas"],
            "compare": ["compare", DESCRIPTION, program],
            "place": ["place", program],
            "profile": ["profile", program, "--against", "none"],
            "report": ["report", profile, "-p", program, "-o", tmp_path / "page.html",
                       "--network", DESCRIPTION],
        }  # fmt: skip

    @pytest.mark.parametrize(
        "verb", ["simulate", "verify", "compare", "place", "profile", "report"]
    )
    def test_numbers_and_messages(
        self, run: Run, tmp_path: Path, program: Path, samples: Path, verb: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        loaded = l2l.load(program)
        x = np.rint(np.load(samples))
        profiled = tmp_path / "net.profile.json"
        if verb == "report":
            net = damped_sine.load()
            l2l.profile(loaded, x, against=(), frontier=False, network=net).save(profiled)
        # Where the chip wins takes most of the time of a profile: test_frontier.py is about it.
        monkeypatch.setattr("lnn2loihi.profiling.run._frontier", lambda *_: None)
        call = self.verbs(tmp_path, program, profiled)[verb]
        found: list[Any] = []
        options: list[object] = []
        messages = l2l.simulate(loaded, x).saturated_inputs  # none: they can be decoded
        assert not messages
        for array in (x, x.astype(int), loaded.input.encode(x)[0]):
            np.save(tmp_path / "given.npy", array)
            options = ["--encoded"] if len(found) == 2 else []
            code, out, err = run(*call, "-i", tmp_path / "given.npy", "--json", *options)
            assert (code, err) == (0, "")
            found.append(json.loads(out))
        for key in ("command", "created", "provenance", "answer", "replaced"):
            for one in found:
                one.pop(key, None)
        assert found[0] == found[1]
        if verb == "compare":  # of messages the float network hears what they stand for
            assert found[2]["stages"][0]["rms"] == 0.0
        elif verb != "profile":
            assert found[0] == found[2]
        np.save(tmp_path / "given.npy", x)
        code, _, err = run(*call, "-i", tmp_path / "given.npy", "--encoded")
        assert code == 1 and "encoded=True asks for encoded messages, which are integers" in err

    def test_lengths(self, run: Run, tmp_path: Path, samples: Path) -> None:
        x, lengths = np.load(samples), np.array([20, 3, 0, 11])
        beyond = np.arange(20) >= lengths[:, None]
        x[beyond] = np.nan
        path, program = tmp_path / "x.npz", tmp_path / "net.l2l"
        np.savez(path, x=x, lengths=lengths)
        code, out, err = run("quantize", DESCRIPTION, "-c", path, "-o", program)
        assert (code, err) == (0, "")
        assert l2l.load(program) == l2l.quantize(damped_sine.load(), x, lengths=lengths)
        code, out, err = run("simulate", program, "-i", path)
        assert (code, err) == (0, "")
        assert "4 sequences of up to 20 samples" in out and "0 of 34 input values outside" in out
        code, out, err = run("verify", program, "-i", path, "--executors", "reference,blas")
        assert (code, err) == (0, "") and "BIT EXACT" in out and "up to 20 samples" in out
        for call in self.verbs(tmp_path, program, tmp_path).values():
            if call[0] != "report":
                assert run(*call, "-i", path)[0] == 0
        np.savez(path, x=x, lengths=lengths + 1)
        code, _, err = run("simulate", program, "-i", path)
        assert code == 1 and "lengths: sequence 0 has 21 samples, x has 20 steps" in err


class TestVerbs:
    def test_the_whole_road_from_files(self, run: Run, tmp_path: Path, samples: Path) -> None:
        program, answers = tmp_path / "net.l2l", tmp_path / "answers.npz"
        code, out, err = run("quantize", DESCRIPTION, "-c", samples, "-o", program)
        assert (code, err) == (0, "") and "12 bit Q0.11" in out and str(program) in out
        code, out, err = run("simulate", program, "-i", samples, "-o", answers, "--states")
        assert (code, err) == (0, "") and "0 of 80 input values outside" in out
        with np.load(answers) as written:
            expected = l2l.simulate(l2l.load(program), np.load(samples), return_states=True)
            assert np.array_equal(written["outputs"], expected.outputs)
            assert expected.states is not None
            assert np.array_equal(written["layer_0.h"], expected.states["layer_0"]["h"])
        code, out, err = run("compare", DESCRIPTION, program, "-i", samples)
        assert (code, err) == (0, "") and "worst" in out and "readout" in out

    def test_inspect_a_checkpoint_its_description_and_a_program(
        self, run: Run, program: Path
    ) -> None:
        for source in ((DESCRIPTION,), (CHECKPOINT, "--description", DESCRIPTION)):
            code, out, _ = run("inspect", *source)
            assert code == 0 and "damped_sine: 1 inputs, 32 units" in out
        code, out, _ = run("inspect", program, "--listing")
        assert code == 0 and "MUL_SHR" in out and "JMP_C" in out
        code, out, _ = run("inspect", program, "--json")
        assert json.loads(out)["listings"]["layer_0"]["update_count"] == 75

    @pytest.mark.parametrize(
        "verb",
        [
            ("doctor",),
            ("inspect", "{program}"),
            ("quantize", str(DESCRIPTION), "-c", "{samples}", "-o", "{program}"),
            ("compare", str(DESCRIPTION), "{program}", "-i", "{samples}"),
            ("simulate", "{program}", "-i", "{samples}"),
        ],
    )
    def test_json_is_one_document_and_nothing_else(
        self, run: Run, program: Path, samples: Path, verb: tuple[str, ...]
    ) -> None:
        arguments = [part.format(program=program, samples=samples) for part in verb]
        code, out, err = run(*arguments, "--json")
        assert (code, err) == (0, "")
        assert isinstance(json.loads(out), dict)

    def test_verify_tells_a_difference_with_exit_code_2(
        self, run: Run, program: Path, samples: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def wrong(*arguments: Any) -> Any:
            found = run_reference(*arguments)
            found.states["layer_1"]["h"][2, 5, 1] += 1
            return found

        register(monkeypatch, {"wrong": wrong})
        options = ("verify", program, "-i", samples, "--executors", "reference, wrong")
        code, out, _ = run(*options)
        assert code == 2
        assert "population layer_1, word h, neuron 1, step 5 of sequence 2" in out
        assert json.loads(run(*options, "--json")[1])["mismatch_count"] == 1

    def test_version(self, run: Run) -> None:
        assert run("--version") == (0, f"lnn2loihi {l2l.__version__}\n", "")

    def test_demo(self, run: Run, tmp_path: Path) -> None:
        code, out, _ = run("demo", "-o", tmp_path / "demo", "--sequences", 3)
        assert code == 0
        assert ("Lava did not run" in out) != lava_is_installed()
        for word in ("Measured on test sequences", "Files:", "answers.npz", "damped_sine.l2l"):
            assert word in out
        for word in ("BIT EXACT", "report.html", "damped_sine.c", "What to do next:"):
            assert word in out
        assert l2l.load(tmp_path / "demo" / "damped_sine.l2l").name == "damped_sine"


class TestErrors:
    """Exit code 1, one message on standard error, no traceback, nothing written."""

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            (("inspect", "{tmp}/none.safetensors"), "there is no such file"),
            (("inspect", "{tmp}/none.l2l"), "there is no such file"),
            (("inspect", "{tmp}/garbage.l2l"), "is truncated or no .l2l file"),
            (("inspect", "{tmp}/x.npy"), "no importer recognises it"),
            (("simulate", "{tmp}/net.l2l", "-i", "{tmp}/wide.npy"), "has 2 input channels"),
            (("simulate", "{tmp}/net.l2l", "-i", "{tmp}/nan.npy"), "NaN or infinite"),
            (("simulate", "{tmp}/net.l2l", "-i", "{tmp}/garbage.l2l"), "samples come as"),
            (
                ("simulate", "{tmp}/net.l2l", "-i", "{tmp}/x.npy", "--executor", "gpu"),
                "there are auto, blas, c, c99, c99:cortex-m@qemu, c99:rv32@qemu, c99:wasm, lava, "
                "lava-stock, loihi2, onnx-reference, onnxruntime",
            ),
            (
                ("verify", "{tmp}/net.l2l", "-i", "{tmp}/x.npy", "--executors", "a,b"),
                "'a' does not",
            ),
            (
                ("verify", "{tmp}/net.l2l", "-i", "{tmp}/x.npy", "--all", "--executors", "c,blas"),
                "--all: compares all executors, --executors names some: give one of the two",
            ),
            (
                ("profile", "{tmp}/net.l2l", "-i", "{tmp}/x.npy", "--budget", "-1"),
                "budget_seconds is -1.0; give seconds for the measurements, from 1e-12 to 1e12",
            ),
        ],
    )
    def test_bad_input(
        self,
        run: Run,
        tmp_path: Path,
        program: Path,
        samples: Path,
        arguments: tuple[str, ...],
        text: str,
    ) -> None:
        np.save(tmp_path / "wide.npy", np.zeros((1, 3, 2)))
        np.save(tmp_path / "nan.npy", np.full((1, 3, 1), np.nan))
        (tmp_path / "garbage.l2l").write_bytes(b"\xff" * 100)
        before = sorted(tmp_path.iterdir())
        code, out, err = run(*(part.format(tmp=tmp_path) for part in arguments))
        assert (code, out) == (1, "")
        assert text in err and "Traceback" not in err
        assert sorted(tmp_path.iterdir()) == before

    def test_all_problems_in_one_message_and_nothing_written(
        self, run: Run, tmp_path: Path
    ) -> None:
        np.save(tmp_path / "bad.npy", np.full((1, 3, 2), np.inf))
        code, _, err = run(
            "quantize", CHECKPOINT, "--description", DESCRIPTION, "-c", tmp_path / "bad.npy",
            "-o", tmp_path / "net.l2l", "-r", "w8a99",
        )  # fmt: skip
        assert code == 1
        for text in ("messages (a) of 99 bits", "expected 1", "6 NaN or infinite of 6"):
            assert text in err
        assert not (tmp_path / "net.l2l").exists()

    @pytest.mark.filterwarnings("error")
    @pytest.mark.parametrize(
        ("largest", "options", "text"),
        [
            (1e300, (), "calibration data: x holds 1 of 80 values beyond 3.4e+38"),
            (1e38, (), "input channel 0: the value 1e+38 of sequence 0, step 0, lies"),
            (1.0, ("--timespan", "1e300"), "timespan is 1e+300; an elapsed time is a number from"),
            (1.0, ("--timespan", "1e38"), "accumulator time: a multiplier of"),
            (1.0, ("--timespan=-1",), "timespan is -1; an elapsed time is a number from 0 to"),
        ],
    )
    def test_huge_numbers_are_no_warnings_of_numpy(
        self, run: Run, tmp_path: Path, largest: float, options: tuple[str, ...], text: str
    ) -> None:
        x = random_samples(1, 4, 20, 1)
        x[0, 0] = largest
        np.save(tmp_path / "x.npy", x)
        program = tmp_path / "net.l2l"
        arguments = ("quantize", DESCRIPTION, "-c", tmp_path / "x.npy", "-o", program)
        code, out, err = run(*arguments, *options)
        assert (code, out) == (1, "") and text in err and not program.exists()

    @pytest.mark.parametrize(
        "arguments",
        [
            ("quantize", str(DESCRIPTION), "-c", "{x}", "-o", "{tmp}/new.l2l"),
            ("simulate", "{program}", "-i", "{x}"),
            ("verify", "{program}", "-i", "{x}"),
            ("compare", str(DESCRIPTION), "{program}", "-i", "{x}"),
            ("place", "{program}", "-i", "{x}"),
            ("profile", "{program}", "-i", "{x}"),
        ],
        ids=lambda arguments: arguments[0],
    )
    def test_timespans_that_would_not_be_looked_at(
        self, run: Run, tmp_path: Path, program: Path, arguments: tuple[str, ...]
    ) -> None:
        x, samples = tmp_path / "x.npz", random_samples(1, 4, 20, 1)
        np.savez(x, x=samples, timespans=np.ones(samples.shape[:2]))
        given = (part.format(x=x, tmp=tmp_path, program=program) for part in arguments)
        code, out, err = run(*given)
        assert (code, out) == (1, "") and not (tmp_path / "new.l2l").exists()
        assert err.startswith(f"{x}: holds timespans, but the network's time is constant")
        assert 'timespan = "irregular" in its description' in err and "leave the array out" in err

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            (("verify", "net.l2l"), "Missing option"),
            (("frobnicate",), "No such command"),
            (("demo", "--sequences", "0"), "--sequences"),
            (("demo", "--sequences", str(10**9)), "--sequences"),
            (("demo", "-o", "/dev/null/nowhere"), "Not a directory"),
            (
                ("quantize", str(DESCRIPTION), "-c", "x.npy", "-o", "net.txt"),
                "net.txt: its name does not end with .l2l, as that of what is written does",
            ),
            (("simulate", "net.l2l", "-i", "x.npy", "--states"), "give --output x.npz"),
        ],
    )
    def test_wrong_usage_is_exit_code_1(
        self, run: Run, arguments: tuple[str, ...], text: str
    ) -> None:
        code, _, err = run(*arguments)
        assert code == 1 and text in err and "Traceback" not in err

    def test_a_missing_backend_is_exit_code_3(
        self, run: Run, program: Path, samples: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def missing(*_: Any, **__: Any) -> Any:
            raise l2l.BackendMissingError("Lava", "pip install lava-nc==0.10.0")

        monkeypatch.setattr("lnn2loihi.lava.runner.require_lava", missing)
        code, _, err = run("verify", program, "-i", samples, "--executors", "reference,lava")
        assert code == 3 and "pip install lava-nc==0.10.0" in err
        code, out, err = run("verify", program, "-i", samples)  # nobody has named Lava
        assert (code, err) == (0, "") and out.startswith("BIT EXACT")
        assert "lava did not run: " in out and "pip install lava-nc==0.10.0" in out
        assert "executors: reference, c " in out or "executors: reference, blas" in out

    def test_a_closed_pipe_is_no_traceback(self, program: Path) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "lnn2loihi", "inspect", str(program), "--listing"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.close()
            assert b"Traceback" not in process.stderr.read()
