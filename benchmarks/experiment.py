"""How often the experiment for owners of boards finds what a board has, on logs of known boards.

    python benchmarks/experiment.py [BOARDS]

Figures of boards are drawn from the ranges of the profile, logs are made of them with 2 % of noise,
and each figure that the analysis identifies lies in its fitted 90 % interval, or does not. Then
boards of worlds (i) and (ii), and which world is named.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import numpy as np
from experiment_logs import drawn, lines, written

import lnn2loihi as l2l

#: World (i) as the profile has cores, world (ii) as a published sweep has it.
WORLDS = {
    "(i)": {"active_core_power": 4e-3, "energy_per_instruction": 3e-12},
    "(ii)": {"active_core_power": 1e-4, "energy_per_neuron_update": 8e-11,
             "energy_per_instruction": 2.5e-11},
}  # fmt: skip


def main() -> None:
    boards = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    device, started = l2l.load_device("loihi2-oheo-gulch"), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        path, hits = Path(folder) / "log.jsonl", dict[str, list[bool]]()
        for seed in range(boards):
            rng = np.random.default_rng(seed)
            truth = drawn(device, rng, static_power_per_chip=float(rng.uniform(0.10, 0.28)))
            found = l2l.analyse_experiment(device, written(path, lines(truth, rng)))
            for c in found.calibration.changes:
                inside = c.after.low <= truth[c.parameter] <= c.after.high
                hits.setdefault(c.parameter, []).append(inside)
        print(f"{'figure':32}identified  inside its interval")
        for name, one in hits.items():
            print(f"{name:32}{len(one):10}  {np.mean(one):.0%}")
        print(f"{'all':32}{sum(map(len, hits.values())):10}  {np.mean(sum(hits.values(), [])):.0%}")
        for world, figures in WORLDS.items():
            named: Counter[str] = Counter()
            for seed in range(boards // 4):
                rng = np.random.default_rng(seed)
                truth = drawn(device, rng, **figures)
                named[l2l.analyse_experiment(device, written(path, lines(truth, rng))).world] += 1
            print(f"world {world}: {dict(named)}")
    print(f"{time.process_time() - started:.0f} s of processor time")


if __name__ == "__main__":
    main()
