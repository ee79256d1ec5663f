"""The family of liquid-resistance liquid-capacitance units."""

from __future__ import annotations

from lnn2loihi.families.lrc.layer import LRCLayer
from lnn2loihi.families.lrc.lowering import LRCLowering
from lnn2loihi.families.lrc.stage import LRCStage
from lnn2loihi.family import Family, lazily

FAMILY = Family(
    "lrc",
    (LRCLayer,),
    {LRCStage: LRCLowering()},
    lazily("lnn2loihi.families.lrc.importer:LRCImporter"),
)
