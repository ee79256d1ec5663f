"""Folders that run programs of stock neurons on a board, and the executor over them."""
