"""The integer instruction set, the tracer, the proofs, and one file per neuron family."""
