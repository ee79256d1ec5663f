"""The family of long short-term memory."""

from __future__ import annotations

from lnn2loihi.families.lstm.input_memory import InputMemory
from lnn2loihi.families.lstm.layer import LSTMLayer
from lnn2loihi.families.lstm.lowering import MemoryLowering
from lnn2loihi.families.lstm.memory import MemoryStage
from lnn2loihi.family import Family, lazily

FAMILY = Family(
    "lstm",
    (LSTMLayer, InputMemory),
    {MemoryStage: MemoryLowering()},
    lazily("lnn2loihi.families.lstm.importer:LSTMImporter"),
    onnx_reader=lazily("lnn2loihi.families.lstm.onnx_reader:reader"),
)
