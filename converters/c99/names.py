"""Names in C: of populations, words and tables, each once and none that C keeps for itself."""

from __future__ import annotations

import re

_KEPT = frozenset(
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register restrict return short signed sizeof static struct switch typedef "
    "union unsigned void volatile while _Bool _Complex _Imaginary int8_t int16_t int32_t int64_t "
    "uint8_t uint16_t uint32_t uint64_t size_t main".split()
)
_OTHER = re.compile(r"[^A-Za-z0-9]+")


class Names:
    """Gives out names of one scope.

    Args:
        taken: names that are there already.
    """

    def __init__(self, *taken: str) -> None:
        self._taken = {*taken, *_KEPT}

    def give(self, wanted: str) -> str:
        """The name that is closest to the wanted one, and marks it as given."""
        plain = _OTHER.sub("_", wanted).strip("_").lower() or "x"
        if plain[0].isdigit():
            plain = f"n{plain}"
        name, number = plain, 2
        while name in self._taken:
            name, number = f"{plain}_{number}", number + 1
        self._taken.add(name)
        return name
