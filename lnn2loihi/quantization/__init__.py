"""From a float network to integers."""
