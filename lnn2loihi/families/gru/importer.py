"""Imports torch.nn.GRU and GRUCell; see `lnn2loihi.converters.recurrent.torch_rnn`.

Source of the order of the gates: PyTorch 2, torch/nn/modules/rnn.py; they are stacked as r, z, n.
"""

from __future__ import annotations

import numpy as np

from lnn2loihi.converters.recurrent.torch_rnn import Blocks, TorchRnnImporter
from lnn2loihi.families.gru.layer import GRU_GATES, GRULayer
from lnn2loihi.layers.linear import Linear


class GRUImporter(TorchRnnImporter, kind="GRU", rows=3):
    """The importer of the family."""

    #: Keras stacks them as z, r, h.
    keras_blocks = (1, 0, 2)

    def layer(
        self, name: str, given: Blocks, own: Blocks, b_given: Blocks, b_own: Blocks
    ) -> GRULayer:
        """The third block is the candidate's, whose recurrent half the reset gate multiplies: its
        two biases are not added.
        """
        weights = [np.hstack([given[row], own[row]]) for row in (0, 1)]
        biases = [b_given[row] + b_own[row] for row in (0, 1)]
        weights.append(np.hstack([given[2], np.zeros_like(own[2])]))
        weights.append(np.hstack([np.zeros_like(given[2]), own[2]]))
        biases += [b_given[2], b_own[2]]
        return GRULayer(name, tuple(map(Linear, GRU_GATES, weights, biases)))
