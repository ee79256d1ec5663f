"""Makes lava-nc 0.10.0 importable, on Python 3.11 to 3.13 too, without changing its files.

lava-nc 0.10.0 (August 2024) is the last release, and it admits Python 3.10 only. One thing
breaks its import later on: `lava/magma/compiler/var_model.py` has dataclass fields whose default
is an instance of the dataclass `ByteEncoder`, and since 3.11 `dataclass` refuses defaults that
cannot be hashed. So while that one module is imported, and only then, `dataclass` gives
`ByteEncoder` a hash; afterwards everything is as it was. On 3.10 nothing is done.
"""

from __future__ import annotations

import dataclasses
import importlib
import multiprocessing
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from lnn2loihi.errors import BackendMissingError, LavaRunError
from lnn2loihi.requirements import LAVA_NEEDS, LAVA_VERSION, lava_remedy

DISTRIBUTION = "lava-nc"
#: The release whose inner workings `lnn2loihi.lava.processes.runtime` relies on.
SUPPORTED_VERSION = LAVA_VERSION
_DEPENDENCIES = ("numpy", *LAVA_NEEDS)
_BROKEN_MODULE = "lava.magma.compiler.var_model"
_BROKEN_CLASS = "ByteEncoder"
_START_METHOD_MODULE = "lava.magma.runtime.message_infrastructure.multiprocessing"
_importing = threading.RLock()


def lava_version() -> str | None:
    """Version of the installed lava-nc, without importing it; None where it is missing."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return None


def lava_is_installed() -> bool:
    """Whether lava-nc and what it needs are installed, without importing any of it."""
    return not _missing()


def require_lava() -> None:
    """Checks, without importing it, that Lava can be used.

    Raises:
        BackendMissingError: lava-nc 0.10.0 or one of its dependencies is not installed; the
            message holds the pip command for the running Python.
    """
    missing = _missing()
    if missing:
        running = ".".join(map(str, sys.version_info[:2]))
        remedy = lava_remedy(tuple(sys.version_info[:2]), sys.executable)
        raise BackendMissingError("Lava", f"{'; '.join(missing)}. On Python {running}: {remedy}")


def import_lava() -> None:
    """Imports Lava's core, so that any later `import lava.…` works.

    Importing Lava makes "fork" the start method of `multiprocessing` for everybody; here that is
    left alone, chosen or not. Our workers are forks whatever it is; see `choose_fork` for graphs
    that run in Lava's own way.

    Raises:
        BackendMissingError: see `require_lava`.
    """
    require_lava()
    with _importing:
        if _START_METHOD_MODULE in sys.modules:
            return
        with warnings.catch_warnings(), _start_method_left_alone():
            warnings.simplefilter("ignore")  # Lava's own: escapes, deprecated names
            with _byte_encoder_hashable():
                importlib.import_module(_BROKEN_MODULE)
            importlib.import_module(_START_METHOD_MODULE)


def require_workers() -> None:
    """Checks that this process may fork workers.

    Raises:
        BackendMissingError: the system has no forks.
        LavaRunError: the process is a daemonic child of multiprocessing.
    """
    if "fork" not in multiprocessing.get_all_start_methods():
        raise BackendMissingError(
            "Lava", f"its workers are forked processes, which {sys.platform} does not have; it "
            "runs on Linux and macOS"
        )  # fmt: skip
    process = multiprocessing.current_process()
    if process.daemon:
        raise LavaRunError(
            "Lava",
            f"its workers are processes, and multiprocessing allows none to {process.name!r}, "
            "which is a daemonic child, as all of multiprocessing.Pool are; use "
            "concurrent.futures.ProcessPoolExecutor or Process(daemon=False), or another executor",
        )


def choose_fork() -> None:
    """Has `multiprocessing` start processes by fork, as a graph needs that runs in Lava's own way.

    Where nobody has chosen a start method it becomes fork, for everybody: what importing Lava does.

    Raises:
        BackendMissingError: the system has no forks.
        LavaRunError: another start method was chosen before.
    """
    require_workers()
    chosen = multiprocessing.get_start_method(allow_none=True)
    if chosen is None and multiprocessing.get_all_start_methods()[0] != "fork":
        multiprocessing.set_start_method("fork")
    elif chosen not in (None, "fork"):
        raise LavaRunError(
            "Lava",
            f"a graph that runs in Lava's own way needs fork as start method of multiprocessing; "
            f"it is {chosen!r}, because that was chosen, or because this process was itself "
            f"started by {chosen}. Call multiprocessing.set_start_method('fork', force=True) "
            "before, or use lnn2loihi.run_lava, whose workers are forks whatever it is",
        )


def _missing() -> list[str]:
    found = lava_version()
    missing = [] if found else [f"{DISTRIBUTION} is not installed"]
    if found and found != SUPPORTED_VERSION:
        missing = [f"{DISTRIBUTION} {found} is installed, {SUPPORTED_VERSION} is supported"]
    missing += [f"{name} is not installed" for name in _DEPENDENCIES if find_spec(name) is None]
    return missing


@contextmanager
def _start_method_left_alone() -> Iterator[None]:
    """Lava's `set_start_method("fork")` does nothing.

    It would choose for everybody, and raises where anybody has chosen before, be it fork.
    """
    original = multiprocessing.set_start_method

    multiprocessing.set_start_method = lambda method, force=False: None
    try:
        yield
    finally:
        multiprocessing.set_start_method = original


@contextmanager
def _byte_encoder_hashable() -> Iterator[None]:
    """While the broken module is imported, its `ByteEncoder` has a hash (see the module)."""
    if sys.version_info < (3, 11) or _BROKEN_MODULE in sys.modules:
        yield
        return
    original = dataclasses.dataclass

    def dataclass(cls: type | None = None, /, **options: Any) -> type | Callable[[type], type]:
        if cls is None:
            return lambda later: dataclass(later, **options)  # type: ignore[return-value]
        made = original(cls, **options)
        if (cls.__module__, cls.__name__) == (_BROKEN_MODULE, _BROKEN_CLASS):
            made.__hash__ = object.__hash__
        return made

    dataclasses.dataclass = dataclass  # type: ignore[assignment]
    try:
        yield
    finally:
        dataclasses.dataclass = original
        module = sys.modules.get(_BROKEN_MODULE)
        if module is not None:
            getattr(module, _BROKEN_CLASS).__hash__ = None
