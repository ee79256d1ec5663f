"""Networks of lava-dl, compared with what netx answered in Lava's simulator.

`lavadl_answers.zip` holds random networks, what was sent to them and what each of their layers sent
in each chip step (lava-dl 0.6.0, lava-nc 0.10.0): `python benchmarks/lava_dl.py --record ...`.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lavadl_nets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lnn2loihi as l2l
from lnn2loihi.converters.lavadl.build import update
from lnn2loihi.converters.lavadl.importer import LavaDlImporter
from lnn2loihi.converters.lavadl.neurons import decayed
from lnn2loihi.converters.lavadl.weights import dense_weights
from lnn2loihi.neurons.tracer import Tracer
from lnn2loihi.plugins import PROGRAM_IMPORTERS

ANSWERS = zipfile.ZipFile(Path(__file__).parent / "lavadl_answers.zip")
NETWORKS = sorted(n.removesuffix(".net") for n in ANSWERS.namelist() if n.endswith(".net"))


@pytest.fixture(autouse=True)
def package() -> None:
    pytest.importorskip("h5py", reason="h5py is not installed")


def load(folder: Path, name: str) -> tuple[l2l.LoihiProgram, dict[str, np.ndarray]]:
    """A recorded network, what was sent to it and what it answered."""
    path = lavadl_nets.written(folder, ANSWERS.read(f"{name}.net"), name)
    return LavaDlImporter().load_program(path), dict(
        np.load(io.BytesIO(ANSWERS.read(f"{name}.npz")))
    )


def given_to(program: l2l.LoihiProgram, x: np.ndarray) -> np.ndarray:
    """Spikes as they are, and inputs of sigma-delta networks in their units."""
    return x[None] / (64.0 if program.populations[0].name == "encoder_0" else 1.0)


def changed(folder: Path, kind: str, change: Callable[[Any], Any]) -> Path:
    """A file of `lavadl_nets` in which something is changed."""
    import h5py

    content = io.BytesIO(lavadl_nets.network(kind, 0)[0])
    with h5py.File(content, "r+") as file:
        change(file)
    return lavadl_nets.written(folder, content.getvalue())


# ---------------------------------------------------------------- netx answers the same


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_sends_what_netx_sent(name: str, tmp_path: Path) -> None:
    program, recorded = load(tmp_path, name)
    x = recorded["x"]
    result = l2l.simulate(program, given_to(program, x), return_states=True)
    assert result.states is not None and not result.saturated.any()
    encoded = program.populations[0].name == "encoder_0"
    for place, population in enumerate(program.populations[encoded:]):
        # Layer n updates on a sample n + 1 steps after netx has got it.
        right = recorded[f"layer_{place}"][place + 1 : place + 1 + len(x)]
        own = result.integers
        if population.name != program.output:
            own = result.states[population.name]["message"]
        assert np.array_equal(own[0], right), population.name


@pytest.mark.parametrize("name", ["cuba_0", "sigma_delta_3"])
@pytest.mark.parametrize("executor", ["reference", "c", "onnxruntime"])
def test_executors_agree(name: str, executor: str, tmp_path: Path) -> None:
    if executor == "onnxruntime":
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    program, recorded = load(tmp_path, name)
    x = given_to(program, recorded["x"][:30])
    default = l2l.simulate(program, x, "blas")
    assert np.array_equal(l2l.simulate(program, x, executor).integers, default.integers)


@pytest.mark.parametrize("name", ["cuba_3", "convolutions_1"])
def test_lava_agrees(name: str, tmp_path: Path) -> None:
    """Our processes in Lava, with the neuron programs."""
    pytest.importorskip("lava", reason="Lava is not installed")
    program, recorded = load(tmp_path, name)
    assert l2l.verify(program, given_to(program, recorded["x"][:8])).bit_exact


@pytest.mark.parametrize("kind", lavadl_nets.KINDS)
def test_programs_are_saved_and_placed_like_others(kind: str, tmp_path: Path) -> None:
    content, _, random = lavadl_nets.network(kind, 3)
    program = LavaDlImporter().load_program(lavadl_nets.written(tmp_path, content), name="mine")
    assert l2l.load(l2l.save(program, tmp_path / "a.l2l")) == program
    assert program.name == "mine" and program.provenance["importer"] == "lavadl"
    assert l2l.place(program, "loihi2-oheo-gulch").cores
    x = given_to(program, lavadl_nets.samples(kind, random, 4, program.channels))
    assert l2l.simulate(program, x).counters.samples == 4


# ---------------------------------------------------------------- parts of it


@given(st.integers(-(1 << 22), (1 << 22) - 1), st.integers(1, 4096))
@settings(deadline=None, max_examples=60, derandomize=True)
def test_decays_are_rounded_towards_zero(word: int, kept: int) -> None:
    t = Tracer("decay")
    state = t.state("w", 23)
    t.spike(t.add(decayed(t, state, kept), t.accumulator("arriving")))
    values = {"w": np.array([word])}
    right = (abs(word) * kept >> 12) * (1 if word >= 0 else -1)
    message, _ = update(t.program(), {}, values, np.zeros(1, np.int64))
    assert message.tolist() == [right]


def test_weights_are_those_of_netx() -> None:
    """What netx and Lava do with weights before they multiply, by their own functions."""
    cases = {
        (3, -5, 254): (3, -5, 254), (300, -2): (254, -2), (-300, 2): (-256, 2),
        (2, 4, 0): (2, 4, 0), (255, 1): (255, 1), (-3, -255): (-3, -255), (0, 0): (0, 0),
        # Of weights that are nowhere positive the lowest is cut to 255, and then to its bits.
        (0, -128): (0, -64),
    }  # fmt: skip
    for weights, right in cases.items():
        assert tuple(dense_weights(np.array(weights)).tolist()) == right, weights
    for weights in ((300, 1), (-300, -1)):
        with pytest.raises(ValueError, match="do not fit the eight bits"):
            dense_weights(np.array(weights))


def test_layers_update_while_the_pipeline_fills(tmp_path: Path) -> None:
    """A bias works from the first step on, and does not wait for the first sample."""
    program, _ = load(tmp_path, next(n for n in NETWORKS if n.startswith("convolutions")))
    assert not program.populations[0].initial_state["heard"].any()
    assert program.populations[2].initial_state["heard"].any()


def test_what_saturates_while_the_pipeline_fills_is_said(tmp_path: Path) -> None:
    """No limit of messages that a proof needs holds there; what a word cannot hold is a warning."""

    def change(file: Any) -> None:
        file["layer/1/weight"][...] = 254.0
        put("layer/1/bias", np.full(file["layer/1/shape"][0], 500.0))(file)
        file["layer/2/weight"][...] = 254.0

    program = LavaDlImporter().load_program(changed(tmp_path, "sigma_delta", change))
    assert "dense_2" in program.warnings[0]
    assert "words saturate while the pipeline fills" in program.warnings[0]


def test_kernels_are_shared(tmp_path: Path) -> None:
    """Convolutions are held as what the file has, and cost what their synapses cost."""
    content, _, _ = lavadl_nets.network("spiking_convolutions", 2)
    path = lavadl_nets.written(tmp_path, content)
    program = LavaDlImporter().load_program(path)
    shared = [c for c in program.connections if isinstance(c, l2l.Convolution)]
    assert [c.target for c in shared] == ["conv_0", "conv_1"]
    assert l2l.verify(program, np.ones((1, 4, program.channels)), executors=("reference", "c"))


def heavy(file: Any) -> None:
    """A wide layer that is heard through large weights."""
    file["layer/1/weight"][...] = 254.0


@pytest.mark.parametrize("kind", ["sigma_delta", "convolutions"])
def test_accumulators_let_sources_send_more(kind: str, tmp_path: Path) -> None:
    path = changed(tmp_path, kind, heavy)
    limits = []
    for count in (1, 2, 6):
        program = LavaDlImporter().load_program(path, accumulators=count)
        found = len(program.populations[1].program.accumulators)
        assert found == count if count < 3 else 2 < found <= count
        limits.append(program.populations[0].message_high)
        assert program.synapses == LavaDlImporter().load_program(path).synapses
        x = np.random.default_rng(0).integers(-99, 100, (1, 9, program.channels)) / 64
        assert l2l.verify(program, x, executors=("reference", "c", "blas")).bit_exact
    assert limits[0] < limits[1] < limits[2]
    for count in (0, 7):
        with pytest.raises(l2l.ImportNetworkError, match="can be 1 to 6"):
            LavaDlImporter().load_program(path, accumulators=count)


def test_files_without_an_input_layer_are_told_what_they_hear(tmp_path: Path) -> None:
    content, shape, _ = lavadl_nets.network("spiking_convolutions", 4)
    whole = lavadl_nets.written(tmp_path, content)

    def headless(file: Any) -> None:
        del file["layer/0"]
        for number in range(1, len(file["layer"]) + 1):
            file.move(f"layer/{number}", f"layer/{number - 1}")

    import h5py

    target = io.BytesIO(content)
    with h5py.File(target, "r+") as file:
        headless(file)
    path = lavadl_nets.written(tmp_path, target.getvalue(), "headless")
    load_program = LavaDlImporter().load_program
    right = load_program(whole)
    for written in (shape, ",".join(map(str, shape))):
        found = load_program(path, input_shape=written)
        assert [c.mantissas.tolist() for c in found.connections] == [
            c.mantissas.tolist() for c in right.connections
        ]
    assert load_program(whole, input_shape=shape) == right
    with pytest.raises(l2l.ImportNetworkError, match=r"give input_shape=\(channels, height"):
        load_program(path)
    with pytest.raises(l2l.ImportNetworkError, match="its shape is .*, and input_shape"):
        load_program(whole, input_shape=(shape[0], 99, 99))
    for wrong in ((), (3, 4), (0, 1, 1), "a,b,c", (1 << 20, 2, 2)):
        with pytest.raises(l2l.ImportNetworkError, match="can be channels, height and width"):
            load_program(path, input_shape=wrong)


def test_cuba_weights_that_have_no_room_are_refused(tmp_path: Path) -> None:
    def wide(file: Any) -> None:
        units = len(file["layer/0/weight"])
        put("layer/0/weight", np.full((units, 600), 254.0, np.float32))(file)

    with pytest.raises(l2l.ImportNetworkError, match="add up to 152400, at most 131071 do"):
        LavaDlImporter().load_program(changed(tmp_path, "cuba", wide))


# ---------------------------------------------------------------- what saturates is counted


def test_what_saturates_is_counted(tmp_path: Path) -> None:
    def strong(file: Any) -> None:
        layer = file["layer/0"]
        layer["weight"][...] = 254.0
        layer["neuron/iDecay"][...], layer["neuron/vDecay"][...] = 1, 1

    program = LavaDlImporter().load_program(changed(tmp_path, "cuba", strong))
    found = l2l.simulate(program, np.ones((1, 600, program.channels))).saturated_words
    assert found is not None and int(np.sum(found["dense_0"]["u"])) > 0

    def sudden(file: Any) -> None:
        file["layer/1/weight"][...] = 254.0

    program = LavaDlImporter().load_program(changed(tmp_path, "sigma_delta", sudden))
    x = np.zeros((1, 4, program.channels))
    x[:, 2:] = 3.0
    found = l2l.simulate(program, x).saturated_words
    assert found is not None and int(np.sum(found["encoder_0"]["message"])) > 0


def test_inputs_beyond_their_range_are_counted(tmp_path: Path) -> None:
    program, _ = load(tmp_path, "sigma_delta_0")
    assert l2l.simulate(program, np.full((1, 2, program.channels), 9.0)).saturated.all()


# ---------------------------------------------------------------- what is refused


def put(place: str, value: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        if place in file:
            del file[place]
        file[place] = value

    return change


def gone(place: str) -> Callable[[Any], None]:
    return lambda file: file.pop(place)


def early(file: Any) -> None:
    put("layer/1/neuron/sigma_output", True)(file)
    file["layer/1"].pop("bias", None)


REFUSED: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "pool": ("cuba", put("layer/0/type", "pool"), "layer/0: it is of the type 'pool': netx has no"),
    "recurrent": ("cuba", put("layer/0/type", "dense_rec"), "its neurons hear each other"),
    "complex": ("cuba", put("layer/0/type", "dense_comp"), "its weights are complex"),
    "unknown": ("cuba", put("layer/0/type", "mine"), "only input, dense, conv and flatten"),
    "resonate": ("cuba", put("layer/0/neuron/type", "RF"), "its neurons are 'RF'; CUBA, LOIHI"),
    "delays": ("cuba", put("layer/0/delay", 3), "it has delays"),
    "graded": ("cuba", put("layer/0/neuron/messageBits", 8), "its spikes are graded"),
    "mixed": ("cuba", put("layer/0/neuron/type", "SDNN"), "some of its layers are CUBA and some"),
    "decay": ("cuba", put("layer/0/neuron/iDecay", 4097), "iDecay is 4097, and can be 0 to 4096"),
    "threshold": ("cuba", put("layer/0/neuron/vThMant", 1 << 17), "can be 0 to 131071"),
    "no threshold": ("cuba", gone("layer/0/neuron/vThMant"), "vThMant is missing, or no numbers"),
    "no weight": ("cuba", gone("layer/0/weight"), "layer/0/weight is missing"),
    "no layer": ("cuba", gone("layer/0"), "no layers 0 to n below `layer`"),
    "nothing": ("cuba", gone("layer"), "no layers 0 to n below `layer`"),
    "shape": ("cuba", put("layer/0/shape", np.array([0])), r"its shape is \(0,\)"),
    "huge": ("cuba", put("layer/0/shape", np.array([1 << 22])), "1 to 1048576 neurons"),
    "weights": ("cuba", put("layer/0/weight", np.ones((2, 3))), "its weights have the shape"),
    "not finite": ("cuba", put("layer/0/weight", np.full((2, 3), np.nan)), "or that are none"),
    "bias": ("cuba", put("layer/0/bias", np.full(2, 5000.0)), "its bias is outside -4096..4095"),
    "biases": ("cuba", put("layer/0/bias", np.zeros(999)), "999 biases for"),
    "no input": ("sigma_delta", gone("layer/0/neuron"), "no input layer makes them"),
    "activation": ("sigma_delta", put("layer/0/neuron/activation", "tanh"), "netx has relu alone"),
    "early sums": ("sigma_delta", early, "sends sums, and is not the last"),
    "kernel": ("convolutions", put("layer/1/stride", np.array([9, 9])), "its kernel gives"),
    "groups": ("convolutions", put("layer/1/groups", 7), "in 7 groups"),
    "no flatten": ("convolutions", put("layer/3/type", "dense"), "layer/3/neuron/type is missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_imported_is_named(name: str, tmp_path: Path) -> None:
    kind, change, said = REFUSED[name]
    with pytest.raises(l2l.ImportNetworkError, match=said):
        LavaDlImporter().load_program(changed(tmp_path, kind, change))


def test_a_decoder_with_a_bias_is_refused(tmp_path: Path) -> None:
    def change(file: Any) -> None:
        last = file[f"layer/{len(file['layer']) - 1}"]
        last["bias"] = np.zeros(last["shape"][0])
        if "sigma_output" not in last["neuron"]:
            last["neuron/sigma_output"] = True

    with pytest.raises(l2l.ImportNetworkError, match="sigma_output. and has a bias"):
        LavaDlImporter().load_program(changed(tmp_path, "sigma_delta", change))


def test_delays_of_zero_are_none(tmp_path: Path) -> None:
    plain = LavaDlImporter().load_program(changed(tmp_path, "cuba", lambda file: None))
    zeros = LavaDlImporter().load_program(changed(tmp_path, "cuba", put("layer/0/delay", 0)))
    assert plain == zeros


def test_what_netx_does_not_do_is_said(tmp_path: Path) -> None:
    path = changed(tmp_path, "cuba", put("layer/0/neuron/refDelay", 3))
    assert LavaDlImporter().load_program(path).warnings == (
        "layer/0/neuron: refDelay is above 1; netx has no refractory time",
    )


# ---------------------------------------------------------------- verbs


def test_the_verbs_know_each_other(tmp_path: Path) -> None:
    if "lavadl" not in PROGRAM_IMPORTERS.names():
        pytest.skip("lnn2loihi was installed before there was the importer lavadl")
    path = lavadl_nets.written(tmp_path, ANSWERS.read("cuba_1.net"))
    assert l2l.import_program(path, name="a") == l2l.import_program(path, format="lavadl", name="a")
    with pytest.raises(l2l.ImportNetworkError, match="give it to import_program"):
        l2l.import_network(path)
    other = tmp_path / "net.toml"
    other.write_text("")
    with pytest.raises(l2l.ImportNetworkError, match="no importer of programs recognises it"):
        l2l.import_program(other)
    with pytest.raises(l2l.ImportNetworkError, match="there is no such file"):
        l2l.import_program(tmp_path / "absent.net")
    with pytest.raises(l2l.ImportNetworkError, match="odd"):
        l2l.import_program(path, odd=1)
    with pytest.raises(l2l.ImportNetworkError, match="no such program importer"):
        l2l.import_program(path, format="none")


def test_the_command_line(tmp_path: Path) -> None:
    if "lavadl" not in PROGRAM_IMPORTERS.names():
        pytest.skip("lnn2loihi was installed before there was the importer lavadl")
    from typer.testing import CliRunner

    from lnn2loihi.cli import app

    path = lavadl_nets.written(tmp_path, ANSWERS.read("cuba_1.net"))
    target = tmp_path / "net.l2l"
    arguments = ["import", str(path), "-o", str(target), "--option", "name=mine"]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 0 and "written:" in answer.output
    assert l2l.load(target).name == "mine"
