"""Examples 07 to 12, each with --quick, and the data that they are made of."""

from __future__ import annotations

import importlib
import io
import runpy
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_examples import EXAMPLES, run_example

import lnn2loihi as l2l
from lnn2loihi.models import gappy_sensor, heart_beats, keywords
from lnn2loihi.models.heart_beats import data as beats
from lnn2loihi.models.keywords import data as words

SPOTTING, BEATS = "07_keyword_spotting.py", "08_heart_beats.py"
STREAMING, DEVICES = "09_streaming.py", "11_devices_beside_each_other.py"
CONVOLUTIONS, WHOLE = "10_convolutional_front_end.py", "12_whole_module.py"

needs_speech = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="needs espeak-ng: apt-get install espeak-ng"
)


def names_of(monkeypatch: pytest.MonkeyPatch, example: str) -> SimpleNamespace:
    """What an example defines, without running it."""
    if not EXAMPLES.is_dir():
        pytest.skip("the examples are not there")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return SimpleNamespace(**runpy.run_path(str(EXAMPLES / example)))


@pytest.mark.parametrize("example", [SPOTTING, BEATS, STREAMING, CONVOLUTIONS, DEVICES, WHOLE])
def test_help_says_what_it_does_and_how_it_is_run(
    example: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_example(monkeypatch, example, "--help") == 0
    printed = capsys.readouterr().out
    assert f"python examples/{example}" in printed
    assert "--quick" in printed and "--out" in printed


# Keywords.


def test_what_is_kept_for_the_test_is_not_in_training() -> None:
    for kept in ("test", "validation"):
        assert not set(words.VARIANTS[kept]) & set(words.VARIANTS["train"])
    assert not set(words.OTHERS["test"]) & set(words.OTHERS["train"])
    assert not set(words.KEYWORDS) & {*words.OTHERS["test"], *words.OTHERS["train"]}
    assert set(words.ACCENTS["test"]) - set(words.ACCENTS["train"])


def test_features_hear_nothing_of_the_future() -> None:
    generator = np.random.default_rng(1)
    per_step = words.HOP * words.TOGETHER
    audio = generator.normal(size=6 * per_step)
    other = np.concatenate([audio[: 3 * per_step], generator.normal(size=3 * per_step)])
    one, two = words.features(audio), words.features(other)
    assert one.shape == (6, words.CHANNELS) and one.dtype == np.float32
    np.testing.assert_array_equal(one[:3], two[:3])
    assert (one[3:] != two[3:]).all()
    assert np.isfinite(words.features(np.zeros(2 * per_step))).all()


def test_clips_are_answered_after_their_words() -> None:
    spoken = [words.Utterance("yes", "a", np.ones(9_000)), words.Utterance("bed", "b", np.ones(1))]
    made = words.clips(spoken, 3)
    assert made.label.tolist() == [words.CLASSES.index("yes"), words.NOTHING]
    assert (made.answering().sum(axis=1) == words.ANSWER).all()
    assert (made.begin < made.end).all() and not made.answering()[0, : made.end[0]].any()
    again = words.clips(spoken, 3)
    np.testing.assert_array_equal(made.x, again.x)
    long = words.clips([words.Utterance("go", "a", np.ones(200_000))], 1)
    assert long.answering().sum() == words.ANSWER


def test_shipped_keyword_networks_take_the_features() -> None:
    network, program = keywords.load(), keywords.program()
    x = np.zeros((1, 3, words.CHANNELS))
    assert network.evaluate(x).outputs.shape == (1, 3, len(words.CLASSES))
    assert l2l.simulate(program, x).outputs.shape == (1, 3, len(words.CLASSES))
    assert program.recipe.startswith("w4a8x12")


def test_without_espeak_the_example_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run_example(monkeypatch, SPOTTING, "--out", tmp_path / "out") == 3
    assert "apt-get install espeak-ng" in " ".join(capsys.readouterr().out.split())


@needs_speech
def test_keywords_of_unheard_voices_are_spotted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_example(monkeypatch, SPOTTING, "--quick", "--out", tmp_path) == 0
    printed = capsys.readouterr().out
    assert "synthetic" in printed and "less the better rule" in printed
    assert "Step by step through open_stream, 0 of" in printed
    share = float(printed.split("w8a12  ")[1].split("%")[0])
    assert share > 60.0, printed
    assert l2l.load(tmp_path / "keywords.l2l").channels == words.CHANNELS


# Heart beats.


def test_records_follow_from_their_seeds_whoever_is_beside_them() -> None:
    three, one = beats.records(3, 7), beats.records(1, 8, noisy=True)
    np.testing.assert_array_equal(three.x[1:2], one.x)
    np.testing.assert_array_equal(three.label[three.record == 1], one.label)
    assert three.noisy.tolist() == [False, True, False]
    assert three.x.shape == (3, beats.TIME, beats.TOGETHER)


def test_each_beat_has_steps_of_its_own_to_be_named_in() -> None:
    known = beats.records(40, 11)
    steps = known.record[:, None] * beats.TIME + known.windows()
    assert len(np.unique(steps)) == steps.size
    assert known.windows().max() < beats.TIME and known.step.min() >= beats.LISTENING
    assert set(known.label.tolist()) == {1, 2, 3}


def test_early_beats_are_early_and_the_pause_makes_up_for_it() -> None:
    generator = np.random.default_rng(2)
    times, kinds = beats.rhythm(generator, 400.0)
    before = np.diff(times, prepend=times[0])
    usual = np.median(before)
    assert np.median(before[kinds == 2]) < 0.9 * usual
    after = np.flatnonzero(kinds[:-1] == 3) + 1
    assert np.median(before[after]) > 1.05 * usual


def test_ventricular_beats_are_named_better_than_by_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_example(monkeypatch, BEATS, "--quick", "--out", tmp_path) == 0
    printed = capsys.readouterr().out
    table = printed.split("F1 of each kind of beat")[1].splitlines()
    scores = {
        cells[0]: [float(cell.split(" %")[0]) for cell in cells[1:]]
        for cells in ([cell.strip() for cell in line.split("  ") if cell.strip()] for line in table)
        if len(cells) == 7 and "%" in cells[1]
    }
    ventricular = {name: values[2] for name, values in scores.items()}
    assert ventricular["w8a12"] > ventricular["rule: intervals and shapes"]
    assert scores["w8a12"][1] > 60.0  # early beats are named too
    assert abs(scores["w8a12"][-1] - scores["float"][-1]) < 3.0
    assert "less the rule of intervals and shapes, F1 of S" in printed
    program = heart_beats.program()
    assert program.channels == beats.TOGETHER and program.recipe.startswith("w4a8x12")


# Scores.


def test_scores_of_confusions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    classes: Any = importlib.import_module("classes")
    truth, said = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 1, 1, 0, 2])
    found = classes.Confusions.of(["a", "a", "b", "b", "c", "c"], truth, said, 3)
    assert found.counts.sum(axis=0).tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 1]]
    whole = found.counts.sum(axis=0)
    assert classes.accuracy(whole) == pytest.approx(4 / 6)
    assert classes.macro_f1(whole) == pytest.approx((1 / 2 + 4 / 5 + 2 / 3) / 3)
    assert classes.with_interval(found, classes.accuracy).startswith("66.7 % (50.0 to 100.0)")
    assert classes.difference(found, found, classes.accuracy) == "no difference"
    right = classes.Confusions.of(["a", "a", "b", "b", "c", "c"], truth, truth, 3)
    assert "+33.3 points (+0.0 to +50.0), which could be chance" in classes.difference(
        right, found, classes.accuracy
    )


