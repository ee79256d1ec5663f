"""Arrays of numbers out of whatever users hand over; everything else is refused by its reason."""

from __future__ import annotations

from collections.abc import Mapping, Set
from numbers import Number
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import InputError

#: Kinds of types that hold real numbers: bool, signed, unsigned, floating point.
REAL = "biuf"
#: Types of Python numbers, of which NumPy makes arrays by itself.
_PLAIN = frozenset((int, float, bool))
#: Types that PyTorch, JAX and others have and NumPy has not; float32 holds all their values.
_NARROW = ("bfloat16", "float8")
_COMPLEX = (
    "is {}; the imaginary part would be lost: give x.real, or real and imaginary part as channels "
    "of their own"
)


class _Refused(ValueError):
    """Says what a value is, and what to give."""


def as_array(value: Any, subject: str, what: str = "") -> npt.NDArray[Any]:
    """The value as an array of real numbers in its own type.

    Tensors are taken to the CPU, without their gradient; bfloat16 and float8 become float32.
    Nothing is copied that is an array of real numbers already.

    Args:
        value: an array, a tensor, a number, or nested lists of them.
        subject: who says so, for the error.
        what: name of the value in the error's sentence, where that is not the subject.

    Raises:
        InputError: it is complex, masked, text, ragged, sparse or without values, or no array; or
            there is no memory for it.
    """
    try:
        return _real(np.asarray(_converted(value)), value)
    except _Refused as error:
        raise InputError(subject, f"{what} {error}".lstrip()) from None
    except MemoryError as error:
        raise InputError(
            subject, f"{what} needs more memory than there is ({error})".lstrip()
        ) from error
    except Exception as error:  # __array__ and tensors may raise anything
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(subject, f"{what} is not an array of numbers ({text})".lstrip()) from error


def _converted(value: Any) -> Any:
    """The value without tensors and masks."""
    if isinstance(value, (list, tuple)):
        if hasattr(value, "batch_sizes"):
            raise _Refused(
                "is a PackedSequence; torch.nn.utils.rnn.pad_packed_sequence makes of it an array "
                "and its lengths"
            )
        plain = all(type(entry) in _PLAIN for entry in value)
        return value if plain else [_converted(entry) for entry in value]
    if hasattr(value, "detach"):
        return _of_tensor(value)
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.getmaskarray(value).any():
            raise _Refused(
                "is a masked array; NumPy would drop the mask: fill the gaps (x.filled(value)), or "
                "give the lengths where the mask hides the ends of sequences"
            )
        return value.data
    return value


def _of_tensor(value: Any) -> npt.NDArray[Any]:
    """A PyTorch tensor as an array."""
    for name, reason in (
        ("is_meta", "is a tensor on the device meta, which holds no values"),
        ("is_sparse", "is a sparse tensor; give x.to_dense()"),
        ("is_sparse_csr", "is a sparse tensor; give x.to_dense()"),
        ("is_quantized", "is a quantized tensor; give x.dequantize()"),
        ("is_nested", "is a nested tensor; give the list x.unbind()"),
    ):
        if getattr(value, name, False) is True:
            raise _Refused(reason)
    tensor = value.detach().cpu()
    if tensor.dtype.is_complex:
        raise _Refused(_COMPLEX.format(str(tensor.dtype).removeprefix("torch.")))
    if any(name in str(tensor.dtype) for name in _NARROW):
        tensor = tensor.float()
    return np.asarray(tensor)


def _real(array: npt.NDArray[Any], value: Any) -> npt.NDArray[Any]:
    """The array, or one of float64 where it holds numbers as Python objects."""
    kind = array.dtype.kind
    if kind in REAL:
        return array
    if kind == "c":
        raise _Refused(_COMPLEX.format(array.dtype))
    if any(name in array.dtype.name for name in _NARROW):
        return array.astype(np.float32)
    if kind == "O" and not array.ndim:
        loader = hasattr(value, "__iter__") and not isinstance(value, (Mapping, Set))
        stack = "; stack its batches with numpy.concatenate" if loader else ""
        raise _Refused(f"is not an array of numbers but of type {type(value).__qualname__}{stack}")
    if kind == "O":
        for entry in array.flat:
            if not isinstance(entry, Number) or isinstance(entry, (complex, np.complexfloating)):
                name = type(entry).__qualname__
                raise _Refused(f"is not an array of numbers: it holds a value of type {name}")
        return array.astype(np.float64)
    raise _Refused(f"is not an array of numbers: its values are {array.dtype}")
