"""No verb writes over a file that it reads, whatever the two are called."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Run
from networks import random_samples

import lnn2loihi as l2l
from lnn2loihi.models import damped_sine

#: How one file comes by a second name.
ALIASES: tuple[Callable[[Path, Path], object], ...] = (
    os.link,
    os.symlink,
    lambda source, target: target.symlink_to(os.path.relpath(source, target.parent)),
)
DEVICE = 'extends = "loihi2-oheo-gulch"\n# precious\n'


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Contents of one file of each kind, by name."""
    folder = tmp_path_factory.mktemp("originals")
    x = random_samples(1, 2, 12, 1)
    program = l2l.quantize(damped_sine.load(), calibrate=x)
    l2l.save(program, folder / "net.l2l")
    np.savez(folder / "x.npz", x=x)
    np.savez(folder / "targets.npz", targets=x)
    result = l2l.profile(program, x, devices=("loihi2-oheo-gulch",), against=(), frontier=False)
    result.save(folder / "net.profile.json")
    (folder / "net.toml").write_bytes((damped_sine.FOLDER / "network.toml").read_bytes())
    weights = (damped_sine.FOLDER / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(weights)
    (folder / "chip.toml").write_text(DEVICE)
    (folder / "runs.json").write_text("[]")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def files(tmp_path: Path, originals: dict[str, bytes]) -> Path:
    for name, content in originals.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


#: Each verb, what its output is called, and the inputs that it must leave alone.
VERBS = {
    "quantize net.toml -c x.npz -o": ("out.l2l", ("net.toml", "x.npz", "weights.safetensors")),
    "simulate net.l2l -i x.npz -o": ("out.npz", ("net.l2l", "x.npz")),
    "export net.l2l -o": ("out.onnx", ("net.l2l",)),
    "export net.toml -o": ("out.onnx", ("net.toml", "weights.safetensors")),
    "devices chip.toml -o": ("out.toml", ("chip.toml",)),
    "devices chip.toml --calibrate runs.json -o": ("out.toml", ("chip.toml", "runs.json")),
    "report net.profile.json -p net.l2l --network net.toml -i x.npz -o": (
        "out.html", ("net.profile.json", "net.l2l", "net.toml", "x.npz", "weights.safetensors"),
    ),
    "profile net.l2l -i x.npz --against none -d chip.toml --targets targets.npz -o": (
        "out.profile.json", ("net.l2l", "x.npz", "chip.toml", "targets.npz"),
    ),
    "profile net.l2l -i x.npz --against none --network net.toml --report": (
        "out.html", ("net.l2l", "x.npz", "net.toml"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_an_output_that_is_an_input_is_refused(
    verb: str, run: Run, files: Path, originals: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    if verb.startswith("export"):
        pytest.importorskip("onnx")
    monkeypatch.chdir(files)
    output, inputs = VERBS[verb]
    for number, source in enumerate(inputs):
        alias = Path(output)
        ALIASES[number % len(ALIASES)](Path(source), alias)
        # What only a reader knows of, as the checkpoint of a description, is known later.
        code, out, err = run(*verb.split(), alias, "--force")
        assert (code, out) == (1, ""), verb
        assert output in err and source in err and "writing would destroy it" in err
        assert run(*verb.split(), alias)[0] == 1
        alias.unlink()
    assert {name: (files / name).read_bytes() for name in originals} == originals


def test_the_same_name_is_refused(run: Run, files: Path, originals: dict[str, bytes]) -> None:
    for arguments in (
        ("simulate", files / "net.l2l", "-i", files / "x.npz", "-o", files / "x.npz"),
        ("devices", files / "chip.toml", "-o", files / "chip.toml"),
    ):
        code, _, err = run(*arguments)
        assert code == 1 and "writing would destroy it" in err
    with pytest.raises(l2l.DeviceError, match="its comments"):
        l2l.save_device(l2l.load_device(files / "chip.toml"), files / "chip.toml")
    assert {name: (files / name).read_bytes() for name in originals} == originals


def test_a_float_network_is_not_exported_over_its_onnx_file(run: Run, files: Path) -> None:
    pytest.importorskip("onnx")
    source = files / "float.onnx"
    assert run("export", files / "net.toml", "-o", source)[0] == 0
    before = source.read_bytes()
    code, _, err = run("export", source, "-o", source)
    assert code == 1 and "writing would destroy it" in err
    with pytest.raises(l2l.InputError, match=r"float\.onnx: is the file that the network was read"):
        l2l.export(l2l.import_network(source), source)
    assert source.read_bytes() == before


@pytest.mark.parametrize("verb", VERBS)
def test_a_target_that_cannot_be_replaced_is_refused_before_the_work(
    verb: str, run: Run, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    for name in ("net.l2l", "net.toml", "net.profile.json", "chip.toml", "x.npz"):
        (files / name).write_bytes(b"")  # would be refused if it were looked at
    target = Path(VERBS[verb][0])
    made: dict[str, Callable[[], object]] = {
        "Is a directory": target.mkdir,
        "a pipe": lambda: os.mkfifo(target),
        "read-only": lambda: target.touch(0o400),
    }
    for reason, make in made.items():
        make()
        code, out, err = run(*verb.split(), target)
        assert (code, out) == (1, "") and f"{target}: cannot be written: " in err and reason in err
        target.rmdir() if target.is_dir() else target.unlink()


def test_two_outputs_are_two_files(run: Run, files: Path) -> None:
    (files / "page.html").symlink_to("out.profile.json")
    code, _, err = run(
        "profile", files / "net.l2l", "-i", files / "x.npz", "--against", "none",
        "-o", files / "out.profile.json", "--report", files / "page.html",
    )  # fmt: skip
    assert code == 1 and "page.html: is given for two outputs" in err


def test_a_second_run_may_replace_its_own_output(run: Run, files: Path) -> None:
    for _ in range(2):
        code, _, err = run("simulate", files / "net.l2l", "-i", files / "x.npz", "-o",
                           files / "out.npz")  # fmt: skip
        assert (code, err) == (0, "")


@pytest.mark.parametrize("outside", ["{files}/weights.safetensors", "../weights.safetensors"])
def test_the_checkpoint_of_a_description_lies_beside_it(files: Path, outside: str) -> None:
    text = (files / "net.toml").read_text()
    folder = files / "below"
    folder.mkdir()
    path = folder / "net.toml"
    path.write_text(text.replace("weights.safetensors", outside.format(files=files)))
    with pytest.raises(l2l.ImportNetworkError, match="expected the name of a file beside"):
        l2l.import_network(path)
