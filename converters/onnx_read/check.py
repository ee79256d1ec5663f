"""Compares an ONNX file with the network that was found in it, on random input."""

from __future__ import annotations

from typing import Any

import numpy as np

from lnn2loihi.converters.onnx_read.outputs import FoundSequence, Understood
from lnn2loihi.converters.onnx_read.terms import Identities, Terms
from lnn2loihi.network import FloatArray, LiquidNetwork


def difference_from_file(model: Any, understood: Understood, network: LiquidNetwork) -> float:
    """Largest difference of any answer, relative to the largest answer (at least 1).

    Args:
        model: the ONNX model.
        understood: what was found in it.
        network: what was made of that.
    """
    rng = np.random.default_rng(20231)
    traced = understood.traced
    given = [rng.uniform(-1.0, 1.0, symbols.shape) for symbols in traced.inputs]
    given[0] = network.input_offset + network.input_scale * given[0]
    terms = traced.terms
    for sequence in understood.sequences:
        spans = sequence.recurrence.elapsed
        for number in {terms.inputs(np.array([span]))[0][0] for span in spans}:  # pyright: ignore
            given[number] = rng.uniform(0.2, 2.0, given[number].shape)
    typed: dict[str, Any] = {}
    for entry in model.graph.input:
        if entry.name in traced.input_names:
            values, kind = given[traced.input_names.index(entry.name)], _type(entry)
            if kind.kind in "iub":
                values = np.rint(np.abs(8.0 * values))
            typed[entry.name] = values.astype(kind)
    given = [typed[name].astype(np.float64) for name in traced.input_names]
    answers = _run(model, typed).astype(np.float64)
    rows = answers.reshape(-1, understood.width)
    largest, difference = 1.0, 0.0
    for sequence in understood.sequences:
        expected = _answers(sequence, network, terms, given)
        places = list(sequence.answers.values())
        apart = np.abs(rows[list(sequence.answers)] - expected[places])
        largest = max(largest, float(np.abs(expected[places]).max()))
        difference = max(difference, float(apart.max()) if np.isfinite(apart).all() else np.inf)
    return difference / largest


def _answers(
    sequence: FoundSequence, network: LiquidNetwork, terms: Terms, given: list[FloatArray]
) -> FloatArray:
    """What the network answers to one sequence, (time, outputs)."""
    recurrence = sequence.recurrence
    x = np.stack([_values(terms, samples, given) for samples in recurrence.samples])[None]
    timespans = None
    if recurrence.elapsed:
        timespans = _values(terms, np.array(recurrence.elapsed), given)[None]
    states = {name: _values(terms, row, given) for name, row in recurrence.initial_states().items()}
    return network.evaluate(x, states, timespans=timespans).outputs[0]


def _values(terms: Terms, row: Identities, given: list[FloatArray]) -> FloatArray:
    """The numbers that stand where the identities of a row are, inputs or constants."""
    places = terms.inputs(row)
    if places is None:
        constants = terms.constants(row)
        assert constants is not None, "an initial state is an input or a constant"
        return constants
    return np.array([given[place[0]][place[1:]] for place in places])


def _type(entry: Any) -> Any:
    from onnx import helper

    return helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type)


def _run(model: Any, feed: dict[str, Any]) -> Any:
    """The first output, by onnxruntime or, where that is missing or has no such operator (an LSTM
    with its batch first, bfloat16), by the evaluator of the package onnx.
    """
    from onnx.reference import ReferenceEvaluator

    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(
            model.SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # else it prints what it does not understand, and tries again
        )
        return np.asarray(session.run(None, feed)[0])
    except Exception as error:  # a runtime may refuse a file in any way
        try:
            return np.asarray(ReferenceEvaluator(model).run(None, feed)[0])  # pyright: ignore
        except Exception:  # which says less than the runtime does
            raise error from None
