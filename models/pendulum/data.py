"""An inverted pendulum that a weak motor has to swing up, and a controller that sees its speed.

The angle a is 0 upright. A step of a policy is STEP seconds, in which its action u, held between
-1 and 1, does not change:

    a'' = GRAVITY sin a - FRICTION a' + TORQUE u      in PARTS parts of a step, speed first

The motor cannot lift the pendulum from the side, so it has to be swung. A policy sees cos a and
sin a with noise, and not the speed. The teacher sees angle and speed: away from the top it brings
the energy to that of the upright rest, near it it is linear feedback, and in between the two are
mixed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

STEP, PARTS = 0.04, 4
GRAVITY, FRICTION, TORQUE = 9.81, 0.1, 6.0
#: Standard deviation of the noise of what a policy sees.
NOISE = 0.01
#: Speeds that a pendulum starts with, in rad/s either way; its angle is any.
FASTEST = 1.0
#: What the teacher makes of energy, and of angle and speed near the top.
ENERGY_GAIN, ANGLE_GAIN, SPEED_GAIN = 0.15, 4.0, 1.0
#: Where the teacher's two laws are mixed half and half (rad), and how fast one follows the other.
SWITCH, SHARPNESS = 0.6, 12.0


class Pendulums:
    """Pendulums side by side, each from a start of its own, and the noise of their sensors.

    Args:
        seeds: one for each; the same seed gives the same start and the same noise, whatever the
            policy does and whoever is beside it.
    """

    def __init__(self, seeds: npt.ArrayLike) -> None:
        self._generators = [np.random.default_rng(int(seed)) for seed in np.atleast_1d(seeds)]
        starts = [g.uniform((-np.pi, -FASTEST), (np.pi, FASTEST)) for g in self._generators]
        self.angle, self.speed = np.array(starts).T

    def seen(self) -> Floats:
        """What a policy sees now, float64 (pendulums, 2)."""
        noise = np.array([g.normal(0.0, NOISE, 2) for g in self._generators])
        return np.stack([np.cos(self.angle), np.sin(self.angle)], axis=-1) + noise

    def taught(self) -> Floats:
        """What the teacher does now, float64 (pendulums,)."""
        angle = (self.angle + np.pi) % (2.0 * np.pi) - np.pi
        lacking = GRAVITY * (1.0 - np.cos(angle)) - 0.5 * self.speed**2
        swing = ENERGY_GAIN * lacking * self.speed
        hold = -ANGLE_GAIN * angle - SPEED_GAIN * self.speed
        share = 1.0 / (1.0 + np.exp(SHARPNESS * (np.abs(angle) - SWITCH)))
        return np.clip((1.0 - share) * np.clip(swing, -1.0, 1.0) + share * hold, -1.0, 1.0)

    def act(self, actions: npt.ArrayLike) -> Floats:
        """Goes on by a step, and gives its rewards, float64 (pendulums,).

        A reward is 1 upright and at rest, and 0 where the pendulum hangs:
        (1 + cos a) / 2 - 0.01 a'^2 - 0.01 u^2.

        Args:
            actions: (pendulums,), held between -1 and 1.
        """
        held = np.clip(np.asarray(actions, np.float64).reshape(self.angle.shape), -1.0, 1.0)
        reward = 0.5 * (1.0 + np.cos(self.angle)) - 0.01 * self.speed**2 - 0.01 * held**2
        for _ in range(PARTS):
            force = GRAVITY * np.sin(self.angle) - FRICTION * self.speed + TORQUE * held
            self.speed = self.speed + STEP / PARTS * force
            self.angle = self.angle + STEP / PARTS * self.speed
        return reward


def teaching(count: int, time: int, seed: int) -> tuple[Array, Array]:
    """What the teacher's own pendulums show, and what it does.

    Args:
        count: pendulums.
        time: steps of each.
        seed: of the first; the others have the seeds behind it.

    Returns:
        x, float32 (count, time, 2), and y, float32 (count, time, 1).
    """
    pendulums = Pendulums(seed + np.arange(count))
    x, y = np.zeros((count, time, 2), np.float32), np.zeros((count, time, 1), np.float32)
    for k in range(time):
        x[:, k], y[:, k, 0] = pendulums.seen(), pendulums.taught()
        pendulums.act(y[:, k, 0])
    return x, y
