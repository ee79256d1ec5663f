"""Counts equal values of programs in C: every family on this machine, Arm, RISC-V and WebAssembly.

    pip install "lnn2loihi[micro]" && apt-get install gcc qemu-user nodejs
    python benchmarks/c99.py [--values 1000000] [--rounds 4] [--families CfC,LTC] [--json FILE]

Rounds are those of benchmarks/equality.py: random networks, recipes, batches, initial states, and
samples that reach the ends of every channel. Every state word and message of every update is
compared with the reference, and a family has as many values as asked for on each executor. Prints
the table of docs/c99.md; exit code 2 if anything differs, 3 if an executor is not here.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from equality import FAMILIES, round_of
from rich.console import Console
from rich.progress import Progress

from lnn2loihi.errors import BackendMissingError
from lnn2loihi.files import write_atomically

EXECUTORS = ("c99", "c99:cortex-m@qemu", "c99:rv32@qemu", "c99:wasm")


def main() -> int:
    """Prints a line for each family."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--values", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    names = given.families.split(",")
    rows: list[dict[str, object]] = []
    versions: tuple[str, ...] = ()
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=len(names) * given.rounds)
        for name in names:
            compared, differ = Counter[str](), Counter[str]()
            for seed in range(given.rounds):
                bar.update(task, description=f"{name}, {seed + 1} of {given.rounds}")
                share = -(-given.values // given.rounds)
                try:
                    found = round_of(FAMILIES[name], seed, share, ("reference", *EXECUTORS))
                except BackendMissingError as error:
                    print(error, file=sys.stderr)
                    return 3
                versions = found.executors
                for cell in found.matrix:
                    executor = cell.executor.partition(" ")[0]
                    compared[executor] += cell.compared
                    differ[executor] += cell.mismatches
                bar.advance(task)
            rows.append({"family": name, "compared": dict(compared), "differ": dict(differ)})
            cells = (f"{differ[e]:,} of {compared[e]:,}" for e in EXECUTORS)
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    total = {e: sum(row["compared"][e] for row in rows) for e in EXECUTORS}  # type: ignore[index]
    wrong = {e: sum(row["differ"][e] for row in rows) for e in EXECUTORS}  # type: ignore[index]
    print(f"| all | {' | '.join(f'{wrong[e]:,} of {total[e]:,}' for e in EXECUTORS)} |")
    print("\n".join(versions))
    if given.json is not None:
        text = json.dumps({"executors": versions, "families": rows}, indent=2)
        write_atomically(given.json, text.encode())
    return 2 if any(wrong.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
