"""Exports a program of stock neurons as a folder that its owner's board runs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.converters.loihi2.network_file import check_size, is_network_file, network_file
from lnn2loihi.errors import InputError
from lnn2loihi.formats import IntegerArray
from lnn2loihi.kinds import Count
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.inputs import checked, encode_live

#: What of the folder is the same for every program.
SHIPPED = ("run.py", "README.md")
#: The file that differs.
NETWORK = "network.npz"
#: Samples of the sequence that stands in for the caller's.
SAMPLES = 100


class Loihi2Exporter:
    """Entry point `loihi2` of the group `lnn2loihi.exporters`; it writes a folder.

    The folder holds `network.npz` (network, samples, expected integers), `run.py` (a script that
    needs NumPy, SciPy and lava-nc alone) and `README.md`.
    """

    suffixes: tuple[str, ...] = ()

    def accepts(self, source: object) -> bool:
        """Whether it is a program."""
        return isinstance(source, LoihiProgram)

    def to_bytes(self, made: Mapping[str, bytes]) -> bytes:
        """A folder is no file.

        Raises:
            InputError: always.
        """
        raise InputError("format 'loihi2'", "writes a folder, no file")

    def to_files(self, made: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """The files of the folder, by their names."""
        return made

    def has_written(self, folder: Path) -> bool:
        """Whether a folder holds a network that was exported."""
        return is_network_file(folder / NETWORK)

    @checks_kinds()
    def export(
        self,
        source: LoihiProgram,
        *,
        x: npt.ArrayLike | None = None,
        timespans: npt.ArrayLike | None = None,
        lengths: npt.ArrayLike | None = None,
        encoded: bool = False,
        samples: Count = SAMPLES,
    ) -> dict[str, bytes]:
        """Makes the files of the folder.

        Args:
            source: a program of stock neurons (target="stock" prepares one).
            x: the samples that the board will run, as for `simulate`; one sequence of random ones
                from the whole range of the inputs where absent.
            timespans: elapsed times, as for `simulate`.
            lengths: as for `simulate`.
            encoded: as for `simulate`.
            samples: how many, where x is absent.

        Raises:
            ProgramError: the program is no graph of Lava's own processes; lists what is in the
                way, and what to type.
            InputError: x does not fit, or there is too much of it.
        """
        if x is None:
            if timespans is not None or lengths is not None:
                raise InputError("timespans, lengths", "are those of x: give x too, or neither")
            check_size(source, samples)
            inputs, counts = _example(source, samples)
        else:
            given, counts = checked(source, x, lengths, timespans, encoded)
            check_size(source, int(counts.sum()))
            inputs = encode_live(source, given, counts)[0]
        shipped = {
            name: (files("lnn2loihi.converters.loihi2") / "script" / name).read_bytes()
            for name in SHIPPED
        }
        return {NETWORK: network_file(source, inputs, counts), **shipped}


def _example(program: LoihiProgram, samples: int) -> tuple[IntegerArray, IntegerArray]:
    """One sequence of random messages, the same in each call."""
    rng = np.random.default_rng(0)
    low, high = program.input.low, program.input.high
    drawn = rng.integers(low, np.asarray(high) + 1, (1, samples, program.input.size))
    return drawn.astype(np.int64), np.array([samples])
