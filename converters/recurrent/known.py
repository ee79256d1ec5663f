"""Which modules are known, over all families."""

from __future__ import annotations

from difflib import get_close_matches

from lnn2loihi.family import importer_of, importers


def is_recurrent(module: object) -> bool:
    """Whether a live module is a recurrent layer of any family; imports nothing."""
    return importer_of(module) is not None


def live_modules(only: str | None = None) -> str:
    """The modules that can be imported alive, for messages; those of a family, or of all."""
    names = (name for _, importer in importers(only) for name in importer.classes.values())
    return ", ".join(dict.fromkeys(names))


def known_modules() -> tuple[str, ...]:
    """Every name that `module` may have in a description."""
    return tuple(
        name for _, importer in importers() for name in (*importer.modules, *importer.aliases)
    )


def unknown_module(named: str) -> str:
    """What is wrong with a module that the importer at hand does not know, and which one may be
    meant.
    """
    if named in known_modules():
        return f"module is {named!r}, which another importer reads; leave format=... out"
    near = _nearest(named)
    meant = f" Do you mean {near!r}?" if near else ""
    return f"module is {named!r:.120}; supported are {', '.join(known_modules())}.{meant}"


def _nearest(named: str) -> str | None:
    """The known module most like a name: by the class alone first, whatever is before it."""
    # The time that difflib takes grows with the square of the length.
    wanted = named[:120].lower()
    # Of two classes of one name the first one counts.
    classes = {name.rpartition(".")[2].lower(): name for name in reversed(known_modules())}
    whole = {name.lower(): name for name in known_modules()}
    for text, names, alike in ((wanted.rpartition(".")[2], classes, 0.75), (wanted, whole, 0.6)):
        if found := get_close_matches(text, names, 1, alike):
            return names[found[0]]
    return None
