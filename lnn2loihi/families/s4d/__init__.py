"""S4D: diagonal state spaces with complex modes, and the gated linear units of their blocks."""
