"""The backends: what each answers, streams included, and who is there to be measured."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import ltc_networks as ltcs
import numpy as np
import pytest
import strategies_ncps as ncps
import variants as v
from hypothesis import example, given, settings
from hypothesis import strategies as st
from networks import random_network

import lnn2loihi as l2l
from lnn2loihi.errors import BackendMissingError, InputError
from lnn2loihi.families.cfc.layer import CfCLayer
from lnn2loihi.measure import Session, Settings, measure, runners
from lnn2loihi.measure.engine_session import EngineSession
from lnn2loihi.measure.generated_session import GeneratedSession
from lnn2loihi.network import FloatArray, LiquidNetwork
from lnn2loihi.quantization.verb import quantize

ROOM = importlib.import_module("lnn2loihi.measure.runners")  # the name is that of its function, too
SHORT = Settings(warm_up=0.0, search=0.0, rounds=1, slice=0.0, calls=3)
torch_and_ncps = pytest.mark.skipif(
    not (find_spec("torch") and find_spec("ncps")), reason="PyTorch or ncps is not installed"
)
onnxruntime_there = pytest.mark.skipif(
    not (find_spec("onnx") and find_spec("onnxruntime")), reason="onnxruntime is not installed"
)


def samples(network: LiquidNetwork, batch: int, time: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(batch, time, network.input_size))


def spans_of(network: LiquidNetwork, batch: int, time: int) -> FloatArray | None:
    return ncps.random_timespans(1, batch, time) if network.irregular else None


def batch_answer(session: Session, x: FloatArray, spans: FloatArray | None) -> FloatArray:
    return session.outputs(session.run(session.prepare(x, spans)))


def stream_answer(session: Session, x: FloatArray, spans: FloatArray | None) -> FloatArray:
    """The outputs of single samples of the first sequence, with the state carried."""
    steps = session.prepare_steps(x[0], None if spans is None else spans[0])
    step = session.open_stream()
    return np.concatenate([session.outputs(step(sample)) for sample in steps], axis=1)


def assert_answers(
    session: Session,
    x: FloatArray,
    spans: FloatArray | None,
    expected: FloatArray,
    tolerance: float,
) -> None:
    """Whole sequences and streams, the latter twice: every stream starts anew."""
    for answer, wanted in (
        (batch_answer(session, x, spans), expected),
        (stream_answer(session, x, spans), expected[:1]),
        (stream_answer(session, x, spans), expected[:1]),
    ):
        assert answer.shape == wanted.shape
        np.testing.assert_allclose(answer, wanted, rtol=tolerance, atol=tolerance)


# Our engine


@pytest.mark.parametrize("engine", ["c", "blas", "reference"])
@pytest.mark.parametrize("irregular", [False, True])
def test_the_integer_engine_answers_what_simulate_does(engine: str, irregular: bool) -> None:
    network = random_network(3)
    if irregular:
        network = replace(network, timespan=None)
    x, spans = samples(network, 3, 9), spans_of(network, 3, 9)
    program = quantize(network, x, calibrate_timespans=spans)
    session = EngineSession(program, engine, 1)
    expected = l2l.simulate(program, x, timespans=spans).outputs
    assert_answers(session, x, spans, expected, 0.0)


@pytest.mark.parametrize("irregular", [False, True])
def test_generated_c_answers_what_simulate_does(irregular: bool) -> None:
    network = random_network(3)
    if irregular:
        network = replace(network, timespan=None)
    x, spans = samples(network, 3, 9), spans_of(network, 3, 9)
    program = quantize(network, x, calibrate_timespans=spans)
    outside = np.where(np.arange(x.size).reshape(x.shape) % 7 == 0, 1e12, x)
    expected = l2l.simulate(program, outside, timespans=spans).outputs
    assert_answers(GeneratedSession(program), outside, spans, expected, 0.0)


def test_without_a_compiler_generated_c_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    program, _ = programmed()
    l2l.simulate(program, np.zeros((1, 1, program.channels)))  # the engine is there already
    monkeypatch.setenv("CC", "no-such-compiler")
    (row,) = (r for r in runners(program, threads=[1], against=["cpu"]) if "generated" in r.name)
    assert "no-such-compiler" in row.missing
    with pytest.raises(BackendMissingError, match="no-such-compiler") as caught:
        runners(program, threads=[1], against="cpu:c99")
    assert caught.value.exit_code == 3


def test_generated_c_that_answers_something_else_is_not_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program, network = programmed()
    original = GeneratedSession.run
    monkeypatch.setattr(GeneratedSession, "run", lambda self, x: original(self, x) + 1.0)
    (row,) = measure(
        runners(program, against="cpu:c99", threads=[1]), samples(network, 2, 4),
        settings=SHORT, energy=False,
    )  # fmt: skip
    assert (row.mode, row.status) == ("sequence", "failed")
    assert "answers differ from simulate" in row.reason


# PyTorch


@torch_and_ncps
@given(ncps.variants(), st.booleans())
@settings(max_examples=40)
def test_ncps_modules_are_rebuilt(arguments: dict[str, Any], irregular: bool) -> None:
    """Rebuilt from the network, they answer what the network does, in double precision."""
    import torch

    from lnn2loihi.families.cfc.ncps_modules import ncps_blocks

    module = ncps.module(**{**arguments, "scale": min(arguments["scale"], 4.0)})
    network = l2l.import_network(module, timespan="irregular" if irregular else 1.0)
    x, spans = samples(network, 3, 5), spans_of(network, 3, 5)
    expected = network.evaluate(x, timespans=spans).outputs
    answer = torch.from_numpy(x)
    elapsed = None if spans is None else torch.from_numpy(spans)
    blocks = ncps_blocks(network)
    assert len(blocks) == 1  # one CfC with its readout, as it was
    with torch.inference_mode():
        for block in blocks:
            answer = block.sequence(answer, block.start(3, answer), elapsed)
    np.testing.assert_allclose(answer.numpy(), expected, rtol=1e-9, atol=1e-9)


@torch_and_ncps
@given(v.variants())
@settings(max_examples=40)
def test_any_network_runs_in_pytorch(variant: v.Variant) -> None:
    """As modules of ncps where there are such, else by its equations; streams too."""
    from lnn2loihi.measure.torch_session import TorchSession, network_blocks

    network = v.network(variant)
    blocks, how = network_blocks(network)
    cfcs = [la for la in network.single_layers if isinstance(la, CfCLayer)]
    before = variant.input_memory and not variant.shared_memory
    foreign = (variant.family != "cfc" or before) or any(
        len({m.output_size for m in la.backbone}) > 1
        or (la.heads == "linear" and la.mode != "pure")
        for la in cfcs
    )
    assert how == ("" if foreign else "ncps")
    x, spans = samples(network, 3, 4), spans_of(network, 3, 4)
    expected = network.evaluate(x, timespans=spans).outputs
    assert_answers(TorchSession(blocks, "cpu", 1), x, spans, expected, 3e-4)


@torch_and_ncps
@given(ltcs.variants())
@example(ltcs.Variant(mixed=True, output_mapping=None))
@example(ltcs.Variant(mixed=True, irregular=True, unfolds=2))
@example(ltcs.Variant(mixed=True, unfolds=1))
@settings(max_examples=12)
def test_any_ltc_runs_in_pytorch(variant: ltcs.Variant) -> None:
    """Several updates a sample: what is evaluated once, heard first, and starts from others."""
    from lnn2loihi.measure.torch_session import TorchSession, network_blocks

    network = l2l.import_network(ltcs.module(variant), timespan=variant.timespan)
    blocks, how = network_blocks(network)
    assert how == ""
    x, spans = ltcs.samples(variant, 3, 4)
    expected = network.evaluate(x, timespans=spans).outputs
    assert_answers(TorchSession(blocks, "cpu", 1), x, spans, expected, 3e-4)


@torch_and_ncps
def test_a_normalisation_comes_along() -> None:
    from lnn2loihi.measure.torch_session import TorchSession, network_blocks

    network = replace(
        random_network(5), input_offset=np.array([3.0, -2.0, 0.5]), input_scale=np.full(3, 2.5)
    )
    x = samples(network, 2, 6)
    session = TorchSession(network_blocks(network)[0], "cpu", 1)
    assert_answers(session, x, None, network.evaluate(x).outputs, 1e-5)


@torch_and_ncps
@pytest.mark.parametrize("options", [{}, {"return_sequences": False}, {"batch_first": False}])
@pytest.mark.parametrize("timespan", [1.0, 0.5, None])
@pytest.mark.parametrize("mixed", [False, True])
def test_a_live_module_of_ncps(
    options: dict[str, Any], timespan: float | None, mixed: bool
) -> None:
    """A copy runs, which answers every step; the module stays as it is. ncps itself mixes up the
    timespans of a batch.
    """
    from lnn2loihi.measure.torch_session import TorchSession, live_blocks

    module = ncps.module("auto", mixed_memory=mixed, proj_size=2, **options)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    x = np.random.default_rng(2).normal(size=(3, 6, 3))
    spans = ncps.random_timespans(4, 3, 6) if timespan is None else None
    session = TorchSession(live_blocks(module, timespan)[0], "cpu", 1)
    assert module.training
    assert module.return_sequences == options.get("return_sequences", True)
    assert all(bool((before[k] == value).all()) for k, value in module.state_dict().items())
    elapsed = 1.0 if timespan is None else timespan
    expected = ncps.torch_steps(module, x, elapsed if spans is None else spans).outputs
    assert_answers(session, x, spans, expected, 1e-5)


@torch_and_ncps
def test_a_live_ltc() -> None:
    import torch
    from ncps.torch import LTC
    from ncps.wirings import AutoNCP

    from lnn2loihi.measure.torch_session import TorchSession, live_blocks

    torch.manual_seed(0)
    module = LTC(3, AutoNCP(8, 2))
    x = np.random.default_rng(2).normal(size=(3, 6, 3))
    with torch.no_grad():
        expected = module(torch.from_numpy(x.astype(np.float32)))[0].numpy()
    assert_answers(TorchSession(live_blocks(module, 1.0)[0], "cpu", 1), x, None, expected, 1e-5)


@torch_and_ncps
def test_a_module_of_the_users_own() -> None:
    """It runs on whole sequences; a stream needs the network, rebuilt."""
    import torch
    from torch import nn

    from lnn2loihi.measure.torch_session import ModuleSession, live_blocks

    class Mine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = ncps.module("dense")
            self.head = nn.Linear(6, 2)

        def forward(self, x: Any) -> Any:
            return self.head(self.rnn(x)[0])

    module = Mine()
    assert live_blocks(module, 1.0) == ([], "")
    x = np.random.default_rng(2).normal(size=(3, 5, 3))
    session = ModuleSession(module, "cpu", 1)
    with torch.no_grad():
        expected = module(torch.from_numpy(x.astype(np.float32))).numpy()
    np.testing.assert_allclose(batch_answer(session, x, None), expected, rtol=1e-5, atol=1e-6)
    found = runners(module=module, against=["cpu:torch"], threads=[1])
    assert [(r.name, r.streams) for r in found] == [
        ("PyTorch module on CPU, 1 thread", False), ("ncps on CPU, 1 thread", True),
    ]  # fmt: skip
    assert found[0].output_size == 2
    assert np.allclose(found[0].outputs(x), found[1].outputs(x), atol=1e-5)


@torch_and_ncps
def test_a_subclass_with_a_forward_of_its_own_is_not_ncps() -> None:
    from ncps.torch import CfC

    from lnn2loihi.measure.torch_session import live_blocks

    class Mine(CfC):
        def forward(self, *given: Any, **options: Any) -> Any:
            return super().forward(*given, **options)

    class Named(CfC):
        pass

    assert live_blocks(Named(3, 4), 1.0)[1] == "ncps"
    assert live_blocks(Mine(3, 4), 1.0) == ([], "")


@torch_and_ncps
def test_threads_are_given_back() -> None:
    import torch

    from lnn2loihi.measure.torch_session import TorchSession, network_blocks

    before = torch.get_num_threads()
    session = TorchSession(network_blocks(random_network(1))[0], "cpu", before + 1)
    session.activate()
    assert torch.get_num_threads() == before + 1
    session.close()
    assert torch.get_num_threads() == before


# onnxruntime


@onnxruntime_there
@given(v.variants())
@settings(max_examples=15)
def test_any_network_runs_in_onnxruntime(variant: v.Variant) -> None:
    """Streams hand their states back in; bound to the device they stay there."""
    from lnn2loihi.measure.onnx_session import OnnxSession

    network = v.network(variant)
    model = l2l.export(network, "onnx-float").SerializeToString()
    x, spans = samples(network, 3, 4), spans_of(network, 3, 4)
    expected = network.evaluate(x, timespans=spans).outputs
    for bound in (False, True):
        assert_answers(OnnxSession(model, "cpu", 1, bound), x, spans, expected, 3e-4)


@onnxruntime_there
@torch_and_ncps
@pytest.mark.parametrize("irregular", [False, True])
def test_an_ltc_with_mixed_memory_runs_in_onnxruntime(irregular: bool) -> None:
    from lnn2loihi.measure.onnx_session import OnnxSession

    variant = ltcs.Variant(mixed=True, irregular=irregular)
    network = l2l.import_network(ltcs.module(variant), timespan=variant.timespan)
    model = l2l.export(network, "onnx-float").SerializeToString()
    x, spans = ltcs.samples(variant, 3, 4)
    expected = network.evaluate(x, timespans=spans).outputs
    assert_answers(OnnxSession(model, "cpu", 1, True), x, spans, expected, 3e-4)


@onnxruntime_there
def test_onnxruntime_that_falls_back_is_an_error() -> None:
    """Asked for a GPU that is not there, onnxruntime runs on the CPU without a word."""
    import onnxruntime

    from lnn2loihi.measure.onnx_session import OnnxSession

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has a GPU")
    model = l2l.export(random_network(1), "onnx-float").SerializeToString()
    with pytest.warns(UserWarning), pytest.raises(BackendMissingError, match="on the CPU instead"):
        OnnxSession(model, "cuda", None)


# Who is there


def programmed() -> tuple[l2l.LoihiProgram, LiquidNetwork]:
    network = random_network(0)
    return quantize(network, samples(network, 4, 8)), network


@torch_and_ncps
@onnxruntime_there
def test_all_backends_of_the_cpu() -> None:
    program, network = programmed()
    found = runners(program, network, against=["cpu"], threads=[1, 2])
    assert [(r.name, r.threads, r.streams) for r in found] == [
        ("integer engine c, 1 thread", 1, True), ("integer engine c, 2 threads", 2, False),
        ("generated C, 1 thread", 1, False),
        ("onnxruntime on CPU, 1 thread", 1, True), ("onnxruntime on CPU, 2 threads", 2, True),
        ("ncps on CPU, 1 thread", 1, True), ("ncps on CPU, 2 threads", 2, True),
    ]  # fmt: skip
    # Nobody needs more than one thread for a single sequence; PyTorch's loop is one of Python.
    engine = found[0].name.removesuffix(", 1 thread").rpartition(" ")[2]
    assert [r.sequences for r in found] == [engine == "c", False, True, True, False, False, False]
    assert [r.name for r in found if not r.batches] == ["generated C, 1 thread"]
    assert [r.loop for r in found] == ["C" if engine == "c" else "Python"] * 2 + [
        "C", "onnxruntime", "onnxruntime", "Python", "Python"
    ]  # fmt: skip
    assert {r.precision for r in found} == {program.recipe, "float32"}
    assert all(r.versions and r.device and not r.missing for r in found)
    x = samples(network, 3, 5, seed=1)
    expected = network.evaluate(x).outputs
    for r in found:
        limit = 0.02 if r.precision == program.recipe else 1e-5
        assert np.abs(r.outputs(x) - expected).max() < limit


@torch_and_ncps
@onnxruntime_there
def test_they_are_measured() -> None:
    """Every backend of this machine goes through a session; no figure is looked at."""
    program, network = programmed()
    x = samples(network, 2, 4)
    found = measure(
        runners(program, network), x, settings=SHORT, energy=False,
        score=lambda y: {"largest": float(np.abs(y).max())}, batches=[2],
    )  # fmt: skip
    for row in found:
        assert row.status in ("measured", "missing"), row.reason
        if row.status == "measured":
            assert row.throughput is not None and row.throughput.mean > 0 and row.accuracy
    kinds = {(row.kind, row.mode) for row in found if row.status == "measured"}
    assert {("cpu", "streaming"), ("cpu", "sequence"), ("cpu", "batch")} <= kinds
    assert json.loads(json.dumps(found.to_dict()))["rows"]


@torch_and_ncps
def test_a_backend_that_answers_something_else_is_not_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A module that is not the network, and equations that go wrong, whole or in streams alone."""
    import torch

    from lnn2loihi.measure.torch_session import TorchSession

    program, network = programmed()
    x = samples(network, 2, 6)
    other = torch.nn.GRU(network.input_size, network.output_size, batch_first=True)
    (whole, *_), steps = (
        measure(
            runners(program, network, module, ["cpu:torch"], threads=[1]), x, settings=SHORT,
            energy=False, batches=[2], modes=modes,
        )
        for module, modes in ((other, ["batch"]), (None, ["streaming", "batch"]))
    )  # fmt: skip
    assert whole.status == "failed" and whole.throughput is None
    assert "answers differ from the float network: output" in whole.reason
    assert [row.status for row in steps] == ["measured", "measured"]
    original = TorchSession.open_stream

    def forgets(self: Any) -> Any:
        return lambda sample: original(self)(sample)

    monkeypatch.setattr(TorchSession, "open_stream", forgets)
    streaming, batch = measure(
        runners(program, network, None, ["cpu:torch"], threads=[1]), x, settings=SHORT,
        energy=False, batches=[2],
    )  # fmt: skip
    assert (streaming.mode, streaming.status) == ("streaming", "failed")
    assert "in sequence 0, step" in streaming.reason
    assert batch.status == "measured"


