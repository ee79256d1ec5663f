"""What wrappers put before the keys of a state_dict: compiled, parallel, averaged and Lightning
modules, in any nesting.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

V = TypeVar("V")

#: What `torch.compile` puts into the keys of whatever it wraps, a part or the whole.
COMPILED = "_orig_mod"
#: Names under which wrappers, and the modules that people train with, hold the module itself.
WRAPPERS = ("module", "model", "net", "network", "_forward_module")
#: What wrappers hold beside the module: `torch.optim.swa_utils.AveragedModel` counts in it.
COUNTERS = ("n_averaged",)


def without_compiled(tensors: Mapping[str, V]) -> dict[str, V]:
    """The same with `_orig_mod` taken out of all keys; as it is where two keys would be one."""
    named = {
        ".".join(part for part in key.split(".") if part != COMPILED): tensor
        for key, tensor in tensors.items()
    }
    return named if len(named) == len(tensors) else dict(tensors)


def unwrapped(tensors: Mapping[str, V], prefix: str) -> tuple[dict[str, V], str]:
    """The tensors by the keys that they have inside of all wrappers, and what stood before these.

    Nothing changes where keys begin with `prefix` as it is said. Without a prefix, all keys have to
    stand in the wrappers; with one, others may stand beside them (metrics of Lightning).

    Args:
        tensors: by key.
        prefix: what a description says, empty or ending in a dot.
    """
    prefix = ".".join(part for part in prefix.split(".") if part != COMPILED)
    own, before = dict(tensors), ""
    while not (prefix and any(key.startswith(prefix) for key in own)):
        counted = {key: value for key, value in own.items() if key not in COUNTERS}
        firsts = {key.partition(".")[0] for key in counted}
        first = next(iter(firsts), "")
        if len(firsts) != 1 or first not in WRAPPERS or first in counted:
            break
        own = {key[len(first) + 1 :]: value for key, value in counted.items()}
        before += f"{first}."
    else:
        return own, before
    if not prefix:
        return own, before
    chains = {
        chain for key in tensors for chain in _chains(key) if key[len(chain) :].startswith(prefix)
    }
    if len(chains) != 1:
        return dict(tensors), ""
    (chain,) = chains
    return {k[len(chain) :]: v for k, v in tensors.items() if k.startswith(chain)}, chain


def _chains(key: str) -> list[str]:
    """All that wrappers may have put before a key."""
    found, chain = [], ""
    for part in key.split("."):
        if part not in WRAPPERS:
            break
        chain += f"{part}."
        found.append(chain)
    return found
