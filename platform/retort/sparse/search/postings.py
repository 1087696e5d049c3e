"""The inverted index of one part of a collection: blocks of passages whose scores fit the processor's first cache.

Terms fall into two classes, the same for the whole collection. A *rare* term has a posting list per block: local ids and
values. A *frequent* term, in more than one passage of ten, is too long a list to be added up for every query, and has two
other forms: its values stand in the passage's own row, from which a passage that may be among the best is scored, and one
byte per passage, its ceiling, says how much of the block's largest value it has at most. Ceilings are added up 16 passages
at a time (``scan.py``).

A part is one array of bytes, so that opening it maps one file and reads the first 64 of them, however large it is.

Shapes: N passages of the part, B passages of a block, G = ceil(N / B) blocks, V vocabulary entries, F frequent terms,
Z entries, P = ceil(N / S) spans of S = min(B, 960) passages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from retort.sparse.search.sizes import BLOCK_PASSAGES, FREQUENT_SHARE, SPAN, TILE
from retort.sparse.vectors import Float32, Int32, Int64, SparseVectors

__all__ = [
    "BLOCK_PASSAGES",
    "SPAN",
    "TILE",
    "Postings",
    "build_postings",
    "document_frequency",
    "frequent_terms",
    "read_only",
]

Bytes = npt.NDArray[np.uint8]

FREQUENT_AT_MOST: Final = 4096  # ceilings take no more than 4 KB a passage, however dense the vectors are

TERM = np.dtype([("start", "<u4"), ("maximum", "<f4")])
ALIGNMENT: Final = 64  # bytes, a line of the cache
COUNTS: Final = ("passages", "block_passages", "span_passages", "vocabulary_size", "frequent", "entries")


@dataclass(frozen=True, slots=True)
class Postings:
    """One part's blocks, one after the other.

    Attributes:
        memory: All of it, uint8: the numbers ``COUNTS``, int64, then the arrays below, each aligned to 64 bytes.
        terms: (G * (V + 1),) where each block's list of each term begins in ``ids`` and ``values``, and the term's largest
            value in the block; entry V is where the lists end. The list of a frequent term is empty.
        rows: (N + G,) uint32, where each passage's row of frequent terms begins; each block has one more entry, the end.
        ids: (Z,) uint16: of a list, passages within the block, ascending; of a row, numbers of frequent terms, ascending.
        values: (Z,) float32.
        ceilings: (P * F * S,) uint8, span by span and in it term by term: 255ths of the block's maximum, rounded up.
        passages: N.
        block_passages: B.
        span_passages: S.
    """

    memory: Bytes
    terms: npt.NDArray[np.void]
    rows: npt.NDArray[np.uint32]
    ids: npt.NDArray[np.uint16]
    values: Float32
    ceilings: Bytes
    passages: int
    block_passages: int
    span_passages: int

    @classmethod
    def of(cls, memory: Bytes) -> "Postings":
        """The arrays that stand in a part's bytes, as views of them."""
        numbers = memory[: 8 * len(COUNTS)].view(np.int64).tolist()
        counts = dict(zip(COUNTS, numbers, strict=True))
        arrays: dict[str, Any] = {}
        for name, (dtype, start, end) in _layout(counts).items():
            arrays[name] = memory[start:end].view(dtype)
        sizes = {name: counts[name] for name in ("passages", "block_passages", "span_passages")}
        return cls(memory, **arrays, **sizes)


