"""The family of gated recurrent units."""

from __future__ import annotations

from lnn2loihi.families.gru.layer import GRULayer, GRUStage
from lnn2loihi.families.gru.lowering import GRULowering
from lnn2loihi.family import Family, lazily

FAMILY = Family(
    "gru",
    (GRULayer,),
    {GRUStage: GRULowering()},
    lazily("lnn2loihi.families.gru.importer:GRUImporter"),
    onnx_reader=lazily("lnn2loihi.families.gru.onnx_reader:reader"),
)
