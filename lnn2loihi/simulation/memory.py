"""How much memory a simulation takes, checked before any of it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lnn2loihi.errors import InputError
from lnn2loihi.machine_memory import available_memory
from lnn2loihi.program import AnyConnection, LoihiProgram

#: Most bytes of the dense matrices in which the executors on this machine keep weights, 8 bytes a
#: pair of neurons (a limit of this library: programs of 50 million synapses, the most that a file
#: holds, fit where one pair in ten has a synapse; a hostile file of 1 MB can ask for terabytes).
LARGEST_DENSE = 1 << 32


def check_dense(program: LoihiProgram, dense: Iterable[AnyConnection]) -> None:
    """Refuses a program whose matrices are too large to be laid out densely.

    Args:
        program: what is to run.
        dense: those of its connections that an executor has matrices of.

    Raises:
        InputError: says which connection is the largest, and how much all of them take.
    """
    dense = list(dense)
    total = sum(8 * c.rows * c.source_size for c in dense)
    if total <= LARGEST_DENSE:
        return
    largest = max(dense, key=lambda c: c.rows * c.source_size)
    own = 8 * largest.rows * largest.source_size
    raise InputError(
        f"program {program.name!r}",
        f"cannot run on this machine: executors keep weights in dense matrices, and those would "
        f"take {_size(total)}; the limit of lnn2loihi is {_size(LARGEST_DENSE)}. The largest is "
        f"{largest.name}: {largest.rows:,} rows of {largest.source_size:,} sources "
        f"({_size(own)}) for {largest.synapses:,} synapses. Smaller populations need less; "
        "inspect, place and export work without",
    )


def check_results(
    program: LoihiProgram, shape: Sequence[int], *, recorded: bool, oracle: bool = False
) -> None:
    """Refuses a run whose answers and recorded states do not fit into this machine's memory.

    Args:
        program: what is run.
        shape: sequences, and samples of each.
        recorded: whether every state of every step is kept.
        oracle: whether the reference takes part: it keeps every message too, all in 8 bytes.

    Raises:
        InputError: says how much it would take, and how much there is.
    """
    batch, time = shape[0], shape[1]
    words = program.output_population.size
    if recorded or oracle:
        words += sum(
            p.size * (len(p.program.state_names) + (not p.program.message_state))
            for p in program.populations
        )
    needed, available = batch * time * words * (16 if oracle else 4), available_memory()
    if needed > available:
        raise InputError(
            f"program {program.name!r}",
            f"{batch:,} sequences of {time:,} steps make answers and states of {_size(needed)}; "
            f"this machine has {_size(available)} of memory for a process. Give fewer or shorter "
            "sequences at a time, or leave the states out",
        )


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"
