"""Verbs from a trained network to a program: inspect, quantize, compare."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

import lnn2loihi as l2l
from lnn2loihi.cli.common import (
    Description,
    Encoded,
    Force,
    ImportOptions,
    Json,
    ProgramFile,
    RecipeText,
    Samples,
    Source,
    TargetName,
    TargetNames,
    Timespan,
    app,
    check_place,
    imported,
    is_module,
    keep_inputs,
    loaded_program,
    names_of,
    print_result,
    progress_bars,
    read_sequences,
    refuse_import_options,
)
from lnn2loihi.cli.whole import loaded_module
from lnn2loihi.defaults import DEFAULT_RECIPE, DEFAULT_TARGET, MODULE_SUFFIX, NETWORK_SUFFIX
from lnn2loihi.defaults import PROGRAM_SUFFIX as SUFFIX
from lnn2loihi.startup import importing


@app.command()
def inspect(
    source: Annotated[
        Path,
        typer.Argument(
            help=f"Checkpoint, description, float network ({NETWORK_SUFFIX}), program ({SUFFIX}), "
            f"converted module ({MODULE_SUFFIX})."
        ),
    ],
    description: Description = None,
    timespan: Timespan = None,
    option: ImportOptions = None,
    show_listing: Annotated[
        bool, typer.Option("--listing", help="Print the neuron programs of a program file.")
    ] = False,
    write: Annotated[
        bool,
        typer.Option(
            "--write", help="Write the description that a checkpoint would take, beside it."
        ),
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="With --write: also over a description that is there.")
    ] = False,
    target: TargetNames = DEFAULT_TARGET,
    as_json: Json = False,
) -> None:
    """Say what is in a checkpoint, a float network, a program or a converted module.

    Of a checkpoint without a description: what it may be, and the description that it takes.
    """
    if is_module(source):
        if write:
            raise l2l.InputError("--write", "goes with a checkpoint; a module needs no description")
        why = "a module has been converted before"
        refuse_import_options(why, description=description, timespan=timespan, option=option)
        if target != DEFAULT_TARGET:
            raise l2l.InputError("--target", f"goes with a program ({SUFFIX}), not with a module")
        module = loaded_module(source, "inspect")
        text = [module.summary()]
        for part in module.chip_parts:
            found = _listings(part.quantized()) if show_listing else {}
            text += [f"\n{part.name}, {name}\n{one.text}" for name, one in found.items()]
        print_result(module.to_dict(), "\n".join(text), as_json)
        return
    if source.suffix != SUFFIX:
        if target != DEFAULT_TARGET:
            raise l2l.InputError("--target", f"goes with a program ({SUFFIX}); quantize first")
        if write or (description is None and _is_undescribed(source)):
            _propose(source, option, write, replace, as_json)
            return
        network = imported(source, description, timespan, option)
        print_result(network.to_dict(), network.summary(), as_json)
        return
    if write:
        raise l2l.InputError("--write", "goes with a checkpoint; a program needs no description")
    why = "a program has been imported before"
    refuse_import_options(why, description=description, timespan=timespan, option=option)
    with importing():
        from lnn2loihi.tables import text_table
        from lnn2loihi.targets.beside import HEADERS, beside, claims_text

    program, names = l2l.load(source), names_of(target)
    made = beside(program, names)
    if len(names) == 1:
        # One that cannot be prepared is refused as everywhere.
        prepared = made[0].program or made[0].target.prepare(program)
        print_result(*_described(prepared, show_listing), as_json)
        return
    texts = [text_table(HEADERS, [one.cells() for one in made])]
    refusals = [(one.target.name, one.refusal) for one in made]
    texts.append(claims_text([one.claims for one in made], refusals))
    plain = []
    for one in made:
        own, described = ({}, "") if one.program is None else _described(one.program, show_listing)
        plain.append({**one.to_dict(), **own})
        texts += [f"target {one.target.name}\n{described}"] if described else []
    print_result({"targets": plain}, "\n\n".join(texts), as_json)


def _described(program: l2l.LoihiProgram, show_listing: bool) -> tuple[dict[str, Any], str]:
    """What is in a program, as plain data and as text."""
    text, listings = [program.summary()], _listings(program)
    if show_listing:
        text += [f"\n{name}\n{found.text}" for name, found in listings.items()]
    result = {
        "name": program.name,
        "recipe": program.recipe,
        "table": [dict(row) for row in program.table],
        "schedule": {
            "period": program.schedule.period,
            "first_valid": dict(program.schedule.first_valid),
            "first_input": program.schedule.first_input,
            "interleave": program.schedule.interleave,
            "updates_per_sample": program.substeps,
            "steps_per_sample": program.steps_per_sample,
            "arrivals": {
                p.name: [list(phase) for phase in p.turns.phases] for p in program.populations
            },
        },
        "ports": {p.name: p.turns.width for p in program.populations},
        "warnings": list(program.warnings),
        "provenance": dict(program.provenance),
        "listings": {name: vars(found) for name, found in listings.items()},
    }
    return result, "\n".join(text)


def _is_undescribed(source: Path) -> bool:
    """Whether a file of weights has no description, nor needs none."""
    with importing():
        from lnn2loihi.conversion import is_undescribed

    return is_undescribed(source)


def _propose(
    source: Path, option: list[str] | None, write: bool, replace: bool, as_json: bool
) -> None:
    """What a checkpoint may be; and its description as a file."""
    with importing():
        from lnn2loihi.conversion import import_options

    given = import_options(source, option or [])
    if others := [name for name in given if name != "state"]:
        raise l2l.InputError("--option", f"{others[0]} goes with importing; here goes state=...")
    proposal = l2l.propose_description(source, **given)
    text, result = proposal.summary(), proposal.to_dict()
    if write:
        written = proposal.write(replace=replace)
        text += f"\nwritten: {written}"
        result["written"] = str(written)
    print_result(result, text, as_json)


def _listings(program: l2l.LoihiProgram) -> dict[str, Any]:
    """The neuron programs of all populations, by name."""
    with importing():
        from lnn2loihi.neurons.listing import listing

    schedule = program.schedule
    return {
        p.name: listing(p.program, schedule.first_valid[p.name], schedule.period, p.ports)
        for p in program.populations
    }


@app.command()
def quantize(
    source: Source,
    calibrate: Annotated[
        Path,
        typer.Option(
            "--calibrate",
            "-c",
            help="Typical samples: .npy, .npz (x, perhaps timespans and lengths) or .csv.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help=f"Program to write ({SUFFIX}).")],
    recipe: RecipeText = DEFAULT_RECIPE,
    description: Description = None,
    timespan: Timespan = None,
    option: ImportOptions = None,
    dropout: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Masks for monte-carlo: a rate for all layers (0.2), rates by name "
            "(layer_0=0.2,input=0.1), or trained for those of the training."
        ),
    ] = None,
    per_step: Annotated[
        bool, typer.Option("--per-step", help="Masks of their own for every sample, as channels.")
    ] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Turn a trained network into integers, proved free of overflow."""
    with importing():
        from lnn2loihi.options import rates_of

    _check_output(output, force, source, description, calibrate)
    network = imported(source, description, timespan, option)
    given = read_sequences(calibrate, network.irregular)
    program = l2l.quantize(
        network, calibrate=given["x"], recipe=recipe, lengths=given["lengths"],
        calibrate_timespans=given["timespans"],
        dropout=None if dropout is None else rates_of(dropout, "--dropout"), per_step=per_step,
    )  # fmt: skip
    written = l2l.save(program, output)
    result = {
        "file": str(written), "table": [dict(row) for row in program.table], **_sizes(program),
    }  # fmt: skip
    print_result(result, f"{program.summary()}\nwritten: {written}", as_json)


