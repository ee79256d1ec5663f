"""GRU: gated recurrent units."""
