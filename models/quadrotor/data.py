"""A quadrotor in a plane whose airframe nobody has measured, and a controller that knows it.

An airframe is drawn: its mass, inertia, the gain of each motor, how fast motors follow, drag, and
a steady wind. Two motors push along the body's axis, which is tilted by a (0 is level):

    x'' = -sin a (left + right) / mass - drag x' + wind
    z'' = cos a (left + right) / mass - drag z' - GRAVITY
    a'' = (right - left) / inertia            left' = (gain HOVER (1 + REACH u) - left) / lag

A policy commands both motors, each u between -1 and 1, every STEP seconds, to bring it to x = z = 0
and hold it. It sees x, z and a with noise, and neither speeds nor the airframe. The teacher sees
all of it, and is a cascade of linear laws.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lnn2loihi.models.imitation import Floats

STEP, PARTS = 0.02, 4
GRAVITY = 9.81
#: Thrust of a motor (N) that holds half of a mass of 1 kg, and how far a command changes it.
HOVER, REACH = GRAVITY / 2.0, 0.8
#: Ranges that airframes are drawn from, evenly: mass (kg), inertia over arm (kg m), gains of the
#: motors, their lag (s), drag (1/s), wind (m/s^2).
AIRFRAME = np.array(
    [(0.85, 1.15), (0.16, 0.28), (0.93, 1.07), (0.93, 1.07), (0.02, 0.06), (0.0, 0.4), (-0.5, 0.5)]
)
#: Starts, evenly either way: x, z (m), a (rad), x', z' (m/s), a' (rad/s).
START = np.array([1.0, 1.0, 0.5, 1.0, 1.0, 1.0])
#: Standard deviations of the noise of what is seen: x, z (m), a (rad).
NOISE = np.array([0.01, 0.01, 0.01])
#: Crashed are those that are farther away (m) or tilted more (rad).
FARTHEST, STEEPEST = 3.0, np.pi / 2
#: What the teacher makes of place and speed, and of tilt and its rate; the steepest that it flies.
PLACE_GAIN, SPEED_GAIN, TILT_GAIN, RATE_GAIN, STEEP = 4.0, 3.0, 60.0, 12.0, 0.6


class Quadrotors:
    """Quadrotors side by side, each with an airframe, a start and sensors of its own.

    Args:
        seeds: one for each; the same seed gives the same airframe, start and noise, whatever the
            policy does and whoever is beside it.

    Attributes:
        crashed: bool (quadrotors,), which have crashed; they stay where they are.
    """

    def __init__(self, seeds: npt.ArrayLike) -> None:
        self._generators = [np.random.default_rng(int(seed)) for seed in np.atleast_1d(seeds)]
        frames = np.array([g.uniform(*AIRFRAME.T) for g in self._generators])
        self.mass, self.inertia, *gains, self.lag, self.drag, self.wind = frames.T
        self.gains = np.stack(gains, axis=-1)
        starts = np.array([g.uniform(-START, START) for g in self._generators])
        self.place, self.tilt = starts[:, :2], starts[:, 2]
        self.speed, self.rate = starts[:, 3:5], starts[:, 5]
        self.thrust = np.full((len(starts), 2), HOVER)
        self.crashed = np.zeros(len(starts), bool)

    def seen(self) -> Floats:
        """What a policy sees now, float64 (quadrotors, 3): x, z, a, with noise."""
        noise = np.array([g.normal(0.0, NOISE) for g in self._generators])
        return np.column_stack([self.place, self.tilt]) + noise

    def taught(self) -> Floats:
        """What the teacher does now, float64 (quadrotors, 2); NaN after a crash."""
        wanted = -PLACE_GAIN * self.place - SPEED_GAIN * self.speed
        lift = np.clip(GRAVITY + wanted[:, 1], 0.4 * GRAVITY, 1.6 * GRAVITY)
        tilt = np.clip(-np.arctan2(wanted[:, 0] - self.wind, lift), -STEEP, STEEP)
        total = self.mass * lift / np.maximum(np.cos(self.tilt), 0.5)
        turn = self.inertia * (TILT_GAIN * (tilt - self.tilt) - RATE_GAIN * self.rate)
        thrust = 0.5 * np.stack([total - turn, total + turn], axis=-1)
        command = np.clip((thrust / (self.gains * HOVER) - 1.0) / REACH, -1.0, 1.0)
        return np.where(self.crashed[:, None], np.nan, command)

    def act(self, actions: npt.ArrayLike) -> Floats:
        """Goes on by a step; the distances from the place to hold (m), float64 (quadrotors,).

        Args:
            actions: commands (quadrotors, 2), left and right, held between -1 and 1.
        """
        command = np.clip(np.asarray(actions, np.float64).reshape(self.thrust.shape), -1.0, 1.0)
        part, flies = STEP / PARTS, ~self.crashed
        for _ in range(PARTS):
            pull = self.gains * HOVER * (1.0 + REACH * command) - self.thrust
            self.thrust = self.thrust + part / self.lag[:, None] * pull
            total, turn = self.thrust.sum(axis=1), self.thrust[:, 1] - self.thrust[:, 0]
            axis = np.stack([-np.sin(self.tilt), np.cos(self.tilt)], axis=-1)
            force = axis * (total / self.mass)[:, None] - self.drag[:, None] * self.speed
            force = force + np.stack([self.wind, np.full_like(self.wind, -GRAVITY)], axis=-1)
            self.speed = np.where(flies[:, None], self.speed + part * force, 0.0)
            self.rate = np.where(flies, self.rate + part * turn / self.inertia, 0.0)
            self.place, self.tilt = self.place + part * self.speed, self.tilt + part * self.rate
        distance = np.hypot(*self.place.T)
        self.crashed = self.crashed | (distance > FARTHEST) | (np.abs(self.tilt) > STEEPEST)
        return distance
