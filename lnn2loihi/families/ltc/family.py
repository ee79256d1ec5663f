"""The family of liquid time-constant units."""

from __future__ import annotations

from typing import Any

from lnn2loihi.families.ltc.layer import LTCLayer, MembraneStage, SynapseStage
from lnn2loihi.families.ltc.lowering import MembraneLowering, SynapseLowering
from lnn2loihi.family import Family


def _importer() -> Any:
    from lnn2loihi.families.ltc.importer import LTCImporter

    return LTCImporter()


def _onnx_reader() -> Any:
    from lnn2loihi.converters.onnx_read.recurrence import OnnxReader
    from lnn2loihi.families.ltc.onnx_layers import is_ltc, ltc_recurrence

    return OnnxReader(ltc_recurrence, is_ltc)


FAMILY = Family(
    "ltc",
    (LTCLayer,),
    {SynapseStage: SynapseLowering(), MembraneStage: MembraneLowering()},
    _importer,
    onnx_reader=_onnx_reader,
)
