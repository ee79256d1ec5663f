"""The exceptions of lnn2loihi: every message lists all that is wrong and says what to do.

Library code raises these types only; the command line prints them as one clean message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lnn2loihi.printable import printable, printable_lines


class Lnn2LoihiError(Exception):
    """Base of all errors of this library.

    Its text is printable; the attributes hold what was given.

    Attributes:
        subject: what the problems are about (a file, a network, an argument).
        problems: every problem that was found, one sentence or two each.
        exit_code: the exit code that the command line uses for this error.
    """

    exit_code = 1

    def __init__(self, subject: str, problems: Iterable[str] | str = ()) -> None:
        self.subject = subject
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__(self._text())

    def _text(self) -> str:
        # Both may hold what comes out of files, names of files included.
        subject, problems = printable(self.subject), [*map(printable_lines, self.problems)]
        if not problems:
            return subject
        if len(problems) == 1:
            return f"{subject}: {problems[0]}"
        lines = [f"{subject}: {len(problems)} problems"]
        lines += [f"  - {problem}" for problem in problems]
        return "\n".join(lines)


class ImportNetworkError(Lnn2LoihiError):
    """A module, checkpoint or description cannot be turned into a LiquidNetwork."""


class NetworkError(Lnn2LoihiError):
    """A LiquidNetwork contradicts itself (shapes, NaN, sizes between layers)."""


class RecipeError(Lnn2LoihiError):
    """A quantization recipe is not in the grammar or asks for widths that do not exist."""


class QuantizationError(Lnn2LoihiError):
    """A network cannot be quantized with this recipe without breaking a limit of the chip."""


class FamilyError(QuantizationError):
    """The code of a family fails, or what it makes is no neuron program: neither other weights nor
    another recipe help.
    """


class ProgramError(Lnn2LoihiError):
    """A neuron program or a LoihiProgram is not well formed or its bounds are not proved."""


class MalformedProgramError(ProgramError):
    """A neuron program is not well formed, whatever its shifts and constants are."""


class ArtifactError(Lnn2LoihiError):
    """A saved file is damaged, altered, hostile or of an unknown version."""


class InputError(Lnn2LoihiError):
    """An argument given by the caller (an input array, a state) does not fit the program."""


class PluginError(InputError):
    """Something that a package registers is not there, cannot be loaded, or shares its name."""


class TargetError(Lnn2LoihiError):
    """A pass of a target cannot prepare a program, or makes something else than a program of the
    same inputs and answers.
    """


class DeviceError(Lnn2LoihiError):
    """A device is not known, or its profile is damaged, incomplete or contradicts itself."""


class RateError(InputError):
    """A device cannot meet the sample rate that was asked for.

    Attributes:
        needed: seconds that a sample needs, at the nominal figures.
        available: seconds that the rate leaves for it.
        fact: what it needs and has, without the advice.
        advice: what might help, by its kind; it ends the problem.
    """

    def __init__(
        self,
        subject: str,
        problem: str,
        needed: float,
        available: float,
        advice: Mapping[str, str] | None = None,
    ) -> None:
        self.needed = needed
        self.available = available
        self.fact = problem
        self.advice = dict(advice or {})
        super().__init__(subject, "; ".join([problem, *self.advice.values()]))


class PlacementError(Lnn2LoihiError):
    """A program does not fit a device.

    Attributes:
        violations: every limit that is exceeded, with what would fit.
    """

    def __init__(self, subject: str, violations: Iterable[Any]) -> None:
        self.violations = tuple(violations)
        super().__init__(subject, map(str, self.violations))


class BackendMissingError(Lnn2LoihiError):
    """What a verb needs is not here: a package that is not installed (the message says how to
    install it), or an executor that cannot run this program (it says why).
    """

    exit_code = 3


class UnfitProgramError(BackendMissingError):
    """An executor can run such a program nowhere, whatever is installed; the message says what can,
    or what to prepare it for.
    """

    exit_code = 1


class MeterError(Lnn2LoihiError):
    """An energy counter cannot be read, or says what cannot be."""


class LavaRunError(Lnn2LoihiError):
    """A run in Lava failed; the message carries the traceback of the worker."""


class CompiledRunError(Lnn2LoihiError):
    """A program in C failed or hung where it ran, here or in an emulator; the message carries what
    was said.
    """


class OutOfMemoryError(Lnn2LoihiError, MemoryError):
    """What was asked for needs more memory than the system gives, although no limit of this
    library stood against it.
    """


def out_of_memory(subject: str, error: MemoryError) -> OutOfMemoryError:
    """Our error for one of Python or NumPy, which may say how much was asked for."""
    said = f" ({error})" if str(error) else ""
    return OutOfMemoryError(
        subject,
        f"memory ran out{said}; give fewer or shorter sequences or a smaller network, or more "
        "memory (ulimit -v, the limits of a container)",
    )


class Problems:
    """Collects problems so that all of them are raised together."""

    def __init__(self, error: type[Lnn2LoihiError], subject: str) -> None:
        self._error = error
        self._subject = subject
        self._found: list[str] = []

    def add(self, problem: str) -> None:
        """Notes one more problem."""
        self._found.append(problem)

    def extend(self, problems: Iterable[str]) -> None:
        """Notes several problems."""
        self._found.extend(problems)

    def __bool__(self) -> bool:
        return bool(self._found)

    def raise_if_any(self) -> None:
        """Raises the error with all problems, if there is at least one."""
        if self._found:
            raise self._error(self._subject, self._found)
