"""The family of long short-term memory."""

from __future__ import annotations

from typing import Any

from lnn2loihi.families.lstm.layer import LSTMLayer
from lnn2loihi.families.lstm.lowering import MemoryLowering
from lnn2loihi.families.lstm.memory import MemoryStage
from lnn2loihi.family import Family


def _importer() -> Any:
    from lnn2loihi.families.lstm.importer import LSTMImporter

    return LSTMImporter()


FAMILY = Family("lstm", (LSTMLayer,), {MemoryStage: MemoryLowering()}, _importer)
