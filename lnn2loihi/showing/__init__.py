"""How results show themselves: a line in a prompt, text in a terminal, a table in a notebook.

A class says its lines and its tables once, as data (`Shown`); text and HTML are made of that. Plots
(`lnn2loihi.showing.plots`) and progress bars (`lnn2loihi.showing.bars`) have modules of their own,
which are imported when they are asked for.
"""

from lnn2loihi.showing.brief import LONGEST_LINE, Brief, brief
from lnn2loihi.showing.parts import Said, Table, Verbatim, as_text, headed, ranges
from lnn2loihi.showing.shown import Drawn, Shown

__all__ = [
    "LONGEST_LINE",
    "Brief",
    "Drawn",
    "Said",
    "Shown",
    "Table",
    "Verbatim",
    "as_text",
    "brief",
    "headed",
    "ranges",
]
