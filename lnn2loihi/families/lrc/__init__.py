"""Liquid-resistance liquid-capacitance units: LRC, LRCU and STC."""
