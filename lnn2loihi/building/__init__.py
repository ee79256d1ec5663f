"""The whole road from one file: what is asked for, its steps, and what need not be done again."""
