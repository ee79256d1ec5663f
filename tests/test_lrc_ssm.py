"""LrcSSM: the original's answers, files of equinox, integers over all arguments, what is refused.

`equinox_saved.zip` holds files that equinox 0.11.8 has written of the network of
github.com/MoniFarsang/LrcSSM, transcribed, with random weights: `norm` and `plain` (without norms)
with as many states as features, `other` and `otherplain` with fewer, and `cell`, a cell alone;
`answers.npz` has the inputs `x` and what each answers, and `original.npz` weights, inputs and
answers of the original's own cell.
"""

from __future__ import annotations

import dataclasses
import io
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import variants as v
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_bounds import assert_inside, execute

import lnn2loihi as l2l
from lnn2loihi.converters.equinox_read.file import read_leaves
from lnn2loihi.converters.equinox_read.importer import EquinoxImporter
from lnn2loihi.errors import ImportNetworkError, NetworkError, QuantizationError
from lnn2loihi.families.lrc_ssm.importer import CELL, cell_layer
from lnn2loihi.families.lrc_ssm.lowering import MOST_BEYOND
from lnn2loihi.families.lrc_ssm.neuron import FACTORS, lrc_ssm_program
from lnn2loihi.neurons.activations import ACTIVATIONS
from lnn2loihi.neurons.bounds import IntegerInterval, prove
from lnn2loihi.plugins import IMPORTERS

SUPPRESSED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
SAVED = zipfile.ZipFile(Path(__file__).parent / "equinox_saved.zip")
ANSWERS = dict(np.load(io.BytesIO(SAVED.read("answers.npz"))))
ORIGINAL = dict(np.load(io.BytesIO(SAVED.read("original.npz"))))
#: What the files do not say.
SAID = {"other": 'activation = "tanh"\n'}


def put(folder: Path, name: str, said: str | None = None) -> Path:
    """One of the files, with its description."""
    path = folder / f"{name}.pkl"
    path.write_bytes(SAVED.read(f"{name}.pkl"))
    said = SAID.get(name) if said is None else said
    if said is not None:
        path.with_suffix(".toml").write_text(f'[network]\nmodule = "LrcSSM"\n{said}')
    return path


def leaves(name: str) -> list[Any]:
    content, found = io.BytesIO(SAVED.read(f"{name}.pkl")), []
    while content.tell() < len(content.getvalue()):
        found.append(np.load(content, allow_pickle=False))
    return found


def written(folder: Path, arrays: list[Any], name: str = "net.eqx") -> Path:
    target = io.BytesIO()
    for array in arrays:
        np.save(target, array)
    (folder / name).write_bytes(target.getvalue())
    return folder / name


def refused(path: Path) -> str:
    with pytest.raises(ImportNetworkError) as found:
        l2l.import_network(path)
    return str(found.value)


def original_cell() -> dict[str, Any]:
    return {name: np.float64(ORIGINAL[f"w/weight_{name}"]) for name in CELL}


