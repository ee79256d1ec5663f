"""Makes one program of two, of which the second hears what the first answers."""
