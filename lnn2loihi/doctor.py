"""What is installed, what is missing, which verbs that costs, and the command that mends it.

Nothing that is examined is imported: versions come from package metadata. `ncps.__version__`
would not even be true (ncps 1.0.1 says 0.0.2).
"""

from __future__ import annotations

import platform
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.micro.checks import tool_checks
from lnn2loihi.plugins import plugin_reports
from lnn2loihi.registry import PluginReport
from lnn2loihi.showing import Brief, Said, Shown, Table
from lnn2loihi.version import VERSION

Status = Literal["ok", "warning", "missing", "broken"]

#: The verbs of the command line that a missing part can cost.
VERBS: tuple[str, ...] = (
    "inspect", "quantize", "import", "join", "verify", "simulate", "run", "compare", "place",
    "profile", "report", "footprint", "devices", "prepare", "export", "demo",
)  # fmt: skip
#: First and last version of Python that are supported.
PYTHONS = ((3, 10), (3, 13))
#: Packages without which nothing works, and the versions that they need.
CORE = {"numpy": ">=1.24.4", "safetensors": ">=0.4.3", "typer": ">=0.16", "rich": ">=13"}
#: Core packages of Python 3.10 only (tomllib came with 3.11).
CORE_BEFORE_311 = {"tomli": ">=2"}
#: Packages for live PyTorch modules and .pt checkpoints.
TORCH = {"torch": ">=2.3", "ncps": ">=1.0.1"}
#: The last release of Lava, and what it needs where its own pins are overridden.
LAVA_VERSION = "0.10.0"
LAVA_NEEDS = {"asteval": ">=0.9.31", "networkx": ">=2.8.7", "scipy": ">=1.10.1"}

#: What a complete installation of this package has registered at least, by kind and name.
OWN_PLUGINS = (("family", "cfc"), ("importer", "families"), ("exporter", "lava"),
               ("executor", "blas"), ("target", "fused"), ("model", "damped_sine"))  # fmt: skip

_LAVA_COSTS = {
    "verify": "the executor lava, which is one of the default two",
    "demo": "the run in Lava and its comparison with the reference",
}
_TORCH_COSTS = {
    verb: ".pt checkpoints (.safetensors works)" for verb in ("inspect", "quantize", "compare")
} | {"profile": "ncps and PyTorch as backends"}
#: Packages for ONNX files, and for running them; what reads files of Keras.
ONNX, HDF5 = {"onnx": ">=1.22", "onnxruntime": ">=1.19"}, {"h5py": ">=3.11"}
_PACKAGE_COSTS: Mapping[str, Mapping[str, str]] = {
    "torch": _TORCH_COSTS,
    "onnx": {
        "export": "files in ONNX",
        "verify": "the executors onnxruntime and onnx-reference, which none of the defaults is",
        "profile": "onnxruntime as a backend",
    },
    "onnxruntime": {
        "verify": "the executor onnxruntime, which none of the defaults is",
        "profile": "onnxruntime as a backend",
    },
    "h5py": dict.fromkeys(("inspect", "quantize", "compare"), "files of Keras"),
}
#: What reads energy counters: Zeus, and directly NVIDIA's library.
ZEUS, NVML = {"zeus": ">=0.16"}, {"nvidia-ml-py": ">=12"}


@dataclass(frozen=True)
class Environment:
    """The facts that the diagnosis is drawn from.

    Attributes:
        python: version of Python.
        executable: path of the interpreter.
        platform: name of the system, for the report.
        versions: installed distributions that matter, name to version.
        importable: those of them whose module is found.
        torch_build: `CPU` or `CUDA 13.0`; None where torch is absent or does not say.
        compiler: path of a C compiler.
        plugins: everything that packages have registered, with its state.
        checkout: the repository that the library runs from, if it does.
        rapl: the CPU's energy counters that can be read.
        no_rapl: why there are none; empty where there are.
        nvidia_driver: whether NVIDIA's driver runs.
        tools: for each tool of C on other machines where it is; empty text where it is not.
    """

    python: tuple[int, int, int]
    executable: str
    platform: str
    versions: Mapping[str, str]
    importable: frozenset[str]
    torch_build: str | None = None
    compiler: str | None = None
    plugins: tuple[PluginReport, ...] = ()
    checkout: str | None = None
    rapl: tuple[str, ...] = ()
    no_rapl: str = ""
    nvidia_driver: bool = False
    tools: Mapping[str, str] = field(default_factory=dict)

    @property
    def pip_install(self) -> str:
        """The command that installs into this environment."""
        return f"{shlex.quote(self.executable)} -m pip install"


