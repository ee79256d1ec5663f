"""Reads ONNX files without believing them: sizes first, nothing outside of the file's folder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from lnn2loihi.errors import BackendMissingError, ImportNetworkError, Problems
from lnn2loihi.files import note_input, why_no_file

#: Largest file that is opened: protobuf ends at 2 GB, and the weights of a chip are far below.
FILE_LIMIT = 2 << 30
#: Most nodes of a graph, bodies of loops and functions included: a layer that is unrolled over a
#: thousand steps has half as many.
NODE_LIMIT = 1 << 16


def read_model(path: Path) -> tuple[Any, bytes]:
    """The model of a file, with local functions inlined and external data read, and its bytes.

    Raises:
        ImportNetworkError: it is absent, too large, damaged, or claims what it does not hold.
        BackendMissingError: the package onnx is missing.
    """
    try:
        import onnx
        from onnx.inliner import inline_local_functions
    except ImportError as error:
        raise BackendMissingError(
            str(path), "reading an ONNX file needs the package onnx: pip install onnx"
        ) from error
    if not path.is_file():
        raise ImportNetworkError(str(path), why_no_file(path))
    size = path.stat().st_size
    if not 0 < size <= FILE_LIMIT:
        raise ImportNetworkError(
            str(path), f"it has {size} bytes; an ONNX file has 1 to {FILE_LIMIT}"
        )
    note_input(path)
    content = path.read_bytes()
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
        if not model.HasField("graph") or not model.graph.node:
            raise ValueError("it has no graph")
        nodes = _count(model.graph) + sum(len(function.node) for function in model.functions)
        if nodes > NODE_LIMIT:
            raise ValueError(f"it has {nodes} nodes, the limit of lnn2loihi is {NODE_LIMIT}")
        _check_functions(model)
        tensors = _tensors(model)
        _read_external(path, model, tensors)
        _check_tensors(path, tensors)
        if model.functions:
            model = inline_local_functions(model)
            inlined = _count(model.graph)
            if inlined > NODE_LIMIT:
                raise ValueError(f"it has {inlined} nodes, the limit is {NODE_LIMIT}")
    except ImportNetworkError:
        raise
    except Exception as error:  # a parser of hostile data may raise anything
        raise ImportNetworkError(
            str(path), f"it is damaged or no ONNX file ({error!s:.160}); export or copy it again"
        ) from error
    return model, content


def _bodies(node: Any) -> list[Any]:
    return [entry.g for entry in node.attribute if entry.HasField("g")]


def _count(graph: Any, depth: int = 0) -> int:
    if depth > 8:
        raise ValueError("its graphs are nested more than 8 deep")
    return len(graph.node) + sum(
        _count(body, depth + 1) for node in graph.node for body in _bodies(node)
    )


def _check_functions(model: Any) -> None:
    """Calls of functions must not multiply: 30 that call each other twice make a billion nodes."""
    sizes: dict[tuple[str, str], int] = {}
    own = {(function.domain, function.name): function for function in model.functions}

    def size(key: tuple[str, str], above: tuple[tuple[str, str], ...]) -> int:
        if key in above:
            raise ValueError(f"its function {key[1]!r:.60} calls itself")
        if key not in sizes:
            total = 0
            for node in own[key].node:
                called = (node.domain, node.op_type)
                total += size(called, (*above, key)) if called in own else 1
            if total > NODE_LIMIT:
                raise ValueError(f"its function {key[1]!r:.60} unfolds to {total} nodes")
            sizes[key] = total
        return sizes[key]

    calls = 0
    for key in own:
        size(key, ())
    pending = [model.graph]
    while pending:
        graph = pending.pop()
        for node in graph.node:
            calls += sizes.get((node.domain, node.op_type), 1)
            pending += _bodies(node)
    if calls > NODE_LIMIT:
        raise ValueError(f"its functions unfold to {calls} nodes, the limit is {NODE_LIMIT}")


def _tensors(model: Any) -> list[Any]:
    found: list[Any] = []

    def of_nodes(nodes: Any) -> None:
        for node in nodes:
            for entry in node.attribute:
                if entry.HasField("t"):
                    found.append(entry.t)
                found.extend(entry.tensors)
                if entry.HasField("g"):
                    of_graph(entry.g)

    def of_graph(graph: Any) -> None:
        found.extend(graph.initializer)
        of_nodes(graph.node)

    of_graph(model.graph)
    for function in model.functions:
        of_nodes(function.node)
    return found


def _read_external(path: Path, model: Any, tensors: list[Any]) -> None:
    """Reads weights that lie in files beside the model, after a look at what is there."""
    from onnx import TensorProto
    from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_tensor

    folder = path.parent.resolve()
    problems = Problems(ImportNetworkError, str(path))
    external = [t for t in tensors if t.data_location == TensorProto.EXTERNAL]
    for tensor in external:
        info = ExternalDataInfo(tensor)
        file = folder / str(info.location)
        note_input(file)
        if file.resolve().parent != folder or not file.is_file():
            problems.add(
                f"tensor {tensor.name!r:.80} lies in {str(info.location)!r:.80}, which is not a "
                "file beside it; copy it there, or export with external_data=False"
            )
            continue
        end = (info.offset or 0) + (info.length or 0)
        if (info.offset or 0) < 0 or (info.length or 0) < 0 or end > file.stat().st_size:
            problems.add(
                f"tensor {tensor.name!r:.80} claims bytes up to {end} of {file.name}, which has "
                f"{file.stat().st_size}"
            )
    problems.raise_if_any()
    for tensor in external:
        load_external_data_for_tensor(tensor, str(folder))
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]


def _check_tensors(path: Path, tensors: list[Any]) -> None:
    """Tensors must hold as many numbers as their shapes claim."""
    from onnx import TensorProto, helper

    problems = Problems(ImportNetworkError, str(path))
    for tensor in tensors:
        if tensor.data_type in (TensorProto.STRING, TensorProto.UNDEFINED):
            problems.add(f"tensor {tensor.name!r:.80} holds no numbers")
            continue
        claimed = math.prod(tensor.dims)
        width = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        fields = (
            tensor.float_data, tensor.double_data, tensor.int32_data, tensor.int64_data,
            tensor.uint64_data,
        )  # fmt: skip
        held = len(tensor.raw_data) / width + sum(len(field) for field in fields)
        if any(length < 0 for length in tensor.dims) or claimed > 2 * held:
            problems.add(
                f"tensor {tensor.name!r:.80} claims the shape {tuple(tensor.dims)} but holds "
                f"{int(held)} numbers"
            )
    problems.raise_if_any()
