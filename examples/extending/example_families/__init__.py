"""Two families of neurons for lnn2loihi."""
