"""Builds ONNX models: nodes with names, constants, model-local functions, and their check.

Everything that touches the package onnx on the way out is here, and imports it when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import BackendMissingError, InputError

#: Versions of the operator set and of the file format: old enough for every runtime in use.
OPSET, IR_VERSION = 21, 10
#: Domain of the model-local functions.
DOMAIN = "lnn2loihi"
#: Names of the dynamic dimensions.
BATCH, TIME = "batch", "time"
#: Largest model in bytes: protobuf ends at 2 GB.
LARGEST_MODEL = (1 << 31) - 1

Values = npt.NDArray[Any]
Shape = Sequence[int | str | None]


def require_onnx() -> Any:
    """The package onnx.

    Raises:
        BackendMissingError: it is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise BackendMissingError(
            "ONNX", "the package onnx is not installed: pip install 'onnx>=1.22'"
        ) from error
    return onnx


class Graph:
    """Nodes and constants in the making; a value is known by its name.

    Args:
        outer: the graph that this one is a body of; names are unique over both.
        function: whether it is the body of a function, where constants are nodes.
    """

    def __init__(self, outer: Graph | None = None, function: bool = False) -> None:
        self.onnx = require_onnx()
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._function = function
        self._taken: set[str] = set() if outer is None else outer._taken
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def name(self, hint: str) -> str:
        """A name that nothing else has, like the hint."""
        name, number = hint, 1
        while name in self._taken:
            number += 1
            name = f"{hint}_{number}"
        self._taken.add(name)
        return name

    def claim(self, interface: Sequence[Any], subject: str) -> None:
        """Takes the names of all inputs and outputs.

        Raises:
            InputError: two of them have the same name.
        """
        names = [value.name for value in interface]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(
                subject, f"two inputs or outputs would be called {', '.join(twice)}; rename one"
            )
        self._taken.update(names)

    def add(
        self, operation: str, *inputs: str, name: str = "", domain: str = "", **attributes: Any
    ) -> str:
        """Adds a node with one output.

        Args:
            operation: name of the operator or function.
            inputs: its inputs.
            name: hint for the name of the node and of its output; the operation's by default.
            domain: "" for a standard operator, DOMAIN for a function.
            attributes: of the operator.

        Returns:
            The name of its output.
        """
        output = self.name(name or operation)
        self.add_many(operation, inputs, [output], domain=domain, **attributes)
        return output

    def add_many(
        self,
        operation: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        domain: str = "",
        **attributes: Any,
    ) -> None:
        """Adds a node with outputs of exactly these names, which come from `name`; see `add`."""
        made = self.onnx.helper.make_node(
            operation, list(inputs), list(outputs), name=outputs[0], domain=domain or None,
            **attributes,
        )  # fmt: skip
        self.nodes.append(made)

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike, name: str = "") -> str:
        """An array that the model holds; equal ones of a graph are held once."""
        array = np.ascontiguousarray(np.asarray(values, dtype)).reshape(np.shape(values))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            own = self.name(name or _hint(array))
            tensor = self.onnx.numpy_helper.from_array(array, own)
            self._known[key] = own
            if self._function:
                node = self.onnx.helper.make_node("Constant", [], [own], name=own, value=tensor)
                self.nodes.append(node)
            else:
                self.constants.append(tensor)
        return self._known[key]

    def finished(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """The graph, from its value infos (see `value_info`), without what nobody uses."""
        used = {value.name for value in outputs}
        nodes: list[Any] = []
        for node in reversed(self.nodes):
            if used & set(node.output):
                nodes.append(node)
                used |= _read(node)
        constants = [tensor for tensor in self.constants if tensor.name in used]
        return self.onnx.helper.make_graph(nodes[::-1], name, inputs, outputs, constants)

    def value_info(self, name: str, dtype: npt.DTypeLike, shape: Shape) -> Any:
        """Type and shape of an input or output."""
        helper = self.onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return helper.make_tensor_value_info(name, kind, list(shape))

    def cast(self, value: str, dtype: npt.DTypeLike, name: str = "") -> str:
        """The value in another type."""
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.add("Cast", value, name=name, to=kind)


def _read(node: Any) -> set[str]:
    """Values that a node reads, and the bodies of loops in it."""
    read = set(node.input)
    for attribute in node.attribute:
        read |= {value.name for value in attribute.g.output}
        read |= {name for inner in attribute.g.node for name in _read(inner)}
    return read


def _hint(array: Values) -> str:
    if array.ndim == 0:
        return f"constant_{array.item()}".replace("-", "minus_")
    return "constant"


class Functions:
    """The model-local functions of a model; a function comes after those that it calls."""

    def __init__(self) -> None:
        self._onnx = require_onnx()
        self._made: dict[str, Any] = {}

    def define(
        self,
        name: str,
        inputs: Sequence[str],
        build: Callable[[Graph], Sequence[str]],
        description: str = "",
    ) -> str:
        """Makes a function, unless there is one of that name.

        Args:
            name: its name in DOMAIN.
            inputs: names of its inputs.
            build: adds its nodes to a graph, and returns the names of its outputs.
            description: what it does, for viewers.

        Returns:
            The name.
        """
        if name not in self._made:
            graph = Graph(function=True)
            for value in inputs:
                graph.name(value)
            outputs = build(graph)
            helper = self._onnx.helper
            self._made[name] = helper.make_function(
                DOMAIN, name, list(inputs), list(outputs), graph.nodes, _opsets(self._onnx),
                doc_string=description,
            )  # fmt: skip
        return name

    @property
    def made(self) -> list[Any]:
        """All of them, in order."""
        return list(self._made.values())


def _opsets(onnx: Any) -> list[Any]:
    return [onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid(DOMAIN, 1)]


def identifier(text: str) -> str:
    """The text as the name of a function: letters, digits and underscores."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in text)


def repeated(graph: Graph, sequence: str, times: int) -> str:
    """Each step of a sequence (time, ...) so many times in a row."""
    if times == 1:
        return sequence
    zero, one = (graph.constant(n, np.int64) for n in (0, 1))
    factor = graph.constant(times, np.int64)
    length = graph.add("Squeeze", graph.add("Shape", sequence, start=0, end=1))
    steps = graph.add("Range", zero, graph.add("Mul", length, factor), one)
    return graph.add("Gather", sequence, graph.add("Div", steps, factor), name="repeated", axis=0)


def last_of_each(graph: Graph, sequence: str, times: int) -> str:
    """Of each so many steps of a sequence (time, ...) the last."""
    if times == 1:
        return sequence
    ends = (times - 1, np.iinfo(np.int64).max, 0, times)
    return graph.add("Slice", sequence, *(graph.constant([end], np.int64) for end in ends))


def finished(
    graph: Any, functions: Functions, name: str, metadata: Mapping[str, str], description: str
) -> Any:
    """The model, checked by onnx.checker in full mode.

    Raises:
        InputError: it is larger than a file can be.
    """
    from lnn2loihi.version import VERSION

    onnx = require_onnx()
    model = onnx.helper.make_model(
        graph, opset_imports=_opsets(onnx), ir_version=IR_VERSION, functions=functions.made,
        producer_name="lnn2loihi", producer_version=VERSION, doc_string=description,
    )  # fmt: skip
    onnx.helper.set_model_props(model, {f"lnn2loihi.{key}": metadata[key] for key in metadata})
    if model.ByteSize() > LARGEST_MODEL:
        raise InputError(
            name, f"it takes {model.ByteSize():,} bytes in ONNX; a file ends at {LARGEST_MODEL:,}"
        )
    onnx.checker.check_model(model, full_check=True)
    return model
