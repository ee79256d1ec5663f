"""The scripts of the case studies: generated and real patients, what counts, and one tiny round."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lnn2loihi.errors import InputError

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
HEADER = (
    "id,years,status,drug,age,sex,year,ascites,hepatomegaly,spiders,edema,serBilir,serChol,"
    "albumin,alkaline,SGOT,platelets,prothrombin,histologic"
)
#: Two patients: one dies within two years of the second visit, one has a transplant.
VISITS = """
1,2.5,dead,D-penicil,60,female,0,Yes,No,No,No edema,2.0,NA,3.0,1000,100,200,12,4
1,2.5,dead,D-penicil,60,female,0.6,Yes,NA,No,edema no diuretics,4.0,250,2.5,1000,100,NA,12,4
2,1.0,transplanted,placebo,40,male,0,NA,No,No,No edema,1.0,300,3.5,900,90,180,11,2
"""


@pytest.fixture(scope="module")
def patients() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import studies_patients

        return studies_patients


@pytest.fixture(scope="module")
def tasks() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import studies_tasks

        return studies_tasks


@pytest.fixture(scope="module")
def labels(tasks: ModuleType) -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import studies_labels

        return studies_labels


@pytest.fixture(scope="module")
def small(tasks: ModuleType) -> Any:
    """A ward of few patients, whose networks are trained for an epoch."""
    task = tasks.Patients.__new__(type("Small", (tasks.Ward,), {"known": 4}))
    tasks.Patients.__init__(task, tasks.ward(60, 3), (0.5, 0.2), 0)
    task.name, task.parameters, task.epochs, task.ahead = "small", 3200, 1, (1, 2)
    return task


class TestWard:
    def test_the_same_seed_gives_the_same_patients(self, patients: ModuleType) -> None:
        patients.ward.cache_clear()
        first = patients.ward(8, 5)
        patients.ward.cache_clear()
        again, other = patients.ward(8, 5), patients.ward(8, 6)
        np.testing.assert_array_equal(first.values, again.values)
        np.testing.assert_array_equal(first.elapsed, again.elapsed)
        assert not np.array_equal(first.lengths, other.lengths)

    def test_visits_are_irregular_and_laboratory_values_rare(self, patients: ModuleType) -> None:
        records = patients.ward(60, 3)
        visited = np.arange(records.values.shape[1]) < records.lengths[:, None]
        seen = np.isfinite(records.values)
        assert not seen[~visited].any() and seen.any(axis=2)[visited].all()
        missing = 1.0 - seen[visited].mean(axis=0)
        assert np.all(missing[: patients.VITALS] < 0.25) and np.all(
            missing[patients.VITALS :] > 0.6
        )
        gaps = records.elapsed[visited & (np.arange(visited.shape[1]) > 0)]
        assert gaps.min() > 0 and gaps.std() > 0.3
        assert np.all(records.elapsed.sum(axis=1) < patients.HOURS)
        assert 0.05 < records.death[:, 0].mean() < 0.5


class TestTrial:
    def test_what_a_file_says(self, patients: ModuleType, tmp_path: Path) -> None:
        path = tmp_path / "pbc2.csv"
        path.write_text(HEADER + VISITS)
        records = patients.trial(path)
        assert records.names[:2] == ("serBilir", "albumin")
        np.testing.assert_array_equal(records.lengths, [2, 1])
        np.testing.assert_allclose(records.values[0, :, 0], np.log([2.0, 4.0]))
        np.testing.assert_allclose(records.values[0, :, 1], [3.0, 2.5])
        assert np.isnan(records.values[0, 0, 6]) and np.isnan(records.values[0, 1, 4])
        np.testing.assert_allclose(records.elapsed[0], [0.0, 0.6])
        # 2.5 and 1.9 years before the death; and of the other nothing is known after a year.
        np.testing.assert_array_equal(records.death, [[0.0, 1.0], [np.nan, 0.0]])
        np.testing.assert_allclose(records.extras[0, :, 3], [0.0, 0.5])

    @pytest.mark.parametrize(
        "text", [None, "", "a,b\n1,2\n", HEADER + "\n1,x" + ",0" * 17, "id\n1\n", "\x00"]
    )
    def test_other_files_are_refused(
        self, patients: ModuleType, tmp_path: Path, text: str | None
    ) -> None:
        path = tmp_path / "pbc2.csv"
        if text is not None:
            path.write_text(text)
        with pytest.raises(InputError, match="is not pbc2.csv of the package JM"):
            patients.trial(path)


class TestPatients:
    def test_a_change_is_from_the_carried_value_to_the_next(self, small: Any) -> None:
        part, channels = small.test, small.test.y.shape[2] - 1
        carried, seen = part.x[..., :channels], part.x[..., channels : 2 * channels] > 0
        following = (carried + part.y[..., 1:])[:, :-1]
        counts = part.weight[:, :-1, 1:] > 0
        np.testing.assert_array_equal(counts, seen[:, 1:])
        np.testing.assert_allclose(following[counts], carried[:, 1:][counts], atol=1e-5)
        assert not part.weight[:, -1, 1:].any()
        assert np.all(part.weight[..., 0].sum(axis=1) == 1)

    def test_no_patient_is_in_two_parts(self, small: Any) -> None:
        counts = [len(part.x) for part in (small.train, small.validation, small.test)]
        assert counts == [30, 12, 18]

    def test_a_change_of_nothing_is_the_last_value(self, small: Any) -> None:
        zeros = small.figures(np.zeros(small.test.y.shape), small.test)
        trivial = small.figures(small.trivial(small.test), small.test)
        assert zeros["next visit, MSE"] == trivial["next visit, MSE"]
        ahead = small.several_steps(small.trivial)
        assert list(ahead) == [1, 2] and ahead[1] > 0.1

    def test_worse_sensors_change_what_is_heard_and_not_the_truth(self, small: Any) -> None:
        channels = small.test.y.shape[2] - 1
        truth = small.test.x[..., :channels] + small.test.y[..., 1:]
        for name, part in small.disturbed().items():
            assert not np.array_equal(part.x, small.test.x), name
            both = (part.weight[..., 1:] > 0) & (small.test.weight[..., 1:] > 0)
            heard = part.x[..., :channels] + part.y[..., 1:]
            np.testing.assert_allclose(heard[both], truth[both], atol=1e-5)
            np.testing.assert_array_equal(both, small.test.weight[..., 1:] > 0)

    def test_area_under_the_curve(self, tasks: ModuleType) -> None:
        rng = np.random.default_rng(0)
        said, truth = rng.integers(0, 5, 40).astype(float), rng.random(40) < 0.4
        pairs = [
            (a > b) + 0.5 * (a == b) for a in said[truth] for b in said[~truth]
        ]  # fmt: skip
        assert tasks.area_under_curve(said, truth) == pytest.approx(np.mean(pairs))


class TestLabels:
    def test_events_say_the_parity(self, labels: ModuleType) -> None:
        task = labels.EventXor(Path(), 1, (60, 10, 30))
        assert [len(part.x) for part in (task.train, task.validation, task.test)] == [60, 10, 30]
        for part in (task.train, task.test):
            for bits, times, y, weight in zip(
                part.x[..., 0], part.elapsed * 32, part.y[..., 0], part.weight[..., 0], strict=True
            ):
                (last,) = np.flatnonzero(weight)
                ones, before = 0.0, 0.0
                for at in range(last + 1):
                    # What passed was the bit before; a bit that is told twice is the end.
                    changed = at == 0 or bits[at] != before
                    ones += (times[at] - changed) * before + changed * bits[at]
                    before = bits[at]
                assert ones % 2 == y[0] and 2 <= times[: last + 1].sum() <= 31
                assert not times[last + 1 :].any()
        found = task.figures(task.trivial(task.test), task.test)
        assert 30 < found["accuracy [%]"] < 70 and found["NLL"] > 0.6

    def test_digits(self, labels: ModuleType) -> None:
        pytest.importorskip("sklearn", reason="needs scikit-learn")
        task = labels.Digits(Path(), 1)
        assert [len(part.x) for part in (task.train, task.validation, task.test)] == [
            1200,
            200,
            397,
        ]
        assert task.figures(10 * task.test.y, task.test)["accuracy [%]"] == 100.0


class TestRound:
    """One family trained for an epoch, in floats and in integers."""

    @pytest.mark.parametrize("family", ["cfc", "gru"])
    def test_rows_and_tables(
        self, small: Any, family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("ncps", reason="needs torch and ncps: pip install torch ncps")
        monkeypatch.syspath_prepend(str(BENCHMARKS))
        import studies
        from studies_contestants import RATES, Training, parameters_of

        how = Training(family, 0.01, 1)
        row, program = studies.row_of(small, how, (1.0,) * len(RATES), tmp_path)
        before = sorted(path.stat().st_mtime_ns for path in tmp_path.iterdir())
        network, error = how.network(small, tmp_path)
        assert sorted(path.stat().st_mtime_ns for path in tmp_path.iterdir()) == before
        assert network.irregular is program.timed and 0 < error < 5
        assert program.timed is (family == "cfc")
        assert 0.9 * 3200 < parameters_of(small, family) < 1.1 * 3200
        # Integers are near the float network, and nearer to what it answers to what they hear.
        key = "next visit, MSE"
        exact, heard, chip = (row.figures[n][key] for n in ("float", studies.HEARD, "w8a12"))
        assert abs(chip - heard) < 0.01 * exact and abs(chip - exact) < 0.05 * exact
        table = studies.accuracy_table(small, [row, replace(row, seed=2)])
        assert f"{exact:#.4g} ({exact:#.4g} to {exact:#.4g})" in table
        assert "half of the values missing: death, AUC" in studies.further_table(
            [row], "disturbed", "{}"
        )

    def test_an_ltc_that_differs_in_one_thing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        torch = pytest.importorskip("torch", reason="needs torch and ncps: pip install torch ncps")
        pytest.importorskip("ncps", reason="needs torch and ncps: pip install torch ncps")
        monkeypatch.syspath_prepend(str(BENCHMARKS))
        from studies_ltc import Variation

        from lnn2loihi.models.families.modules import parameter_count

        made = Variation(middles=(-0.5, 0.5), gain=3.0, all_units=True).module(1)
        own = made.rnn.rnn_cell._params
        assert (
            own["mu"].min() < 0 < own["mu"].max() <= 0.5
            and float(own["input_w"].detach().max()) == 3.0
        )
        assert 1200 <= parameter_count(made) < 1400
        usual = Variation().module(1)
        assert usual.rnn_cell._params["mu"].min() >= 0.3
        assert usual(torch.zeros(2, 3, 1))[0].shape == made(torch.zeros(2, 3, 1))[0].shape
