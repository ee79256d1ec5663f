"""Exports a program as C99 files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.converters.c99.codec import Codec
from lnn2loihi.converters.c99.names import check_prefix
from lnn2loihi.converters.c99.selftest import SelfTest
from lnn2loihi.converters.c99.source import CSource, Goal, c_source
from lnn2loihi.errors import InputError
from lnn2loihi.kinds import Natural
from lnn2loihi.program import LoihiProgram

#: Characters that an #include cannot have between its quotes.
_NOT_INCLUDED = re.compile(r'["\\\x00-\x1f\x7f]')


@dataclass(frozen=True)
class CExport:
    """A program that is to be written in C, and how; `source` writes it.

    Attributes:
        program: the program.
        prefix: what names begin with; "" for the name of the file.
        goal, codec, fraction_bits, selftest, count_saturation: see `c_source`.
    """

    program: LoihiProgram
    prefix: str = ""
    goal: Goal = "size"
    codec: Codec = "none"
    fraction_bits: int | None = None
    selftest: SelfTest = "none"
    count_saturation: bool = False

    def source(self, stem: str = "net") -> CSource:
        """The texts of all files, of which the first is called `<stem>.c`."""
        prefix = self.prefix or check_prefix(re.sub(r"\W+", "_", stem, flags=re.ASCII))
        return c_source(
            self.program, prefix, self.goal, codec=self.codec, fraction_bits=self.fraction_bits,
            selftest=self.selftest, count_saturation=self.count_saturation, header=f"{stem}.h",
        )  # fmt: skip


class C99Exporter:
    """Entry point `c99` of the group `lnn2loihi.exporters`; it writes `net.c`, `net.h` beside it,
    and where they are asked for `net_codec.c`, `net_codec.h` and `net_selftest.c`.
    """

    suffixes: tuple[str, ...] = (".c",)

    def accepts(self, source: object) -> bool:
        """Whether it is a program."""
        return isinstance(source, LoihiProgram)

    def to_bytes(self, made: CExport) -> bytes:
        """The C file alone, as `net.c`."""
        return made.source().source.encode("ascii")

    def to_files_beside(self, made: CExport, name: str) -> Mapping[str, bytes]:
        """All files by their names, the one of that name first.

        Raises:
            InputError: the name does not end in .c, is none that C can include, or makes no prefix.
        """
        stem = name.removesuffix(".c")
        if stem in ("", name):
            raise InputError(
                name, "files of C end in .c, and others are written beside it: give such a name"
            )
        if _NOT_INCLUDED.search(name) or not name.isascii():
            raise InputError(
                name,
                "is no name that every compiler includes: give one of letters, digits, _ and -",
            )
        made_of = made.source(stem)
        texts = {name: made_of.source, f"{stem}.h": made_of.header}
        if made_of.codec is not None:
            texts[f"{stem}_codec.h"], texts[f"{stem}_codec.c"] = made_of.codec
        if made_of.selftest is not None:
            texts[f"{stem}_selftest.c"] = made_of.selftest
        return {file: text.encode("ascii") for file, text in texts.items()}

    @checks_kinds()
    def export(
        self,
        source: LoihiProgram,
        *,
        prefix: str = "",
        goal: Goal = "size",
        codec: Codec = "none",
        fraction_bits: Natural | None = None,
        selftest: SelfTest = "none",
        count_saturation: bool = False,
    ) -> CExport:
        """Says how a program is to be written; `.source()` of the answer has the texts.

        Args:
            source: any program.
            prefix: what names of C begin with; the file's name where it is absent, else `net`.
            goal: "size" shares loops and packs tables, "speed" writes loops out for vectors,
                "either" leaves the choice to the macro NET_SPEED.
            codec: "float" or "fixed" writes encoder and decoder too.
            fraction_bits: of a codec in fixed point, 0 to 30; 16 by default.
            selftest: "hash" or "vectors" writes a self-test too.
            count_saturation: whether the state counts what saturates, inputs and words of neurons.

        Raises:
            InputError: the prefix is no name of C, or another option is none of these.
        """
        if prefix:
            check_prefix(prefix)
        return CExport(source, prefix, goal, codec, fraction_bits, selftest, count_saturation)
