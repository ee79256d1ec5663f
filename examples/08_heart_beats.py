"""Heart beats that come too early, named in invented electrocardiograms: network against rules.

    python examples/08_heart_beats.py           # about a minute of a processor
    python examples/08_heart_beats.py --quick   # seconds

Electrocardiograms of invented subjects are made from seeds (models/heart_beats); nobody's heart was
recorded, and nothing here may be used on a patient. Most beats are normal (N), some come early from
above the ventricles (S), and some from the ventricles (V), wide and hardly early at times. A CfC
hears 200 samples a second, four a step, and names each beat within 0.36 s of its R wave, before the
next one is known. Subjects of the test were not seen in training; half of them move.

Beside it stands what is done without a network: the interval before a beat against those before
it, and the likeness and the width of a beat beside the subject's usual one. Both rules are fitted
to subjects of training, and rules and network are told when beats come, so that nobody has to find
them.

Training: python -m lnn2loihi.models.heart_beats.train
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from classes import Confusions, difference, f1, macro_f1, table, with_interval
from common import options, positive, run, say

import lnn2loihi as l2l
from lnn2loihi.models import heart_beats
from lnn2loihi.models.heart_beats.data import (
    CLASSES,
    SAMPLE_RATE,
    STEP_RATE,
    TOGETHER,
    Records,
    records,
)
from lnn2loihi.tables import text_table

KNOWN_SEED, TEST_SEED = 1_000_000, 9_000_000
#: Classes of beats, without "none".
NAMES = CLASSES[1:]
TRAINED = "w4a8x12, trained for the chip"
#: Samples either side of an R wave that the rule compares; beats whose median is the usual one.
AROUND, USUAL = 20, 8


def parsed() -> argparse.Namespace:
    """The options."""
    parser = options(__doc__, __file__)
    parser.add_argument("--recipe", default="w8a12", help="of the integers without training")
    parser.add_argument("--subjects", type=positive, default=300, help="of the test")
    return parser.parse_args()


def named(outputs: np.ndarray, heard: Records) -> np.ndarray:
    """The class of each beat, from 0: the largest mean answer in its steps, `none` left out."""
    answers = outputs[heard.record[:, None], heard.windows()].mean(axis=1)
    return answers[:, 1:].argmax(axis=1)


@dataclass(frozen=True)
class Features:
    """What rules look at, of each beat.

    Attributes:
        interval: the interval before it over the median of the USUAL ones before that, (beats,).
        likeness: correlation with the median of the USUAL beats before, (beats,).
        width: area over height, over that of the median of these beats, (beats,).
    """

    interval: np.ndarray
    likeness: np.ndarray
    width: np.ndarray


def features(heard: Records) -> Features:
    """Intervals, likenesses and widths, by beats and samples before alone."""
    signal = heard.signal
    intervals, likenesses, widths = np.ones((3, len(heard.label)))
    for record in range(len(signal)):
        beats = np.flatnonzero(heard.record == record)
        # The rule may look for the peak near the time that it is told.
        told = heard.step[beats] * TOGETHER
        near = told[:, None] + np.arange(-2, TOGETHER + 2)
        peaks = near[np.arange(len(beats)), np.abs(signal[record][near]).argmax(axis=1)]
        shapes = signal[record][peaks[:, None] + np.arange(-AROUND, AROUND + 1)]
        shapes = shapes - np.median(shapes, axis=1, keepdims=True)
        before = np.diff(peaks, prepend=peaks[:1]) / SAMPLE_RATE
        for k in range(1, len(beats)):
            first = max(0, k - USUAL)
            if k > 1:
                known = before[max(1, first) : k]
                intervals[beats[k]] = before[k] / np.median(known)
            usual = np.median(shapes[first:k], axis=0)
            likenesses[beats[k]] = np.corrcoef(shapes[k], usual)[0, 1]
            areas = [np.abs(shape).sum() / np.abs(shape).max() for shape in (shapes[k], usual)]
            widths[beats[k]] = areas[0] / areas[1]
    return Features(intervals, likenesses, widths)


@dataclass(frozen=True)
class Rule:
    """A beat is V if it looks unusual or is wide, else S if it is early.

    Attributes:
        early: the largest interval, over the usual one, that is early.
        unusual: the largest likeness that is unusual; below -1 none is.
        wide: the least width, over the usual one, that is wide.
    """

    early: float
    unusual: float
    wide: float

    def named(self, of: Features) -> np.ndarray:
        """The class of each beat, from 0."""
        is_early = (of.interval < self.early).astype(np.int64)
        return np.where((of.likeness < self.unusual) | (of.width > self.wide), 2, is_early)

    @classmethod
    def fitted(cls, of: Features, known: Records, shapes: bool) -> Rule:
        """The thresholds with the best mean F1 on known beats.

        Args:
            of: features of the known beats.
            known: their records.
            shapes: whether it may look at likenesses and widths; without them, early beats are S.
        """
        unusual = (-2.0, *np.linspace(0.0, 0.95, 20)) if shapes else (-2.0,)
        wide = (*np.linspace(1.05, 2.0, 20), np.inf) if shapes else (np.inf,)
        best, found = -1.0, cls(0.0, -2.0, np.inf)
        for thresholds in product(np.linspace(0.70, 0.98, 15), unusual, wide):
            rule = cls(*map(float, thresholds))
            counts = np.zeros((len(NAMES), len(NAMES)), np.int64)
            np.add.at(counts, (known.label - 1, rule.named(of)), 1)
            score = float(macro_f1(counts))
            if score > best:
                best, found = score, rule
        return found


def confusions(said: np.ndarray, heard: Records) -> Confusions:
    """What was taken for what, subject by subject."""
    return Confusions.of(heard.record.tolist(), heard.label - 1, said, len(NAMES))


def of_kind(of: int) -> Callable[[np.ndarray], np.ndarray]:
    """F1 of a class, as a score."""
    return lambda counts: f1(counts, of)


def of_subjects(found: Confusions, chosen: np.ndarray) -> Confusions:
    """Those of some subjects."""
    return Confusions(found.counts[chosen])


def main() -> None:
    """Quantizes, names beats, and compares with rules."""
    given = parsed()
    given.out.mkdir(parents=True, exist_ok=True)
    count = min(given.subjects, 24) if given.quick else given.subjects
    known, heard = records(32 if given.quick else 256, KNOWN_SEED), records(count, TEST_SEED)
    counts = np.bincount(heard.label, minlength=len(CLASSES))[1:]
    beats = ", ".join(f"{n:,} {name}" for n, name in zip(counts, NAMES, strict=True))
    say(f"The test has {count} subjects with {len(heard.label):,} beats that count: {beats}.")

    network = heart_beats.load()
    programs = {
        given.recipe: l2l.quantize(network, known.x, given.recipe),
        "w4a8x12": l2l.quantize(network, known.x, "w4a8x12"),
        TRAINED: heart_beats.program(),
    }
    l2l.save(programs[given.recipe], given.out / "heart_beats.l2l")
    answers = {"float": network.evaluate(heard.x).outputs}
    saturated = 0
    for name, program in programs.items():
        result = l2l.simulate(program, heard.x)
        answers[name] = result.outputs
        saturated += result.saturated_inputs if name == given.recipe else 0
    said = {name: named(outputs, heard) for name, outputs in answers.items()}
    of_known, of_heard = features(known), features(heard)
    said["rule: intervals"] = Rule.fitted(of_known, known, shapes=False).named(of_heard)
    said["rule: intervals and shapes"] = Rule.fitted(of_known, known, shapes=True).named(of_heard)
    found = {name: confusions(classes, heard) for name, classes in said.items()}
    # Subjects without a beat that counts are in no confusion.
    noisy = heard.noisy[np.unique(heard.record)]

    say("F1 of each kind of beat, with 95 % intervals over subjects:")
    rows = []
    for name, one in found.items():
        cells = [with_interval(one, of_kind(k)) for k in range(len(NAMES))]
        cells += [with_interval(of_subjects(one, part), of_kind(2)) for part in (~noisy, noisy)]
        rows.append((name, *cells, with_interval(one, macro_f1)))
    say(text_table(("F1 of", *NAMES, "V, quiet", "V, moving", "mean of N, S, V"), rows))
    chip, rule = found[given.recipe], found["rule: intervals and shapes"]
    for name in (given.recipe, "w4a8x12", TRAINED):
        say(f"{name} less float, mean F1: {difference(found[name], found['float'], macro_f1)}.")
    for k, name in enumerate(NAMES):
        by = difference(chip, rule, of_kind(k))
        say(f"{given.recipe} less the rule of intervals and shapes, F1 of {name}: {by}.")
    say(f"{given.recipe}:")
    say(table(chip, NAMES))
    say(
        f"{saturated:,} of {heard.x.size:,} input values of {given.recipe} were outside of the "
        f"calibrated range. A step comes {STEP_RATE:.0f} times a second."
    )
    say(f"Written: {given.out / 'heart_beats.l2l'}")


if __name__ == "__main__":
    run(main)
