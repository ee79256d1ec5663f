"""Electrocardiograms of invented subjects: heart beats, some of which come too early, in noise.

A beat is a sum of Gaussian bumps, the waves P, Q, R, S and T (after McSharry et al., "A dynamical
model for generating synthetic electrocardiogram signals", IEEE Trans. Biomed. Eng. 50, 2003), and
every subject has bumps of its own. The rate goes up and down with breathing and slowly, so that an
early beat is not simply a short interval. Nothing here comes from a patient, and nothing that
is learned from it may be used on one.

A normal beat is what the rhythm brings. A supraventricular one (class S) comes too early, with
another P wave and the subject's usual Q, R and S. A ventricular one (class V) has no P wave, is
wide, and is followed by a pause; some are hardly early.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Samples a second of the electrode, samples of a step of the network, and steps a second.
SAMPLE_RATE, TOGETHER = 200, 4
STEP_RATE = SAMPLE_RATE / TOGETHER
#: What a step may be said to be; the first one: no beat to be named now.
CLASSES = ("(none)", "N", "S", "V")
#: Steps of a record (16 s).
TIME = 800
#: A beat is to be named from so many steps after its R wave, for so many steps (0.2 s to 0.36 s).
DELAY, ANSWER = 10, 8
#: Steps of a record in which the rhythm is first heard, and whose beats do not count (4 s).
LISTENING = 200
#: Shares of beats that are supraventricular and ventricular.
EARLY = (0.09, 0.09)
#: Standard deviation of the noise of muscles in mV: a quiet subject, and one that moves.
QUIET, NOISY = (0.01, 0.04), (0.08, 0.20)


@dataclass(frozen=True)
class Records:
    """Records side by side, each of a subject of its own.

    Attributes:
        x: float32 (records, TIME, TOGETHER), in mV: the samples of a step.
        record: int64 (beats,), the record of each beat that counts.
        step: int64 (beats,), the step in which its R wave has its peak.
        label: int64 (beats,), index of CLASSES.
        noisy: bool (records,), whether a subject moves.
    """

    x: Array
    record: Integers
    step: Integers
    label: Integers
    noisy: npt.NDArray[np.bool_]

    @property
    def signal(self) -> Floats:
        """What the electrode gives, float64 (records, samples)."""
        return self.x.reshape(len(self.x), -1).astype(np.float64)

    def windows(self) -> Integers:
        """The steps in which each beat is to be named, (beats, ANSWER)."""
        return self.step[:, None] + DELAY + np.arange(ANSWER)


def records(count: int, seed: int, noisy: bool | None = None) -> Records:
    """Records of subjects that are drawn anew for each.

    Args:
        count: how many.
        seed: of the first subject; the others have the seeds behind it.
        noisy: whether all of them move, or none; every second one where absent.
    """
    samples = TIME * TOGETHER
    x = np.zeros((count, samples), np.float32)
    moves = np.arange(count) % 2 == 1 if noisy is None else np.full(count, noisy)
    found: list[tuple[int, int, int]] = []
    for k in range(count):
        generator = np.random.default_rng(seed + k)
        times, kinds = rhythm(generator, samples / SAMPLE_RATE + 1.0)
        clean = beats(generator, times, kinds, samples)
        x[k] = clean + disturbance(generator, samples, *(NOISY if moves[k] else QUIET))
        for time, kind in zip(times, kinds, strict=True):
            step = int(time * SAMPLE_RATE) // TOGETHER
            if LISTENING <= step < TIME - DELAY - ANSWER:
                found.append((k, step, kind))
    record, step, label = np.array(found, np.int64).reshape(-1, 3).T
    return Records(x.reshape(count, TIME, TOGETHER), record, step, label, moves)


def rhythm(generator: np.random.Generator, seconds: float) -> tuple[Floats, Integers]:
    """Times of R waves in s, and the class of each beat."""
    usual = 60.0 / generator.uniform(52.0, 95.0)
    breath = generator.uniform(0.01, 0.07), generator.uniform(0.15, 0.35)
    slow = generator.uniform(0.01, 0.05), generator.uniform(0.03, 0.12)
    phases = generator.uniform(0.0, 2.0 * np.pi, 2)
    now, pause = generator.uniform(0.2, 0.8), 0.0
    times, kinds = [now], [1]
    while now < seconds:
        interval = usual * (1.0 + generator.normal(0.0, 0.012))
        for (depth, frequency), phase in zip((breath, slow), phases, strict=True):
            interval *= 1.0 + depth * np.sin(2.0 * np.pi * frequency * now + phase)
        kind = 1
        if pause:
            interval, pause = max(interval, pause), 0.0
        elif kinds[-1] == 1:
            kind = int(generator.choice((1, 2, 3), p=(1.0 - sum(EARLY), *EARLY)))
        if kind == 2:
            interval *= generator.uniform(0.62, 0.86)
        elif kind == 3:
            coupled = interval * generator.uniform(0.60, 0.97)
            interval, pause = coupled, 2.0 * interval - coupled
        now += interval
        times.append(now)
        kinds.append(kind)
    return np.array(times), np.array(kinds, np.int64)


def beats(generator: np.random.Generator, times: Floats, kinds: Integers, samples: int) -> Floats:
    """What a subject's beats give without noise, in mV, (samples,)."""
    draw = generator.uniform
    size = draw(0.7, 1.5)
    # Amplitude in mV, time from the R wave in s, standard deviation in s.
    p = draw(0.06, 0.20), -draw(0.15, 0.19), draw(0.018, 0.028)
    complexes = [
        (-size * draw(0.03, 0.2), -draw(0.030, 0.040), draw(0.008, 0.012)),
        (size, 0.0, draw(0.009, 0.015)),
        (-size * draw(0.05, 0.35), draw(0.028, 0.045), draw(0.009, 0.014)),
    ]
    t = draw(0.10, 0.45), draw(0.24, 0.30), draw(0.035, 0.060)
    sign, strength, width = draw(0.0, 1.0) < 0.7, draw(0.8, 1.5), draw(1.6, 2.8)
    own_p = draw(-1.0, 0.6), draw(-0.03, 0.03)
    made, at = np.zeros(samples), np.arange(samples) / SAMPLE_RATE
    for time, kind in zip(times, kinds, strict=True):
        of_beat = list(complexes)
        if kind == 3:
            turn = strength if sign else -strength
            of_beat = [(turn * a, width * d, width * s) for a, d, s in complexes]
            waves = [*of_beat, (-np.copysign(t[0], turn), t[1] + 0.05, 1.2 * t[2])]
        else:
            first = p if kind == 1 else (own_p[0] * p[0], p[1] + own_p[1], p[2])
            waves = [first, *of_beat, t]
        share = generator.normal(1.0, 0.05)
        for amplitude, offset, deviation in waves:
            made += share * amplitude * np.exp(-0.5 * ((at - time - offset) / deviation) ** 2)
    return made


def disturbance(generator: np.random.Generator, samples: int, least: float, most: float) -> Floats:
    """A wandering base line, mains, muscles of `least` to `most` mV, and bumps, (samples,)."""
    at = np.arange(samples) / SAMPLE_RATE
    draw = generator.uniform
    made = generator.normal(0.0, draw(least, most), samples)
    for amplitude, frequency in ((0.25, (0.05, 0.15)), (0.1, (0.15, 0.35)), (0.02, (50.0, 50.0))):
        turns = draw(*frequency) * at + draw()
        made += draw(0.0, amplitude) * np.sin(2.0 * np.pi * turns)
    for _ in range(generator.poisson(2.0 if most > QUIET[1] else 0.2)):
        height, middle, deviation = draw(-0.8, 0.8), draw(0.0, at[-1]), draw(0.02, 0.2)
        made += height * np.exp(-0.5 * ((at - middle) / deviation) ** 2)
    return made
