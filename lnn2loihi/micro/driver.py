"""A main program around a network in C: it reads sequences, and writes every word of every update.

It reads, in 32-bit integers of the machine: for each sequence the number of its updates, the state
words that it starts from, and the input of each update. It writes for each update all recorded
words, where the output population's message is what the step function has put out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import CompiledRunError
from lnn2loihi.micro.processes import CUT_OFF
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.executor import FullState
from lnn2loihi.simulation.result import recorded_words

Transport = Literal["host", "emulated", "wasm"]
#: What the C code is written for.
Goal = Literal["size", "speed"]
#: What the network is called in C.
NET = "net"


class Member(Protocol):
    """A member of the state struct: an array of integers."""

    @property
    def name(self) -> str:
        """Its name."""
        ...


class Source(Protocol):
    """A program in C, as a writer of C gives it: `net_reset`, `net_step` for a sample, and
    `net_update` for one of the updates of a sample.
    """

    @property
    def header(self) -> str:
        """Text of `net.h`."""
        ...

    @property
    def source(self) -> str:
        """Text of `net.c`."""
        ...

    @property
    def words(self) -> Mapping[tuple[str, str], Member]:
        """For each population and recorded word the member that holds it after an update."""
        ...


@dataclass(frozen=True)
class _Column:
    """Where a word stands in a record."""

    population: str
    word: str
    at: int
    size: int


def _loops(columns: list[_Column], source: Source, text: str) -> list[str]:
    """A loop over the neurons of each column."""
    return [
        f"    for (i = 0; i < {c.size}; i++) {{\n        "
        + text.format(member=source.words[c.population, c.word].name, at=c.at)
        + "\n    }"
        for c in columns
    ]


@dataclass(frozen=True)
class Driver:
    """A program, and its way in and out of the main program around it."""

    program: LoihiProgram

    @property
    def recorded(self) -> list[_Column]:
        """What is written for each update."""
        return self._columns(only_states=False)

    @property
    def states(self) -> list[_Column]:
        """What a sequence starts from."""
        return self._columns(only_states=True)

    def _columns(self, only_states: bool) -> list[_Column]:
        found: list[_Column] = []
        at = 0
        for p in self.program.populations:
            words = p.program.state_names if only_states else recorded_words(p.program)
            for word in words:
                found.append(_Column(p.name, word, at, p.size))
                at += p.size
        return found

    @property
    def record_words(self) -> int:
        """Words of a record."""
        return sum(column.size for column in self.recorded)

    def texts(self, source: Source, transport: Transport) -> dict[str, str]:
        """All files of the main program, by name; those that end in .c are compiled."""
        folder = Path(__file__).with_name("source")
        parts = (folder.joinpath(name).read_text() for name in (f"{transport}.c", "pipe.c"))
        main = ["#include <stdint.h>", f'#include "{NET}.h"', "", *parts, *self._moves(source)]
        return {
            f"{NET}.h": source.header,
            f"{NET}.c": source.source,
            "main.c": "\n".join([*main, self._run(), ""]),
        }

    def module_texts(self, source: Source) -> dict[str, str]:
        """All files of a module without a main program, whose functions a page or another program
        calls: see `source/module.c`.
        """
        functions = Path(__file__).with_name("source").joinpath("module.c").read_text()
        sizes = (f"enum {{ INPUTS = {self.program.input.size}, WORDS = "
                 f"{max(self.record_words, 1)} }};")  # fmt: skip
        main = ["#include <stdint.h>", f'#include "{NET}.h"', "", sizes, "",
                *self._record(source), functions]  # fmt: skip
        return {
            f"{NET}.h": source.header,
            f"{NET}.c": source.source,
            "main.c": "\n".join(main),
        }

    def _moves(self, source: Source) -> list[str]:
        """Functions that set the states of a struct, and record its words."""
        return [
            f"static void set({NET}_state *net, const int32_t *row)\n{{\n    int32_t i;",
            "    (void)i;\n    (void)row;", f"    {NET}_reset(net);",
            *_loops(self.states, source, "net->{member}[i] = row[{at} + i];"), "}\n",
            *self._record(source),
        ]  # fmt: skip

    def _record(self, source: Source) -> list[str]:
        return [
            f"static void record(const {NET}_state *net, int32_t *row)\n{{\n    int32_t i;",
            *_loops(self.recorded, source, "row[{at} + i] = net->{member}[i];"), "}\n",
        ]  # fmt: skip

    def _run(self) -> str:
        program, out = self.program, self.program.output_population
        word = out.program.message_state or "message"
        answer = next(c for c in self.recorded if (c.population, c.word) == (out.name, word))
        states = sum(c.size for c in self.states)
        step = [f"{NET}_step(&net, in, out);", "record(&net, row);"]
        answers = [
            f"for (i = 0; i < {out.size}; i++) {{", f"    row[{answer.at} + i] = out[i];", "}"
        ]  # fmt: skip
        update = [*step, *answers]
        if program.substeps > 1:
            # The last update of a sample is that of the step function, in a state of its own.
            update = [f"{NET}_update(&each, in);", "record(&each, row);",
                      f"if ((t + 1) % {program.substeps} == 0) {{",
                      *(f"    {line}" for line in update), "}"]  # fmt: skip
        return _RUN.format(
            net=NET, row=max(self.record_words, states, 1), inputs=program.input.size,
            outputs=out.size, states=4 * states, corrupt=CUT_OFF, record=4 * self.record_words,
            update="\n            ".join(update),
        )  # fmt: skip

    def sent(self, inputs: npt.NDArray[Any], start: FullState) -> bytes:
        """What it reads for sequences.

        Args:
            inputs: encoded samples (batch, updates, channels).
            start: for each population and state word (batch, neurons).
        """
        batch, updates = inputs.shape[:2]
        words = [start[c.population][c.word] for c in self.states]
        rows = [np.full((batch, 1), updates), *words, inputs.reshape(batch, -1)]
        return np.concatenate(rows, axis=1).astype("<i4").tobytes()

    def received(
        self, subject: str, content: npt.NDArray[np.int32], shape: tuple[int, int]
    ) -> dict[str, dict[str, npt.NDArray[np.int32]]]:
        """States of what it has written: for each population and word (batch, updates, neurons).

        Raises:
            CompiledRunError: it has written more or less than all records.
        """
        wanted = shape[0] * shape[1] * self.record_words
        if content.size != wanted:
            raise CompiledRunError(
                subject, f"wrote {content.size:,} words, {wanted:,} were expected"
            )
        records = content.reshape(*shape, self.record_words)
        found: dict[str, dict[str, npt.NDArray[np.int32]]] = {
            p.name: {} for p in self.program.populations
        }
        for c in self.recorded:
            found[c.population][c.word] = records[:, :, c.at : c.at + c.size].copy()
        return found


_RUN = """\
int32_t run(void)
{{
    static {net}_state net, each;
    static int32_t row[{row}], in[{inputs}], out[{outputs}];
    int32_t updates, t, i;
    while (take(&updates, 4)) {{
        if (!take(row, {states})) {{
            return {corrupt};
        }}
        set(&net, row);
        set(&each, row);
        for (t = 0; t < updates; t++) {{
            if (!take(in, 4 * {inputs})) {{
                return {corrupt};
            }}
            {update}
            if (!give(row, {record})) {{
                return {corrupt};
            }}
        }}
    }}
    return flush() ? 0 : {corrupt};
}}
"""
