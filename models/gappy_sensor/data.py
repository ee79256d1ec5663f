"""A sensor whose samples come with noise, at uneven times, and sometimes not at all.

The signal is the sum of two sine waves. A sample is due every PERIOD seconds, comes a little early
or late, and is lost now and then, alone or with all that are due for up to a second. What is asked
for is the signal without noise, AHEAD seconds after the sample.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

#: Seconds from sample to sample if none is lost, and how far a sample may be off, as a share.
PERIOD, JITTER = 0.05, 0.2
#: Shares of the samples that are lost alone, and that a gap begins with; samples of a gap.
LOST, GAPS, LONGEST = 0.15, 0.02, 20
#: Standard deviation of the noise; frequencies in Hz and amplitudes of the two waves.
NOISE, FREQUENCIES, AMPLITUDES = 0.15, ((0.1, 0.4), (0.5, 1.2)), ((0.5, 1.0), (0.2, 0.6))
#: How long after the sample the signal is asked for, in seconds.
AHEAD = 0.1


def sequences(count: int, time: int, seed: int) -> tuple[Array, Array, Array]:
    """Sequences of samples.

    Args:
        count: sequences.
        time: samples of each that are not lost.
        seed: of all of them.

    Returns:
        x, float32 (count, time, 1); timespans, float32 (count, time), the time since the sample
        before, in PERIODs; y, float32 (count, time, 1), the signal AHEAD seconds later.
    """
    generator = np.random.default_rng(seed)
    passed = np.ones((count, time)) + generator.geometric(1.0 - LOST, (count, time)) - 1
    gaps = generator.random((count, time)) < GAPS
    passed += gaps * generator.integers(1, LONGEST, (count, time))
    due = np.cumsum(passed, axis=1)
    at = due + generator.uniform(-JITTER, JITTER, due.shape)
    spans = np.diff(at, axis=1, prepend=at[:, :1] - 1.0)
    signal, later = np.zeros(at.shape), np.zeros(at.shape)
    for frequencies, amplitudes in zip(FREQUENCIES, AMPLITUDES, strict=True):
        frequency = generator.uniform(*frequencies, (count, 1))
        amplitude = generator.uniform(*amplitudes, (count, 1))
        phase = generator.uniform(0.0, 2.0 * np.pi, (count, 1))
        for made, moment in ((signal, at * PERIOD), (later, at * PERIOD + AHEAD)):
            made += amplitude * np.sin(2.0 * np.pi * frequency * moment + phase)
    x = signal + generator.normal(0.0, NOISE, signal.shape)
    as_float32 = (part.astype(np.float32) for part in (x[..., None], spans, later[..., None]))
    x, spans, later = as_float32
    return x, spans, later
