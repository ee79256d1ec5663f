"""The backends that a network can be measured on here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from lnn2loihi.conversion import import_network
from lnn2loihi.errors import BackendMissingError, ImportNetworkError, InputError, Problems
from lnn2loihi.exporting import export
from lnn2loihi.measure.agreement import Truth
from lnn2loihi.measure.conditions import board, read_conditions
from lnn2loihi.measure.engine_session import EngineSession
from lnn2loihi.measure.generated_session import GeneratedSession
from lnn2loihi.measure.meter import Kind
from lnn2loihi.measure.runner import PYTHON, Runner, Session, missing_runner
from lnn2loihi.measure.trial import one_line
from lnn2loihi.micro.tools import host_compiler, version_line
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.plugins import EXPORTERS
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation import simulate
from lnn2loihi.simulation.choice import AUTO, chosen, known_executors, native_engine
from lnn2loihi.version import VERSION

#: What `against` may name beside "cpu:" and the name of an executor: a kind of processor, for what
#: is there of it; or a backend on one, which is then demanded. Where both have a name, it is that
#: of the backend: "cpu:onnxruntime" runs the float network.
AGAINST: Mapping[str, str] = {
    "cpu": "all backends on the CPU",
    "cuda": "all backends on an NVIDIA GPU",
    "cpu:engine": "our fastest integer engine",
    "cpu:c99": "the program as generated C, compiled for this CPU",
    "cpu:onnxruntime": "onnxruntime in float32 on the CPU",
    "cpu:torch": "PyTorch on the CPU",
    "cuda:onnxruntime": "onnxruntime in float32 on the GPU",
    "cuda:torch": "PyTorch on the GPU",
}
_ENGINE, _EXPORTER = "cpu:engine", "onnx-float"
#: Executors whose loop over the steps is compiled, and in what; those with one in Python.
_COMPILED: Mapping[str, str] = {"c": "C"}
_GENERATED = "generated C"
_IN_PYTHON = ("blas", "reference")
_UNCOMPARED = "its answers were compared with nothing: no importer makes a network of the module"


@dataclass(frozen=True)
class _Subject:
    """What is to be run, and what backends in floats should answer."""

    program: LoihiProgram | None
    network: LiquidNetwork | None
    module: Any
    threads: tuple[int, ...]
    floats: Truth | None = None

    @property
    def outputs(self) -> int:
        """Outputs of a step."""
        if self.network is not None:
            return self.network.output_size
        return self.program.output_population.size if self.program is not None else 1


def against_names() -> list[str]:
    """All that `against` may name."""
    return list(dict.fromkeys((*AGAINST, *(f"cpu:{name}" for name in known_executors()))))


def runners(
    program: LoihiProgram | None = None,
    network: LiquidNetwork | None = None,
    module: Any = None,
    against: Sequence[str] = ("cpu", "cuda"),
    *,
    threads: Sequence[int] | None = None,
) -> list[Runner]:
    """The backends that a network can be measured on.

    On the CPU our integer engine and the program as generated C (both need a program), onnxruntime
    and PyTorch in float32 (need a network or a module), each but generated C with one thread and
    with all; on a GPU onnxruntime and PyTorch. With several threads our engine runs whole sequences
    only: a stream of single samples has one. Generated C runs one long sequence, in a loop in C.

    Args:
        program: the integers.
        network: the float network that it was made of; imported from the module where absent.
        module: the live PyTorch module, which then runs itself. Otherwise ncps modules are
            rebuilt with the weights of the network, or its equations run in PyTorch.
        against: keys of AGAINST, or "cpu:" and the name of an executor, as `simulate` takes it. A
            kind ("cpu", "cuda") is a wish for what AGAINST has of it: what is not there is a row
            that says so. A backend ("cpu:torch") or an executor ("cpu:blas") is a demand.
        threads: thread counts on the CPU; one and all by default.

    Raises:
        InputError: `against` or `threads` make no sense, or there is nothing to run.
        BackendMissingError: a backend that was demanded is not there.
    """
    counts = tuple(dict.fromkeys(threads or (1, _usable_cpus())))
    wanted = (against,) if isinstance(against, str) else tuple(against)
    _check(program, network, module, wanted, counts)
    if network is None and module is not None:
        network = _imported(module)
    subject = _Subject(program, network, module, counts, _float_truth(network))
    makers: dict[str, Callable[[_Subject], Iterator[Runner]]] = {
        _ENGINE: partial(_executor, name=AUTO),
        "cpu:c99": _generated,
        "cpu:onnxruntime": partial(_onnxruntime, kind="cpu"),
        "cpu:torch": partial(_torch, kind="cpu"),
        "cuda:onnxruntime": partial(_onnxruntime, kind="cuda"),
        "cuda:torch": partial(_torch, kind="cuda"),
    }
    makers |= {
        name: partial(_executor, name=name.partition(":")[2])
        for name in wanted
        if name not in AGAINST
    }
    found: list[Runner] = []
    problems = Problems(BackendMissingError, "measure")
    for name, make in makers.items():
        demanded = name in wanted
        if not demanded and name.partition(":")[0] not in wanted:
            continue
        made = list(make(subject))
        if demanded:
            problems.extend(f"{runner.name}: {runner.missing}" for runner in made if runner.missing)
        found += made
    problems.raise_if_any()
    return found


def _check(
    program: LoihiProgram | None,
    network: LiquidNetwork | None,
    module: Any,
    against: Sequence[str],
    threads: Sequence[int],
) -> None:
    problems = Problems(InputError, "runners")
    for name in against:
        if name not in AGAINST and name not in (known := against_names()):
            problems.add(f"against {name!r} is unknown; there are {', '.join(known)}")
    for count in threads:
        if not (isinstance(count, int) and count >= 1):
            problems.add(f"{count!r} threads cannot run anything; give 1 or more")
    if program is None and network is None and module is None:
        problems.add("there is nothing to run: give a program, a network or a module")
    problems.raise_if_any()


def _usable_cpus() -> int:
    """CPUs that the process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _imported(module: Any) -> LiquidNetwork | None:
    """The network of a module; None where no importer can make one."""
    try:
        return import_network(module)
    except ImportNetworkError:
        return None


