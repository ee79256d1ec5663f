"""LRCs as modules of PyTorch, checkpoints, and cells in files of Keras.

`lrc_keras.zip` holds what Keras 3 has saved (backend torch) of models around a cell that was
written as the original's, with keras.ops in place of TensorFlow: `lrc_hybrid` has dt = 0.5,
`lrc_asym` two unfolds, `lrc_interp` nothing but units. `answers.npz` has the samples `x`, and what
they answered.
"""

from __future__ import annotations

import dataclasses
import io
import logging
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from test_lrc import ANSWERS, CELL, VARIANTS, arrays_of, network_of, samples

import lnn2loihi as l2l
from lnn2loihi.converters.files.tensor import Tensor
from lnn2loihi.converters.keras_read.importer import KerasImporter
from lnn2loihi.converters.keras_read.layer import KerasLayer
from lnn2loihi.errors import ImportNetworkError, InputError
from lnn2loihi.families.lrc.keras import keras_parts
from lnn2loihi.families.lrc.state import names_of

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch import nn  # noqa: E402

from lnn2loihi import qat  # noqa: E402
from lnn2loihi.models.lrc import LRC, LRCU, STC  # noqa: E402
from lnn2loihi.testing import check_importer  # noqa: E402

SAVED = zipfile.ZipFile(Path(__file__).parent / "lrc_keras.zip")
#: Those that say themselves what they hold.
SAVED_FILES = [
    name for name in sorted(SAVED.namelist()) if not name.endswith((".npz", ".weights.h5"))
]
X = np.random.default_rng(0).normal(size=(2, 10, 3))
TIMES = np.random.default_rng(1).uniform(0.1, 1.0, X.shape[:2])
MODULES = {
    "lrcu": lambda: LRCU(3, 5), "stc": lambda: STC(3, 5),
    "asymmetric": lambda: LRC(3, 5, elastance_type="asymmetric", ode_unfolds=3),
    "hybrid": lambda: LRC(3, 5, ode_solver="hybrid"),
    "tau": lambda: LRC(3, 5, forget_gate=False),
}  # fmt: skip


def module(kind: str) -> Any:
    """A module in double precision, with parameters as training may leave them."""
    torch.manual_seed(3)
    made = MODULES[kind]()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            parameter.mul_(1.0 + 0.3 * torch.randn_like(parameter))
            if name.endswith("_b"):
                parameter.normal_(0.0, 0.3)
    made.constrain()
    return made.double()


def said(made: Any, timespans: np.ndarray | None = None, hx: Any = None) -> tuple[Any, Any]:
    spans = None if timespans is None else torch.tensor(timespans)
    with torch.no_grad():
        outputs, v = made(torch.tensor(X), hx, spans)
    return outputs.numpy(), v.numpy()


def problems_of(source: Any, **options: Any) -> str:
    with pytest.raises(ImportNetworkError) as caught:
        l2l.import_network(source, **options)
    return str(caught.value)


def saved(folder: Path, state: Any, text: str | None) -> Path:
    arrays = {key: np.ascontiguousarray(np.asarray(value)) for key, value in state.items()}
    save_file(arrays, folder / "net.safetensors")
    if text is not None:
        (folder / "net.toml").write_text(f"[network]\n{text}\n")
    return folder / "net.safetensors"


@pytest.mark.parametrize("kind", MODULES)
def test_live_modules(kind: str) -> None:
    """Answers and states, with constant and irregular time, and states that are given."""
    made = module(kind)
    for times in (None, TIMES):
        network = l2l.import_network(made, timespan=None if times is None else "irregular")
        outputs, v = said(made, times)
        found = network.evaluate(X, timespans=times)
        np.testing.assert_allclose(found.outputs, outputs, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.final_state["lrc"], v, rtol=0, atol=1e-12)
        again = network.evaluate(X, found.final_state, timespans=times).outputs
        np.testing.assert_allclose(again, said(made, times, torch.tensor(v))[0], rtol=0, atol=1e-12)
    assert (network.layers[0].unfolds, network.source["importer"]) == (made.ode_unfolds, "lrc")
    assert ("elastance" in network.source) == (kind == "stc")


