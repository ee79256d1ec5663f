"""What the arrays of a layer in a file of weights tell of it, for a proposed description."""

from __future__ import annotations

import re
from typing import Any

from lnn2loihi.converters.keras_read.file import KerasFile
from lnn2loihi.converters.keras_read.layer import snake_case
from lnn2loihi.family import importers

#: Classes whose arrays are known by the beginning of their path.
_STATELESS = ("Dense", "TimeDistributed", "BatchNormalization", "Normalization")
#: Most cells of a wired CfC.
MOST_CELLS = 64
#: Where the cell of a layer may stand: in a mixed memory, of ncps or of tf_cfc.py, or alone.
_ROOTS = ("cell/rnn_cell/", "cell/cfc/", "cell/")
#: Arrays of an LTC before its mappings.
_OF_LTC = 11
#: Arrays of an LRC with both mappings, without a symmetric elastance.
_OF_LRC = 14
#: What a description has to say before it is read.
ASKED = "?"


def kind_of(file: KerasFile, group: str) -> str | None:
    """The class of a layer by the name of its group; None where nobody knows it. What `RNN` runs
    follows from its arrays.
    """
    names = (*_STATELESS, *(kind for _, one in importers() for kind in one.keras))
    known = {snake_case(name): name for name in names}
    return "RNN" if base_of(group) == "rnn" and _cell(file, group) else known.get(base_of(group))


def base_of(group: str) -> str:
    """The name of a group without its counter."""
    return re.sub(r"_[0-9]+$", "", group)


def index_of(group: str) -> int:
    """The counter of a group."""
    found = re.search(r"_([0-9]+)$", group)
    return int(found[1]) if found else 0


def size_of(file: KerasFile, group: str) -> tuple[int, int]:
    """How many numbers a layer hears and answers, by the shapes of its arrays; -1 where unknown."""
    root, cells = _root(file, group), _cells(file, group)
    dense = _shape(file, f"{root}ff1/vars/0")  # a head of tf_cfc.py
    first, last = (dense or _shape(file, f"{cells[end]}0") for end in (0, -1))
    memory = _shape(file, f"{group}/cell/vars/0") if _has_memory(file, group) else ()
    kind = _recurrent(file, group)
    if kind == "CfC" and len(first) == len(last) == 2:
        columns = _backbone(file, root) or first
        return memory[0] if memory else columns[0] - first[1], last[1]
    # Behind gleak, vleak, sigma, mu, w and sensory_w (or tau), and h.
    if kind == "LRC" and len(sensory := _shape(file, f"{cells[0]}7")) == 2:
        return sensory[0], sensory[1]
    if kind == "LTC" and len(sensory := _shape(file, f"{cells[0]}9")) == 2:
        outputs = (_shape(file, f"{cells[0]}{_OF_LTC + 2}") or sensory[1:])[0]
        return (memory or sensory)[0], outputs
    own = _shape(file, f"{cells[0]}1")
    if kind in ("LSTM", "GRU") and len(first) == len(own) == 2:
        return first[0], own[0]
    plain = _shape(file, f"{group}/vars/0") or _shape(file, f"{group}/layer/vars/0")
    if base_of(group) in ("batch_normalization", "normalization") and plain:
        return plain[0], plain[0]
    return (plain[0], plain[1]) if len(plain) == 2 else (-1, -1)


def guesses_of(file: KerasFile, group: str) -> dict[str, Any]:
    """What else the table of a layer says; ASKED where nothing can be guessed."""
    root, kind = _root(file, group), _recurrent(file, group) or kind_of(file, group)
    cells, found = _cells(file, group), dict[str, Any]()
    if base_of(group) == "rnn":
        found["cell"] = _cell(file, group)
    biased = {"LSTM": "cell/vars/2", "GRU": "cell/vars/2", "Dense": "vars/1",
              "TimeDistributed": "layer/vars/1"}  # fmt: skip
    if kind in biased and not _shape(file, f"{group}/{biased[kind]}"):
        found["use_bias"] = False
    if kind in ("Dense", "TimeDistributed"):
        found["activation"] = "linear"
    if kind == "CfC":
        # tf_cfc.py has no defaults, and nobody can tell what it was given.
        asked = bool(_shape(file, f"{root}ff1/vars/0"))
        gated = _shape(file, f"{cells[0].removesuffix('vars/')}time_a/vars/0")
        found["mode"] = "pure" if not gated else ASKED if asked else "default"
        if _backbone(file, root):
            found["activation"] = ASKED if asked else "lecun_tanh"
    if kind == "LRC":
        found |= _of_lrc(file, cells[0])
    if kind == "LTC":
        mapped = sum(path.startswith(cells[0]) for path in file.arrays) - _OF_LTC
        if mapped < 4:
            found |= {"output_mapping": "none"} | ({"input_mapping": "none"} if not mapped else {})
    wired = "_cfc_layers" in cells[0]
    if kind == "LTC" or wired:
        vector = "1" if wired else "0"
        units = sum(sum(_shape(file, f"{cell}{vector}")) for cell in cells)
        found["wiring"] = {"class": "AutoNCP", "units": units,
                           "output_size": size_of(file, group)[1],
                           "sparsity_level": 0.5, "seed": 22222}  # fmt: skip
        if found["wiring"]["output_size"] == units:
            found["wiring"] = {"class": "FullyConnected", "units": units}
    return found


