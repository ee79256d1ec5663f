"""Trains an NCP on HalfCheetah, converts it, and evaluates float and integers side by side.

    python examples/halfcheetah.py --data FOLDER/halfcheetah.npz --out out/halfcheetah

Next-state prediction, protocol in lnn2loihi/models/halfcheetah/data.py. The trivial baseline
copies the last state. Needs PyTorch and ncps for training, Lava for the verification.
"""

from __future__ import annotations

import numpy as np
import torch
from evaluation import console, convert, parser, run
from ncps.torch import CfC
from ncps.wirings import AutoNCP

from lnn2loihi.models.halfcheetah import data
from lnn2loihi.models.training import description, fit, save_checkpoint, shuffled_batches
from lnn2loihi.tables import percent, text_table

UNITS, MOTOR_UNITS, BATCH = 96, 32, 32


def main() -> None:
    """Trains, converts, evaluates."""
    arguments = parser(__doc__ or "", "halfcheetah.npz", epochs=60).parse_args()
    cheetah = data.load(arguments.data)
    torch.set_num_threads(1)  # the same machine then gives the same weights again
    torch.manual_seed(arguments.seed)
    wiring = AutoNCP(UNITS, MOTOR_UNITS, seed=arguments.seed)
    model = CfC(data.CHANNELS, wiring, proj_size=data.CHANNELS)
    scale = torch.tensor(cheetah.deviation, dtype=torch.float32)
    fit(
        model,
        shuffled_batches(cheetah.x_train, cheetah.y_train, BATCH, arguments.seed),
        lambda predicted, target: (((predicted - target) * scale) ** 2).mean(),
        epochs=arguments.epochs,
        steps_per_epoch=-(-len(cheetah.x_train) // BATCH),
        learning_rate=0.01,
        console=console,
    )
    toml = description("halfcheetah", data.CHANNELS, UNITS, MOTOR_UNITS, data.CHANNELS)
    checkpoint = save_checkpoint(model, arguments.out, toml)
    calibrate = np.concatenate([cheetah.x_train, cheetah.x_validation])
    converted = convert(checkpoint, arguments, calibrate, cheetah.x_test)
    answers = {
        "copy the last state": cheetah.x_test,
        "float network": converted.float_outputs,
        "float network, inputs as encoded": converted.saturated_outputs,
        f"integers, {converted.program.recipe}": converted.integer_outputs,
    }
    errors = {name: cheetah.squared_error(y, cheetah.y_test) for name, y in answers.items()}
    real = errors["float network"]
    rows = [(name, f"{value:.4f}", percent(value / real - 1)) for name, value in errors.items()]
    headers = ("HalfCheetah, 970 test sequences", "test MSE", "against float")
    console.print(text_table(headers, rows), soft_wrap=True)


if __name__ == "__main__":
    run(main)
