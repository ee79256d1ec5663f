"""A build file to begin with."""

from __future__ import annotations

TEMPLATE = """\
# What lnn2loihi build does, step by step. Paths are relative to the folder of this file; everything
# is written to the folder of [build]. A section that is left out is a step that is not done.

[network]
source = "net.pt"            # .l2n, checkpoint, its description (.toml), .onnx, .keras
# description = "net.toml"   # how the module was built; net.toml beside net.pt is found by itself
# timespan = 1.0             # elapsed time between samples, or "irregular"
# options = { state = "ema" }  # further options of the importer

[samples]
calibrate = "x.npy"          # typical ones: .npy, .npz (x, perhaps timespans, lengths), .csv
# test = "test.npy"          # what all other steps run; the calibration samples where it is absent
# targets = "y.npy"          # what the answers should be, for the profile

[quantize]
recipe = "w8a12"             # bits of weights and messages: lnn2loihi explain recipe

[verify]                     # bit for bit, every state of every step
# executors = ["reference", "c"]  # "all": every one that runs here

[compare]                    # the float network against the integers

[place]                      # on cores and chips
# devices = ["loihi2-oheo-gulch"]
# objective = "fast"         # or "packed"
# chips = 1
# copies = 1

[profile]                    # what it costs, against what is measured here
rate = "100Hz"
quick = true                 # shorter measurements, not for quoting
# devices = ["loihi2-oheo-gulch", "mcu-stm32u385"]
# against = ["cpu", "cuda"]  # "none": measure nothing
# placement = "auto"         # or "fast", "packed"
# closed_loop = true         # the next sample waits for the answer
# io = "none"                # or "on-board", "host"
# copies = 1
# budget_seconds = 60

[report]                     # the profile as one page
file = "report.html"

[[export]]                   # may repeat
file = "net.c"               # net.h beside it

# [[export]]
# file = "net.onnx"          # needs pip install onnx
# of = "program"             # or "network", in floating point
# format = "onnx"            # the suffix of the file says it too
# target = "fused"
# samples = true             # format loihi2: the test samples go with it, for a board to run
# options = { dtype = "float32" }

# [build]
# folder = "build"
# targets = ["fused", "split"]  # what the program is prepared for; the first one counts
"""
