"""The tasks of accuracy.py: data, loss, figures, and the recipes that are tried on them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lnn2loihi.models.damped_sine import data as damped_sine
from lnn2loihi.models.damped_sine import train as damped_sine_train
from lnn2loihi.models.halfcheetah import data as halfcheetah
from lnn2loihi.models.occupancy import data as occupancy
from lnn2loihi.models.walker2d import data as walker2d
from lnn2loihi.tables import percent

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ChipTraining:
    """How a trained network is trained for the chip.

    Attributes:
        rate: learning rate that it begins with.
        decay: factor of it from epoch to epoch; None for half a cosine, down to zero.
        epochs: passes over the training data; None for what the command line says.
        on_targets: whether it is trained on the targets, or towards the float network's answers.
        chosen_on_targets: whether the epoch is kept that is the best on the validation targets, or
            the one that is closest to what it is trained towards there.
        after_hard: whether it begins with weights that `train.py --form hard` has trained from
            the float network's, in floats.
        hardened: share of the training after which all weights are fixed at mantissas, one after
            the other from the beginning on, at a constant rate that falls afterwards; None: all are
            rounded from the beginning.
    """

    rate: float
    decay: float | None = 0.7
    epochs: int | None = None
    on_targets: bool = False
    chosen_on_targets: bool = False
    after_hard: bool = False
    hardened: float | None = None


#: Recipes and how the network is trained for them; None for post-training quantization.
Recipes = tuple[tuple[str, ChipTraining | None], ...]
#: A few epochs from the float network.
BRIEFLY = ChipTraining(2e-3)
#: Longer, with clipped lines in place of tanh, which the float network has never heard.
CLIPPED = ChipTraining(4e-3, decay=None, epochs=24)
#: The same, as long as it helps on other data.
CLIPPED_CHOSEN = ChipTraining(4e-3, decay=None, epochs=24, chosen_on_targets=True)
#: On targets of which there are as many as one likes.
CLIPPED_ON_TARGETS = ChipTraining(1e-2, decay=None, epochs=60, on_targets=True)
#: Trained with clipped lines in floats before, which is faster; what is left is rounding.
CLIPPED_BEFORE = ChipTraining(2e-4, epochs=4, on_targets=True, after_hard=True)


@dataclass(frozen=True)
class Part:
    """Sequences x (n, time, inputs), targets y, and elapsed times (n, time) or None."""

    x: Array
    y: Array
    timespans: Array | None = None

    @property
    def arrays(self) -> tuple[Array, ...]:
        """What a training batch consists of."""
        return (self.x, self.y) if self.timespans is None else (self.x, self.y, self.timespans)

    def calibration_times(self, count: int) -> Array | None:
        """Elapsed times of the first sequences."""
        return None if self.timespans is None else self.timespans[:count]


class Task(ABC):
    """One task.

    Attributes:
        name: folder in models/.
        source: where its data are; None where they are generated.
        train, validation, test: its sequences.
        beside: what a trivial method reaches.
    """

    name: str
    description: str
    recipes: Recipes
    batch: int
    source: Path | None
    train: Part
    validation: Part
    test: Part
    beside: str

    @abstractmethod
    def loss(self, answer: Any, y: Any) -> Any:
        """Training loss of tensors."""

    def error(self, answer: Array, part: Part) -> float:
        """What tells epochs apart on the targets of a part; lower is better."""
        return float(self.loss(torch.as_tensor(answer), torch.as_tensor(part.y)))

    @abstractmethod
    def figures(self, answer: Array, truth: Array) -> dict[str, float]:
        """Figures on the test sequences; `truth` is the float network's answer."""

    @abstractmethod
    def eager(self) -> Any:
        """A fresh ncps module of the same architecture."""

    def eager_answer(self, model: Any, x: Any, *elapsed: Any) -> Any:
        """The module's outputs in training."""
        return model(x)[0]


class Occupancy(Task):
    """Is the room occupied? Five sensors, windows of 16 steps."""

    name = "occupancy"
    description = "per-step accuracy and F1 in percent, AutoNCP CfC"
    recipes = (
        ("w8a12", None), ("w8a8x12", None), ("w4a8", None), ("w4a8", BRIEFLY), ("w2a8", BRIEFLY),
        ("w8a12-hard", None), ("w8a12-hard", CLIPPED),
    )  # fmt: skip
    batch = 64

    def __init__(self, folder: Path) -> None:
        self.source = source = folder / "occupancy"
        rooms = occupancy.load(source)
        self._rooms = rooms
        self.train = Part(rooms.x_train, rooms.y_train[..., None])
        self.validation = Part(rooms.x_validation, rooms.y_validation[..., None])
        self.test = Part(rooms.x_test, rooms.y_test[..., None])
        light = rooms.x_test[..., occupancy.LIGHT] > rooms.light_threshold()
        found = occupancy.scores(light.astype(np.int64), rooms.y_test)
        self.beside = f"a threshold on light has {percent(found.accuracy)}, F1 {percent(found.f1)}"

    def loss(self, answer: Any, y: Any) -> Any:
        return torch.nn.functional.binary_cross_entropy_with_logits(answer, y.to(answer))

    def figures(self, answer: Array, truth: Array) -> dict[str, float]:
        said, meant = answer[..., 0] > 0, truth[..., 0] > 0
        found = occupancy.scores(said.astype(np.int64), self._rooms.y_test)
        return {
            "accuracy": 100 * found.accuracy,
            "F1": 100 * found.f1,
            "agreement with float": 100 * float(np.mean(said == meant)),
        }

    def eager(self) -> Any:
        from ncps.torch import CfC
        from ncps.wirings import AutoNCP

        from lnn2loihi.models.occupancy import train

        wiring = AutoNCP(train.UNITS, train.MOTOR_UNITS)
        return CfC(occupancy.FEATURES, wiring, proj_size=1)


