"""What all tests share: property tests draw the same examples everywhere, and no busy machine fails
them; there is no terminal; and compiled engines go to a folder of the session.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

Run = Callable[..., tuple[int, str, str]]

#: What hypothesis checks of these depends on how busy a machine is, or is about fixtures that are
#: made anew for each example, which no test here needs.
SUPPRESSED = (
    HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture,
)  # fmt: skip
settings.register_profile(
    "repository",
    derandomize=True,
    deadline=None,
    print_blob=True,
    suppress_health_check=SUPPRESSED,
)
settings.load_profile("repository")

# One thread in NumPy and PyTorch, and in what tests start: with arrays this small, threads that
# wait for one another take most of the processor's time. Libraries read this when they are
# imported, which nothing has done before this file.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

# What is printed looks as it does where nobody looks, without colours or a terminal, but so wide
# that no sentence is folded; tests of folding say how wide it is.
os.environ.update(COLUMNS="250", LINES="24", TERM="dumb")
for _name in (
    "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PY_COLORS", "GITHUB_ACTIONS",
    "TERMINAL_WIDTH", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM",
):  # fmt: skip
    os.environ.pop(_name, None)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    base = tmp_path_factory.getbasetemp()
    if base.name.startswith("popen-"):
        base = base.parent  # the workers of one session share it
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LNN2LOIHI_CACHE", str(base / "compiled-engines"))
        yield


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process: exit code, standard output, standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        from lnn2loihi import cli  # not before what it prints is settled above

        monkeypatch.setattr(sys, "argv", ["lnn2loihi", *map(str, arguments)])
        code: Any = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