@app.command("import")
def import_program(
    source: Annotated[
        Path,
        typer.Argument(
            help="Checkpoint, its description (.toml), .onnx or .keras; or a network in integers "
            "(.net of lava-dl)."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help=f"Float network to write ({NETWORK_SUFFIX}), or of integers a program ({SUFFIX}).",
        ),
    ],
    description: Description = None,
    timespan: Timespan = None,
    option: ImportOptions = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Make one file of a trained network: float (.l2n), or integers that hold already (.l2l)."""
    with importing():
        from lnn2loihi.conversion import program_options

    if output.suffix == NETWORK_SUFFIX:
        check_place(output, NETWORK_SUFFIX)
        keep_inputs([output], source, description, force=force)
        network = imported(source, description, timespan, option)
        written = l2l.save(network, output)
        result = {"file": str(written), **network.to_dict()}
        print_result(result, f"{network.summary()}\nwritten: {written}", as_json)
        return
    why = f"networks in integers say it themselves; a float network is a {NETWORK_SUFFIX} file"
    refuse_import_options(why, description=description, timespan=timespan)
    _check_output(output, force, source)
    program = l2l.import_program(source, **program_options(source, option or []))
    written = l2l.save(program, output)
    result = {"file": str(written), **_sizes(program)}
    print_result(result, f"{program.summary()}\nwritten: {written}", as_json)


@app.command()
def join(
    front: Annotated[Path, typer.Argument(help=f"Program that samples go to ({SUFFIX}).")],
    core: Annotated[Path, typer.Argument(help=f"Program that hears its answers ({SUFFIX}).")],
    output: Annotated[Path, typer.Option("--output", "-o", help=f"Program to write ({SUFFIX}).")],
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Name of the program; both names by default."),
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Make one program of two, of which the second hears what the first answers."""
    _check_output(output, force, front, core)
    instead = "in Python, module.chip_parts[0].quantized() is the program of one"
    joined = l2l.join(loaded_program(front, instead), loaded_program(core, instead), name=name)
    written = l2l.save(joined, output)
    result = {"file": str(written), "name": joined.name, **_sizes(joined)}
    print_result(result, f"{joined.summary()}\nwritten: {written}", as_json)


@app.command()
def prepare(
    program: ProgramFile,
    target: TargetName,
    output: Annotated[Path, typer.Option("--output", "-o", help=f"Program to write ({SUFFIX}).")],
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Prepare a program for a target (stock, split, ...), and save what becomes of it."""
    with importing():
        from lnn2loihi.targets import target_of
        from lnn2loihi.targets.beside import HEADERS, Beside

    _check_output(output, force, program)
    instead = "in Python, module.chip_parts[0].quantized() is the program of one"
    source, aim = loaded_program(program, instead), target_of(target)
    made = aim.prepare(source)
    written = l2l.save(made, output)
    cells = zip(HEADERS, Beside(aim, made).cells(), strict=True)
    text = ", ".join(f"{name}: {cell}" for name, cell in cells)
    added = [warning for warning in made.warnings if warning not in source.warnings]
    lines = [f"{made.name}, {text}", *(f"warning: {warning}" for warning in added)]
    lines += ["it was prepared already, and is left as it was"] * (made is source)
    result = {"file": str(written), "target": aim.name, "unchanged": made is source}
    text = "\n".join([*lines, f"written: {written}"])
    print_result(result | _sizes(made), text, as_json)


def _check_output(output: Path, force: bool, *inputs: Path | None) -> None:
    """Refuses what is no place for a program, or is one of the inputs."""
    check_place(output, SUFFIX)
    keep_inputs([output], *inputs, force=force)


def _sizes(program: l2l.LoihiProgram) -> dict[str, Any]:
    return {
        "neurons": program.neurons,
        "synapses": program.synapses,
        "warnings": list(program.warnings),
    }


@app.command()
def compare(
    source: Source,
    program: ProgramFile,
    samples: Samples,
    target: TargetName = DEFAULT_TARGET,
    encoded: Encoded = False,
    description: Description = None,
    timespan: Timespan = None,
    option: ImportOptions = None,
    as_json: Json = False,
) -> None:
    """Compare the float network with its integers, stage by stage and step by step.

    Of a program that was prepared for other neurons (--target stock) the answers alone.
    """
    instead = "its own float networks are not saved: ConvertedModule.compare compares in Python"
    loaded = loaded_program(program, instead)
    network = imported(source, description, timespan, option)
    given = read_sequences(samples, loaded.timed, encoded)
    with progress_bars() as on_step:
        result = l2l.compare(
            network, loaded, **given, target=target, progress=partial(on_step, "integers")
        )
    print_result(result.to_dict(), result.summary(), as_json)
