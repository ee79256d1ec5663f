"""What is of the wrong kind is refused by every public function, with the way to the right one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from networks import random_network, random_samples

import lnn2loihi as l2l

NETWORK = r"of type LiquidNetwork; give a LoihiProgram: quantize\(network, x\) makes one"
PROGRAM = r"of type LoihiProgram; give a LiquidNetwork: import_network\(module_or_checkpoint\)"
NO_PROGRAM = "program is None; give a LoihiProgram"
PATH = "give a str or an os.PathLike"
COUNTERS = r"counters is of type int; give the counters of a simulation"


class Made(NamedTuple):
    network: Any
    program: Any
    x: np.ndarray


@pytest.fixture(scope="module")
def made() -> Made:
    network, x = random_network(1), random_samples(1, 2, 5, 3)
    return Made(network, l2l.quantize(network, x), x)


CALLS: dict[str, tuple[str, Callable[[Made], object]]] = {
    "verify": (f"verify: program is {NETWORK}", lambda m: l2l.verify(m.network, m.x)),
    "place": (f"place: program is {NETWORK}", lambda m: l2l.place(m.network)),
    "counters": (COUNTERS, lambda m: l2l.place(m.program, counters=3)),  # type: ignore[arg-type]
    "profile": (f"profile: program is {NETWORK}", lambda m: l2l.profile(m.network, m.x)),
    "sensitivity": (f"network is {PROGRAM}", lambda m: l2l.sensitivity(m.program, m.x)),
    "quantize": (f"quantize: network is {PROGRAM}", lambda m: l2l.quantize(m.program, m.x)),
    "layers": (
        "layers is of type list; give a dict of recipes by name of layer",
        lambda m: l2l.quantize(m.network, m.x, layers=["layer_0"]),  # type: ignore[arg-type]
    ),
    "simulate": (NO_PROGRAM, lambda m: l2l.simulate(None, m.x)),  # type: ignore[arg-type]
    "simulate_stream": (NO_PROGRAM, lambda m: list(l2l.simulate_stream(None, [m.x]))),  # type: ignore[arg-type]
    "run_lava": (NO_PROGRAM, lambda m: l2l.run_lava(None, m.x)),  # type: ignore[arg-type]
    "open_stream": (NO_PROGRAM, lambda _: l2l.open_stream(None)),  # type: ignore[arg-type]
    "load": (f"load: path is None; {PATH}", lambda _: l2l.load(None)),  # type: ignore[arg-type]
    "save": ("program is of type str", lambda _: l2l.save("a", "b.l2l")),  # type: ignore[arg-type]
    "save path": (f"path is None; {PATH}", lambda m: l2l.save(m.program, None)),  # type: ignore[arg-type]
    "export": (f"path is None; {PATH}", lambda m: l2l.export(m.program, None)),  # type: ignore[arg-type]
    "export source": (
        "source is of type int; give a LoihiProgram: .* or a LiquidNetwork: ",
        lambda _: l2l.export(3, "a.onnx"),  # type: ignore[arg-type]
    ),
    "report": (
        "result is None; give a ProfileResult: profile",
        lambda m: l2l.report(None, m.program, "a.html"),  # type: ignore[arg-type]
    ),
    "load_profile": (f"path is None; {PATH}", lambda _: l2l.load_profile(None)),  # type: ignore[arg-type]
    "load_device": (
        r"device is of type int; .*device_names\(\) lists the names",
        lambda m: l2l.place(m.program, 3),  # type: ignore[arg-type]
    ),
    "save_device": (
        "device is of type str; give a Device",
        lambda _: l2l.save_device("a", "b.toml"),  # type: ignore[arg-type]
    ),
    "estimate": (
        r"workload is None; give a Workload: workload\(placement, counters\)",
        lambda _: l2l.estimate(None, "loihi2-oheo-gulch"),  # type: ignore[arg-type]
    ),
    "workload": (
        r"placement is of type LoihiProgram; give a Placement: place\(program\)",
        lambda m: l2l.workload(m.program, None),  # type: ignore[arg-type]
    ),
    "network_metrics": (f"network is {PROGRAM}", lambda m: l2l.network_metrics(m.program, m.x)),
    "program_metrics": (
        f"program is {NETWORK}",
        lambda m: l2l.program_metrics(m.network, None, 1),  # type: ignore[arg-type]
    ),
    "ratio": (
        "numerator is of type int; give a row of a profile",
        lambda _: l2l.ratio(1, 2),  # type: ignore[arg-type]
    ),
    "interleaved text": (
        "sequences is of type str; give a whole number$",
        lambda m: m.program.interleaved("a"),
    ),
    "interleaved fraction": (
        "sequences is of type float; give a whole number$",
        lambda m: m.program.interleaved(2.5),
    ),
}


@pytest.mark.parametrize("match, call", CALLS.values(), ids=list(CALLS))
def test_what_is_of_the_wrong_kind_is_refused(
    made: Made, match: str, call: Callable[[Made], object]
) -> None:
    with pytest.raises(l2l.Lnn2LoihiError, match=match):
        call(made)


def test_swapped_arguments_are_both_named(made: Made) -> None:
    with pytest.raises(l2l.InputError) as raised:
        l2l.compare(made.program, made.network, made.x)
    problems = raised.value.problems
    assert len(problems) == 2
    assert problems[0].startswith("network is of type LoihiProgram; give a LiquidNetwork")
    assert problems[1].startswith("program is of type LiquidNetwork; give a LoihiProgram")


def test_whole_numbers_of_numpy_are_numbers(made: Made) -> None:
    schedule = made.program.interleaved(np.int64(1)).schedule
    assert type(schedule.interleave) is int
