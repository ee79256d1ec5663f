"""The family of liquid time-constant units."""

from __future__ import annotations

from lnn2loihi.families.ltc.layer import LTCLayer, MembraneStage, SynapseStage
from lnn2loihi.families.ltc.lowering import MembraneLowering, SynapseLowering
from lnn2loihi.family import Family

FAMILY = Family(
    "ltc",
    (LTCLayer,),
    {SynapseStage: SynapseLowering(), MembraneStage: MembraneLowering()},
)
