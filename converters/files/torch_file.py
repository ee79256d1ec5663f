"""Reads what `torch.save` wrote, through PyTorch's restricted unpickler: nothing of a file is run.

PyTorch Lightning and others keep objects of their own beside the weights (hyperparameters,
callbacks), which the restricted unpickler refuses. It is told to make something empty wherever
their classes or functions stand: neither is imported, nor called, and what they stood for is named
in the network's source.
"""

from __future__ import annotations

import math
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lnn2loihi.converters.files.checkpoint import MOST_TENSORS, too_many
from lnn2loihi.converters.files.saved_state import weights_of
from lnn2loihi.converters.files.tensor import Tensor, torch_tensors
from lnn2loihi.errors import BackendMissingError, ImportNetworkError, Problems

#: Largest .pt file that is opened (PyTorch reads all of it into memory).
TORCH_LIMIT = 4 << 30
#: Most classes and functions in a file that are passed over.
MOST_STRANGERS = 256
#: Modules whose names have no business in a file of weights: it is refused, not passed over.
_DANGEROUS = {
    "os", "posix", "nt", "sys", "subprocess", "shutil", "socket", "importlib", "runpy", "pickle",
    "ctypes", "code", "io", "_io", "pty", "commands", "webbrowser", "marshal", "multiprocessing",
    "signal",
}  # fmt: skip
#: Most times that a file is read, until it is known what stands for which of them.
MOST_TRIES = 16
#: What of `builtins` is harmless wherever it stands.
_HARMLESS = {"set", "frozenset", "slice", "range", "complex", "bytearray", "object", "int", "float",
             "str", "list", "dict", "tuple", "bool", "type", "bytes"}  # fmt: skip


@dataclass(frozen=True)
class TorchFile:
    """What a file of `torch.save` holds.

    Attributes:
        tensors: the state_dict.
        notes: what else there was, for the network's source.
    """

    tensors: dict[str, Tensor]
    notes: dict[str, str] = field(default_factory=dict)


