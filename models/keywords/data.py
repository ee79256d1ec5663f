"""Words that espeak-ng speaks, in noise, as bands of a logarithmic spectrum.

Nobody has spoken these words: espeak-ng, a program of Debian, synthesizes them offline. A voice is
an accent with a variant, and the variants that are kept for the test are never heard in training,
nor are two of the accents, nor the words of the test that are no keywords. A clip has one word,
which begins after a random pause, with noise of a random colour and level over all of it.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import wave
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import BackendMissingError, CompiledRunError

Array = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: The words that are told apart; class 0 is everything else, silence included.
KEYWORDS = ("yes", "no", "up", "down", "left", "right", "stop", "go")
NOTHING = 0
CLASSES = ("(nothing)", *KEYWORDS)
#: Words that are no keywords: those of training and validation, and those of the test.
OTHERS = {
    "train": (
        "bed", "bird", "cat", "dog", "happy", "house", "wow", "tree", "one", "two", "three", "low",
        "nice", "step", "town", "note", "light", "lest", "yet", "gold", "white", "stone",
    ),
    "test": (
        "four", "five", "six", "seven", "eight", "nine", "zero", "visual", "follow", "learn",
        "forward", "backward", "sheila", "marvin",
    ),
}  # fmt: skip
ACCENTS = {
    "train": (
        "en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd",
    ),
    "test": ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-us-nyc", "en-029"),
}  # fmt: skip
VARIANTS = {
    "train": (
        "m1", "m2", "m3", "m5", "m6", "m8", "f1", "f2", "f4", "Andy", "Annie", "Alex", "Denis",
        "Gene", "Henrique", "Hugo", "Lee", "Marco", "adam", "anika", "antonio", "aunty", "belinda",
        "benjamin", "boris", "david", "ed", "edward", "iven", "john", "linda", "max",
    ),
    "validation": ("michel", "miguel", "pablo", "paul", "pedro", "rob", "steph", "travis"),
    "test": (
        "m4", "m7", "f3", "f5", "Alicia", "Andrea", "Diogo", "Jacky", "Mario", "Michael", "norbert",
        "quincy", "robert", "sandro", "shelby", "victor",
    ),
}  # fmt: skip

#: Samples a second that espeak-ng gives; those of a frame, and from one frame to the next (20 ms).
SAMPLE_RATE, FRAME, HOP = 22_050, 662, 441
FRAME_RATE = SAMPLE_RATE / HOP
#: Bands from LOWEST to HIGHEST Hz, evenly spaced in mel, by a spectrum of SPECTRUM points.
BANDS, LOWEST, HIGHEST, SPECTRUM = 20, 100.0, 8_000.0, 1_024
#: Frames of a step of the network (40 ms), whose bands stand side by side.
TOGETHER = 2
CHANNELS, STEP_RATE = BANDS * TOGETHER, FRAME_RATE / TOGETHER
#: Steps of a clip (1.48 s); steps after the end of a word in which it is to be named.
TIME, ANSWER = 37, 8
#: Words a minute, and pitch, as espeak-ng takes them.
RATES, PITCHES = (130, 210), (20, 80)
#: Speech over noise in dB; loudness of a word in dB either way; pause before it in s.
RATIOS, LOUDNESS, PAUSES = (0.0, 20.0), 6.0, (0.10, 0.45)
#: What microphone and converter add to the power of a band, and what makes a logarithm a feature.
FLOOR, CENTRE, SPREAD = 1e-9, -5.0, 2.0


@dataclass(frozen=True)
class Utterance:
    """A word that is spoken.

    Attributes:
        word: what is said.
        voice: name of espeak-ng, accent and variant.
        audio: float64 (samples,), at SAMPLE_RATE, with a root mean square of 0.05, no pauses at
            its ends.
    """

    word: str
    voice: str
    audio: Floats


@dataclass(frozen=True)
class Clips:
    """Clips side by side.

    Attributes:
        x: float32 (clips, TIME, CHANNELS).
        label: int64 (clips,), index of CLASSES.
        begin: int64 (clips,), first step of the word.
        end: int64 (clips,), the first step after it.
        voices: of each clip.
    """

    x: Array
    label: Integers
    begin: Integers
    end: Integers
    voices: tuple[str, ...]

    def answering(self) -> npt.NDArray[np.bool_]:
        """The steps in which a word is to be named, (clips, TIME)."""
        steps = np.arange(self.x.shape[1])
        return (steps >= self.end[:, None]) & (steps < self.end[:, None] + ANSWER)


def synthesizer() -> str:
    """Where espeak-ng is.

    Raises:
        BackendMissingError: it is not installed.
    """
    found = shutil.which("espeak-ng")
    if found is None:
        raise BackendMissingError(
            "espeak-ng", "is not installed, and the words are spoken by it: "
            "apt-get install espeak-ng"
        )  # fmt: skip
    return found


def utterances(part: str, count: int, seed: int) -> list[Utterance]:
    """Words of a part, spoken by its voices, two seconds of a processor for each hundred or less.

    Args:
        part: "train", "validation" or "test".
        count: how many; three of four are keywords.
        seed: of words, voices, rates and pitches.

    Raises:
        BackendMissingError: espeak-ng is not installed.
        CompiledRunError: it fails.
    """
    program = synthesizer()
    generator = np.random.default_rng(seed)
    of = "test" if part == "test" else "train"
    asked: list[tuple[str, str, int, int]] = []
    for number in range(count):
        words = OTHERS[of] if number % 4 == 3 else KEYWORDS
        voice = f"{generator.choice(ACCENTS[of])}+{generator.choice(VARIANTS[part])}"
        rate, pitch = (int(generator.integers(*ends)) for ends in (RATES, PITCHES))
        asked.append((str(generator.choice(words)), voice, rate, pitch))
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda one: _spoken(program, *one), asked))


def _spoken(program: str, word: str, voice: str, rate: int, pitch: int) -> Utterance:
    command = [program, "-v", voice, "-s", str(rate), "-p", str(pitch), "--stdout", word]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip()
        raise CompiledRunError("espeak-ng", f"{' '.join(command)} fails: {said or 'no audio'}")
    with wave.open(io.BytesIO(done.stdout)) as file:
        if (file.getframerate(), file.getsampwidth(), file.getnchannels()) != (SAMPLE_RATE, 2, 1):
            raise CompiledRunError("espeak-ng", f"gives {file.getparams()}, not {SAMPLE_RATE} Hz")
        audio = np.frombuffer(file.readframes(1 << 24), "<i2").astype(np.float64)
    loud = np.flatnonzero(np.abs(audio) > 0.02 * np.abs(audio).max())
    audio = audio[loud[0] : loud[-1] + 1]
    return Utterance(word, voice, 0.05 * audio / np.sqrt(np.mean(audio**2)))


def clips(spoken: Sequence[Utterance], seed: int, ratio: float | None = None) -> Clips:
    """Clips of words, each after a pause and in noise.

    Args:
        spoken: the words; what is longer than a clip leaves room for is cut off.
        seed: of pauses, loudness and noise; other seeds give other clips of the same words.
        ratio: speech over noise in dB; drawn from RATIOS where absent.
    """
    generator = np.random.default_rng(seed)
    per_step = HOP * TOGETHER
    samples = TIME * per_step
    audio = np.zeros((len(spoken), samples))
    begin, end = (np.zeros(len(spoken), np.int64) for _ in range(2))
    longest = samples - ANSWER * per_step
    for k, one in enumerate(spoken):
        start = int(generator.uniform(*PAUSES) * SAMPLE_RATE)
        word = one.audio[: longest - start]
        audio[k, start : start + len(word)] = word
        over = generator.uniform(*RATIOS) if ratio is None else ratio
        audio[k] += 0.05 * 10.0 ** (-over / 20.0) * noise(samples, generator)
        audio[k] *= 10.0 ** (generator.uniform(-LOUDNESS, LOUDNESS) / 20.0)
        begin[k], end[k] = start // per_step, -(-(start + len(word)) // per_step)
    label = np.array([CLASSES.index(o.word) if o.word in KEYWORDS else NOTHING for o in spoken])
    return Clips(features(audio), label, begin, end, tuple(one.voice for one in spoken))


def noise(samples: int, generator: np.random.Generator) -> Floats:
    """Noise with a root mean square of 1, (samples,): between white and pink."""
    spectrum = np.fft.rfft(generator.normal(size=samples))
    steepness = generator.uniform(0.0, 0.5)
    spectrum *= np.maximum(np.arange(len(spectrum)), 1.0) ** -steepness
    made = np.fft.irfft(spectrum, samples)
    return made / np.sqrt(np.mean(made**2))


def features(audio: npt.ArrayLike) -> Array:
    """Logarithms of the power in bands, float32 (..., steps, CHANNELS), about -1 to 1.

    A step has the bands of TOGETHER frames, and ends with the samples that came last: nothing of
    the future is in it.

    Args:
        audio: (..., samples), at SAMPLE_RATE.
    """
    values = np.asarray(audio, np.float64)
    before = np.zeros((*values.shape[:-1], FRAME - HOP))
    values = np.concatenate([before, values], axis=-1)
    frames = np.lib.stride_tricks.sliding_window_view(values, FRAME, axis=-1)[..., ::HOP, :]
    power = np.abs(np.fft.rfft(frames * np.hanning(FRAME), SPECTRUM)) ** 2
    bands = power @ filters().T / np.sum(np.hanning(FRAME) ** 2) / SPECTRUM
    scaled = ((np.log10(bands + FLOOR) - CENTRE) / SPREAD).astype(np.float32)
    return scaled.reshape(*scaled.shape[:-2], -1, CHANNELS)


@cache
def filters() -> Floats:
    """Triangles of the bands over the spectrum, (BANDS, SPECTRUM // 2 + 1)."""
    low_end, high_end = (2595.0 * np.log10(1.0 + hertz / 700.0) for hertz in (LOWEST, HIGHEST))
    corners = 700.0 * (10.0 ** (np.linspace(low_end, high_end, BANDS + 2) / 2595.0) - 1.0)
    at = np.fft.rfftfreq(SPECTRUM, 1.0 / SAMPLE_RATE)
    low, middle, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    return np.maximum(0.0, np.minimum((at - low) / (middle - low), (high - at) / (high - middle)))
