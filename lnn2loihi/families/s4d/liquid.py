"""What is lost of a Liquid-S4 of github.com/raminmh/liquid-s4 when its S4 alone is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.arrays import as_array
from lnn2loihi.errors import InputError
from lnn2loihi.family import importer_of, network_importer_of
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.showing import Said, Shown


@dataclass(frozen=True, eq=False)
class Dropped(Shown):
    """How far a live module is from the S4 that is imported of it.

    Attributes:
        share: rms of the difference over that of the module's answers.
        worst: the same of the output of which it is the most, and its number.
        agreement: share of the answers whose largest output is the same one.
        samples: of the data, in all sequences together.
    """

    share: float
    worst: tuple[float, int]
    agreement: float
    samples: int

    def _headline(self) -> str:
        return f"{self.share:.2%} of the answers to {self.samples:,} samples are not imported"

    def _shown(self) -> list[Said]:
        """The figures."""
        share, output = self.worst
        return [
            self._headline(),
            f"most of output {output}, {share:.2%}; the largest output is the same in "
            f"{self.agreement:.2%} of the answers",
        ]


def dropped(module: Any, x: npt.ArrayLike) -> Dropped:
    """Measures what the S4 that is imported of a live Liquid-S4 answers otherwise than it.

    The module is called as it is, on the processor and in double precision: with the liquid term
    that its tensors give now, which is that of its construction where it was trained on a GPU.

    Args:
        module: a live layer or network that `import_network` takes.
        x: your data, (batch, time, inputs).

    Raises:
        InputError: the module is none of these, or x does not fit it.
        ImportNetworkError: see `import_network`.
    """
    from lnn2loihi.conversion import import_network
    from lnn2loihi.families.s4d.live import answered, outputs

    importer = importer_of(module) or network_importer_of(module)
    if importer is None or importer.name != "s4d":
        raise InputError("module", f"is a {type(module).__name__}; give a layer or network of S4")
    network = import_network(module)
    assert isinstance(network, LiquidNetwork)
    data = as_array(x, "dropped", "x").astype(np.float64)
    if data.ndim != 3 or data.shape[-1] != network.input_size or 0 in data.shape:
        raise InputError("x", f"has shape {data.shape}; give (batch, time, {network.input_size})")
    truth, found = answered(module, data), outputs(network, data)
    return Dropped(
        _share(found - truth, truth),
        max((_share((found - truth)[..., n], truth[..., n]), n) for n in range(truth.shape[-1])),
        float((found.argmax(-1) == truth.argmax(-1)).mean()),
        data.shape[0] * data.shape[1],
    )


def _share(difference: FloatArray, whole: FloatArray) -> float:
    size = float(np.sqrt(np.mean(whole**2)))
    return float(np.sqrt(np.mean(difference**2))) / size if size else 0.0
