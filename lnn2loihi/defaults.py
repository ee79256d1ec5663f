"""What stands where nobody has said anything, and suffixes of files.

Apart from what uses it, so that the command line can print its help without importing all of that.
"""

#: Suffixes of programs, of float networks and of profiles.
PROGRAM_SUFFIX = ".l2l"
NETWORK_SUFFIX = ".l2n"
PROFILE_SUFFIX = ".profile.json"
#: Of saved modules: programs, host parts and how they belong together.
MODULE_SUFFIX = ".l2m"
#: Test sequences that the demonstration makes at most, of 64 samples each.
MOST_DEMO_SEQUENCES = 4096
DEFAULT_RECIPE = "w8a12"
DEFAULT_DEVICES = ("loihi2-oheo-gulch", "mcu-stm32u385")
#: Placements that `profile` may be asked for; `auto` is the cheapest that meets the rate, or
#: without a rate both others.
AUTO, FAST, PACKED = "auto", "fast", "packed"
PLACEMENTS = (AUTO, FAST, PACKED)
#: What is compared where nobody has named anything, and in place of names: all that there are.
DEFAULT_EXECUTORS = ("reference", "lava")
#: What is compared with the reference where the second of these is not installed: our own engines,
#: and the one of them that others wrote.
STAND_INS = ("c", "blas", "onnxruntime")
ALL = "all"
#: Where samples come from and answers go to: nowhere off the chip; the board that it sits on; a
#: host with which each sample makes a round trip.
IO = ("none", "on-board", "host")
#: What programs are prepared for where nobody has said anything.
DEFAULT_TARGET = "fused"
#: Names of those that the verb profile puts side by side where nobody has said anything.
SIDE_BY_SIDE = "fused,split,stock"
