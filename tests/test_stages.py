"""Descriptions of whole modules, stage by stage: bit for bit the network of the live module."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import lnn2loihi as l2l
from lnn2loihi.cli import app

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("ncps", reason="ncps is not installed")

from ncps.torch import LTC, CfC  # noqa: E402  needs PyTorch
from ncps.wirings import AutoNCP  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from torch import nn  # noqa: E402

from lnn2loihi.converters.normalise import Normalise  # noqa: E402
from lnn2loihi.models.minimal_rnn import MinGRU  # noqa: E402

SUPPRESSED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
FUNCTIONS = {
    "identity": lambda x: x, "tanh": torch.tanh, "relu": torch.relu, "silu": nn.functional.silu,
    "leaky_relu(0.01)": nn.functional.leaky_relu, "sigmoid": torch.sigmoid,
    "softmax": lambda x: torch.softmax(x, -1),
}  # fmt: skip


@dataclass
class Part:
    """A part of a module: what its stage says, and what forward does with it."""

    table: dict[str, Any]
    module: Any = None
    buffers: dict[str, Any] | None = None
    function: str = "identity"


class Whole(nn.Module):
    """Parts that follow each other, in the order in which they are registered."""

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__()
        self.parts = parts
        for part in parts:
            for name, values in (part.buffers or {}).items():
                self.register_buffer(name, values)
        for part in parts:
            if part.module is not None:
                self.add_module(part.table["prefix"].removesuffix("."), part.module)

    def forward(self, x: Any) -> Any:
        for part in self.parts:
            if isinstance(part.module, nn.BatchNorm1d):
                x = part.module(x.transpose(1, 2)).transpose(1, 2)
            elif part.module is not None:
                x = part.module(x)
                x = x[0] if isinstance(x, tuple) else x
            elif part.table["module"] == "normalise":
                held = getattr(self, part.table.get("std") or part.table["variance"])
                epsilon = part.table.get("epsilon", 0.0)
                squared = "variance" in part.table
                divisor = torch.sqrt(held + epsilon) if squared else held + epsilon
                x = (x - getattr(self, part.table["mean"])) / divisor
            elif part.table["module"] == "scale":
                factor, offset = (
                    getattr(self, given) if isinstance(given, str) else torch.tensor(given)
                    for given in (part.table["factor"], part.table["offset"])
                )
                x = x * factor + offset
            x = FUNCTIONS[part.function](x)
        return x


def described(parts: Sequence[Part], **network: Any) -> str:
    """The description of parts."""
    lines = ["[network]", *(f"{key} = {toml(value)}" for key, value in network.items())]
    for part in parts:
        lines += ["[[network.stage]]", *(f"{k} = {toml(v)}" for k, v in part.table.items())]
    return "\n".join(lines)


def toml(value: Any) -> str:
    return json.dumps(value)  # of text, numbers, flags and lists of these it is TOML too


def linear(place: str, inputs: int, outputs: int, function: str, bias: bool = True) -> Part:
    table = {"module": "torch.nn.Linear", "prefix": place, "activation": function}
    return Part(table, nn.Linear(inputs, outputs, bias=bias), function=function)


def vectors(*names: str, width: int) -> dict[str, Any]:
    return {name: torch.rand(width) + 0.5 for name in names}


def layer(kind: str, place: str, inputs: int) -> tuple[Part, int]:
    """A recurrent layer, and how many channels it answers with."""
    sized = {"input_size": inputs}
    known: dict[str, tuple[dict[str, Any], Any, int]] = {
        "GRU": ({"module": "torch.nn.GRU"}, nn.GRU(inputs, 5, 2, batch_first=True), 5),
        "LSTM": ({"module": "torch.nn.LSTM", "hidden_size": 4},
                 nn.LSTM(inputs, 4, proj_size=3, batch_first=True), 3),
        "wired CfC": ({"module": "ncps.torch.CfC", **sized, "units": 12},
                      CfC(inputs, AutoNCP(12, 3)), 3),
        "CfC": ({"module": "ncps.torch.CfC", **sized, "units": 4, "mode": "no_gate",
                 "activation": "tanh"},
                CfC(inputs, 4, mode="no_gate", activation="tanh", backbone_units=8), 4),
        "CfC, memory": ({"module": "ncps.torch.CfC", **sized, "units": 4, "mixed_memory": True},
                        CfC(inputs, 4, mixed_memory=True, proj_size=2), 2),
        "LTC": ({"module": "ncps.torch.LTC", **sized, "units": 9, "ode_unfolds": 1},
                LTC(inputs, AutoNCP(9, 2), ode_unfolds=1), 2),
        "minGRU": ({"module": "lnn2loihi.models.minimal_rnn.MinGRU", "form": "log"},
                   MinGRU(inputs, 4), 4),
    }  # fmt: skip
    table, module, outputs = known[kind]
    return Part({**table, "prefix": place}, module), outputs


KINDS = ("GRU", "LSTM", "wired CfC", "CfC", "CfC, memory", "LTC")


BEFORE = ("", "std", "module", "batch norm")


@st.composite
def wholes(
    draw: st.DrawFn,
    kinds: Sequence[str] = KINDS,
    befores: Sequence[str] = (*BEFORE, "number"),
    between: bool = True,
    epsilon: float = 1e-3,
) -> list[Part]:
    """Modules with what stands before, between and after one or two recurrent layers."""
    torch.manual_seed(draw(st.integers(0, 99)))
    width = draw(st.integers(1, 4))
    before = draw(st.sampled_from(befores))
    parts: list[Part] = []
    if before == "std":
        table = {"module": "normalise", "mean": "mean", "std": "std", "epsilon": epsilon}
        parts.append(Part(table, buffers=vectors("mean", "std", width=width)))
    elif before == "module":
        table = {"module": "normalise", "prefix": "norm.", "mean": "mean", "std": "std"}
        parts.append(Part(table, Normalise(torch.randn(width), torch.rand(width) + 0.5)))
    elif before == "batch norm":
        parts.append(Part({"module": "torch.nn.BatchNorm1d", "prefix": "norm."}, batch_norm(width)))
    elif before == "number":
        parts.append(Part({"module": "scale", "factor": -0.5, "offset": 0.25}))
    for number in range(draw(st.integers(0, 2))):
        outputs, function = draw(st.integers(1, 4)), draw(st.sampled_from(list(FUNCTIONS)[:6]))
        parts.append(linear(f"encoder_{number}.", width, outputs, function, draw(st.booleans())))
        width = outputs
    for number in range(draw(st.integers(1, 2))):
        part, width = layer(draw(st.sampled_from(kinds)), f"rnn_{number}.", width)
        parts.append(part)
        if between and draw(st.booleans()):
            parts.append(Part({"module": "activation", "activation": "relu"}, function="relu"))
    if draw(st.booleans()):
        function = draw(st.sampled_from(list(FUNCTIONS)))
        parts.append(linear("head.", width, 3, function))
        if between and function in ("identity", "tanh") and draw(st.booleans()):
            table = {"module": "scale", "factor": "y_std", "offset": "y_mean"}
            parts.append(Part(table, buffers=vectors("y_std", "y_mean", width=3)))
    return parts


def batch_norm(width: int) -> Any:
    """One with statistics."""
    made = nn.BatchNorm1d(width)
    made.load_state_dict(
        {
            **vectors("running_mean", "running_var", "bias", width=width),
            "weight": torch.randn(width),
            "num_batches_tracked": torch.tensor(3),
        }
    )
    return made


def without_source(network: l2l.LiquidNetwork) -> l2l.LiquidNetwork:
    return replace(network, name="net", source={})


def saved(folder: Path, module: Any, suffix: str = ".pt") -> Path:
    path = folder / f"net{suffix}"
    if suffix == ".pt":
        torch.save(module.state_dict(), path)
    else:
        save_file({key: t.contiguous() for key, t in module.state_dict().items()}, path)
    return path


@settings(deadline=None, max_examples=12, suppress_health_check=SUPPRESSED)
@given(parts=wholes(), suffix=st.sampled_from((".pt", ".safetensors")))
def test_the_network_is_that_of_the_live_module(
    parts: list[Part], suffix: str, tmp_path: Path
) -> None:
    module = Whole(parts).eval()
    path = saved(tmp_path, module, suffix)
    (tmp_path / "net.toml").write_text(described(parts, checkpoint=path.name))
    live = l2l.import_network(module)
    for found in (l2l.import_network(path), l2l.import_network(tmp_path / "net.toml")):
        assert without_source(found) == without_source(live)
        assert found.source["sha256"] == live.source["sha256"]


@settings(deadline=None, max_examples=12, suppress_health_check=SUPPRESSED)
@given(parts=wholes(("GRU", "wired CfC", "CfC, memory"), BEFORE, between=False, epsilon=0.0))
def test_what_is_proposed_is_the_module_where_each_function_is_filled_in(
    parts: list[Part], tmp_path: Path
) -> None:
    module = Whole(parts).eval()
    path = saved(tmp_path, module)
    (tmp_path / "net.toml").unlink(missing_ok=True)
    proposal = l2l.propose_description(path)
    if "[[network.stage]]" not in proposal.text:
        assert proposal.candidates[0].left == ()  # one layer is all that there is
        return
    text = proposal.write()
    maps = [part for part in parts if part.table["module"] == "torch.nn.Linear"]
    assert proposal.candidates[0].left == ()
    if maps:
        with pytest.raises(l2l.ImportNetworkError, match='activation is "\\?": write the function'):
            l2l.import_network(path)
    filled = text.read_text()
    assert filled.count('activation = "?"') == len(maps)
    for part in maps:
        filled = filled.replace('"?"', f'"{part.function}"', 1)
    text.write_text(filled)
    assert without_source(l2l.import_network(path)) == without_source(l2l.import_network(module))


@pytest.mark.parametrize("epsilon", [0.0, 1e-3])
def test_variances(epsilon: float, tmp_path: Path) -> None:
    """Alike to the last bit but one: the square root of PyTorch for float64 is not always the
    nearest number, and that of NumPy is.
    """
    table = {"module": "normalise", "mean": "mean", "variance": "variance", "epsilon": epsilon}
    parts = [Part(table, buffers=vectors("mean", "variance", width=3)), layer("GRU", "rnn.", 3)[0]]
    path = saved(tmp_path, Whole(parts))
    text = l2l.propose_description(path).text
    (tmp_path / "net.toml").write_text(text.replace("epsilon = 0.0", f"epsilon = {epsilon}"))
    found, live = l2l.import_network(path), l2l.import_network(Whole(parts))
    np.testing.assert_allclose(found.input_scale, live.input_scale, rtol=2**-51)
    np.testing.assert_allclose(found.input_offset, live.input_offset, rtol=2**-51)
    assert found.layers == live.layers


def plain(folder: Path, suffix: str = ".pt", **more: Any) -> tuple[list[Part], Path]:
    """A module as many write it, and its file."""
    torch.manual_seed(0)
    parts = [
        Part({"module": "normalise", "mean": "mean", "std": "std"},
             buffers=vectors("mean", "std", width=4)),
        linear("encoder.", 4, 3, "tanh"),
        layer("wired CfC", "rnn.", 3)[0],
        linear("head.", 3, 2, "identity"),
    ]  # fmt: skip
    module = Whole(parts)
    for name, part in more.items():
        module.add_module(name, part)
    return parts, saved(folder, module, suffix)


def refusal(folder: Path, text: str) -> str:
    (folder / "net.toml").write_text(text)
    with pytest.raises(l2l.ImportNetworkError) as caught:
        l2l.import_network(folder / "net.pt")
    return str(caught.value)


def test_all_that_is_wrong_with_a_description_is_said_at_once(tmp_path: Path) -> None:
    parts, _ = plain(tmp_path)
    text = described(parts, ignore=["gone"], colour="red")
    text = text.replace('prefix = "head."', 'prefix = "head."\nsize = 3\ntimespan = 2.0')
    text = text.replace('"tanh"', '"?"').replace('"ncps.torch.CfC"', '"ncps.torch.CFC"')
    text = text.replace('std = "std"', 'std = "mean"').replace("[network]", '[network]\nmodule="x"')
    said = refusal(tmp_path, text)
    for expected in (
        "module belongs into each stage",
        "unknown key 'colour'; of [network] with stages known are",
        "stage 1: mean and what it divides by are both the key 'mean'",
        "stage 2 (torch.nn.Linear at 'encoder.'): activation is \"?\": write the function",
        "stage 3: module is 'ncps.torch.CFC'", "Do you mean 'ncps.torch.CfC'?",
        "stage 4: unknown key 'size'; known are module, activation, prefix",
        "stage 4: timespan belongs to the whole: write it into [network]",
    ):  # fmt: skip
        assert expected in said, said


def test_all_that_is_wrong_with_the_arrays_is_said_at_once(tmp_path: Path) -> None:
    parts, _ = plain(tmp_path, other=nn.Linear(2, 2))
    parts[0].table["std"] = "deviation"
    parts[3] = linear("heads.", 3, 2, "identity")
    parts.append(linear("encoder.", 4, 3, "relu"))
    said = refusal(tmp_path, described(parts, ignore=["gone"]))
    for expected in (
        "stage 1 (normalise): the key deviation is missing",
        "stage 4 (torch.nn.Linear at 'heads.'): the key heads.weight is missing",
        "stage 2 (torch.nn.Linear at 'encoder.') and stage 5 (torch.nn.Linear at 'encoder.') take "
        "the same keys",
        "keys that no stage takes: head.bias, head.weight, other.bias, other.weight, std; describe",
        "write ignore = [...] into [network] of net.toml", "ignore names 'gone', and no key is",
    ):  # fmt: skip
        assert expected in said, said
    parts = [parts[0], parts[2], parts[1]]
    parts[0].table["std"] = "std"
    said = refusal(tmp_path, described(parts, ignore=["other.", "head.", "rnn.rnn_cell.layer_0."]))
    assert "stage 2 (ncps.torch.CfC at 'rnn.'): ignore leaves out rnn.rnn_cell.layer_0." in said
    said = refusal(tmp_path, described(parts, ignore=["other.", "head."]))
    assert "stage 2 (ncps.torch.CfC at 'rnn.') takes 3 channels, and stage 1 (normalise) " in said
    assert "answers with 4" in said


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ('"identity"', '"softmax"', ""),
        ('"tanh"', '"softmax"', "activation is 'softmax', which stays on the host; it may only"),
        ('"tanh"', '"tahn"', "unknown activation 'tahn'"),
        ('activation = "tanh"', "", "the key 'activation' is missing: write the function"),
        ('"torch.nn.Linear"', '"torch.nn.Dropout"', "leave the stage out"),
        ('"torch.nn.Linear"', '"torch.nn.Tanh"', 'A function alone is module = "activation"'),
        ('"torch.nn.Linear"', "3", "module is an int, no string"),
        ('std = "std"', "", "give either std or variance"),
        ('std = "std"', 'std = "encoder.weight"', "encoder.weight has shape (3, 4), expected"),
        ('std = "std"', 'std = "encoder.bias"', "mean has 4 channels, and encoder.bias 3"),
        ('std = "std"', 'std = "encoder.bias"', "stage 1 (normalise) and stage 2 (torch.nn.Linear"),
        ('module = "normalise"', 'module = "normalise"\nname = "x"', "name belongs to the whole"),
        ('prefix = "rnn."', 'prefix = "rnn."\nreadout = "head"', "is a stage of its own here"),
        ("units = 12", "units = 13", "stage 3 (ncps.torch.CfC at 'rnn.'): "),
        ("[[network.stage]]", "[network.stage]", ""),
    ],
)
def test_what_one_stage_says_wrongly(
    before: str, after: str, expected: str, tmp_path: Path
) -> None:
    parts, path = plain(tmp_path)
    text = described(parts).replace(before, after, 1)
    if before == "[[network.stage]]":
        text = "[network]\nstage = 3"
        expected = "write [[network.stage]] before each stage"
    if not expected:
        (tmp_path / "net.toml").write_text(text)
        assert l2l.import_network(path).host == ("softmax",)
        return
    assert expected in refusal(tmp_path, text)


def test_numbers_of_a_scale(tmp_path: Path) -> None:
    parts, path = plain(tmp_path)
    text = described(parts) + '\n[[network.stage]]\nmodule = "scale"\n'
    (tmp_path / "net.toml").write_text(text + "factor = [2.0, 3]\noffset = 1")
    twice = l2l.import_network(path).readout
    (tmp_path / "net.toml").write_text(described(parts))
    once = l2l.import_network(path).readout
    assert once is not None and twice is not None
    assert (twice.weight == once.weight * [[2.0], [3.0]]).all()
    assert (twice.bias == once.bias * [2.0, 3.0] + 1.0).all()
    for wrong, expected in (
        ("factor = [1, 2, 3]", "takes 3 channels, and stage 4"),
        ("factor = []", "factor is an empty list"), ("factor = true", "factor is a bool"),
        ("factor = nan", "factor is not a finite number"),
        ('offset = ["a"]', "offset is ['a'], expected a number, a list of numbers, or a key"),
    ):  # fmt: skip
        assert expected in refusal(tmp_path, text + wrong)


def test_wrappers_prefix_and_what_is_left_are_named(tmp_path: Path) -> None:
    parts, _ = plain(tmp_path)
    module = Whole(parts)
    right = without_source(l2l.import_network(module))
    state = {f"model.{key}": value for key, value in module.state_dict().items()}
    path = tmp_path / "net.ckpt"
    torch.save({"state_dict": state, "epoch": 3}, path)
    (tmp_path / "net.toml").write_text(described(parts, name="net"))
    found = l2l.import_network(path)
    assert without_source(found) == right and found.source["inside of"] == "model."
    torch.save({**state, "critic.weight": torch.ones(2)}, path)
    (tmp_path / "net.toml").write_text(described(parts, prefix="model"))
    found = l2l.import_network(path)
    assert without_source(found) == right
    assert found.source["outside of model."] == "critic.weight"
    torch.save({**module.state_dict(), "critic.weight": torch.ones(2)}, path)
    (tmp_path / "net.toml").write_text(described(parts, ignore=["critic."]))
    found = l2l.import_network(path)
    assert without_source(found) == right and found.source["ignored"] == "critic.weight"


def test_times(tmp_path: Path) -> None:
    parts, path = plain(tmp_path)
    (tmp_path / "net.toml").write_text(described(parts, timespan="irregular"))
    assert l2l.import_network(path).irregular
    assert l2l.import_network(path, timespan=0.5).timespan == 0.5
    parts[2] = layer("LTC", "rnn.", 3)[0]
    parts[3] = linear("head.", 2, 2, "identity")
    saved(tmp_path, Whole(parts))
    said = refusal(tmp_path, described(parts, timespan=0.0))
    assert "stage 3 (ncps.torch.LTC at 'rnn.'): timespan is 0; an LTC divides by it" in said
    parts[2] = layer("GRU", "rnn.", 3)[0]
    parts[3] = linear("head.", 5, 2, "identity")
    saved(tmp_path, Whole(parts))
    assert "none of its layers takes an elapsed time" in refusal(
        tmp_path, described(parts, timespan=0.5)
    )


def test_the_order_of_a_file_with_sorted_keys_follows_from_sizes(tmp_path: Path) -> None:
    parts, path = plain(tmp_path, ".safetensors", critic=nn.Linear(3, 1))
    proposal = l2l.propose_description(path)
    text = proposal.text
    places = re.findall(r'module = "(\w+)"|prefix = "(\w+)', text)
    assert [a or b for a, b in places][:3] == ["normalise", "encoder", "rnn"]
    assert "the file has its keys sorted. Other orders fit as well." in text  # critic or head
    (other,) = {"critic", "head"} - {b for _, b in places}
    assert set(proposal.candidates[0].left) == {f"{other}.bias", f"{other}.weight"}
    assert f'# ignore = ["{other}.bias", "{other}.weight"]' in text
    # Whoever fills in the functions alone is still asked about what is left.
    path.with_suffix(".toml").write_text(text.replace('"?"', '"identity"'))
    with pytest.raises(l2l.ImportNetworkError, match=f"no stage takes: {other}.bias"):
        l2l.import_network(path)


def test_from_the_command_line(tmp_path: Path) -> None:
    parts, path = plain(tmp_path)
    run = CliRunner().invoke
    shown = run(app, ["inspect", str(path), "--write"])
    assert shown.exit_code == 0 and "[[network.stage]]" in shown.output, shown.output
    refused = run(app, ["inspect", str(path)])
    assert refused.exit_code == 1 and "activation is" in str(refused.exception)
    toml = tmp_path / "net.toml"
    toml.write_text(toml.read_text().replace('"?"', '"tanh"', 1).replace('"?"', '"identity"'))
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(0.5, 1.0, (1, 60, 4)))
    for arguments in (
        ["quantize", str(path), "-c", str(tmp_path / "x.npy"), "-o", str(tmp_path / "net.l2l")],
        ["import", str(toml), "-o", str(tmp_path / "net.l2n")],
        ["compare", str(path), str(tmp_path / "net.l2l"), "-i", str(tmp_path / "x.npy")],
    ):
        made = run(app, arguments)
        assert made.exit_code == 0, made.output
    right = without_source(l2l.import_network(Whole(parts)))
    saved_network = l2l.load(tmp_path / "net.l2n")
    assert isinstance(saved_network, l2l.LiquidNetwork)
    assert without_source(saved_network) == right


def test_a_state_dict_itself_is_told_from_its_file(tmp_path: Path) -> None:
    _, path = plain(tmp_path)
    for given_instead in (torch.load(path), {"model": torch.load(path), "epoch": 3}, {}):
        with pytest.raises(l2l.ImportNetworkError, match="A state_dict holds arrays by key") as no:
            l2l.import_network(given_instead)
        assert "lnn2loihi inspect FILE proposes one" in str(no.value)


def test_words_of_means_and_deviations(tmp_path: Path) -> None:
    for mean, deviation, divisor in (
        ("mean", "deviation", "std"), ("obs_mu", "obs_sigma", "std"), ("rms.mean", "rms.var", ""),
    ):  # fmt: skip
        state = {mean: torch.ones(3), deviation: torch.ones(3), **nn.GRU(3, 2).state_dict()}
        state = {key if "_l0" not in key else f"rnn.{key}": one for key, one in state.items()}
        torch.save(state, tmp_path / "net.pt")
        proposal = l2l.propose_description(tmp_path / "net.pt")
        assert f'{divisor or "variance"} = "{deviation}"' in proposal.text
        assert proposal.candidates[0].problems == ()


@pytest.mark.parametrize("room", ["modules.chain", "modules.calls", "recurrent.whole"])
def test_rooms_that_need_each_other_may_be_imported_in_any_order(room: str) -> None:
    command = [sys.executable, "-c", f"import lnn2loihi.converters.{room}"]
    assert subprocess.run(command, capture_output=True, text=True).stderr == ""