def absent(*names: str) -> Any:
    return lambda name: None if name in names else find_spec(name)


def test_what_is_not_installed_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ROOM, "find_spec", absent("torch", "onnx", "onnxruntime"))
    program, network = programmed()
    found = runners(program, network, threads=[1])
    assert {r.name: r.missing for r in found} == {
        "integer engine c, 1 thread": "",
        "generated C, 1 thread": "",
        "onnxruntime on CPU": "not installed: pip install onnx onnxruntime",
        "PyTorch on CPU": "not installed: pip install 'lnn2loihi[torch]'",
        "onnxruntime on GPU": "not installed: pip install onnx onnxruntime-gpu",
        "PyTorch on GPU": "not installed: pip install 'lnn2loihi[torch]'",
    }


def test_what_is_demanded_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ROOM, "find_spec", absent("torch", "onnx", "onnxruntime"))
    program, network = programmed()
    assert len(runners(program, network, against=["cpu:engine", "cuda"], threads=[1])) == 3
    with pytest.raises(BackendMissingError) as caught:
        runners(program, network, against=["cpu:torch", "cpu:onnxruntime"])
    assert len(caught.value.problems) == 2 and caught.value.exit_code == 3


def test_a_program_alone_has_no_float_rivals() -> None:
    program, _ = programmed()
    found = runners(program, threads=[1])
    assert [bool(r.missing) for r in found] == [False, False, True, True, True, True]
    assert all("float network" in r.missing for r in found[2:])
    assert runners(program, against="cpu:engine", threads=[1])[0].name == found[0].name