class _Prediction(Task):
    """Next-state prediction: mean squared error."""

    def loss(self, answer: Any, y: Any) -> Any:
        return (answer - y.to(answer)).square().mean()

    def error(self, answer: Array, part: Part) -> float:
        return float(np.mean((answer - part.y) ** 2))

    def figures(self, answer: Array, truth: Array) -> dict[str, float]:
        error, base = self.error(answer, self.test), self.error(truth, self.test)
        return {"MSE": error, "percent above float": 100 * (error / base - 1)}


class DampedSine(_Prediction):
    """The next clean value of a noisy damped sine wave; nothing to download."""

    name = "damped_sine"
    description = "test MSE against the clean next value, AutoNCP CfC"
    recipes = (
        ("w8a12", None), ("w8a8x12", None), ("w4a8x12", None), ("w4a8x12", BRIEFLY),
        ("w8a12-hard", None), ("w8a12-hard", CLIPPED_ON_TARGETS),
    )  # fmt: skip
    batch = 64

    def __init__(self, folder: Path) -> None:
        self.source = None
        count, time = damped_sine_train.TEST_COUNT, damped_sine_train.TIME
        seed = damped_sine_train.TEST_SEED
        self.train = Part(*damped_sine.sequences(4 * count, time, seed + 2))
        self.validation = Part(*damped_sine.sequences(count, time, seed + 3))
        self.test = Part(*damped_sine.sequences(count, time, seed))
        last = self.error(damped_sine.last_sample(self.test.x), self.test)
        self.beside = f"the last noisy sample has {last:.4g}"

    def eager(self) -> Any:
        from ncps.torch import CfC
        from ncps.wirings import AutoNCP

        wiring = AutoNCP(damped_sine_train.UNITS, damped_sine_train.MOTOR_UNITS)
        return CfC(1, wiring, proj_size=1)


class HalfCheetah(_Prediction):
    """The LTC paper's protocol."""

    name = "halfcheetah"
    description = "test MSE in the original units, dense CfC without backbone"
    recipes = (
        ("w8a12", None), ("w8a8x12", None), ("w8a12", BRIEFLY), ("w4a8x12", None),
        ("w4a8x12", BRIEFLY), ("w8a12-hard", None), ("w8a12-hard", CLIPPED_CHOSEN),
    )  # fmt: skip
    batch = 32

    def __init__(self, folder: Path) -> None:
        self.source = source = folder / "halfcheetah.npz"
        cheetah = halfcheetah.load(source)
        self._cheetah = cheetah
        self.train = Part(cheetah.x_train, cheetah.y_train)
        self.validation = Part(cheetah.x_validation, cheetah.y_validation)
        self.test = Part(cheetah.x_test, cheetah.y_test)
        self.beside = f"copying the last state has {self.error(cheetah.x_test, self.test):.4g}"

    def error(self, answer: Array, part: Part) -> float:
        return self._cheetah.squared_error(answer, part.y)

    def eager(self) -> Any:
        from ncps.torch import CfC

        from lnn2loihi.models.halfcheetah import train

        channels = halfcheetah.CHANNELS
        return CfC(channels, train.UNITS, proj_size=channels, backbone_layers=0)


class Walker2d(_Prediction):
    """The CfC paper's protocol, with irregular time."""

    name = "walker2d"
    description = "test MSE, CfC with a backbone and irregular time (the paper reports 0.643)"
    recipes = (
        ("w8a12", None), ("w8a8x12", None), ("w8a12", ChipTraining(2e-4, epochs=4)),
        ("w4a8x12", None),
        # Far from float with 4 bits: as long as float training, without the noise of rounding.
        ("w4a8x12", ChipTraining(1e-3, None, 40, on_targets=True, hardened=0.85)),
        ("w8a12-hard", None), ("w8a12-hard", CLIPPED_BEFORE),
    )  # fmt: skip
    batch = 128

    def __init__(self, folder: Path) -> None:
        self.source = source = folder / "walker2d.npz"
        walker = walker2d.load(source)
        self.train, self.validation, self.test = (
            Part(part.x, part.y, part.timespans)
            for part in (walker.train, walker.validation, walker.test)
        )
        self.beside = f"copying the last state has {self.error(self.test.x, self.test):.4g}"

    def eager(self) -> Any:
        from ncps.torch import CfC

        from lnn2loihi.models.walker2d import train

        return CfC(
            walker2d.CHANNELS, train.UNITS, proj_size=walker2d.CHANNELS,
            backbone_units=train.Settings.backbone_units, backbone_layers=1,
        )  # fmt: skip

    def eager_answer(self, model: Any, x: Any, *elapsed: Any) -> Any:
        """Step by step: batches of timespans are wrong in ncps 1.0.1."""
        hidden = x.new_zeros(len(x), model.state_size)
        answers = []
        for t in range(x.shape[1]):
            answer, hidden = model.rnn_cell(x[:, t], hidden, elapsed[0][:, t : t + 1])
            answers.append(answer)
        return model.fc(torch.stack(answers, dim=1))


TASKS = {task.name: task for task in (DampedSine, Occupancy, HalfCheetah, Walker2d)}


def task_named(name: str, folder: Path) -> Task:
    """The task of that name, with its data."""
    return TASKS[name](folder)
