"""Trains an NCP on room occupancy, converts it, and evaluates float and integers side by side.

    python benchmarks/occupancy.py --data FOLDER/occupancy --out out/occupancy

Per-step classification, protocol in lnn2loihi/models/occupancy/data.py. The trivial baseline is
a threshold on light alone, which scores 99 %, so F1 and balanced accuracy are reported too.
Needs PyTorch and ncps for training, Lava for the verification.
"""

from __future__ import annotations

import numpy as np
from evaluation import console, convert, parser, run

from lnn2loihi.models.occupancy import data, train
from lnn2loihi.models.training import save_checkpoint
from lnn2loihi.tables import percent, text_table

UNITS, MOTOR_UNITS = 16, 4


def main() -> None:
    """Trains, converts, evaluates."""
    arguments = parser(__doc__ or "", "folder with datatraining.txt", epochs=2).parse_args()
    rooms = data.load(arguments.data)
    model = train.train(
        rooms, arguments.seed, arguments.epochs, console, units=UNITS, motor_units=MOTOR_UNITS
    )
    checkpoint = save_checkpoint(model, arguments.out, train.toml(UNITS, MOTOR_UNITS))
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
