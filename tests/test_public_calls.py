"""Every argument of everything public, of the wrong kind: refused by our errors, by its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lnn2loihi as l2l
from lnn2loihi import plugins
from lnn2loihi.lava import runner
from lnn2loihi.micro.tools import tools_here
from lnn2loihi.plugins import PROGRAM_IMPORTERS
from lnn2loihi.registry import Registry
from lnn2loihi.simulation.reference import run_reference

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from board_lines import printed  # noqa: E402
from experiment_logs import drawn, lines, written  # noqa: E402
from public_calls import ARGUMENTS, Made, Public, public_calls  # noqa: E402  needs PyTorch
from torch import nn  # noqa: E402

#: A network of lava-dl.
NET = (Path(__file__).parent / "fuzzing" / "corpus" / "lavadl" / "cuba.net").read_bytes()
CALLS = [call for call in public_calls() if call.parameters]


class Strange:
    """Says that it is an array, and is none."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("no array")


RECURSIVE: list[Any] = []
RECURSIVE.append(RECURSIVE)
#: Values that are of the wrong kind nearly everywhere, and of the right one now and then.
WRONG: dict[str, Any] = {
    "None": None, "whole": 3, "negative": -1, "zero": 0, "fraction": 2.5, "nan": np.nan,
    "infinite": np.inf, "below": -np.inf, "huge": 10**400, "wide": 2**63, "true": True,
    "complex": 1j, "0-d": np.array(3), "text": "a", "empty text": "", "nul": "a\0b",
    "no Unicode": "\ud800", "long": "a" * 5000, "bytes": b"a", "list": [], "dict": {},
    "tuple": (), "object": object(), "function": lambda: None, "class": object,
    "class of ours": l2l.LoihiProgram, "objects": np.array([object(), None]),
    "ragged": [[1], [1, 2]], "whole names": {3: 4}, "names": {"layer_0": 3},
    "nothing by name": {"layer_0": None}, "ragged state": {"layer_0": {"h": [[1], [1, 2]]}},
    "whole words": {"layer_0": {3: [1]}}, "list of None": [None], "list of texts": ["a"],
    "list of numbers": [3], "list of objects": [object()], "list of nul": ["a\0b"],
    "list of huge": [10**400], "slice": slice("a", None, 0), "strange": Strange(),
    "complexes": np.ones((2, 3, 2), complex), "dates": np.zeros((2, 3, 2), "datetime64[s]"),
    "texts": np.full((2, 3, 2), "a"), "nans": np.full((2, 3, 2), np.nan),
    "nowhere": np.zeros((0, 0, 0)), "recursive": RECURSIVE,
}  # fmt: skip
#: What nothing takes but an argument that may be anything.
NEVER = ("object", "class", "strange", "recursive", "list of objects", "slice")
ANYTHING = {("import_network", "source"), ("prepare", "source"), ("profile", "module")}
#: Other words for an argument in messages.
SAID: dict[str, tuple[str, ...]] = {
    "text": ("recipe",), "weight_bits": ("weights (w)",), "message_bits": ("messages (a)",),
    "input_bits": ("inputs (x)",), "device": ("devices",), "content": ("workload",),
    "substeps": ("updates for each sample",), "source": ("no importer",),
    "module": ("no importer",), "interleave": ("take turns",), "period": ("shape",),
    "core_names": ("core", "shape"), "populations": ("unknown source or target",),
    "per_step": ("of no dropout in its training",),
    "interactive": ("compiler for WebAssembly",),
    "connections": ("no input",), "calibrate": ("calibration data",), "chunks": ("x ", "chunk"),
}  # fmt: skip


#: A build file that is done soon.
ROAD = '[network]\nsource = "a.l2n"\n[samples]\ncalibrate = "x.npy"\n'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder: Path = tmp_path_factory.mktemp("calls")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # What runs there is not looked at here, and processes take their time.
        patch.setattr(runner, "execute", lambda *given: run_reference(*given[:4]))
        found = Made()
        l2l.save(found.program, "a.l2l")
        l2l.save(found.network, "a.l2n")
        np.save("x.npy", found.x)
        Path("road.toml").write_text(ROAD)
        found.profile.save("b.profile.json")
        torch.save({"weight": torch.zeros(2)}, "a.pt")
        Path("a.net").write_bytes(NET)
        printed(Path("run.json"))
        idle = lines(drawn(l2l.load_device("loihi2-oheo-gulch"), np.random.default_rng(0)),
                     np.random.default_rng(0))[1]  # fmt: skip
        written(Path("log.jsonl"), [idle])
        yield found


