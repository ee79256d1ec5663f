"""LrcSSM: liquid-resistance liquid-capacitance units that hear nobody but themselves."""
