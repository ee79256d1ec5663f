"""What a network costs, on the chip and on a micro-controller: time and energy, with intervals."""

from lnn2loihi.cost.board_log import BoardLog, read_board_log
from lnn2loihi.cost.calibration import Calibration, ParameterChange, Residual, calibrate_profile
from lnn2loihi.cost.estimate import estimate
from lnn2loihi.cost.interval import Interval
from lnn2loihi.cost.logs import ProfilerLog, read_logs
from lnn2loihi.cost.microcontroller import MicrocontrollerEstimate, estimate_microcontroller
from lnn2loihi.cost.result import CostEstimate, ParameterEffect
from lnn2loihi.cost.sample_work import (
    CountedInstructions,
    MicrocontrollerWork,
    microcontroller_work,
)
from lnn2loihi.cost.totals import workload_of_totals
from lnn2loihi.cost.validation import ValidationRow, validation_table
from lnn2loihi.cost.workload import Workload

__all__ = [
    "BoardLog",
    "Calibration",
    "CostEstimate",
    "CountedInstructions",
    "Interval",
    "MicrocontrollerEstimate",
    "MicrocontrollerWork",
    "ParameterChange",
    "ParameterEffect",
    "ProfilerLog",
    "Residual",
    "ValidationRow",
    "Workload",
    "calibrate_profile",
    "estimate",
    "estimate_microcontroller",
    "microcontroller_work",
    "read_board_log",
    "read_logs",
    "validation_table",
    "workload_of_totals",
]
