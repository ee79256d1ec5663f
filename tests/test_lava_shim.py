"""What is known of Lava without importing it, the import shim, and the exporter."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from patience import PATIENCE
from programs import Sizes, random_inputs, random_program

from lnn2loihi.converters.lava import LavaExporter
from lnn2loihi.errors import BackendMissingError, InputError, LavaRunError
from lnn2loihi.lava import import_lava, lava_is_installed, require_lava, shim
from lnn2loihi.plugins import Exporter
from lnn2loihi.requirements import lava_remedy
from lnn2loihi.simulation import full_initial_state
from lnn2loihi.simulation.reference import run_reference

ROOT = Path(__file__).parent.parent
needs_lava = pytest.mark.skipif(not lava_is_installed(), reason="lava-nc is not installed")


def in_new_interpreter(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def assert_runs(code: str, *options: str) -> None:
    done = in_new_interpreter(code, *options)
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")


def test_importing_the_package_does_not_import_lava() -> None:
    assert_runs(
        "import sys, lnn2loihi.lava, lnn2loihi.lava.graph, lnn2loihi.simulation.machine\n"
        "import lnn2loihi.converters.lava\n"
        "lnn2loihi.lava.lava_is_installed()\n"
        "found = [m for m in sys.modules if m.partition('.')[0] in ('lava', 'scipy', 'networkx')]\n"
        "assert not found, found\n"
    )


@pytest.mark.parametrize("python", [(3, 10), (3, 12), (3, 13)])
def test_where_lava_is_missing(monkeypatch: pytest.MonkeyPatch, python: tuple[int, int]) -> None:
    """The command is the one that doctor gives."""

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(shim, "version", missing)
    running = SimpleNamespace(version_info=(*python, 0), executable="/a b/python")
    monkeypatch.setattr(shim, "sys", running)
    assert not lava_is_installed()
    with pytest.raises(BackendMissingError) as info:
        require_lava()
    assert info.value.exit_code == 3
    command = lava_remedy(python, "/a b/python")
    said = f"lava-nc is not installed. On Python {'.'.join(map(str, python))}: {command}"
    assert str(info.value).endswith(said) and "'/a b/python' -m pip install" in command
    with pytest.raises(BackendMissingError):
        LavaExporter().export(random_program(0))


def test_where_a_dependency_or_the_version_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shim, "version", lambda name: "0.9.0")
    monkeypatch.setattr(shim, "find_spec", lambda name: None if name == "asteval" else name)
    with pytest.raises(BackendMissingError, match="0.9.0 is installed, 0.10.0 is supported; ast"):
        import_lava()


@needs_lava
@pytest.mark.parametrize("chosen", ["", "multiprocessing.set_start_method('fork')"])
def test_the_shim_leaves_nothing_behind(chosen: str) -> None:
    assert_runs(
        "import dataclasses, logging, multiprocessing, sys, warnings\n"
        "import asteval, networkx, scipy.sparse\n"
        f"{chosen}\n"
        "def world():\n"
        "    return (dataclasses.dataclass, multiprocessing.set_start_method, sys.meta_path[:],\n"
        "            list(warnings.filters), logging.getLogger().handlers[:],\n"
        "            multiprocessing.get_start_method(allow_none=True))\n"
        "before = world()\n"
        "from lnn2loihi.lava import import_lava\n"
        "import_lava()\n"
        "assert world() == before\n"
        "from lava.magma.compiler.var_model import ByteEncoder, CoreEncoder\n"
        "assert ByteEncoder.__hash__ is None and CoreEncoder().x == ByteEncoder()\n"
        "import_lava()\n"
        "import lava.proc.sparse.process\n",
        "-W", "error::UserWarning",
    )  # fmt: skip


@needs_lava
def test_processes_can_be_imported_first() -> None:
    assert_runs("import lnn2loihi.lava.processes.population.models")


@needs_lava
def test_after_lava_was_imported_with_another_shim() -> None:
    assert_runs(
        "import dataclasses, functools\n"
        "original = dataclasses.dataclass\n"
        "dataclasses.dataclass = functools.partial(original, unsafe_hash=True)\n"
        "import warnings; warnings.simplefilter('ignore')\n"
        "import lava.magma.compiler.var_model as model, lava.magma.core.process.process\n"
        "dataclasses.dataclass = original\n"
        "hashed = model.ByteEncoder.__hash__\n"
        "from lnn2loihi.lava import import_lava\n"
        "import_lava()\n"
        "assert model.ByteEncoder.__hash__ is hashed and hashed is not None\n"
    )


#: As where spawn is the system's own: nobody has chosen anything.
SPAWN_FIRST = "multiprocessing.get_all_start_methods = lambda: ['spawn', 'fork', 'forkserver']"
CHOSEN = ("", SPAWN_FIRST, *(
    f"multiprocessing.set_start_method({method!r})" for method in ("fork", "spawn", "forkserver")
))  # fmt: skip


def scenario_run() -> None:
    """Runs in Lava, here and in the main process of others."""
    from lnn2loihi.verification.verb import verify

    program = random_program(1, Sizes(inputs=2, layers=(2,), readout=1))
    x = random_inputs(0, program, 1, 3)
    assert verify(program, x, "reference,lava", encoded=True).bit_exact


@needs_lava
@pytest.mark.parametrize("chosen", CHOSEN)
def test_any_start_method_will_do_and_none_is_chosen(chosen: str) -> None:
    assert_runs(
        f"import multiprocessing\n{chosen}\n"
        "before = multiprocessing.get_start_method(allow_none=True)\n"
        "import test_lava_shim; test_lava_shim.scenario_run()\n"
        "assert multiprocessing.get_start_method(allow_none=True) == before\n"
        "assert not multiprocessing.active_children()\n"
    )


@needs_lava
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_in_children(method: str) -> None:
    assert_runs(
        "import multiprocessing, test_lava_shim\n"
        f"child = multiprocessing.get_context({method!r}).Process(\n"
        "    target=test_lava_shim.scenario_run)\n"
        "child.start(); child.join(60); assert child.exitcode == 0, child.exitcode\n"
    )


def refused() -> str:
    with pytest.raises(LavaRunError) as info:
        scenario_run()
    return str(info.value)


@needs_lava
def test_in_a_daemonic_child() -> None:
    """All processes of a pool are such, and multiprocessing allows them no children."""
    assert_runs(
        "import multiprocessing, test_lava_shim\n"
        "with multiprocessing.get_context('fork').Pool(1) as pool:\n"
        "    text = pool.apply(test_lava_shim.refused)\n"
        "assert \"allows none to 'ForkPoolWorker-1', which is a daemonic child\" in text, text\n"
        "assert 'ProcessPoolExecutor' in text, text\n"
    )


def test_a_system_without_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    with pytest.raises(BackendMissingError, match="it runs on Linux and macOS"):
        shim.require_workers()


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_graph_in_lavas_own_way_needs_fork(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none: method)
    with pytest.raises(LavaRunError) as info:
        shim.choose_fork()
    assert f"it is {method!r}, because that was chosen, or because this process was" in str(
        info.value
    )
    assert "multiprocessing.set_start_method('fork', force=True)" in str(info.value)


def test_fork_is_chosen_for_a_graph_where_nobody_has_chosen() -> None:
    assert_runs(
        f"import multiprocessing\n{SPAWN_FIRST}\n"
        "from lnn2loihi.lava.shim import choose_fork\n"
        "choose_fork(); choose_fork()\n"
        "assert multiprocessing.get_start_method(allow_none=True) == 'fork'\n"
    )


@needs_lava
def test_the_exporters_graph() -> None:
    assert isinstance(LavaExporter(), Exporter)
    program = random_program(1, Sizes(layers=(3, 2)))
    graph = LavaExporter().export(program)
    assert (graph.plan.batch, graph.plan.time, graph.steps) == (1, 1, program.schedule.steps(1))
    graph = LavaExporter().export(program, batch=2, samples=3)
    assert (graph.plan.batch, graph.plan.time) == (2, 3)
    assert len(graph.processes) == 1 + 3 + 5
    assert graph.populations["layer_0"].name == "layer_0"
    assert graph.run_config().select_tag == "fixed_pt"
    with pytest.raises(InputError, match="batch is 0; give a whole number from 1"):
        LavaExporter().export(program, batch=0)


def scenario_exported() -> None:
    """Lava's own compiler, runtime and message passing run the exported graph, and further."""
    program = random_program(1, Sizes(layers=(3, 2)))
    x = random_inputs(0, program, 2, 6)
    graph = LavaExporter().export(program, x=program.input.decode(x))
    from lava.magma.core.run_conditions import RunSteps

    graph.input.run(condition=RunSteps(num_steps=graph.steps), run_cfg=graph.run_config())
    graph.input.run(condition=RunSteps(num_steps=3))
    graph.input.stop()
    states = graph.recorded()
    expected = run_reference(program, x, full_initial_state(program, 2, None)).states
    for name, words in expected.items():
        for word, values in words.items():
            assert np.array_equal(states[name][word], values)
    assert graph.progress[0] == graph.steps + 3


@needs_lava
def test_the_exported_graph_runs_in_lavas_own_way() -> None:
    assert_runs("import test_lava_shim; test_lava_shim.scenario_exported()")
