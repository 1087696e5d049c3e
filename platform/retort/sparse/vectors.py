"""Sparse vectors in memory and, part by part, memory-mapped from a stage's folder.

One collection is a list of parts, each a CSR matrix over the same vocabulary; a passage's row counts through all parts.
Shapes: N rows, V vocabulary entries, Z stored entries.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import scipy.sparse

__all__ = ["PartedVectors", "SparseVectors"]

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SparseVectors:
    """A CSR matrix of non-negative weights; indices ascend within a row.

    Attributes:
        indptr: (N + 1,) int64, where each row begins.
        indices: (Z,) int32, vocabulary entries.
        values: (Z,) float32, weights above 0.
        vocabulary_size: V.
    """

    indptr: Int64
    indices: Int32
    values: Float32
    vocabulary_size: int

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def entries(self) -> int:
        """Number of stored entries."""
        return int(self.indptr[-1])

    def row(self, row: int) -> tuple[Int32, Float32]:
        """Indices and values of one row."""
        start, end = self.indptr[row], self.indptr[row + 1]
        return self.indices[start:end], self.values[start:end]

    def take(self, rows: Sequence[int] | Int64 | Int32) -> "SparseVectors":
        """The given rows, in the given order, copied."""
        wanted = np.asarray(rows, dtype=np.int64)
        lengths = self.indptr[wanted + 1] - self.indptr[wanted]
        indptr = np.zeros(len(wanted) + 1, dtype=np.int64)
        np.cumsum(lengths, out=indptr[1:])
        # Position of every entry: its row's start, plus its place in the row.
        positions = np.repeat(self.indptr[wanted] - indptr[:-1], lengths) + np.arange(indptr[-1])
        return SparseVectors(indptr, self.indices[positions], self.values[positions], self.vocabulary_size)

    def to_scipy(self) -> "scipy.sparse.csr_matrix":
        """The same matrix for scipy, sharing the arrays."""
        import scipy.sparse  # 0.2 s, which finding out that a stage is there already need not take

        return scipy.sparse.csr_matrix(
            (self.values, self.indices, self.indptr), shape=(len(self), self.vocabulary_size), copy=False
        )

    @classmethod
    def from_rows(cls, rows: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]], vocabulary_size: int) -> "SparseVectors":
        """From one (indices, values) pair per row; entries are sorted by index, zeros are dropped."""
        indices_parts, values_parts, lengths = [], [], []
        for indices, values in rows:
            index_array, value_array = np.asarray(indices, dtype=np.int32), np.asarray(values, dtype=np.float32)
            kept = value_array > 0
            index_array, value_array = index_array[kept], value_array[kept]
            order = np.argsort(index_array, kind="stable")
            indices_parts.append(index_array[order])
            values_parts.append(value_array[order])
            lengths.append(len(order))
        indptr = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=indptr[1:])
        return cls(
            indptr,
            np.concatenate([np.empty(0, np.int32), *indices_parts]),
            np.concatenate([np.empty(0, np.float32), *values_parts]),
            vocabulary_size,
        )

    @classmethod
    def from_dense(cls, dense: npt.ArrayLike) -> "SparseVectors":
        """From a (N, V) array; entries above 0 are kept."""
        array = np.asarray(dense, dtype=np.float32)
        rows, indices = np.nonzero(array > 0)
        indptr = np.zeros(array.shape[0] + 1, dtype=np.int64)
        np.cumsum(np.bincount(rows, minlength=array.shape[0]), out=indptr[1:])
        return cls(indptr, indices.astype(np.int32), array[rows, indices], array.shape[1])

    @classmethod
    def concatenate(cls, parts: Sequence["SparseVectors"]) -> "SparseVectors":
        """Parts over one vocabulary, one below the other."""
        if len({part.vocabulary_size for part in parts}) != 1:
            raise ValueError(f"parts must share one vocabulary, got sizes {[part.vocabulary_size for part in parts]}")
        offsets = np.cumsum([0, *(part.entries for part in parts)])
        indptr = np.concatenate(
            [[0], *(part.indptr[1:] + offset for part, offset in zip(parts, offsets, strict=False))]
        )
        return cls(
            indptr.astype(np.int64),
            np.concatenate([part.indices for part in parts]),
            np.concatenate([part.values for part in parts]),
            parts[0].vocabulary_size,
        )


class PartedVectors:
    """A collection's vectors as memory-mapped parts; row numbers run through all of them.

    Args:
        parts: The parts in row order, at least one.
    """

    def __init__(self, parts: Sequence[SparseVectors]) -> None:
        if not parts:
            raise ValueError("a collection needs at least one part")
        self.parts = tuple(parts)
        self.first_rows: Int64 = np.cumsum([0, *(len(part) for part in parts)])

    def __len__(self) -> int:
        return int(self.first_rows[-1])

    def __iter__(self) -> Iterator[tuple[int, SparseVectors]]:
        return iter(zip(self.first_rows[:-1].tolist(), self.parts, strict=True))

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return self.parts[0].vocabulary_size

    def between(self, start: int, stop: int) -> SparseVectors:
        """Consecutive rows from ``start`` up to ``stop``, copied into memory."""
        if not 0 <= start < stop <= len(self):
            raise ValueError(f"rows must lie in [0, {len(self)}), got {start} to {stop}")
        pieces = []
        for first, part in self:
            low, high = max(start - first, 0), min(stop - first, len(part))
            if low < high:
                begin, end = part.indptr[low], part.indptr[high]
                indptr = part.indptr[low : high + 1] - begin
                pieces.append(
                    SparseVectors(indptr, part.indices[begin:end], part.values[begin:end], self.vocabulary_size)
                )
        return SparseVectors.concatenate(pieces)

    def take(self, rows: Sequence[int] | Int64 | Int32) -> SparseVectors:
        """The given rows in the given order, copied into memory; only their pages are read."""
        wanted = np.asarray(rows, dtype=np.int64)
        if len(wanted) and (wanted.min() < 0 or wanted.max() >= len(self)):
            raise ValueError(f"rows must lie in [0, {len(self)}), got {wanted.min()} to {wanted.max()}")
        owner = np.searchsorted(self.first_rows, wanted, side="right") - 1
        pieces, places = [], []
        for number in np.unique(owner):
            mine = np.flatnonzero(owner == number)
            pieces.append(self.parts[number].take(wanted[mine] - self.first_rows[number]))
            places.append(mine)
        if not pieces:
            return self.parts[0].take(wanted)
        gathered = SparseVectors.concatenate(pieces)
        order = np.empty(len(wanted), dtype=np.int64)
        order[np.concatenate(places)] = np.arange(len(wanted))
        return gathered if np.array_equal(order, np.arange(len(wanted))) else gathered.take(order)
