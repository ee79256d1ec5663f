"""The family of diagonal state spaces."""

from __future__ import annotations

from lnn2loihi.families.s4d.glu import GLULayer, GLULowering, GLUStage
from lnn2loihi.families.s4d.layer import LiquidS4DLayer, ModesStage, S4DLayer
from lnn2loihi.families.s4d.lowering import ModesLowering
from lnn2loihi.family import Family, lazily

FAMILY = Family(
    "s4d",
    (S4DLayer, LiquidS4DLayer, GLULayer),
    {ModesStage: ModesLowering(), GLUStage: GLULowering()},
    lazily("lnn2loihi.families.s4d.importer:S4DImporter"),
)
