"""Files that Keras has saved, read without Keras and compared with what Keras answered.

`keras_saved.zip` holds files of Keras 3.15 (backends jax and, named `n3_`, torch), and of Keras
2.15 (named `tf_` and `nt_`), with random weights; archives lie in it as folders. `.w.h5` are
weights as Keras 2 saves them without a model, `.ck.npz` what the three lines make of a checkpoint
of TensorFlow, `.st.npz` variables by their names, `lecun` cells of tf_cfc.py (raminmh/CfC).
`answers.npz` has the inputs, and what the models answered: `x`, `k3_x` and the like, and an array
for each model.
"""

from __future__ import annotations

import io
import json
import logging
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lnn2loihi as l2l
from lnn2loihi.converters.files.tensor import Tensor
from lnn2loihi.converters.keras_read.importer import KerasImporter
from lnn2loihi.converters.keras_read.layer import KerasLayer
from lnn2loihi.plugins import IMPORTERS

SAVED = zipfile.ZipFile(Path(__file__).parent / "keras_saved.zip")
ANSWERS = dict(np.load(io.BytesIO(SAVED.read("answers.npz"))))
FILES = sorted({name.partition("/")[0] for name in SAVED.namelist()} - {"answers.npz", "hostile"})
WIRING = 'wiring = { class = "AutoNCP", units = 9, output_size = 2 }'
LECUN = 'class = "RNN", cell = "CfcCell", activation = "silu"'
#: Layers of files of weights, as a description says them.
LAYERS = {
    "lstm": ['class = "LSTM"'], "gru": ['class = "GRU"'],
    **{f"{by}_cfc": ['class = "CfC"'] for by in ("k3", "tf")},
    **{f"{by}_cfc0": ['class = "CfC"'] for by in ("k3", "tf")},
    **{f"{by}_pure": ['class = "CfC", mode = "pure"'] for by in ("k3", "tf")},
    **{f"{by}_mixed": ['class = "CfC"'] for by in ("k3", "tf")},
    **{f"{by}_wired": [f'class = "CfC", {WIRING}'] for by in ("k3", "tf", "nt")},
    **{f"{by}_ltc": [f'class = "LTC", {WIRING}'] for by in ("k3", "tf", "nt")},
    "n3_ltcfull": ['class = "LTC", units = 5, output_mapping = "none"'],
    "nt_lstm": ['class = "LSTM"'], "nt_cfc": ['class = "CfC"'], "nt_mixed": ['class = "CfC"'],
    "nt_ltcmixed": [f'class = "LTC", {WIRING}'],
    "nt_lecun": [f'{LECUN}, mode = "default"'], "nt_lecunmin": [f'{LECUN}, mode = "pure"'],
    "nt_lecunmix": [f'{LECUN.replace("CfcCell", "MixedCfcCell")}, mode = "default"'],
    "nt_lecunng": [f'{LECUN}, mode = "no_gate"'],
    "stack": [
        'class = "TimeDistributed", activation = "relu"', 'class = "GRU"',
        'class = "LSTM", use_bias = false', 'class = "BatchNormalization"', 'class = "Dense"',
        'class = "Activation", activation = "tanh"',
    ],
}  # fmt: skip
REFUSED = {
    "gru_before.keras": "reset_after is False, and can only be True",
    "bidir.keras": "is a Bidirectional: half of its answer",
    "branch.keras": "concatenate hears lstm_5 and gru_3",
    "nt_lecun.keras": "is a cell of tf_cfc.py, and its file does not say how it was built; save "
    'the weights (model.save_weights("net.weights.h5")) and say in their description: mode = '
    '"default"',
}
WEIGHTS = [f for f in FILES if f.partition(".")[2] in ("weights.h5", "w.h5", "ck.npz", "st.npz")]
ANSWERED = [f for f in FILES if f not in (*WEIGHTS, *REFUSED)]
#: Weights whose descriptions are not guessed, or guessed otherwise than they were built.
UNGUESSED = [f for f in WEIGHTS if "lecun" in f or "stack" in f or "bidir" in f]
#: What asks for an elapsed time of its own.
UNTIMED = ("nt_lecunmix",)


@pytest.fixture(autouse=True)
def packages() -> None:
    pytest.importorskip("ncps", reason="ncps is not installed")
    pytest.importorskip("h5py", reason="h5py is not installed")


def model_of(file: str) -> str:
    return file.partition(".")[0]


def put(folder: Path, file: str) -> Path:
    """One of the files."""
    path = folder / file
    if not file.endswith(".keras"):
        path.write_bytes(SAVED.read(file))
        return path
    with zipfile.ZipFile(path, "w") as archive:
        for name in SAVED.namelist():
            if name.startswith(f"{file}/"):
                archive.writestr(name.removeprefix(f"{file}/"), SAVED.read(name))
    return path


