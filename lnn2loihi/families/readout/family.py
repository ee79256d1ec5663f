"""The readout as a family: it has no layer, networks make its stage."""

from lnn2loihi.families.readout.lowering import ReadoutLowering
from lnn2loihi.family import Family
from lnn2loihi.layers.readout import ReadoutStage

FAMILY = Family("readout", (), {ReadoutStage: ReadoutLowering()})
