"""Trains a CfC on HalfCheetah, converts it, and evaluates float and integers side by side.

    python benchmarks/halfcheetah.py --data FOLDER/halfcheetah.npz --out out/halfcheetah

Next-state prediction, protocol in lnn2loihi/models/halfcheetah/data.py. The trivial baseline
copies the last state. Needs PyTorch for training, Lava for the verification.
"""

from __future__ import annotations

import numpy as np
from evaluation import console, convert, parser, run

from lnn2loihi.models.halfcheetah import data, train
from lnn2loihi.models.training import save_checkpoint
from lnn2loihi.tables import percent, text_table


def main() -> None:
    """Trains, converts, evaluates."""
    arguments = parser(__doc__ or "", "halfcheetah.npz", epochs=train.EPOCHS).parse_args()
    cheetah = data.load(arguments.data, train.TRAINING_STRIDE)
    model = train.train(cheetah, arguments.seed, arguments.epochs, console)
    checkpoint = save_checkpoint(model, arguments.out, train.DESCRIPTION)
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
