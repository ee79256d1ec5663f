"""Stands in for the profiler of Intel's extension of Lava: the names that public programs use."""

import numpy as np


class Loihi2Power:
    def __init__(self, num_steps=None):
        self.num_steps = num_steps
        self.total_power = np.array([0.5, 0.7])
        self.static_total_power = 0.4


class Loihi2ExecutionTime:
    def __init__(self):
        self.avg_time_per_step = 12.5
