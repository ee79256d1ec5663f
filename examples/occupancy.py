"""Trains an NCP on room occupancy, converts it, and evaluates float and integers side by side.

    python examples/occupancy.py --data FOLDER/occupancy --out out/occupancy

Per-step classification, protocol in lnn2loihi/models/occupancy/data.py. The trivial baseline is
a threshold on light alone, which scores 99 %, so F1 and balanced accuracy are reported too.
Needs PyTorch and ncps for training, Lava for the verification.
"""

from __future__ import annotations

import numpy as np
import torch
from evaluation import console, convert, parser, run
from ncps.torch import CfC
from ncps.wirings import AutoNCP

from lnn2loihi.models.occupancy import data
from lnn2loihi.models.training import description, fit, save_checkpoint, shuffled_batches
from lnn2loihi.tables import percent, text_table

UNITS, MOTOR_UNITS, BATCH = 16, 4, 64


def main() -> None:
    """Trains, converts, evaluates."""
    arguments = parser(__doc__ or "", "folder with datatraining.txt", epochs=2).parse_args()
    rooms = data.load(arguments.data)
    torch.set_num_threads(1)  # the same machine then gives the same weights again
    torch.manual_seed(arguments.seed)
    wiring = AutoNCP(UNITS, MOTOR_UNITS, seed=arguments.seed)
    model = CfC(data.FEATURES, wiring, proj_size=1)
    fit(
        model,
        shuffled_batches(rooms.x_train, rooms.y_train[..., None], BATCH, arguments.seed),
        torch.nn.functional.binary_cross_entropy_with_logits,
        epochs=arguments.epochs,
        steps_per_epoch=-(-len(rooms.x_train) // BATCH),
        learning_rate=0.005,
        console=console,
    )
    toml = description("occupancy", data.FEATURES, UNITS, MOTOR_UNITS, 1)
    checkpoint = save_checkpoint(model, arguments.out, toml)
    converted = convert(checkpoint, arguments, rooms.x_train[::8], rooms.x_test)
    light = rooms.x_test[..., data.LIGHT] > rooms.light_threshold()
    real = converted.float_outputs[..., 0] > 0
    integer = converted.integer_outputs[..., 0] > 0
    answers = {
        "threshold on light": light,
        "float network": real,
        f"integers, {converted.program.recipe}": integer,
    }
    rows = []
    for name, predicted in answers.items():
        found = data.scores(predicted.astype(np.int64), rooms.y_test)
        values = (found.accuracy, found.balanced_accuracy, found.f1)
        rows.append((name, *(percent(value) for value in values)))
    headers = (f"Occupancy, {light.size:,} test steps", "accuracy", "balanced accuracy", "F1")
    console.print(text_table(headers, rows), soft_wrap=True)
    console.print(f"agreement of integers with float: {percent(float(np.mean(real == integer)))}")


if __name__ == "__main__":
    run(main)