@dataclass(frozen=True)
class Check(Brief):
    """One thing that was looked at.

    Attributes:
        name: what was looked at.
        status: `ok`; `warning` (works, with a reservation); `missing`; `broken`.
        found: what is there.
        needed: what should be there.
        core: whether the library is of no use without it.
        costs: verbs that do not work, or which part of them.
        remedy: the command that mends it; None where nothing is to be mended.
    """

    name: str
    status: Status
    found: str
    needed: str
    core: bool = False
    costs: Mapping[str, str] = field(default_factory=dict)
    remedy: str | None = None


@dataclass(frozen=True)
class DoctorReport(Shown):
    """The diagnosis.

    Attributes:
        version: version of lnn2loihi.
        python: version of Python.
        executable: path of the interpreter.
        platform: name of the system.
        checks: everything that was looked at.
    """

    version: str
    python: str
    executable: str
    platform: str
    checks: tuple[Check, ...]

    @property
    def core_works(self) -> bool:
        """Whether the verbs that need neither PyTorch nor Lava work."""
        return not any(
            check.core and check.status in ("missing", "broken") for check in self.checks
        )

    @property
    def exit_code(self) -> int:
        """0, or 1 where the core does not work."""
        return 0 if self.core_works else 1

    @property
    def verbs(self) -> dict[str, list[str]]:
        """For each verb what of it does not work here, and for want of what; empty: all works."""
        lost: dict[str, list[str]] = {verb: [] for verb in VERBS}
        for check in self.checks:
            for verb, what in check.costs.items():
                lost[verb].append(f"{what} ({check.name}: {check.status})")
        return lost

    def _shown(self) -> list[Said]:
        """The diagnosis as text: what is missing, what it costs, how to mend it, what is there."""
        there = [check for check in self.checks if check.status == "ok"]
        rows = [(c.name, c.status, c.found, c.needed) for c in self.checks if c not in there]
        lost = [(verb, "; ".join(what)) for verb, what in self.verbs.items() if what]
        whole = ", ".join(verb for verb, what in self.verbs.items() if not what)
        mends = [f"  {check.name}: {check.remedy}" for check in self.checks if check.remedy]
        return [
            f"lnn2loihi {self.version}, Python {self.python}, {self.platform}",
            self.executable,
            *(("", Table(("part", "status", "found", "needed"), rows)) if rows else ()),
            *(("", Table(("verb", "does not work"), lost)) if lost else ()),
            *(("", "To mend it:", *mends) if mends else ()),
            "",
            f"These verbs work as a whole: {whole or 'none'}.",
            "",
            Table(("what is there", "found"), [(check.name, check.found) for check in there]),
        ]

    def to_dict(self) -> dict[str, Any]:
        """The diagnosis as plain data for JSON."""
        checks = [asdict(check) for check in self.checks]
        return {
            **asdict(self), "checks": checks, "core_works": self.core_works, "verbs": self.verbs
        }  # fmt: skip


@checks_kinds()
def examine(environment: Environment | None = None) -> DoctorReport:
    """Examines an environment, by default the one that this runs in.

    Args:
        environment: facts that were collected before, or made up by a test.
    """
    here = read_environment() if environment is None else environment
    core = CORE | (CORE_BEFORE_311 if here.python < (3, 11) else {})
    checks = (
        _check_python(here),
        *(_check_package(here, name, needed, core=True) for name, needed in core.items()),
        *_check_plugins(here),
        *(_check_package(here, name, needed, core=False) for name, needed in TORCH.items()),
        *(_check_package(here, name, needed, core=False) for name, needed in (ONNX | HDF5).items()),
        _check_lava(here),
        _check_compiler(here),
        *(Check(*one) for one in tool_checks(here.tools, here.pip_install)),
        _check_zeus(here),
        _check_rapl(here),
        _check_nvml(here),
    )
    number = ".".join(map(str, here.python))
    return DoctorReport(VERSION, number, here.executable, here.platform, checks)


def _check_python(here: Environment) -> Check:
    (first, last), number = PYTHONS, ".".join(map(str, here.python))
    if first <= here.python[:2] <= last:
        return Check("Python", "ok", number, "3.10 to 3.13", core=True)
    return Check(
        "Python", "broken", number, "3.10 to 3.13", core=True,
        costs=dict.fromkeys(VERBS, "all of it"), remedy="make setup PYTHON=python3.12",
    )  # fmt: skip


