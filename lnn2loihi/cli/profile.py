"""Verbs that say what a program costs: profile, report."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

import lnn2loihi as l2l
from lnn2loihi.cli.common import (
    FAILED_CHECK,
    Description,
    Encoded,
    Force,
    ImportOptions,
    Json,
    ProgramOrModule,
    Samples,
    TargetNames,
    Timespan,
    app,
    check_kind,
    check_place,
    imported,
    is_module,
    keep_inputs,
    loaded_program,
    names_of,
    one_of,
    print_result,
    progress_bars,
    read_sequences,
    refuse_import_options,
)
from lnn2loihi.cli.completion import devices_that_begin, words_that_begin
from lnn2loihi.cli.whole import loaded_call, refuse
from lnn2loihi.defaults import AUTO, DEFAULT_DEVICES, IO, MODULE_SUFFIX, PLACEMENTS, SIDE_BY_SIDE
from lnn2loihi.defaults import PROFILE_SUFFIX as SUFFIX
from lnn2loihi.replacing import PROFILE
from lnn2loihi.startup import INTERRUPTED, importing

#: What names of pages end with.
PAGES = (".html", ".htm")
#: typer reads these annotations at run time, also on Python 3.10.
NetworkFile = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--network", help="The float network: .l2n, checkpoint or its description (.toml)."
    ),
]


BoardLogs = Annotated[
    Optional[list[Path]],  # noqa: UP045
    typer.Option(
        help="What run.py of a folder (export --format loihi2) has printed on a board; may repeat: "
        "run.json, time.json, energy.json."
    ),
]


Interactive = Annotated[
    bool,
    typer.Option(
        "--interactive",
        help="The page runs the program itself, as WebAssembly, on inputs that its reader draws "
        "(needs pip install ziglang).",
    ),
]
PlacementName = Annotated[
    str,
    typer.Option(
        help="packed (fewest cores), fast (least energy times time), or auto: the cheapest that "
        "meets the rate, without one both.",
        callback=one_of("--placement", PLACEMENTS),
        autocompletion=words_that_begin(PLACEMENTS),
    ),
]
ClosedLoop = Annotated[
    bool,
    typer.Option("--closed-loop", help="The next sample waits for the answer: no pipelining."),
]
CountInstructions = Annotated[
    bool,
    typer.Option(
        "--count-instructions",
        help="Estimate micro-controllers from instructions of C code, counted in qemu.",
    ),
]
InputOutput = Annotated[
    str,
    typer.Option(
        help="Where samples come from: none (they stay on the chip), on-board, or host.",
        callback=one_of("--io", IO),
        autocompletion=words_that_begin(IO),
    ),
]
Copies = Annotated[
    int, typer.Option(help="Independent copies of the network that share each device.")
]
Passes = Annotated[
    int, typer.Option(help="Passes of an answer, of a program that was quantized with --dropout.")
]
DeviceNames = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--device",
        "-d",
        help="Loihi, micro-controller, or profile of this CPU or GPU; may repeat. A default "
        "Loihi or micro-controller joins where none is named.",
        autocompletion=devices_that_begin,
    ),
]
AgainstNames = Annotated[
    str,
    typer.Option(
        help="What is measured here: cpu, cuda, cpu:torch, ..., cpu:NAME of an executor "
        "(see lnn2loihi simulate --help), or none."
    ),
]
RateText = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="Samples per second of the task: 100Hz, 2kHz."),
]


@app.command()
def profile(
    program: ProgramOrModule,
    samples: Samples,
    encoded: Encoded = False,
    devices: DeviceNames = None,
    target: TargetNames = SIDE_BY_SIDE,
    against: AgainstNames = "cpu,cuda",
    rate: RateText = None,
    network: NetworkFile = None,
    description: Description = None,
    timespan: Timespan = None,
    option: ImportOptions = None,
    targets: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="What the answers should be: .npy, or .npz with targets."),
    ] = None,
    placement: PlacementName = AUTO,
    closed_loop: ClosedLoop = False,
    io: InputOutput = IO[0],
    copies: Copies = 1,
    passes: Passes = 1,
    quick: Annotated[
        bool, typer.Option("--quick", help="Shorter measurements, not for quoting.")
    ] = False,
    allow_estimated: Annotated[
        bool, typer.Option("--allow-estimated", help="Let ESTIMATED energies into ratios.")
    ] = False,
    count_instructions: CountInstructions = False,
    budget: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Seconds for the measurements."),
    ] = None,
    board_log: BoardLogs = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help=f"Profile to write ({SUFFIX})."),
    ] = None,
    page: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--report", help="Page to write (.html)."),
    ] = None,
    interactive: Interactive = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Say what a program costs on Loihi, against what is measured on this machine."""
    with importing():
        from lnn2loihi.options import rate_of
        from lnn2loihi.samples import read_array

    _check_places(output, page, interactive)
    read = (program, samples, network, description, targets, *(devices or ()), *(board_log or ()))
    keep_inputs([output, page], *read, force=force)
    _check_against(against, network, is_module(program))
    first, *others = names_of(target)
    options: dict[str, Any] = {
        "devices": devices or DEFAULT_DEVICES,
        "target": first,
        "beside": others,
        "against": () if against == "none" else against,
        "rate": None if rate is None else rate_of(rate, "--rate"),
        "placement": placement,
        "closed_loop": closed_loop,
        "io": io,
        "copies": copies,
        "quick": quick,
        "allow_estimated": allow_estimated,
        "count_instructions": count_instructions,
        "budget_seconds": budget,
        "command": f"lnn2loihi {shlex.join(sys.argv[1:])}",
    }
    if is_module(program):
        refuse(
            program, "profile", encoded=encoded, network=network, description=description,
            timespan=timespan, option=option, targets=targets, output=output, board_log=board_log,
            interactive=interactive,
        )  # fmt: skip
        _profile_module(program, samples, options, page, as_json)
    loaded = loaded_program(program, "profile takes it as it is")
    if interactive:
        _check_compiler()
    given = read_sequences(samples, loaded.timed, encoded)
    source = _network(network, description, timespan, option)
    with progress_bars("") as on_step:
        result = l2l.profile(
            loaded,
            **given,
            **options,
            passes=passes,
            network=source,
            board_log=l2l.read_board_log(board_log) if board_log else None,
            targets=None if targets is None else read_array(targets, "targets"),
            progress=on_step,
        )
    written = [] if output is None else [result.save(output)]
    if page is not None:
        written.append(
            l2l.report(result, loaded, page, network=source, interactive=interactive, **given)
        )
    _print(result, written, as_json)
    if result.interrupted:
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(0 if result.chips else FAILED_CHECK)


