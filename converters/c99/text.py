"""Text of C: comments that cannot end early, and lines that stand within braces."""

from __future__ import annotations

from collections.abc import Iterable

#: What would end a comment, open another one, or join lines.
_HARMLESS = (("*/", "* /"), ("/*", "/ *"), ("??", "? ?"), ("\\", "/"))


def comment(text: str) -> str:
    """A text that can stand in a comment, in ASCII."""
    text = text.encode("ascii", "replace").decode()
    for what, instead in _HARMLESS:
        while what in text:
            text = text.replace(what, instead)
    return text


def indented(lines: Iterable[str], by: int = 1) -> str:
    """Lines, so many steps to the right."""
    return "\n".join("    " * by + line if line else line for line in lines)
