"""Files of trained weights, and what describes them."""