def read_torch(path: Path, state: str | None = None) -> TorchFile:
    """Opens a state_dict saved by `torch.save`; a pickle that would run code is refused.

    A dict that holds it beside the state of an optimizer is accepted, whatever its key is.

    Args:
        path: the file.
        state: which of several states is meant; see `weights_of`.

    Raises:
        ImportNetworkError: the file is damaged, hostile, or holds something else or several.
        BackendMissingError: PyTorch is not installed.
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise BackendMissingError(
            str(path),
            "reading a .pt or .pth file needs PyTorch: pip install torch. Or save the weights "
            "with safetensors.torch.save_file, which is read without PyTorch",
        ) from error
    if path.stat().st_size > TORCH_LIMIT:
        raise ImportNetworkError(
            str(path),
            f"it has {path.stat().st_size} bytes, the limit of lnn2loihi is {TORCH_LIMIT}; save "
            "the state_dict of the liquid network alone, or as .safetensors",
        )
    _check_kind(path)
    _check_archive(path)
    content, strangers = _loaded(path)
    if isinstance(content, _Stranger) or (strangers and not _has_tensors(content)):
        raise ImportNetworkError(str(path), _whole_module(path, content, strangers))
    found = weights_of(content, path, state)
    if strangers and not any(torch.is_tensor(value) for value in found.content.values()):
        raise ImportNetworkError(str(path), _whole_module(path, content, strangers))
    if len(found.content) > MOST_TENSORS:
        raise too_many(path, len(found.content))
    tensors = torch_tensors(found.content)
    size = path.stat().st_size
    problems = Problems(ImportNetworkError, str(path))
    for key, tensor in tensors.items():
        # No element type has less than a bit; strides of zero can claim any size.
        if math.prod(tensor.shape) > 8 * size:
            problems.add(
                f"tensor {key!r} claims shape {tensor.shape} but the file holds {size} bytes"
            )
    problems.raise_if_any()
    notes = dict(found.notes)
    if strangers:
        notes["passed over in the file, and not run"] = ", ".join(strangers[:12]) + (
            f" and {len(strangers) - 12} more" if len(strangers) > 12 else ""
        )
    return TorchFile(tensors, notes)


class _Stranger:
    """Stands for an object of a class, or for what a function would answer, that is not imported;
    the content that a file gives it is dropped.
    """

    kind = ""

    def __new__(cls, *given: Any, **named: Any) -> Any:
        return object.__new__(cls)

    def __init__(self, *given: Any, **named: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _Mapping(_Stranger):
    """The same of a class that is derived from dict: its items are kept."""

    def __new__(cls, *given: Any, **named: Any) -> Any:
        return OrderedDict()


class _Sequence(_Stranger):
    """The same of a class that is derived from list, or of a deque."""

    def __new__(cls, *given: Any, **named: Any) -> Any:
        return []


def _loaded(path: Path) -> tuple[Any, list[str]]:
    """What the file holds, and the names of what stands in it for nothing.

    Raises:
        ImportNetworkError: it is damaged or hostile.
    """
    import torch

    with warnings.catch_warnings():
        # Its remarks on pickle protocols add nothing to a refusal.
        warnings.simplefilter("ignore")
        try:
            return torch.load(path, weights_only=True, map_location="cpu"), []
        except Exception as error:  # a parser of hostile data may raise anything
            refusal = error
        strangers: list[str] = []
        try:
            strangers = sorted(_strangers(path))
            content = _loaded_without(path, strangers) if strangers else None
        except Exception:
            content = None
    if content is None:
        raise ImportNetworkError(str(path), _torch_refusal(refusal)) from refusal
    return content, strangers


def _loaded_without(path: Path, strangers: list[str]) -> Any:
    """What the file holds, with stand-ins for what is not imported.

    Whether a class is derived from dict or list does not stand in the file: where PyTorch refuses
    to fill a stand-in, its error says which.
    """
    import torch

    kinds = dict.fromkeys(strangers, _Stranger)
    for _ in range(MOST_TRIES):
        made = [
            type(f"Stranger{number}", (kind,), {"kind": name})
            for number, (name, kind) in enumerate(kinds.items())
        ]
        stand_ins: list[Any] = list(zip(made, kinds, strict=True))
        try:
            with torch.serialization.safe_globals(stand_ins):
                return torch.load(path, weights_only=True, map_location="cpu")
        except Exception as error:
            wrong = re.search(r"Can only (\w+).*Stranger(\d+)", str(error))
            if wrong is None:
                raise
            kinds[strangers[int(wrong[2])]] = _Mapping if wrong[1].isupper() else _Sequence
    return None


def _strangers(path: Path) -> Iterator[str]:
    """Names of classes and functions in a file that PyTorch does not know; none where one of them
    is a reason to refuse the file, or where this PyTorch (before 2.6) cannot say.
    """
    import torch

    names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    if len(names) > MOST_STRANGERS:
        return
    for name in names:
        root, _, rest = name.partition(".")
        if root in _DANGEROUS or (root in ("builtins", "__builtin__") and rest not in _HARMLESS):
            return
    yield from names


def _has_tensors(content: Any, depth: int = 5) -> bool:
    import torch

    if torch.is_tensor(content):
        return True
    inside = content.values() if isinstance(content, dict) else ()
    return depth > 0 and any(_has_tensors(value, depth - 1) for value in inside)


def _whole_module(path: Path, content: Any, strangers: list[str]) -> str:
    """Why a file of pickled modules is refused, and the lines that make a loadable one."""
    kind, key = strangers[0], ""
    if isinstance(content, _Stranger):
        kind = content.kind
    elif isinstance(content, dict):
        at = next((k for k, v in content.items() if isinstance(v, _Stranger)), None)
        if at is not None:
            kind, key = content[at].kind, f"[{at!r}]"
    out = f"{path.stem}.weights.pt"
    return (
        f"it is a pickle that refers to {kind:.120}, not only to tensors; nothing of it was run. "
        "If it is a whole module, save its weights instead, with torch.save(module.state_dict(), "
        "path), where its classes can be imported and the file is trusted:\n"
        "    import torch\n"
        f'    module = torch.load("{path.name}", weights_only=False, map_location="cpu"){key}\n'
        f'    torch.save(module.state_dict(), "{out}")'
    )


def _check_kind(path: Path) -> None:
    """Refuses files of other formats by what they are."""
    with path.open("rb") as file:
        head = file.read(512)
    kinds = {
        "an HDF5 file, as Keras writes them": (head.startswith(b"\x89HDF\r\n"), ".weights.h5"),
        "an ONNX file": (
            len(head) > 4 and head[0] == 8 and head[1] < 32 and head[2] in (0x12, 0x1A, 0x3A),
            ".onnx",
        ),
    }
    for what, (fits, suffix) in kinds.items():
        if fits:
            raise ImportNetworkError(
                str(path), f"it is {what}, not of torch.save; rename it to {path.stem}{suffix}"
            )
    if head.startswith(b"\x1f\x8b") or head[257:262] == b"ustar":
        raise ImportNetworkError(
            str(path), "it is a packed archive, not a file of torch.save; unpack it first"
        )


def _check_archive(path: Path) -> None:
    """Refuses a zip whose members claim more than the file holds, before PyTorch allocates it."""
    size = path.stat().st_size
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            members = len(archive.infolist())
            names = [member.filename for member in archive.infolist()]
            claimed = sum(member.file_size for member in archive.infolist())
    except Exception as error:  # zipfile lets several kinds through for hostile directories
        raise ImportNetworkError(
            str(path), f"its archive is damaged ({error}); save or copy it again"
        ) from error
    if members > MOST_TENSORS + 100:  # a few of them hold no tensors
        raise too_many(path, members)
    if any("/code/" in name or name.endswith("constants.pkl") for name in names):
        raise ImportNetworkError(
            str(path),
            "it is a program of TorchScript (torch.jit.save), not a state_dict, and is not run; "
            f'save its weights: torch.save(torch.jit.load("{path.name}").state_dict(), '
            f'"{path.stem}.weights.pt")',
        )
    if {"config.json", "model.weights.h5"} <= set(names):
        raise ImportNetworkError(
            str(path), f"it is a file of Keras; rename it to {path.stem}.keras"
        )
    if any(name.endswith("exported_program.json") or "/models/" in name for name in names):
        raise ImportNetworkError(
            str(path),
            "it is a program of torch.export, not a state_dict, and is not run; save its weights: "
            f'torch.save(dict(torch.export.load("{path.name}").state_dict), '
            f'"{path.stem}.weights.pt")',
        )
    if claimed > size:
        raise ImportNetworkError(
            str(path),
            f"its members claim {claimed} bytes but the file holds {size}; PyTorch does not "
            "compress its files, so it is damaged or hostile",
        )


def _torch_refusal(error: Exception) -> str:
    """One sentence for what PyTorch says in many, without its advice to run the file."""
    text = str(error)
    name = re.search(r"GLOBAL (\S+)", text)
    if name:
        return (
            f"it is a pickle that refers to {name.group(1):.120}, not only to tensors; nothing of "
            "it was run. If it is a whole module, save its weights instead: "
            "torch.save(module.state_dict(), path); if a trainer keeps its settings beside them: "
            'torch.save(ckpt["state_dict"], path)'
        )
    unpickler = re.search(r"WeightsUnpickler error:\s*(.+)", text)
    lines = [unpickler.group(1)] if unpickler else text.strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    return (
        f"PyTorch cannot read it as a state_dict ({reason:.160}); nothing of it was run. It is "
        "truncated, damaged or of another kind; save it again with "
        "torch.save(module.state_dict(), path)"
    )