def test_all_have_arguments_that_work() -> None:
    """Something new in `__all__` gets an entry in `public_calls.ARGUMENTS`."""
    assert sorted(ARGUMENTS) == sorted(call.name for call in CALLS)


def _run(public: Public, arguments: dict[str, Any]) -> None:
    given = dict(arguments)
    owner = [given.pop("self")] if "self" in given else []
    only = inspect.Parameter.POSITIONAL_ONLY
    owner += [given.pop(n) for n, p in public.parameters.items() if p.kind is only]
    found = public.call(*owner, *given.pop("*", ()), **given)
    if public.name == "simulate_stream":
        list(found)


@pytest.mark.parametrize("public", CALLS, ids=lambda public: public.name)
def test_wrong_kinds_are_refused_by_name(public: Public, made: Made) -> None:
    arguments = public.defaults | ARGUMENTS[public.name](made)
    assert set(arguments) - {"self", "*"} == set(public.parameters)
    if public.name == "import_program":
        pytest.importorskip("h5py", reason="h5py is not installed")
        if "lavadl" not in PROGRAM_IMPORTERS.names():
            pytest.skip("lnn2loihi was installed before there was the importer lavadl")
    if public.name == "footprint" and not (tools_here()["zig"] and tools_here()["qemu-arm"]):
        pytest.skip("zig or qemu-arm is not here")
    if public.name != "import_network":  # a bare checkpoint wants a description
        _run(public, arguments)
    wrong: list[str] = []
    for name in public.parameters:
        for what, value in WRONG.items():
            if name == "progress" and callable(value):
                continue  # what a callback raises is its own
            outcome = _outcome(public, {**arguments, name: value}, name, value)
            may_be = what not in NEVER or (public.name, name) in ANYTHING
            if outcome != "refused" and not (outcome == "taken" and may_be):
                wrong.append(f"{name}={what}: {outcome}")
    assert wrong == []


def _outcome(public: Public, arguments: dict[str, Any], name: str, value: Any) -> str:
    """`taken`, `refused` by name, or what is wrong with what comes out."""
    try:
        _run(public, arguments)
    except l2l.Lnn2LoihiError as error:
        shown = (
            text[:20] or "''" for text in (repr(value)[1:], repr(str(value))[1:-1], str(value))
        )
        said = (name, *SAID.get(name, ()), *shown)
        return "refused" if any(text in str(error) for text in said) else f"says {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "taken"


def _network(*layers: Any) -> object:
    network = l2l.LiquidNetwork("net", layers)
    return network.summary(), network.evaluate(np.zeros((1, 2, network.input_size)))


def _program(made: Made, **parts: Any) -> object:
    program = replace(made.program, **parts)
    x = np.zeros((1, 2, program.channels))
    return program.summary(), l2l.simulate(program, x, "blas"), l2l.place(program)


def _device(made: Made, name: str, figure: l2l.Figure) -> object:
    device = replace(made.device, figures={**made.device.figures, name: figure})
    return l2l.place(made.program, device), l2l.estimate(made.workload, device, draws=100)


