"""The row of what a board has measured."""

from __future__ import annotations

from collections.abc import Sequence

from lnn2loihi.artifact import fingerprint
from lnn2loihi.cost.board_log import BoardLog
from lnn2loihi.errors import InputError
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.rows import CHIP, ProfileRow
from lnn2loihi.program import LoihiProgram
from lnn2loihi.targets import Target
from lnn2loihi.targets.beside import beside
from lnn2loihi.tiers import MEASURED

#: Backend of rows that a board ran for.
BOARD = "board"


def board_rows(
    log: BoardLog | None, program: LoihiProgram, targets: Sequence[Target]
) -> list[ProfileRow]:
    """The row of a log, if there is one; it is of what one of the targets makes of the program.

    Args:
        log: what a board has said.
        program: as it is.
        targets: what for it is prepared, in the order in which they are tried.

    Raises:
        InputError: it is of another one; names all.
    """
    if log is None:
        return []
    others: list[str] = []
    for made in beside(program, targets):
        if made.program is None:
            continue
        own = fingerprint(made.program)
        if log.program_sha256 == own:
            return [_row(log, made.program)]
        others.append(f"for {made.target.name} it has {own:.12}...")
    raise InputError(
        "board_log",
        f"is of program {log.program!r:.60} with SHA-256 {log.program_sha256:.12}...; of "
        f"{program.name!r:.60}, prepared {', '.join(others) or 'for no target'}: give the program "
        "and the target that were exported",
    )


def _row(log: BoardLog, program: LoihiProgram) -> ProfileRow:
    """What was measured, per sample; what was not is None.

    A sample takes as many steps as its period has; power is that of all chips of the board. One run
    says nothing of its spread, so no number has an interval.

    Args:
        log: what a board has said, of this program.
        program: the program that ran.
    """
    step = log.step_time
    sample = None if step is None else step * program.steps_per_sample
    energies: dict[str, Quantity] = {}
    if sample is not None:
        if log.total_power is not None:
            energies["total_energy"] = Quantity.exact(log.total_power * sample, "J")
        if log.static_power is not None:
            energies["static_energy"] = Quantity.exact(log.static_power * sample, "J")
        if log.total_power is not None and log.static_power is not None:
            above = (log.total_power - log.static_power) * sample
            energies["dynamic_energy"] = Quantity.exact(above, "J")
    problems = []
    if log.mismatches:
        problems.append(
            f"{log.mismatches:,} integers differ from what is expected: first_difference of the "
            "log says where"
        )
    elif log.mismatches is None:
        problems.append("no line of the log compares integers; add that of python run.py")
    if step is None:
        problems.append("no time was measured; add the line of python run.py --measure time")
    place = f"{log.board}, {log.generation}" if log.generation else log.board
    latency = None if step is None else step * program.latency_steps
    return ProfileRow(
        device=log.board,
        title=f"Loihi 2 board {place}",
        kind=CHIP,
        backend=BOARD,
        tier=MEASURED,
        energy_tier=MEASURED if energies else None,
        precision=program.recipe,
        batch=1,
        mode="pipelined",
        status="partial" if problems else "complete",
        problems=tuple(problems),
        avg_time_per_step=None if step is None else Quantity.exact(step, "s"),
        latency=None if latency is None else Quantity.exact(latency, "s"),
        throughput=None if sample is None else Quantity.exact(1.0 / sample, "Hz"),
        idle_power=None if log.static_power is None else Quantity.exact(log.static_power, "W"),
        source=f"Intel's probes on board {place}, {log.date}, {log.steps:,} chip steps",
        notes=(
            "measured once, so without an interval; power is that of all chips of the board",
            "input and output through the host are included: it sends and hears through adapters "
            "in every chip step",
        ),
        **energies,  # pyright: ignore[reportArgumentType]
    )