def test_a_network_alone_has_no_integers() -> None:
    _, network = programmed()
    assert "integer program" in runners(network=network, against=["cpu"])[0].missing


@torch_and_ncps
@onnxruntime_there
def test_a_module_alone_is_imported() -> None:
    found = runners(module=ncps.module("auto"), against=["cpu"], threads=[1])
    names = [r.name for r in found if not r.missing]
    assert names == ["onnxruntime on CPU, 1 thread", "ncps on CPU, 1 thread"]
    assert "was given" in found[-1].backend


@torch_and_ncps
def test_a_module_that_no_importer_knows() -> None:
    from torch import nn

    found = runners(module=nn.Conv1d(3, 2, 1), against=["cpu"], threads=[1])
    assert [r.missing.partition(";")[0] for r in found] == [
        "give the integer program", "give the integer program", "give the float network", "",
    ]  # fmt: skip


@torch_and_ncps
def test_a_gpu_that_vanishes_between_asking_and_using(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch says that there is a GPU, and fails when it is used: one failed row, no exception."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda place: "NVIDIA H200")
    program, network = programmed()
    found = runners(program, network, against=["cpu:engine", "cuda:torch"], threads=[1])
    assert [r.device for r in found][1:] == ["NVIDIA H200"] and found[1].threads is None
    rows = measure(found, samples(network, 2, 3), settings=SHORT, energy=False, batches=[1])
    assert [row.status for row in rows] == ["measured"] * 3 + ["failed"] * 2
    assert all(row.reason for row in rows if row.kind == "cuda")


@pytest.mark.parametrize(
    ("options", "words"),
    [({"against": ["gpu"]}, "against 'gpu' is unknown; there are cpu, cuda"),
     ({"threads": [0]}, "0 threads"), ({"threads": [1.5]}, "1.5 threads")],
)  # fmt: skip
def test_what_makes_no_sense(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        runners(programmed()[0], **options)


def test_nothing_to_run() -> None:
    with pytest.raises(InputError, match="nothing to run"):
        runners()
