"""Cycles that an instruction of a neuron program takes on a Cortex-M, counted in compiled code.

    pip install ziglang
    python benchmarks/neuron_cycles.py [PROGRAM.l2l ...] [--processor cortex_m4]

The C text of an update is that of our engine, without what counts saturations, for one neuron. It
is straight-line code, so that what stands in the assembly is what runs: a cycle an instruction,
one more for a load, and one for each register that is saved, as a Cortex-M4 takes with memory that
never waits. Loops over neurons, calls, and a flash that is slower than the clock come on top. It is
where `time_per_neuron_instruction` of the profiles of micro-controllers begins.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from lnn2loihi.artifact import load
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.simulation.native.neuron_code import neuron_text
from lnn2loihi.tables import text_table

MODELS = Path(__file__).parent.parent / "models"
PROGRAMS = (
    "damped_sine/w4a8x12.l2l", "walker2d/w4a8x12.l2l", "walker2d/w8a12-hard.l2l",
    "families/occupancy_gru_w4a8x12.l2l", "families/occupancy_lstm_w4a8x12.l2l",
    "families/occupancy_ltc_w4a8x12.l2l",
)  # fmt: skip
LOOP, ONE = "    for (int lane = 0; lane < lanes; lane++)", "    lanes = 1; const int lane = 0;"
LEVELS = ("-O2", "-Os")


def update_text(program: NeuronProgram) -> str:
    """C text of an update of one neuron."""
    text = neuron_text(replace(program, saturations=()))
    function = text[text.index("void update_neurons") :]
    if LOOP not in function:
        raise SystemExit("the text of the engine has changed; mend this script")
    return "#include <stdint.h>\n" + function.replace(LOOP, ONE)


def cycles(text: str, processor: str, level: str) -> int:
    """Cycles of a text on a processor."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "update.c"
        source.write_text(text)
        command = [sys.executable, "-m", "ziglang", "cc", "-target", "thumb-freestanding-eabi",
                   f"-mcpu={processor}", level, "-Qunused-arguments", "-S", "-o", "update.s",
                   "update.c"]  # fmt: skip
        subprocess.run(command, cwd=folder, check=True)
        lines = [line.strip() for line in (Path(folder) / "update.s").read_text().splitlines()]
    count = 0
    for line in lines:
        if line and not line.startswith((".", "@")) and not line.endswith(":"):
            name = line.split()[0]
            registers = line.count(",") + 1 if name.startswith(("push", "pop", "ldm", "stm")) else 0
            count += 1 + registers + name.startswith("ldr")
    return count


def main() -> None:
    """Prints a line for each neuron program that is another one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("programs", nargs="*", type=Path, default=[MODELS / p for p in PROGRAMS])
    parser.add_argument("--processor", default="cortex_m4")
    given = parser.parse_args()
    rows: list[tuple[object, ...]] = []
    for path in given.programs:
        seen: set[str] = set()
        for population in load(path).populations:
            text, count = update_text(population.program), population.program.instruction_count
            if text not in seen:
                seen.add(text)
                found = [cycles(text, given.processor, level) for level in LEVELS]
                name = f"{path.parent.name}/{path.stem}"
                rows.append((name, population.name, count, *found, *(n / count for n in found)))
    each = [f"cycles {level}" for level in LEVELS] + [f"each {level}" for level in LEVELS]
    Console(width=200).print(text_table(("program", "population", "instructions", *each), rows))


if __name__ == "__main__":
    main()
