"""Commands of setuptools (see pyproject.toml) that put the compiled engine into wheels.

Without a C compiler, or where it fails, the wheel is one for every platform, and engines are
compiled on first use. Wheels for a named platform (`bdist_wheel --plat-name`, see
.ci/build_wheels.py) are not made without an engine for it. Setuptools loads this file by its path,
in an environment in which the package is not installed: what it needs of the package is imported
when a command runs.
"""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.errors import CompileError, PlatformError

#: Folder of these sources, and the package in it.
ROOT, PACKAGE = Path(__file__).resolve().parents[3], "lnn2loihi.simulation.native"


def _module(name: str) -> Any:
    """A module of the package as it stands here."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return import_module(f"{PACKAGE}.{name}")


class BuildWithEngine(build_py):
    """Copies the package, and compiles the engine next to it; not for editable installs."""

    def run(self) -> None:
        """Runs the command."""
        super().run()
        if self.editable_mode:
            return
        library = _module("library")
        folder = Path(self.build_lib, *PACKAGE.split("."), library.SHIPPED.name)
        platform = self._named_platform()
        try:
            _module("shipped").build_shipped(folder, self._machine(platform))
        except library.BackendMissingError as error:
            if platform:
                raise CompileError(str(error)) from error
            logging.getLogger(__name__).warning("the wheel brings no C engine: %s", error)

    def _named_platform(self) -> str:
        """The platform that the wheel was asked for, or nothing: this machine."""
        wheel: Any = self.distribution.get_command_obj("bdist_wheel", create=False)
        return wheel.plat_name if wheel is not None and wheel.plat_name_supplied else ""

    @staticmethod
    def _machine(platform: str) -> bytes | None:
        """The kind of machine of a platform's name, whose end it is."""
        machines = _module("cache").MACHINES
        named = [name for name in machines if platform.endswith(f"_{name}")]
        if platform and not named:
            raise PlatformError(
                f"no engine can be built for the platform {platform!r}: its name has to end with "
                f"{' or '.join(machines)}"
            )
        return machines[named[0]] if named else None


class PlatformWheel(bdist_wheel):
    """Names a wheel after its platform where a compiler is at work, and never after an ABI."""

    def finalize_options(self) -> None:
        """Settles the options."""
        library = _module("library")
        try:
            found = library.compiler()
        except library.BackendMissingError:  # BuildWithEngine says so
            found = None
        if found is not None:
            self.distribution.has_ext_modules = lambda: True  # type: ignore[method-assign]
        super().finalize_options()

    def get_tag(self) -> tuple[str, str, str]:
        """Interpreter, ABI and platform."""
        platform: Any = super().get_tag()[2]
        return "py3", "none", platform
