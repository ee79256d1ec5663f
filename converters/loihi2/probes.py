"""Graphs of a few neurons that ask a board what its processes do with single integers.

Each comes with the integers that it answers under every model that is worth telling apart; the
first is what Lava's simulator does, and what programs of stock neurons count on. Public output of
boards says nothing of any of them (docs/board.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

#: Chip steps of a probe.
STEPS = 10
#: Most steps that adapters between host and chip may add.
LATEST = 3
_HOST = "host"


@dataclass(frozen=True)
class ProbeSynapses:
    """Synapses of a probe: source, target, port, exponent, weights (rows, columns), delay."""

    source: str
    target: str
    port: str
    weights: tuple[tuple[int, ...], ...]
    exponent: int = 0
    delay: int = 0

    def array(self) -> npt.NDArray[np.int64]:
        """Rows, columns and mantissas; and delays where there is one."""
        weights = np.array(self.weights)
        rows, columns = np.nonzero(weights)
        found = [rows, columns, weights[rows, columns]]
        return np.stack([*found, *[np.full(len(rows), self.delay)] * bool(self.delay)])


@dataclass(frozen=True, eq=False)
class Probe:
    """A graph of a few neurons.

    Attributes:
        question: what it asks.
        processes: name, kind, size, vth and exp of each; the last is recorded.
        synapses: as in networks.
        stream: int32 (STEPS, channels): what the host sends.
        models: each model in words, and what it answers, int (STEPS, neurons).
    """

    question: str
    processes: tuple[tuple[str, str, int, int, int], ...]
    synapses: tuple[ProbeSynapses, ...]
    stream: npt.NDArray[np.int32]
    models: tuple[tuple[str, npt.NDArray[np.int64]], ...]

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the JSON of a network file."""
        return {
            "question": self.question,
            "host": _HOST,
            "processes": [list(one) for one in self.processes],
            "synapses": [
                [one.source, one.target, one.port, one.exponent, *np.shape(one.weights)]
                for one in self.synapses
            ],
            "record": [self.processes[-1][0]],
            "models": [
                [text, late, _later(np.asarray(want), late).tolist()]
                for text, want in self.models
                for late in range(LATEST + 1)
            ],
        }


def probes() -> list[Probe]:
    """All probes."""
    return [
        *(_product(exp) for exp in range(16, 22)),
        _small("GradedVec with vth 0: does it send 1 and -1?", "threshold"),
        _small("ProdNeuron with vth 0: does it send 1 and -1?", "product"),
        _small("GradedReluVec with vth 0: is it there, and does it send 1 and nothing below?",
               "rectifier"),
        *(_exponent(exponent) for exponent in range(8)),
        _wide(),
        _delayed(),
    ]  # fmt: skip


def _later(want: npt.NDArray[np.int64], steps: int) -> npt.NDArray[np.int64]:
    """What arrives where adapters add some steps."""
    return np.concatenate([np.zeros((steps, want.shape[1]), np.int64), want[: len(want) - steps]])


