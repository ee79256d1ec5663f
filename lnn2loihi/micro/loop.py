"""A program as generated C in this process: a library whose loop over the steps is compiled too."""

from __future__ import annotations

import ctypes
import hashlib
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import BackendMissingError
from lnn2loihi.micro.building import build
from lnn2loihi.micro.driver import NET
from lnn2loihi.micro.tools import host_compiler, version_line
from lnn2loihi.micro.writing import writer
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.native.library import cpu_flags

#: Everything that this processor has; no product is added to a sum before it is rounded, which
#: would encode other messages.
FLAGS = ("-std=c99", "-O3", "-march=native", "-fPIC", "-shared", "-ffp-contract=off")
_SUBJECT = "generated C"


class CompiledLoop:
    """A program in C, written for speed and compiled for this processor.

    Args:
        program: the program.

    Raises:
        BackendMissingError: there is no compiler, it fails, or what it made cannot be loaded.
    """

    def __init__(self, program: LoihiProgram) -> None:
        source = writer().write(program, NET, "speed")
        loop = (files("lnn2loihi.micro") / "source" / "loop.c").read_text()
        # Another processor that shares the cache may not have the instructions of this one.
        here = hashlib.sha256(" ".join(sorted(cpu_flags())).encode()).hexdigest()[:16]
        texts = {f"{NET}.h": source.header, f"{NET}.c": source.source, "loop.c": loop}
        built = build(_SUBJECT, f"loop-{here}", texts, host_compiler(), FLAGS)
        try:
            library = ctypes.CDLL(str(built))
        except OSError as error:
            raise BackendMissingError(_SUBJECT, f"it cannot be loaded: {error}") from error
        library.state_bytes.restype = ctypes.c_int64
        library.begin.argtypes = [ctypes.c_void_p]
        library.run.argtypes = [*[ctypes.c_void_p] * 6, ctypes.c_int64, ctypes.c_void_p]
        library.begin.restype = library.run.restype = None
        self._library, port = library, program.input
        self._codec = [
            np.ascontiguousarray(part, np.float64)
            for part in (port.offset, port.gain, port.low, port.high)
        ]
        self._outputs = program.output_population.size
        self.compiler = version_line(host_compiler())

    def state(self) -> npt.NDArray[np.int64]:
        """A state of its own for a sequence, as it is before the first sample."""
        words = -(-int(self._library.state_bytes()) // 8)
        made = np.zeros(max(words, 1), np.int64)
        self._library.begin(made.ctypes.data)
        return made

    def run(
        self, state: npt.NDArray[np.int64], samples: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.int32]:
        """Messages of the output int32 (steps, outputs); the state goes on.

        Args:
            state: of `state`.
            samples: float64 (steps, channels), contiguous; elapsed times are the last channel.
        """
        answer = np.empty((len(samples), self._outputs), np.int32)
        self._library.run(
            state.ctypes.data, samples.ctypes.data, *(part.ctypes.data for part in self._codec),
            len(samples), answer.ctypes.data,
        )  # fmt: skip
        return answer