def samples(model: str) -> np.ndarray:
    before = model[:3] if model.startswith(("k3_", "tf_", "n3_", "nt_")) else ""
    return ANSWERS[f"{before}x"].astype(np.float64)


def difference(network: l2l.LiquidNetwork, model: str) -> float:
    """The largest from what Keras answered."""
    answers, right = network.evaluate(samples(model)).outputs, ANSWERS[model]
    return float(np.abs((answers if right.ndim == 3 else answers[:, -1]) - right).max())


def described(folder: Path, file: str, layers: list[str]) -> Path:
    path = put(folder, file)
    tables = ",\n".join(f"    {{ {layer} }}" for layer in [*layers, 'class = "Dense"'])
    time = "timespan = 0.0\n" if model_of(file) in UNTIMED else ""
    path.with_suffix(".toml").write_text(
        f'[network]\nmodule = "keras.Sequential"\n{time}layers = [\n{tables}\n]\n'
    )
    return path


def problems_of(path: Path, **options: Any) -> str:
    with pytest.raises(l2l.ImportNetworkError) as caught:
        KerasImporter().load(path, **options)
    return str(caught.value)


@pytest.mark.parametrize("file", ANSWERED)
def test_answers_as_keras(file: str, tmp_path: Path) -> None:
    network = KerasImporter().load(put(tmp_path, file))
    assert difference(network, model_of(file)) < 1e-6
    assert network.source["importer"] == "keras" and network.source["file"] == file


def test_files_of_keras_are_known_by_their_names(tmp_path: Path) -> None:
    path = described(tmp_path, "lstm.weights.h5", LAYERS["lstm"])
    if "keras" not in IMPORTERS.names():
        pytest.skip("lnn2loihi was installed before there was the importer keras")
    toml = path.with_suffix(".toml")
    toml.write_text(f'{toml.read_text()}checkpoint = "{path.name}"\n')
    for source in (path, toml, put(tmp_path, "lstm.keras"), put(tmp_path, "lstm.h5")):
        assert difference(l2l.import_network(source), "lstm") < 1e-6
    path = put(tmp_path, "gru.weights.h5")
    assert l2l.propose_description(path).candidates[0].module == "keras: GRU, Dense"
    with pytest.raises(l2l.ImportNetworkError, match="it says itself which layers it has"):
        l2l.propose_description(put(tmp_path, "gru.keras"))


@pytest.mark.parametrize("file", REFUSED)
def test_what_cannot_be_imported_is_said(file: str, tmp_path: Path) -> None:
    assert REFUSED[file] in problems_of(put(tmp_path, file))


@pytest.mark.parametrize("file", [f for f in WEIGHTS if model_of(f) in LAYERS])
def test_weights_with_a_description(file: str, tmp_path: Path) -> None:
    model = model_of(file)
    path = described(tmp_path, file, LAYERS[model])
    assert KerasImporter().recognises(path)
    assert difference(KerasImporter().load(path), model) < 1e-6
    toml = path.with_suffix(".toml")
    toml.write_text(toml.read_text() + f'checkpoint = "{path.name}"\nname = "mine"\n')
    (tmp_path / "elsewhere").mkdir()
    alone = shutil.copy(path, tmp_path / "elsewhere")
    assert KerasImporter().load(alone, description=toml).name == "mine"
    assert KerasImporter().recognises(toml) and KerasImporter().load(toml).name == "mine"


@pytest.mark.parametrize("file", [f for f in WEIGHTS if f not in UNGUESSED])
def test_proposed_descriptions_work(file: str, tmp_path: Path) -> None:
    model, path = model_of(file), put(tmp_path, file)
    assert KerasImporter().is_undescribed(path)
    proposal = KerasImporter().propose(path)
    assert proposal.candidates[0].problems == () and proposal.text in problems_of(path)
    proposal.write()
    assert not KerasImporter().is_undescribed(path)
    assert difference(KerasImporter().load(path), model) < 1e-6


def test_layers_without_arrays_are_named(tmp_path: Path, caplog: Any) -> None:
    path = put(tmp_path, "stack.weights.h5")
    proposal = KerasImporter().propose(path)
    assert "# The model has layers without arrays, too: activation" in proposal.text
    assert len(proposal.candidates) > 1  # several orders fit
    proposal.write()
    with caplog.at_level(logging.WARNING, "lnn2loihi"):
        network = KerasImporter().load(path)
    assert network.source["layers that the description leaves out"] == "activation"
    assert "leaves out activation" in caplog.text


def test_arrays_that_no_layer_takes_are_refused(tmp_path: Path) -> None:
    path = described(tmp_path, "stack.weights.h5", ['class = "GRU"'])
    assert "no layer of its configuration has the arrays" in problems_of(path)
    path = put(tmp_path, "bidir.weights.h5")
    KerasImporter().propose(path).write()
    assert "has the arrays bidirectional/backward_layer" in problems_of(path)


