"""How long everything takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lnn2loihi.measure.windows import QUOTED_REPEATS, QUOTED_SECONDS, QUOTED_STEPS


@dataclass(frozen=True)
class Settings:
    """Lengths and counts of a session.

    Attributes:
        warm_up: seconds of untimed calls before a backend is timed in a mode.
        search: seconds for each batch in the search for the best one.
        rounds: interleaved rounds of timed calls.
        slice: seconds of a backend and mode in a round.
        calls: fewest timed calls of all rounds together (the budget goes before).
        repeats: energy windows of a backend and mode.
        windows: seconds of an energy window, by kind of runner.
        steps: fewest steps of an energy window.
        quick: whether energies are marked as too short for a figure that is to be quoted.
    """

    warm_up: float = 0.3
    search: float = 0.15
    rounds: int = 5
    slice: float = 0.3
    calls: int = 100
    repeats: int = QUOTED_REPEATS
    windows: Mapping[str, float] = field(default_factory=lambda: QUOTED_SECONDS)
    steps: int = QUOTED_STEPS
    quick: bool = False


#: For figures that are to be quoted.
FULL = Settings()
#: For a look.
QUICK = Settings(
    warm_up=0.1,
    search=0.05,
    rounds=3,
    slice=0.1,
    repeats=3,
    windows={"cpu": 1.0, "cuda": 1.0},
    steps=100,
    quick=True,
)