@pytest.mark.parametrize(("kind", "timed"), [("lrcu", True), ("stc", False)])
def test_all_ways_in(kind: str, timed: bool) -> None:
    check_importer(module(kind), X, timespans=TIMES if timed else None)


def test_training_for_the_chip_learns() -> None:
    torch.manual_seed(0)

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.out = LRCU(3, 6), nn.Linear(6, 1)

        def forward(self, x: Any) -> Any:
            return self.out(self.rnn(x)[0])

    x = torch.tensor(X, dtype=torch.float32)
    target = torch.tanh(x.cumsum(1)[..., :1])
    trained = qat.prepare(Whole(), "w4a8", calibrate=X).train()
    optimizer = torch.optim.Adam(trained.parameters(), lr=0.03)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = (trained(x) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
    answer = trained.eval()(x).detach().numpy()
    program = trained.export()
    expected = l2l.simulate(program, np.float64(np.float32(X))).outputs
    np.testing.assert_array_equal(answer, np.float32(expected))


def test_constraints_bring_back_what_fell_below_zero() -> None:
    made = LRC(3, 5)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.sub_(2.0)
    made.constrain()
    below = {name for name, value in made.named_parameters() if (value < 0).any()}
    kept = {"gleak", "w", "sensory_w", "distr_shift"}
    assert not below & kept and {"vleak", "h", "sensory_h", "elastance_mapping.bias"} <= below


def test_modules_that_cannot_be() -> None:
    with pytest.raises(InputError) as caught:
        LRC(0, 5, elastance_type="interp", forget_gate=False, ode_solver="hybrid", ode_unfolds=0)
    for text in ("input_size is 0", "elastance_type is 'interp'; there are", "unfolds is 0",
                 "the hybrid solver needs a forget gate"):  # fmt: skip
        assert text in str(caught.value)


# ---------------------------------------------------------------- checkpoints


def as_state(variant: str) -> dict[str, np.ndarray]:
    """The variables of the original as a `.npz` of them is read, the Dense as a Linear."""
    state = {name.replace("/", "."): array for name, array in arrays_of(variant).items()}
    state["time_distributed.weight"] = state.pop("time_distributed.kernel").T
    return state


@pytest.mark.parametrize("variant", VARIANTS)
def test_variables_of_the_original(variant: str, tmp_path: Path) -> None:
    elastance, unfolds, solver = VARIANTS[variant]
    path = saved(tmp_path, as_state(variant), None)
    proposal = problems_of(path)
    assert f'elastance_type = "{elastance}"' in proposal and 'module = "LRC"' in proposal
    assert 'prefix = "rnn.lrc__cell."' in proposal
    lines = proposal.split("[network]")[1].split("\n# or, since")[0]
    lines = lines.replace("ode_unfolds = 1", f"ode_unfolds = {unfolds}")
    lines = lines.replace('ode_solver = "explicit"', f'ode_solver = "{solver}"')
    lines = lines.replace("timespan = 1.0 ", 'timespan = "irregular" ')
    assert 'readout = "time_distributed."' in lines
    path.with_suffix(".toml").write_text(f"[network]{lines}")
    x, t = samples()
    network = l2l.import_network(path)
    answers = network.evaluate(x, timespans=t[..., 0]).outputs
    np.testing.assert_allclose(answers, ANSWERS[f"{variant}/out"], rtol=0, atol=1e-6)
    assert network.layers == network_of(variant).layers


LINES = 'module = "LRC"\nprefix = "rnn.lrc__cell."\nreadout = "time_distributed."\n'


def test_interp_is_a_saturated_ltc(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The default of the original is no LRC, which it does not say."""
    path = saved(tmp_path, as_state("interp"), f'{LINES}elastance_type = "interp"')
    with caplog.at_level(logging.WARNING):
        network = l2l.import_network(path)
    assert "it is a saturated LTC (STC), not an LRC" in caplog.text
    assert "saturated LTC (STC), not an LRC" in network.source["elastance"]
    path = saved(tmp_path, as_state("symmetric"), f'{LINES}elastance_type = "interp"')
    assert "elastance_type is 'none' in net.toml, but its arrays are those of 'symmetric'" in (
        problems_of(path)
    )


def test_what_is_refused(tmp_path: Path) -> None:
    cases: list[tuple[str, dict[str, Any], str, str]] = [
        ("noforget", {}, 'ode_solver = "hybrid"', "with which the original fails; say 'explicit'"),
        ("symmetric", {}, "forget_gate = false", "forget_gate is False in net.toml, but its"),
        ("symmetric", {}, "units = 9", "units is 9 in net.toml, but its arrays are those of 4"),
        ("symmetric", {"rnn.lrc__cell.sigma": np.ones((2, 4))}, "", "sigma has shape (2, 4), exp"),
        ("symmetric", {"rnn.lrc__cell.h": np.full((4, 4), np.nan)}, "", "h holds 16 NaN"),
        ("symmetric", {"rnn.lrc__cell.tau": np.ones(4)}, "", "keys that a LRC does not have"),
        ("interp", {"rnn.lrc__cell.distr_shift": np.ones(4)}, "",
         "the key rnn.lrc__cell.elastance_mapping.kernel is missing"),
        ("symmetric", {"rnn.lrc__cell.output_w": None}, "", "the key rnn.lrc__cell.output_w is mi"),
        ("symmetric", {}, "ode_unfolds = 5000", "ode_unfolds is 5000; at most 1024 are possible"),
    ]  # fmt: skip
    for variant, changes, text, expected in cases:
        state = {k: v for k, v in (as_state(variant) | changes).items() if v is not None}
        assert expected in problems_of(saved(tmp_path, state, LINES + text)), expected
    autonomous = {k: v for k, v in as_state("symmetric").items() if "sensory_" not in k}
    refused = problems_of(saved(tmp_path, autonomous, LINES))
    assert "it is an LRC_AR_Cell: an ODE of its own without inputs" in refused
    wrong = problems_of(saved(tmp_path, as_state("symmetric"), 'module = "LRC"'))
    assert "what stands before such keys: 'rnn.lrc__cell.' (prefix in net.toml)" in wrong


@given(data=st.data())
@settings(
    max_examples=25, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
def test_damaged_arrays_are_named(data: st.DataObject, tmp_path: Path) -> None:
    """Arrays of other shapes and values, absent and strange ones: refused by key, or a network."""
    state = as_state(data.draw(st.sampled_from(sorted(VARIANTS))))
    for key in data.draw(st.lists(st.sampled_from(sorted(state)), max_size=3)):
        shape = data.draw(st.sampled_from([(), (1,), (4,), (4, 4), (0, 4), (7, 4), (2, 2, 2)]))
        value = data.draw(st.sampled_from([0.0, -1.0, 1e30, np.nan, np.inf]))
        state[key] = np.full(shape, value)
    for key in data.draw(st.lists(st.sampled_from(sorted(state)), max_size=2)):
        state.pop(key, None)
    path = saved(tmp_path, state, LINES)
    try:
        network = l2l.import_network(path)
    except ImportNetworkError as error:
        assert all(len(problem) < 1000 for problem in error.problems)
    else:
        assert network.units == 4


# ---------------------------------------------------------------- files of Keras


def keras_layer(variant: str, *, named: bool = False, **config: Any) -> KerasLayer:
    """What is read of a file: by positions, as Keras 2.12 and later write, or by names."""
    state = {k[len(CELL) :]: a for k, a in arrays_of(variant).items() if k.startswith(CELL)}
    names = names_of(
        forgets="w" in state, shifted="distr_shift" in state,
        mappings={"input": "affine", "output": "affine"},
    )  # fmt: skip
    paths = {f"cell/vars/{place}": state[name] for place, name in enumerate(names)}
    if "elastance_mapping/kernel" in state:
        for place, name in enumerate(("kernel", "bias")):
            paths[f"cell/elastance_mapping/vars/{place}"] = state[f"elastance_mapping/{name}"]
    if named:
        paths = {f"rnn/lrc__cell/{name}:0": array for name, array in state.items()}
    tensors = {
        path: Tensor("float64", array.shape, "float", lambda array=array: array)
        for path, array in paths.items()
    }
    elastance, unfolds, solver = VARIANTS[variant]
    built = {"units": 4, "elastance_type": elastance, "ode_unfolds": unfolds, "ode_solver": solver,
             "forget_gate": variant != "noforget"}  # fmt: skip
    return KerasLayer("LRC", "lrc_cell", "rnn", {**built, **config}, tensors, "rnn/", named)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_cells_of_keras(variant: str, named: bool) -> None:
    parts, problems = keras_parts(keras_layer(variant, named=named))
    assert parts is not None and not problems
    expected: Any = network_of(variant).layers[0]
    assert parts.layers[0] == dataclasses.replace(expected, name="rnn")
    assert ("elastance" in parts.notes) == (variant == "interp")
    # Configurations may not say what the arrays do.
    bare = keras_layer(variant, named=named, elastance_type=None, forget_gate=None)
    assert (keras_parts(bare)[0] or parts).layers == parts.layers


@pytest.mark.parametrize("file", SAVED_FILES)
def test_what_keras_saved(file: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("h5py", reason="h5py is not installed")
    (tmp_path / file).write_bytes(SAVED.read(file))
    answers = dict(np.load(io.BytesIO(SAVED.read("answers.npz"))))
    network = KerasImporter().load(tmp_path / file)
    kind = file.partition(".")[0].removeprefix("lrc_")
    found = network.evaluate(answers["x"].astype(np.float64)).outputs
    np.testing.assert_allclose(found, answers[kind], rtol=0, atol=1e-6)
    assert network.timespan == (0.5 if kind == "hybrid" else 1.0)
    said = [text for key, text in network.source.items() if key.endswith(", elastance")]
    assert bool(said) == ("saturated LTC (STC), not an LRC" in caplog.text) == (kind == "interp")
    if kind == "hybrid":  # whoever imports it may say another
        assert KerasImporter().load(tmp_path / file, timespan=2.0).timespan == 2.0


@pytest.mark.parametrize("kind", ["asym", "hybrid"])
def test_weights_that_keras_saved(kind: str, tmp_path: Path) -> None:
    """With the description that is proposed, but for what no array says."""
    pytest.importorskip("h5py", reason="h5py is not installed")
    path = tmp_path / f"lrc_{kind}.weights.h5"
    path.write_bytes(SAVED.read(path.name))
    answers = dict(np.load(io.BytesIO(SAVED.read("answers.npz"))))
    with pytest.raises(ImportNetworkError, match="a file of weights does not say") as caught:
        KerasImporter().load(path)
    lines = str(caught.value).partition("[network]")[2]
    assert 'class = "RNN", cell = "LRC_Cell", elastance_type = ' in lines
    if kind == "asym":
        lines = lines.replace("ode_unfolds = 1", "ode_unfolds = 2")
    else:
        lines = lines.replace('"explicit"', '"hybrid"').replace("timespan = 1.0", "timespan = 0.5")
    path.with_suffix(".toml").write_text(f"[network]{lines}")
    found = KerasImporter().load(path).evaluate(answers["x"].astype(np.float64)).outputs
    np.testing.assert_allclose(found, answers[kind], rtol=0, atol=1e-6)


@pytest.mark.parametrize("variant", ["symmetric", "noforget"])
def test_archives_of_variables(variant: str, tmp_path: Path) -> None:
    """`store_weights` of the original, with the description that is proposed, and with ours."""
    before = f"{variant}/w/"
    np.savez(
        tmp_path / "net.npz",
        **{key[len(before) :]: a for key, a in ANSWERS.items() if key.startswith(before)},
    )
    lines = problems_of(tmp_path / "net.npz").partition("[network]")[2]
    assert 'class = "LRC", elastance_type = "symmetric"' in lines
    x, t = samples()
    for text in (lines.partition("timespan")[0], LINES):
        (tmp_path / "net.toml").write_text(f"[network]\n{text}")
        network = l2l.import_network(tmp_path / "net.npz", timespan="irregular")
        answers = network.evaluate(x, timespans=t[..., 0]).outputs
        np.testing.assert_allclose(answers, ANSWERS[f"{variant}/out"], rtol=0, atol=1e-6)


def test_keras_says_how_time_passes() -> None:
    parts, _ = keras_parts(keras_layer("symmetric", dt=0.25))
    assert parts is not None and parts.timespan == 0.25


def test_what_keras_files_cannot_say() -> None:
    layer = keras_layer("symmetric")
    for changes, text in (
        ({"elastance_type": "asymmetric"}, "'asymmetric', but its arrays are those of 'symmetric'"),
        ({"forget_gate": False}, "forget_gate is False, and its arrays say otherwise"),
        ({"ode_solver": "rk4"}, "ode_solver is 'rk4'; there are explicit, hybrid"),
        ({"ode_unfolds": 0}, "ode_unfolds is 0; expected 1 to 1024"),
        ({"dt": -1.0}, "dt is -1.0; expected a number that is not negative"),
        ({"input_mapping": "cubic"}, "input_mapping is 'cubic'; there are affine, linear, none"),
        ({"output_mapping": "linear", "input_mapping": "linear"}, "rnn holds 15 arrays beside"),
    ):
        broken = dataclasses.replace(layer, config={**layer.config, **changes})
        parts, problems = keras_parts(broken)
        assert parts is None and text in " ".join(problems)
    hybrid = keras_layer("noforget", ode_solver="hybrid")
    assert "the hybrid solver needs a forget gate" in " ".join(keras_parts(hybrid)[1])
    silent = dataclasses.replace(layer, config={"dtype": "float32", "name": "rnn"})
    assert "does not say how the cell was built" in " ".join(keras_parts(silent)[1])
    autonomous = {p: a for p, a in keras_layer("symmetric", named=True).arrays.items()
                  if "sensory" not in p}  # fmt: skip
    for arrays, named in ((autonomous, True), (_autonomous(), False)):
        found = keras_parts(dataclasses.replace(layer, arrays=arrays, named=named))
        assert "it is an LRC_AR_Cell" in " ".join(found[1])


def _autonomous() -> dict[str, Tensor]:
    """The arrays of an LRC_AR_Cell by their positions."""
    shapes = [(4,), (4,), (4, 4), (4, 4), (4, 4), (4, 4), (4,), (4,), (4,), (4,), (4,)]
    return {
        f"cell/vars/{place}": Tensor("float64", shape, "float", lambda shape=shape: np.ones(shape))
        for place, shape in enumerate(shapes)
    }


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_cells_are_named(data: st.DataObject) -> None:
    layer = keras_layer(
        data.draw(st.sampled_from(sorted(VARIANTS))), named=data.draw(st.booleans())
    )
    arrays, config = dict(layer.arrays), dict(layer.config)
    values = st.one_of(st.none(), st.integers(-1, 5), st.floats(), st.text(max_size=5),
                       st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=3),
                       st.text(max_size=3), max_size=2), st.booleans())  # fmt: skip
    keys = st.sampled_from([*config, "dt", "input_mapping", "output_mapping"])
    config |= data.draw(st.dictionaries(keys, values, max_size=3))
    for path in data.draw(st.lists(st.sampled_from(sorted(arrays)), max_size=2)):
        shape = data.draw(st.sampled_from([(), (1,), (4,), (4, 4), (0, 4), (7, 4), (2, 2, 2)]))
        arrays[path] = Tensor("float64", shape, "float", lambda shape=shape: np.ones(shape))
    for path in data.draw(st.lists(st.sampled_from(sorted(arrays)), max_size=2)):
        arrays.pop(path, None)
    parts, problems = keras_parts(dataclasses.replace(layer, arrays=arrays, config=config))
    assert (parts is None) == bool(problems)
    assert all("rnn" in problem for problem in problems)
