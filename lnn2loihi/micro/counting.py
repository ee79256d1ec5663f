"""Instructions of a step and bytes of its stack, counted while an emulator runs a part's code.

qemu in user mode takes one instruction after the other (`-singlestep`) and writes the address of
each before it is executed (`-d nochain,exec`). Counted are those from the first of the step
function to the return to its caller, all that it calls included: an exact number, for the inputs
that were given. An instruction of a block that Thumb's IT skips is counted: parts fetch it too.
What an instruction costs in cycles is not in it: multiplications of several cycles, waits for
flash and filled pipelines come on top.

The stack is painted below the caller, and the deepest byte that a step has changed is looked for;
a byte that was changed to the colour that it had is found with the next sample's colour.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from lnn2loihi.errors import CompiledRunError
from lnn2loihi.formats import IntegerArray
from lnn2loihi.micro.building import BARE, NAMES, build
from lnn2loihi.micro.driver import NET, Source
from lnn2loihi.micro.elf import read_elf
from lnn2loihi.micro.parts import Part
from lnn2loihi.micro.processes import end, ended_how, run_child, started
from lnn2loihi.micro.tools import cross_compiler, emulator
from lnn2loihi.program import LoihiProgram

#: Bytes of the stack that are painted.
STACK_ROOM = 1 << 16
#: An address in what qemu writes of an instruction: [cs_base/pc/flags/cflags].
_ADDRESS = re.compile(rb"\[[0-9a-f]+/([0-9a-f]+)/")
_CHUNK = 1 << 20
#: Bytes of a call: one of two or of four.
_CALLS = (2, 4)


@dataclass(frozen=True)
class Counts:
    """What was counted.

    Attributes:
        instructions: for each sample int64 (samples,).
        stack: bytes that a step takes below its caller, at most.
    """

    instructions: IntegerArray
    stack: int


def count(
    program: LoihiProgram, source: Source, part: Part, flags: tuple[str, ...], inputs: IntegerArray
) -> Counts:
    """Counts instructions and stack of the steps for some samples, from the initial state.

    Args:
        program: what runs.
        source: it in C.
        part: whose code it becomes.
        flags: of the compiler.
        inputs: encoded samples int64 (samples, channels).

    Raises:
        BackendMissingError: compiler or emulator are not here, or the compiler fails.
        CompiledRunError: the program fails.
    """
    subject = f"count on {part.name}"
    texts = {f"{NET}.h": source.header, f"{NET}.c": source.source, "main.c": _main(program)}
    built = build(
        subject, f"count-{part.name}", texts, cross_compiler(part), (*flags, *BARE, *NAMES)
    )
    command = (*emulator(part.emulator),)
    entry = read_elf(built.read_bytes()).symbol(f"{NET}_step").address
    samples = len(inputs)
    with tempfile.TemporaryDirectory(prefix="lnn2loihi-") as made:
        folder = Path(made)
        given, taken = folder / "given.bin", folder / "taken.bin"
        body = inputs.astype("<i4").tobytes()
        given.write_bytes(np.array([samples, STACK_ROOM], "<i4").tobytes() + body)
        run_child(subject, (*command, str(built)), folder, given, taken)
        depths = np.fromfile(taken, "<i4")
        given.write_bytes(np.array([samples, 0], "<i4").tobytes() + body)
        tracing = (*command, "-singlestep", "-d", "nochain,exec", str(built))
        steps = list(_steps(_addresses(subject, tracing, given), entry))
    if len(steps) != samples or depths.size != samples:
        raise CompiledRunError(
            subject, f"{len(steps)} and {depths.size} of {samples} steps were seen"
        )
    return Counts(np.array(steps, np.int64), int(depths.max()))


def _addresses(subject: str, command: tuple[str, ...], given: Path) -> Iterator[int]:
    """Addresses of all instructions that are executed, one after the other."""
    with given.open("rb") as opened:
        child = started(subject, command, stdin=opened, stderr=subprocess.PIPE)
    assert child.stderr is not None
    rest = b""
    try:
        while chunk := child.stderr.read(_CHUNK):
            lines, _, rest = (rest + chunk).rpartition(b"\n")
            for address in _ADDRESS.findall(lines):
                yield int(address, 16)
        child.wait()
    finally:
        child.stderr.close()
        end(child)
    if child.returncode:
        raise CompiledRunError(subject, f"{command[0]} {ended_how(child, rest.decode('latin-1'))}")


def _steps(addresses: Iterator[int], entry: int) -> Iterator[int]:
    """Instructions of each call of the function at an address, until it comes back."""
    before, counted = 0, 0
    back: tuple[int, ...] = ()
    for address in addresses:
        if counted:
            if address in back:
                yield counted
                counted = 0
            else:
                counted += 1
        elif address == entry:
            counted, back = 1, tuple(before + size for size in _CALLS)
        before = address


def _main(program: LoihiProgram) -> str:
    """A main program that takes samples, and gives for each how deep its step has reached."""
    folder = files("lnn2loihi.micro") / "source"
    parts = [(folder / name).read_text() for name in ("emulated.c", "pipe.c", "measure.c")]
    return "\n".join(
        ["#include <stdint.h>", f'#include "{NET}.h"', "", *parts,
         _RUN.format(net=NET, inputs=program.input.size,
                     outputs=program.output_population.size), ""]
    )  # fmt: skip


_RUN = """\
static {net}_state net;
static int32_t in[{inputs}], out[{outputs}];

int32_t run(void)
{{
    int32_t about[2], t, i;
    if (!take(about, 8)) {{
        return 2;
    }}
    {net}_reset(&net);
    for (t = 0; t < about[0]; t++) {{
        uint8_t colour = (t & 1) ? 0x5a : 0xa5;
        volatile uint8_t *bottom = stack_pointer() - about[1];
        int32_t depth = about[1];
        if (!take(in, 4 * {inputs})) {{
            return 2;
        }}
        for (i = 0; i < about[1]; i++) {{
            bottom[i] = colour;
        }}
        {net}_step(&net, in, out);
        for (i = 0; i < about[1] && bottom[i] == colour; i++) {{
            depth--;
        }}
        if (!give(&depth, 4)) {{
            return 2;
        }}
    }}
    return flush() ? 0 : 2;
}}
"""
