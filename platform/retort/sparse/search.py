"""Exact top-k retrieval over an inverted index, part by part.

A part's postings are the transpose of its CSR vectors. A query adds up the postings of its own terms into one array of
scores, so that its cost is what FLOPS counts. Ties are broken as trec_eval breaks them, by doc_id in descending order, so
that a written run reads back in the order that was retrieved.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from retort.sparse.vectors import Float32, Int32, Int64, PartedVectors, SparseVectors

__all__ = ["ExactIndex", "Ranking", "merge_rankings", "tie_order"]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Passages retrieved for one query, best first: rows (k,) int64 and scores (k,) float32; only scores above 0."""

    rows: Int64
    scores: Float32


def tie_order(doc_ids: Sequence[str]) -> Int64:
    """Place of each passage among equal scores: 0 for the doc_id that sorts last, as trec_eval orders ties."""
    order = np.argsort(np.asarray(doc_ids, dtype=np.str_), kind="stable")[::-1]
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return place


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _accumulate(
    terms: Any, weights: Any, posting_starts: Any, posting_rows: Any, posting_values: Any, scores: Any
) -> None:  # pragma: no cover - compiled
    for position in range(len(terms)):
        term = terms[position]
        weight = weights[position]
        for place in range(posting_starts[term], posting_starts[term + 1]):
            scores[posting_rows[place]] += weight * posting_values[place]


def _best(scores: Float32, rows: Int64, places: Int64, k: int) -> Ranking:
    # Candidates may hold more than k rows where scores tie at the k-th place: all of them compete by doc_id.
    order = np.lexsort((places[rows], -scores))[:k]
    return Ranking(rows[order], scores[order])


class ExactIndex:
    """Inverted index over a collection's parts, or over some of them, in memory.

    Args:
        vectors: All N passages.
        places: (N,) from ``tie_order``.
        parts: Numbers of the parts to index; None: all. Rows count through the whole collection either way.
    """

    def __init__(self, vectors: PartedVectors, places: Int64, *, parts: range | None = None) -> None:
        if len(places) != len(vectors):
            raise ValueError(f"places must have one entry per passage, got {len(places)} for {len(vectors)}")
        self.vocabulary_size = vectors.vocabulary_size
        self._places = places
        self._parts: list[tuple[int, int, Int64, Int32, Float32]] = []
        for number, (first_row, part) in enumerate(vectors):
            if parts is not None and number not in parts:
                continue
            transposed = part.to_scipy().tocsc()
            starts = transposed.indptr.astype(np.int64)
            self._parts.append((first_row, len(part), starts, transposed.indices, transposed.data))

    def search(self, queries: SparseVectors, k: int) -> list[Ranking]:
        """The k best passages of each query.

        Args:
            queries: (Q, V).
            k: Passages per query; fewer come back where fewer have a score above 0.

        Raises:
            ValueError: If the vocabularies differ, or k is not positive.
        """
        if queries.vocabulary_size != self.vocabulary_size:
            raise ValueError(
                f"queries have {queries.vocabulary_size} vocabulary entries, the passages {self.vocabulary_size}: "
                "they come from different encoders"
            )
        if k < 1:
            raise ValueError(f"k must be positive, got {k}")
        return [self._search_one(*queries.row(number), k) for number in range(len(queries))]

    def _search_one(self, terms: Int32, weights: Float32, k: int) -> Ranking:
        found_rows: list[Int64] = []
        found_scores: list[Float32] = []
        for first_row, rows, starts, posting_rows, posting_values in self._parts:
            scores: npt.NDArray[np.float32] = np.zeros(rows, dtype=np.float32)
            _accumulate(terms, weights, starts, posting_rows, posting_values, scores)
            threshold = np.float32(0)
            if rows > k:
                threshold = max(threshold, np.partition(scores, rows - k)[rows - k])
            kept = np.flatnonzero((scores >= threshold) & (scores > 0))
            found_rows.append(kept + first_row)
            found_scores.append(scores[kept])
        return _best(np.concatenate(found_scores), np.concatenate(found_rows), self._places, k)


def merge_rankings(rankings: Sequence[Ranking], places: Int64, k: int) -> Ranking:
    """The k best of several rankings over disjoint passages, as one index over all of them would give.

    Raises:
        ValueError: If there is none.
    """
    if not rankings:
        raise ValueError("there is no ranking to merge")
    rows = np.concatenate([ranking.rows for ranking in rankings])
    scores = np.concatenate([ranking.scores for ranking in rankings])
    return _best(scores, rows, places, k)
