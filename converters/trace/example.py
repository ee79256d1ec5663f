"""Records a module with an example of the arguments that its forward takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lnn2loihi.converters.trace.recording import Recording


def record_call(
    module: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
) -> Recording:
    """What a module does with an example.

    Args:
        module: a module, what wraps one (DataParallel, DistributedDataParallel, the result of
            torch.compile), or a method of a module (`model.forward_step`). It is left as it is.
        args: what it is called with by position: tensors and NumPy arrays, alone or in tuples,
            lists and dicts; all else is a constant.
        kwargs: what it is called with by keyword.

    Raises:
        CannotCopyError: the module cannot be copied, or is one that cannot be recorded.
        CannotFollowError: forward does something that no graph can hold; says on which line, what
            was expected there and what to do.
        CannotRunError: forward raises an error on the example: the module's own complaint, its
            line, and which argument it was.
    """
    ...
