"""The width of vectors in neuron updates: measured once, kept, and the answers are the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from networks import random_network, random_samples

import lnn2loihi as l2l
from lnn2loihi.errors import BackendMissingError
from lnn2loihi.simulation.native import library, vectors
from lnn2loihi.simulation.native.engine import NativeEngine
from lnn2loihi.simulation.native.kernel_code import LEVELS

WIDE = next(level for level in LEVELS if vectors.has_forms(level))
needs_wide = pytest.mark.skipif(
    WIDE not in library.usable_levels() or library.compiler() is None,
    reason="this CPU has no vectors of 512 bits, or there is no C compiler",
)


@pytest.fixture
def forgotten() -> None:
    """Nothing was measured in this process."""
    vectors._chosen.cache_clear()


@needs_wide
def test_it_is_measured_once_and_kept(
    forgotten: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []
    times = iter([[1.0, 0.5], [1.0, 0.99]])
    monkeypatch.setattr(vectors, "fastest_times", lambda *_: next(times))

    def updates(program: object, flags: tuple[str, ...]) -> int:
        asked.append(flags)
        return 0

    narrow = ("-mprefer-vector-width=256",)
    assert vectors.chosen_flags(WIDE, tmp_path, updates) == narrow
    assert asked == [(), narrow]
    (kept,) = tmp_path.iterdir()
    assert kept.read_text() == "256\n"
    vectors._chosen.cache_clear()
    assert vectors.chosen_flags(WIDE, tmp_path, updates) == narrow and len(asked) == 2
    kept.write_text("something else")  # is measured again; a hundredth is noise
    vectors._chosen.cache_clear()
    assert vectors.chosen_flags(WIDE, tmp_path, updates) == ()
    assert kept.read_text() == "512\n"


def test_without_a_compiler_the_form_of_the_wheel_is_used(forgotten: None, tmp_path: Path) -> None:
    def updates(program: object, flags: tuple[str, ...]) -> int:
        raise BackendMissingError("C engine", "no C compiler was found")

    assert vectors.chosen_flags(WIDE, tmp_path, updates) == ()
    assert not list(tmp_path.iterdir())


def test_levels_without_a_choice(tmp_path: Path) -> None:
    for level in LEVELS:
        if not vectors.has_forms(level):
            assert vectors.chosen_flags(level, tmp_path, None) == ()


@needs_wide
@pytest.mark.parametrize("width", vectors.FORMS)
def test_both_forms_answer_alike(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "_chosen", lambda *_: width)
    program = l2l.quantize(random_network(3), random_samples(3, 8, 20, 3))
    x = random_samples(4, 70, 9, 3)
    expected = l2l.simulate(program, x, "reference", return_states=True)
    start = {p.name: {w: np.tile(v, (70, 1)) for w, v in p.initial_state.items()}
             for p in program.populations}  # fmt: skip
    run = NativeEngine(program, WIDE).run(x, np.full(70, 9), start, record=True)[0]
    assert np.array_equal(run.integers, expected.integers)
    assert run.states is not None and expected.states is not None
    for name, words in expected.states.items():
        for word, values in words.items():
            assert np.array_equal(run.states[name][word], values)
