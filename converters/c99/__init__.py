"""Programs as portable C99: one translation unit of integers, for any compiler."""
