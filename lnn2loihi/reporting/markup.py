"""HTML and SVG as text: every name and value is escaped in one place."""

from __future__ import annotations

import html
import json

#: A space at which no line breaks: it stands between a number and its unit.
NO_BREAK = "\u00a0"
#: Elements of HTML that have no end tag.
_VOID = frozenset({"meta", "br", "hr", "img", "link", "input"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def escaped(value: object) -> Markup:
    """A value as text that no browser takes for markup.

    What is not printable (control characters, lone surrogates, marks that change the direction of
    writing) becomes a replacement character: names come from files.
    """
    if isinstance(value, Markup):
        return value
    return Markup(html.escape(printable(str(value)), quote=True))


def printable(text: str) -> str:
    """A text whose characters are all printable; others are replacement characters."""
    return "".join(_printable(c) for c in text)


def json_block(name: str, content: object) -> Markup:
    """An element that holds data for a script: JSON, in which no character begins or ends markup.

    Args:
        name: id of the element.
        content: what JSON can hold; texts are made printable by the caller.
    """
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for character in "<>&":  # inside strings alone, where JSON takes escapes
        text = text.replace(character, f"\\u{ord(character):04x}")
    return element("script", Markup(text), type="application/json", id=name)


def _printable(character: str) -> str:
    if character.isprintable() or character == NO_BREAK:
        return character
    return " " if character in "\n\t" else "\ufffd"


def joined(*parts: object) -> Markup:
    """Parts one after the other; None is left out."""
    return Markup("".join(escaped(part) for part in parts if part is not None))


def element(name: str, /, *children: object, **attributes: object) -> Markup:
    """An element.

    Args:
        name: of the element.
        children: texts, which are escaped, and Markup, which is not; None is left out.
        attributes: `class_` stands for class, an underscore for a hyphen; numbers have two
            decimals at most; None is left out.
    """
    parts = [f"<{name}"]
    for key, value in attributes.items():
        if value is not None:
            parts.append(f' {key.rstrip("_").replace("_", "-")}="{escaped(_plain(value))}"')
    inside = joined(*children)
    if inside:
        return Markup(f"{''.join(parts)}>{inside}</{name}>")
    if name in _VOID:
        return Markup(f"{''.join(parts)}>")
    return Markup(f"{''.join(parts)}></{name}>")


def _plain(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return value
