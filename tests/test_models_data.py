"""The data protocols and figures of the reference networks, and the CfC that trains some of them.

The data are not part of the repository: without ../shared/data the tests of protocols are skipped.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.errors import InputError, Lnn2LoihiError
from lnn2loihi.models.halfcheetah import data as halfcheetah
from lnn2loihi.models.halfcheetah import train as halfcheetah_train
from lnn2loihi.models.occupancy import data as occupancy
from lnn2loihi.models.occupancy import train as occupancy_train
from lnn2loihi.models.training import FILES
from lnn2loihi.models.walker2d import data as walker2d
from lnn2loihi.models.walker2d import train as walker2d_train
from lnn2loihi.neurons.activations import HARD_KNOT
from lnn2loihi.tables import percent
from lnn2loihi.verification.verb import verify

FOLDER = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def measured(name: str) -> Path:
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"the data are not in the repository: no {path}")
    return path


@pytest.fixture(scope="module")
def torch() -> ModuleType:
    pytest.importorskip("ncps", reason="needs ncps: pip install ncps")
    return pytest.importorskip("torch", reason="needs torch and ncps: pip install torch ncps")


def test_walker2d_has_the_sequences_of_the_paper() -> None:
    walker = walker2d.load(measured("walker2d.npz"))
    parts = (walker.train, walker.validation, walker.test)
    assert [len(part) for part in parts] == [9684, 1272, 1937]
    assert [int(part.timespans.max()) for part in parts] == [5, 5, 6]
    for part in parts:
        assert part.x.shape == part.y.shape == (len(part), 64, 17)
        assert part.timespans.shape == (len(part), 64)
        assert part.x.dtype == part.timespans.dtype == part.y.dtype == np.float32
        assert part.timespans.min() == 1
        # Where the next sample was kept too, it is the target of the one before.
        follows = part.timespans[:, 1:] == 1
        np.testing.assert_array_equal(part.y[:, :-1][follows], part.x[:, 1:][follows])


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({}, "is not walker2d.npz"),
        ({"x": np.zeros((800, 16)), "lengths": np.full(400, 2)}, "x (800, 16)"),
        ({"x": np.zeros((801, 17)), "lengths": np.full(400, 2)}, "make up x"),
    ],
)
def test_files_that_are_not_walker2d(
    tmp_path: Path, arrays: dict[str, np.ndarray], expected: str
) -> None:
    path = tmp_path / "walker2d.npz"
    np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError) as error:
        walker2d.load(path)
    assert expected in str(error.value)


def test_occupancy_has_the_windows_of_the_paper() -> None:
    rooms = occupancy.load(measured("occupancy"))
    assert (len(rooms.x_train), len(rooms.x_validation), len(rooms.x_test)) == (7315, 812, 1549)


def test_halfcheetah_has_the_sequences_of_the_paper() -> None:
    cheetah = halfcheetah.load(measured("halfcheetah.npz"))
    parts = (cheetah.x_train, cheetah.x_validation, cheetah.x_test)
    assert [len(part) for part in parts] == [970, 485, 970]


# ---------------------------------------------------------------- the shipped networks


def shipped(module: ModuleType) -> Path:
    """Folder of a shipped network, by its module `train`."""
    assert module.__file__ is not None
    return Path(module.__file__).parent


def test_halfcheetah_is_as_good_as_its_card_says() -> None:
    cheetah = halfcheetah.load(measured("halfcheetah.npz"))
    folder = shipped(halfcheetah_train)
    found = halfcheetah_train.figures(FamiliesImporter().load(folder / "network.toml"), cheetah)
    card = (folder / "card.md").read_text(encoding="utf-8")
    assert all(f"{value:#.4g}" in card for value in found.values())
    assert found["test MSE"] < 0.1 * found["test MSE, copy the last state"]


def test_occupancy_is_as_good_as_its_card_says() -> None:
    rooms = occupancy.load(measured("occupancy"))
    folder = shipped(occupancy_train)
    found = occupancy_train.figures(FamiliesImporter().load(folder / "network.toml"), rooms)
    card = (folder / "card.md").read_text(encoding="utf-8")
    for part in found.values():
        shares = (part.accuracy, part.balanced_accuracy, part.f1)
        assert " | ".join(percent(share) for share in shares) in card


@pytest.mark.parametrize(
    ("name", "recipe", "bits"),
    [
        ("damped_sine", (), 4),
        ("occupancy", (), 4),
        ("halfcheetah", (), 4),
        ("halfcheetah", ("w8a12-hard",), 8),
        ("walker2d", (), 8),
        ("walker2d", ("w4a8x12",), 4),
        ("walker2d", ("w8a12-hard",), 8),
        ("walker2d", ("memory-w8a12",), 8),
    ],
)
def test_the_programs_that_were_trained_for_the_chip_run(
    name: str, recipe: tuple[str, ...], bits: int
) -> None:
    program = import_module(f"lnn2loihi.models.{name}").program(*recipe)
    x = np.random.default_rng(0).normal(size=(3, 5, program.channels))
    elapsed = np.ones((3, 5)) if program.timed else None
    assert verify(program, x, "reference,c,blas", timespans=elapsed).bit_exact
    trained = [c for c in program.connections if c.accumulators != ("elapsed",)]
    assert {c.mantissa_bits for c in trained} == {bits}


def test_programs_and_weights_that_are_not_shipped() -> None:
    with pytest.raises(InputError, match="recipe: 'w8a12' is not shipped; there are w4a8x12, w8a"):
        import_module("lnn2loihi.models.halfcheetah").program("w8a12")
    module = import_module("lnn2loihi.models.walker2d")
    with pytest.raises(
        InputError, match="form: 'soft' is not shipped; there are tanh, hard, memory"
    ):
        module.load("soft")
    assert module.load("hard").name == "walker2d_hard"


@pytest.mark.parametrize("form", ["tanh", "hard", "memory"])
def test_walker2d_is_as_good_as_its_card_says(torch: ModuleType, form: str) -> None:
    walker = walker2d.load(measured("walker2d.npz"))
    folder = shipped(walker2d_train)
    chosen = walker2d_train.DEFAULTS[form]
    model = walker2d_train.fresh(chosen)
    weights, description = FILES[form]
    walker2d_train.load_weights(model, folder / weights)
    assert (folder / description).read_text() == walker2d_train.description(chosen)
    card = (folder / "card.md").read_text(encoding="utf-8")
    found = walker2d_train.figures(model, walker)
    # Three digits: machines differ in the rounding of float32.
    assert all(f"{value:.3f}" in card for value in found.values())
    assert found["test MSE"] < 0.8


class TestTrainingOfWalker2d:
    """The command line, on rollouts that are made up."""

    def train(self, monkeypatch: pytest.MonkeyPatch, folder: Path, *given: str) -> None:
        rng = np.random.default_rng(0)
        rollouts = {"x": rng.normal(size=(400 * 76, 17)), "lengths": np.full(400, 76)}
        np.savez(folder / "walker2d.npz", **rollouts)  # pyright: ignore[reportArgumentType]
        options = ["--data", str(folder / "walker2d.npz"), "--out", str(folder), *given]
        monkeypatch.setattr(sys, "argv", ["train", *options, "--epochs", "1"])
        walker2d_train.main()

    def test_clipped_lines_begin_with_other_weights(
        self,
        torch: ModuleType,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture,
    ) -> None:
        small = ("--backbone-units", "4")
        self.train(monkeypatch, tmp_path, *small, "--learning-rate", "0.001")
        usual = FamiliesImporter().load(tmp_path / "network.toml")
        start = ("--form", "hard", "--start", str(tmp_path))
        self.train(monkeypatch, tmp_path, *small, *start, "--learning-rate", "1e-9")
        hard = FamiliesImporter().load(tmp_path / "hard.toml")
        assert (usual.name, hard.name) == ("walker2d", "walker2d_hard")
        a, b = (next(iter(net.stages[0].gates.values())).weight for net in (usual, hard))
        assert 0 < np.abs(a - b).max() < 1e-6
        assert "recipes of the form" in (tmp_path / "hard.toml").read_text()
        # The figures are those of clipped lines, not of tanh with the same weights.
        first, second = (
            [line for line in run.splitlines() if line.startswith("test MSE:")]
            for run in capsys.readouterr().out.split("best epoch")[1:]
        )
        assert first != second

    def test_with_a_memory(
        self, torch: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.train(monkeypatch, tmp_path, "--form", "memory", "--backbone-units", "4")
        network = FamiliesImporter().load(tmp_path / "memory.toml")
        assert network.name == "walker2d_memory" and network.irregular
        model = walker2d_train.fresh(replace(walker2d_train.DEFAULTS["memory"], backbone_units=4))
        walker2d_train.load_weights(model, tmp_path / "memory.safetensors")
        walker = walker2d.load(tmp_path / "walker2d.npz").validation
        some = walker2d.Sequences(walker.x[:3], walker.timespans[:3], walker.y[:3])
        found = network.evaluate(some.x, timespans=some.timespans).outputs
        assert np.abs(found - walker2d_train.predict(model, some)).max() < 1e-5

    @pytest.mark.parametrize(
        ("weights", "expected"),
        [
            (None, "there is no such file"),
            (b"no weights", "truncated"),
            ({}, "does not fit this network"),
        ],
    )
    def test_weights_to_begin_with_that_do_not_fit(
        self,
        torch: ModuleType,
        tmp_path: Path,
        weights: bytes | dict | None,
        expected: str,
    ) -> None:
        from safetensors.numpy import save

        path = tmp_path / "weights.safetensors"
        if weights is not None:
            path.write_bytes(weights if isinstance(weights, bytes) else save(weights))
        with pytest.raises(Lnn2LoihiError) as error:
            walker2d_train.load_weights(walker2d_train.fresh(walker2d_train.Settings()), path)
        assert str(path) in str(error.value) and expected in str(error.value)


# ---------------------------------------------------------------- the fast CfC


def clipped(module: Any) -> Any:
    """A module of ncps with clipped lines in place of every tanh and logistic function."""
    from torch import nn

    class Line(nn.Module):
        def __init__(self, scale: float, shift: float) -> None:
            super().__init__()
            self.scale, self.shift = scale, shift

        def forward(self, x: Any) -> Any:
            return self.scale * (self.scale * x / HARD_KNOT).clamp(-1, 1) + self.shift

    for part in list(module.modules()):
        for name, child in part.named_children():
            if isinstance(child, nn.Tanh):
                setattr(part, name, Line(1.0, 0.0))
            elif isinstance(child, nn.Sigmoid):
                setattr(part, name, Line(0.5, 0.5))
    return module


def pair(activation: str, layers: int, proj_size: int | None, form: str) -> tuple:
    """A fast CfC and that of ncps with its weights, in float32."""
    from ncps.torch import CfC

    from lnn2loihi.models.fast_cfc import FastCfC

    sizes = {"activation": activation, "backbone_units": 11, "backbone_layers": layers}
    fast = FastCfC(3, 7, proj_size, form=form, **sizes)
    slow = CfC(3, 7, proj_size=proj_size, **sizes)
    slow.load_state_dict(fast.state_dict())
    return fast, clipped(slow) if form == "hard" else slow


@pytest.mark.parametrize("form", ["tanh", "hard"])
@pytest.mark.parametrize(
    ("activation", "layers", "proj_size"),
    [("lecun_tanh", 1, 2), ("silu", 2, None), ("relu", 1, 2), ("tanh", 3, 2), ("gelu", 0, 2)]
    + [("lecun_tanh", 0, 2), ("lecun_tanh", 3, None)],
)
def test_equals_the_cell_of_ncps_step_by_step(
    torch: ModuleType, activation: str, layers: int, proj_size: int | None, form: str
) -> None:
    torch.manual_seed(layers)
    fast, slow = pair(activation, layers, proj_size, form)
    # Large enough that many lines are clipped, and many are not.
    x, timespans = 2 * torch.randn(5, 20, 3), torch.randint(1, 6, (5, 20)) * 0.7
    start = 0.5 * torch.randn(5, 7)
    leaves = [x, start]
    for leaf in leaves:
        leaf.requires_grad_()
    state, outputs = start, []
    for t in range(20):
        out, state = slow.rnn_cell(x[:, t], state, timespans[:, t : t + 1])
        outputs.append(slow.fc(out))
    expected = torch.stack(outputs, 1)
    found, last = fast(x, start, timespans)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 1e-6 and (last - state).abs().max() < 1e-6
    names = [name for name, _ in fast.named_parameters()] + ["x", "start"]
    gradients = (
        torch.autograd.grad(outputs.square().sum(), [*module.parameters(), *leaves])
        for module, outputs in ((fast, found), (slow, expected))
    )
    for name, a, b in zip(names, *gradients, strict=True):
        assert (a - b).abs().max() < 1e-5 * (1 + b.abs().max()), name
    whole, last = slow(x)
    found, state = fast(x)
    assert (found - whole).abs().max() < 1e-6 and (last - state).abs().max() < 1e-6


@pytest.mark.parametrize(("activation", "layers"), [("lecun_tanh", 1), ("silu", 2)])
def test_with_a_memory_it_equals_ncps_step_by_step(
    torch: ModuleType, activation: str, layers: int
) -> None:
    from ncps.torch import CfC

    from lnn2loihi.models.memory_cfc import MemoryCfC

    sizes = {"activation": activation, "backbone_units": 11, "backbone_layers": layers}
    modules = []
    for kind in (MemoryCfC, CfC):
        torch.manual_seed(layers)
        more: dict[str, Any] = {} if kind is MemoryCfC else {"mixed_memory": True}
        modules.append(kind(3, 7, proj_size=2, **sizes, **more))
    fast, slow = modules
    assert all(torch.equal(a, slow.state_dict()[key]) for key, a in fast.state_dict().items())
    x, timespans = 2 * torch.randn(5, 12, 3), torch.randint(1, 6, (5, 12)) * 0.7
    state = memory = torch.zeros(5, 7)
    outputs = []
    for t in range(12):
        state, memory = slow.lstm(x[:, t], (state, memory))
        out, state = slow.rnn_cell(x[:, t], state, timespans[:, t : t + 1])
        outputs.append(slow.fc(out))
    expected = torch.stack(outputs, 1)
    found, last = fast(x, None, timespans)
    for a, b in ((found, expected), (last[0], state), (last[1], memory), (fast(x)[0], slow(x)[0])):
        assert (a - b).abs().max() < 1e-6
    continued = fast(x[:, 7:], fast(x[:, :7], None, timespans[:, :7])[1], timespans[:, 7:])[0]
    assert (continued - found[:, 7:]).abs().max() < 1e-6
    gradients = [
        torch.autograd.grad(out.square().sum(), list(module.parameters()))
        for module, out in ((fast, found), (slow, expected))
    ]
    for a, b in zip(*gradients, strict=True):
        assert (a - b).abs().max() < 1e-5 * (1 + b.abs().max())
    with pytest.raises(InputError, match="takes a backbone with one of lecun_tanh, tanh, silu"):
        MemoryCfC(3, 7, 2, backbone_layers=0)


def test_has_the_first_weights_of_ncps(torch: ModuleType) -> None:
    from ncps.torch import CfC

    from lnn2loihi.models.fast_cfc import FastCfC

    states = []
    for module in (FastCfC, CfC):
        torch.manual_seed(3)
        states.append(module(17, 64, proj_size=17, backbone_layers=2).state_dict())
    fast, slow = states
    assert list(fast) == list(slow)
    assert all(torch.equal(fast[key], slow[key]) for key in fast)


def test_refuses_what_does_not_fit(torch: ModuleType) -> None:
    from lnn2loihi.models.fast_cfc import FastCfC

    with pytest.raises(InputError) as error:
        FastCfC(3, 7, activation="sinus", form="soft")
    assert "activation 'sinus' is not known; known are lecun_tanh, tanh" in str(error.value)
    assert "form 'soft' is not known; known are tanh, hard" in str(error.value)
    model = FastCfC(3, 7)
    with pytest.raises(InputError, match="expected .batch, time, 3."):
        model(torch.zeros(2, 5, 4))
    with pytest.raises(InputError, match=r"expected \(2, 5\)"):
        model(torch.zeros(2, 5, 3), timespans=torch.ones(2, 5, 1))
    with pytest.raises(InputError, match="have no gradient here"):
        model(torch.zeros(2, 5, 3), timespans=torch.ones(2, 5, requires_grad=True))
