"""What of a program's structure no public example of Loihi 2 has.

These warnings are derived from the structure whenever a program is made, and never stored: those of
old files say it too, and a program that was prepared in another way says what is true of itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lnn2loihi.graph.population import Population

#: Most input accumulators of a neuron in public code: a_in, reset_in and a_third_factor_in of
#: PrototypeLIF, the neuron of Lava's CLP (energy-2.md, section 2). No maximum is public.
LARGEST_PRECEDENT = 3
#: Where that is.
PRECEDENT = "PrototypeLIF of Lava's CLP"
#: What is not known of accumulators: profiles and targets say it in these words.
ACCUMULATORS_UNKNOWN = (
    "how many input accumulators a neuron may have is not published; public examples have up to "
    f"three ({PRECEDENT})"
)
#: How each such warning begins.
NO_PRECEDENT = "no public precedent"
#: Names that a warning lists.
LISTED = 3


def without_precedent(warnings: Iterable[str]) -> tuple[str, ...]:
    """Those of some warnings that are derived here."""
    return tuple(text for text in warnings if text.startswith(NO_PRECEDENT))


def with_precedent(warnings: Iterable[str]) -> tuple[str, ...]:
    """The others, which files store."""
    return tuple(text for text in warnings if not text.startswith(NO_PRECEDENT))


def precedent_warnings(populations: Sequence[Population], interleave: int) -> tuple[str, ...]:
    """A sentence that names populations with more than LARGEST_PRECEDENT input accumulators on a
    neuron, those that take turns counted once, and what avoids it; none where there are none.

    Args:
        populations: of the program.
        interleave: sequences that take turns; accumulators of several cannot.
    """
    wide = {p.name: p.turns.width for p in populations if p.turns.width > LARGEST_PRECEDENT}
    if not wide:
        return ()
    names = [f"{name} ({most})" for name, most in wide.items()]
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    alone = "interleaved(1) and the target" if interleave > 1 else "the target"
    return (
        f"{NO_PRECEDENT}: more than {LARGEST_PRECEDENT} input accumulators on a neuron of "
        f"{', '.join(names[:LISTED])}{more}; the most that public examples have is "
        f"{LARGEST_PRECEDENT} ({PRECEDENT}); {alone} split makes it 2, which take turns",
    )
