"""The family of LrcSSM."""

from __future__ import annotations

from lnn2loihi.families.lrc_ssm.layer import LrcSSMLayer, LrcSSMStage
from lnn2loihi.families.lrc_ssm.lowering import LrcSSMLowering
from lnn2loihi.family import Family, lazily

FAMILY = Family(
    "lrc_ssm",
    (LrcSSMLayer,),
    {LrcSSMStage: LrcSSMLowering()},
    lazily("lnn2loihi.families.lrc_ssm.importer:LrcSSMImporter"),
)
