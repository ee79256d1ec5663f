"""The cart and pole of Gymnasium (CartPole-v1) side by side, without their speeds.

Equations, constants, starts and limits are those of gymnasium 1.4 (Barto, Sutton and Anderson,
1983); a test compares both where Gymnasium is installed. A policy sees where the cart is and how
far the pole is tilted, and not how fast they move; it pushes to the right where its answer is
above 0, and to the left elsewhere. The teacher sees all four: it is a linear-quadratic regulator,
whose sign is the push.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lnn2loihi.models.imitation import Floats

STEP, GRAVITY, CART, POLE, HALF, FORCE = 0.02, 9.8, 1.0, 0.1, 0.5, 10.0
#: Failed are carts and poles beyond these (m, rad).
FARTHEST, STEEPEST = 2.4, 12 * 2 * np.pi / 360
#: Starts: each of the four numbers, evenly either way.
START = 0.05
#: What the teacher makes of place, speed, tilt and its rate: the push (share of FORCE) that a
#: linear-quadratic regulator with costs 1, 1, 10, 1 of these and 0.1 of the push (N) gives.
GAINS = np.array([0.28, 0.53, 4.64, 1.2])
#: What a policy sees of the four.
SEEN = [0, 2]


class CartPoles:
    """Carts and poles side by side, each from a start of its own.

    Args:
        seeds: one for each; the same seed gives the same start.
        start: how far the four numbers of a start may be from 0.

    Attributes:
        state: float64 (poles, 4): place (m), speed, tilt (rad), its rate.
        failed: bool (poles,); those that have failed stay where they are.
    """

    def __init__(self, seeds: npt.ArrayLike, start: float = START) -> None:
        many = [np.random.default_rng(int(seed)) for seed in np.atleast_1d(seeds)]
        self.state = np.array([g.uniform(-start, start, 4) for g in many])
        self.failed = np.zeros(len(self.state), bool)

    def seen(self) -> Floats:
        """What a policy sees now, float64 (poles, 2)."""
        return self.state[:, SEEN]

    def taught(self) -> Floats:
        """What the teacher does now, float64 (poles, 1), between -1 and 1; NaN after a failure."""
        push = np.clip(self.state @ GAINS, -1.0, 1.0)
        return np.where(self.failed, np.nan, push)[:, None]

    def act(self, actions: npt.ArrayLike) -> Floats:
        """Goes on by a step; 1 for each pole that had not failed before it, float64 (poles,).

        Args:
            actions: (poles, 1), of which the sign counts.
        """
        pushed = np.asarray(actions, np.float64).reshape(len(self.state))
        force = np.where(pushed > 0.0, FORCE, -FORCE)
        place, speed, tilt, rate = self.state.T
        cosine, sine, total = np.cos(tilt), np.sin(tilt), CART + POLE
        push = (force + POLE * HALF * rate**2 * sine) / total
        turn = (GRAVITY * sine - cosine * push) / (HALF * (4.0 / 3.0 - POLE * cosine**2 / total))
        pull = push - POLE * HALF * turn * cosine / total
        moved = np.stack(
            [place + STEP * speed, speed + STEP * pull, tilt + STEP * rate, rate + STEP * turn],
            axis=-1,
        )
        reward = (~self.failed).astype(np.float64)
        self.state = np.where(self.failed[:, None], self.state, moved)
        far, steep = np.abs(self.state[:, 0]) > FARTHEST, np.abs(self.state[:, 2]) > STEEPEST
        self.failed = self.failed | far | steep
        return reward
