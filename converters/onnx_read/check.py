"""Compares an ONNX file with the network that was found in it, on random input."""

from __future__ import annotations

from typing import Any

import numpy as np

from lnn2loihi.converters.onnx_read.recurrence import Recurrence
from lnn2loihi.converters.onnx_read.symbolic import Traced
from lnn2loihi.converters.onnx_read.terms import Identities, Terms
from lnn2loihi.network import FloatArray, LiquidNetwork

_TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}


def difference_from_file(
    model: Any, traced: Traced, recurrence: Recurrence, network: LiquidNetwork
) -> float:
    """Largest difference of the last answer, relative to the largest answer (at least 1).

    Args:
        model: the ONNX model.
        traced: its trace, whose input shapes are used.
        recurrence: the steps that were found in it.
        network: what was made of them.
    """
    rng = np.random.default_rng(20231)
    given = [rng.uniform(-1.0, 1.0, symbols.shape) for symbols in traced.inputs]
    terms = traced.terms
    for number in {terms.inputs(np.array([span]))[0][0] for span in recurrence.elapsed}:  # pyright: ignore
        given[number] = rng.uniform(0.2, 2.0, given[number].shape)
    x = np.stack([_values(terms, samples, given) for samples in recurrence.samples])[None]
    timespans = None
    if recurrence.elapsed:
        timespans = _values(terms, np.array(recurrence.elapsed), given)[None]
    states = {name: _values(terms, row, given) for name, row in recurrence.initial_states().items()}
    expected = network.evaluate(x, states, timespans=timespans).outputs[0, -1]
    answers = _run(model, dict(zip(traced.input_names, given, strict=True)))
    actual = answers.reshape(-1, answers.shape[-1])[-1].astype(np.float64)
    return float(np.abs(actual - expected).max() / max(1.0, np.abs(expected).max()))


def _values(terms: Terms, row: Identities, given: list[FloatArray]) -> FloatArray:
    """The numbers that stand where the identities of a row are, inputs or constants."""
    places = terms.inputs(row)
    if places is None:
        constants = terms.constants(row)
        assert constants is not None, "an initial state is an input or a constant"
        return constants
    return np.array([given[place[0]][place[1:]] for place in places])


def _run(model: Any, feed: dict[str, FloatArray]) -> FloatArray:
    try:
        import onnxruntime
    except ImportError:
        from onnx import helper
        from onnx.reference import ReferenceEvaluator

        types = {
            entry.name: helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type)
            for entry in model.graph.input
        }
        typed = {name: array.astype(types[name]) for name, array in feed.items()}
        return np.asarray(ReferenceEvaluator(model).run(None, typed)[0])  # pyright: ignore
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
        enable_fallback=0,  # else it prints what it does not understand, and tries again
    )
    typed = {
        entry.name: feed[entry.name].astype(_TYPES.get(entry.type, np.float32))
        for entry in session.get_inputs()
        if entry.name in feed
    }
    return np.asarray(session.run(None, typed)[0])