#: What becomes of objects whose fields are of the right kind, and may make no sense.
USES: dict[str, Callable[[Made, Any], object]] = {
    "CfCLayer": lambda m, made: _network(made),
    "DenseLayer": lambda m, made: _network(made),
    "GRULayer": lambda m, made: _network(made),
    "LSTMLayer": lambda m, made: _network(made),
    "LTCLayer": lambda m, made: _network(made),
    "GLULayer": lambda m, made: _network(made),
    "LiquidS4DLayer": lambda m, made: _network(made),
    "LRCLayer": lambda m, made: _network(made),
    "MinGRULayer": lambda m, made: _network(made),
    "MinLSTMLayer": lambda m, made: _network(made),
    "InputMemory": lambda m, made: _network(made),
    "S4DLayer": lambda m, made: _network(made),
    "WiredMemory": lambda m, made: _network(made),
    "Memory": lambda m, made: _network(replace(m.network.layers[0], memory=made)),
    "Linear": lambda m, made: _network(replace(m.network.layers[0], ff1=made)),
    "Convolution": lambda m, made: _program(m, connections=(made, *m.program.connections[1:])),
    "Connection": lambda m, made: _program(m, connections=(made, *m.program.connections[1:])),
    "Population": lambda m, made: _program(m, populations=(made, *m.program.populations[1:])),
    "InputPort": lambda m, made: _program(m, input=made),
    "Schedule": lambda m, made: (made.steps(3), _program(m, schedule=made)),
    "Figure": lambda m, made: (_device(m, "chips", made), _device(m, "time_per_step", made)),
    "Device": lambda m, made: (made.summary(), l2l.place(m.program, made)),
    "Counters": lambda m, made: (
        l2l.workload(m.placement, made),
        l2l.place(m.program, counters=made),
    ),
    "Workload": lambda m, made: l2l.estimate(made, m.device, draws=100),
    "Recipe": lambda m, made: l2l.quantize(m.network, m.x, made),
}


@pytest.mark.parametrize("name", USES)
def test_what_makes_no_sense_is_refused_where_it_is_used(name: str, made: Made) -> None:
    (public,) = (call for call in CALLS if call.name == name)
    arguments = ARGUMENTS[name](made)
    wrong: list[str] = []
    for field in public.parameters:
        for what, value in WRONG.items():
            try:
                USES[name](made, public.call(**{**arguments, field: value}))
            except l2l.Lnn2LoihiError:
                continue
            except Exception as error:
                wrong.append(f"{field}={what}: {type(error).__name__}: {error}")
    assert wrong == []


def test_what_a_callback_raises_passes(made: Made) -> None:
    def stop(*_: Any) -> None:
        raise KeyError("mine")

    for name in ("simulate", "verify", "compare", "run_lava", "profile"):
        (public,) = (call for call in CALLS if call.name == name)
        with pytest.raises(KeyError, match="mine"):
            _run(public, {**ARGUMENTS[name](made), "progress": stop})


def _options(group: Registry[Any], method: str) -> list[tuple[str, str]]:
    """Options of everything that is registered, with its name."""
    return [
        (name, option)
        for name, plugin in group.working()
        for option in list(inspect.signature(getattr(plugin, method)).parameters)[1:]
    ]


@pytest.mark.parametrize("format, option", _options(plugins.IMPORTERS, "load"))
def test_options_of_importers(format: str, option: str) -> None:
    _look_at_option(lambda given: l2l.import_network(nn.GRU(2, 2), format=format, **given), option)


@pytest.mark.parametrize("format, option", _options(plugins.EXPORTERS, "export"))
def test_options_of_exporters(format: str, option: str, made: Made) -> None:
    source = made.network if format == "onnx-float" else made.program
    target = {"lava": "lava", "loihi2": "board", "c99": "c.c"}.get(format, "c.onnx")
    own = {} if format == "lava" else {"format": format}
    _look_at_option(lambda given: l2l.export(source, target, **own, **given), option)


def _look_at_option(call: Callable[[dict[str, Any]], object], option: str) -> None:
    wrong: list[str] = []
    for what, value in WRONG.items():
        try:
            call({option: value})
        except l2l.Lnn2LoihiError as error:
            if what in NEVER and option not in str(error):
                wrong.append(f"{what}: says {error}")
        except Exception as error:
            wrong.append(f"{what}: {type(error).__name__}: {error}")
        else:
            wrong += [f"{what}: is taken"] if what in NEVER else []
    assert wrong == []


def test_unknown_options_are_named(made: Made) -> None:
    with pytest.raises(l2l.InputError, match="options depth: unknown; it takes dtype, record"):
        l2l.export(made.program, "c.onnx", depth=3)
    with pytest.raises(l2l.ImportNetworkError, match="options depth: unknown; it takes timespan"):
        l2l.import_network(nn.GRU(2, 2), depth=3)
