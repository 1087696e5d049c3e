"""Exact top-k retrieval over an inverted index, part by part.

Every passage that could be among the k best is scored exactly; bounds only pass over those that can't (``scan.py``). Ties
are broken as trec_eval breaks them, by doc_id in descending order, so that a written run reads back in the order that was
retrieved.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retort.sparse.search.best import Best, empty_best
from retort.sparse.search.bounds import empty_scratch
from retort.sparse.search.postings import (
    Postings,
    build_postings,
    document_frequency,
    frequent_terms,
    read_only,
)
from retort.sparse.search.scan import GROUP, Batch, Part, scan
from retort.sparse.search.sizes import BLOCK_PASSAGES, FREQUENT_SHARE
from retort.sparse.vectors import Float32, Int32, Int64, PartedVectors, SparseVectors

__all__ = ["ExactIndex", "Ranking", "merge_rankings", "tie_order"]

BATCH_QUERIES: Final = 128  # that a block is read for once
BATCH_CANDIDATES: Final = 2**22  # 16 bytes each, of all of a batch's queries


@dataclass(frozen=True, slots=True)
class Ranking:
    """Passages retrieved for one query, best first: rows (k,) int64 and scores (k,) float32; only scores above 0."""

    rows: Int64
    scores: Float32


def tie_order(doc_ids: Sequence[str] | pa.ChunkedArray) -> Int64:
    """Place of each passage among equal scores: 0 for the doc_id that sorts last, as trec_eval orders ties.

    Sorted by Arrow, as UTF-8, whose order is that of code points: numpy would give every id the width of the longest, and ids
    can be URLs.
    """
    ids = doc_ids if isinstance(doc_ids, pa.ChunkedArray) else pa.chunked_array([pa.array(doc_ids, pa.string())])
    order = pc.sort_indices(ids, sort_keys=[("", "descending")]).to_numpy()
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return place


class ExactIndex:
    """Inverted index over a collection's parts, or over some of them; its arrays may be memory-mapped.

    Args:
        parts: Postings by the row of the collection with which they begin.
        places: (N,) from ``tie_order``, of all passages of the collection.
        frequent: (F,) the collection's frequent terms, ascending; the parts were built with them.
        vocabulary_size: V.
    """

    def __init__(
        self, parts: Sequence[tuple[int, Postings]], places: Int64, *, frequent: Int32, vocabulary_size: int
    ) -> None:
        self.vocabulary_size = vocabulary_size
        self.parts = tuple(parts)
        self.places, self._frequent = read_only(places), frequent
        self._slots = np.full(vocabulary_size, -1, dtype=np.int64)
        self._slots[frequent] = np.arange(len(frequent))

    @classmethod
    def of(
        cls,
        vectors: PartedVectors,
        places: Int64,
        *,
        parts: range | None = None,
        block_passages: int = BLOCK_PASSAGES,
        frequent_share: float = FREQUENT_SHARE,
    ) -> "ExactIndex":
        """Build an index in memory.

        Args:
            vectors: All N passages.
            places: (N,) from ``tie_order``.
            parts: Numbers of the parts to index; None: all. Rows count through the whole collection either way.
            block_passages: See ``build_postings``.
            frequent_share: See ``frequent_terms``.

        Raises:
            ValueError: If there is not one place for each passage.
        """
        if len(places) != len(vectors):
            raise ValueError(f"places must have one entry per passage, got {len(places)} for {len(vectors)}")
        frequent = frequent_terms(document_frequency(vectors.parts), len(vectors), share=frequent_share)
        built = [
            (first_row, build_postings(part, frequent, block_passages=block_passages))
            for number, (first_row, part) in enumerate(vectors)
            if parts is None or number in parts
        ]
        return cls(built, places, frequent=frequent, vocabulary_size=vectors.vocabulary_size)

    def only(self, parts: range) -> "ExactIndex":
        """An index over some of the parts, by number, that scores as this one does."""
        chosen = self.parts[parts.start : parts.stop]
        return ExactIndex(chosen, self.places, frequent=self._frequent, vocabulary_size=self.vocabulary_size)

    def search(self, queries: SparseVectors, k: int, *, threads: int = 1) -> list[Ranking]:
        """The k best passages of each query.

        Args:
            queries: (Q, V).
            k: Passages per query; fewer come back where fewer have a score above 0.
            threads: Threads that share the queries.

        Raises:
            ValueError: If the vocabularies differ, or k or threads is not positive.
        """
        if queries.vocabulary_size != self.vocabulary_size:
            raise ValueError(
                f"queries have {queries.vocabulary_size} vocabulary entries, the passages {self.vocabulary_size}: "
                "they come from different encoders"
            )
        if k < 1:
            raise ValueError(f"k must be positive, got {k}")
        if threads < 1:
            raise ValueError(f"threads must be positive, got {threads}")
        size = max(1, min(BATCH_QUERIES, BATCH_CANDIDATES // k, -(-len(queries) // threads)))
        batches = [range(low, min(low + size, len(queries))) for low in range(0, len(queries), size)]
        if threads == 1:
            found = [self.search_batch(queries, rows, k)[0] for rows in batches]
        else:
            with ThreadPoolExecutor(threads) as pool:
                found = list(pool.map(lambda rows: self.search_batch(queries, rows, k)[0], batches))
        return [ranking for rankings in found for ranking in rankings]

    def search_batch(
        self, queries: SparseVectors, rows: range, k: int, *, prune: bool = True
    ) -> tuple[list[Ranking], Int64]:
        """Search for some of the queries in one scan.

        Args:
            queries: (Q, V).
            rows: Which of them.
            k: Passages per query.
            prune: False: score every passage, for tests and measurements; the rankings are the same.

        Returns:
            The rankings, and the scan's counts of its work, see ``scan.scan``.
        """
        batch = self._batch(queries, rows)
        k = min(k, max(1, len(self.places)))
        best = empty_best(len(rows), k)
        work: Int64 = np.zeros(4, np.int64)
        longest = int(np.diff(batch.pointers).max(initial=1))
        for first_row, part in self.parts:
            arrays = self._arrays(part, first_row)
            scratch = empty_scratch(GROUP, arrays.block_passages, arrays.span_passages, longest)
            scan(arrays, batch, best, scratch, self.places, k, prune, work)
        return [_ranking(best, number, k) for number in range(len(rows))], work

    def _arrays(self, part: Postings, first_row: int) -> Part:
        terms = read_only(part.terms)
        return Part(
            starts=terms["start"],
            maxima=terms["maximum"],
            rows=read_only(part.rows),
            ids=read_only(part.ids),
            values=read_only(part.values),
            ceilings=read_only(part.ceilings),
            passages=part.passages,
            first_row=first_row,
            block_passages=part.block_passages,
            span_passages=part.span_passages,
            frequent=len(self._frequent),
            vocabulary_size=self.vocabulary_size,
        )

    def _batch(self, queries: SparseVectors, rows: range) -> Batch:
        chosen = queries.take(rows)
        query: Int64 = np.repeat(np.arange(len(chosen)), np.diff(chosen.indptr))
        terms, positions = np.unique(chosen.indices, return_inverse=True)
        slots = self._slots[chosen.indices]
        is_frequent = slots >= 0
        # Entries ascend within a query already: a stable sort takes the frequent ones behind the rare ones.
        order = np.lexsort((is_frequent, query))
        by_slot = np.zeros((len(chosen), len(self._frequent)), np.float32)
        by_slot[query[is_frequent], slots[is_frequent]] = chosen.values[is_frequent]
        return Batch(
            terms=terms.astype(np.int64),
            slots=self._slots[terms],
            pointers=chosen.indptr,
            frequent=chosen.indptr[1:] - np.bincount(query[is_frequent], minlength=len(chosen)),
            positions=positions[order].astype(np.int64),
            weights=chosen.values[order],
            by_slot=by_slot.reshape(-1),
        )


def _ranking(best: Best, number: int, k: int) -> Ranking:
    keys = best.keys[number, : best.sizes[number]]
    order = np.argsort(keys)[::-1][:k]
    scores: Any = (keys[order] >> np.uint64(32)).astype(np.uint32).view(np.float32)
    return Ranking(best.rows[number, order], scores)


def merge_rankings(rankings: Sequence[Ranking], places: Int64, k: int) -> Ranking:
    """The k best of several rankings over disjoint passages, as one index over all of them would give.

    Raises:
        ValueError: If there is none.
    """
    if not rankings:
        raise ValueError("there is no ranking to merge")
    rows = np.concatenate([ranking.rows for ranking in rankings])
    scores = np.concatenate([ranking.scores for ranking in rankings])
    order = np.lexsort((places[rows], -scores))[:k]
    return Ranking(rows[order], scores[order])
