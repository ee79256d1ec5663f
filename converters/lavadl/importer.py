"""Imports networks that lava-dl has exported, as programs.

    program = l2l.import_program("network.net")

A `.net` file holds the integers of the chip, and no floating point behind them: there is nothing
to quantize, and so it becomes a LoihiProgram and not a LiquidNetwork. It answers as netx does in
Lava's simulator, bit for bit, as long as nothing saturates; what does is counted in results.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.converters.lavadl.build import Builder, BuildError
from lnn2loihi.converters.lavadl.file import MOST_NEURONS, read_net
from lnn2loihi.errors import ImportNetworkError, ProgramError
from lnn2loihi.graph.schedule import derive_schedule, matched_delays
from lnn2loihi.program import LoihiProgram

SUFFIX = ".net"
#: Most accumulators of a sigma-delta neuron if nothing is said, and if it is (those of a tile of
#: the C engine).
ACCUMULATORS, MOST_ACCUMULATORS = 4, 6


class LavaDlImporter:
    """Entry point `lavadl` of the group `lnn2loihi.program_importers`."""

    def recognises(self, source: object) -> bool:
        """Whether it is the path of a `.net` file."""
        return isinstance(source, (str, os.PathLike)) and Path(source).suffix.lower() == SUFFIX

    @checks_kinds(ImportNetworkError)
    def load_program(
        self,
        source: str | os.PathLike[str],
        *,
        name: str | None = None,
        accumulators: int = ACCUMULATORS,
        input_shape: tuple[int, ...] | str | None = None,
    ) -> LoihiProgram:
        """Turns a `.net` file into a LoihiProgram.

        Args:
            source: its path.
            name: of the program; else the file's.
            accumulators: most accumulators of a sigma-delta neuron, 1 to 6. All sources of a
                neuron may send their largest message at once, and what arrives then has to fit
                24 bits: with more accumulators they may send larger ones.
            input_shape: channels, height and width of the input, or its size, where the file has
                no input layer that says it; as text "2,34,34".

        Raises:
            ImportNetworkError: lists everything that is not supported, damaged or contradictory.
            BackendMissingError: h5py is not installed.
        """
        if not 1 <= accumulators <= MOST_ACCUMULATORS:
            raise ImportNetworkError(
                str(source), f"accumulators is {accumulators}, and can be 1 to {MOST_ACCUMULATORS}"
            )
        path = Path(source)
        file = read_net(path, _lengths(path, input_shape))
        shape = file.shape
        if shape is None:
            weight = file.layers[0].weight
            assert weight is not None  # of a dense layer: others have to know what they hear
            shape = (weight.shape[1],)
        builder = Builder(accumulators)
        try:
            port = builder.build(file.layers, shape)
            names = [population.name for population in builder.populations]
            connections = matched_delays(port.name, names, builder.connections)
            program = LoihiProgram(
                name or path.stem,
                "lava-dl",
                port,
                tuple(builder.populations),
                connections,
                names[-1],
                derive_schedule(port.name, names, connections),
                provenance={"importer": "lavadl", "file": path.name},
            )
        except BuildError as error:
            raise ImportNetworkError(str(path), str(error)) from error
        except ProgramError as error:
            raise ImportNetworkError(str(path), error.problems) from error
        return replace(program, warnings=(*file.notes, *builder.warnings))


def _lengths(path: Path, shape: tuple[int, ...] | str | None) -> tuple[int, ...] | None:
    """A shape as numbers.

    Raises:
        ImportNetworkError: it is none.
    """
    if shape is None:
        return None
    try:
        found = tuple(int(n) for n in (shape.split(",") if isinstance(shape, str) else shape))
    except ValueError:
        found = ()
    if len(found) not in (1, 3) or min(found) < 1 or math.prod(found) > MOST_NEURONS:
        raise ImportNetworkError(
            str(path),
            f"input_shape is {shape!r:.60}, and can be channels, height and width, or one size, of "
            f"1 to {MOST_NEURONS} numbers in all",
        )
    return found
