"""A quadrotor of an unknown airframe, flown by a network of 16 units, down to 4-bit weights.

    python examples/06_quadrotor.py                     # 1,000 airframes, half a minute
    python examples/06_quadrotor.py --airframes 100    # fewer, for a look

The quadrotor flies in a plane (lnn2loihi/models/quadrotor/data.py, about 80 lines of NumPy). Mass,
inertia, motors, drag and wind are drawn anew for each airframe. The network sees noisy place
and tilt at 50 Hz, and neither speeds nor the airframe: it was taught by a controller that knows
all of them. It flies in float, as integers with 8-bit weights, as integers with 4-bit weights
with and without training for the chip, and as compiled C. Every policy flies the same airframes
from the same starts with the same noise, so that differences are differences of pairs.

Needs no PyTorch. The C code needs a C compiler, and is left out, which is said, without one.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from common import options, positive, run, say
from intervals import of_difference, of_mean, of_share
from policies import InC, InFloat, InIntegers

import lnn2loihi as l2l
from lnn2loihi.errors import BackendMissingError
from lnn2loihi.models import quadrotor
from lnn2loihi.models.imitation import Policy, load_memoryless, watched
from lnn2loihi.models.quadrotor.data import STEP, Quadrotors
from lnn2loihi.tables import text_table

CALIBRATION_SEED, TEST_SEED = 30_000_000, 50_000_000
#: Steps of a flight, and those at its end over which the distance is averaged.
STEPS, LAST = 300, 50
TRAINED = "w4a8x12.l2l"


def parsed() -> argparse.Namespace:
    """The options."""
    parser = options(__doc__, __file__)
    parser.add_argument("--airframes", type=positive, help="flown by each policy (default: 1000)")
    parser.add_argument("--seed", type=int, default=TEST_SEED, help="of the first airframe")
    given = parser.parse_args()
    given.airframes = given.airframes or (16 if given.quick else 1000)
    return given


@dataclass(frozen=True)
class Flights:
    """What a policy did: who crashed, how far away the others were at the end, and its commands.

    `crashed` bool (airframes,), `distance` in metres (airframes,), `commands` (steps, airframes,
    2).
    """

    crashed: np.ndarray
    distance: np.ndarray
    commands: np.ndarray


def flown(policy: Policy | None, seeds: np.ndarray) -> Flights:
    """Lets a policy fly an airframe for each seed; the teacher where it is None."""
    plants = Quadrotors(seeds)
    commands, distances = [], []
    for _ in range(STEPS):
        seen = plants.seen()
        commands.append(np.nan_to_num(plants.taught()) if policy is None else policy(seen))
        distances.append(plants.act(commands[-1]))
    return Flights(plants.crashed, np.mean(distances[-LAST:], axis=0), np.stack(commands))


def row(name: str, flights: Flights) -> tuple[str, ...]:
    """Crashes, and the distance of those that fly, each with its interval."""
    crashes, flies = int(flights.crashed.sum()), ~flights.crashed
    far = of_mean(100.0 * flights.distance[flies], 1) if flies.any() else "none flies"
    return name, str(crashes), of_share(crashes, len(flies)), far


def paired(name: str, flights: Flights, real: Flights) -> str:
    """A sentence: how a policy differs from the float network, airframe by airframe."""
    more = int((flights.crashed & ~real.crashed).sum())
    fewer = int((real.crashed & ~flights.crashed).sum())
    both = ~flights.crashed & ~real.crashed
    if not both.any():
        return f"{name}: no airframe flies with both."
    gap = of_difference(100.0 * (flights.distance - real.distance)[both], 2)
    return (
        f"{name}: {more} airframes crash that fly with the float network, and {fewer} fly that "
        f"crash with it; where both fly, it is {gap} cm farther away on average."
    )


def same_in_c(program: l2l.LoihiProgram, seeds: np.ndarray, flights: Flights) -> str:
    """Flies the compiled C code, and says whether its commands are those of the integers."""
    try:
        policy = InC(program)
    except BackendMissingError as error:
        return f"The C code is not flown: {error}"
    differ = int((flown(policy, seeds).commands != flights.commands).any(axis=-1).sum())
    if differ:
        say(f"{differ:,} commands of the C code differ from those of the integers.")
        raise SystemExit(2)
    return (
        f"Compiled C: all {flights.commands.size:,} commands are those of the integers, since all "
        "of its integers are."
    )


def main() -> None:
    """Quantizes, flies every policy, and says how they compare."""
    given = parsed()
    given.out.mkdir(parents=True, exist_ok=True)
    network = quadrotor.load()
    # What the network itself meets: it flies, and the range of that is calibrated.
    flying = Quadrotors(CALIBRATION_SEED + np.arange(128))
    calibrate, _ = watched(flying, STEPS, InFloat(network))
    programs = {
        "w8a12": l2l.quantize(network, calibrate=calibrate, recipe="w8a12"),
        "w4a8x12, without training": l2l.quantize(network, calibrate=calibrate, recipe="w4a8x12"),
        "w4a8x12, trained for the chip": l2l.load(quadrotor.FOLDER / TRAINED),
    }
    for name, program in programs.items():
        l2l.save(program, given.out / f"{name.replace(', ', '-').replace(' ', '-')}.l2l")
    l2l.export(programs["w8a12"], given.out / "net.c", goal="speed")
    say(
        f"Each policy flies {given.airframes:,} airframes for {STEPS * STEP:.0f} s, {1 / STEP:.0f} "
        "commands a second. Intervals are of 95 %: Wilson's for shares, a bootstrap for means."
    )
    seeds = given.seed + np.arange(given.airframes)
    found = {
        "teacher, which sees speeds and airframe": flown(None, seeds),
        "a network without memory": flown(
            load_memoryless(quadrotor.FOLDER / "memoryless.safetensors"), seeds
        ),
        "float network, 16 units": flown(InFloat(network), seeds),
    }
    real, outside = found["float network, 16 units"], {}
    for name, program in programs.items():
        policy = InIntegers(program)
        found[f"integers, {name}"] = flown(policy, seeds)
        outside[name] = policy.saturated
    headers = ("policy", "crashes", "share of airframes", "distance in the last second (cm)")
    say(text_table(headers, [row(name, flights) for name, flights in found.items()]))
    for name in programs:
        say(paired(f"Integers, {name}", found[f"integers, {name}"], real))
    for name, count in outside.items():
        say(
            f"{name}: {count:,} of {given.airframes * STEPS * 3:,} input values were outside of "
            "the calibrated range, and were held at its ends."
        )
    for name in ("w8a12", "w4a8x12, trained for the chip"):
        say(f"{name}. {same_in_c(programs[name], seeds, found[f'integers, {name}'])}")
    say(f"Written: the programs, net.c and net.h (w8a12) in {given.out}.")


if __name__ == "__main__":
    run(main)
