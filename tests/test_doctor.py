"""The diagnosis of made-up environments and of this one."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

from lnn2loihi import doctor
from lnn2loihi.doctor import Check, DoctorReport, Environment, examine, read_environment
from lnn2loihi.errors import BackendMissingError
from lnn2loihi.micro import tools
from lnn2loihi.micro.parts import PARTS
from lnn2loihi.registry import PluginReport

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "numpy": "1.26.4",
    "safetensors": "0.8.0",
    "typer": "0.29.2",
    "rich": "15.0.0",
    "tomli": "2.5.0",
    "torch": "2.13.0+cpu",
    "ncps": "1.0.1",
    "lava-nc": "0.10.0",
    "asteval": "1.0.10",
    "networkx": "3.6.1",
    "scipy": "1.17.1",
    "onnx": "1.23.2",
    "onnxruntime": "1.31.1",
    "h5py": "3.16.0",
    "zeus": "0.16.0",
    "nvidia-ml-py": "13.615.71",
}
COMPLETE = Environment(
    python=(3, 11, 7),
    executable="/some where/python",
    platform="Linux",
    versions=PACKAGES,
    importable=frozenset({"pynvml", *(name.removesuffix("-nc") for name in PACKAGES)}),
    torch_build="CPU",
    compiler="/usr/bin/cc",
    plugins=tuple(
        PluginReport(kind, name, "lnn2loihi 0.1.0", "ok") for kind, name in doctor.OWN_PLUGINS
    ),
    rapl=("package-0", "package-0 dram"),
    nvidia_driver=True,
    tools={
        "zig": "/usr/bin/zig", "qemu-arm": "/usr/bin/qemu-arm",
        "qemu-riscv32": "/usr/bin/qemu-riscv32", "wasm": "/usr/bin/node",
    },
)  # fmt: skip


def without(*names: str, start: Environment = COMPLETE) -> Environment:
    """An environment in which some packages are not installed."""
    versions = {name: v for name, v in start.versions.items() if name not in names}
    gone = {name.removesuffix("-nc") for name in names}
    return dataclasses.replace(start, versions=versions, importable=start.importable - gone)


def with_version(name: str, version: str, start: Environment = COMPLETE) -> Environment:
    return dataclasses.replace(start, versions={**start.versions, name: version})


def on_python(*numbers: int, start: Environment = COMPLETE) -> Environment:
    return dataclasses.replace(start, python=(numbers[0], numbers[1], numbers[2]))


def check_of(report: DoctorReport, name: str) -> Check:
    return next(check for check in report.checks if check.name == name)


@pytest.mark.parametrize("minor", [10, 11, 12])
def test_complete(minor: int) -> None:
    report = examine(on_python(3, minor, 1))
    assert {check.status for check in report.checks} == {"ok"}
    assert {check.remedy for check in report.checks} == {None}
    assert report.exit_code == 0 and not any(report.verbs.values())
    assert list(report.verbs) == list(doctor.VERBS)


def test_complete_on_python_313_with_numpy_2() -> None:
    report = examine(on_python(3, 13, 0, start=with_version("numpy", "2.5.5")))
    assert {check.status for check in report.checks} == {"ok"}


@pytest.mark.parametrize(("minor", "shim"), [(10, False), (11, True), (12, True)])
def test_says_where_the_shim_is_needed(minor: int, shim: bool) -> None:
    found = check_of(examine(on_python(3, minor, 0)), "lava-nc").found
    assert ("shim" in found) == shim


@pytest.mark.parametrize("name", ["numpy", "safetensors", "typer", "rich"])
def test_core_package_missing(name: str) -> None:
    report = examine(without(name))
    check = check_of(report, name)
    assert (check.status, check.core, report.exit_code) == ("missing", True, 1)
    assert all(report.verbs.values()) and not report.core_works
    assert check.remedy == f"'/some where/python' -m pip install '{name}{check.needed}'"


def test_core_package_too_old() -> None:
    report = examine(with_version("numpy", "1.9.10"))
    assert check_of(report, "numpy").status == "broken" and report.exit_code == 1


def test_package_whose_files_are_gone() -> None:
    gone = dataclasses.replace(COMPLETE, importable=COMPLETE.importable - {"rich", "lava"})
    report = examine(gone)
    assert "--force-reinstall" in (check_of(report, "rich").remedy or "")
    assert {check_of(report, name).status for name in ("rich", "lava-nc")} == {"broken"}


def test_tomli_matters_on_python_310_only() -> None:
    assert not examine(on_python(3, 10, 0, start=without("tomli"))).core_works
    assert examine(without("tomli")).core_works


def test_python_not_supported() -> None:
    report = examine(on_python(3, 14, 0))
    assert check_of(report, "Python").status == "broken" and report.exit_code == 1


def test_not_installed() -> None:
    bare = dataclasses.replace(COMPLETE, plugins=(), checkout="/a b")
    check = check_of(examine(bare), "entry points")
    assert check.status == "missing" and check.core
    assert (check.remedy or "").endswith("--no-deps --editable '/a b'")


def test_every_plugin_that_does_not_work_is_listed() -> None:
    broken = PluginReport("importer", "tinygate", "tinygate 0.2", "broken", "No module named 'x'")
    clash = PluginReport("executor", "board", "other 1.0", "refused", "the name is taken")
    report = examine(dataclasses.replace(COMPLETE, plugins=(*COMPLETE.plugins, broken, clash)))
    check = check_of(report, "importer tinygate")
    assert check.status == "broken" and "tinygate 0.2, broken: No module named 'x'" in check.found
    assert (check.remedy or "").endswith("pip uninstall tinygate")
    assert "refused: the name is taken" in check_of(report, "executor board").found
    assert report.core_works and "importers: families, tinygate" in report.summary()


def test_backends_missing_cost_their_verbs_only() -> None:
    report = examine(without("torch", "ncps", "lava-nc"))
    assert report.core_works and report.exit_code == 0
    assert [("torch" in lost) for lost in report.verbs["inspect"]] == [True]
    assert {verb for verb, lost in report.verbs.items() if "lava-nc" in str(lost)} == {
        "verify",
        "demo",
    }


def test_torch_too_old_and_cuda_build() -> None:
    assert check_of(examine(with_version("torch", "2.2.2")), "torch").status == "broken"
    cuda = dataclasses.replace(with_version("torch", "2.10.0"), torch_build="CUDA 13.0")
    assert check_of(examine(cuda), "torch").found == "2.10.0 (CUDA 13.0 build)"


@pytest.mark.parametrize(
    ("minor", "parts"),
    [
        (10, ["lava-nc==0.10.0", "'numpy>=1.24.4,<2'"]),
        (11, ["--no-deps --ignore-requires-python lava-nc==0.10.0", "'numpy>=1.26,<2'"]),
        (12, ["--no-deps --ignore-requires-python lava-nc==0.10.0", "'numpy>=1.26,<2'", "scipy"]),
        (13, ["--no-deps --ignore-requires-python lava-nc==0.10.0", "'numpy>=1.26'", "asteval"]),
    ],
)
def test_remedy_of_lava(minor: int, parts: list[str]) -> None:
    remedy = check_of(examine(on_python(3, minor, 0, start=without("lava-nc"))), "lava-nc").remedy
    assert remedy is not None and all(part in remedy for part in parts)
    assert ("--no-deps" in remedy) == (minor > 10)


def test_lava_with_numpy_2() -> None:
    check = check_of(examine(with_version("numpy", "2.4.6")), "lava-nc")
    assert check.status == "warning" and "numpy>=1.26,<2" in (check.remedy or "")
    assert not check.costs


def test_another_lava() -> None:
    check = check_of(examine(with_version("lava-nc", "0.9.0")), "lava-nc")
    assert check.status == "broken" and check.costs and check.remedy


def test_lava_without_what_it_needs() -> None:
    check = check_of(examine(without("asteval", "scipy")), "lava-nc")
    assert check.status == "broken" and check.found == "0.10.0 without asteval, scipy"


def test_no_compiler_costs_what_compiles_for_this_machine() -> None:
    report = examine(dataclasses.replace(COMPLETE, compiler=None))
    assert check_of(report, "C compiler").status == "missing"
    lost = {verb: "; ".join(texts) for verb, texts in report.verbs.items() if texts}
    assert report.core_works and {*lost} == {"verify", "profile"}
    assert "executor c99" in lost["verify"] and "row cpu:c99" in lost["profile"]


ARM_GCC, RISCV_GCC = "arm-none-eabi-gcc", "riscv32-unknown-elf-gcc"


def with_tools(**tools: str) -> DoctorReport:
    """The diagnosis where these tools differ from a complete environment; _ stands for -."""
    changed = {name.replace("_", "-"): place for name, place in tools.items()}
    return examine(dataclasses.replace(COMPLETE, tools={**COMPLETE.tools, **changed}))


def test_no_compiler_for_parts() -> None:
    report = with_tools(zig="")
    lost = {verb: "; ".join(texts) for verb, texts in report.verbs.items() if texts}
    assert "--interactive" in lost["report"] and report.core_works
    assert "c99:cortex-m@qemu, c99:rv32@qemu and c99:wasm" in lost["verify"]
    assert "parts of Arm and RISC-V" in lost["profile"] and "parts of Arm" in lost["footprint"]


@pytest.mark.parametrize(("gcc", "kind", "other"), [(ARM_GCC, "Arm", "RISC-V"),
                                                    (RISCV_GCC, "RISC-V", "Arm")])  # fmt: skip
def test_a_cross_compiler_stands_for_zig(gcc: str, kind: str, other: str) -> None:
    report = with_tools(zig="", **{gcc: "/opt/gcc"})
    assert check_of(report, gcc).found == "/opt/gcc" and kind in check_of(report, gcc).needed
    lost = {verb: "; ".join(texts) for verb, texts in report.verbs.items() if texts}
    assert lost["footprint"] == f"parts of {other} (zig: missing)"
    assert lost["profile"] == f"counted instructions of parts of {other} (zig: missing)"
    assert ("c99:cortex-m@qemu" in lost["verify"]) == (other == "Arm")
    both = with_tools(zig="", **{ARM_GCC: "/opt/gcc", RISCV_GCC: "/opt/gcc"})
    assert {verb for verb, texts in both.verbs.items() if texts} == {"verify", "report"}
    assert both.verbs["verify"] == ["the executor c99:wasm (zig: missing)"]


def test_what_is_here_is_what_compiles_here() -> None:
    """doctor loses parts exactly where nothing compiles or runs their code."""
    lost = " ".join(examine().verbs["footprint"])
    for part, kind in (("cortex-m4", "Arm"), ("rv32imc", "RISC-V")):
        works = True
        try:
            tools.cross_compiler(PARTS[part])
            tools.emulator(PARTS[part].emulator)
        except BackendMissingError:
            works = False
        assert works == (kind not in lost)


def test_onnx_costs_export_and_two_executors() -> None:
    report = examine(without("onnx", "onnxruntime"))
    assert report.exit_code == 0 and "files in ONNX" in report.verbs["export"][0]
    assert "networks in ONNX" in report.verbs["import"][0]
    assert check_of(report, "onnx").remedy == "'/some where/python' -m pip install 'onnx>=1.22'"
    assert len(report.verbs["verify"]) == 2


def test_h5py_costs_files_of_keras() -> None:
    report = examine(without("h5py"))
    assert report.exit_code == 0 and "files of Keras" in report.verbs["inspect"][0]
    assert check_of(report, "h5py").remedy == "'/some where/python' -m pip install 'h5py>=3.11'"


def test_energy_counters() -> None:
    report = examine(COMPLETE)
    assert check_of(report, "RAPL").found == "package-0, package-0 dram"
    assert check_of(report, "NVML").found == "nvidia-ml-py 13.615.71"
    assert check_of(report, "zeus").found == "0.16.0"


def test_without_zeus_counters_are_read_directly() -> None:
    report = examine(without("zeus"))
    check = check_of(report, "zeus")
    assert check.status == "missing" and "'zeus>=0.16'" in (check.remedy or "")
    assert not any(report.verbs.values())
    assert check_of(examine(with_version("zeus", "0.12.0")), "zeus").status == "broken"


def test_counters_that_only_root_can_read() -> None:
    closed = dataclasses.replace(COMPLETE, rapl=(), no_rapl="RAPL: sudo chmod a+r, or zeusd")
    check = check_of(examine(closed), "RAPL")
    assert check.found == "readable by root only" and "chmod a+r" in (check.remedy or "")
    assert ["energy" in lost for lost in examine(closed).verbs["profile"]] == [True]


def test_a_virtual_machine_has_no_counters() -> None:
    virtual = dataclasses.replace(
        without("nvidia-ml-py"), rapl=(), no_rapl="no RAPL: not there", nvidia_driver=False
    )
    report = examine(virtual)
    assert [check_of(report, name).remedy for name in ("RAPL", "NVML")] == [None, None]
    assert check_of(report, "RAPL").found == "no RAPL: not there" and report.exit_code == 0


def test_a_gpu_without_its_library() -> None:
    alone = dataclasses.replace(COMPLETE, importable=COMPLETE.importable - {"pynvml"})
    check = check_of(examine(alone), "NVML")
    assert check.status == "missing" and "nvidia-ml-py" in (check.remedy or "")
    assert "GPU" in check.costs["profile"]


def test_summary_names_what_is_lost_and_how_to_mend_it() -> None:
    report = examine(without("lava-nc"))
    text = report.summary()
    assert f"lava-nc: {check_of(report, 'lava-nc').remedy}" in text
    assert "lava-nc: missing" in text
    assert "To mend it" not in examine(COMPLETE).summary()


def test_report_is_plain_data() -> None:
    report = examine(without("lava-nc"))
    again = json.loads(json.dumps(report.to_dict()))
    assert again == report.to_dict()
    assert again["core_works"] and again["verbs"]["verify"]


def test_this_environment() -> None:
    here = read_environment()
    assert here.python == sys.version_info[:3]
    assert here.versions["numpy"] == importlib.metadata.version("numpy")
    assert {"numpy", "safetensors", "typer", "rich"} <= here.importable
    if here.plugins:  # else the tests run from the root, and nothing is installed
        assert examine().core_works
    if "torch" in here.importable:
        assert here.torch_build is not None


def test_compiler_may_come_with_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = tmp_path / "own-cc"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("CC", f"{shlex.quote(str(own))} -O2")
    assert read_environment().compiler == str(own)


@pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="not a checkout")
def test_agrees_with_pyproject() -> None:
    tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    core = [name + bound for name, bound in doctor.CORE.items()]
    core += [f"{n}{b}; python_version < '3.11'" for n, b in doctor.CORE_BEFORE_311.items()]
    assert sorted(project["dependencies"]) == sorted(core)
    assert extras["torch"] == [name + bound for name, bound in doctor.TORCH.items()]
    assert extras["onnx"] == [name + bound for name, bound in doctor.ONNX.items()]
    assert extras["hdf5"] == [name + bound for name, bound in doctor.HDF5.items()]
    assert extras["energy"] == [name + bound for name, bound in doctor.ZEUS.items()]
    lava = [requirement.split(";")[0] for requirement in extras["lava"]]
    assert lava == [
        f"lava-nc=={doctor.LAVA_VERSION}",
        doctor.lava_numpy((3, 12)),
        *(name + bound for name, bound in doctor.LAVA_NEEDS.items()),
    ]
    set_up = (ROOT / ".ci" / "setup_environment.py").read_text()
    assert f'LAVA = "lava-nc=={doctor.LAVA_VERSION}"' in set_up


def test_looks_without_importing(tmp_path: Path) -> None:
    """A torch that cannot be imported is examined all the same."""
    package = tmp_path / "torch"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "version.py").write_text("cuda: Optional[str] = '13.0'\n")
    code = "from lnn2loihi import doctor; print(doctor.read_environment().torch_build)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.stdout == "CUDA 13.0\n", done.stderr
