"""Stored kernels of state spaces as complex modes.

Whatever a kernel is stored as, what it computes is the convolution with
K[t] = sum over modes of 2 Re(weight lam**t), t = 0, 1, ... Sources: src/models/s4/s4d.py and
src/models/sequence/ss/kernel.py of github.com/state-spaces/s4 (and of github.com/raminmh/liquid-s4,
which has the latter file unchanged but for its liquid term).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lnn2loihi.families.s4d.layer import LOG_DECAYS
from lnn2loihi.layers.linear import FloatArray

ComplexArray = npt.NDArray[np.complex128]
IntegerArray = npt.NDArray[np.int64]
#: How a continuous kernel becomes one of samples.
DISCRETIZATIONS = ("bilinear", "zoh")
#: How often the parts of a kernel may be larger, added up, than the kernel itself. Those that are
#: stored with a low-rank correction have 5 to 90 with 7 or 9 states, and 1e3 to 1e6 with most
#: other numbers of states, where what 16 bits leave of the parts is larger than the kernel.
LARGEST_CANCELLATION = 100.0
#: Samples of a kernel that its size is known by, and a share of an eigenvalue that is rounding.
KERNEL_SAMPLES, ROUNDING = 4096, 1e-9
#: Samples of a kernel that are computed by its matrix too, and the share that these may differ by.
CHECKED_SAMPLES, CHECKED = 64, 1e-7


@dataclass(frozen=True, eq=False)
class Modes:
    """Modes of all channels.

    Attributes:
        lam: complex128 (modes,).
        weight: complex128 (modes,).
        channel: int64 (modes,).
    """

    lam: ComplexArray
    weight: ComplexArray
    channel: IntegerArray

    def problems(self) -> list[str]:
        """Modes that no layer has, named by channel."""
        with np.errstate(divide="ignore"):
            grows = np.flatnonzero(~(np.abs(self.lam) < np.exp(-np.exp(LOG_DECAYS[0]))))
        if not grows.size:
            return []
        worst = int(grows[np.nan_to_num(np.abs(self.lam[grows]), nan=np.inf).argmax()])
        return [
            f"{grows.size} modes of {self.lam.size} do not forget: of channel "
            f"{self.channel[worst]} one is multiplied by {np.abs(self.lam[worst]):.9g} in each "
            f"sample, and can be by {np.exp(-np.exp(LOG_DECAYS[0])):.9g} at most; the training "
            "diverged, or the arrays are those of another kernel"
        ]

    def vectors(self) -> dict[str, FloatArray]:
        """What a layer has of them, by its field; see `ModesStage`.

        A state of the layer is 1 - |lam| times that of the kernel.
        """
        size = np.abs(self.lam)
        with np.errstate(divide="ignore"):
            decay = np.log(-np.log(size))
        weight = self.weight / (1.0 - size)
        # Beyond its end a mode keeps less than 1e-23 of anything.
        return {
            "log_decay": np.clip(decay, *LOG_DECAYS),
            "angle": np.angle(self.lam),
            "real": weight.real,
            "imaginary": weight.imag,
        }


def of_diagonal(
    rates: ComplexArray, weight: ComplexArray, step: FloatArray, discretization: str
) -> Modes:
    """Modes of a diagonal kernel.

    Args:
        rates: A, (channels, modes).
        weight: C B, of the same shape.
        step: dt, (channels,).
        discretization: one of DISCRETIZATIONS.
    """
    turned = rates * step[:, None]
    if discretization == "zoh":
        lam = np.exp(turned)
        # (exp(dt A) - 1) / A, which is dt where A is 0.
        small = np.abs(turned) < 1e-8
        ratio = np.where(small, 1.0, np.expm1(turned) / np.where(small, 1.0, turned))
        found = weight * ratio * step[:, None]
    else:
        lam = (1.0 + turned / 2.0) / (1.0 - turned / 2.0)
        found = weight * step[:, None] / (1.0 - turned / 2.0)
    channel = np.repeat(np.arange(len(rates)), rates.shape[1])
    return Modes(lam.ravel(), found.ravel(), channel)


def of_low_rank(
    rates: ComplexArray,
    given: ComplexArray,
    corrections: ComplexArray,
    weight: ComplexArray,
    step: FloatArray,
    length: int,
) -> tuple[Modes, list[str]]:
    """Modes of a kernel that is diagonal plus low rank, bilinear, and what no modes can do.

    A = diag(rates) - P P^H over both of each pair, whose eigenvalues are found channel by channel;
    b c of each is unique, whatever the basis.

    Args:
        rates: (channels, pairs).
        given: B, (channels, pairs).
        corrections: P, (rank, channels, pairs).
        weight: C as it is stored, (channels, pairs).
        step: dt, (channels,).
        length: samples that it was stored for, as C (1 - A**length); 0 for C itself.
    """
    lams: list[ComplexArray] = []
    weights: list[ComplexArray] = []
    channels: list[IntegerArray] = []
    worst: list[tuple[float, int]] = []
    problems: list[str] = []
    for channel in range(len(rates)):
        try:
            lam, found, cancelled = _channel_modes(
                _paired(rates[channel]), _paired(given[channel]),
                _paired(corrections[:, channel]), _paired(weight[channel]),
                float(step[channel]), length,
            )  # fmt: skip
        except np.linalg.LinAlgError:
            problems.append(
                f"channel {channel}: its matrix has no eigenvectors that 64 bits can tell apart"
            )
            continue
        lams.append(lam)
        weights.append(found)
        channels.append(np.full(lam.size, channel))
        if not cancelled <= LARGEST_CANCELLATION:
            worst.append((cancelled, channel))
    if worst:
        most, channel = max(worst)
        problems.append(
            f"in {len(worst)} of {len(rates)} channels its modes cancel each other: in channel "
            f"{channel} they are {most:.3g} times as large, added up, as the kernel that they "
            f"make, and can be {LARGEST_CANCELLATION:g} times at most, so that no diagonal form "
            f"of 16 bits has it. It has {2 * rates.shape[1]} states; HiPPO's matrix of 7 or 9 has "
            '5 to 90 times; or train with mode = "diag" (S4D)'
        )
    if problems:
        return Modes(np.zeros(0, complex), np.zeros(0, complex), np.zeros(0, np.int64)), problems
    return Modes(*map(np.concatenate, (lams, weights, channels))), []  # type: ignore[arg-type]


def _paired(values: ComplexArray) -> ComplexArray:
    return np.concatenate([values, values.conj()], axis=-1)


def _channel_modes(
    rates: ComplexArray,
    given: ComplexArray,
    corrections: ComplexArray,
    weight: ComplexArray,
    step: float,
    length: int,
) -> tuple[ComplexArray, ComplexArray, float]:
    """Modes of one channel, one for each pair, and how far they cancel each other."""
    matrix = np.diag(rates) - corrections.T @ corrections.conj()
    one = np.eye(rates.size)
    backwards = one - step / 2.0 * matrix
    discrete = np.linalg.solve(backwards, one + step / 2.0 * matrix)
    entering = np.linalg.solve(backwards, step * given)
    if length:
        whole = np.linalg.matrix_power(discrete, length)
        weight = np.linalg.solve(one - whole.T, weight)
    lam, vectors = np.linalg.eig(discrete)
    residues = (weight @ vectors) * np.linalg.solve(vectors, entering)
    size = np.abs(lam)
    kernel = np.zeros(1)
    if (size < 1.0).all():
        powers = lam[:, None] ** np.arange(KERNEL_SAMPLES)
        kernel = (residues @ powers).real
    most = float(np.abs(kernel).max())
    _check(kernel, discrete, weight, entering, most)
    cancelled = float(np.abs(residues).sum()) / most if most else np.inf
    # Of each pair one stands for both; what is real stands for itself, at half its weight.
    real = np.abs(lam.imag) <= ROUNDING * np.maximum(size, ROUNDING)
    kept = real | (lam.imag > 0.0)
    lam, residues = np.where(real, lam.real, lam)[kept], residues[kept]
    return lam, np.where(real[kept], residues.real / 2.0, residues), cancelled


def _check(
    kernel: FloatArray,
    discrete: ComplexArray,
    weight: ComplexArray,
    state: ComplexArray,
    most: float,
) -> None:
    """Compares the first samples of a kernel with those of the matrix itself.

    Raises:
        LinAlgError: they differ, as those of eigenvectors that are nearly the same ones do.
    """
    for found in kernel[:CHECKED_SAMPLES]:
        if abs(found - (weight @ state).real) > CHECKED * most:
            raise np.linalg.LinAlgError
        state = discrete @ state
