"""Keywords, spoken by voices that training never heard: in float, with 8 bits and with 4.

    python examples/07_keyword_spotting.py           # about a minute of a processor
    python examples/07_keyword_spotting.py --quick   # seconds

espeak-ng speaks eight keywords, and other words between them, offline: this is synthetic speech,
and says nothing about how well people would be understood. A CfC (models/keywords) hears bands of a
spectrum, 25 steps a second, and names a word once it has ended. The example tries it on voices,
accents and other words that were kept back, in noise; beside it stand two rules that are told where
each word begins and ends. It then hears one long stream, as it would in use: how many words are
found, how often it speaks without a reason, and how late.

Needs espeak-ng (`apt-get install espeak-ng`). Training: python -m lnn2loihi.models.keywords.train
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
from classes import Confusions, accuracy, difference, table, with_interval
from common import options, run, say

import lnn2loihi as l2l
from lnn2loihi.models import keywords
from lnn2loihi.models.keywords.data import (
    ANSWER,
    CHANNELS,
    CLASSES,
    NOTHING,
    STEP_RATE,
    TIME,
    Clips,
    clips,
    synthesizer,
    utterances,
)
from lnn2loihi.tables import text_table

TEST_SEED, KNOWN_SEED = 4_000_000, 3_000_000
#: Speech over noise in dB in the columns of the table.
RATIOS = (20.0, 10.0, 0.0)
#: Points in time at which the better rule looks at a word.
POINTS = 8
#: In a stream: steps over which probabilities are averaged, what that has to reach, and steps of
#: silence of the network before it may speak again.
AVERAGED, ENOUGH, REST = 4, 0.5, 4


def parsed() -> argparse.Namespace:
    """The options."""
    parser = options(__doc__, __file__)
    parser.add_argument("--recipe", default="w8a12", help="of the integers without training")
    return parser.parse_args()


def named(outputs: np.ndarray, heard: Clips) -> np.ndarray:
    """The class of each clip: the largest mean answer in the steps after the word's end."""
    weights = heard.answering()[..., None]
    return (outputs * weights).sum(axis=1).argmax(axis=1)


@dataclass(frozen=True)
class Rule:
    """Logistic regression on what is known of a whole word.

    Attributes:
        points: at how many points in time it looks; 0 for the mean over the word alone.
        mean, deviation: of the features.
        weights: (features + 1, classes).
    """

    points: int
    mean: np.ndarray
    deviation: np.ndarray
    weights: np.ndarray

    @classmethod
    def fitted(cls, points: int, known: Clips) -> Rule:
        """Fitted to words by gradient descent."""
        x = features(known, points)
        mean, deviation = x.mean(axis=0), x.std(axis=0)
        x = np.column_stack([(x - mean) / deviation, np.ones(len(x))])
        wanted = np.eye(len(CLASSES))[known.label]
        weights = np.zeros((x.shape[1], len(CLASSES)))
        for _ in range(300):
            sums = x @ weights
            shares = np.exp(sums - sums.max(axis=1, keepdims=True))
            shares /= shares.sum(axis=1, keepdims=True)
            weights -= 0.3 * (x.T @ (shares - wanted) / len(x) + 1e-3 * weights)
        return cls(points, mean, deviation, weights)

    def named(self, heard: Clips) -> np.ndarray:
        """The class of each clip."""
        x = (features(heard, self.points) - self.mean) / self.deviation
        return (np.column_stack([x, np.ones(len(x))]) @ self.weights).argmax(axis=1)


def features(heard: Clips, points: int) -> np.ndarray:
    """Bands at points in time between begin and end of each word, or their mean, (clips, ...)."""
    made = []
    for x, begin, end in zip(heard.x, heard.begin, heard.end, strict=True):
        word = x[begin:end]
        at = np.linspace(0, len(word) - 1, points).round().astype(int)
        made.append(word[at].ravel() if points else word.mean(axis=0))
    return np.array(made, np.float64)


@dataclass(frozen=True)
class Heard:
    """What the network said while it heard a stream.

    Attributes:
        hits: keywords that were named rightly.
        wrong: keywords that were taken for others.
        keywords: how many there were.
        alarms: words that were named where there was no keyword.
        minutes: length of the stream.
        delays: of the hits, seconds from the word's end.
    """

    hits: int
    wrong: int
    keywords: int
    alarms: int
    minutes: float
    delays: np.ndarray

    def __str__(self) -> str:
        """One sentence."""
        delays = "none is timed"
        if len(self.delays):
            middle, late = np.percentile(1e3 * self.delays, (50, 90))
            delays = f"half of these within {middle:.0f} ms of the word's end, nine of ten within "
            delays += f"{late:.0f} ms"
        often = self.alarms / self.minutes
        return (
            f"{self.hits} of {self.keywords} keywords are named rightly, {delays}; {self.wrong} "
            f"are taken for another keyword, and {often:.1f} times a minute it names a keyword "
            "where there is none."
        )


