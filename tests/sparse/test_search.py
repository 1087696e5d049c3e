"""Exact search against a dense matrix product and a plain sort, ties included, and against trec_eval's order of ties."""

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from ir_measures import RR

from retort.sparse.search import ExactIndex, merge_rankings, tie_order
from retort.sparse.vectors import PartedVectors, SparseVectors

VOCABULARY = 4
# Small whole numbers: sums are exact in float32, and many scores tie.
WEIGHTS = st.sampled_from([0.0, 0.0, 1.0, 2.0])


def matrices(low, high):
    return arrays.arrays(np.float32, st.tuples(st.integers(low, high), st.just(VOCABULARY)), elements=WEIGHTS)


def doc_ids(count):
    # Neither in the order of rows nor of numbers: 7, 14, 21, ... as text.
    return [f"{7 * row % 101}" for row in range(1, count + 1)]


def brute_force(queries, passages, ids, k):
    """Rows and scores of every passage with a score above 0: by score, then by doc_id, both descending."""
    for scores in queries @ passages.T:
        order = sorted(range(len(ids)), key=lambda row: (scores[row], ids[row]), reverse=True)
        kept = [row for row in order if scores[row] > 0][:k]
        yield kept, [float(scores[row]) for row in kept]


def as_lists(rankings):
    return [(ranking.rows.tolist(), ranking.scores.tolist()) for ranking in rankings]


@settings(deadline=None)
@given(
    queries=matrices(0, 3),
    parts=st.lists(matrices(0, 5), min_size=1, max_size=3),
    k=st.integers(1, 20),
    split=st.integers(0, 3),
)
def test_search_is_brute_force_however_the_collection_is_cut(queries, parts, k, split):
    whole = np.vstack(parts)
    ids = doc_ids(len(whole))
    places = tie_order(ids)
    expected = list(brute_force(queries, whole, ids, k))
    vectors = PartedVectors([SparseVectors.from_dense(part) for part in parts])
    asked = SparseVectors.from_dense(queries)
    split = min(split, len(parts))
    apart = [
        ExactIndex.of(vectors, places, parts=numbers).search(asked, k)
        for numbers in (range(split), range(split, len(parts)))
        if len(numbers)
    ]

    assert as_lists(ExactIndex.of(vectors, places).search(asked, k)) == expected
    one_part = PartedVectors([SparseVectors.from_dense(whole)])
    assert as_lists(ExactIndex.of(one_part, places).search(asked, k)) == expected
    merged = [merge_rankings(rankings, places, k) for rankings in zip(*apart, strict=True)]
    assert as_lists(merged) == expected


def test_a_query_by_hand():
    passages = PartedVectors(
        [SparseVectors.from_dense([[1, 0, 2], [0, 3, 0]]), SparseVectors.from_dense([[2, 0, 1.5]])]
    )
    queries = SparseVectors.from_dense([[1, 0, 2], [0, 0, 0]])
    found, nothing = ExactIndex.of(passages, tie_order(["a", "b", "c"])).search(queries, 10)

    # Passage a ties with c at 1 + 4 = 2 + 3 = 5, b has no term of the query; the later doc_id comes first.
    assert found.rows.tolist() == [2, 0] and found.scores.tolist() == [5, 5]
    assert nothing.rows.tolist() == [] and nothing.scores.tolist() == []
    assert (found.rows.dtype, found.scores.dtype) == (np.int64, np.float32)


@given(ids=st.lists(st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1), min_size=1, unique=True))
def test_tie_order_is_descending_doc_ids(ids):
    assert [ids[row] for row in np.argsort(tie_order(ids))] == sorted(ids, reverse=True)


def test_ties_are_ordered_as_trec_eval_reads_a_run():
    ids = ["10", "9", "B", "a", "Z", "doc-2", "doc-10", "é", "z"]
    passages = PartedVectors([SparseVectors.from_dense(np.ones((len(ids), 1)))])
    (ranking,) = ExactIndex.of(passages, tie_order(ids)).search(SparseVectors.from_dense([[1.0]]), len(ids))
    retrieved = [ids[row] for row in ranking.rows]
    run = {"q": {doc_id: float(score) for doc_id, score in zip(retrieved, ranking.scores, strict=True)}}

    # With one relevant passage, 1 / RR is the rank at which trec_eval saw it.
    for rank, doc_id in enumerate(retrieved, start=1):
        (measured,) = ir_measures.pytrec_eval.iter_calc([RR], {"q": {doc_id: 1}}, run)
        assert measured.value == pytest.approx(1 / rank)


def test_vocabularies_k_and_places_are_checked():
    passages = PartedVectors([SparseVectors.from_dense(np.ones((2, 3)))])
    index = ExactIndex.of(passages, tie_order(["a", "b"]))

    with pytest.raises(ValueError, match="queries have 4 vocabulary entries, the passages 3"):
        index.search(SparseVectors.from_dense(np.ones((1, 4))), 5)
    with pytest.raises(ValueError, match="k must be positive, got 0"):
        index.search(SparseVectors.from_dense(np.ones((1, 3))), 0)
    with pytest.raises(ValueError, match="got 1 for 2"):
        ExactIndex.of(passages, tie_order(["a"]))
