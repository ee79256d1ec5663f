"""The synapses of a connection in ONNX, and how a step sums them up.

A step is a matrix product, or where rows are very short gathers what each neuron hears; see
onnx_sparse for how the weights lie in the file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lnn2loihi.converters.onnx_write.build import DOMAIN, Functions, Graph
from lnn2loihi.converters.onnx_write.convolution import SharedSums, prepare_shared
from lnn2loihi.converters.onnx_write.sparse import Heard, listed, matrix
from lnn2loihi.graph.connection import Connection
from lnn2loihi.graph.convolution import AnyConnection, Convolution

#: A synapse that is gathered costs as much as so many entries of a matrix (measured with
#: onnxruntime 1.31.1 on one thread: 1.5 to 3 ns against 0.15 to 0.3 ns).
GATHERED_COST = 12


@dataclass(frozen=True)
class Sums:
    """What adds the synapses of a connection up, step by step.

    Attributes:
        name: name of the connection.
        gathered: whether a step gathers; otherwise it is a matrix product.
        values: what a step takes beside the message.
    """

    name: str
    gathered: bool
    values: tuple[str, ...]

    def add(self, step: Graph, functions: Functions, message: str) -> str:
        """Adds the sums, int32 (batch, accumulators * neurons), to the body of the loop.

        Args:
            step: the graph that the synapses were put into.
            functions: where functions go.
            message: int32 (batch, sources).
        """
        name = f"{self.name}.sums"
        if not self.gathered:
            return step.add("MatMul", message, *self.values, name=name)
        function = functions.define(
            "GatheredSum",
            ["message", "columns", "weights"],
            _gathered_sum,
            "for each accumulator and neuron the sum of weights times the messages of its columns",
        )
        return step.add(function, message, *self.values, name=name, domain=DOMAIN)


def _gathered_sum(graph: Graph) -> list[str]:
    """From columns (neurons, k) and weights (accumulators, neurons, k)."""
    heard = graph.add("Gather", "message", "columns", name="heard", axis=1)
    heard = graph.add("Unsqueeze", heard, graph.constant([1], np.int64), name="heard")
    products = graph.add("Mul", heard, "weights", name="products")
    sums = graph.add("ReduceSum", products, graph.constant([-1], np.int64), name="sums", keepdims=0)
    return [graph.add("Reshape", sums, graph.constant([0, -1], np.int64), name="fused")]


def heard_of(connection: Connection, neurons: int) -> Heard:
    """The synapses of a connection to so many neurons, int8."""
    sources = connection.source_size
    rows = np.repeat(np.arange(connection.rows), np.diff(connection.row_starts))
    accumulator, neuron = np.divmod(rows, neurons)
    places, which = np.unique(neuron * sources + connection.columns, return_inverse=True)
    # No pair of neurons has two synapses for one accumulator.
    weights = np.zeros((places.size, len(connection.accumulators)), np.int8)
    weights[which, accumulator] = connection.mantissas
    return Heard(f"{_name(connection)}.mantissas", places, weights, neurons, sources)


def _name(connection: Connection) -> str:
    return f"{connection.source}_to_{connection.target}"


def prepare(graph: Graph, connection: AnyConnection, neurons: int) -> Sums | SharedSums:
    """Puts the synapses of a connection into a graph.

    Args:
        graph: body of the loop.
        connection: the connection.
        neurons: neurons of its target.

    Raises:
        InputError: their matrix is too large.
    """
    if isinstance(connection, Convolution):
        return prepare_shared(graph, connection)
    heard, name = heard_of(connection, neurons), _name(connection)
    gathered = heard.longest * GATHERED_COST < heard.sources
    *columns, mantissas = listed(graph, heard) if gathered else (matrix(graph, heard),)
    weights = heard.signed(graph, mantissas, f"{name}.weights")
    if connection.exponent:
        factor = graph.constant(1 << connection.exponent, np.int32)
        weights = graph.add("Mul", weights, factor, name=f"{name}.weights")
    return Sums(name, gathered, (*columns, weights))
