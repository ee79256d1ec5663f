"""The ball that flies through pictures: its data, its files, and the example that joins them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from run_examples import run_example

import lnn2loihi as l2l
from lnn2loihi.models import moving_ball
from lnn2loihi.models.moving_ball import data

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = "10_convolutional_front_end.py"
#: Figures of the card hold on other machines, and with fewer saturations, but for so much.
CLOSE = 0.03

pytest.importorskip("h5py", reason="needs h5py: pip install h5py")


def rows(text: str) -> dict[str, list[float]]:
    """Lines of errors, of the example or of the card, by what they are about."""
    found: dict[str, list[float]] = {}
    for line in text.splitlines():
        cells = [c.strip() for c in (line.split("|") if "|" in line else line.split("  ")) if c]
        cells = [cell for cell in cells if cell]
        if len(cells) == 4 and cells[1].replace(".", "").isdigit():
            found[cells[0]] = [float(cell) for cell in cells[1:]]
    return found


def cost_rows(text: str) -> dict[str, tuple[list[str], list[str]]]:
    """Lines of costs, of the example or of the document: counts, and estimates with their units."""
    found = {}
    for line in text.splitlines():
        cells = [c.strip() for c in (line.split("|") if "|" in line else line.split("  ")) if c]
        cells = [cell for cell in cells if cell]
        if len(cells) == 8 and cells[4].isdigit():
            found[cells[0]] = (cells[1:5], cells[5:])
    return found


def test_pictures_follow_from_the_seed() -> None:
    once, again = data.flights(5, 20, 3), data.flights(5, 20, 3)
    np.testing.assert_array_equal(once.pictures, again.pictures)
    assert once.pictures.shape == (5, 20, data.SIZE**2)
    assert once.pictures.dtype == once.truth.dtype == np.float32
    assert not np.array_equal(once.pictures, data.flights(5, 20, 4).pictures)
    assert (~once.seen).any(axis=1).all() and once.seen.mean() > 0.3


def test_the_ball_is_where_it_is_said_to_be() -> None:
    drawn = data.flights(20, 30, 1)
    place = drawn.truth[..., :2] * data.REACH + data.REACH
    assert data.MARGIN - 1e-4 <= place.min() and place.max() <= data.SIZE - 1 - data.MARGIN + 1e-4
    pictures = drawn.pictures.reshape(20, 30, data.SIZE, data.SIZE)
    bright = pictures.max(axis=(2, 3))
    assert bright[drawn.seen].min() > 0.6 and bright[~drawn.seen].max() < 0.6
    row, column = np.divmod(drawn.pictures.argmax(axis=-1), data.SIZE)
    wrong = np.hypot(column - place[..., 0], row - place[..., 1])[drawn.seen]
    assert np.median(wrong) < 0.8
    # Between two bounces it flies straight on.
    steps, speed = np.diff(place, axis=1), drawn.truth[:, 1:, 2:] * data.FASTEST
    steady = (np.abs(np.diff(drawn.truth[..., 2:], axis=1)) < 1e-6).all(axis=-1)
    np.testing.assert_allclose(steps[steady], speed[steady], atol=1e-4)
    assert data.errors(drawn.truth, drawn.truth, drawn.seen) == (0.0, 0.0)


def test_the_example_is_as_good_as_the_card_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_example(
        monkeypatch, EXAMPLE, "--out", tmp_path, "--executors", "reference,c,blas", "--verified", 3
    )
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert "BIT EXACT" in printed and "one after the other: equal" in printed
    found, card = rows(printed), rows((moving_ball.FOLDER / "card.md").read_text(encoding="utf-8"))
    assert len(found) == 5
    for name, values in found.items():
        np.testing.assert_allclose(values, card[name], rtol=CLOSE, err_msg=name)
    assert "fast, pipelined: estimates" in printed
    costs, told = cost_rows(printed), cost_rows((ROOT / "docs" / "lava-dl.md").read_text("utf-8"))
    assert set(costs) == {"front", "core", "one program"}
    for name, (counts, estimated) in costs.items():
        assert counts == told[name][0], name
        for own, in_document in zip(estimated, told[name][1], strict=True):
            assert own.split()[1] == in_document.split()[1], name
            assert float(own.split()[0]) == pytest.approx(float(in_document.split()[0]), rel=CLOSE)
    both = l2l.load(tmp_path / "moving_ball.l2l")
    assert both.name == "moving_ball" and both.channels == data.SIZE**2


def test_without_lava_dl_training_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "lava.lib.dl", None)
    assert run_example(monkeypatch, EXAMPLE, "--out", tmp_path, "--train") == 3
    assert "lava-dl" in capsys.readouterr().out
    assert not (tmp_path / "front.net").exists()


def test_help_says_what_it_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_example(monkeypatch, EXAMPLE, "--help") == 0
    assert "sigma-delta convolutions" in capsys.readouterr().out


def test_the_front_that_training_makes_is_read(tmp_path: Path) -> None:
    """One epoch of each, where lava-dl is installed."""
    pytest.importorskip("torch")
    pytest.importorskip("ncps")
    from rich.console import Console

    from lnn2loihi.models.lava_dl import import_lava_dl
    from lnn2loihi.models.moving_ball import train

    try:
        import_lava_dl()
    except (ImportError, l2l.Lnn2LoihiError) as error:
        pytest.skip(f"needs lava-dl: {error}")
    path = train.write_front(train.train_front(1, 1, Console()), tmp_path / "front.net")
    front = l2l.import_program(path)
    drawn = data.flights(2, 8, 1)
    answers = l2l.simulate(front, drawn.pictures).outputs
    assert answers.shape == (2, 8, train.ANSWERS)