# Streams.


def test_pipe_and_socket_are_answered_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_example(monkeypatch, STREAMING, "--quick", "--out", tmp_path) == 0
    printed = capsys.readouterr().out
    assert "0 of 400 answers differ between pipe and socket" in printed
    assert "the state begins anew" in printed and "taken for its end" in printed
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == 401


def test_lines_of_standard_input_are_answered_on_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "seconds,value\n0.05,0.3\n0.10,\n0.15,nan\n0.20,0.5\nabc\n0.20,0.4\n5.0,99\n99.0,0.1\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    assert run_example(monkeypatch, STREAMING, "-", "--quick") == 0
    printed = capsys.readouterr()
    assert [line.split(",")[0] for line in printed.out.splitlines()] == [
        "seconds", "0.0500", "0.2000", "5.0000", "99.0000",
    ]  # fmt: skip
    for remark in (
        "line 3: has no value", "line 4: has no value", "line 6: 'abc' is not `seconds,value`",
        "line 7: the time 0.2 s is not after 0.2 s", "line 8: the value 99 is beyond",
        "line 8: a gap of 4.80 s is beyond", "line 9: 94.00 s after the sample before",
        "4 of 9 lines were answered",
    ):  # fmt: skip
        assert remark in printed.err


@pytest.mark.parametrize(
    "arguments", [("missing.csv",), ("-", "--listen", "0"), ("--listen", "-7")]
)
def test_sources_that_are_none_are_errors(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run_example(monkeypatch, STREAMING, "--quick", *arguments) == 1
    printed = capsys.readouterr()
    assert arguments[0] in printed.out + printed.err


@settings(
    deadline=None, max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(
    lines=st.lists(
        st.one_of(
            st.text(max_size=30),
            st.tuples(st.floats(), st.floats()).map(lambda pair: f"{pair[0]},{pair[1]}"),
        ),
        max_size=20,
    )
)
def test_whatever_a_sensor_says_every_line_is_answered_or_named(
    lines: list[str], streaming: SimpleNamespace, sensor_program: l2l.LoihiProgram
) -> None:
    said: list[str] = []
    remarks = streaming.Remarks(said.append)
    answerer = streaming.Answerer(sensor_program, remarks)
    answers = [answerer.answer(line) for line in lines]
    assert answerer.lines == len(lines)
    unanswered = sum(answer is None for answer in answers)
    left_out = (
        "lines that cannot be read", "lines whose time does not go on", "lines without a sample",
    )  # fmt: skip
    assert sum(remarks.counts.get(kind, 0) for kind in left_out) == unanswered
    assert all(np.isfinite(answer).all() for answer in answers if answer is not None)
    assert f"{len(lines) - unanswered} of {len(lines)} lines" in answerer.summary()


@pytest.fixture(scope="module")
def sensor_program() -> l2l.LoihiProgram:
    x, spans, _ = gappy_sensor.example(16, 80, 1)
    return l2l.quantize(gappy_sensor.load(), x, calibrate_timespans=spans)


@pytest.fixture
def streaming(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    return names_of(monkeypatch, STREAMING)


def test_the_sensor_network_uses_the_time_between_samples() -> None:
    network = gappy_sensor.load()
    x, spans, y = gappy_sensor.example(32, 120, 5)
    told = network.evaluate(x, timespans=spans).outputs
    untold = network.evaluate(x, timespans=np.ones_like(spans)).outputs
    errors = [float(((answer - y)[:, 40:] ** 2).mean()) for answer in (told, untold, x)]
    assert errors == sorted(errors) and errors[0] < 0.7 * errors[1]


def test_a_network_that_begins_to_remember_does() -> None:
    """What is heard in one step is still there some steps later; a backbone is refused."""
    torch = pytest.importorskip("torch")
    from lnn2loihi.models.fast_cfc import FastCfC

    kept = []
    for remembers in (False, True):
        torch.manual_seed(1)
        model = FastCfC(2, 16, backbone_layers=0)
        if remembers:
            model.begin_to_remember(1.0)
        x = torch.zeros(2, 12, 2)
        x[1, 0] = 1.0
        with torch.no_grad():
            states = model(x)[0]
        kept.append(float((states[1] - states[0])[-1].norm()))
    assert kept[1] > 2.0 * kept[0]
    with pytest.raises(l2l.InputError, match="has a backbone"):
        FastCfC(2, 16).begin_to_remember(1.0)


# The other examples.


def test_the_moving_ball_runs_in_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("h5py", reason="needs h5py: pip install h5py")
    quick = ("--quick", "--executors", "reference,c", "--out", tmp_path)
    assert run_example(monkeypatch, CONVOLUTIONS, *quick) == 0
    assert "While the ball is hidden, the one program of integers" in capsys.readouterr().out


def test_devices_stand_beside_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--quick", "--against", "none", "--out", tmp_path)
    assert run_example(monkeypatch, DEVICES, *options) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("The verdict: At 25.0 Hz, Loihi 2")
    assert "Power at 25.0 Hz: the chip" in printed
    assert "No CPU was measured here" in printed and "No GPU was measured here" in printed
    assert "A single copy needs least energy a sample on" in printed
    assert (tmp_path / "devices.html").is_file() and (tmp_path / "devices.profile.json").is_file()


def test_a_whole_module_is_converted_and_loaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("torch", "ncps", "onnxruntime"):
        pytest.importorskip(module)
    assert run_example(monkeypatch, WHOLE, "--quick", "--out", tmp_path) == 0
    printed = capsys.readouterr().out
    assert "The module in float" in printed and "Rules that are fitted" in printed
    assert "its answers of level differ by 0.0e+00 at most" in printed
    assert (tmp_path / "listener.l2m").is_file()
