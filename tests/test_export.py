"""Export by format and by file, executors that others bring, and the comparison of all of them."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import random_network, random_samples
from programs import random_inputs, random_program
from strangers import register

import lnn2loihi as l2l
from lnn2loihi import plugins
from lnn2loihi.lava import lava_is_installed
from lnn2loihi.simulation.executor import EXECUTORS
from lnn2loihi.simulation.reference import run_reference
from lnn2loihi.simulation.result import IntegerRun

onnx = pytest.importorskip(
    "onnx", "1.22", reason="onnx 1.22, whose evaluator is right, is not there"
)
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
Run = Callable[..., tuple[int, str, str]]


class TestExport:
    def test_the_suffix_and_the_source_say_the_format(self, tmp_path: Path) -> None:
        for name, source in (("i", random_program(0)), ("f", random_network(0))):
            path = l2l.export(source, tmp_path / f"{name}.onnx")
            assert path == tmp_path / f"{name}.onnx"
            kind = onnx.load(path).graph.input[0].type.tensor_type.elem_type
            assert kind == {"i": onnx.TensorProto.INT32, "f": onnx.TensorProto.FLOAT}[name]

    def test_a_format_gives_the_model_in_memory(self) -> None:
        assert isinstance(l2l.export(random_program(0), "onnx"), onnx.ModelProto)

    def test_with_a_format_the_target_is_a_path(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert l2l.export(random_program(0), "onnx", format="onnx").read_bytes()

    def test_an_interrupted_write_leaves_the_old_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = l2l.export(random_program(0), tmp_path / "net.onnx")
        before = path.read_bytes()

        def interrupted(*_: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            l2l.export(random_program(1), path)
        assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize(
        ("source", "target", "options", "message"),
        [
            ("program", "net.xyz", {}, r"net.xyz: does not fit a LoihiProgram; .* onnx \(\.onnx\)"),
            ("network", "lava", {}, "'lava': does not fit a LiquidNetwork; .* onnx-float"),
            (
                "program",
                "net.onnx",
                {"format": "xyz"},
                "no such exporter; registered are: c99, lava",
            ),
            ("program", "no/net.onnx", {}, "its folder does not exist"),
            ("program", "net.onnx", {"color": 1}, "options color: unknown; .* takes dtype, record"),
            ("program", "net.onnx", {"format": "lava"}, r'writes no file: export\(program, "lava"'),
        ],
    )
    def test_refusals(
        self, source: str, target: str, options: dict[str, Any], message: str, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        if options.get("format") == "lava" and not lava_is_installed():
            pytest.skip("a graph of Lava is made first, and Lava is not installed")
        monkeypatch.chdir(tmp_path)
        made = random_program(0) if source == "program" else random_network(0)
        with pytest.raises(l2l.InputError, match=message):
            l2l.export(made, target, **options)
        assert not list(tmp_path.iterdir())

    def test_everything_registered_fits_the_protocols(self) -> None:
        assert {"onnx", "onnx-float", "lava"} <= set(plugins.EXPORTERS.names())
        assert {"onnxruntime", "onnx-reference"} <= set(plugins.EXECUTORS.names())
        for group in plugins.REGISTRIES:
            assert [one.state for one in group.reports()] == ["ok"] * len(group.names())


class Slow:
    """The reference, as an executor that takes its time."""

    def __call__(
        self, program: Any, inputs: Any, initial_state: Any, on_step: Any = None
    ) -> IntegerRun:
        return IntegerRun("slow 1.0", run_reference(program, inputs, initial_state).states)

    def share(self, program: Any, batch: int, time: int) -> tuple[int, int]:
        return 2, 3


class TestVerifyAll:
    @staticmethod
    def register(monkeypatch: pytest.MonkeyPatch, **made: Any) -> None:
        """Two executors of the library, and those of others."""
        register(monkeypatch, made, only=("reference", "blas"))

    def test_runs_what_is_there(self) -> None:
        program = random_program(1)
        result = l2l.verify(program, random_inputs(1, program, 3, 4), "all")
        ran = " ".join((*result.executors, *result.missing))
        for name in ("reference", "c", "blas", "onnxruntime", "onnx reference", "lava"):
            assert name in ran
        every = len(EXECUTORS.names())
        assert result.bit_exact and len(result.executors) + len(result.missing) == every

    def test_a_slow_one_runs_a_share_and_the_matrix_says_so(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.register(monkeypatch, slow=Slow())
        program = random_program(2)
        x = random_inputs(2, program, 5, 7)
        result = l2l.verify(program, x, "all")
        counts = {(c.executor, f"{c.population}.{c.word}"): c.compared for c in result.matrix}
        assert counts["slow 1.0", "layer_0.h"] == 2 * 3 * 5
        assert counts["blas", "layer_0.h"] == 5 * 7 * 5
        assert result.compared == sum(counts.values()) == (35 + 6) * 11
        assert result.shares == {"slow 1.0": (2, 3)}
        text = result.summary()
        assert "slow 1.0 ran the first 2 sequences, 3 samples of each" in text
        assert [line.split() for line in text.splitlines() if line.startswith("all ")] == [
            ["all", "385", "66"]
        ]
        named = l2l.verify(program, x, "reference,slow")
        assert named.compared == 35 * 11 and not named.shares

    def test_what_cannot_run_is_named_with_the_reason(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def absent(*_: Any, **__: Any) -> Any:
            raise l2l.BackendMissingError("Sim", "pip install sim")

        self.register(monkeypatch, sim=absent)
        program = random_program(3)
        x = random_inputs(3, program, 2, 2)
        result = l2l.verify(program, x, "all")
        assert result.bit_exact and dict(result.missing) == {"sim": "pip install sim"}
        assert "sim did not run: pip install sim" in result.summary()
        assert result.to_dict()["missing"] == {"sim": "pip install sim"}
        with pytest.raises(l2l.BackendMissingError, match="pip install sim"):
            l2l.verify(program, x, "reference,sim")

    def test_a_difference_stands_in_its_cell(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def wrong(program: Any, inputs: Any, start: Any, on_step: Any = None) -> IntegerRun:
            made = run_reference(program, inputs, start)
            made.states["layer_1"]["h"][0, 1, 2] += 1
            return IntegerRun("wrong 1.0", made.states)

        self.register(monkeypatch, wrong=wrong)
        program = random_program(4)
        result = l2l.verify(program, random_inputs(4, program, 2, 5), "all")
        assert not result.bit_exact
        wrongs = [(c.executor, c.population) for c in result.matrix if c.mismatches]
        assert wrongs == [("wrong 1.0", "layer_1")]
        assert "40, 1 differ" in result.summary()
        assert "population layer_1, word h, neuron 2, step 1 of sequence 0" in result.summary()

    def test_executors_of_others_are_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        register(monkeypatch, {"board": Slow()})
        program = random_program(5)
        result = l2l.verify(program, random_inputs(5, program, 2, 3), "reference,board")
        assert result.bit_exact and result.executors == ("reference", "slow 1.0")

    def test_the_reference_evaluator_takes_what_it_can(self) -> None:
        executor = plugins.EXECUTORS.get("onnx-reference")
        program = random_program(6)
        assert executor.share(program, 4, 10) == (4, 10)
        sequences, steps = executor.share(program, 1 << 20, 1 << 20)
        assert 1 <= sequences < 1 << 20 and 1 <= steps < 1 << 14
        assert executor.share(program, 1 << 20, 10)[1] == 10

    @pytest.mark.parametrize(("name", "version"), [("onnx", "1.21.0"), ("onnxruntime", "1.18.1")])
    def test_versions_that_are_wrong_do_not_run(
        self, name: str, version: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(importlib.import_module(name), "__version__", version)
        program = random_program(8)
        result = l2l.verify(program, random_inputs(8, program, 1, 2), "all")
        executor = {"onnx": "onnx-reference"}.get(name, name)
        assert f"{version} is installed, whose answers are wrong" in result.missing[executor]

    @pytest.mark.parametrize("name", ["onnxruntime", "onnx-reference"])
    def test_long_runs_are_cut_and_report(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        module = importlib.import_module("lnn2loihi.converters.onnx_write.executors")
        monkeypatch.setattr(module, "BLOCK", 2)
        monkeypatch.setattr(module, "LARGEST_CALL", 60)
        program = random_program(7)
        seen: list[tuple[str, int, int]] = []
        result = l2l.verify(
            program, random_inputs(7, program, 5, 7), ("reference", name),
            progress=lambda *step: seen.append(step),
        )  # fmt: skip
        assert result.bit_exact
        own = [step for step in seen if step[0] == name]
        assert own[-1][1:] == (21, 21) and len(own) > 6 and own == sorted(own)


class TestCommands:
    def test_export_and_verify_all(self, run: Run, tmp_path: Path) -> None:
        x = random_samples(1, 3, 6, 3)
        np.save(tmp_path / "x.npy", x)
        program = l2l.save(l2l.quantize(random_network(1), x), tmp_path / "net.l2l")
        code, out, err = run("export", program, "-o", tmp_path / "net.onnx", "--record")
        assert (code, err) == (0, "") and "integers, exactly those of the chip" in out
        names = [value.name for value in onnx.load(tmp_path / "net.onnx").graph.output]
        assert "layer_0.h.steps" in names
        code, out, _ = run("verify", program, "-i", tmp_path / "x.npy", "--all", "--json")
        found = json.loads(out)
        assert code == 0 and found["bit_exact"]
        assert len(found["executors"]) + len(found["missing"]) == len(EXECUTORS.names())
        assert len(found["matrix"]) == 3 * (len(found["executors"]) - 1)

    def test_export_a_checkpoint(self, run: Run, tmp_path: Path) -> None:
        description = Path(l2l.__file__).parent / "models" / "damped_sine" / "network.toml"
        target = tmp_path / "float.onnx"
        code, out, err = run("export", description, "-o", target, "--dtype", "float64", "--json")
        assert (code, err) == (0, "") and json.loads(out)["bytes"] == target.stat().st_size
        kind = onnx.load(target).graph.input[0].type.tensor_type.elem_type
        assert kind == onnx.TensorProto.DOUBLE

    def test_a_difference_is_exit_code_2(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program = random_program(0)
        np.save(tmp_path / "x.npy", random_inputs(0, program, 2, 3))
        path = l2l.save(program, tmp_path / "net.l2l")

        def wrong(*arguments: Any, **options: Any) -> Any:
            found = run_reference(*arguments, **options)
            found.states["readout"]["message"][0, 0, 0] += 1
            return found

        register(monkeypatch, {"wrong": wrong}, only=("reference",))
        code, out, _ = run("verify", path, "-i", tmp_path / "x.npy", "--all")
        assert code == 2 and "DIFFERENT: 1 mismatches" in out

    def test_bad_targets(self, run: Run, tmp_path: Path) -> None:
        path = l2l.save(random_program(0), tmp_path / "net.l2l")
        code, out, err = run("export", path, "-o", tmp_path / "net.txt")
        assert (code, out) == (1, "")
        assert "there are lava (no file), c99 (.c), loihi2 (a folder), onnx (.onnx)" in err
