"""What all tests share: property tests draw the same examples everywhere and have no deadline, and
compiled engines go to a folder of the session.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("repository", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("repository")


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    base = tmp_path_factory.getbasetemp()
    if base.name.startswith("popen-"):
        base = base.parent  # the workers of one session share it
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LNN2LOIHI_CACHE", str(base / "compiled-engines"))
        yield
