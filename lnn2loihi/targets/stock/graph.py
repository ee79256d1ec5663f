"""The pass of the target `stock`: populations become neurons of Lava's own processes."""

from __future__ import annotations

from typing import Any

from lnn2loihi.errors import Problems, ProgramError
from lnn2loihi.family import families
from lnn2loihi.neurons.stock import stock_neuron
from lnn2loihi.program import LoihiProgram, Population
from lnn2loihi.targets.stock.form import StockForm
from lnn2loihi.targets.stock.parts import OTHERS, Parts
from lnn2loihi.targets.stock.scales import scales_of
from lnn2loihi.targets.stock.writer import AnyWriter
from lnn2loihi.targets.target import LISTED


def stock_graph(program: LoihiProgram, form: StockForm) -> LoihiProgram:
    """A program of stock neurons that answers about as a fused one does.

    Raises:
        ProgramError: a population has no such form, or one that the chip cannot hold; names all.
    """
    found = _recognised(program)
    reaches = {p.name: writer.reach(what) for p, writer, what in found}
    scales = scales_of(program, {name: reach for name, reach in reaches.items() if reach})
    parts = Parts(program, form, scales)
    for population, writer, what in found:
        writer.announce(parts, population, what)
    for population, writer, what in found:
        writer.write(parts, population, what)
    parts.problems.raise_if_any()  # what has no such form needs no other advice
    try:
        return parts.made()
    except ProgramError as error:
        ways = ["a recipe with fewer bits for weights or messages", "another number of rectifiers"]
        ways += ["the form pre"] * (form.form != "pre")
        helps = (
            "such a graph of stock neurons does not fit their words: "
            f"{', '.join(ways[:-1])} or {ways[-1]} may; or {OTHERS}"
        )
        raise ProgramError(error.subject, [*error.problems, helps]) from error


def _recognised(program: LoihiProgram) -> list[tuple[Population, AnyWriter, Any]]:
    """Each population with what writes it, and what that recognises.

    Raises:
        ProgramError: nothing writes one of them, or something else is in the way; names all.
    """
    problems = Problems(ProgramError, f"program {program.name!r}")
    if program.substeps > 1:
        problems.add(f"it updates {program.substeps} times for each sample; {OTHERS}")
    able = [family for family in families() if family.stock is not None]
    writers = [family.stock() for family in able if family.stock is not None]
    found = []
    made = {p.name for p in program.populations if stock_neuron(p.program) is not None}
    if made:
        others = [p.name for p in program.populations if p.name not in made]
        problems.add(
            f"{len(made)} of its populations are Lava's own processes already, and "
            f"{', '.join(others[:LISTED])}{' and others' * (len(others) > LISTED)} are not: it was "
            "joined of programs of which some were prepared, and runs on a board in parts only, "
            f"each prepared by itself; {OTHERS}"
        )
    for population in program.populations:
        if population.name in made:
            continue
        said = ((one, one.recognised(population)) for one in writers)
        writer, what = next((pair for pair in said if pair[1] is not None), (None, None))
        if writer is None:
            problems.add(
                f"{population.name}: its neuron program {population.program.name!r} has no form of "
                f"Lava's own processes; {OTHERS} (units of "
                f"{', '.join(one.name for one in able)} have one)"
            )
        else:
            found.append((population, writer, what))
    problems.raise_if_any()
    return found