def streamed(outputs: np.ndarray, heard: Clips) -> Heard:
    """What answers to clips that follow each other without a pause amount to.

    Args:
        outputs: (steps, classes), of all clips.
        heard: the clips.
    """
    sums = outputs - outputs.max(axis=1, keepdims=True)
    shares = np.exp(sums) / np.exp(sums).sum(axis=1, keepdims=True)
    total = np.concatenate([np.zeros((1, shares.shape[1])), np.cumsum(shares, axis=0)])
    means = (total[AVERAGED:] - total[:-AVERAGED]) / AVERAGED
    hits = wrong = alarms = 0
    delays, spoken, quiet = [], set(), REST
    for k, mean in enumerate(means, start=AVERAGED - 1):
        word = int(mean.argmax())
        if word == NOTHING or mean[word] < ENOUGH:
            quiet += 1
            continue
        if quiet >= REST:
            clip, step = divmod(k, TIME)
            late = step - heard.end[clip]
            meant = heard.begin[clip] <= step and late < ANSWER + AVERAGED and clip not in spoken
            if heard.label[clip] == NOTHING or not meant:
                alarms += 1
            elif heard.label[clip] == word:
                hits += 1
                # The step in which it speaks has to be heard to its end.
                delays.append((late + 1) / STEP_RATE)
            else:
                wrong += 1
            spoken.add(clip)
        quiet = 0
    count = int((heard.label != NOTHING).sum())
    minutes = len(outputs) / STEP_RATE / 60.0
    return Heard(hits, wrong, count, alarms, minutes, np.array(delays))


def as_stream(program: l2l.LoihiProgram, x: np.ndarray, wanted: np.ndarray) -> str:
    """One step at a time: whether answers are those of the whole, and what a step takes."""
    stream = l2l.open_stream(program)
    began = time.process_time()
    answers = np.array([stream.step(sample) for sample in x])
    each = (time.process_time() - began) / len(x)
    differ = int((answers != wanted[: len(x)]).sum())
    return (
        f"Step by step through open_stream, {differ} of {answers.size:,} answers differ from those "
        f"of the whole stream; a step takes {1e6 * each:.0f} microseconds of a processor, and a "
        f"new one comes every {1e3 / STEP_RATE:.0f} milliseconds."
    )


def main() -> None:
    """Speaks, quantizes, compares, streams."""
    given = parsed()
    synthesizer()
    given.out.mkdir(parents=True, exist_ok=True)
    known_count, count = (160, 96) if given.quick else (1_600, 960)
    say(f"espeak-ng speaks {known_count} words in known voices and {count} in voices kept back.")
    known = clips(utterances("train", known_count, KNOWN_SEED), KNOWN_SEED)
    spoken = utterances("test", count, TEST_SEED)
    tests = {"": clips(spoken, TEST_SEED)}
    for ratio in () if given.quick else RATIOS:
        tests[f"{ratio:.0f} dB"] = clips(spoken, TEST_SEED, ratio)

    network = keywords.load()
    typical = known.x[:256]
    programs = {
        given.recipe: l2l.quantize(network, typical, given.recipe),
        "w4a8x12": l2l.quantize(network, typical, "w4a8x12"),
        "w4a8x12, trained for the chip": keywords.program(),
    }
    l2l.save(programs[given.recipe], given.out / "keywords.l2l")
    rules = {
        "rule: mean of the word": Rule.fitted(0, known),
        f"rule: the word at {POINTS} points": Rule.fitted(POINTS, known),
    }
    found: dict[tuple[str, str], Confusions] = {}
    for column, heard in tests.items():
        answers = {"float": network.evaluate(heard.x).outputs}
        answers |= {name: l2l.simulate(p, heard.x).outputs for name, p in programs.items()}
        said = {name: named(outputs, heard) for name, outputs in answers.items()}
        said |= {name: rule.named(heard) for name, rule in rules.items()}
        for name, classes in said.items():
            found[name, column] = Confusions.of(heard.voices, heard.label, classes, len(CLASSES))

    heads = [f"{name} more speech than noise" if name else "0 to 20 dB" for name in tests]
    names = dict.fromkeys(name for name, _ in found)
    rows = [(n, *(with_interval(found[n, column], accuracy) for column in tests)) for n in names]
    say(
        f"{count} words of {len(set(tests[''].voices))} voices; named rightly, and 95 % intervals "
        "over voices. The speech is synthetic. Chance is 25 %, for whoever always hears no keyword."
    )
    say(text_table(("accuracy", *heads), rows))
    whole = {name: found[name, ""] for name in names}
    best = max(rules, key=lambda name: accuracy(whole[name].counts.sum(axis=0)))
    trained = "w4a8x12, trained for the chip"
    say(f"{given.recipe} less float: {difference(whole[given.recipe], whole['float'], accuracy)}.")
    say(f"w4a8x12 less float: {difference(whole['w4a8x12'], whole['float'], accuracy)}.")
    say(f"{trained}, less float: {difference(whole[trained], whole['float'], accuracy)}.")
    say(
        f"{given.recipe} less the better rule ({best.partition(': ')[2]}), which is told where a "
        f"word begins and ends: {difference(whole[given.recipe], whole[best], accuracy)}."
    )
    say(table(whole[given.recipe], CLASSES))

    heard = tests[""]
    stream = heard.x.reshape(-1, CHANNELS)
    for name in (given.recipe, trained):
        outputs = l2l.simulate(programs[name], stream[None]).outputs[0]
        say(f"{name}, in one stream: {streamed(outputs, heard)}")
        if name == given.recipe:
            say(as_stream(programs[name], stream[:1_000].astype(np.float64), outputs))
    say(f"Written: {given.out / 'keywords.l2l'}")


if __name__ == "__main__":
    run(main)
