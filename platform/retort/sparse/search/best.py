"""The best passages of each query so far: a list that is cut down to the best k whenever it is full.

A passage's key orders first by score, then by place: the bits of a positive float32, which order as the number does, above
2**32 - 1 - place. No two passages have one key, so that the k best are one set whatever order passages come in.

Shapes: Q queries, C candidates kept.
"""

from typing import Any, NamedTuple

import numba
import numpy as np

__all__ = ["Best", "cut_down", "empty_best", "offer"]


class Best(NamedTuple):
    """Candidates of each query, all of those that are among its k best included.

    Attributes:
        keys: (Q, C) uint64.
        rows: (Q, C) int64.
        sizes: (Q,) int64, how many there are.
        floors: (Q,) uint64, the k-th key when last looked at: lower ones are of no interest.
    """

    keys: Any
    rows: Any
    sizes: Any
    floors: Any


def empty_best(queries: int, k: int) -> Best:
    """Room for the k best of each query."""
    # A full list costs some steps a candidate to cut down, a list that is cut down seldom lets in more of them.
    candidates = k + max(16, k // 4)
    return Best(
        np.empty((queries, candidates), np.uint64),
        np.empty((queries, candidates), np.int64),
        np.zeros(queries, np.int64),
        np.zeros(queries, np.uint64),
    )


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _least(keys: Any, k: Any) -> Any:  # pragma: no cover - compiled
    """The least of the first k."""
    least = keys[0]
    for number in range(k):
        least = min(least, keys[number])
    return least


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _select(keys: Any, rows: Any, k: Any) -> Any:  # pragma: no cover - compiled
    """Quickselect: the k largest keys come first; returns the least of them."""
    low, high = 0, len(keys) - 1
    while low < high:
        pivot = keys[(low + high) >> 1]
        left, right = low, high
        while left <= right:
            while keys[left] > pivot:
                left += 1
            while keys[right] < pivot:
                right -= 1
            if left <= right:
                keys[left], keys[right] = keys[right], keys[left]
                rows[left], rows[right] = rows[right], rows[left]
                left += 1
                right -= 1
        if k - 1 <= right:
            high = right
        elif k - 1 >= left:
            low = left
        else:
            break
    return _least(keys, k)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def cut_down(query: Any, best: Any, k: Any) -> None:  # pragma: no cover - compiled
    """Keep a query's k best, of which there must be as many, and look at the k-th anew."""
    size = best.sizes[query]
    best.floors[query] = _select(best.keys[query, :size], best.rows[query, :size], k)
    best.sizes[query] = k


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def offer(score_bits: Any, place: Any, row: Any, query: Any, best: Any, k: Any) -> None:  # pragma: no cover - compiled
    """Take a passage in, unless its score is 0 or it is worse than the k-th.

    Args:
        score_bits: Of its float32 score, uint32.
        place: Among equal scores.
        row: In the collection.
        query: Number of the query.
        best: ``Best``.
        k: Passages wanted.
    """
    key = (np.uint64(score_bits) << np.uint64(32)) | (np.uint64(0xFFFFFFFF) - np.uint64(place))
    if score_bits == 0 or key < best.floors[query]:
        return
    size = best.sizes[query]
    best.keys[query, size] = key
    best.rows[query, size] = row
    size += 1
    if size == k and best.floors[query] == 0:
        best.floors[query] = _least(best.keys[query], k)
    best.sizes[query] = size
    if size == best.keys.shape[1]:
        cut_down(query, best, k)
