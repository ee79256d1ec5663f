"""A main program around a network in C: it reads sequences, and writes every word of every update.

It reads, in 32-bit integers of the machine: for each sequence the number of its updates, the state
words that it starts from, and the input of each update. It writes for each update all recorded
words, where the output population's message is what the step function has put out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import CompiledRunError
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.executor import FullState
from lnn2loihi.simulation.result import recorded_words

Transport = Literal["host", "emulated", "wasm"]
#: What the network is called in C, and the one of a program of several updates for each sample
#: that makes one of them.
NET, EACH = "net", "net_update"
_CORRUPT = 2


class Source(Protocol):
    """A program in C, as a writer of C gives it.

    Attributes:
        header, source: texts of both files.
        words: for each population and recorded word the member of the state struct that holds it.
    """

    @property
    def header(self) -> str: ...

    @property
    def source(self) -> str: ...

    @property
    def words(self) -> Mapping[tuple[str, str], str]: ...


class Writer(Protocol):
    """Writes a program in C; every name begins with the prefix."""

    def __call__(self, program: LoihiProgram, prefix: str) -> Source: ...


@dataclass(frozen=True)
class _Column:
    """Where a word stands in a record."""

    population: str
    word: str
    at: int
    size: int


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

    def texts(self, write: Writer, transport: Transport) -> dict[str, str]:
        """All files of the main program, by name; those that end in .c are compiled."""
        program = self.program
        whole = write(program, NET)
        files = {f"{NET}.h": whole.header, f"{NET}.c": whole.source}
        sources = {NET: whole}
        if program.substeps > 1:
            sources[EACH] = write(replace(program, substeps=1), EACH)
            files |= {f"{EACH}.h": sources[EACH].header, f"{EACH}.c": sources[EACH].source}
        includes = [f'#include "{prefix}.h"' for prefix in sources]
        folder = Path(__file__).with_name("source")
        files["main.c"] = "\n".join(
            [
                "#include <stdint.h>", *includes, "",
                *(folder.joinpath(name).read_text() for name in (f"{transport}.c", "pipe.c")),
                *(text for prefix, source in sources.items() for text in self._moves(prefix, source)),
                self._run(), "",
            ]
        )  # fmt: skip
        return files

    def _moves(self, prefix: str, source: Source) -> list[str]:
        """Functions that set the states of a struct, and record its words."""
        into = [
            f"    for (i = 0; i < {c.size}; i++) {{\n"
            f"        net->{source.words[c.population, c.word]}[i] = row[{c.at} + i];\n    }}"
            for c in self.states
        ]
        out = [
            f"    for (i = 0; i < {c.size}; i++) {{\n"
            f"        row[{c.at} + i] = net->{source.words[c.population, c.word]}[i];\n    }}"
            for c in self.recorded
        ]
        return [
            f"static void set_{prefix}({prefix}_state *net, const int32_t *row)\n{{\n    int32_t i;",
            "    (void)i, (void)row;", f"    {prefix}_reset(net);", *into, "}\n",
            f"static void record_{prefix}(const {prefix}_state *net, int32_t *row)\n{{\n"
            "    int32_t i;",
            *out, "}\n",
        ]  # fmt: skip

    def _run(self) -> str:
        program, out = self.program, self.program.output_population
        word = out.program.message_state or "message"
        answer = next(c for c in self.recorded if (c.population, c.word) == (out.name, word))
        states = sum(c.size for c in self.states)
        each = program.substeps > 1
        update = f"{NET}_step(&net, in, out);\n            record_{NET}(&net, row);"
        if each:
            # The last update of a sample is that of the whole program, which takes its own way.
            update = (
                f"{EACH}_step(&each, in, out);\n            record_{EACH}(&each, row);\n"
                f"            if ((t + 1) % {program.substeps} == 0) {{\n"
                f"                {NET}_step(&net, in, out);\n"
                f"                record_{NET}(&net, row);\n            }}"
            )
        extra = (f"    static {EACH}_state each;\n", f"        set_{EACH}(&each, row);\n")
        return (
            "int32_t run(void)\n{\n"
            f"    static {NET}_state net;\n{extra[0] * each}"
            f"    static int32_t row[{max(self.record_words, states, 1)}];\n"
            f"    static int32_t in[{program.input.size}], out[{out.size}];\n"
            "    int32_t updates, t, i;\n"
            "    while (take(&updates, 4)) {\n"
            f"        if (!take(row, 4 * {states})) {{\n            return {_CORRUPT};\n        }}\n"
            f"        set_{NET}(&net, row);\n{extra[1] * each}"
            "        for (t = 0; t < updates; t++) {\n"
            f"            if (!take(in, 4 * {program.input.size})) {{\n"
            f"                return {_CORRUPT};\n            }}\n"
            f"            {update}\n"
            f"            for (i = 0; i < {out.size}; i++) {{\n"
            f"                row[{answer.at} + i] = out[i];\n            }}\n"
            f"            if (!give(row, 4 * {self.record_words})) {{\n"
            f"                return {_CORRUPT};\n            }}\n        }}\n    }}\n"
            f"    return flush() ? 0 : {_CORRUPT};\n}}"
        )

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
