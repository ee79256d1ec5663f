"""Long and endless input, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any

import numpy.typing as npt

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.errors import InputError
from lnn2loihi.kinds import Count
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation import State, simulate
from lnn2loihi.simulation.result import SimulationResult

#: Where an iterable has ended.
_END = object()


@checks_kinds()
def simulate_stream(
    program: LoihiProgram,
    chunks: Iterable[npt.ArrayLike],
    engine: str = "auto",
    *,
    lengths: Iterable[npt.ArrayLike | None] | None = None,
    timespans: Iterable[npt.ArrayLike] | None = None,
    encoded: bool = False,
    initial_state: State | None = None,
    return_states: bool = False,
    threads: Count | None = None,
) -> Iterator[SimulationResult]:
    """Runs a program on chunks of endless sequences; the state is carried over.

    Memory does not depend on the number of chunks.

    Args:
        program: what to run.
        chunks: arrays (batch, time, inputs); the batch is the same in all of them.
        engine: as for `simulate`.
        lengths: for each chunk the samples of each sequence in it, (batch,), or None for all of
            them. A sequence without samples in a chunk keeps its state.
        timespans: elapsed times (batch, time) of each chunk, where time is irregular.
        encoded: as for `simulate`, for all chunks.
        initial_state: before the first chunk, as for `simulate`.
        return_states: as for `simulate`, for each chunk.
        threads: as for `simulate`.

    Yields:
        The result of each chunk.

    Raises:
        InputError: as for `simulate`, a chunk has another batch than the first, or there are not
            as many timespans or lengths as chunks.
    """
    every = {
        "chunks": _iterator("chunks", chunks),
        "lengths": _iterator("lengths", repeat(None) if lengths is None else lengths),
        "timespans": _iterator("timespans", repeat(None) if timespans is None else timespans),
    }
    state: Any = initial_state
    batch: int | None = None
    for number, chunk in enumerate(every["chunks"]):
        ends, elapsed = (next(every[name], _END) for name in ("lengths", "timespans"))
        for name, found in (("lengths", ends), ("timespans", elapsed)):
            if found is _END:
                raise InputError(name, f"end before the chunks, which have a chunk {number} too")
        result = simulate(
            program, chunk, engine, lengths=ends, timespans=elapsed, encoded=encoded,  # pyright: ignore[reportArgumentType]
            initial_state=state, return_states=return_states, threads=threads,
        )  # fmt: skip
        if batch is not None and len(result.integers) != batch:
            raise InputError(
                f"chunk {number}", f"has {len(result.integers)} sequences, the first had {batch}"
            )
        batch, state = len(result.integers), result.final_state
        yield result
    for name, given in (("lengths", lengths), ("timespans", timespans)):
        if given is not None and next(every[name], _END) is not _END:
            raise InputError(name, "go on after the last chunk; give one for each chunk")


def _iterator(name: str, values: Any) -> Iterator[Any]:
    try:
        return iter(values)
    except TypeError:
        raise InputError(
            name, f"is of type {type(values).__qualname__}; give an iterable with one for each "
            "chunk"
        ) from None  # fmt: skip
