"""Feed-forward units."""
