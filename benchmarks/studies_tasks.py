"""The tasks of studies.py: their data, what counts as an error, and how they are disturbed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from studies_patients import Records, trial, ward

from lnn2loihi.models.walker2d import data as walker2d

Array = npt.NDArray[Any]
#: Answers (n, time, outputs) to samples and elapsed times.
Predict = Callable[["Part"], Array]


@dataclass(frozen=True)
class Part:
    """Sequences of a task.

    Attributes:
        x: samples (n, time, inputs), without the elapsed time.
        elapsed: (n, time), time since the sample before.
        y: targets (n, time, outputs).
        weight: (n, time, outputs), 1 where a target counts and 0 elsewhere.
    """

    x: Array
    elapsed: Array
    y: Array
    weight: Array

    def inputs(self, timed: bool) -> Array:
        """What a network hears: the elapsed time is a channel, unless its cells hear it."""
        if timed:
            return self.x
        return np.concatenate([self.x, self.elapsed[..., None]], axis=2).astype(np.float32)

    def times(self, timed: bool) -> Array | None:
        """Elapsed times of a network whose cells hear them."""
        return self.elapsed if timed else None


class StudyTask(ABC):
    """One task.

    Attributes:
        name: as the command line has it.
        train, validation, test: its sequences.
        parameters: trained numbers that every network has, nearly.
        epochs, batch: of every training.
        main: the figure that validation chooses by; lower is better.
    """

    name: str
    parameters: int
    epochs: int
    batch: int
    main: str
    train: Part
    validation: Part
    test: Part

    @abstractmethod
    def loss(self, answer: Any, y: Any, weight: Any) -> Any:
        """Training loss of tensors."""

    @abstractmethod
    def figures(self, answer: Array, part: Part) -> dict[str, float]:
        """Figures of answers."""

    @abstractmethod
    def trivial(self, part: Part) -> Array:
        """Answers that need no network."""

    def disturbed(self) -> dict[str, Part]:
        """The test sequences as worse sensors would give them, by what was done."""
        return {}

    def several_steps(self, predict: Predict) -> dict[int, float]:
        """Error of the main figure so many steps ahead, where answers are heard as samples."""
        return {}


class Walker2d(StudyTask):
    """The next state of a walking robot; a share of the windows trains, so that all families can be
    trained alike.
    """

    name = "walker2d"
    parameters, epochs, batch = 3500, 8, 32
    main = "MSE"
    #: One in so many windows of the training rollouts, whose windows overlap four times.
    every = 8
    #: Samples that are known before answers are heard, and steps ahead.
    known, ahead = 48, (1, 2, 4, 8, 16)

    def __init__(self, folder: Path, seed: int) -> None:
        walker = walker2d.load(folder / "walker2d.npz")
        whole = (walker.train, walker.validation, walker.test)
        self.train, self.validation, self.test = (
            Part(part.x[::n], part.timespans[::n], part.y[::n], np.ones_like(part.y[::n]))
            for part, n in zip(whole, (self.every, 1, 1), strict=True)
        )

    def loss(self, answer: Any, y: Any, weight: Any) -> Any:
        return (answer - y).square().mean()

    def figures(self, answer: Array, part: Part) -> dict[str, float]:
        return {"MSE": float(np.mean((answer - part.y) ** 2))}

    def trivial(self, part: Part) -> Array:
        """The state stays as it is."""
        return part.x

    def disturbed(self) -> dict[str, Part]:
        rng = np.random.default_rng(0)
        deviation = self.train.x.std(axis=(0, 1))
        found = {}
        for share in (0.05, 0.2):
            noise = (share * deviation * rng.normal(size=self.test.x.shape)).astype(np.float32)
            found[f"noise {share:g}"] = replace(self.test, x=self.test.x + noise)
        return found

    def several_steps(self, predict: Predict) -> dict[int, float]:
        """Only windows count whose samples follow each other step by step from there on."""
        regular = np.all(self.test.elapsed[:, self.known :] == 1, axis=1)
        x = self.test.x[regular].copy()
        truth = self.test.x[regular]
        found = {}
        for step in range(1, max(self.ahead) + 1):
            at = self.known + step - 1
            if at >= x.shape[1]:
                break
            before = Part(
                x[:, :at], self.test.elapsed[regular][:, :at], truth[:, :at], truth[:, :at]
            )
            x[:, at] = predict(before)[:, -1]
            if step in self.ahead:
                found[step] = float(np.mean((x[:, at] - truth[:, at]) ** 2))
        return found


class Patients(StudyTask):
    """Changes of all channels until the next visit, and whether the patient dies in time."""

    main = "NLL and MSE"
    ahead = (1, 2, 4)
    known: int
    #: Whether only the last visit of a patient counts for the figures of death.
    at_the_end: bool

    def __init__(self, records: Records, shares: tuple[float, float], seed: int) -> None:
        order = np.random.default_rng(seed).permutation(len(records.lengths))
        first, second = (int(share * len(order)) for share in np.cumsum(shares))
        chosen = order[:first], order[first:second], order[second:]
        self._records = tuple(records.of(patients) for patients in chosen)
        seen = np.where(_visited(self._records[0])[..., None], self._records[0].values, np.nan)
        self._mean = np.nanmean(seen, axis=(0, 1))
        self._deviation = np.nanstd(seen, axis=(0, 1))
        self.train, self.validation, self.test = map(self._part, self._records)

    def _scaled(self, records: Records) -> Array:
        """Standardised, NaN where nothing was measured, outliers at five deviations."""
        values = np.where(_visited(records)[..., None], records.values, np.nan)
        return np.clip((values - self._mean) / self._deviation, -5.0, 5.0)

    def _part(self, records: Records) -> Part:
        return self._of(self._scaled(records), records)

    def _of(self, scaled: Array, records: Records) -> Part:
        visited = _visited(records)
        carried = _carried(scaled)
        following = np.concatenate([scaled[:, 1:], np.full_like(scaled[:, :1], np.nan)], axis=1)
        until = np.concatenate([records.elapsed[:, 1:], np.zeros((len(scaled), 1))], axis=1)
        change = following - carried
        death = np.where(visited, records.death, np.nan)
        if self.at_the_end:
            death = np.where(
                np.arange(death.shape[1]) == records.lengths[:, None] - 1, death, np.nan
            )
        y = np.concatenate([death[..., None], change], axis=2)
        elapsed = records.elapsed.copy()
        elapsed[:, 0] = 1.0
        x = np.concatenate([carried, np.isfinite(scaled), records.extras, until[..., None]], axis=2)
        weight = np.isfinite(y).astype(np.float32)
        return Part(
            x.astype(np.float32), np.where(visited, elapsed, 1.0).astype(np.float32),
            np.nan_to_num(y).astype(np.float32), weight,
        )  # fmt: skip

    def loss(self, answer: Any, y: Any, weight: Any) -> Any:
        import torch

        likely = torch.nn.functional.binary_cross_entropy_with_logits(
            answer[..., 0], y[..., 0], weight[..., 0], reduction="sum"
        )
        squared = ((answer - y).square() * weight)[..., 1:].sum()
        return likely / weight[..., 0].sum().clamp(min=1) + squared / weight[..., 1:].sum()

    def figures(self, answer: Array, part: Part) -> dict[str, float]:
        counts = part.weight[..., 0] > 0
        said, died = answer[..., 0][counts].astype(float), part.y[..., 0][counts] > 0
        likely = float(np.mean(np.logaddexp(0.0, np.where(died, -said, said))))
        squared = (answer - part.y)[..., 1:] ** 2
        mse = float(np.sum(squared * part.weight[..., 1:]) / part.weight[..., 1:].sum())
        return {
            "next visit, MSE": mse,
            "death, AUC": area_under_curve(said, died),
            "death, NLL": likely,
            self.main: likely + mse,
        }

    def trivial(self, part: Part) -> Array:
        """The last measured value is that of the next visit, and everyone dies as often."""
        answer = np.zeros((*part.x.shape[:2], self.train.y.shape[2]))
        share = float(self.train.y[..., 0].sum() / self.train.weight[..., 0].sum())
        answer[..., 0] = np.log(share / (1.0 - share))
        return answer

    def disturbed(self) -> dict[str, Part]:
        rng = np.random.default_rng(0)
        records = self._records[2]
        scaled = self._scaled(records)
        noisy = scaled + 0.5 * rng.normal(size=scaled.shape)
        fewer = np.where(rng.random(scaled.shape) < 0.5, np.nan, scaled)
        found = {"noise 0.5": noisy, "half of the values missing": fewer}
        # What is heard changes, the truth does not: changes are from the values that are heard.
        return {name: self._heard(values, scaled, records) for name, values in found.items()}

    def _heard(self, heard: Array, truth: Array, records: Records) -> Part:
        part = self._of(heard, records)
        following = np.concatenate([truth[:, 1:], np.full_like(truth[:, :1], np.nan)], axis=1)
        change = following - _carried(heard)
        weight = part.weight.copy()
        weight[..., 1:] = np.isfinite(change)
        y = part.y.copy()
        y[..., 1:] = np.nan_to_num(change)
        return replace(part, y=y, weight=weight)

    def several_steps(self, predict: Predict) -> dict[int, float]:
        """From the first `known` visits on, answers are heard as measured; the times are given."""
        every = self._records[2]
        records = every.of(every.lengths >= self.known + max(self.ahead))
        truth = self._scaled(records)
        heard = truth.copy()
        found = {}
        for step in range(1, max(self.ahead) + 1):
            at = self.known + step - 1
            part = self._of(heard, records)
            before = Part(*(a[:, :at] for a in (part.x, part.elapsed, part.y, part.weight)))
            heard[:, at] = _carried(heard[:, :at])[:, -1] + predict(before)[:, -1, 1:]
            if step in self.ahead:
                error = (heard[:, at] - truth[:, at]) ** 2
                found[step] = float(np.nanmean(error))
        return found


class Ward(Patients):
    """Generated stays of 48 hours (studies_patients.py), death by what is known at their end."""

    name = "ward"
    parameters, epochs, batch = 5000, 10, 32
    known, at_the_end = 12, True
    count = 1200

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(ward(self.count, 0), (0.6, 0.15), 0)


class Trial(Patients):
    """The Mayo trial: laboratory values at the next visit, death within two years of each visit.
    Each seed has another split of the patients.
    """

    name = "trial"
    parameters, epochs, batch = 2500, 25, 16
    known, at_the_end = 3, False

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(trial(folder / "pbc2.csv"), (0.6, 0.15), seed)


def area_under_curve(said: Array, truth: Array) -> float:
    """How often a positive stands above a negative one; ties count half."""
    positive, negative = said[truth], said[~truth]
    order = np.searchsorted(np.sort(negative), positive)
    ties = np.searchsorted(np.sort(negative), positive, side="right") - order
    return float((order + 0.5 * ties).sum() / max(len(positive) * len(negative), 1))


def _visited(records: Records) -> Array:
    return np.arange(records.values.shape[1]) < records.lengths[:, None]


def _carried(scaled: Array) -> Array:
    """The last measured value at each visit; 0, the mean, before the first."""
    visits = np.arange(scaled.shape[1])[:, None]
    last = np.maximum.accumulate(np.where(np.isfinite(scaled), visits, -1), axis=1)
    taken = np.take_along_axis(scaled, np.maximum(last, 0), axis=1)
    return np.where(last < 0, 0.0, taken)
