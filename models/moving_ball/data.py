"""Pictures of a ball that flies, bounces and is hidden at times: rendered from a seed, with NumPy.

A picture has SIZE times SIZE pixels. The ball is a bright spot of Gaussian shape, 1.0 in its
middle, that flies straight on and bounces off the edges, MARGIN pixels before they end. Twice in a
sequence it is hidden for some pictures, in which it flies on. Noise is added to every pixel.

    speed    uniform in [0.2, 0.9] pixels a picture, in any direction
    hidden   twice for HIDDEN pictures, from any picture on
    noise    Gaussian, standard deviation 0.1

What is asked for is where the ball is, seen or hidden, and how fast it flies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

#: Pixels of a side, and at the edge that the ball's middle does not reach; its standard deviation.
SIZE, MARGIN, WIDTH = 16, 1.5, 1.3
SPEED = (0.2, 0.9)
HIDDEN = (4, 8)
NOISE = 0.1
#: Pixels that a position of 1 lies from the middle, and the speed that is 1.
REACH, FASTEST = (SIZE - 1) / 2, 1.0


@dataclass(frozen=True)
class Flights:
    """Sequences of pictures, and what is true of them.

    Attributes:
        pictures: float32 (count, time, SIZE * SIZE), rows one after the other.
        truth: float32 (count, time, 4): place and speed across and down, each between -1 and 1.
        seen: bool (count, time): whether the ball is in the picture.
    """

    pictures: Array
    truth: Array
    seen: npt.NDArray[np.bool_]


def flights(count: int, time: int, seed: int) -> Flights:
    """Draws sequences.

    Args:
        count: number of sequences.
        time: pictures of each.
        seed: seed of `numpy.random.default_rng`; the same seed gives the same data.
    """
    generator = np.random.default_rng(seed)
    speed = generator.uniform(*SPEED, size=(count, 1))
    angle = generator.uniform(0.0, 2.0 * np.pi, size=(count, 1))
    velocity = speed[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    free = SIZE - 1 - 2 * MARGIN
    begin = generator.uniform(0.0, free, size=(count, 1, 2))
    # Straight on in a room of mirrors: a bounce is a fold of the line.
    straight = np.mod(begin + velocity * np.arange(time)[:, None], 2 * free)
    back = straight > free
    place = MARGIN + np.where(back, 2 * free - straight, straight)
    velocity = np.where(back, -velocity, velocity)
    seen = np.ones((count, time), bool)
    for _ in range(2):
        first = generator.integers(0, time, size=(count, 1))
        length = generator.integers(*HIDDEN, size=(count, 1), endpoint=True)
        steps = np.arange(time)
        seen &= (steps < first) | (steps >= first + length)
    pixels = np.arange(SIZE)
    across, down = (
        np.exp(-0.5 * ((pixels - place[..., axis, None]) / WIDTH) ** 2) for axis in range(2)
    )
    pictures = down[..., :, None] * across[..., None, :] * seen[..., None, None]
    pictures += generator.normal(0.0, NOISE, size=pictures.shape)
    truth = np.concatenate([(place - REACH) / REACH, velocity / FASTEST], axis=-1)
    return Flights(
        pictures.reshape(count, time, -1).astype(np.float32), truth.astype(np.float32), seen
    )


def errors(
    answers: npt.ArrayLike, truth: Array, chosen: npt.NDArray[np.bool_]
) -> tuple[float, float]:
    """Root mean square error of the place in pixels, and of the speed in pixels a picture.

    Args:
        answers: (count, time, 4).
        truth: the same.
        chosen: (count, time): the pictures that count.
    """
    wrong = (np.asarray(answers, np.float64) - truth)[chosen]
    place = np.sqrt(np.mean(np.sum(wrong[:, :2] ** 2, axis=-1))) * REACH
    speed = np.sqrt(np.mean(np.sum(wrong[:, 2:] ** 2, axis=-1))) * FASTEST
    return float(place), float(speed)