def test_more_arrays_than_a_layer_has_are_refused() -> None:
    tensor = Tensor("float32", (2,), "float", lambda: np.ones(2))
    layer = KerasLayer("Dense", "keras", "dense", {}, {f"vars/{n}": tensor for n in range(3)})
    assert layer.state(("kernel", "bias")).problems == [
        "dense holds 3 arrays in vars/, where a Dense has kernel, bias"
    ]


def test_wrong_descriptions(tmp_path: Path) -> None:
    path = put(tmp_path, "lstm.weights.h5")
    toml = path.with_suffix(".toml")
    toml.write_text(
        '[network]\nmodule = "LSTM"\nlayers = [3]\ntimespan = "soon"\nmore = 1\nname = ""\n'
    )
    said = problems_of(path)
    for part in ("unknown key 'more'", "module is 'LSTM'", "layers has to be", "timespan is 'soon'",
                 "name is ''"):  # fmt: skip
        assert part in said
    assert "leave layers out" in problems_of(
        put(tmp_path, "lstm.keras"),
        description=described(tmp_path, "lstm.weights.h5", []).with_suffix(".toml"),
    )


def edited(folder: Path, file: str, **changes: Any) -> Path:
    """An archive with other words in the configuration of its second layer."""
    path = put(folder, file)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    config["config"]["layers"][1]["config"] |= changes
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        ("lstm.keras", {"activation": "relu"}, "activation is 'relu', and can only be 'tanh'"),
        ("lstm.keras", {"recurrent_activation": "hard_sigmoid"}, "can only be 'sigmoid'"),
        ("gru.keras", {"go_backwards": True}, "go_backwards is True"),
        ("k3_cfc.keras", {"activation": "selu"}, "the activation of its backbone is 'selu'"),
        ("k3_cfc.keras", {"mode": "odd"}, "mode is 'odd'"),
        ("k3_wired.keras", {"units": {"class_name": "Mine", "config": {}}}, "wiring is a Mine"),
        (
            "k3_wired.keras",
            {"units": {"class_name": "AutoNCP", "config": {"units": 10**9, "output_size": 2}}},
            "above 4096",
        ),
        (
            "k3_wired.keras",
            {"units": {"class_name": "AutoNCP", "config": {"units": 9, "output_size": 3}}},
            "its wiring",
        ),
        ("stack.keras", {"layer": {"class_name": "Conv1D", "config": {}}}, "is a Conv1D"),
        ("stackcell.keras", {"cell": None}, "its configuration is damaged (TypeError"),
        ("stackcell.keras", {"cell": {"class_name": "LSTMCell"}}, "is damaged (KeyError: 'config'"),
        (
            "n3_mixedwired.keras",
            {"cell": {"config": {"forget_gate_bias": "much"}}},
            "forget_gate_bias is 'much', expected a number",
        ),
    ],
)
def test_configurations_that_differ(
    file: str, changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    assert said in problems_of(edited(tmp_path, file, **changes))


# ---------------------------------------------------------------- damaged and hostile files


def test_archives_that_claim_more_than_they_hold(tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", bytes(1 << 26))
    assert "model.weights.h5 in it claims 67108864 bytes" in problems_of(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "[" * 100000)
        archive.writestr("model.weights.h5", SAVED.read("lstm.weights.h5"))
    assert "its configuration is no JSON of a model" in problems_of(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "a")
    assert "holds no model.weights.h5 and no config.json" in problems_of(path)
    path.write_bytes(b"PK\x03\x04" + bytes(30))
    assert "its archive is damaged" in problems_of(path)
    path.write_bytes(b"nothing")
    assert "neither an archive of Keras nor an HDF5 file" in problems_of(path)


CONFIGURED = ["stack.keras", "func.keras", "k3_ltc.keras", "stackcell.keras", "nt_lecun.keras",
              "n3_mixedwired.keras", "n3_ltcmixed.keras", "k3_cfc.keras"]  # fmt: skip
PLAIN = st.one_of(st.none(), st.integers(-2, 9), st.text(max_size=3), st.booleans(), st.just([]))


@given(st.data())
@settings(
    deadline=None, max_examples=60, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
def test_configurations_of_all_kinds_are_taken_or_refused(
    tmp_path: Path, data: st.DataObject
) -> None:
    file = data.draw(st.sampled_from(CONFIGURED))
    path = put(tmp_path, file)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    place: Any = config
    for _ in range(data.draw(st.integers(1, 9))):
        keys = sorted(place) if isinstance(place, dict) else [*range(len(place))]
        key = data.draw(st.sampled_from(keys))
        if not place[key] or not isinstance(place[key], (dict, list)) or data.draw(st.booleans()):
            place[key] = data.draw(PLAIN)
            break
        place = place[key]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (members | {"config.json": json.dumps(config).encode()}).items():
            archive.writestr(name, content)
    try:
        assert KerasImporter().load(path).layers
    except l2l.ImportNetworkError:
        pass
