"""How sure the chip is: intervals of Monte-Carlo dropout, what they cover, and what they cost.

    python examples/13_uncertainty.py

A CfC with dropout (models/noisy_waves) predicts the next sample of a noisy damped wave. One program
with masks in state words answers thirty times, each time with other units dropped. The example says
what the intervals of these passes cover on waves like those of the training and on faster ones that
it has never met, without and with the noise of a validation set; how many of the faster waves stand
out by their spread; and what thirty passes cost instead of one.
"""

from __future__ import annotations

import importlib.util

import numpy as np
from common import options, positive, run, say

import lnn2loihi as l2l
from lnn2loihi.models import noisy_waves

VALIDATION_SEED, TEST_SEED, FASTER_SEED = 5_100_000, 5_200_000, 5_300_000
#: Share of the waves like those of the training that an alarm by spread may stop.
FALSE_ALARMS = 0.05


def main() -> None:
    """Runs the example."""
    parser = options(__doc__, __file__)
    parser.add_argument("--passes", type=positive, default=30, help="passes of an answer")
    given = parser.parse_args()
    count, passes = (16, min(given.passes, 8)) if given.quick else (256, given.passes)
    engine = "blas" if given.quick else "auto"  # which compiles nothing

    network, program = noisy_waves.load(), noisy_waves.program()
    masked = [p for p in program.populations if p.name.endswith(".dropout")]
    relay = masked[0]
    say(
        f"The program has {program.neurons} neurons. {relay.size} of them, {relay.name}, only send "
        f"on what the layer says, with a mask: {relay.program.instruction_count} instructions each."
    )
    x, y = noisy_waves.example(count, TEST_SEED)
    x_fast, y_fast = noisy_waves.example(count, FASTER_SEED, faster=True)
    x_known, y_known = noisy_waves.example(count, VALIDATION_SEED)

    known = l2l.monte_carlo(program, x_known, passes, engine=engine)
    noise = l2l.fit_noise(known, y_known)
    say(f"\n{noise.summary()}")
    found = {
        "waves like those of the training": (l2l.monte_carlo(program, x, passes, engine=engine), y),
        "faster waves": (l2l.monte_carlo(program, x_fast, passes, engine=engine), y_fast),
    }
    for name, (result, came) in found.items():
        say(f"\n{name}, {passes} passes; dropout alone:\n{result.scores(came)}")
        say(f"and with the noise of the validation set:\n{result.with_noise(noise).scores(came)}")

    checked = l2l.verify(
        program, x[:2], ("reference", "blas"), initial_state=known.initial_state(0)
    )
    say(f"\nThe first pass on two executors: {checked.summary().splitlines()[0]}")
    floats = l2l.monte_carlo(network, x, passes)
    chip = found["waves like those of the training"][0]
    apart = np.sqrt(np.mean((chip.spread - floats.spread) ** 2) / np.mean(floats.spread**2))
    say(f"The spread of the integers is that of the floats within {apart:.2%}, mask by mask.")

    spread = {name: result.spread.mean(axis=(1, 2)) for name, (result, _) in found.items()}
    limit = float(np.quantile(known.spread.mean(axis=(1, 2)), 1.0 - FALSE_ALARMS))
    for name, own in spread.items():
        say(f"{name}: {np.mean(own > limit):.1%} have more spread than 95 % of the validation set.")

    costs = l2l.profile(program, x[:8], against=(), passes=passes, frontier=False, progress=False)
    say("\nWhat an answer costs, estimated:")
    for one in costs.of_passes:
        say(f"  {one.label}: {one.total_energy}, an answer every {one.time}")
    if importlib.util.find_spec("matplotlib") is not None:
        from matplotlib import pyplot

        given.out.mkdir(parents=True, exist_ok=True)
        path = given.out / "passes.png"
        chip.with_noise(noise).plot()
        pyplot.savefig(path, dpi=120)
        say(f"\nwritten: {path}")


if __name__ == "__main__":
    run(main)
