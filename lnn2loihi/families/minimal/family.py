"""The family of minGRU and minLSTM."""

from __future__ import annotations

from lnn2loihi.families.minimal.layer import MinGRULayer, MinimalStage, MinLSTMLayer
from lnn2loihi.families.minimal.lowering import MinimalLowering
from lnn2loihi.family import Family, lazily

FAMILY = Family(
    "minimal",
    (MinGRULayer, MinLSTMLayer),
    {MinimalStage: MinimalLowering()},
    lazily("lnn2loihi.families.minimal.importer:MinimalRnnImporter"),
)