class TestOriginals:
    def test_the_cell_answers_as_the_original_did(self) -> None:
        network = l2l.LiquidNetwork("n", (cell_layer("cell", original_cell()),))
        found = network.evaluate(ORIGINAL["x"]).outputs
        np.testing.assert_allclose(found, ORIGINAL["out"], rtol=0, atol=1e-6)

    @pytest.mark.parametrize("name", ["norm", "plain", "other", "otherplain", "cell"])
    def test_files_answer_as_the_network_did(self, name: str, tmp_path: Path) -> None:
        network = l2l.import_network(put(tmp_path, name))
        found = network.evaluate(ANSWERS["x"]).outputs
        np.testing.assert_allclose(found, ANSWERS[name], rtol=0, atol=1e-6)
        assert network.source["importer"] == "equinox"
        assert "weight_elastance_shift" in network.source["left out"]
        if name != "cell":
            assert "mean of the outputs over the sequence" in network.source["answer"]

    def test_its_description_may_be_given_in_its_place(self, tmp_path: Path) -> None:
        put(tmp_path, "other", 'checkpoint = "other.pkl"\nactivation = "tanh"\nname = "mine"\n')
        network = l2l.import_network(tmp_path / "other.toml")
        assert network.name == "mine"
        np.testing.assert_allclose(
            network.evaluate(ANSWERS["x"]).outputs, ANSWERS["other"], rtol=0, atol=1e-6
        )

    def test_names_of_the_source_say_what_arrays_do_not(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        name = "best_mlp_encoder2_grupair1_classifier1_scan_False_quasi_True_nonlinearity_tanh_norm"
        path = tmp_path / f"{name}_True_patience9_epoch_1_step_2.pkl"
        path.write_bytes(SAVED.read("other.pkl"))
        found = l2l.import_network(path).evaluate(ANSWERS["x"]).outputs
        np.testing.assert_allclose(found, ANSWERS["other"], rtol=0, atol=1e-6)
        assert not caplog.records

    def test_an_activation_that_nobody_says_is_named(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level("WARNING", "lnn2loihi"):
            network = l2l.import_network(put(tmp_path, "norm"))
        assert "the activation of the maps is taken for relu" in caplog.text
        assert "the source's default" in network.source["activation of the maps"]

    def test_modules_of_pytorch_answer_alike(self) -> None:
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        from lnn2loihi.models.lrc_ssm import LrcSSM, LrcSSMNetwork

        module = LrcSSM(5, 4).double()
        state = {f"weight_{k}": torch.tensor(a) for k, a in original_cell().items()}
        module.load_state_dict({k: a for k, a in state.items() if not k.endswith("shift")})
        with torch.no_grad():
            answered = module(torch.tensor(ORIGINAL["x"]))[0].numpy()
        np.testing.assert_allclose(answered, ORIGINAL["out"], rtol=0, atol=1e-6)
        torch.manual_seed(0)
        whole = LrcSSMNetwork(3, 6, 6, 2, 4).eval()
        x = torch.randn(2, 7, 3)
        converted = l2l.convert(whole, x)
        assert not converted.host_parts  # norms and residual connections are on the chip
        assert torch.allclose(converted.evaluate(x), whole(x), atol=1e-5)

    def test_live_modules_are_written_and_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """By what equinox itself writes of them; a stand-in, since it is not installed here."""

        def write(target: Any, module: Any) -> None:
            target.write(SAVED.read(module.file))

        class Module:
            file = "other.pkl"
            activation = "tanh"

        Module.__module__ = "equinox._module"
        stand_in = types.SimpleNamespace(tree_serialise_leaves=write)
        monkeypatch.setitem(sys.modules, "equinox", stand_in)
        network = l2l.import_network(Module())
        assert network.name == "Module"
        np.testing.assert_allclose(
            network.evaluate(ANSWERS["x"]).outputs, ANSWERS["other"], rtol=0, atol=1e-6
        )
        with pytest.raises(ImportNetworkError, match="a live module says itself what it is"):
            l2l.import_network(Module(), description="net.toml")


class TestRefusedFiles:
    def test_complex_states(self, tmp_path: Path) -> None:
        whole = leaves("norm")
        flagged = [*whole[:-4], np.array(True), *whole[-3:]]
        assert "its states are complex" in refused(written(tmp_path, flagged))
        cells = [*whole[:6], *whole[6:10], *[whole[10]] * 4, *whole[10:]]
        assert "neither trained nor saved" in refused(written(tmp_path, cells))

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda a: [np.array(2), *a[1:]], "nchannel is 2; its source asserts that there"),
            (lambda a: [a[0], np.array(9), *a[2:]], "layer 2 of 9 has"),
            (lambda a: [a[0], np.array(-1), *a[2:]], "nlayer is -1"),
            (lambda a: [*a[:-3], np.array(7), *a[-2:]], "the encoder answers with 6 features, exp"),
            (lambda a: [*a[:-1], np.array(5)], "map 0 has a weight"),
            (lambda a: [*a[:10], *a[11:]], "has 12 arrays from array 6 on; a cell of LrcSSM has"),
            (lambda a: [*a[:34], *a[36:]], "say map_depth and classifier_depth"),
            (lambda a: [*a[:9], a[9][:2], *a[10:]], "array 3 of layer 0 has shape (2, 6)"),
            (lambda a: a[:-1], "its arrays are those of no network that is known"),
            (lambda a: a[:3], "its arrays are those of no network that is known"),
            (lambda a: [*a[:2], a[2] * np.nan, *a[3:]], "holds NaN or infinite values"),
            (lambda a: [*a[:2], np.array(["a"]), *a[3:]], "array 2 (from 0), at byte 272, holds"),
        ],
    )
    def test_arrays_that_are_no_network(self, change: Any, said: str, tmp_path: Path) -> None:
        assert said in refused(written(tmp_path, change(leaves("norm"))))

    def test_a_cell_of_other_sizes(self, tmp_path: Path) -> None:
        arrays = leaves("cell")
        arrays[9] = arrays[9][:2]
        said = refused(written(tmp_path, arrays))
        assert "array 9 (vleak) has shape (2,), expected (4,)" in said

    def test_descriptions(self, tmp_path: Path) -> None:
        assert "activation is 'gelu'; there are relu, tanh" in refused(
            put(tmp_path, "norm", 'activation = "gelu"\n')
        )
        assert "say map_depth and classifier_depth in norm.toml" in refused(
            put(tmp_path, "norm", "map_depth = 3\n")
        )
        assert "unknown key 'depth'" in refused(put(tmp_path, "norm", "depth = 3\n"))
        path = put(tmp_path, "norm")
        path.with_suffix(".toml").write_text('[network]\nmodule = "torch.nn.GRU"\n')
        assert "of which no file of equinox is read; there are LrcSSM" in refused(path)

    def test_hostile_files(self, tmp_path: Path) -> None:
        path = tmp_path / "net.eqx"
        with path.open("wb") as file:
            np.save(file, np.array([None]), allow_pickle=True)
        assert "at byte 0, holds |O; expected numbers of up to 64 bits" in refused(path)
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }"
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
        assert "has shape (1099511627776,) of <f4, and 0 bytes follow" in refused(path)
        path.write_bytes(b"\x93NUMPY\x09\x00")
        assert "has version (9, 0) of NumPy's format" in refused(path)
        path.write_bytes(b"")
        assert "it is empty" in refused(path)
        path.write_bytes(b"\x80\x04K\x01.")
        assert "is damaged, or no array of NumPy's format" in refused(path)
        assert "it is no module of equinox" in str(
            pytest.raises(ImportNetworkError, EquinoxImporter().load, 3).value
        )
        assert "equinox" in IMPORTERS.names()

    @given(place=st.integers(0, 9550), changed=st.binary(min_size=0, max_size=6), cut=st.booleans())
    @settings(deadline=None, suppress_health_check=SUPPRESSED, max_examples=60)
    def test_damaged_files_are_read_or_refused(
        self, place: int, changed: bytes, cut: bool, tmp_path: Path
    ) -> None:
        content = SAVED.read("norm.pkl")
        path = tmp_path / "net.eqx"
        rest = b"" if cut else content[place + len(changed) :]
        path.write_bytes(content[:place] + changed + rest)
        try:
            l2l.import_network(path)
        except ImportNetworkError:
            return
        assert read_leaves(path)


