"""Processor time of a start: the import of the library, and the help of its command line.

    python benchmarks/startup.py --rounds 20

Prints the median and the smallest of so many interleaved runs, user and system time of the process.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys

CASES = {
    "python alone": ("-c", ""),
    "import numpy": ("-c", "import numpy"),
    "import lnn2loihi": ("-c", "import lnn2loihi"),
    "all public names": ("-c", "from lnn2loihi import *"),
    "lnn2loihi --version": ("-m", "lnn2loihi", "--version"),
    "lnn2loihi --help": ("-m", "lnn2loihi", "--help"),
    "lnn2loihi profile --help": ("-m", "lnn2loihi", "profile", "--help"),
    "lnn2loihi devices": ("-m", "lnn2loihi", "devices"),
}


def seconds(arguments: tuple[str, ...]) -> float:
    """Processor time of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=dict(os.environ)
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    found: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(rounds):
        for name, arguments in CASES.items():
            found[name].append(seconds(arguments))
    for name, times in found.items():
        print(f"{name:26} median {statistics.median(times):.3f} s, least {min(times):.3f} s")


if __name__ == "__main__":
    main()
