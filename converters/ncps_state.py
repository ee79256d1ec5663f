"""The arrays of an `ncps.torch.CfC` as a LiquidNetwork: the one path of modules and checkpoints.

Keys and shapes: ncps 1.0.1, torch/cfc.py, torch/cfc_cell.py and torch/wired_cfc_cell.py.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from lnn2loihi.converters.checkpoint import FloatArray, Tensor
from lnn2loihi.converters.description import Description, template
from lnn2loihi.errors import ImportNetworkError, Problems
from lnn2loihi.network import CfCLayer, Linear, LiquidNetwork

#: Most elements of one array that are read: more weights than a whole Loihi 2 chip has room for.
ELEMENT_LIMIT = 1 << 27

_GATES = CfCLayer.gates
_CELL_KEY = re.compile(r"rnn_cell\.(layer_\d{1,6})\.")


@dataclass(frozen=True)
class _Cell:
    """The keys of one layer.

    Attributes:
        name: name of the layer.
        prefix: what stands before `ff1.weight` in its keys.
        mask: key of its sparsity mask, or None in a dense CfC.
    """

    name: str
    prefix: str
    mask: str | None

    def keys(self, mode: str) -> list[str]:
        """The keys that a cell of this mode has."""
        if mode == "pure":
            keys = ["ff1.weight", "ff1.bias", "w_tau", "A"]
        else:
            keys = [f"{gate}.{part}" for gate in _GATES for part in ("weight", "bias")]
        return [self.prefix + key for key in keys] + ([self.mask] if self.mask else [])


def network_from_state(
    state: Mapping[str, Tensor],
    description: Description,
    *,
    subject: str,
    name: str,
    timespan: float,
    source: Mapping[str, str],
    refused: Iterable[str] = (),
) -> LiquidNetwork:
    """Checks the arrays of a CfC against its description and assembles the network.

    Args:
        state: the tensors by key; under `description.prefix`, others are ignored.
        description: how the module was built.
        subject: what errors are about: a file, or the class of the module.
        name: name of the network.
        timespan: constant elapsed time between two samples.
        source: where it came from; the SHA-256 of the effective arrays is added.
        refused: what the caller has found wrong already; raised together with the rest.

    Raises:
        ImportNetworkError: lists all that is unsupported, missing, superfluous, of wrong shape
            or type, not finite, or contradicts the description.
    """
    problems = Problems(ImportNetworkError, subject)
    problems.extend(refused)
    own = _under_prefix(state, description, problems)
    problems.extend(_unsupported(own, description))
    cells = _cells(own)
    known = [key for cell in cells for key in cell.keys(description.mode)]
    if any(key.startswith("fc.") for key in own):
        known += ["fc.weight", "fc.bias"]
    problems.extend(_key_problems(own, known, description))
    arrays: dict[str, FloatArray] = {}
    for key in known:
        if key in own:
            problems.extend(_array_problems(key, own[key], key.endswith("sparsity_mask"), arrays))
    problems.extend(_size_problems(own, cells, description))
    problems.raise_if_any()
    problems.extend(_transposed_masks(cells, arrays))
    problems.raise_if_any()
    layers = tuple(_layer(cell, arrays) for cell in cells)
    readout = None
    if "fc.weight" in arrays:
        readout = Linear("readout", arrays["fc.weight"], arrays["fc.bias"])
    network = LiquidNetwork(name, layers, readout, timespan)
    return LiquidNetwork(
        name, layers, readout, timespan, {**source, "sha256": arrays_digest(network)}
    )


def arrays_digest(network: LiquidNetwork) -> str:
    """SHA-256 of the effective arrays: for each key in sorted order its dtype, shape and bytes."""
    maps = {f"{c.name}.{gate}": getattr(c, gate) for c in network.layers for gate in _GATES}
    if network.readout is not None:
        maps[network.readout.name] = network.readout
    digest = hashlib.sha256()
    for key, part in sorted((key, part) for key in maps for part in ("weight", "bias")):
        array = np.ascontiguousarray(getattr(maps[key], part), dtype="<f8")
        digest.update(f"{key}.{part}:{array.dtype.str}:{array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def prefixes(keys: Iterable[str]) -> list[str]:
    """What stands before `rnn_cell.` in the keys, each once; "" for a CfC on its own."""
    found = {key[: key.index("rnn_cell.")] for key in keys if "rnn_cell." in key}
    return sorted(prefix for prefix in found if not prefix or prefix.endswith("."))


def suggested_description(state: Mapping[str, Tensor], checkpoint: str) -> str:
    """A TOML description to edit, with what can be read off the tensors filled in."""
    prefix = next(iter(prefixes(state)), "")
    own = {key[len(prefix) :]: state[key] for key in state if key.startswith(prefix)}
    shapes = [_matrix(own, cell.prefix + "ff1.weight") for cell in _cells(own)]
    first = shapes[0] if shapes else None
    known = [shape for shape in shapes if shape]
    complete = len(known) == len(shapes) > 0
    readout = _matrix(own, "fc.weight")
    return template(
        checkpoint,
        first[1] - first[0] if first else None,
        sum(shape[0] for shape in known) if complete else None,
        known[-1][0] if complete else None,
        readout[0] if readout else None,
        prefix,
    )


def _matrix(own: Mapping[str, Tensor], key: str) -> tuple[int, int] | None:
    """The shape of a matrix among the tensors, or None."""
    shape = own[key].shape if key in own else ()
    return (shape[0], shape[1]) if len(shape) == 2 else None


def _under_prefix(
    state: Mapping[str, Tensor], description: Description, problems: Problems
) -> dict[str, Tensor]:
    """The tensors under the prefix, by the rest of their keys; raises if there are none."""
    prefix = description.prefix
    own = {key[len(prefix) :]: state[key] for key in state if key.startswith(prefix)}
    if any(key.startswith("rnn_cell.") for key in own):
        return own
    others = prefixes(state)
    where = f"no key starts with {prefix + 'rnn_cell.'!r}"
    if others:
        hints = " or ".join(f"prefix = {other!r}" for other in others[:8])
        problems.add(f"{where}; write {hints} in {description.origin}")
    else:
        seen = sorted({key.rsplit(".", 1)[0] + "." for key in state if "." in key})
        problems.add(
            f"{where}, so it is not the state_dict of an ncps.torch.CfC; "
            f"prefixes seen: {_listing(seen) if seen else 'none'}"
        )
    problems.raise_if_any()
    return own


def _unsupported(own: Mapping[str, Tensor], description: Description) -> list[str]:
    """Parts of ncps that are not supported yet, by name."""
    found: list[str] = []
    if description.mode != "default":
        found.append(
            f"mode is {description.mode!r}; supported is 'default' only so far, so train with "
            "mode='default'"
        )
    elif any(key.endswith((".w_tau", ".A")) for key in own):
        found.append("its keys w_tau and A belong to mode 'pure'; supported is 'default' only")
    if any(key.startswith("lstm.") for key in own):
        found.append(
            "it has a mixed memory (keys lstm.*), which is not supported yet; train with "
            "mixed_memory=False"
        )
    backbone = [key for key in own if re.match(r"rnn_cell\.backbone\.\d+\.weight$", key)]
    if backbone:
        found.append(
            f"it has a backbone of {len(backbone)} layers, which is not supported yet; train "
            "with a wiring (for instance AutoNCP) or with backbone_layers=0"
        )
    if "rnn_cell.gleak" in own:
        found.append("it is an LTC (key rnn_cell.gleak), which is not supported yet; train a CfC")
    return found


def _cells(own: Mapping[str, Tensor]) -> list[_Cell]:
    """The layers in order, wired or dense."""
    numbers = {match.group(1) for key in own if (match := _CELL_KEY.match(key))}
    if not numbers:
        return [_Cell("layer_0", "rnn_cell.", None)]
    # Numbered without a gap: what is missing or too many shows up as a key.
    names = [f"layer_{index}" for index in range(len(numbers))]
    return [_Cell(n, f"rnn_cell.{n}.", f"rnn_cell.{n}.sparsity_mask") for n in names]


def _listing(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - 12} more" if len(ordered) > 12 else ""
    return ", ".join(f"{name:.120}" for name in ordered[:12]) + more


def _key_problems(
    own: Mapping[str, Tensor], known: list[str], description: Description
) -> list[str]:
    """Keys that are missing or that a CfC does not have."""
    if "rnn_cell.gleak" in own:
        return []
    # Named already as a part that is not supported.
    reported = re.compile(r"lstm\.|rnn_cell\.backbone\.|.*\.(w_tau|A)$")
    pure = description.mode == "default" and any(key.endswith(".w_tau") for key in own)
    missing = [key for key in known if key not in own]
    extra = [key for key in own if key not in set(known) and not reported.match(key)]
    prefix = description.prefix
    found: list[str] = []
    if missing and not pure:
        found.append(f"keys are missing: {_listing(prefix + key for key in missing)}")
    if extra:
        found.append(
            f"keys that an ncps.torch.CfC does not have: {_listing(prefix + k for k in extra)}. "
            "Undo parametrizations and pruning first (torch.nn.utils.parametrize."
            "remove_parametrizations, torch.nn.utils.prune.remove)"
        )
    return found


def _array_problems(
    key: str, tensor: Tensor, is_mask: bool, arrays: dict[str, FloatArray]
) -> list[str]:
    """Wrong types and values of one array; a readable array is added to `arrays`."""
    if tensor.kind != "float" and not (is_mask and tensor.kind == "integer"):
        return [f"{key} is {tensor.dtype}, expected float64, float32, float16 or bfloat16"]
    if 0 in tensor.shape:
        return [f"{key} is empty (shape {tensor.shape})"]
    elements = int(np.prod([float(length) for length in tensor.shape]))
    if elements > ELEMENT_LIMIT:
        return [f"{key} has {elements} elements, the limit of lnn2loihi is {ELEMENT_LIMIT}"]
    array = arrays[key] = tensor.read()
    bad = int(np.count_nonzero(~np.isfinite(array)))
    if bad:
        return [
            f"{key} holds {bad} NaN or infinite of {array.size} values; the training diverged "
            "or the file is damaged"
        ]
    return []


def _size_problems(
    own: Mapping[str, Tensor], cells: list[_Cell], description: Description
) -> list[str]:
    """Shapes that contradict each other or the description."""
    found: list[str] = []
    sizes: list[int] = []
    backbone = any(key.startswith("rnn_cell.backbone.") for key in own)
    inputs, giver = description.input_size, f"input_size of {description.origin}"
    for cell in cells:
        key = cell.prefix + "ff1.weight"
        shape = _matrix(own, key)
        if shape is None:
            if key in own:
                found.append(f"{key} has shape {own[key].shape}, expected (units, inputs + units)")
            return found
        units, columns = shape
        if not backbone and columns != inputs + units:
            found.append(
                f"{key} has shape {shape}, so {units} units and {columns - units} inputs, "
                f"but {giver} is {inputs}; expected {(units, inputs + units)}"
            )
        found.extend(_cell_problems(own, cell, shape, description.mode))
        sizes.append(units)
        inputs, giver = units, f"the number of units of {cell.name}"
    found.extend(_total_problems(own, sizes, description))
    return found


def _cell_problems(
    own: Mapping[str, Tensor], cell: _Cell, shape: tuple[int, int], mode: str
) -> list[str]:
    """Arrays of one layer whose shape differs from what its ff1.weight asks for."""
    found: list[str] = []
    for key in cell.keys(mode):
        expected: tuple[int, ...] = shape
        if key.endswith(".bias"):
            expected = shape[:1]
        elif key.endswith((".w_tau", ".A")):
            expected = (1, shape[0])
        if key in own and own[key].shape != expected:
            found.append(f"{key} has shape {own[key].shape}, expected {expected}")
    return found


def _total_problems(
    own: Mapping[str, Tensor], sizes: list[int], description: Description
) -> list[str]:
    """Contradictions of all layers, and of the readout, with the description."""
    found: list[str] = []
    origin = description.origin
    if sum(sizes) != description.units:
        found.append(
            f"its layers have {sizes} units, together {sum(sizes)}, but units is "
            f"{description.units} in {origin}"
        )
    if description.output_size not in (None, sizes[-1]):
        found.append(
            f"its last layer has {sizes[-1]} units, but output_size is {description.output_size} "
            f"in {origin} (a wiring of one layer outputs all its units, whatever its output_dim)"
        )
    readout = _matrix(own, "fc.weight")
    if "fc.weight" not in own:
        if description.proj_size is not None:
            found.append(f"proj_size is {description.proj_size} in {origin}, but no fc.weight")
        return found
    if readout is None:
        return [*found, f"fc.weight has shape {own['fc.weight'].shape}, expected two axes"]
    if description.proj_size not in (None, readout[0]):
        found.append(
            f"fc.weight has {readout[0]} outputs, but proj_size is {description.proj_size} "
            f"in {origin}"
        )
    if readout[1] != sizes[-1]:
        found.append(
            f"fc.weight takes {readout[1]} inputs, but the last layer has {sizes[-1]} units: "
            "this module fails in PyTorch too. ncps sizes fc by output_dim, while a wiring of "
            "one layer (FullyConnected, Random) outputs all its units; build it with "
            "output_dim equal to its units and train it again"
        )
    if "fc.bias" in own and own["fc.bias"].shape != readout[:1]:
        found.append(f"fc.bias has shape {own['fc.bias'].shape}, expected {readout[:1]}")
    return found


def _transposed_masks(cells: list[_Cell], arrays: Mapping[str, FloatArray]) -> list[str]:
    """Masks whose elements stand in the order of the transposed array.

    ncps keeps masks transposed in memory and safetensors.numpy (0.8) saves memory as it lies. The
    recurrent block of an ncps mask is all ones, which gives such a file away.
    """
    found: list[str] = []
    for cell in cells:
        if cell.mask is None:
            continue
        mask = arrays[cell.mask]
        units, columns = mask.shape
        reordered = mask.reshape(columns, units).T
        if np.all(reordered[:, -units:] == 1.0) and not np.all(mask[:, -units:] == 1.0):
            found.append(
                f"{cell.mask} was saved in transposed order; save it again with "
                "{k: v.contiguous() for k, v in module.state_dict().items()}"
            )
    return found


def _layer(cell: _Cell, arrays: Mapping[str, FloatArray]) -> CfCLayer:
    """One layer with effective weights: ncps masks ff1 and ff2 only, the time gates are dense."""
    maps: dict[str, Linear] = {}
    for gate in _GATES:
        weight = arrays[f"{cell.prefix}{gate}.weight"]
        if cell.mask is not None and gate in ("ff1", "ff2"):
            weight = weight * arrays[cell.mask]
        maps[gate] = Linear(gate, weight, arrays[f"{cell.prefix}{gate}.bias"])
    return CfCLayer(cell.name, **maps)
