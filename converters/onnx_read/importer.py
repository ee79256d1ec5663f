"""Imports ONNX files of recurrent networks, as PyTorch's exporters write them.

What is accepted stands in docs/onnx.md: graphs of CfCs, LTCs, GRUs and LSTMs, of one step or of
several unrolled ones, as a `Scan` (the float models of lnn2loihi) or as the operators `LSTM` and
`GRU`; linear layers with activations around them, and a normalisation of the input. Of the float
models three are refused: a memory that several layers share, the mixed memory of an LTC, and gelu
in float64. Graphs are read by what they compute, not by the names of their nodes, and every output,
sample and initial state is accounted for (`lnn2loihi.converters.onnx_read.outputs`).

A step of an LTC from zero, without its state, has lost the weights of its first unfold; if it has
several, the others still have them. Where its mask or weight is zero, a synapse is away.

Nothing in the file is run before every node was understood. Weights in files beside it (`external
data`) are read from its folder only. At the end the network and the file answer the same random
input, by onnxruntime or, where that is missing or cannot run it, by the evaluator of the package
onnx; a difference above 1e-5 is refused, or what a file in half precision allows
(`lnn2loihi.converters.onnx_read.precision`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.converters.files.description import Timespan
from lnn2loihi.converters.onnx_read.check import difference_from_file
from lnn2loihi.converters.onnx_read.file import read_model
from lnn2loihi.converters.onnx_read.inputs import FEW_STEPS, unrolled_steps
from lnn2loihi.converters.onnx_read.outputs import Understood, understood
from lnn2loihi.converters.onnx_read.precision import Precision, widened
from lnn2loihi.converters.onnx_read.symbolic import trace
from lnn2loihi.converters.onnx_read.terms import GraphTooLargeError, NodeError
from lnn2loihi.converters.provenance import with_source
from lnn2loihi.errors import ImportNetworkError, NetworkError
from lnn2loihi.network import LiquidNetwork


class OnnxImporter:
    """Entry point `onnx` of the group `lnn2loihi.importers`."""

    def recognises(self, source: object) -> bool:
        """Whether `source` is a path that ends in `.onnx`."""
        return isinstance(source, Path) and source.suffix.lower() == ".onnx"

    @checks_kinds(ImportNetworkError)
    def load(
        self,
        source: object,
        *,
        timespan: Timespan | None = None,
        description: object = None,
        name: str | None = None,
    ) -> LiquidNetwork:
        """Turns an ONNX file into a LiquidNetwork.

        Args:
            source: the path.
            timespan: leave it out, or "irregular" where the elapsed time is an input of the file;
                a constant one is folded into the file's weights.
            description: goes with checkpoints only; leave it out.
            name: name of the network; else the file's.

        Raises:
            ImportNetworkError: the file is absent, damaged or hostile, or computes something else;
                names the first node that does not fit and what was expected there.
            BackendMissingError: the package onnx is missing.
        """
        path = Path(str(source))
        if description is not None:
            raise ImportNetworkError(str(path), "an ONNX file needs no description; leave it out")
        model, content = read_model(path)
        wide, precision, found, network = _understood(path, model, name or path.stem)
        irregular = network.irregular
        if timespan not in (None, "irregular" if irregular else 1.0):
            raise ImportNetworkError(
                str(path),
                f"timespan is {timespan!r}, but the elapsed time is "
                + ("one of its inputs" if irregular else "folded into its weights")
                + "; leave timespan out",
            )
        source = {"importer": "onnx", "file_sha256": hashlib.sha256(content).hexdigest()}
        _compare(path, wide, found, network, precision.widened_tolerance)
        if precision.half:
            source["precision"] = precision.name
            _compare(path, model, found, network, precision.tolerance)
        if found.answered:
            source["file_answers"] = found.answered
        if found.unheard:
            source["inputs_not_heard"] = ", ".join(f"{entry!r:.80}" for entry in found.unheard)
        if found.left_out:
            source["outputs_left_out"] = "; ".join(
                f"{output!r:.80} ({what})" for output, what in found.left_out.items()
            )
        return with_source(network, source)


def _compare(
    path: Path, model: Any, found: Understood, network: LiquidNetwork, limit: float
) -> None:
    """The file has to answer as the network does."""
    try:
        difference = difference_from_file(model, found, network)
    except Exception as error:  # a runtime may refuse a file in any way
        raise ImportNetworkError(
            str(path), f"it cannot be run to be compared ({error!s:.200}); export it again"
        ) from error
    if not difference <= limit:
        raise ImportNetworkError(
            str(path),
            f"its answers to random input differ by {difference:.3g} from those of the layers "
            f"that were found in it (the limit is {limit:g}), so it computes something else; "
            "export the recurrent network alone, in evaluation",
        )


def _followed(model: Any, precision: Precision) -> Understood:
    """What a graph computes; of one that is unrolled although its time has no length, too."""
    try:
        return understood(trace(model, precision))
    except NodeError as error:
        steps = unrolled_steps(model.graph)
        if steps in (0, FEW_STEPS):
            raise
        try:
            return understood(trace(model, precision, steps))
        except NodeError:  # it says less than that of the steps that were tried first
            raise error from None


def _own_file(model: Any) -> str:
    """What to say of a model that lnn2loihi has written; empty for others."""
    if model.producer_name != "lnn2loihi":
        return ""
    if any(node.op_type.startswith("Bit") for node in _all_nodes(model)):
        return (
            ". It is a program in integers, which export has written: it runs in onnxruntime, and "
            "is no network to import. Give the .l2l file that it was made from, or the checkpoint"
        )
    return (
        ". lnn2loihi wrote this file itself, in a form made for speed: import what it was made from"
    )


def _all_nodes(model: Any) -> Iterator[Any]:
    """Nodes of a model, those of its functions and of graphs within nodes included."""
    waiting: list[Any] = [model.graph, *model.functions]
    while waiting:
        for node in waiting.pop().node:
            yield node
            waiting += [attribute.g for attribute in node.attribute if attribute.HasField("g")]


def _understood(
    path: Path, model: Any, name: str
) -> tuple[Any, Precision, Understood, LiquidNetwork]:
    """The model in float32, the precision it has, what it computes, and that as a network."""
    try:
        wide, precision = widened(model)
        found = _followed(wide, precision)
        network = found.first.network(name)
        found.check_same(network)
        return wide, precision, found, network
    except NetworkError as error:
        raise ImportNetworkError(str(path), error.problems) from error
    except (NodeError, GraphTooLargeError) as error:
        own = _own_file(model)
        raise ImportNetworkError(str(path), f"{error}{own}") from error
    except RecursionError as error:
        raise ImportNetworkError(
            str(path), "its graph is nested or chained too deeply; export fewer steps"
        ) from error
