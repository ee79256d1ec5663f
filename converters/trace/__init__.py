"""What a PyTorch module does, recorded as it runs."""
