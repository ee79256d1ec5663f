"""Walker2d data: next-state prediction from irregularly sampled rollouts of 17 states.

Protocol of Hasani et al. 2022 (CfC), code irregular_sampled_datasets.py: the sorted file names are
shuffled with a fixed seed, the first 15 % are test, the next 10 % validation, the rest train. Each
sample is dropped with probability 0.1, and the time since the last kept one is given to the
network; its target is the state after it in the full rollout. Windows of 64 kept samples with
stride 16, mean squared error over all steps and channels, in the original units. Data:
raminmh/CfC, commit 59f6e01 (MIT at that commit), as `walker2d.npz` with x float32 (254963, 17),
the rollouts end to end, and lengths (400,).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import InputError

Array = npt.NDArray[np.float32]

TIME, STRIDE, CHANNELS = 64, 16, 17
ROLLOUTS, TEST_ROLLOUTS, VALIDATION_ROLLOUTS = 400, 60, 40
KEPT = 0.9
SPLIT_SEED, SAMPLING_SEED = 125487, 891374


@dataclass(frozen=True)
class Sequences:
    """Windows of irregular samples.

    Attributes:
        x: float32 (windows, 64, 17), the states that were sampled.
        timespans: float32 (windows, 64), simulation steps since the sample before, whole numbers
            from 1; the network is to get them with x.
        y: float32 (windows, 64, 17), the states one simulation step after x.
    """

    x: Array
    timespans: Array
    y: Array

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.x)


@dataclass(frozen=True)
class Walker2d:
    """The three parts; no rollout is in two of them."""

    train: Sequences
    validation: Sequences
    test: Sequences


def load(path: str | os.PathLike[str]) -> Walker2d:
    """Reads `walker2d.npz`.

    Raises:
        InputError: the file is not there or does not hold the 400 rollouts.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            states = np.asarray(file["x"], np.float32)
            lengths = np.asarray(file["lengths"], np.int64)
    except (OSError, KeyError, ValueError, EOFError) as error:
        raise InputError(
            str(path), f"is not walker2d.npz with the arrays x and lengths ({error})"
        ) from error
    if states.ndim != 2 or states.shape[1] != CHANNELS or lengths.shape != (ROLLOUTS,):
        found = f"x {states.shape} and lengths {lengths.shape}"
        raise InputError(str(path), f"it holds {found}, expected (all samples, 17) and (400,)")
    if lengths.min() < 1 or lengths.sum() != len(states):
        raise InputError(str(path), "the lengths are not those of rollouts that make up x")
    rollouts = np.split(states, np.cumsum(lengths)[:-1])
    # Shuffled as a list of names would be; the rollouts lie in the order of the sorted names.
    order = list(range(ROLLOUTS))
    np.random.RandomState(SPLIT_SEED).shuffle(order)
    shuffled = [rollouts[index] for index in order]
    kept_back = TEST_ROLLOUTS + VALIDATION_ROLLOUTS
    # One generator goes over all three parts, in this order.
    generator = np.random.RandomState(SAMPLING_SEED)
    return Walker2d(
        train=_sequences(shuffled[kept_back:], generator),
        validation=_sequences(shuffled[TEST_ROLLOUTS:kept_back], generator),
        test=_sequences(shuffled[:TEST_ROLLOUTS], generator),
    )


def copy_last_state(sequences: Sequences) -> Array:
    """The trivial prediction: the state does not change."""
    return sequences.x


def _sequences(rollouts: list[Array], generator: np.random.RandomState) -> Sequences:
    """Windows of the samples that the generator keeps."""
    windows: list[tuple[Array, Array, Array]] = []
    for rollout in rollouts:
        kept = np.flatnonzero(generator.rand(len(rollout) - 1) < KEPT)
        timespans = np.diff(kept, prepend=-1).astype(np.float32)
        x, y = rollout[kept], rollout[kept + 1]
        windows += [
            (x[start : start + TIME], timespans[start : start + TIME], y[start : start + TIME])
            for start in range(0, len(kept) - TIME, STRIDE)
        ]
    return Sequences(*(np.stack(parts) for parts in zip(*windows, strict=True)))
