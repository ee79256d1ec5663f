"""Names of C: identifiers that are no keywords, and of which each scope has one of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lnn2loihi.errors import InputError

#: Keywords of C99 and of C++ (headers are included there), and macros that compilers define in
#: their own dialects.
_KEYWORDS = frozenset(
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register restrict return short signed sizeof static struct switch typedef "
    "union unsigned void volatile while _Bool _Complex _Imaginary asm typeof linux unix i386 arm "
    "mips sun vax near far huge bool true false catch class concept delete explicit export friend "
    "mutable namespace new nullptr operator private protected public template this throw try "
    "typeid typename using virtual wchar_t and or not xor bitand bitor compl alignas alignof "
    "constexpr decltype noexcept thread_local signal interrupt".split()
)
#: Types of stdint.h, and the entry of every program in C.
_STANDARD = frozenset(
    "int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t size_t main".split()
)
#: Names of arguments and counters in the code that is written.
_OWN = frozenset("input output net i j k".split())
_KEPT = _KEYWORDS | _STANDARD | _OWN
_OTHER = re.compile(r"[^A-Za-z0-9]+")
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
#: Characters of a name, fewer than the 63 that compilers have to tell apart (C99, 5.2.4.1), since
#: endings come on top; and of a prefix, fewer still.
_LONGEST, _LONGEST_PREFIX = 48, 40


class Names:
    """Gives out names of one scope, none of which is that of a scope around it.

    Args:
        around: the scope around it.
        within: names of scopes within that are written by hand.
    """

    def __init__(self, around: Names | None = None, within: Iterable[str] = ()) -> None:
        self._around = around
        self._taken: set[str] = set()
        #: Names of all scopes within: a name that is given later hides none of them.
        self._within: set[str] = set(within)

    def _is_taken(self, name: str) -> bool:
        if name in self._taken or name in self._within or name in _KEPT:
            return True
        return self._around is not None and name in self._around._taken

    def give(self, wanted: str) -> str:
        """The name that is closest to the wanted one, and marks it as given."""
        plain = _OTHER.sub("_", wanted).strip("_").lower()[:_LONGEST] or "x"
        if plain[0].isdigit():
            plain = f"n{plain}"
        name, number = plain, 2
        while self._is_taken(name):
            name, number = f"{plain}_{number}", number + 1
        self._taken.add(name)
        if self._around is not None:
            self._around._within.add(name)
        return name


def check_prefix(prefix: str) -> str:
    """The prefix of all names that other files see.

    Raises:
        InputError: it is none that C and its file systems take.
    """
    found = _problem_of(prefix)
    if found:
        raise InputError(
            "prefix",
            f"{prefix!r:.60} {found}. It is the file's name where nobody gives one: give another "
            "(--option prefix=NAME, or prefix=... in Python), or write to another file",
        )
    return prefix


def _problem_of(prefix: str) -> str:
    """Why a prefix is not taken; empty where it is."""
    if len(prefix) > _LONGEST_PREFIX:
        return f"has {len(prefix)} letters, the limit is {_LONGEST_PREFIX}"
    if not _PREFIX.fullmatch(prefix):
        return "is no name of C: that has letters, digits and _ alone, and begins with a letter"
    small = prefix.lower()
    if small in _OWN - {"net"}:  # that is kept for the argument of that name
        return "is taken: the code that is written calls an argument or a counter so"
    if small in _STANDARD:
        return "is taken: C calls its entry or a type of its own so"
    if small in _KEYWORDS:
        return "is no name of C: it is a keyword, or a macro of compilers"
    return ""
