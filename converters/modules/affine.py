"""Affine expressions over what sends messages: one row for each feature of a tensor."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from lnn2loihi.layers.linear import FloatArray

if TYPE_CHECKING:
    from lnn2loihi.converters.modules.atoms import Atom


@dataclass(frozen=True, eq=False)
class Picks:
    """A matrix with at most one number that is not zero in each row: what slices, concatenations
    and factors are, at any width.

    Attributes:
        columns: for each row the column that it reads.
        factors: for each row what it is multiplied with, 0 for rows that read nothing.
    """

    columns: npt.NDArray[np.int64]
    factors: FloatArray

    @classmethod
    def every(cls, width: int) -> Picks:
        """The identity."""
        return cls(np.arange(width), np.ones(width))

    def dense(self, width: int) -> FloatArray:
        """The matrix, float64 (rows, width)."""
        matrix = np.zeros((len(self.columns), width))
        matrix[np.arange(len(self.columns)), self.columns] = self.factors
        return matrix


Block: TypeAlias = "Picks | FloatArray"


@dataclass(frozen=True, eq=False)
class Affine:
    """The sum of block @ atom over all atoms, and an offset.

    Attributes:
        blocks: for each atom float64 (rows, width of the atom); none of them is all zeros.
        offset: float64 (rows,).
    """

    blocks: Mapping[Atom, Block]
    offset: FloatArray

    @classmethod
    def of(cls, atom: Atom) -> Affine:
        """All that an atom says."""
        return cls({atom: Picks.every(atom.width)}, np.zeros(atom.width))

    @property
    def rows(self) -> int:
        """Number of features."""
        return len(self.offset)

    @property
    def atoms(self) -> tuple[Atom, ...]:
        """What it hears."""
        return tuple(self.blocks)

    @property
    def synapses(self) -> int:
        """Numbers in its matrices that are not zero."""
        return sum(_count(block) for block in self.blocks.values())

    def matrix(self, atom: Atom) -> FloatArray:
        """What it multiplies an atom with, float64 (rows, width)."""
        block = self.blocks.get(atom)
        if block is None:
            return np.zeros((self.rows, atom.width))
        return block.dense(atom.width) if isinstance(block, Picks) else block

    def alone(self) -> Atom | None:
        """The atom that it repeats as it is; None for all else."""
        if len(self.blocks) != 1 or self.offset.any():
            return None
        ((atom, block),) = self.blocks.items()
        same = (
            isinstance(block, Picks)
            and self.rows == atom.width
            and bool((block.columns == np.arange(atom.width)).all())
            and bool((block.factors == 1.0).all())
        )
        return atom if same else None

    def picked(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> Affine:
        """Some of its rows, in any order and any number of times."""
        wanted = np.asarray(rows, np.int64)
        return _made(
            {
                atom: Picks(block.columns[wanted], block.factors[wanted])
                if isinstance(block, Picks)
                else block[wanted]
                for atom, block in self.blocks.items()
            },
            self.offset[wanted],
        )

    def scaled(self, factor: FloatArray, offset: FloatArray) -> Affine:
        """Row by row: factor * row + offset."""
        return _made(
            {
                atom: Picks(block.columns, block.factors * factor)
                if isinstance(block, Picks)
                else block * factor[:, None]
                for atom, block in self.blocks.items()
            },
            self.offset * factor + offset,
        )

    def mapped(self, weight: FloatArray, bias: FloatArray) -> Affine:
        """The expression weight @ self + bias."""
        found: dict[Atom, Block] = {}
        for atom, block in self.blocks.items():
            if not isinstance(block, Picks):
                found[atom] = weight @ block
            elif self.rows == atom.width and bool((block.columns == np.arange(atom.width)).all()):
                found[atom] = weight * block.factors
            else:
                matrix = np.zeros((len(weight), atom.width))
                np.add.at(matrix.T, block.columns, (weight * block.factors).T)
                found[atom] = matrix
        return _made(found, weight @ self.offset + bias)

    def plus(self, other: Affine) -> Affine:
        """The sum of both, row by row."""
        found = dict(self.blocks)
        for atom, block in other.blocks.items():
            found[atom] = _sum(found[atom], block, atom.width) if atom in found else block
        return _made(found, self.offset + other.offset)

    @cached_property
    def digest(self) -> bytes:
        """What tells it from others."""
        found = hashlib.sha256(self.offset.tobytes())
        for atom in sorted(self.blocks, key=lambda one: one.digest):
            block = self.blocks[atom]
            found.update(atom.digest)
            if isinstance(block, Picks):
                found.update(b"picks" + block.columns.tobytes() + block.factors.tobytes())
            else:
                found.update(b"dense" + np.ascontiguousarray(block).tobytes())
        return found.digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Affine) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


def joined(parts: Sequence[Affine]) -> Affine:
    """The rows of all, below each other."""
    starts = np.cumsum([0, *(part.rows for part in parts)])
    rows = int(starts[-1])
    found: dict[Atom, Block] = {}
    for atom in dict.fromkeys(atom for part in parts for atom in part.blocks):
        own = [(s, p.blocks[atom]) for s, p in zip(starts, parts, strict=False) if atom in p.blocks]
        if all(isinstance(block, Picks) for _, block in own):
            columns, factors = np.zeros(rows, np.int64), np.zeros(rows)
            for start, block in own:
                assert isinstance(block, Picks)
                columns[start : start + len(block.columns)] = block.columns
                factors[start : start + len(block.columns)] = block.factors
            found[atom] = Picks(columns, factors)
            continue
        matrix = np.zeros((rows, atom.width))
        for start, block in own:
            dense = block.dense(atom.width) if isinstance(block, Picks) else block
            matrix[start : start + len(dense)] = dense
        found[atom] = matrix
    return _made(found, np.concatenate([part.offset for part in parts]))


def constant(values: FloatArray) -> Affine:
    """An expression that hears nothing."""
    return Affine({}, np.asarray(values, np.float64))


def _made(blocks: Mapping[Atom, Block], offset: FloatArray) -> Affine:
    """Without what is all zeros; a zero is no negative one, which has other bytes."""
    return Affine({atom: block for atom, block in blocks.items() if _count(block)}, offset + 0.0)


def _count(block: Block) -> int:
    return int(np.count_nonzero(block.factors if isinstance(block, Picks) else block))


def _sum(a: Block, b: Block, width: int) -> Block:
    if isinstance(a, Picks) and isinstance(b, Picks):
        columns = np.where(a.factors != 0.0, a.columns, b.columns)
        same = (a.columns == b.columns) | (a.factors == 0.0) | (b.factors == 0.0)
        if same.all():
            return Picks(columns, a.factors + b.factors)
    dense = [one.dense(width) if isinstance(one, Picks) else one for one in (a, b)]
    return dense[0] + dense[1]
