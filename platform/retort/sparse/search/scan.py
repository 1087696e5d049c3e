"""The scan of a part's blocks for a batch of queries: exact scores, added up only where they can matter.

A passage's score is one sum in float32, the same whatever is passed over and however the collection is cut: the query's rare
terms, ascending, then its frequent terms, ascending. For each block, and in it for each query:

1. A block whose largest values can't lift any passage to the query's k-th score is passed over.
2. Posting lists of rare terms are added up.
3. Ceilings of frequent terms give each passage an upper bound, in whole units of 1/52,000 of the k-th score or of the
   largest single contribution; 0.025 ns a passage and term, where adding a posting takes about 1 ns.
4. Only passages whose bound reaches the k-th score get their frequent terms added, from their own rows.

Bounds are widened by more than all roundings of such a sum, and passages that tie with the k-th score compete by their
places. Blocks are the outer loop, so that a block's arrays are in the cache for all queries of a batch. What a query needs
next is fetched while the present list is added up: without that, lists of 100 postings take twice the time.

Shapes: Q queries, E their entries, U different terms of the batch, F frequent terms.
"""

from typing import Any, Final, NamedTuple

import numba
import numpy as np

from retort.sparse.search.best import cut_down, offer
from retort.sparse.search.bounds import ROUNDING, any_reaches, bound_span, fetch, finish, highest, set_steps
from retort.sparse.search.sizes import TILE

__all__ = ["BLOCKS_SKIPPED", "ENTRIES_ADDED", "GROUP", "PASSAGES_FINISHED", "TILES_BOUNDED", "Batch", "Part", "scan"]

GROUP: Final = 8  # queries whose scores of a block, 32 KB each, stand in the second cache together
UNITS: Final = 52_000  # of the k-th score in a bound: it may rise by a quarter before sums of 16 bits end
AHEAD: Final = 3  # lists; two to four come out the same, one is too late
BLOCKS_SKIPPED, ENTRIES_ADDED, TILES_BOUNDED, PASSAGES_FINISHED = range(4)  # what ``work`` counts


class Part(NamedTuple):
    """One part's arrays, see ``postings.Postings``."""

    starts: Any
    maxima: Any
    rows: Any
    ids: Any
    values: Any
    ceilings: Any
    passages: int
    first_row: int
    block_passages: int
    span_passages: int
    frequent: int
    vocabulary_size: int


class Batch(NamedTuple):
    """Queries, their entries in the order in which scores are added up.

    Attributes:
        terms: (U,) int64, ascending.
        slots: (U,) int64, number among the frequent terms, or -1.
        pointers: (Q + 1,) int64, where each query's entries begin.
        frequent: (Q,) int64, where its frequent ones begin.
        positions: (E,) int64, in ``terms``.
        weights: (E,) float32.
        by_slot: (Q * F,) float32, weight of each frequent term in each query, 0 where it has none.
    """

    terms: Any
    slots: Any
    pointers: Any
    frequent: Any
    positions: Any
    weights: Any
    by_slot: Any


jit = numba.njit(cache=True, nogil=True)


