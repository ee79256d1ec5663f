"""CartPole of Gymnasium without its speeds: a policy with memory, in integers of 8 and of 4 bits.

    pip install gymnasium
    python examples/05_masked_control.py                  # 200 episodes of each policy
    python examples/05_masked_control.py --episodes 20    # fewer, for a look

CartPole-v1 tells where the cart is and how far the pole is tilted, and how fast both move. Here the
speeds are masked, so that a policy has to remember. A CfC of 16 units imitates a controller that
sees everything (lnn2loihi/models/cartpole); it runs in float, as integers with 8-bit weights, and
as integers with 4-bit weights with and without training for the chip. A network without memory,
taught the same way with the same observations, shows that memory is needed. Each policy gets the
same episodes, so that differences are differences of pairs.

Needs Gymnasium, and no PyTorch.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np
from common import needs, options, positive, run, say
from intervals import of_difference, of_mean, of_share
from policies import InFloat, InIntegers

import lnn2loihi as l2l
from lnn2loihi.models import cartpole
from lnn2loihi.models.cartpole.data import GAINS, SEEN, CartPoles
from lnn2loihi.models.imitation import Policy, load_memoryless, watched
from lnn2loihi.tables import text_table

CALIBRATION_SEED, TEST_SEED = 30_000_000, 40_000_000
#: Steps after which Gymnasium ends an episode that goes well.
LONGEST = 500
TRAINED = "w4a8x12.l2l"


def parsed() -> argparse.Namespace:
    """The options."""
    parser = options(__doc__, __file__)
    parser.add_argument("--episodes", type=positive, help="of each policy (default: 200)")
    parser.add_argument("--seed", type=int, default=TEST_SEED, help="of the first episode")
    given = parser.parse_args()
    given.episodes = given.episodes or (8 if given.quick else 200)
    return given


@dataclass(frozen=True)
class Episodes:
    """Returns and mean squared tilts in degrees, (episodes,), and the actions of each episode."""

    returns: np.ndarray
    tilts: np.ndarray
    actions: list[list[int]]


def played(policy: Policy | None, seeds: np.ndarray) -> Episodes:
    """A policy in Gymnasium's own environments; the teacher, which is not masked, where None.

    All episodes go on side by side; those that have ended are shown their last observation, and
    what is answered to it does not count.
    """
    import gymnasium

    worlds = [gymnasium.make("CartPole-v1") for _ in seeds]
    states = np.stack([
        world.reset(seed=int(seed))[0] for world, seed in zip(worlds, seeds, strict=True)
    ])  # fmt: skip
    returns, squares = np.zeros(len(seeds)), np.zeros(len(seeds))
    actions: list[list[int]] = [[] for _ in seeds]
    goes = np.ones(len(seeds), bool)
    for _ in range(LONGEST):
        answers = states @ GAINS if policy is None else policy(states[:, SEEN].astype(np.float64))
        pushes = (np.asarray(answers).reshape(len(seeds)) > 0.0).astype(int)
        for n in np.flatnonzero(goes):
            states[n], reward, failed, ended, _ = worlds[n].step(pushes[n])
            actions[n].append(int(pushes[n]))
            returns[n] += float(reward)
            squares[n] += np.degrees(states[n, 2]) ** 2
            goes[n] = not (failed or ended)
        if not goes.any():
            break
    return Episodes(returns, squares / returns, actions)


def streamed(program: l2l.LoihiProgram, seed: int) -> list[int]:
    """The actions of one episode by `open_stream`, a sample at a time, as a controller would."""
    import gymnasium

    world, stream = gymnasium.make("CartPole-v1"), l2l.open_stream(program)
    state, ended, actions = world.reset(seed=seed)[0], False, []
    while not ended:
        actions.append(int(stream.step(state[SEEN].astype(np.float64))[0] > 0.0))
        state, _, failed, late, _ = world.step(actions[-1])
        ended = failed or late
    return actions


def row(name: str, episodes: Episodes) -> tuple[str, ...]:
    """Returns, how many episodes last, and how far poles are tilted."""
    last = int((episodes.returns == LONGEST).sum())
    tilt = f"{np.sqrt(episodes.tilts.mean()):.3f}"
    return name, of_mean(episodes.returns, 1), of_share(last, len(episodes.returns)), tilt


def programs_of(network: l2l.LiquidNetwork) -> dict[str, l2l.LoihiProgram]:
    """The integers of the network, calibrated on what it sees itself."""
    policy: Any = InFloat(network)
    calibrate, _ = watched(CartPoles(CALIBRATION_SEED + np.arange(128), 0.15), 200, policy)
    return {
        "w8a12": l2l.quantize(network, calibrate=calibrate, recipe="w8a12"),
        "w4a8x12, without training": l2l.quantize(network, calibrate=calibrate, recipe="w4a8x12"),
        "w4a8x12, trained for the chip": l2l.load(cartpole.FOLDER / TRAINED),
    }


def main() -> None:
    """Plays every policy, and says how they compare."""
    given = parsed()
    needs("gymnasium", command="pip install gymnasium, or pip install 'lnn2loihi[examples]'")
    given.out.mkdir(parents=True, exist_ok=True)
    network = cartpole.load()
    programs = programs_of(network)
    seeds = given.seed + np.arange(given.episodes)
    real = played(InFloat(network), seeds)
    found = {
        "teacher, which sees the speeds": played(None, seeds),
        "a network without memory": played(
            load_memoryless(cartpole.FOLDER / "memoryless.safetensors"), seeds
        ),
        "float network, 16 units": real,
    }
    outside = {}
    for name, program in programs.items():
        l2l.save(program, given.out / f"{name.replace(', ', '-').replace(' ', '-')}.l2l")
        policy = InIntegers(program)
        found[f"integers, {name}"] = played(policy, seeds)
        outside[name] = policy.saturated
    say(
        f"CartPole-v1 without its speeds, {given.episodes} episodes of each policy, at most "
        f"{LONGEST} steps; intervals are of 95 % (bootstrap; Wilson for shares)."
    )
    say(
        f"A return of {LONGEST} is the most that there is: where all episodes last, tilts tell "
        "policies apart. Training for the chip is also more training, and may beat float by that."
    )
    headers = ("policy", "mean return", f"episodes that last {LONGEST} steps", "RMS tilt (degrees)")
    say(text_table(headers, [row(name, episodes) for name, episodes in found.items()]))
    for name in programs:
        own = found[f"integers, {name}"]
        say(
            f"Integers, {name}, less float, episode by episode: a return of "
            f"{of_difference(own.returns - real.returns, 1)}, a mean squared tilt of "
            f"{of_difference(own.tilts - real.tilts, 3)} square degrees; {outside[name]:,} input "
            "values were outside of the calibrated range."
        )
    few = seeds[:5]
    for name, program in programs.items():
        own = found[f"integers, {name}"]
        differ = sum(streamed(program, int(seed)) != own.actions[n] for n, seed in enumerate(few))
        say(f"open_stream, {name}: {differ} of {len(few)} episodes have another action somewhere.")
        if differ:
            raise SystemExit(2)
    say(f"Written to {given.out}: the programs.")


if __name__ == "__main__":
    run(main)
