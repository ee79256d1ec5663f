"""Makes text that comes out of files harmless: no terminal obeys it, no line is forged by it."""

from __future__ import annotations

import unicodedata

#: What stands beside letters, marks and signs in one line: blanks of any width.
_BLANK = "Zs"


def is_line(text: object) -> bool:
    """Whether it is one line of printable text: no control characters, line breaks, marks that
    change the direction of writing, or halves of characters.
    """
    return isinstance(text, str) and (text.isprintable() or all(map(_is_harmless, text)))


def printable(text: str) -> str:
    """The text as one line, with the escapes of Python in place of what is not printable."""
    if text.isprintable():
        return text
    return "".join(
        character if _is_harmless(character) else character.encode("unicode_escape").decode()
        for character in text
    )


def printable_lines(text: str) -> str:
    """The same for a text of several lines, such as a table: its line breaks stay."""
    return "\n".join(map(printable, text.split("\n")))


def with_article(noun: str) -> str:
    """A noun with its indefinite article, by its first letter: an int, a str."""
    return f"{'an' if noun[:1].lower() in ('a', 'e', 'i', 'o') else 'a'} {noun}"


def kind_of_value(value: object) -> str:
    """The class of a value with its article, for errors: an int, a str."""
    return with_article(type(value).__qualname__)


def _is_harmless(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == _BLANK
