"""What would fit, found by trying: the largest change that still breaks a rule is not guessed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lnn2loihi.devices import known_devices
from lnn2loihi.placement.draft import Draft, packed_draft
from lnn2loihi.placement.line import Change
from lnn2loihi.targets import PlacementRule

#: A way: from a draft and a rule what fits, as text and as a number or numbers; None: nothing does.
Way = Callable[[Draft, PlacementRule], "tuple[str, Any] | None"]


def remedy(draft: Draft, rule: PlacementRule) -> tuple[str, Mapping[str, Any]]:
    """What would fit under a rule, in words and in numbers."""
    texts, fits = [], {}
    for name in rule.ways:
        found = WAYS[name](draft, rule)
        if found is not None:
            texts.append(found[0])
            fits[name] = found[1]
    if not texts:
        return "Nothing that was tried fits: split the network.", fits
    return f"What fits: {'; or '.join(texts)}.", fits


def _holds(draft: Draft, rule: PlacementRule, change: Change) -> bool:
    tried = packed_draft(draft.program, draft.device, draft.chips, draft.activity, change)
    return not rule.violations(tried)


def _largest(least: int, most: int, holds: Callable[[int], bool]) -> int | None:
    """The largest number of [least, most] that holds, if those below it do too."""
    if most < least or not holds(least):
        return None
    while most > least:
        middle = (least + most + 1) // 2
        if holds(middle):
            least = middle
        else:
            most = middle - 1
    return least


def _weight_bits(draft: Draft, rule: PlacementRule) -> tuple[str, int] | None:
    widest = max((link.bits for link in draft.line.links), default=1)
    bits = _largest(1, widest - 1, lambda n: _holds(draft, rule, Change(weight_bits=n)))
    return None if bits is None else (f"weights of at most {bits} bit (w{bits}...)", bits)


def _interleave(draft: Draft, rule: PlacementRule) -> tuple[str, int] | None:
    most = draft.program.schedule.interleave - 1
    found = _largest(1, most, lambda n: _holds(draft, rule, Change(interleave=n)))
    return None if found is None else (f"at most {found} interleaved sequences", found)


def _units(draft: Draft, rule: PlacementRule) -> tuple[str, dict[str, int]] | None:
    """Fewer units, in all populations alike but in a readout."""
    program = draft.program
    readout = "" if program.output_population.program.states else program.output
    sizes = {p.name: p.size for p in program.populations if p.name != readout}
    if not sizes:
        return None
    widest = max(sizes.values())

    def scaled(number: int) -> dict[str, int]:
        return {name: max(size * number // widest, 1) for name, size in sizes.items()}

    number = _largest(1, widest - 1, lambda n: _holds(draft, rule, Change(sizes=scaled(n))))
    if number is None:
        return None
    found = scaled(number)
    shown = [f"{name} {found[name]:,} (has {size:,})" for name, size in sizes.items()]
    more = f" and {len(shown) - 4} populations more alike" if len(shown) > 4 else ""
    return f"fewer units: {', '.join(shown[:4])}{more}", found


def _inputs(draft: Draft, rule: PlacementRule) -> tuple[str, dict[str, int]] | None:
    port = draft.program.input
    most = _largest(1, port.size - 1, lambda n: _holds(draft, rule, Change(sizes={port.name: n})))
    if most is None:
        return None
    return f"fewer inputs: {most:,} (has {port.size:,})", {port.name: most}


def _chips(draft: Draft, rule: PlacementRule) -> tuple[str, int]:
    needed, has = draft.chips_needed, draft.device.count("chips")
    note = f"this device has {has:,}" if has < needed else f"give chips={needed}"
    return f"{needed:,} chips ({note})", needed


def _devices(draft: Draft, rule: PlacementRule) -> tuple[str, list[str]] | None:
    """Devices of the same kind, shipped or of packages, on which the rule holds."""
    found = []
    for _, device in known_devices():
        if device.kind != draft.device.kind or device.name == draft.device.name:
            continue
        chips = device.count("chips")
        tried = packed_draft(draft.program, device, chips, draft.activity)
        if device.get("time_per_instruction") is not None and not rule.violations(tried):
            found.append((chips, device.name))
    if not found:
        return None
    names = [name for _, name in sorted(found)]
    return f"the device {' or '.join(names)}", names


WAYS: Mapping[str, Way] = {
    "weight_bits": _weight_bits,
    "interleave": _interleave,
    "units": _units,
    "inputs": _inputs,
    "chips": _chips,
    "devices": _devices,
}
