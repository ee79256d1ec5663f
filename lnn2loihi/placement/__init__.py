"""Placement: neurons, synapses and programs on cores and chips, under the limits of a device."""