def _at(step: int, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """What is sent in one step, and nothing in all others, (STEPS, neurons)."""
    found = np.zeros((STEPS, np.size(values)), np.int64)
    found[step] = values
    return found


def _eye(size: int) -> tuple[tuple[int, ...], ...]:
    return tuple(map(tuple, np.eye(size, dtype=int).tolist()))


#: Factors of products: of both signs, up to 16 bits, with ends at, above and below a half.
_FACTORS = np.array(
    [[32767, 32767], [-32767, 32766], [181, 181 * 4], [-181, 181 * 4], [32766, -3], [1, 1], [-1, 1],
     [16384, 2], [-16384, 2], [16384, 6], [-16384, 6], [16384, 4], [-16384, 4], [24576, 43]]
)  # fmt: skip


def _product(exp: int) -> Probe:
    product = _FACTORS[:, 0] * _FACTORS[:, 1]
    half = 1 << (exp - 1)
    low = ((product + (1 << 23)) % (1 << 24)) - (1 << 23)
    models: dict[str, npt.NDArray[np.int64]] = {
        "rounded down (floor)": product >> exp,
        "half up": (product + half) >> exp,
        "half away from zero": np.sign(product) * ((abs(product) + half) >> exp),
        "towards zero": np.sign(product) * (abs(product) >> exp),
        "product kept to 24 bits, then rounded down": low >> exp,
    }
    size = len(_FACTORS)
    return Probe(
        f"ProdNeuron with exp {exp} and factors of up to 16 bits: how is it rounded?",
        (("product", "product", size, 0, exp),),
        (
            ProbeSynapses(_HOST, "product", "a_in1", _beside(size, 0)),
            ProbeSynapses(_HOST, "product", "a_in2", _beside(size, size)),
        ),
        _at(2, _FACTORS.T.ravel()).astype(np.int32),
        tuple((text, _at(3, values)) for text, values in models.items()),
    )


def _beside(size: int, first: int) -> tuple[tuple[int, ...], ...]:
    """Weights of 1 from channel first + i of 2 * size to neuron i."""
    weights = np.zeros((size, 2 * size), int)
    weights[np.arange(size), first + np.arange(size)] = 1
    return tuple(map(tuple, weights.tolist()))


def _small(question: str, kind: str) -> Probe:
    sent = np.array([1, -1, 2, -2, 0])
    size = len(sent)
    synapses = [ProbeSynapses(_HOST, "asked", "a_in", _beside(size, 0))]
    if kind == "product":
        synapses = [
            ProbeSynapses(_HOST, "asked", "a_in1", _beside(size, 0)),
            ProbeSynapses(_HOST, "asked", "a_in2", _beside(size, size)),
        ]
    bounded: Callable[..., Any] = np.maximum if kind == "rectifier" else np.add
    models = {
        "everything that is not 0 is sent": bounded(sent, 0),
        "1 and -1 are not sent": bounded(np.where(abs(sent) > 1, sent, 0), 0),
    }
    return Probe(
        question,
        (("asked", kind, size, 0, 0),),
        tuple(synapses),
        _at(2, np.concatenate([sent, np.ones(size, int)])).astype(np.int32),
        tuple((text, _at(3, values)) for text, values in models.items()),
    )


def _exponent(exponent: int) -> Probe:
    mantissas, sent = np.array([127, -128, 1, -1, 63]), 257
    product = mantissas * sent
    models = {
        "mantissa * 2**exponent * message": product << exponent,
        "the exponent is ignored": product,
        "exponents above 0 count as 0": product if exponent else product << exponent,
    }
    distinct = {tuple(values.tolist()): text for text, values in reversed(models.items())}
    return Probe(
        f"synapses with weight_exp {exponent - 1} (exponent {exponent}): what do they add?",
        (("asked", "threshold", len(mantissas), 0, 0),),
        (ProbeSynapses(_HOST, "asked", "a_in", tuple((int(m),) for m in mantissas), exponent),),
        _at(2, [sent]).astype(np.int32),
        tuple((text, _at(3, values)) for values, text in reversed(distinct.items())),
    )


def _wide() -> Probe:
    sent = np.array([(1 << 17) + 3, -(1 << 17) - 3, 1 << 20, -(1 << 20), (1 << 23) - 1, -(1 << 23)])

    def kept(bits: int) -> npt.NDArray[np.int64]:
        return ((sent + (1 << (bits - 1))) % (1 << bits)) - (1 << (bits - 1))

    return Probe(
        "messages of 19 to 24 bits between two GradedVec: do they arrive whole?",
        (("sender", "threshold", len(sent), 0, 0), ("asked", "threshold", len(sent), 0, 0)),
        (
            ProbeSynapses(_HOST, "sender", "a_in", _eye(len(sent))),
            ProbeSynapses("sender", "asked", "a_in", _eye(len(sent))),
        ),
        _at(2, sent).astype(np.int32),
        (
            ("whole", _at(4, sent)),
            ("16 bits arrive", _at(4, kept(16))),
            ("they end at 16 bits", _at(4, np.clip(sent, -(1 << 15), (1 << 15) - 1))),
        ),
    )


def _delayed() -> Probe:
    """Next to what is late stands the same without a delay: only that tells it from adapters."""
    sent = np.array([300, -70000])

    def late(steps: int) -> npt.NDArray[np.int64]:
        return _at(4 + steps, [*sent, 0, 0]) + _at(4, [0, 0, *sent])

    return Probe(
        "graded messages through DelaySparse with a delay of 2, beside the same through Sparse: "
        "when do they arrive?",
        (("sender", "threshold", 2, 0, 0), ("asked", "threshold", 4, 0, 0)),
        (
            ProbeSynapses(_HOST, "sender", "a_in", _eye(2)),
            ProbeSynapses("sender", "asked", "a_in", (*_eye(2), (0, 0), (0, 0)), delay=2),
            ProbeSynapses("sender", "asked", "a_in", ((0, 0), (0, 0), *_eye(2))),
        ),
        _at(2, sent).astype(np.int32),
        (
            ("2 steps later than without delay", late(2)),
            ("1 step later than without delay", late(1)),
            ("as without delay", late(0)),
        ),
    )