def _check_package(here: Environment, name: str, needed: str, *, core: bool) -> Check:
    """A package that must be there in a version that is not older than `needed`."""
    found = here.versions.get(name)
    costs = dict.fromkeys(VERBS, "all of it") if core else _PACKAGE_COSTS.get(name, {})
    remedy = f"{here.pip_install} {shlex.quote(name + needed)}"
    if name not in here.importable:
        if found is None:
            return Check(name, "missing", "nothing", needed, core, costs, remedy)
        what = f"{found}, whose files are not there"
        forced = remedy.replace(" install ", " install --force-reinstall ")
        return Check(name, "broken", what, needed, core, costs, forced)
    if found is None:
        return Check(name, "warning", "an unknown version", needed, core)
    if _numbers(found) < _numbers(needed):
        return Check(name, "broken", found, needed, core, costs, remedy)
    build = f" ({here.torch_build} build)" if name == "torch" and here.torch_build else ""
    return Check(name, "ok", found + build, needed, core)


def _check_plugins(here: Environment) -> Iterator[Check]:
    """Whether the package's own entry points are registered, that is whether it is installed; and
    everything that is registered and does not work.
    """
    kinds = dict.fromkeys(report.group for report in here.plugins)
    listed = {
        kind: ", ".join(one.name for one in here.plugins if one.group == kind) for kind in kinds
    }
    plural = {
        kind: f"{kind.removesuffix('y')}{'ies' if kind.endswith('y') else 's'}" for kind in listed
    }
    found = "; ".join(f"{plural[kind]}: {names}" for kind, names in listed.items()) or "none"
    names = {(report.group, report.name) for report in here.plugins}
    needed = ", ".join(f"{kind} {name}" for kind, name in OWN_PLUGINS)
    if set(OWN_PLUGINS) <= names:
        yield Check("entry points", "ok", found, needed, core=True)
    else:
        own = shlex.quote(here.checkout) if here.checkout else ""
        what = f"--editable {own}" if own else f"lnn2loihi=={VERSION}"
        yield Check(
            "entry points", "missing", found, needed, core=True,
            costs=dict.fromkeys(VERBS, "whatever needs one of them"),
            remedy=f"{here.pip_install} --force-reinstall --no-deps {what}",
        )  # fmt: skip
    for report in here.plugins:
        if report.state != "ok":
            package = report.package.partition(" ")[0]
            yield Check(
                f"{report.group} {report.name}", "broken",
                f"registered by {report.package}, {report.state}: {report.reason}",
                "everything that is registered can be loaded; all others work on",
                remedy=f"{here.pip_install.removesuffix('install')}uninstall {package}",
            )  # fmt: skip


def _check_lava(here: Environment) -> Check:
    """Lava, its version, what it needs and the numpy that it works with."""
    needed = _lava_needed(here)
    found, remedy = here.versions.get("lava-nc"), lava_remedy(here.python, here.executable)
    if found is None or "lava" not in here.importable:
        status: Status = "missing" if found is None else "broken"
        what = "nothing" if found is None else f"{found}, whose files are not there"
        return Check("lava-nc", status, what, needed, costs=_LAVA_COSTS, remedy=remedy)
    absent = [name for name in LAVA_NEEDS if name not in here.importable]
    if absent:
        what = f"{found} without {', '.join(absent)}"
        return Check("lava-nc", "broken", what, needed, costs=_LAVA_COSTS, remedy=remedy)
    if found != LAVA_VERSION:
        what = f"{found}, which is not supported"
        return Check("lava-nc", "broken", what, needed, costs=_LAVA_COSTS, remedy=remedy)
    numpy = here.versions.get("numpy", "0")
    if _numbers(numpy) >= (2,) and here.python < (3, 13):
        what = f"{found} with numpy {numpy}; our graphs run, other parts of Lava fail"
        mend = f"{here.pip_install} {shlex.quote(lava_numpy(here.python))}"
        return Check("lava-nc", "warning", what, needed, remedy=mend)
    shim = ", behind our import shim" if here.python >= (3, 11) else ""
    return Check("lava-nc", "ok", f"{found} with numpy {numpy}{shim}", needed)


def _lava_needed(here: Environment) -> str:
    if here.python < (3, 11):
        return f"=={LAVA_VERSION} under its own pins"
    below = "" if here.python >= (3, 13) else ", numpy below 2"
    return f"=={LAVA_VERSION}, its pin on Python 3.10 overridden{below}"


def lava_numpy(python: tuple[int, ...]) -> str:
    """The numpy that Lava works with on a version of Python."""
    if python < (3, 11):
        return "numpy>=1.24.4,<2"
    return "numpy>=1.26,<2" if python < (3, 13) else "numpy>=1.26"


def lava_remedy(python: tuple[int, ...], executable: str) -> str:
    """The command that installs Lava for a version of Python.

    Args:
        python: version of Python.
        executable: path of the interpreter.
    """
    pip, lava = f"{shlex.quote(executable)} -m pip install", f"lava-nc=={LAVA_VERSION}"
    numpy = shlex.quote(lava_numpy(python))
    if python < (3, 11):
        return f"{pip} {lava} {numpy}"
    needs = " ".join(shlex.quote(name + bound) for name, bound in LAVA_NEEDS.items())
    return f"{pip} {numpy} {needs} && {pip} --no-deps --ignore-requires-python {lava}"


