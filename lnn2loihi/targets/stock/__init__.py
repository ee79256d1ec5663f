"""The target `stock`: programs as graphs of Lava's own processes, which run on boards today."""
