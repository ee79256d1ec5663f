"""Random CfCs as graphs of Lava's own processes: the reference against Lava's own process models.

    python benchmarks/lava_stock.py

Every message of every population and sample of 20 networks, in five forms of the target `stock`.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import numpy as np
from networks import random_network, random_samples

import lnn2loihi as l2l
from lnn2loihi.lava.stock import execute_stock
from lnn2loihi.simulation import encode, full_initial_state
from lnn2loihi.simulation.reference import run_reference
from lnn2loihi.targets import target_of

FORMS = ("stock", "stock:pre-2", "stock:fold-2", "stock:pre-6", "stock:pre-4-vec")
LAYERS = ((5,), (6, 3), (4, 4, 2))
NETWORKS, SEQUENCES, SAMPLES = 20, 24, 34


def main() -> None:
    compared = different = 0
    for seed in range(NETWORKS):
        form = FORMS[seed % len(FORMS)]
        network = random_network(seed, inputs=3, layers=LAYERS[seed % len(LAYERS)], outputs=2)
        x = random_samples(seed, SEQUENCES, SAMPLES, 3)
        program = target_of(form).prepare(l2l.quantize(network, x[:4]))
        inputs, start = encode(program, x)[0], full_initial_state(program, SEQUENCES, None)
        expected = run_reference(program, inputs, start).states
        found = execute_stock(program, inputs, start).states
        cells = [
            (values, found[name][word])
            for name, words in expected.items()
            for word, values in words.items()
        ]
        values = sum(one.size for one, _ in cells)
        wrong = sum(np.count_nonzero(one != other) for one, other in cells)
        compared, different = compared + values, different + wrong
        print(f"{form:16} {program.neurons:5} neurons {values:9,} values {wrong:6,} differ")
    print(f"{NETWORKS} networks, {compared:,} values, {different:,} differ")


if __name__ == "__main__":
    main()
