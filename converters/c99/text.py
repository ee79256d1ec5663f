"""Text of C: comments that cannot end early, and lines that stand within braces."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

#: Columns of a line.
COLUMNS = 100

#: What would end a comment, open another one, or join lines.
_HARMLESS = (("\\", "/"), ("*/", "* /"), ("/*", "/ *"), ("??", "? ?"))

#: Stands before loops that are to become vectors: GCC takes short ones apart before it looks.
KEPT_LOOP = "KEPT_LOOP"
#: Iterations of a short loop, at most (its parameter max-completely-peel-times).
SHORT = 16
KEPT_LOOP_MACRO = f"""\
/* GCC takes short loops apart before it makes vectors of them, unless it is asked not to. */
#if defined(__GNUC__) && !defined(__clang__)
#define {KEPT_LOOP} _Pragma("GCC unroll 1")
#else
#define {KEPT_LOOP}
#endif
"""


def comment(text: str) -> str:
    """A text that can stand in a comment, in ASCII."""
    text = text.encode("ascii", "replace").decode()
    for what, instead in _HARMLESS:
        while what in text:
            text = text.replace(what, instead)
    return text


def comment_lines(*paragraphs: str) -> str:
    """A comment of several lines, each of which fits a page; a paragraph begins a line."""
    lines = [
        line
        for text in paragraphs
        for line in textwrap.wrap(comment(text), COLUMNS - 6, break_on_hyphens=False)
    ]
    return "/* " + "\n   ".join(lines) + " */"


def indented(lines: Iterable[str], by: int = 1) -> str:
    """Lines, so many steps to the right."""
    return "\n".join("    " * by + line if line else line for line in lines)
