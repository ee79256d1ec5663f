"""What TensorFlow, MLX and the original LTC leave behind: read, or refused with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lnn2loihi as l2l
from lnn2loihi.converters.files.checkpoint import read_checkpoint
from lnn2loihi.converters.keras_read.importer import KerasImporter
from lnn2loihi.families.ltc.folder import LTCFolderImporter
from lnn2loihi.families.ltc.original import VARIABLES

INPUTS, UNITS, OUTPUTS = 3, 5, 2
X = np.random.default_rng(1).normal(size=(3, 7, INPUTS))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


# ---------------------------------------------------------------- the original LTC


def original(seed: int = 0) -> dict[str, np.ndarray]:
    """Its arrays, by the names that `export_weights` gives them."""
    rng = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {
        "vleak": rng.normal(0.0, 0.2, UNITS), "gleak": rng.uniform(0.5, 1.0, UNITS),
        "cm": rng.uniform(0.4, 0.6, UNITS), "output_w": rng.normal(size=(UNITS, OUTPUTS)),
        "output_b": rng.normal(size=OUTPUTS), "input_w": rng.normal(size=INPUTS),
        "input_b": rng.normal(size=INPUTS),
    }  # fmt: skip
    for before, rows in (("", UNITS), ("sensory_", INPUTS)):
        shape = (rows, UNITS)
        found[f"{before}w"] = rng.uniform(0.01, 1.0, shape)
        found[f"{before}erev"] = rng.choice([-1.0, 1.0], shape)
        found[f"{before}mu"] = rng.uniform(0.3, 0.8, shape)
        found[f"{before}sigma"] = rng.uniform(3.0, 8.0, shape)
    return found


def answered(a: dict[str, np.ndarray], mapped: bool = True) -> np.ndarray:
    """The equations of ltc_model.py, written again."""
    v, answers = np.zeros((len(X), UNITS)), []
    for x in X.transpose(1, 0, 2):
        heard = x * a["input_w"] + a["input_b"] if mapped else x
        opened = sigmoid(a["sensory_sigma"] * (heard[:, :, None] - a["sensory_mu"]))
        given = a["sensory_w"] * opened
        for _ in range(6):
            own = a["w"] * sigmoid(a["sigma"] * (v[:, :, None] - a["mu"]))
            current = (own * a["erev"]).sum(1) + (given * a["sensory_erev"]).sum(1)
            v = (a["cm"] * v + a["gleak"] * a["vleak"] + current) / (
                a["cm"] + a["gleak"] + own.sum(1) + given.sum(1)
            )
        answers.append(v @ a["output_w"] + a["output_b"])
    return np.stack(answers, 1)


def folder_of(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    path.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.savetxt(path / f"{name}.csv", array)
    return path


def without(arrays: dict[str, np.ndarray], *names: str) -> dict[str, np.ndarray]:
    return {name: array for name, array in arrays.items() if name not in names}


def test_a_folder_of_the_original_ltc(tmp_path: Path) -> None:
    arrays = original()
    network = LTCFolderImporter().load(folder_of(tmp_path / "all", arrays))
    assert np.abs(network.evaluate(X).outputs - answered(arrays)).max() < 1e-12
    assert "semi-implicit, 6 unfolds" in network.source["solver"]
    (tmp_path / "all" / "tau.csv").write_text("1\n")
    assert "tau.csv" in LTCFolderImporter().load(tmp_path / "all").source["passed over"]
    program = l2l.quantize(network, X)
    assert l2l.verify(program, X, "reference,blas").bit_exact


def test_a_folder_is_complete_with_its_map_alone(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "some", without(original(), "input_w", "input_b"))
    assert LTCFolderImporter().recognises(folder)
    with pytest.raises(l2l.ImportNetworkError) as caught:
        LTCFolderImporter().load(folder)
    for part in ("no input_b.csv and no input_w.csv", "without it the network is another one",
                 'input_mapping = "none"'):  # fmt: skip
        assert part in str(caught.value)
    network = LTCFolderImporter().load(folder, input_mapping="none")
    assert np.abs(network.evaluate(X).outputs - answered(original(), mapped=False)).max() < 1e-12
    assert network.source["input mapping"] == "none, as whoever imported it said"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gleak", None, "the file gleak.csv is missing"),
        ("w", "1 2 3\n", "w has shape (1, 3), expected (5, 5)"),
        ("mu", "a b\n", "mu.csv cannot be read as numbers"),
        ("cm", "", "cm.csv cannot be read as numbers (it is empty)"),
        ("sigma", "1 2\n3\n", "sigma.csv cannot be read as numbers"),
        ("vleak", "nan\n" * UNITS, "vleak holds 5 NaN or infinite of 5 values"),
        ("output_b", "1\n", "output_b has shape (1,), expected (2)"),
        ("input_w", None, "it holds no input_w.csv"),
    ],
)
def test_folders_that_are_wrong(name: str, content: str | None, said: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "wrong", original())
    path = folder / f"{name}.csv"
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(l2l.ImportNetworkError) as caught:
        LTCFolderImporter().load(folder)
    assert said in str(caught.value)
    with pytest.raises(l2l.ImportNetworkError, match="takes no elapsed time"):
        LTCFolderImporter().load(folder, timespan=0.5)
    with pytest.raises(l2l.ImportNetworkError, match="input_mapping is 'linear'"):
        wrong: Any = "linear"
        LTCFolderImporter().load(folder, input_mapping=wrong)


@given(name=st.sampled_from(["w", "cm", "output_w", "input_b"]), content=st.binary(max_size=60))
@settings(
    deadline=None, max_examples=40, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
def test_files_of_all_kinds_are_taken_or_refused(tmp_path: Path, name: str, content: bytes) -> None:
    folder = folder_of(tmp_path / "any", original())
    (folder / f"{name}.csv").write_bytes(content)
    with pytest.raises(l2l.ImportNetworkError):
        LTCFolderImporter().load(folder)


def test_a_checkpoint_of_the_original_ltc(tmp_path: Path) -> None:
    """As the three lines make an archive of it: sorted names, and states of the optimizer."""
    arrays = original()
    named = {own: name for name, own in VARIABLES.items()}
    held: dict[str, Any] = {
        f"rnn/ltc/{named.get(name, name)}": array
        for name, array in without(arrays, "input_w", "input_b", "output_w", "output_b").items()
    }
    held |= {f"rnn/ltc/sensory_mapping/{name}": arrays[name] for name in ("input_w", "input_b")}
    held |= {"dense/kernel": arrays["output_w"], "dense/bias": arrays["output_b"]}
    held |= {"rnn/ltc/W/Adam_1": arrays["w"], "beta1_power": 0.9, "global_step": 7}
    path = tmp_path / "net.npz"
    np.savez(path, **dict(sorted(held.items())))
    proposal = l2l.propose_description(path)
    assert 'module = "ltc_model.LTCCell"' in proposal.text
    assert 'readout = "dense."' in proposal.text
    proposal.write()
    network = l2l.import_network(path)
    assert np.abs(network.evaluate(X).outputs - answered(arrays)).max() < 1e-12
    assert network.source["passed over"].startswith("3 of an optimizer or a counter")


# ---------------------------------------------------------------- archives of NumPy


def test_archives_hold_what_they_hold(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    np.savez(path, **{"a/b:0": np.ones((2, 3), np.float32), "graph": b"xyz", "n": np.int64(3)})
    found = read_checkpoint(path)
    assert {key: one.kind for key, one in found.tensors.items()} == {
        "a.b": "float", "n": "integer", "graph": "other",
    }  # fmt: skip
    with pytest.raises(l2l.ImportNetworkError, match="graph holds no numbers"):
        found.tensors["graph"].read()
    np.savez(path, **{"a/b": np.ones(2), "a.b": np.ones(2)})
    with pytest.raises(l2l.ImportNetworkError, match="two of its arrays have the name 'a.b'"):
        read_checkpoint(path)
    with pytest.raises(l2l.ImportNetworkError, match="goes with files of torch.save"):
        read_checkpoint(path, "ema")


def test_archives_that_claim_more_than_they_hold(tmp_path: Path) -> None:
    """No array of it is too large for itself; together they are."""
    path = tmp_path / "net.npz"
    np.savez_compressed(path, **{str(number): np.zeros(1 << 18) for number in range(4)})
    with pytest.raises(l2l.ImportNetworkError, match="the limit for this file is"):
        read_checkpoint(path)
    np.savez(path, a=np.array([{}], dtype=object))
    assert read_checkpoint(path).tensors["a"].kind == "other"  # and nothing is unpickled


# ---------------------------------------------------------------- MLX


def mlx_weights(seed: int = 0, backbone: bool = True) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    columns = INPUTS + UNITS
    found: dict[str, np.ndarray] = {}

    def add(name: str, rows: int) -> None:
        found[f"rnn_cell.{name}.weight"] = rng.normal(0.0, 0.4, (rows, columns))
        found[f"rnn_cell.{name}.bias"] = rng.normal(0.0, 0.4, rows)

    if backbone:
        add("backbone.layers.0", 6)
        columns = 6
    for gate in ("ff1", "ff2", "time_a", "time_b"):
        add(gate, UNITS)
    return found


def test_weights_of_mlx(tmp_path: Path) -> None:
    weights, path = mlx_weights(), tmp_path / "net.npz"
    np.savez(path, **weights)
    proposal = l2l.propose_description(path)
    assert 'module = "ncps_mlx.CfC"' in proposal.text
    proposal.write()
    network = l2l.import_network(path)

    def linear(name: str, z: np.ndarray) -> np.ndarray:
        return z @ weights[f"rnn_cell.{name}.weight"].T + weights[f"rnn_cell.{name}.bias"]

    h, answers = np.zeros((len(X), UNITS)), []
    for x in X.transpose(1, 0, 2):
        z = 1.7159 * np.tanh(0.666 * linear("backbone.layers.0", np.hstack([x, h])))
        g, f1, f2 = (
            sigmoid(linear("time_b", z) - linear("time_a", z)),
            *(linear(head, z) for head in ("ff1", "ff2")),
        )
        h = f1 * (1.0 - g) + g * f2
        answers.append(h)
    assert np.abs(network.evaluate(X).outputs - np.stack(answers, 1)).max() < 1e-12


def test_what_mlx_does_not_save_is_said(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    plain = mlx_weights(backbone=False)
    np.savez(path, **{k.replace("rnn_cell.", "rnn_cell.layer_0."): w for k, w in plain.items()})
    toml = path.with_suffix(".toml")
    toml.write_text(
        '[network]\nmodule = "ncps_mlx.CfC"\ninput_size = 3\nunits = 5\nproj_size = 2\n'
        "mixed_memory = true\n"
    )
    with pytest.raises(l2l.ImportNetworkError) as caught:
        l2l.import_network(path)
    for part in ("whose masks MLX does not save", "_sparsity_mask", "neither trains nor saves",
                 "mixed_memory: ncps_mlx.CfC has none"):  # fmt: skip
        assert part in str(caught.value)


# ---------------------------------------------------------------- refused, with what to do


def test_checkpoints_of_tensorflow_are_refused_with_the_lines(tmp_path: Path) -> None:
    (tmp_path / "ck.index").write_bytes(b"x")
    (tmp_path / "ck.data-00000-of-00001").write_bytes(b"x")
    saved = tmp_path / "saved"
    saved.mkdir()
    (saved / "saved_model.pb").write_bytes(b"x")
    lines = "r = tf.train.load_checkpoint({!r})".format(str(tmp_path / "ck"))
    others = f"m = tf.saved_model.load({str(saved)!r})"
    for source, said in (
        (tmp_path, lines), (tmp_path / "ck", lines), (tmp_path / "ck.index", lines),
        (tmp_path / "ck.data-00000-of-00001", lines), (saved, others),
        (saved / "saved_model.pb", others),
    ):  # fmt: skip
        assert KerasImporter().recognises(source)
        with pytest.raises(l2l.ImportNetworkError) as caught:
            l2l.import_network(source)
        assert said in str(caught.value) and 'np.savez("net.npz"' in str(caught.value)
    with pytest.raises(l2l.ImportNetworkError, match="TensorFlow alone reads"):
        l2l.propose_description(tmp_path / "ck.index")


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("keras.src.models.sequential", 'model.save("net.keras")'),
        ("tf_keras.src.engine", 'model.save_weights("net.weights.h5")'),
        ("mlx.nn.layers.base", 'module.save_weights("net.npz")'),
    ],
)
def test_live_models_are_told_what_to_save(module: str, said: str) -> None:
    base = type("Model", (), {"__module__": module})
    model = type("Mine", (base,), {"__module__": "mine"})()
    assert KerasImporter().recognises(model)
    with pytest.raises(l2l.ImportNetworkError) as caught:
        l2l.import_network(model)
    assert said in str(caught.value)
