"""The process that executes a neuron program."""
