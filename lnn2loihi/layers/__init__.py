"""What networks are made of, as float arrays: layers, and the stages that they consist of."""