class TestIntegers:
    @given(
        seed=st.integers(0, 1 << 30),
        form=st.sampled_from([*ACTIVATIONS]),
        beyond=st.integers(0, MOST_BEYOND),
    )
    @settings(deadline=None, suppress_health_check=SUPPRESSED, max_examples=30)
    def test_no_word_leaves_its_bounds(self, seed: int, form: str, beyond: int) -> None:
        """With parameters and states at random and at their ends."""
        rng = np.random.default_rng(seed)
        program = lrc_ssm_program((0, 0), 12, form, {name: 8 for name in FACTORS}, beyond)

        def drawn(bits: int) -> Any:
            limit = (1 << (bits - 1)) - 1
            values = rng.integers(-limit, limit, 40, endpoint=True)
            return np.where(rng.random(40) < 0.3, limit * rng.choice([-1, 1], 40), values)

        sums = {gate: drawn(23) for gate in program.accumulators}
        fixed = {f"{gate}.{part}": np.full(40, part == "multiplier") * 1
                 for gate in sums for part in ("bias", "multiplier")}  # fmt: skip
        given_words = {name: drawn(bits) for name, bits in program.parameters if name not in fixed}
        state = {"h": drawn(22)}
        ends = IntegerInterval.of(-(1 << 22), 1 << 22)
        proved = prove(program, dict.fromkeys(sums, ends), {**given_words, **fixed})
        assert not proved.problems
        assert_inside(proved, execute(program, {**sums, **given_words, **fixed, **state}))

    def test_instructions_and_steps(self) -> None:
        """Not more than the prototype's 104, and one step a sample."""
        network = l2l.LiquidNetwork("n", (v.lrc_ssm("lrc", 3, 4),))
        program = l2l.quantize(network, ORIGINAL["x"][..., :3])
        counts = {p.name: p.program.instruction_count for p in program.populations}
        assert counts == {"lrc.sensory": 27, "lrc": 100}
        assert program.schedule.period == 1

    def test_integers_follow_beyond_what_calibration_saw(self) -> None:
        rng = np.random.default_rng(0)
        readout = l2l.Linear("readout", rng.normal(size=(5, 32)), np.zeros(5))
        network = l2l.LiquidNetwork(
            "n", (v.lrc_ssm("one", 17, 32), v.lrc_ssm("two", 32, 32, 3)), readout
        )
        program = l2l.quantize(network, rng.normal(size=(16, 40, 17)))
        x = rng.normal(size=(8, 40, 17))
        heard = program.input.decode(program.input.encode(x)[0])
        wanted, found = network.evaluate(heard).outputs, l2l.simulate(program, x).outputs
        assert np.sqrt(np.mean((found - wanted) ** 2) / np.mean(wanted**2)) < 0.01

    def test_units_of_every_size(self) -> None:
        """Each has its own scale: drives that differ by a thousand are followed alike."""
        cell = original_cell()
        cell["vleak"] = np.array([10.0, 1.0, 0.1, 0.01])
        network = l2l.LiquidNetwork("n", (cell_layer("cell", cell),))
        x = np.random.default_rng(2).normal(size=(16, 40, 5))
        program = l2l.quantize(network, x)
        error = l2l.simulate(program, x).outputs - network.evaluate(x).outputs
        share = np.abs(error).max(axis=(0, 1)) / np.abs(network.evaluate(x).outputs).max((0, 1))
        assert (share < 0.03).all()

    def test_weights_that_no_word_holds_are_named(self) -> None:
        cell = original_cell()
        cell["w"] = cell["w"] * 1e5
        network = l2l.LiquidNetwork("n", (cell_layer("cell", cell),))
        with pytest.raises(QuantizationError, match=r"forget_own of unit \d is .*too large for"):
            l2l.quantize(network, ORIGINAL["x"])
        cell = original_cell()
        cell["elastance_bias"] = cell["elastance_bias"] + 1e6
        network = l2l.LiquidNetwork("n", (cell_layer("cell", cell),))
        with pytest.raises(QuantizationError, match="elastance_offset of unit . is 1e"):
            l2l.quantize(network, ORIGINAL["x"])

    def test_units_that_are_driven_far_beyond_their_states(self) -> None:
        """Slow ones never come near to what drives them; bits of their step are all that it costs,
        until it is too far.
        """
        cell = original_cell()
        cell["elastance_bias"] = np.full(4, -3.5)
        cell["vleak"] = np.full(4, 2.0)
        network = l2l.LiquidNetwork("n", (cell_layer("cell", cell),))
        x = np.random.default_rng(2).normal(size=(16, 4, 5))
        program = l2l.quantize(network, x)
        assert program.population("cell").program.instruction_count == 104
        wanted, found = network.evaluate(x).outputs, l2l.simulate(program, x).outputs
        assert np.abs(wanted).max() < 0.4
        assert np.abs(found - wanted).max() < 0.03 * np.abs(wanted).max()
        cell["elastance_bias"] = np.full(4, -12.0)
        network = l2l.LiquidNetwork("n", (cell_layer("cell", cell),))
        with pytest.raises(QuantizationError, match=r"unit \d is driven to 2, and is never larger"):
            l2l.quantize(network, x)

    def test_formats_stay_while_drives_and_gains_are_trained(self) -> None:
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        from lnn2loihi import qat

        norm = l2l.LayerNormLayer.of("norm", l2l.Linear("l", np.eye(4), np.zeros(4)))
        network = l2l.LiquidNetwork("n", (cell_layer("cell", original_cell()), norm))
        module = qat.prepare(network, calibrate=ORIGINAL["x"])
        before = {p.name: p.scale.tolist() for p in module.eval().export().populations}
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if "vector" in name:
                    parameter.mul_(1.7)
        after = {p.name: p.scale.tolist() for p in module.export().populations}
        assert before == after


