"""Commands of setuptools (see pyproject.toml) that put the compiled engine into wheels.

Without a C compiler, or where it fails, the wheel is one for every platform, and engines are
compiled on first use.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

from lnn2loihi.errors import BackendMissingError
from lnn2loihi.simulate.native.library import SHIPPED, compiler
from lnn2loihi.simulate.native.shipped import build_shipped


class BuildWithEngine(build_py):
    """Copies the package, and compiles the engine next to it; not for editable installs."""

    def run(self) -> None:
        """Runs the command."""
        super().run()
        if self.editable_mode:
            return
        package = Path(*__name__.split(".")[:-1])
        try:
            build_shipped(Path(self.build_lib) / package / SHIPPED.name)
        except BackendMissingError as error:
            logging.getLogger(__name__).warning("the wheel brings no C engine: %s", error)


class PlatformWheel(bdist_wheel):
    """Names a wheel after its platform where a compiler is at work, and never after an ABI."""

    def finalize_options(self) -> None:
        """Settles the options."""
        if compiler() is not None:
            self.distribution.has_ext_modules = lambda: True  # type: ignore[method-assign]
        super().finalize_options()

    def get_tag(self) -> tuple[str, str, str]:
        """Interpreter, ABI and platform."""
        platform: Any = super().get_tag()[2]
        return "py3", "none", platform
