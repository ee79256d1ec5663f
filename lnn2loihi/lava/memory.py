"""Arrays in anonymous shared memory: inherited by forked workers, never named.

Nothing can be left behind in /dev/shm, whatever kills whom: the kernel frees the memory with
the last process that maps it.
"""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import LavaRunError


class SharedBlock:
    """A block of anonymous shared memory, with the attribute that Lava's channels read.

    Attributes:
        buf: the memory, writable.
    """

    def __init__(self, size: int) -> None:
        self.buf = memoryview(mmap.mmap(-1, max(size, 1)))


def shared_array(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Zeros that a worker forked later shares with this process.

    Raises:
        LavaRunError: there is not enough memory.
    """
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    try:
        return np.ndarray(shape, dtype, SharedBlock(size).buf)
    except (OSError, MemoryError) as error:
        raise LavaRunError(
            "run in Lava",
            f"there is no memory for an array of {size / 2**20:.0f} MiB ({error}); give fewer "
            "sequences or samples at a time",
        ) from error
