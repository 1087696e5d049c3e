"""Exact search against a dense matrix product and a plain sort, ties included, and against trec_eval's order of ties."""

import itertools

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from ir_measures import RR

from retort.sparse.search.exact import ExactIndex, merge_rankings, tie_order
from retort.sparse.search.scan import BLOCKS_SKIPPED, ENTRIES_ADDED, PASSAGES_FINISHED, TILES_BOUNDED
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

    index = ExactIndex.of(vectors, places)
    assert as_lists(index.search(asked, k)) == as_lists(index.search(asked, k, threads=2)) == expected
    one_part = PartedVectors([SparseVectors.from_dense(whole)])
    assert as_lists(ExactIndex.of(one_part, places).search(asked, k)) == expected
    merged = [merge_rankings(rankings, places, k) for rankings in zip(*apart, strict=True)]
    assert as_lists(merged) == expected


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    passages=st.integers(1, 400),
    k=st.sampled_from([1, 3, 20, 500]),
    share=st.sampled_from([0.0, 0.1, 0.4, 1.0]),
    whole=st.booleans(),
)
def test_neither_pruning_nor_cutting_changes_a_bit(seed, passages, k, share, whole):
    generator = np.random.default_rng(seed)
    vectors, queries = skewed(generator, passages, whole), skewed(generator, 9, whole)
    places = generator.permutation(passages)
    one = PartedVectors([vectors])
    cuts = sorted({0, passages, *generator.integers(0, passages, 3).tolist()})
    many = PartedVectors([one.between(low, high) for low, high in itertools.pairwise(cuts)])
    plain = ExactIndex.of(one, places, frequent_share=share)
    expected = as_lists(plain.search_batch(queries, range(9), k, prune=False)[0])

    assert as_lists(plain.search(queries, k)) == expected
    blocks = ExactIndex.of(many, places, block_passages=64, frequent_share=share)
    assert as_lists(blocks.search(queries, k)) == expected
    assert as_lists(blocks.search(queries, k, threads=3)) == expected
    dense, asked = (matrix.to_scipy().toarray().astype(np.float64) for matrix in (vectors, queries))
    for (rows, scores), exact in zip(expected, asked @ dense.T, strict=True):
        assert len(rows) == min(k, np.count_nonzero(exact))
        np.testing.assert_allclose(scores, exact[rows], rtol=1e-5)
        # Nobody who is left out is better than the last one, roundings apart.
        left_out = np.delete(exact, rows)
        assert not len(rows) or not len(left_out) or left_out.max() <= scores[-1] * (1 + 1e-5)


def skewed(generator, rows, whole):
    """Vectors over 40 entries, the first of which are in most rows; whole weights give many ties."""
    share = 1 / np.arange(1, 41)
    weights = generator.integers(1, 3, (rows, 40)) if whole else generator.lognormal(0, 1, (rows, 40))
    return SparseVectors.from_dense(np.where(generator.random((rows, 40)) < share, weights, 0))


def test_most_passages_are_passed_over_and_none_that_matters():
    generator = np.random.default_rng(0)
    vectors, queries = skewed(generator, 20_000, False), skewed(generator, 16, False)
    index = ExactIndex.of(PartedVectors([vectors]), generator.permutation(20_000), block_passages=960)
    found, work = index.search_batch(queries, range(16), 10)
    everything, all_work = index.search_batch(queries, range(16), 10, prune=False)

    assert as_lists(found) == as_lists(everything)
    asked = int(np.count_nonzero(np.diff(queries.indptr)))
    assert all_work[PASSAGES_FINISHED] == 20_000 * asked and all_work[TILES_BOUNDED] == 0
    assert 0 < work[PASSAGES_FINISHED] < 0.05 * all_work[PASSAGES_FINISHED]
    assert 0 < work[TILES_BOUNDED] <= asked * (20_000 // 64 + 25)


def test_a_block_without_a_good_passage_is_passed_over():
    # One passage of the first block has 9, all others have 1; k = 1 is found at once.
    weights = np.ones((64 * 5, 2), np.float32)
    weights[3] = 9
    index = ExactIndex.of(
        PartedVectors([SparseVectors.from_dense(weights)]), np.arange(64 * 5), block_passages=64, frequent_share=1.0
    )
    (ranking,), work = index.search_batch(SparseVectors.from_dense([[2.0, 1.0]]), range(1), 1)

    assert ranking.rows.tolist() == [3] and ranking.scores.tolist() == [27]
    # Two lists of 64 passages in the first block; 2 + 1 < 27 in the four others.
    assert work[ENTRIES_ADDED] == 128 and work[BLOCKS_SKIPPED] == 4


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_all_that_tie_at_the_last_place_compete(share):
    # 300 passages with one score in five blocks: the last rows of all have the best places.
    index = ExactIndex.of(
        PartedVectors([SparseVectors.from_dense(np.full((300, 1), 0.1))]),
        np.arange(300)[::-1],
        block_passages=64,
        frequent_share=share,
    )
    (ranking,) = index.search(SparseVectors.from_dense([[0.3]]), 7)

    assert ranking.rows.tolist() == [299, 298, 297, 296, 295, 294, 293]
    assert set(ranking.scores.tolist()) == {float(np.float32(0.1) * np.float32(0.3))}


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
    with pytest.raises(ValueError, match="threads must be positive, got 0"):
        index.search(SparseVectors.from_dense(np.ones((1, 3))), 1, threads=0)
    with pytest.raises(ValueError, match="got 1 for 2"):
        ExactIndex.of(passages, tie_order(["a"]))
