"""The demonstration: a shipped network walks the whole road, and an account of what happened.

It writes what somebody with a network of their own would: the network, samples and a build file;
the rest is `build`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from lnn2loihi import network_file
from lnn2loihi.arguments import checks_kinds
from lnn2loihi.artifact import load, save
from lnn2loihi.building.steps import PROGRAM, OnStep
from lnn2loihi.building.verb import BuildResult, build
from lnn2loihi.defaults import DEFAULT_RECIPE, MOST_DEMO_SEQUENCES
from lnn2loihi.errors import ArtifactError
from lnn2loihi.files import write_atomically
from lnn2loihi.kinds import Within
from lnn2loihi.lava import lava_is_installed
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.plugins import shipped_model
from lnn2loihi.program import LoihiProgram
from lnn2loihi.recipe import Recipe
from lnn2loihi.samples import write_arrays
from lnn2loihi.simulation import simulate

MODEL = "damped_sine"
TIME, CALIBRATION_SEED, TEST_SEED = 64, 1, 2
_SEQUENCES = Annotated[
    int, Within(1, MOST_DEMO_SEQUENCES), f"a whole number from 1 to {MOST_DEMO_SEQUENCES:,}"
]
_BUILD = """\
# The road of the demonstration: lnn2loihi build lnn2loihi.toml walks it again.
[network]
source = "{model}.l2n"

[samples]
calibrate = "calibrate.npy"
test = "test.npy"
targets = "targets.npy"

[quantize]
recipe = "{recipe}"

[verify]

[compare]

[place]

[profile]
rate = "100Hz"
quick = true
budget_seconds = 4

[report]
file = "report.html"

[[export]]
file = "{model}.c"
"""
_ONNX = """
[[export]]
file = "{model}.onnx"
"""


@dataclass(frozen=True)
class Demonstration:
    """What the demonstration measured.

    Attributes:
        network, program: the float network and its integer program; None where quantizing failed.
        built: what became of each step.
        missing: what has not run because a package is not installed, and what to do.
        mean_squared_errors: test error of the last noisy sample, the float network and the
            integers, against the clean next value.
        files: what was written.
        seconds: wall-clock time in all.
    """

    network: LiquidNetwork
    program: LoihiProgram | None
    built: BuildResult
    missing: tuple[str, ...]
    mean_squared_errors: dict[str, float]
    files: tuple[Path, ...]
    seconds: float

    @property
    def exit_code(self) -> int:
        """That of the steps: 0 where nothing has failed."""
        return self.built.exit_code

    def summary(self) -> str:
        """What was done and measured, in plain words, and what to do next."""
        lines = [
            f"Network: {self.network.name}, {self.network.units} CfC units and a readout, "
            f"{self.network.synapses:,} synapses. Task: the next clean value of a noisy damped "
            "sine wave.",
            "",
            self.built.summary(),
            "",
        ]
        if self.program is not None:
            errors = self.mean_squared_errors
            lines += [
                f"Recipe {self.program.recipe}; every word proved to fit 24 bits.",
                "Measured on test sequences, mean squared error: "
                + ", ".join(f"{name} {value:.5f}" for name, value in errors.items())
                + ".",
                f"One sample per {self.program.steps_per_sample} time step of the chip, answer "
                f"after {self.program.latency_steps} steps; nothing here ran on silicon.",
            ]
        lines += self.missing
        lines.append(f"Wall-clock seconds on this machine: {self.seconds:.1f}.")
        lines += ["Files:", *(f"  {file}" for file in self.files)]
        return "\n".join([*lines, *self._next()])

    def _next(self) -> list[str]:
        folder = self.built.folder.parent
        page = self.built.folder / "report.html"
        shown = [f"  open {page} in a browser: verdict, costs, what they rest on"]
        return [
            "What to do next:",
            *(shown if page in self.built.files else []),
            f"  change the recipe in {folder / 'lnn2loihi.toml'}, then: lnn2loihi build "
            f"{folder / 'lnn2loihi.toml'}",
            "  your own network: lnn2loihi inspect FILE, or in Python "
            'l2l.save(l2l.import_network(module), "net.l2n")',
            "  your own road: lnn2loihi build lnn2loihi.toml --template, edit it, lnn2loihi build",
            "  what is installed, and what each missing part costs: lnn2loihi doctor",
        ]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        program = self.program
        return {
            "network": self.network.to_dict(),
            "recipe": None if program is None else program.recipe,
            "table": [] if program is None else [dict(row) for row in program.table],
            "build": self.built.to_dict(),
            "missing": list(self.missing),
            "mean_squared_errors": self.mean_squared_errors,
            "files": [str(file) for file in self.files],
            "seconds": self.seconds,
        }


@checks_kinds()
def run_demo(
    folder: Path,
    *,
    recipe: str = DEFAULT_RECIPE,
    sequences: _SEQUENCES = 64,
    progress: OnStep | None = None,
) -> Demonstration:
    """Walks the whole road with the shipped network: quantize, verify, compare, place, profile,
    report, export.

    Args:
        folder: where everything is written; made if missing.
        recipe: quantization recipe.
        sequences: test sequences, each of TIME samples, at most MOST_DEMO_SEQUENCES.
        progress: called with what is going on, how much of it is done, and how much there is.

    Raises:
        RecipeError: the recipe is none.
        InputError: an argument makes no sense.
        ArtifactError: the folder cannot be written.
    """
    Recipe.parse(recipe)
    start = time.perf_counter()
    model = shipped_model(MODEL)
    network = model.load()
    calibrate, _ = model.example(sequences, TIME, CALIBRATION_SEED)
    x, targets = model.example(sequences, TIME, TEST_SEED)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(str(folder), f"cannot be made: {error.strerror}") from error
    files = [network_file.save(network, folder / f"{MODEL}.l2n")]
    for name, array in (("calibrate", calibrate), ("test", x), ("targets", targets)):
        files.append(write_arrays(folder / f"{name}.npy", {"outputs": array}))
    has_onnx = find_spec("onnx") is not None
    text = (_BUILD + _ONNX * has_onnx).format(model=MODEL, recipe=recipe)
    files.append(write_atomically(folder / "lnn2loihi.toml", text.encode()))
    built = build(files[-1], progress=progress)
    missing: list[str] = []
    if not lava_is_installed():
        missing.append(
            "Lava did not run: it is not installed, and the other executors were compared "
            "(lnn2loihi doctor says how to install it)."
        )
    if not has_onnx:
        missing.append("No ONNX file was written: onnx is not installed (pip install onnx).")
    program, errors = None, dict[str, float]()
    if (built.folder / PROGRAM).is_file() and built.steps[1].state in ("done", "kept"):
        program = load(built.folder / PROGRAM)
        files.append(save(program, folder / f"{MODEL}.l2l"))
        result = simulate(program, x)
        truth = network.evaluate(x).outputs
        arrays = {"x": x, "target": targets, "float": truth, "outputs": result.outputs,
                  "integers": result.integers}  # fmt: skip
        files.append(write_arrays(folder / "answers.npz", arrays))
        answers = {"last noisy sample": x, "float network": truth, "integers": result.outputs}
        errors = {name: float(np.mean((y - targets) ** 2)) for name, y in answers.items()}
    files += built.files
    return Demonstration(
        network, program, built, tuple(missing), errors, tuple(files),
        round(time.perf_counter() - start, 3),
    )  # fmt: skip
