"""The family of feed-forward units."""

from lnn2loihi.families.dense.layer import DenseLayer, DenseStage
from lnn2loihi.families.dense.lowering import DenseLowering
from lnn2loihi.family import Family

FAMILY = Family("dense", (DenseLayer,), {DenseStage: DenseLowering()})
