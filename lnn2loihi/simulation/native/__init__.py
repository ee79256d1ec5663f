"""The C engine: code generation, compilation, and the layout of a program for the kernels."""
