"""The affine readout of a network."""
