"""The parts of a LoihiProgram: input port, populations, connections, schedule."""
