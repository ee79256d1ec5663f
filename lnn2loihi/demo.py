"""The demonstration: a shipped network walks the whole road, and an account of what happened."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lnn2loihi.artifact import save
from lnn2loihi.comparison import ComparisonResult, compare
from lnn2loihi.errors import BackendMissingError
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.plugins import shipped_model
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantization.verb import quantize
from lnn2loihi.recipe import DEFAULT_RECIPE
from lnn2loihi.samples import write_arrays
from lnn2loihi.simulation import simulate
from lnn2loihi.verification.verb import Progress, VerificationResult, verify

MODEL = "damped_sine"
TIME, CALIBRATION_SEED, TEST_SEED = 64, 1, 2


@dataclass(frozen=True)
class Demonstration:
    """What the demonstration measured.

    Attributes:
        network, program: the float network and its integer program.
        verification: reference against Lava, or None where Lava is not installed.
        lava_missing: what to do then, or "".
        comparison: float against integers.
        mean_squared_errors: test error of the last noisy sample, the float network and the
            integers, against the clean next value.
        files: what was written.
        seconds: wall-clock time of each stage.
    """

    network: LiquidNetwork
    program: LoihiProgram
    verification: VerificationResult | None
    lava_missing: str
    comparison: ComparisonResult
    mean_squared_errors: dict[str, float]
    files: tuple[Path, ...]
    seconds: dict[str, float]

    def account(self) -> str:
        """What was done and measured, in plain words."""
        errors = self.mean_squared_errors
        lines = [
            f"Network: {self.network.name}, {self.network.units} CfC units and a readout, "
            f"{self.network.synapses:,} synapses. Task: the next clean value of a noisy damped "
            "sine wave.",
            f"Recipe {self.program.recipe}; every word proved to fit 24 bits.",
            "Measured on test sequences, mean squared error: "
            + ", ".join(f"{name} {value:.5f}" for name, value in errors.items())
            + ".",
        ]
        if self.verification is not None:
            v = self.verification
            lines.append(
                f"Reference and Lava: {v.mismatch_count} of {v.compared:,} values differ "
                f"({v.sequences} sequences of {v.steps} samples, every state of every step)."
            )
        else:
            lines.append(f"Lava did not run: {self.lava_missing}")
        lines.append(
            f"One sample per {self.program.steps_per_sample} time step of the chip, answer after "
            f"{self.program.latency_steps} steps; nothing here ran on silicon."
        )
        lines.append(
            "Wall-clock seconds on this machine: "
            + ", ".join(f"{name} {value:.1f}" for name, value in self.seconds.items())
            + "."
        )
        lines += ["Files:", *(f"  {file}" for file in self.files)]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "network": self.network.to_dict(),
            "recipe": self.program.recipe,
            "table": [dict(row) for row in self.program.table],
            "verification": self.verification.to_dict() if self.verification else None,
            "lava_missing": self.lava_missing,
            "comparison": self.comparison.to_dict(),
            "mean_squared_errors": self.mean_squared_errors,
            "files": [str(file) for file in self.files],
            "seconds": self.seconds,
        }


def run_demo(
    folder: Path,
    *,
    recipe: str = DEFAULT_RECIPE,
    sequences: int = 64,
    progress: Progress | None = None,
) -> Demonstration:
    """Quantizes, simulates, verifies and compares the shipped network.

    Args:
        folder: where the program and the answers are written; made if missing.
        recipe: quantization recipe.
        sequences: test sequences, each of TIME samples.
        progress: as for `verify`.
    """
    seconds: dict[str, float] = {}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = call()
        seconds[name] = round(time.perf_counter() - start, 3)
        return result

    model = shipped_model(MODEL)
    network = model.load()
    calibrate, _ = model.example(sequences, TIME, CALIBRATION_SEED)
    x, targets = model.example(sequences, TIME, TEST_SEED)
    program = timed("quantize", lambda: quantize(network, calibrate, recipe))
    folder.mkdir(parents=True, exist_ok=True)
    files = [save(program, folder / f"{MODEL}.l2l")]
    result = timed("simulate", lambda: simulate(program, x))
    truth = network.evaluate(x).outputs
    files.append(
        write_arrays(
            folder / "answers.npz",
            {"x": x, "target": targets, "float": truth, "outputs": result.outputs,
             "integers": result.integers},
        )
    )  # fmt: skip
    verification, missing = None, ""
    try:
        verification = timed("verify", lambda: verify(program, x, progress=progress))
    except BackendMissingError as error:
        missing = str(error)
    comparison = timed("compare", lambda: compare(network, program, x))
    answers = {"last noisy sample": x, "float network": truth, "integers": result.outputs}
    errors = {name: float(np.mean((y - targets) ** 2)) for name, y in answers.items()}
    return Demonstration(
        network, program, verification, missing, comparison, errors, tuple(files), seconds
    )
