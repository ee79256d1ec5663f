"""The family of minGRU and minLSTM."""

from __future__ import annotations

from typing import Any

from lnn2loihi.families.minimal.layer import MinGRULayer, MinimalStage, MinLSTMLayer
from lnn2loihi.families.minimal.lowering import MinimalLowering
from lnn2loihi.family import Family


def _importer() -> Any:
    from lnn2loihi.families.minimal.importer import MinimalRnnImporter

    return MinimalRnnImporter()


FAMILY = Family(
    "minimal", (MinGRULayer, MinLSTMLayer), {MinimalStage: MinimalLowering()}, _importer
)
