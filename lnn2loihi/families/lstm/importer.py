"""Imports torch.nn.LSTM and LSTMCell; see `lnn2loihi.converters.recurrent.torch_rnn`.

Source of the order of the gates: PyTorch 2, torch/nn/modules/rnn.py; stacked as i, f, g, o.
"""

from __future__ import annotations

import numpy as np

from lnn2loihi.converters.recurrent.torch_rnn import Blocks, TorchRnnImporter
from lnn2loihi.families.lstm.layer import LSTMLayer
from lnn2loihi.layers.linear import Linear

_ROWS = {"input_gate": 0, "forget_gate": 1, "cell_input": 2, "output_gate": 3}


class LSTMImporter(TorchRnnImporter, kind="LSTM", rows=len(_ROWS)):
    """The importer of the family."""

    #: Keras stacks them in the same order.
    keras_blocks = (0, 1, 2, 3)

    def layer(
        self, name: str, given: Blocks, own: Blocks, b_given: Blocks, b_own: Blocks
    ) -> LSTMLayer:
        """The two biases are added."""
        gates = [
            Linear(gate, np.hstack([given[row], own[row]]), b_given[row] + b_own[row])
            for gate, row in ((gate, _ROWS[gate]) for gate in LSTMLayer.names)
        ]
        return LSTMLayer(name, tuple(gates))
