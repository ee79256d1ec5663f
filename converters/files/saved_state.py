"""Which of the dicts in what `torch.save` wrote holds the weights.

Training scripts write {"model_state_dict": ..., "optimizer_state_dict": ..., "epoch": ...},
PyTorch Lightning "state_dict", others "model", "policy" or "net": the weights are the only dict of
named tensors that is no state of an optimizer. Where there are several, only the user can say
which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lnn2loihi.errors import ImportNetworkError

#: How deep a state_dict may lie in a checkpoint.
DEEPEST = 4
#: Parts of keys under which tensors are no weights of a module.
OTHER_STATES = ("optim", "scheduler", "scaler", "rng", "loops", "callbacks", "hyper_parameters")


def weights_of(content: Any, path: Path) -> dict[str, Any]:
    """The state_dict in the content of a checkpoint.

    Args:
        content: what `torch.load` gave.
        path: of the file, for messages and the advice.

    Raises:
        ImportNetworkError: there is none, or there are several, named by their keys.
    """
    found = list(_states(content, ()))
    if not found:
        return _checked(content, path)
    if len(found) > 1:
        listed = ", ".join(_key(where) for where, _ in found)
        first = "".join(f"[{part!r}]" for part in found[0][0])
        raise ImportNetworkError(
            str(path),
            f"it holds {len(found)} dicts of weights, under {listed}; save the one that is meant: "
            f'torch.save(torch.load("{path.name}"){first}, "{path.stem}.weights.pt")',
        )
    return _checked(found[0][1], path)


def _states(content: Any, where: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The innermost dicts of named tensors, with the keys that lead to them: a loss or a counter
    beside them is a tensor too.
    """
    if not isinstance(content, Mapping):
        return
    inner = [
        state
        for key, value in content.items()
        if isinstance(key, str) and len(where) < DEEPEST and not _is_other(key)
        for state in _states(value, (*where, key))
    ]
    if inner:
        yield from inner
    elif _is_state(content):
        yield where, content


def _is_other(key: str) -> bool:
    return any(other in key.lower() for other in OTHER_STATES)


def _is_state(content: Any) -> bool:
    """Whether it is a dict by names with at least one tensor."""
    import torch

    return isinstance(content, Mapping) and any(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in content.items()
    )


def _key(where: tuple[str, ...]) -> str:
    return " in ".join(repr(part) for part in reversed(where))


def _checked(content: Any, path: Path) -> dict[str, Any]:
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        raise ImportNetworkError(
            str(path),
            f"it holds a {type(content).__name__}, not a state_dict; write it with "
            "torch.save(module.state_dict(), path)",
        )
    return dict(content)