@jit  # type: ignore[untyped-decorator,unused-ignore]
def scan(
    part: Any, batch: Any, best: Any, scratch: Any, places: Any, k: Any, prune: Any, work: Any
) -> None:  # pragma: no cover - compiled
    """Go through a part's blocks for all queries and keep the best.

    Args:
        part: ``Part``.
        batch: ``Batch``.
        best: ``best.Best``; what other parts have left there is built upon.
        scratch: ``bounds.Scratch`` for ``GROUP`` members.
        places: (passages of the collection,) int64, from ``tie_order``.
        k: Passages wanted.
        prune: False: every passage gets all of its terms added; for tests and measurements.
        work: (4,) int64, counts of blocks skipped, entries added, tiles bounded and passages finished, added to.
    """
    # Local names: an array taken from a tuple has its references counted, which is an atomic operation.
    starts, maxima, ids, values, ceilings = part.starts, part.maxima, part.ids, part.values, part.ceilings
    terms, slots, pointers, first_frequent, positions, weights, by_slot = batch
    floors, size, span = best.floors, part.block_passages, part.span_passages
    scores, bits, contributions, lines = scratch.scores, scratch.bits, scratch.contributions, scratch.lines
    waiting, done = scratch.waiting, scratch.done
    queries, longest = len(pointers) - 1, len(lines) // GROUP
    begins, ends = np.empty(len(terms), np.uintp), np.empty(len(terms), np.uintp)
    tops = np.empty(len(terms), np.float64)
    # Of each member of the group: its query, its bound of the block, how much bounds are widened, what a unit is, the sum
    # that a passage needs and the floor that this was worked out for, how many of its frequent terms the block has.
    members, bounds, slacks = np.empty(GROUP, np.int64), np.empty(GROUP, np.float64), np.empty(GROUP, np.float64)
    units, needs, needs_for = np.empty(GROUP, np.float64), np.empty(GROUP, np.int64), np.empty(GROUP, np.uint32)
    counts = np.empty(GROUP, np.int64)
    one_bits = np.empty(1, np.uint32)
    one_float = one_bits.view(np.float32)

    for block, low in enumerate(range(0, part.passages, size)):
        high = min(low + size, part.passages)
        first_term = block * (part.vocabulary_size + 1)
        for number in range(len(terms)):
            at = first_term + terms[number]
            begins[number], ends[number], tops[number] = starts[at], starts[at + 1], maxima[at]
        for group in range(0, queries, GROUP):
            live = 0
            for query in range(group, min(queries, group + GROUP)):
                start, middle, stop = pointers[query], first_frequent[query], pointers[query + 1]
                bound = 0.0
                for entry in range(start, stop):
                    bound += weights[entry] * tops[positions[entry]]
                if best.sizes[query] > k + k // 8:
                    cut_down(query, best, k)
                slack = 1.0 + (stop - start + 2) * ROUNDING
                one_bits[0] = floors[query] >> np.uint64(32)
                if bound == 0 or (prune and bound * slack < one_float[0]):
                    work[BLOCKS_SKIPPED] += 1
                    continue
                member, live = live, live + 1
                members[member], bounds[member], slacks[member], counts[member] = query, bound, slack, 0
                units[member], needs[member], needs_for[member] = 0.0, 0, 0
                origin = np.uintp(member * size)
                for place in range(origin, origin + np.uintp(size)):
                    scores[place] = 0
                for entry in range(start, middle):
                    if entry + AHEAD < middle:
                        number = positions[entry + AHEAD]
                        fetch(ids, values, begins[number], ends[number])
                    number = positions[entry]
                    weight = weights[entry]
                    work[ENTRIES_ADDED] += np.int64(ends[number] - begins[number])
                    for place in range(begins[number], ends[number]):
                        scores[origin + np.uintp(ids[place])] += weight * values[place]
                for entry in range(middle, stop):
                    number = positions[entry]
                    if tops[number] > 0:
                        at = member * longest + counts[member]
                        contributions[at], lines[at] = weights[entry] * tops[number], slots[number] * span
                        counts[member] += 1
            for first in range(low, high, span):
                rows = min(span, high - first)
                span_at = first * part.frequent  # spans are full, but for a part's last
                for member in range(live):
                    query, base, count = members[member], member * longest, counts[member]
                    origin = member * size + first - low
                    floor_bits = np.uint32(floors[query] >> np.uint64(32))
                    if count == 0:
                        for tile in range(0, rows, TILE):
                            if any_reaches(bits, np.uintp(origin + tile), max(np.uint32(1), floor_bits)):
                                for local in range(tile, min(tile + TILE, rows)):
                                    row, score_bits = part.first_row + first + local, bits[np.uintp(origin + local)]
                                    if score_bits >= floor_bits:
                                        offer(score_bits, places[row], row, query, best, k)
                        continue
                    seeded = prune and floor_bits == 0 and k < rows
                    if seeded:
                        # Nothing is known of the k-th score yet. The k highest bounds come first: whoever else is to be
                        # scored has to reach the least of their scores. In these units no sum can end too early.
                        unit = bounds[member] / UNITS
                        set_steps(scratch, base, count, unit)
                        bound_span(scratch, ceilings, origin, span_at, rows, base, count, unit, 2**16)
                        waits = highest(scratch, rows, k)
                        work[TILES_BOUNDED] += (rows + TILE - 1) // TILE
                        work[PASSAGES_FINISHED] += waits
                        finish(scratch, waits, origin, part, first, by_slot, places, query, best, k)
                        floor_bits = np.uint32(floors[query] >> np.uint64(32))
                    if prune and floor_bits > 0:
                        if floor_bits != needs_for[member]:
                            one_bits[0] = needs_for[member] = floor_bits
                            floor = np.float64(one_float[0])
                            if units[member] == 0 or floor / (units[member] * slacks[member]) >= 2**16:
                                most = floor
                                for entry in range(base, base + count):
                                    most = max(most, contributions[entry])
                                units[member] = most / UNITS
                                set_steps(scratch, base, count, units[member])
                            needs[member] = np.int64(floor / (units[member] * slacks[member]))
                        unit, need = units[member], needs[member]
                        work[TILES_BOUNDED] += (rows + TILE - 1) // TILE
                        waits = bound_span(scratch, ceilings, origin, span_at, rows, base, count, unit, need)
                    else:
                        waits = rows
                        for local in range(rows):
                            waiting[local] = local
                    if seeded:
                        kept = 0
                        for number in range(waits):
                            if not done[waiting[number]]:
                                waiting[kept] = waiting[number]
                                kept += 1
                        waits = kept
                    work[PASSAGES_FINISHED] += waits
                    finish(scratch, waits, origin, part, first, by_slot, places, query, best, k)
