"""Whether a network computes what the module does that it was made of, in double precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lnn2loihi.converters.files.checkpoint import FloatArray
from lnn2loihi.converters.modules.streams import GIVEN, Step
from lnn2loihi.network import LiquidNetwork

#: Largest difference, relative to the largest answer of the same output, put down to rounding.
TOLERANCE = 1e-6
#: Steps of the random sequences, and the deviations of the samples of each: near and wide.
STEPS, REACHES = 300, (1.0, 30.0)
#: Steps and number of sequences that are run at once.
FEW, MANY = 4, 16
#: What is small beside 1 is compared as if it had this size.
SMALL = 1e-6

#: How much more two ways of computing the same may differ than two roundings of the input.
CHAOS = 1e3

Run = Callable[[FloatArray, "FloatArray | None"], FloatArray]


def compared(run: Run, network: LiquidNetwork, steps: tuple[Step, ...], last: bool) -> list[str]:
    """How the answers of a module differ from those of the network, for messages.

    Args:
        run: answers to samples (batch, time, inputs) and timespans (batch, time) with
            (batch, time, outputs), or (batch, outputs) of the last step.
        network: the network.
        steps: of which it was made.
        last: whether the module answers with the last step alone.
    """
    rng = np.random.default_rng(20230)
    timed = any(step.elapsed == GIVEN for step in steps)
    x = rng.normal(0.0, np.reshape(REACHES, (-1, 1, 1)), (len(REACHES), STEPS, network.input_size))
    x = network.input_offset + network.input_scale * x
    spans = rng.uniform(0.1, 2.0, x.shape[:2]) if timed else None
    answer = _each(run, x, spans)
    difference = _difference(answer, network, x, spans, last)
    if difference <= TOLERANCE:
        return [] if timed else _alone_or_together(run, x[:, :FEW])
    # A network that is chaotic answers otherwise to what differs by rounding alone.
    own = _size(answer, _each(run, x * (1.0 + 2.0**-50), spans))
    if difference <= TOLERANCE + CHAOS * own:
        return []
    return [
        f"on random sequences of {STEPS} samples its answer differs by {difference:.3g} of its "
        "size from that of the network made of what its forward does with short ones (the limit is "
        f"{TOLERANCE:g}). If forward does the same with sequences of any length and any values, "
        "this is a fault of lnn2loihi; import the recurrent layer alone then"
    ]


def _alone_or_together(run: Run, x: FloatArray) -> list[str]:
    """What is said of a forward that answers a sequence otherwise where there are more of them."""
    count = MANY // len(x)
    few, many = run(x, None), run(np.concatenate([x] * count), None)
    expected = np.concatenate([few] * count)
    if not np.isfinite(few).all() or _size(expected, many) <= TOLERANCE:
        return []
    return [
        f"it answers {len(many)} sequences at once otherwise than {len(x)} of the same: forward "
        "depends on the size of the batch, and a network cannot"
    ]


def _each(run: Run, x: FloatArray, spans: FloatArray | None) -> FloatArray:
    """The answers to all sequences; one by one with times, where ncps 1.0.1 is wrong for more."""
    if spans is None:
        return run(x, None)
    return np.concatenate([run(x[b : b + 1], spans[b : b + 1]) for b in range(len(x))])


def _difference(
    answer: FloatArray,
    network: LiquidNetwork,
    x: FloatArray,
    spans: FloatArray | None,
    last: bool,
) -> float:
    if not np.isfinite(answer).all():
        return 0.0
    span = None if spans is not None else 1.0 if network.timespan is None else network.timespan
    expected = replace(network, timespan=span).evaluate(x, timespans=spans).outputs
    expected = _on_host(network.host, expected[:, -1] if last else expected)
    return _size(answer, expected)


def _size(answer: FloatArray, other: FloatArray) -> float:
    """The largest difference, relative to the largest answer of the same output."""
    axes = tuple(range(answer.ndim - 1))
    sizes = np.maximum(np.abs(answer).max(axes), SMALL)
    return float((np.abs(answer - other).max(axes) / sizes).max())


def _on_host(host: tuple[str, ...], outputs: FloatArray) -> FloatArray:
    """What the host makes of the outputs of a network."""
    for name in host:
        if name == "sigmoid":
            outputs = 0.5 * (1.0 + np.tanh(0.5 * outputs))
            continue
        shifted = outputs - outputs.max(-1, keepdims=True)
        logarithms = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
        outputs = np.exp(logarithms) if name == "softmax" else logarithms
    return outputs
