"""What is installed, what is missing, which verbs that costs, and the command that mends it.

Nothing that is examined is imported (see `lnn2loihi.environment`).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.environment import Environment, read_environment
from lnn2loihi.micro.checks import tool_checks
from lnn2loihi.requirements import (
    CORE,
    CORE_BEFORE_311,
    HDF5,
    LAVA_NEEDS,
    LAVA_VERSION,
    NVML,
    ONNX,
    TORCH,
    ZEUS,
    lava_numpy,
    lava_remedy,
)
from lnn2loihi.showing import Brief, Said, Shown, Table
from lnn2loihi.version import VERSION

Status = Literal["ok", "warning", "missing", "broken"]

#: The verbs of the command line that a missing part can cost.
VERBS: tuple[str, ...] = (
    "inspect", "quantize", "import", "join", "verify", "simulate", "run", "compare", "place",
    "profile", "monte-carlo", "report", "footprint", "devices", "prepare", "export", "demo",
)  # fmt: skip
#: First and last version of Python that are supported.
PYTHONS = ((3, 10), (3, 13))
#: What a complete installation of this package has registered at least, by kind and name.
OWN_PLUGINS = (("family", "cfc"), ("importer", "families"), ("exporter", "lava"),
               ("executor", "blas"), ("target", "fused"), ("model", "damped_sine"))  # fmt: skip

_LAVA_COSTS = {
    "verify": "the executor lava; what is here is compared without it",
    "demo": "the run in Lava and its comparison with the reference",
}
#: The verbs that read float networks.
_READERS = ("inspect", "quantize", "import", "compare")
_TORCH_COSTS = dict.fromkeys(_READERS, ".pt checkpoints (.safetensors works)") | {
    "profile": "ncps and PyTorch as backends"
}
_PACKAGE_COSTS: Mapping[str, Mapping[str, str]] = {
    "torch": _TORCH_COSTS,
    "onnx": dict.fromkeys(_READERS, "networks in ONNX")
    | {
        "export": "files in ONNX",
        "verify": "the executors onnxruntime and onnx-reference",
        "profile": "onnxruntime as a backend",
    },
    "onnxruntime": {
        "verify": "the executor onnxruntime",
        "profile": "onnxruntime as a backend",
    },
    "h5py": dict.fromkeys(_READERS, "files of Keras"),
}


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
