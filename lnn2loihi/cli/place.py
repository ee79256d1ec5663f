"""The verb place: a program on cores and chips."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

import lnn2loihi as l2l
from lnn2loihi.cli.common import (
    Encoded,
    Json,
    ProgramOrModule,
    TargetNames,
    app,
    is_module,
    loaded_program,
    names_of,
    print_result,
    progress_bars,
    read_sequences,
)
from lnn2loihi.cli.completion import devices_that_begin, words_that_begin
from lnn2loihi.cli.whole import loaded_module, refuse
from lnn2loihi.defaults import DEFAULT_TARGET, FAST, PACKED
from lnn2loihi.startup import importing

if TYPE_CHECKING:
    from lnn2loihi.targets.beside import Beside

    Placed = l2l.Placement | l2l.CopiesPlacement


@app.command()
def place(
    program: ProgramOrModule,
    device: Annotated[
        str,
        typer.Option(
            "--device",
            "-d",
            help="Device (see: lnn2loihi devices), or a .toml.",
            autocompletion=devices_that_begin,
        ),
    ] = "loihi2-oheo-gulch",
    target: TargetNames = DEFAULT_TARGET,
    objective: Annotated[
        str,
        typer.Option(
            help="fast (short steps) or packed (few cores).",
            autocompletion=words_that_begin((FAST, PACKED)),
        ),
    ] = "fast",
    chips: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Chips that it may take; fast uses them where they pay."),
    ] = None,
    samples: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--input",
            "-i",
            help="Samples to count messages of; without them every message counts as not zero.",
        ),
    ] = None,
    encoded: Encoded = False,
    copies: Annotated[
        int, typer.Option(help="Independent copies of the program that share the chips.")
    ] = 1,
    as_json: Json = False,
) -> None:
    """Place a program, or copies of it, on cores and chips, under the limits of a device."""
    with importing():
        from lnn2loihi.targets.beside import beside, claims_text

    options: dict[str, Any] = {"objective": objective, "chips": chips}
    if is_module(program):
        refuse(program, "place", input=samples, encoded=encoded, copies=copies != 1)
        _place_module(program, device, names_of(target), options, as_json)
        return
    loaded = loaded_program(program, "place takes it as it is")
    given = None if samples is None else read_sequences(samples, loaded.timed, encoded)
    found = beside(loaded, names_of(target))
    placements: list[Placed | None] = []
    placing = l2l.place if copies == 1 else partial(l2l.place_copies, copies=copies)
    for place_of, one in enumerate(found):
        aim, prepared = one.target, one.program
        if prepared is None:
            if len(found) == 1:  # refused as everywhere
                aim.prepare(loaded)
            placements.append(None)
            continue
        counters = None
        if given is not None:
            with progress_bars() as on_step:
                counters = l2l.simulate(
                    prepared, **given, progress=partial(on_step, "simulate")
                ).counters
        # It is prepared already: the rules are left.
        aim = dataclasses.replace(aim, passes=())
        try:
            placed = placing(prepared, device, target=aim, counters=counters, **options)
        except l2l.PlacementError as error:
            if len(found) == 1:
                raise
            found[place_of] = dataclasses.replace(one, refusal="; ".join(error.problems))
            placed = None
        placements.append(placed)
    if len(found) == 1 and placements[0] is not None:
        print_result(placements[0].to_dict(), placements[0].summary(), as_json)
        return
    texts = [_table(found, placements, objective)]
    refusals = [(one.target.name, one.refusal) for one in found]
    texts.append(claims_text([one.claims for one in found], refusals))
    texts += [placement.summary() for placement in placements if placement is not None]
    plain = [
        {**one.to_dict(), "placement": None if placement is None else placement.to_dict()}
        for one, placement in zip(found, placements, strict=True)
    ]
    print_result({"targets": plain}, "\n\n".join(texts), as_json)


def _place_module(
    path: Path, device: str, targets: list[str], options: dict[str, Any], as_json: bool
) -> None:
    """The chip parts of a converted module, for one target or several: of several, those that do
    not take it say so, and the others are shown.
    """
    from lnn2loihi.tables import paragraph

    module = loaded_module(path, "place")
    plain: dict[str, Any] = {}
    texts: list[str] = []
    for target in targets:
        try:
            parts = module.place(device, target=target, **options)
        except (l2l.TargetError, l2l.PlacementError) as error:
            if len(targets) == 1:
                raise
            plain[target] = {"refusal": str(error)}
            texts += [paragraph(f"target {target}: ", one) for one in error.problems]
            continue
        plain[target] = {name: placement.to_dict() for name, placement in parts.items()}
        texts += [f"part {name}: {one.summary()}" for name, one in parts.items()]
    found = plain[targets[0]] if len(targets) == 1 else plain
    print_result(found, "\n\n".join(texts), as_json)


def _table(found: Sequence[Beside], placements: Sequence[Placed | None], objective: str) -> str:
    """Targets side by side, and how they are placed and run."""
    from lnn2loihi.cost.workload import PIPELINED
    from lnn2loihi.devices import with_prefix
    from lnn2loihi.tables import text_table
    from lnn2loihi.targets.beside import HEADERS

    rows = []
    for one, placement in zip(found, placements, strict=True):
        taken: tuple[object, ...] = (None, None, None)
        if placement is not None:
            seconds = placement.step_seconds * placement.program.steps_per_sample
            cores = placement.cores
            count = len(cores) if isinstance(cores, tuple) else cores
            taken = count, placement.chips, with_prefix(seconds, "s")
        rows.append((*one.cells(), *taken))
    table = text_table((*HEADERS, "cores", "chips", "time a sample (estimate)"), rows)
    return (
        f"{table}\n\nPlaced {objective}; {PIPELINED}, a new sample enters every period; times at "
        "the nominal figures."
    )