def _of_lrc(file: KerasFile, cell: str) -> dict[str, Any]:
    """What the table of an LRC says: its elastance, as far as the number of its arrays tells; the
    steps of its solver are guesses.
    """
    mapped = f"{cell.removesuffix('vars/')}elastance_mapping/vars/0"
    held = sum(path.startswith(cell) for path in file.arrays)
    plain = _OF_LRC - (len(_shape(file, f"{cell}4")) == 1)
    kind = "none" if not _shape(file, mapped) else "symmetric" if held > plain else "asymmetric"
    return {"elastance_type": kind, "ode_unfolds": 1, "ode_solver": "explicit"}


def asks_for_time(file: KerasFile, group: str) -> bool:
    """Whether no default of the elapsed time holds: behind a memory of tf_cfc.py."""
    dense = _shape(file, f"{_root(file, group)}ff1/vars/0")
    return bool(dense) and _has_memory(file, group)


def _recurrent(file: KerasFile, group: str) -> str | None:
    """The class of a recurrent layer, or of that which has the cell that `RNN` runs."""
    if base_of(group) != "rnn":
        return kind_of(file, group)
    cell = _cell(file, group) or ""
    if cell == "MixedMemoryRNN":
        return "LTC" if _shape(file, f"{_root(file, group)}vars/{_OF_LTC - 1}") else "CfC"
    return "CfC" if cell.lower().endswith("cfccell") else cell.removesuffix("Cell").rstrip("_")


def _cell(file: KerasFile, group: str) -> str | None:
    """The class of the cell that `RNN` runs; None where nobody knows it."""
    root, cells = _root(file, group), _cells(file, group)
    if _shape(file, f"{root}ff1/vars/0"):
        return "MixedCfcCell" if _has_memory(file, group) else "CfcCell"
    if _has_memory(file, group):
        return "MixedMemoryRNN"
    if "_cfc_layers" in cells[0]:
        return "WiredCfCCell"
    if len(_shape(file, f"{root}vars/0")) == 1 and len(_shape(file, f"{root}vars/2")) == 2:
        return "LRC_Cell"  # sigma, where an LTC has cm
    if _shape(file, f"{root}vars/{_OF_LTC - 1}"):
        return "LTCCell"
    if _shape(file, f"{root}time_a/vars/0") or _shape(file, f"{root}vars/3"):
        return "CfCCell"
    own = _shape(file, f"{root}vars/1")
    blocks = own[1] // own[0] if len(own) == 2 and own[0] else 0
    return {3: "GRUCell", 4: "LSTMCell"}.get(blocks)


def _cells(file: KerasFile, group: str) -> list[str]:
    """Paths of the cells of a recurrent layer, several in a wired CfC."""
    root = _root(file, group)
    wired = [f"{root}_cfc_layers/cf_c_cell{f'_{n}' if n else ''}/vars/" for n in range(MOST_CELLS)]
    return [one for one in wired if _shape(file, f"{one}0")] or [f"{root}vars/"]


def _root(file: KerasFile, group: str) -> str:
    """Where the cell of a layer stands."""
    roots = [f"{group}/{root}" for root in _ROOTS]
    held = (root for root in roots if any(path.startswith(root) for path in file.arrays))
    return next(held, roots[-1])


def _has_memory(file: KerasFile, group: str) -> bool:
    return _root(file, group) != f"{group}/{_ROOTS[-1]}"


def _backbone(file: KerasFile, root: str) -> tuple[int, ...]:
    """The shape of the first map of a backbone."""
    places = (f"{root}{name}/layers/dense/vars/0" for name in ("backbone_fn", "backbone"))
    return next((shape for place in places if (shape := _shape(file, place))), ())


def _shape(file: KerasFile, path: str) -> tuple[int, ...]:
    found = file.arrays.get(path)
    return () if found is None else found.shape
