"""Bounds of a span of passages, and the scores of those whose bounds are high enough.

The arrays of ``Scratch`` hold a group of queries, its members, one after the other; whatever is compiled here is called for
one member and one span.

Shapes: M members, B passages of a block, S of a span, L terms of the longest query.
"""

from typing import Any, Final, NamedTuple

import numba
import numpy as np

from retort.sparse.search.best import offer
from retort.sparse.search.lanes import bound_tile, prefetch
from retort.sparse.search.sizes import TILE

__all__ = [
    "ROUNDING",
    "Scratch",
    "any_reaches",
    "bound_span",
    "empty_scratch",
    "fetch",
    "finish",
    "highest",
    "set_steps",
]

ROUNDING: Final = 2.0**-22  # per addition, relative; one addition of float32 is wrong by 2**-24 at most
LINE: Final = np.uintp(16)  # float32 values that are fetched together


class Scratch(NamedTuple):
    """What is worked on.

    Attributes:
        scores: (M * B,) float32, of the block's passages, what rare terms add.
        bits: The same memory as uint32: positive numbers order as their bits do.
        contributions: (M * L,) float64, what a frequent term adds to a passage of this block at most.
        lines: (M * L,) unsigned, where in a span's ceilings the term's begin.
        steps: (M * L,) uint16, the 255th part of the contribution in whole units.
        sums: (S,) uint16, bounds of the span's passages in units.
        waiting: (S,) int64, passages of the span that are to be finished.
        done: (S,) bool, those that were finished already.
    """

    scores: Any
    bits: Any
    contributions: Any
    lines: Any
    steps: Any
    sums: Any
    waiting: Any
    done: Any


def empty_scratch(members: int, block_passages: int, span_passages: int, longest: int) -> Scratch:
    """Room for a group."""
    scores = np.empty(members * block_passages, np.float32)
    return Scratch(
        scores=scores,
        bits=scores.view(np.uint32),
        contributions=np.empty(members * longest, np.float64),
        lines=np.empty(members * longest, np.uintp),
        steps=np.empty(members * longest, np.uint16),
        sums=np.empty(span_passages, np.uint16),
        waiting=np.empty(span_passages, np.int64),
        done=np.empty(span_passages, np.bool_),
    )


jit = numba.njit(cache=True, nogil=True)


@jit  # type: ignore[untyped-decorator,unused-ignore]
def fetch(ids: Any, values: Any, start: Any, end: Any) -> None:  # pragma: no cover - compiled
    """Have entries brought into the cache."""
    for place in range(start, end, LINE):
        prefetch(values, place)
    for place in range(start, end, 2 * LINE):
        prefetch(ids, place)


@jit  # type: ignore[untyped-decorator,unused-ignore]
def any_reaches(bits: Any, origin: Any, least: Any) -> Any:  # pragma: no cover - compiled
    """Whether one of a tile's scores does."""
    count = 0
    for local in range(TILE):
        count += bits[origin + np.uintp(local)] >= least
    return count > 0


@jit  # type: ignore[untyped-decorator,unused-ignore]
def set_steps(scratch: Any, start: Any, count: Any, unit: Any) -> None:  # pragma: no cover - compiled
    """Weigh ceilings in whole units, rounded up."""
    contributions, steps = scratch.contributions, scratch.steps
    for entry in range(start, start + count):
        steps[entry] = np.uint16(np.ceil(contributions[entry] / (255.0 * unit)))


@jit  # type: ignore[untyped-decorator,unused-ignore]
def bound_span(
    scratch: Any, ceilings: Any, origin: Any, span_at: Any, span_rows: Any, start: Any, count: Any, unit: Any, need: Any
) -> Any:  # pragma: no cover - compiled
    """Bound a span's passages; those that reach ``need`` units are waiting then, and their number is returned."""
    scores, lines, steps, sums, waiting = scratch.scores, scratch.lines, scratch.steps, scratch.sums, scratch.waiting
    first, last, per_unit = np.uintp(start), np.uintp(start + count), np.float32((1.0 + ROUNDING) / unit)
    waits = 0
    for tile in range(0, span_rows, TILE):
        at, ceilings_at, scores_at = np.uintp(tile), np.uintp(span_at + tile), np.uintp(origin + tile)
        if bound_tile(sums, at, scores, scores_at, per_unit, ceilings, ceilings_at, lines, steps, first, last) >= need:
            for local in range(tile, min(tile + TILE, span_rows)):
                if sums[local] >= need:
                    waiting[waits] = local
                    waits += 1
    return waits


@jit  # type: ignore[untyped-decorator,unused-ignore]
def highest(scratch: Any, span_rows: Any, k: Any) -> Any:  # pragma: no cover - compiled
    """Let the k highest of a span's bounds wait, and whoever ties with them; returns how many they are."""
    # The k-th highest, by its upper byte and then by its lower one: numba takes ten seconds to compile np.partition.
    sums, least = scratch.sums, 0
    missing = k
    for shift in (8, 0):
        histogram = np.zeros(256, np.int64)
        for local in range(span_rows):
            if sums[local] >> (shift + 8) == least >> 8:
                histogram[(sums[local] >> shift) & 255] += 1
        digit = 255
        while histogram[digit] < missing:
            missing -= histogram[digit]
            digit -= 1
        least = digit << 8 if shift else least + digit
    waits = 0
    for local in range(span_rows):
        scratch.done[local] = sums[local] >= least
        if scratch.done[local]:
            scratch.waiting[waits] = local
            waits += 1
    return waits


@jit  # type: ignore[untyped-decorator,unused-ignore]
def finish(
    scratch: Any,
    waits: Any,
    origin: Any,
    part: Any,
    first_row: Any,
    by_slot: Any,
    places: Any,
    query: Any,
    best: Any,
    k: Any,
) -> None:  # pragma: no cover - compiled
    """Add the frequent terms of the passages that are waiting, from their rows, and offer them to the best.

    Args:
        scratch: ``Scratch``.
        waits: How many are waiting.
        origin: Where the span's scores begin.
        part: ``scan.Part``.
        first_row: The span's first row in the part.
        by_slot: See ``scan.Batch``.
        places: See ``scan.scan``.
        query: Number of the query.
        best: ``best.Best``.
        k: Passages wanted.
    """
    rows, ids, values, waiting = part.rows, part.ids, part.values, scratch.waiting
    slot_zero = np.uintp(query * part.frequent)
    first_entry = first_row + first_row // part.block_passages  # every block has one entry more than passages
    first_place = part.first_row + first_row
    one_float = np.empty(1, np.float32)
    one_bits = one_float.view(np.uint32)
    for number in range(waits):
        at = first_entry + waiting[number]
        fetch(ids, values, np.uintp(rows[at]), np.uintp(rows[at + 1]))
        prefetch(places, np.uintp(first_place + waiting[number]))
    for number in range(waits):
        at, row = first_entry + waiting[number], first_place + waiting[number]
        score = scratch.scores[np.uintp(origin + waiting[number])]
        for place in range(np.uintp(rows[at]), np.uintp(rows[at + 1])):
            score += by_slot[slot_zero + np.uintp(ids[place])] * values[place]
        one_float[0] = score
        offer(one_bits[0], places[row], row, query, best, k)
