"""FLOPS and L0 against hand arithmetic, and against multiplications counted pair by pair."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.sparse import csr_matrix

from retort.measures.sparsity import activation_share, flops, l0_per_row, per_query_flops

VOCABULARY = 7
ACTIVE = arrays.arrays(np.bool_, st.tuples(st.integers(1, 6), st.just(VOCABULARY)))


def pieces(active):
    """(indptr, indices) of a boolean matrix, in the dtypes of the vectors on disk."""
    matrix = csr_matrix(np.asarray(active, dtype=np.float32))
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)


def test_flops_and_l0_match_hand_arithmetic():
    queries = pieces([[1, 1, 0], [1, 0, 0]])  # p_q = 1, 1/2, 0
    passages = pieces([[1, 0, 0], [0, 1, 1], [0, 1, 0], [0, 0, 0]])  # p_d = 1/4, 1/2, 1/4
    query_share, passage_share = activation_share(*queries, 3), activation_share(*passages, 3)

    assert query_share.tolist() == [1, 0.5, 0] and passage_share.tolist() == [0.25, 0.5, 0.25]
    assert flops(query_share, passage_share) == 0.5
    assert per_query_flops(*queries, passage_share).tolist() == [0.75, 0.25]
    assert l0_per_row(queries[0]).tolist() == [2, 1]
    assert l0_per_row(passages[0]).tolist() == [1, 2, 1, 0]


@given(queries=ACTIVE, passages=ACTIVE)
def test_flops_is_the_mean_number_of_multiplications_of_a_pair(queries, passages):
    multiplications = [
        [sum(bool(q) and bool(d) for q, d in zip(query, passage, strict=True)) for passage in passages]
        for query in queries
    ]
    passage_share = activation_share(*pieces(passages), VOCABULARY)

    measured = flops(activation_share(*pieces(queries), VOCABULARY), passage_share)
    assert measured == pytest.approx(np.mean(multiplications), abs=1e-12)
    assert per_query_flops(*pieces(queries), passage_share) == pytest.approx(
        np.mean(multiplications, axis=1), abs=1e-12
    )


@given(queries=ACTIVE, passages=ACTIVE)
def test_the_mean_over_queries_of_their_flops_is_flops(queries, passages):
    passage_share = activation_share(*pieces(passages), VOCABULARY)
    per_query = per_query_flops(*pieces(queries), passage_share)

    assert per_query.shape == (len(queries),) and per_query.dtype == np.float64
    assert per_query.mean() == pytest.approx(
        flops(activation_share(*pieces(queries), VOCABULARY), passage_share), abs=1e-12
    )


@given(active=ACTIVE)
def test_activation_share_and_l0_count_the_same_entries(active):
    indptr, indices = pieces(active)
    share = activation_share(indptr, indices, VOCABULARY)

    assert share.dtype == np.float64
    assert share == pytest.approx(active.mean(axis=0))
    assert l0_per_row(indptr).tolist() == active.sum(axis=1).tolist()
    assert share.sum() == pytest.approx(l0_per_row(indptr).mean())


def test_more_entries_than_are_counted_at_a_time_are_all_counted():
    rows = 750_001  # 1.5 million entries, in two chunks that end within a row
    indices = np.random.default_rng(0).integers(0, 4, (rows, 2), dtype=np.int32) + np.array([0, 4], dtype=np.int32)
    share = activation_share(np.arange(0, 2 * rows + 1, 2), indices.reshape(-1), 9)

    assert share.tolist() == [np.count_nonzero(indices == entry) / rows for entry in range(9)]


def test_rows_without_active_entries_count_as_rows():
    indptr, indices = np.zeros(4, dtype=np.int64), np.zeros(0, dtype=np.int32)

    assert activation_share(indptr, indices, 2).tolist() == [0, 0]
    assert per_query_flops(indptr, indices, np.array([0.5, 1.0])).tolist() == [0, 0, 0]
    assert l0_per_row(indptr).tolist() == [0, 0, 0]


def test_memory_mapped_pieces_are_read_like_arrays(tmp_path):
    indptr, indices = pieces([[1, 0, 1], [0, 0, 1]])
    np.save(tmp_path / "indices.npy", indices)
    mapped = np.load(tmp_path / "indices.npy", mmap_mode="r")

    assert activation_share(indptr, mapped, 3).tolist() == [0.5, 0, 1]


def test_mistakes_are_refused_with_the_value_got():
    indptr, indices = pieces([[1, 0, 1], [0, 1, 1]])
    with pytest.raises(ValueError, match="indices run from 0 to 2, outside a vocabulary of 2 entries"):
        activation_share(indptr, indices, 2)
    with pytest.raises(ValueError, match="indices run from 0 to 2, outside a vocabulary of 2 entries"):
        per_query_flops(indptr, indices, np.ones(2))
    with pytest.raises(ValueError, match="indices run from -1"):
        activation_share(indptr, indices - 1, 3)
    with pytest.raises(ValueError, match=r"runs from 2 to 4, but indices has the shape \(4,\)"):
        activation_share(indptr[1:], indices, 3)
    with pytest.raises(ValueError, match="at least one row"):
        l0_per_row(indptr[:1])
    with pytest.raises(ValueError, match="row 1 ends before it begins"):
        l0_per_row(np.array([0, 2, 1]))
    with pytest.raises(ValueError, match="entry 1 is stored 3 times in 1 rows"):
        activation_share(np.array([0, 3]), np.array([1, 1, 1], dtype=np.int32), 3)
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        flops(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match=r"query_share must hold shares of rows in \[0, 1\], got 0.0 to 4.0"):
        flops(np.array([0.0, 4.0]), np.zeros(2))
    with pytest.raises(ValueError, match="passage_share must hold shares"):
        flops(np.zeros(2), np.array([0.0, np.nan]))