def test_arrays_that_do_not_fit() -> None:
    layer = v.lrc_ssm("lrc", 3, 4)
    fields = {one.name: getattr(layer, one.name) for one in dataclasses.fields(layer)}
    fields |= {"drive": np.ones(3), "update_own": np.full(4, np.inf)}
    with pytest.raises(NetworkError) as found:
        l2l.LiquidNetwork("n", (l2l.LrcSSMLayer(**fields),))
    assert "lrc: drive has shape (3,), expected (4,)" in str(found.value)
    assert "lrc: update_own holds NaN or infinite values" in str(found.value)


@pytest.mark.parametrize(("kind", "layers"), [("plain", 3), ("normed", 10)])
def test_shipped_networks(kind: str, layers: int) -> None:
    """They load, answer, and their programs are of one step a sample, with weights of 4 bits."""
    from lnn2loihi.models import lrcssm

    network, program = lrcssm.load(kind), lrcssm.program(kind)
    assert (network.input_size, network.output_size) == (17, 17)
    assert len(network.layers) == layers
    x = np.random.default_rng(0).normal(size=(4, 16, 17))
    wanted, found = network.evaluate(x).outputs, l2l.simulate(program, x).outputs
    assert np.sqrt(np.mean((found - wanted) ** 2) / np.mean(wanted**2)) < 0.4
    assert program.schedule.period == 1 and program.recipe.startswith("w4a8x12")
    with pytest.raises(l2l.InputError, match="there are plain, normed"):
        lrcssm.load("other")


def test_the_command_line_reads_files_of_equinox(run: Any, tmp_path: Path) -> None:
    SAVED.extract("norm.pkl", tmp_path)
    code, out, _ = run("inspect", tmp_path / "norm.pkl")
    assert code == 0 and out.startswith("norm: 3 inputs, 60 units, 4 outputs")


def test_axes_of_less_than_nothing_are_refused(tmp_path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (-3,), }".ljust(117) + b"\n"
    path = tmp_path / "net.eqx"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"12345")
    with pytest.raises(l2l.ImportNetworkError, match="has shape .-3,.; an axis has no fewer than"):
        l2l.import_network(path)