@cache
def _processor() -> str:
    return read_conditions().processor


def _versions(*packages: str) -> dict[str, str]:
    found = {"lnn2loihi": VERSION}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _threads_text(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _float_truth(network: LiquidNetwork | None) -> Truth | None:
    if network is None:
        return None
    return Truth("the float network", lambda x, t: network.evaluate(x, timespans=t).outputs)


def _executor(subject: _Subject, name: str) -> Iterator[Runner]:
    program = subject.program
    if program is None:
        yield missing_runner("integer engine", "cpu", "lnn2loihi", "give the integer program")
        return
    try:
        found = chosen(program, name)
    except (BackendMissingError, InputError) as error:
        yield missing_runner(f"integer engine {name}", "cpu", name, "; ".join(error.problems))
        return
    level = native_engine(program).name if found.name == "c" else found.name
    for count in subject.threads if found.has_threads else (None,):
        label = f"integer engine {found.name}"
        yield Runner(
            name=label if count is None else f"{label}, {_threads_text(count)}",
            kind="cpu",
            device=_processor(),
            backend=f"lnn2loihi {level}: the chip's integers, simulated",
            precision=program.recipe,
            threads=count,
            output_size=program.output_population.size,
            open=partial(EngineSession, program, found.name, count),
            streams=count is None or count == min(subject.threads),
            sequences=found.name in _COMPILED and count == min(subject.threads),
            loop=_COMPILED.get(found.name, PYTHON if found.name in _IN_PYTHON else ""),
            versions=_versions("numpy"),
            truth=_integer_truth(program),
        )


def _integer_truth(program: LoihiProgram) -> Truth:
    return Truth("simulate", lambda x, t: simulate(program, x, timespans=t).outputs, exact=True)


def _generated(subject: _Subject) -> Iterator[Runner]:
    """The loop that a part or a process without Python would run."""
    program, name = subject.program, f"{_GENERATED}, {_threads_text(1)}"
    if program is None:
        yield missing_runner(name, "cpu", _GENERATED, "give the integer program")
        return
    try:
        compiler = version_line(host_compiler())
    except BackendMissingError as error:
        yield missing_runner(name, "cpu", _GENERATED, "; ".join(error.problems))
        return
    yield Runner(
        name=name,
        kind="cpu",
        device=_processor(),
        backend=f"the program as C99, by {compiler} at -O3 -march=native: the chip's integers",
        precision=program.recipe,
        threads=1,
        output_size=program.output_population.size,
        open=partial(GeneratedSession, program),
        streams=False,
        sequences=True,
        batches=False,
        loop="C",
        versions=_versions("numpy"),
        notes=("compiled where it is first measured, which is not in its time",),
        truth=_integer_truth(program),
    )


def _onnxruntime(subject: _Subject, kind: Kind) -> Iterator[Runner]:
    name, backend = f"onnxruntime on {_place(kind)}", "onnxruntime, one Scan, masks folded"
    reason = _onnxruntime_missing(subject, kind)
    if reason:
        yield missing_runner(name, kind, backend, reason)
        return
    network = subject.network
    assert network is not None
    model = cache(lambda: export(network, _EXPORTER).SerializeToString())

    def opened(count: int | None) -> Session:
        from lnn2loihi.measure.onnx_session import OnnxSession

        return OnnxSession(model(), kind, count)

    for count in subject.threads if kind == "cpu" else (None,):
        yield Runner(
            name=name if count is None else f"{name}, {_threads_text(count)}",
            kind=kind,
            device=_processor() if kind == "cpu" else _gpu(),
            backend=backend,
            precision="float32",
            threads=count,
            output_size=subject.outputs,
            open=partial(opened, count),
            sequences=kind == "cpu" and count == min(subject.threads),
            loop="onnxruntime",
            versions=_versions("onnxruntime", "onnxruntime-gpu", "onnx"),
            truth=subject.floats,
        )


def _onnxruntime_missing(subject: _Subject, kind: Kind) -> str:
    """Why it cannot run; empty where it can."""
    if subject.network is None:
        return (
            "give the float network; this runs it, and no module was given that could be imported "
            "(--network net.l2n, network=... in Python)"
        )
    package = "onnxruntime" if kind == "cpu" else "onnxruntime-gpu"
    absent = [p for p, name in (("onnx", "onnx"), (package, "onnxruntime")) if not find_spec(name)]
    if absent:
        return f"not installed: pip install {' '.join(absent)}"
    try:
        import onnxruntime
    except Exception as error:  # a broken installation raises what it likes
        return f"onnxruntime cannot be imported: {one_line(error)}"
    if _EXPORTER not in EXPORTERS.names():
        return f"the exporter {_EXPORTER} is not registered: install lnn2loihi again"
    there = onnxruntime.get_available_providers()
    if kind == "cpu" or "CUDAExecutionProvider" in there:
        return ""
    return (
        f"this onnxruntime has no CUDAExecutionProvider ({', '.join(there)}): pip uninstall "
        "onnxruntime, pip install onnxruntime-gpu"
    )


def _torch(subject: _Subject, kind: Kind) -> Iterator[Runner]:
    reason = _torch_missing(subject, kind)
    if reason:
        yield missing_runner(f"PyTorch on {_place(kind)}", kind, "PyTorch", reason)
        return
    for form in _torch_forms(subject, kind):
        for count in subject.threads if kind == "cpu" else (None,):
            name = f"{form.label} on {_place(kind)}"
            yield Runner(
                name=name if count is None else f"{name}, {_threads_text(count)}",
                kind=kind,
                device=_processor() if kind == "cpu" else _gpu(),
                backend=form.what,
                precision="float32",
                threads=count,
                output_size=subject.outputs,
                open=partial(form.open, count),
                streams=form.streams,
                loop=PYTHON if form.streams else "",
                versions=_versions("torch", "ncps") | (_cuda_version() if kind == "cuda" else {}),
                notes=() if subject.floats else (_UNCOMPARED,),
                truth=subject.floats,
            )


def _torch_missing(subject: _Subject, kind: Kind) -> str:
    """Why it cannot run; empty where it can."""
    if subject.network is None and subject.module is None:
        return "give the float network (--network net.l2n, network=... in Python), or the module"
    if not find_spec("torch"):
        return "not installed: pip install 'lnn2loihi[torch]'"
    try:
        import torch
    except Exception as error:  # a broken installation raises what it likes
        return f"torch cannot be imported: {one_line(error)}"
    if kind == "cpu" or torch.cuda.is_available():
        return ""
    return f"no CUDA device is there for torch {torch.__version__}"


@dataclass(frozen=True)
class _Form:
    """A way to run a network in PyTorch.

    Attributes:
        label: its name.
        what: what it is.
        open: makes it ready, with so many threads.
        streams: whether it can run step by step.
    """

    label: str
    what: str
    open: Callable[[int | None], Session]
    streams: bool = True


def _torch_forms(subject: _Subject, kind: Kind) -> Iterator[_Form]:
    """The module that was given; where its state cannot be carried, or there is none, the network
    rebuilt.
    """
    from lnn2loihi.measure import torch_session as here

    module, network = subject.module, subject.network
    if module is not None:
        timespan = 1.0 if network is None else network.timespan
        if package := here.live_blocks(module, timespan)[1]:
            yield _Form(
                package, f"{package}, the module that was given",
                lambda n: here.TorchSession(here.live_blocks(module, timespan)[0], kind, n),
            )  # fmt: skip
            return
        yield _Form(
            "PyTorch module", here.LIVE_MODULE,
            lambda n: here.ModuleSession(module, kind, n), streams=False,
        )  # fmt: skip
    if network is not None:
        package = here.network_blocks(network)[1]
        yield _Form(
            package or "PyTorch",
            f"{package}, modules with the weights of the network" if package else here.EQUATIONS,
            lambda n: here.TorchSession(here.network_blocks(network)[0], kind, n),
        )  # fmt: skip


def _place(kind: Kind) -> str:
    return "CPU" if kind == "cpu" else "GPU"


def _cuda_version() -> dict[str, str]:
    import torch

    return {"CUDA": str(torch.version.cuda)}


def _gpu() -> str:
    """The name of the GPU, and of its board; unknown where PyTorch cannot say."""
    own = f" ({board()})" if board() else ""
    if find_spec("torch"):
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name(0) + own
    return f"NVIDIA GPU{own}"
