"""Functions of stages that NumPy does not have in one piece.

Whatever `Stage.answer` is called with beside arrays (tensors in training, values that are traced
into a graph) may know them as one operation of its own: a method of the same name is then called,
and for activations `activation`, with kind and parameters (`lnn2loihi.layers.activations`), which
answers None where it knows none.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lnn2loihi.layers.linear import FloatArray

_erf = np.vectorize(math.erf, otypes=[np.float64])


def sigmoid(x: FloatArray) -> FloatArray:
    """Logistic function without overflow."""
    own: Any = getattr(x, "sigmoid", None)
    return own() if own is not None else 0.5 * (np.tanh(0.5 * x) + 1.0)


def log_sigmoid(x: FloatArray) -> FloatArray:
    """The logarithm of the logistic function, without overflow."""
    own: Any = getattr(x, "log_sigmoid", None)
    if own is not None:
        return own()
    smaller: FloatArray = np.minimum(x, 0.0)
    return smaller - np.log1p(np.exp(-np.abs(x)))


def error_function(x: FloatArray) -> FloatArray:
    """Erf, of the normal distribution."""
    own: Any = getattr(x, "error_function", None)
    return own() if own is not None else _erf(x)
