"""What sends messages on a chip, as far as forward tells: inputs, recurrent layers, activations,
norms and products.

Equal ones are one: each is known by a digest of how it was made, so that a loop over the steps of a
sequence makes the same again and again, and is the layer that it is.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from lnn2loihi.converters.modules.affine import Affine
from lnn2loihi.converters.recurrent.family import FamilyImporter, FamilyParts
from lnn2loihi.converters.trace.axes import Axes
from lnn2loihi.converters.trace.graph import Line
from lnn2loihi.layers.linear import FloatArray


@dataclass(frozen=True)
class Base:
    """The samples that something is computed for.

    Attributes:
        batch, time: how many sequences of how many steps the example has there.
        follows: how these two follow the sizes of another example, where they are not its own:
            "time//4" for windows. Samples of which the example has as many by chance are not the
            same.
    """

    batch: int
    time: int
    follows: str = ""


@dataclass(frozen=True, eq=False)
class Atom(ABC):
    """What sends messages.

    Attributes:
        base: the samples that it sends one for.
        width: units.
        name: what a layer would be called.
        line: of the user's code that made it.
    """

    base: Base
    width: int
    name: str = ""
    line: Line | None = None

    @property
    @abstractmethod
    def heard(self) -> tuple[Affine, ...]:
        """What it hears."""

    @property
    @abstractmethod
    def content(self) -> tuple[object, ...]:
        """What tells it from others of its class."""

    @cached_property
    def digest(self) -> bytes:
        """Of all that it is made of."""
        said = (type(self).__name__, self.base, self.width, *self.content)
        return hashlib.sha256(repr(said).encode()).digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Atom) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@dataclass(frozen=True, eq=False)
class Given(Atom):
    """A value of the host that goes onto the chip, or an input of the module.

    Attributes:
        number: of the value in the recording.
        axes: what its axes mean.
        divisor, subtracted: (x - subtracted) / divisor is what enters, float64 (width,); None where
            forward does not normalise it first.
    """

    number: int = -1
    axes: Axes = ()
    divisor: FloatArray | None = None
    subtracted: FloatArray | None = None

    @property
    def heard(self) -> tuple[Affine, ...]:
        """Nothing on the chip."""
        return ()

    @property
    def content(self) -> tuple[object, ...]:
        """The value, and how it is normalised."""
        arrays = (self.divisor, self.subtracted)
        return self.number, self.axes, *(None if a is None else a.tobytes() for a in arrays)


@dataclass(frozen=True, eq=False)
class Activated(Atom):
    """An activation of an expression.

    Attributes:
        text: the activation's.
        inside: the expression.
    """

    text: str = ""
    inside: Affine = field(default=None)  # pyright: ignore[reportAssignmentType]

    @property
    def heard(self) -> tuple[Affine, ...]:
        """The expression."""
        return (self.inside,)

    @property
    def content(self) -> tuple[object, ...]:
        """The activation and the expression."""
        return self.text, self.inside.digest


@dataclass(frozen=True, eq=False)
class Normed(Atom):
    """An expression, normalised by its mean square in each sample.

    Attributes:
        kind: "layer_norm" or "rms_norm".
        inside: the expression.
        gain, shift: float64 (width,).
        epsilon: what is added to the mean of the squares.
    """

    kind: str = ""
    inside: Affine = field(default=None)  # pyright: ignore[reportAssignmentType]
    gain: FloatArray = field(default=None)  # pyright: ignore[reportAssignmentType]
    shift: FloatArray = field(default=None)  # pyright: ignore[reportAssignmentType]
    epsilon: float = 0.0

    @property
    def heard(self) -> tuple[Affine, ...]:
        """The expression."""
        return (self.inside,)

    @property
    def content(self) -> tuple[object, ...]:
        """The norm and the expression."""
        arrays = self.gain.tobytes(), self.shift.tobytes()
        return self.kind, self.epsilon, *arrays, self.inside.digest


@dataclass(frozen=True, eq=False)
class Product(Atom):
    """The product of two expressions, row by row."""

    left: Affine = field(default=None)  # pyright: ignore[reportAssignmentType]
    right: Affine = field(default=None)  # pyright: ignore[reportAssignmentType]

    @property
    def heard(self) -> tuple[Affine, ...]:
        """Both."""
        return self.left, self.right

    @property
    def content(self) -> tuple[object, ...]:
        """Both, in any order."""
        return tuple(sorted((self.left.digest, self.right.digest)))


@dataclass(frozen=True)
class Initial:
    """The state that a recurrent part is given before its first sample.

    Attributes:
        number: of the value in the recording.
        place: which of its states: 0, or 1 for the cell state of an LSTM or of a mixed memory.
    """

    number: int
    place: int


#: An elapsed time: the number of the value that holds those of all samples, a constant, or None for
#: what the part takes where it is given none.
Elapsed: TypeAlias = "Given | float | None"


@dataclass(frozen=True, eq=False)
class Call:
    """A recurrent part that is called with an expression: with sequences, or step by step.

    Attributes:
        path: of the part.
        importer: of its family.
        parts: its layers.
        inside: what it hears.
        base: the samples.
        elapsed: the elapsed time that it is given.
        initial: its states before the first sample; those that are not named are zeros.
        line: of the user's code.
    """

    path: str
    importer: FamilyImporter
    parts: FamilyParts
    inside: Affine
    base: Base
    elapsed: Elapsed
    initial: tuple[Initial, ...] = ()
    line: Line | None = None

    @cached_property
    def digest(self) -> bytes:
        """Of all that it is made of."""
        elapsed = self.elapsed.digest if isinstance(self.elapsed, Given) else self.elapsed
        said = (self.path, self.inside.digest, self.base, elapsed, self.initial)
        return hashlib.sha256(repr(said).encode()).digest()

    @cached_property
    def unfolds(self) -> int:
        """Steps that it takes for each sample."""
        return max(layer.unfolds for layer in self.parts.layers)

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        """What its layers say, in order."""
        return tuple(
            Message(self.base, part.units, self.path, self.line, self, part.name)
            for layer in self.parts.layers
            for part in layer.parts
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Call) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@dataclass(frozen=True, eq=False)
class Message(Atom):
    """What a layer of a recurrent part says.

    Attributes:
        call: the part, as it is called.
        layer: name of the layer in the part.
    """

    call: Call = field(default=None)  # pyright: ignore[reportAssignmentType]
    layer: str = ""

    @property
    def heard(self) -> tuple[Affine, ...]:
        """What the part hears."""
        return (self.call.inside,)

    @property
    def content(self) -> tuple[object, ...]:
        """The part and the layer."""
        return self.call.digest, self.layer
