"""What a converted module consists of, for people and as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lnn2loihi.converted.pieces import ChipPart, HostPart
from lnn2loihi.showing import Said, Table
from lnn2loihi.tables import percent

if TYPE_CHECKING:
    from lnn2loihi.converted.parts import ConvertedModule

#: Operators of a host part that a table names.
NAMED = 4


def multiply_adds_on_chip(converted: ConvertedModule) -> int | None:
    """Multiply-adds for the example that the chip does; None where nobody counted all of them."""
    total = converted.multiply_adds
    counts = [part.multiply_adds for part in converted.host_parts]
    if total is None or any(count is None for count in counts):
        return None
    return max(total - sum(count or 0 for count in counts), 0)


def share_on_chip(converted: ConvertedModule) -> float | None:
    """Share of the multiply-adds of the module that the chip does; None where it is not known."""
    found = multiply_adds_on_chip(converted)
    return None if found is None or not converted.multiply_adds else found / converted.multiply_adds


def multiply_adds_of_parts(converted: ConvertedModule) -> dict[str, int | str | None]:
    """Multiply-adds of each part for the example, as tables have them. What several chip parts do
    was counted together.
    """
    chip: int | str | None = multiply_adds_on_chip(converted)
    if isinstance(chip, int) and len(converted.chip_parts) > 1:
        chip = f"{chip:,} together"
    return {
        part.name: part.multiply_adds if isinstance(part, HostPart) else chip
        for part in converted.parts
    }


def consists_of(part: HostPart | ChipPart) -> str:
    """What a part consists of: operators, or the families of its populations."""
    if isinstance(part, HostPart):
        names = list(dict.fromkeys(part.operators))
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return ", ".join(names[:NAMED]) + more
    if part.network is not None:
        families = [stage.family for stage in part.network.stages]
    else:
        families = [str(row["family"]) for row in part.quantized().table if row["weights"]]
        families = families or [p.program.name for p in part.quantized().populations]
    return ", ".join(dict.fromkeys(families))


def plain(converted: ConvertedModule) -> dict[str, Any]:
    """The module as plain values."""
    return {
        "name": converted.name,
        "inputs": [
            {"name": one.name, "shape": list(one.shape), "axes": list(one.axes), "type": one.dtype}
            for one in converted.inputs
        ],
        "parts": [_plain_part(part) for part in converted.parts],
        "multiply_adds": converted.multiply_adds,
        "multiply_adds_on_chip": multiply_adds_on_chip(converted),
        "share_on_chip": share_on_chip(converted),
        "notes": list(converted.notes),
    }


def _plain_part(part: HostPart | ChipPart) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": part.name,
        "on": "host" if isinstance(part, HostPart) else "chip",
        "consists_of": consists_of(part),
        "takes": list(part.takes),
        "answers": list(part.answers),
    }
    if isinstance(part, HostPart):
        return found | {
            "operators": list(part.operators),
            "reasons": list(part.reasons),
            "multiply_adds": part.multiply_adds,
            "parameters": part.parameters,
        }
    program, network = part.program, part.network
    return found | {
        "recipe": None if program is None else program.recipe,
        "neurons": None if program is None else program.neurons,
        "synapses": program.synapses if program is not None else network and network.synapses,
        "table": [] if program is None else [dict(row) for row in program.table],
        "warnings": [] if program is None else list(program.warnings),
    }


def shown(converted: ConvertedModule) -> list[Said]:
    """The table of parts, why host parts are there, and notes, as text."""
    known = plain(converted)
    counted = multiply_adds_of_parts(converted)
    rows = [
        (p["name"], p["on"], p["consists_of"], p.get("recipe"), p.get("synapses"),
         counted[p["name"]])
        for p in known["parts"]
    ]  # fmt: skip
    listed = ", ".join(f"{i['name']} {_shape_text(i)}" for i in known["inputs"])
    share, total = known["share_on_chip"], known["multiply_adds"]
    lines: list[Said] = []
    head = f"{converted.name}: {listed or 'no inputs'}"
    if share is not None:
        head += f"; on the chip {percent(share)} of {total:,} multiply-adds of the example"
    headers = ("part", "on", "consists of", "recipe", "synapses", "multiply-adds")
    lines += [head, Table(headers, rows)]
    lines += [
        f"{part['name']} is on the host: {reason}"
        for part in known["parts"]
        for reason in part.get("reasons", ())
    ]
    lines += [
        f"{part['name']}: warning: {warning}"
        for part in known["parts"]
        for warning in part.get("warnings", ())
    ]
    return [*lines, *(f"note: {note}" for note in converted.notes)]


def _shape_text(one: dict[str, Any]) -> str:
    axes = [axis or str(size) for axis, size in zip(one["axes"], one["shape"], strict=True)]
    return f"({', '.join(axes)}) {one['type']}"