def _check_compiler(here: Environment) -> Check:
    needed = "cc, gcc or clang, for the C engine; without it simulations use BLAS"
    if here.compiler:
        return Check("C compiler", "ok", here.compiler, needed)
    costs = {"verify": "the executor c99", "profile": "the row cpu:c99"}
    mend = "apt-get install gcc libc6-dev"
    return Check("C compiler", "missing", "nothing", needed, False, costs, mend)


def _check_zeus(here: Environment) -> Check:
    """Zeus, which is not needed: without it counters are read directly."""
    ((name, bound),) = ZEUS.items()
    found = here.versions.get(name)
    needed = f"{bound}, for energy; without it RAPL and NVML are read directly"
    remedy = f"{here.pip_install} {shlex.quote(name + bound)}"
    if found is None or name not in here.importable:
        return Check("zeus", "missing", "nothing", needed, remedy=remedy)
    if _numbers(found) < _numbers(bound):
        return Check("zeus", "broken", found, needed, remedy=remedy)
    return Check("zeus", "ok", found, needed)


def _check_rapl(here: Environment) -> Check:
    """The energy counters of the CPU."""
    needed = "counters under /sys/class/powercap that can be read, for the energy of the CPU"
    if here.rapl:
        return Check("RAPL", "ok", ", ".join(here.rapl), needed)
    costs = {"profile": "measured energy of the CPU (an estimated interval instead)"}
    closed = "chmod" in here.no_rapl
    remedy = "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj" if closed else None
    what = "readable by root only" if closed else here.no_rapl or "nothing"
    return Check("RAPL", "missing", what, needed, costs=costs, remedy=remedy)


def _check_nvml(here: Environment) -> Check:
    """The energy counter of an NVIDIA GPU."""
    ((package, bound),) = NVML.items()
    needed = f"NVIDIA's driver and {package}, for the energy of a GPU"
    if not here.nvidia_driver:
        return Check("NVML", "missing", "no NVIDIA driver", needed)
    if "pynvml" in here.importable:
        return Check("NVML", "ok", f"{package} {here.versions.get(package, '')}".strip(), needed)
    costs = {"profile": "measured energy of the GPU"}
    remedy = f"{here.pip_install} {shlex.quote(package + bound)}"
    return Check("NVML", "missing", f"the driver without {package}", needed, False, costs, remedy)


def _numbers(text: str) -> tuple[int, ...]:
    """The numbers of a version or a bound: `>=2.3` and `2.3.0+cpu` give (2, 3) and (2, 3, 0)."""
    found = re.search(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def read_environment() -> Environment:
    """Collects the facts about the environment that this runs in."""
    # Light, but not needed to import the library.
    from lnn2loihi.measure.meter import TimeOnly
    from lnn2loihi.measure.powercap import powercap_meter
    from lnn2loihi.micro.tools import compiler_here, tools_here

    names = (*CORE, *CORE_BEFORE_311, *TORCH, *ONNX, *HDF5, *LAVA_NEEDS, "lava-nc", *ZEUS, *NVML)
    versions = {name: found for name in names if (found := _installed(name)) is not None}
    modules = {name: name.removesuffix("-nc") for name in names} | {"nvidia-ml-py": "pynvml"}
    rapl = powercap_meter()
    root = Path(__file__).resolve().parent.parent
    return Environment(
        python=(sys.version_info.major, sys.version_info.minor, sys.version_info.micro),
        executable=sys.executable,
        platform=platform.platform(),
        versions=versions,
        importable=frozenset(m for m in modules.values() if find_spec(m) is not None),
        torch_build=_torch_build(),
        compiler=compiler_here(),
        plugins=tuple(plugin_reports()),
        checkout=str(root) if (root / "pyproject.toml").is_file() else None,
        rapl=() if isinstance(rapl, TimeOnly) else rapl.domains,
        no_rapl=rapl.reason if isinstance(rapl, TimeOnly) else "",
        nvidia_driver=Path("/proc/driver/nvidia/version").is_file(),
        tools=tools_here(),
    )


def _installed(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _torch_build() -> str | None:
    """Whether torch was built for CUDA, from the text of its torch/version.py."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    try:
        text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    found = re.search(r"^cuda\b[^=]*=\s*(?:None|'([^']*)')", text, re.MULTILINE)
    if found is None:
        return None
    return f"CUDA {found.group(1)}" if found.group(1) else "CPU"