def _check_places(output: Path | None, page: Path | None, interactive: bool) -> None:
    if output is not None:
        check_place(output, SUFFIX)
    if page is not None:
        check_place(page, *PAGES)
    elif interactive:
        raise l2l.InputError("--interactive", "there is no page to write: give --report FILE.html")


def _profile_module(
    path: Path, samples: Path, options: dict[str, Any], page: Path | None, as_json: bool
) -> None:
    """The same of a converted module; it ends the verb."""
    module, args, keywords = loaded_call(path, samples, "profile")
    with progress_bars("") as on_step:
        result = module.profile(*args, options={**options, "progress": on_step}, **keywords)
    written = [] if page is None else [str(module.report(page, *args, options=options, **keywords))]
    text = result.summary() + "".join(f"\nwritten: {path}" for path in written)
    print_result({**result.to_dict(), "written": written}, text, as_json)
    if any(one.interrupted for one in result.parts.values()):
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(0 if all(one.chips for one in result.parts.values()) else FAILED_CHECK)


@app.command()
def report(
    source: Annotated[
        Path, typer.Argument(help=f"Profile ({SUFFIX}), or converted module ({MODULE_SUFFIX}).")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Page to write (.html).")],
    program: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--program", "-p", help="The program of a profile (.l2l)."),
    ] = None,
    network: NetworkFile = None,
    description: Description = None,
    timespan: Timespan = None,
    option: ImportOptions = None,
    samples: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--input",
            "-i",
            help="Samples whose answers are drawn, and that an interactive page begins with: .npy, "
            ".npz or .csv.",
        ),
    ] = None,
    encoded: Encoded = False,
    interactive: Interactive = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write a profile, or a converted module, as one HTML page."""
    if is_module(source):
        refuse(
            source, "report", program=program, network=network, description=description,
            timespan=timespan, option=option, encoded=encoded, interactive=interactive,
        )  # fmt: skip
        check_place(output, *PAGES)
        keep_inputs([output], source, samples, force=force)
        module, args, keywords = loaded_call(source, samples, "report")
        page = module.report(output, *args, **keywords)
        print_result({"written": str(page)}, f"written: {page}", as_json)
        return
    if program is None:
        raise l2l.InputError("--program", "is missing: give the program of the profile (.l2l)")
    if (samples is None) if network is not None else not (samples is None or interactive):
        raise l2l.InputError(
            "report", "answers are drawn against the float network: give --network and --input, or "
            "neither; an interactive page takes --input alone too"
        )  # fmt: skip
    check_place(output, *PAGES)
    keep_inputs([output], source, program, network, description, samples, force=force)
    check_kind(source, (PROFILE,), f"give a profile ({SUFFIX}), which profile -o writes")
    result = l2l.load_profile(source)
    loaded = loaded_program(program, "report takes it alone")
    given = {} if samples is None else read_sequences(samples, loaded.timed, encoded)
    float_network = _network(network, description, timespan, option)
    written = l2l.report(
        result, loaded, output, network=float_network, interactive=interactive, **given
    )
    print_result({"written": str(written)}, f"written: {written}", as_json)


def _network(
    network: Path | None,
    description: Path | None,
    timespan: str | None,
    option: Sequence[str] | None,
) -> l2l.LiquidNetwork | None:
    if network is not None:
        return imported(network, description, timespan, option)
    why = "there is no --network to import"
    refuse_import_options(why, description=description, timespan=timespan, option=option)
    return None


def _check_against(against: str, network: Path | None, module: bool) -> None:
    """Refuses to measure PyTorch without a network, which a converted module brings."""
    asked = [one.strip() for one in against.split(",") if one.strip().endswith(":torch")]
    if asked and network is None and not module:
        raise l2l.InputError(
            "--against", f"{', '.join(asked)} runs the float network: give --network, its "
            "checkpoint or its description"
        )  # fmt: skip


def _check_compiler() -> None:
    """Before minutes of work: can the program become WebAssembly?"""
    with importing():
        from lnn2loihi.micro.tools import wasm_compiler

    wasm_compiler()


def _print(result: l2l.ProfileResult, written: list[Path], as_json: bool) -> None:
    with importing():
        from lnn2loihi.profiling.answer import words_of

    files = [str(path) for path in written]
    text = result.summary()
    text += "".join(f"\nwritten: {path}" for path in files)
    found: dict[str, Any] = {
        **result.to_dict(), **words_of(result), "complete": result.complete, "written": files,
    }  # fmt: skip
    print_result(found, text, as_json)
