"""Facts of an environment that `doctor` draws its diagnosis from.

Nothing that is examined is imported: versions come from package metadata. `ncps.__version__`
would not even be true (ncps 1.0.1 says 0.0.2).
"""

from __future__ import annotations

import platform
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from lnn2loihi.plugins import plugin_reports
from lnn2loihi.registry import PluginReport
from lnn2loihi.requirements import (
    CORE,
    CORE_BEFORE_311,
    HDF5,
    LAVA_NEEDS,
    NVML,
    ONNX,
    TORCH,
    ZEUS,
)


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
