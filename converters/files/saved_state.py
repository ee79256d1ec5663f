"""Which of the dicts in what `torch.save` wrote holds the weights.

Training scripts write {"model_state_dict": ..., "optimizer_state_dict": ..., "epoch": ...},
PyTorch Lightning "state_dict", others "model", "policy" or "net": the weights are the only dict of
named tensors that is no state of an optimizer. Beside the weights there may be a running mean of
them ("ema"): then the weights are taken, which is said, and `state = "ema"` asks for the mean.
Where there are several others, only the user can say which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lnn2loihi.errors import ImportNetworkError
from lnn2loihi.printable import kind_of_value

#: How deep a state_dict may lie in a checkpoint.
DEEPEST = 4
#: Parts of keys under which tensors are no weights of a module.
OTHER_STATES = ("optim", "sched", "scaler", "rng", "loops", "callbacks", "hyper_parameters")
#: Parts of keys of running means of weights.
AVERAGES = ("ema", "averag", "shadow", "swa")
#: The key of unnamed copies of parameters, as torch_ema writes them.
UNNAMED = "shadow_params"


@dataclass(frozen=True)
class SavedState:
    """The state_dict of a checkpoint.

    Attributes:
        content: its entries.
        place: keys that lead to it, joined by dots; empty where it is the whole file.
        others: places of the other states of weights in the file.
    """

    content: dict[str, Any]
    place: str = ""
    others: tuple[str, ...] = ()

    @property
    def notes(self) -> dict[str, str]:
        """What was taken where there was a choice, for the network's source."""
        if not self.others:
            return {}
        others = ", ".join(map(repr, self.others))
        return {"state": f"{self.place!r} of the file, which holds {others} too (state = ...)"}


class SeveralStatesError(ImportNetworkError):
    """A file holds several states, and which one is meant is not said.

    Attributes:
        places: where they are, as `state` may be said.
    """

    places: tuple[str, ...] = ()


def weights_of(content: Any, path: Path, state: str | None = None) -> SavedState:
    """The state_dict in the content of a checkpoint.

    Args:
        content: what `torch.load` gave.
        path: of the file, for messages and the advice.
        state: which of several is meant: the keys that lead to it joined by dots, or the last of
            them; None for the only one, or the only one that is no running mean.

    Raises:
        ImportNetworkError: there is none, or there are several, named by their keys.
    """
    found = list(_states(content, ()))
    places = [".".join(where) for where, _ in found]
    if state is not None:
        number = _asked_for(state, places, content, path)
    elif len(found) < 2:
        number = 0
    else:
        plain = [n for n, (where, _) in enumerate(found) if not _is_average(where)]
        if len(plain) != 1:
            raise _several(found, places, path)
        number = plain[0]
    if not found:
        return SavedState(_checked(content, path))
    others = tuple(place for place in places if place != places[number])
    others += tuple(_unnamed(content))
    return SavedState(_checked(found[number][1], path), places[number], others)


def _asked_for(state: str, places: list[str], content: Any, path: Path) -> int:
    """Which of the states is meant by a word."""
    fitting = [n for n, place in enumerate(places) if place == state]
    fitting = fitting or [n for n, p in enumerate(places) if p.rpartition(".")[2] == state]
    fitting = fitting or [n for n, p in enumerate(places) if state in p.split(".")]
    if len(fitting) == 1:
        return fitting[0]
    if state in _unnamed(content):
        raise ImportNetworkError(
            str(path),
            f"{state!r} is a list of tensors without names, which only the module can put in "
            "place: ema.load_state_dict(...); ema.copy_to(module.parameters()); "
            f'torch.save(module.state_dict(), "{path.stem}.weights.pt")',
        )
    there = ", ".join(repr(place) for place in places if place) or "only one, so leave it out"
    said = "names several of its states" if fitting else "is none of its states"
    raise ImportNetworkError(str(path), f"state = {state!r:.80} {said}; there are {there:.400}")


def _several(found: list[Any], places: list[str], path: Path) -> ImportNetworkError:
    listed = ", ".join(_key(where) for where, _ in found)
    first = "".join(f"[{part!r}]" for part in found[0][0])
    error = SeveralStatesError(
        str(path),
        f"it holds {len(found)} dicts of weights, under {listed:.400}; say which one is meant in "
        f'its description, state = "{places[0]:.80}" for instance, or save it alone: '
        f'torch.save(torch.load("{path.name}"){first}, "{path.stem}.weights.pt")',
    )
    error.places = tuple(places)
    return error


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


def _is_average(where: tuple[str, ...]) -> bool:
    return any(average in key.lower() for key in where for average in AVERAGES)


def _unnamed(content: Any) -> list[str]:
    """Keys of lists of tensors that stand for parameters in their order."""
    if not isinstance(content, Mapping):
        return []
    within = [value for value in content.values() if isinstance(value, Mapping)]
    return [UNNAMED] if any(UNNAMED in one for one in (content, *within)) else []


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
            f"it holds {kind_of_value(content)}, not a state_dict; write it with "
            "torch.save(module.state_dict(), path)",
        )
    return dict(content)
