"""Neuron programs that are made of others: of a part of one, or of two that follow each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lnn2loihi.neurons.instructions import Instruction, NeuronProgram


def part_of(
    program: NeuronProgram,
    name: str,
    sent: str,
    heard: Mapping[str, str],
    more: tuple[Instruction, ...] = (),
    held: str = "",
) -> NeuronProgram:
    """The part of a program that makes a word, and sends it.

    Args:
        program: a program.
        name: of the part.
        sent: the word that it sends.
        heard: words that it does not make itself, and for each the accumulator that it comes from.
        more: further instructions before it sends; the last of them makes what is sent then.
        held: the state word that keeps what is sent, where there is one.

    Raises:
        MalformedProgramError: a state word is read.
    """
    made = {i.result: i for i in program.instructions if i.result not in program.state_names}
    needed: set[str] = set()
    asked = [sent]
    while asked:
        word = asked.pop()
        if word in needed or word not in made:
            continue
        needed.add(word)
        if word not in heard:
            asked += [o for o in made[word].operands if isinstance(o, str)]
    kept = [i for i in program.instructions if i.result in needed]
    instructions = [
        Instruction("RDC", i.result, (heard[i.result],)) if i.result in heard else i for i in kept
    ]
    last = more[-1].result if more else sent
    ends = [Instruction("MOV", held, (last,))] if held else []
    operands = {o for i in instructions for o in i.operands if i.opcode != "RDC"}
    own = needed.difference(heard)
    known = needed | {name for name, _ in program.parameters}
    return NeuronProgram(
        name,
        tuple(str(i.operands[0]) for i in instructions if i.opcode == "RDC"),
        tuple(p for p in program.parameters if p[0] in operands),
        tuple(s for s in program.states if s[0] == held),
        (*instructions, *more, *ends, Instruction("SPIKE", "", (last,))),
        tuple(b for b in program.bounds if b.word in own and known.issuperset(b.of)),
        held,
        None
        if program.saturations is None
        else tuple(
            s for s in program.saturations if own.issuperset(filter(None, (s.free, s.held, s.when)))
        ),
    )


def followed(program: NeuronProgram, by: NeuronProgram, scope: str) -> NeuronProgram:
    """A program whose message goes through another program before it is sent.

    Its state words are what they were; none of them keeps what is sent any more, so nobody can
    hear it a sample later.

    Args:
        program: a program.
        by: a program without state words and with one accumulator, in which the message arrives.
        scope: what words and parameters of `by` are named with.
    """
    arriving = next(i.result for i in by.instructions if i.opcode == "RDC")
    own = {*by.parameter_names, *(i.result for i in by.instructions if i.result)}
    names: dict[str, str | int] = {name: f"{scope}.{name}" for name in own}
    names[arriving] = program.message

    def renamed(word: str) -> str:
        return str(names.get(word, word))

    instructions = [
        replace(
            i,
            result=renamed(i.result),
            operands=tuple(names.get(o, o) if isinstance(o, str) else o for o in i.operands),
        )
        for i in by.instructions
        if i.opcode != "RDC"
    ]
    bounds = [replace(b, word=renamed(b.word)) for b in by.bounds]
    marks = [
        replace(m, free=renamed(m.free), held=renamed(m.held)) for m in by.saturations or ()
    ]  # fmt: skip
    return NeuronProgram(
        f"{program.name}, {by.name}",
        program.accumulators,
        (*program.parameters, *((f"{scope}.{name}", bits) for name, bits in by.parameters)),
        program.states,
        (*(i for i in program.instructions if i.opcode != "SPIKE"), *instructions),
        (*program.bounds, *bounds),
        "",
        (*(program.saturations or ()), *marks),
    )
