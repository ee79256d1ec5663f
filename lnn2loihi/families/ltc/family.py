"""The family of liquid time-constant units."""

from __future__ import annotations

from lnn2loihi.families.ltc.layer import LTCLayer, MembraneStage
from lnn2loihi.families.ltc.lowering import MembraneLowering, SynapseLowering
from lnn2loihi.families.ltc.synapses import SynapseStage
from lnn2loihi.family import Family, lazily

FAMILY = Family(
    "ltc",
    (LTCLayer,),
    {SynapseStage: SynapseLowering(), MembraneStage: MembraneLowering()},
    lazily("lnn2loihi.families.ltc.importer:LTCImporter"),
    onnx_reader=lazily("lnn2loihi.families.ltc.onnx_layers:reader"),
)
