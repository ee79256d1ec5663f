"""The family of feed-forward units."""

from lnn2loihi.families.dense.layer import DenseLayer, DenseStage
from lnn2loihi.families.dense.lowering import DenseLowering
from lnn2loihi.family import Family, lazily

FAMILY = Family(
    "dense",
    (DenseLayer,),
    {DenseStage: DenseLowering()},
    onnx_reader=lazily("lnn2loihi.families.dense.onnx_reader:reader"),
    stock=lazily("lnn2loihi.families.dense.stock:DenseWriter"),
)
