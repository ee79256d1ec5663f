"""The family of layers that are normalised by the statistics of each sample."""

from __future__ import annotations

from lnn2loihi.families.layer_norm.layer import (
    CentreStage,
    LayerNormLayer,
    NormalisedStage,
    RootStage,
    SquareStage,
)
from lnn2loihi.families.layer_norm.lowering import (
    CentreLowering,
    NormalisedLowering,
    RootLowering,
    SquareLowering,
)
from lnn2loihi.family import Family

FAMILY = Family(
    "layer_norm",
    (LayerNormLayer,),
    {
        CentreStage: CentreLowering(),
        SquareStage: SquareLowering(),
        RootStage: RootLowering(),
        NormalisedStage: NormalisedLowering(),
    },
)