def _layout(counts: Mapping[str, int]) -> dict[str, tuple[np.dtype[Any], int, int]]:
    blocks = -(-counts["passages"] // counts["block_passages"])
    spans = -(-counts["passages"] // counts["span_passages"])
    sizes: dict[str, tuple[npt.DTypeLike, int]] = {
        "terms": (TERM, blocks * (counts["vocabulary_size"] + 1)),
        "rows": (np.uint32, counts["passages"] + blocks),
        "ids": (np.uint16, counts["entries"]),
        "values": (np.float32, counts["entries"]),
        "ceilings": (np.uint8, spans * counts["frequent"] * counts["span_passages"]),
    }
    places, at = {}, ALIGNMENT
    for name, (kind, length) in sizes.items():
        dtype = np.dtype(kind)
        places[name] = (dtype, at, at + length * dtype.itemsize)
        at = -(-places[name][2] // ALIGNMENT) * ALIGNMENT
    return places


def document_frequency(parts: Sequence[SparseVectors]) -> Int64:
    """(V,) number of passages that have each term."""
    frequency = np.zeros(parts[0].vocabulary_size, dtype=np.int64)
    for part in parts:
        frequency += np.bincount(part.indices, minlength=len(frequency))
    return frequency


def frequent_terms(frequency: Int64, passages: int, *, share: float = FREQUENT_SHARE) -> Int32:
    """Terms in more than this share of the passages, ascending: the most frequent ones where they are very many."""
    order = np.argsort(-frequency, kind="stable")[:FREQUENT_AT_MOST]
    return np.sort(order[frequency[order] > share * passages]).astype(np.int32)


def build_postings(vectors: SparseVectors, frequent: Int32, *, block_passages: int = BLOCK_PASSAGES) -> Postings:
    """Sort a part's entries into blocks, in one pass over them.

    Args:
        vectors: (N, V), the part's passages.
        frequent: (F,) the collection's frequent terms, ascending.
        block_passages: B, a multiple of 960 up to 65,536, or of 64 up to 960.

    Raises:
        ValueError: If B is none of these, or the part has too many entries to be counted with 32 bits.
    """
    if not 0 < block_passages <= 2**16 or block_passages % (TILE if block_passages <= SPAN else SPAN):
        raise ValueError(
            f"block_passages must be a multiple of {SPAN} up to 65536, or of {TILE} up to {SPAN}, got {block_passages}"
        )
    if vectors.entries >= 2**32:
        raise ValueError(
            f"a part of the index holds less than 2**32 entries, got {vectors.entries}: make smaller parts"
        )
    counts = {
        "passages": len(vectors),
        "block_passages": block_passages,
        "span_passages": min(block_passages, SPAN),
        "vocabulary_size": vectors.vocabulary_size,
        "frequent": len(frequent),
        "entries": vectors.entries,
    }
    memory: Bytes = np.zeros(max(end for _, _, end in _layout(counts).values()), dtype=np.uint8)
    memory[: 8 * len(COUNTS)].view(np.int64)[:] = [counts[name] for name in COUNTS]
    postings = Postings.of(memory)
    slots = np.full(vectors.vocabulary_size, -1, dtype=np.int32)
    slots[frequent] = np.arange(len(frequent), dtype=np.int32)
    _fill(
        read_only(vectors.indptr),
        read_only(vectors.indices),
        read_only(vectors.values),
        slots,
        len(frequent),
        block_passages,
        postings.span_passages,
        postings.terms["start"],
        postings.terms["maximum"],
        postings.rows,
        postings.ids,
        postings.values,
        postings.ceilings,
    )
    return postings


def read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view that can't be written to: numba compiles anew for arrays that can, and mapped files never can."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _fill(
    indptr: Any,
    indices: Any,
    entries: Any,
    slots: Any,
    frequent: Any,
    block_passages: Any,
    span_passages: Any,
    starts: Any,
    maxima: Any,
    rows: Any,
    ids: Any,
    values: Any,
    ceilings: Any,
) -> None:  # pragma: no cover - compiled
    # A counting sort block by block: entries are counted, list ends become list starts, entries go to their places.
    # Unsigned numbers as indices: numba looks for negative ones otherwise, in every access.
    vocabulary = len(slots)
    passages = len(indptr) - 1
    following = np.empty(vocabulary, np.uint32)  # next free place of each term's list
    done: Any = np.uint32(0)
    span = np.uintp(span_passages)
    for block, low in enumerate(range(0, passages, block_passages)):
        high = min(passages, low + block_passages)
        first_term = np.uintp(block * (vocabulary + 1))
        following[:] = np.uint32(0)
        for place in range(np.uintp(indptr[low]), np.uintp(indptr[high])):
            term = np.uint32(indices[place])
            maxima[first_term + term] = max(maxima[first_term + term], entries[place])
            following[term] += np.uint32(slots[term] < 0)
        for number in range(vocabulary):
            count = following[number]
            starts[first_term + np.uintp(number)] = done
            following[number] = done
            done += count
        starts[first_term + np.uintp(vocabulary)] = done
        for row in range(low, high):
            local = np.uintp(row - low)
            rows[np.uintp(row + block)] = done
            line = np.uintp(row) // span * span * np.uintp(frequent) + np.uintp(row) % span
            for place in range(np.uintp(indptr[row]), np.uintp(indptr[row + 1])):
                term = np.uint32(indices[place])
                slot = slots[term]
                if slot < 0:
                    at = following[term]
                    following[term] += np.uint32(1)
                    ids[at] = local
                else:
                    at = done
                    done += np.uint32(1)
                    ids[at] = slot
                    share = np.float64(entries[place]) * 255.0 / np.float64(maxima[first_term + term])
                    ceilings[line + np.uintp(slot) * span] = np.uint8(np.ceil(share))
                values[at] = entries[place]
        rows[np.uintp(high + block)] = done
