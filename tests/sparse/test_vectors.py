"""Sparse vectors against scipy, and against hand-written rows."""

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from retort.sparse.vectors import PartedVectors, SparseVectors

VOCABULARY = 6
# Many zeros, whole numbers and quarters: exact in float32.
WEIGHTS = st.sampled_from([0.0, 0.0, 0.0, 0.25, 1.0, 2.0, 7.5])


def matrices(low=1, high=6):
    return arrays.arrays(np.float32, st.tuples(st.integers(low, high), st.just(VOCABULARY)), elements=WEIGHTS)


def dense(vectors):
    return vectors.to_scipy().toarray()


def test_from_rows_sorts_by_index_and_drops_zeros():
    vectors = SparseVectors.from_rows([([4, 1, 2], [0.5, 2.0, 0.0]), ([], []), ([3], [1.0])], 5)

    assert vectors.indptr.tolist() == [0, 2, 2, 3] and vectors.indptr.dtype == np.int64
    assert vectors.indices.tolist() == [1, 4, 3] and vectors.indices.dtype == np.int32
    assert vectors.values.tolist() == [2.0, 0.5, 1.0] and vectors.values.dtype == np.float32
    assert len(vectors) == 3 and vectors.entries == 3
    indices, values = vectors.row(0)
    assert indices.tolist() == [1, 4] and values.tolist() == [2.0, 0.5]


def test_no_rows_at_all_are_vectors_too():
    empty = SparseVectors.from_rows([], 5)

    assert len(empty) == 0 and empty.entries == 0
    assert empty.to_scipy().shape == (0, 5)
    assert len(empty.take([])) == 0


@given(matrix=matrices())
def test_from_dense_and_from_rows_are_scipys_csr(matrix):
    expected = scipy.sparse.csr_matrix(matrix)
    rows = [(np.flatnonzero(row)[::-1], row[np.flatnonzero(row)][::-1]) for row in matrix]

    for vectors in (SparseVectors.from_dense(matrix), SparseVectors.from_rows(rows, VOCABULARY)):
        np.testing.assert_array_equal(vectors.indptr, expected.indptr)
        np.testing.assert_array_equal(vectors.indices, expected.indices)
        np.testing.assert_array_equal(vectors.values, expected.data)
        assert vectors.vocabulary_size == VOCABULARY
        assert (vectors.indices.dtype, vectors.values.dtype) == (np.int32, np.float32)


@given(data=st.data(), matrix=matrices())
def test_take_is_scipys_row_indexing_with_repetitions(data, matrix):
    rows = data.draw(st.lists(st.integers(0, len(matrix) - 1), max_size=8))
    taken = SparseVectors.from_dense(matrix).take(rows)

    np.testing.assert_array_equal(dense(taken), scipy.sparse.csr_matrix(matrix)[rows].toarray())
    assert taken.indptr.dtype == np.int64


@given(parts=st.lists(matrices(low=0), min_size=1, max_size=4))
def test_concatenate_is_scipys_vstack(parts):
    joined = SparseVectors.concatenate([SparseVectors.from_dense(part) for part in parts])

    np.testing.assert_array_equal(dense(joined), np.vstack(parts))
    assert joined.indptr.dtype == np.int64 and joined.entries == np.count_nonzero(np.vstack(parts))


def test_concatenate_refuses_two_vocabularies_and_names_their_sizes():
    with pytest.raises(ValueError, match=r"share one vocabulary, got sizes \[5, 6\]"):
        SparseVectors.concatenate([SparseVectors.from_rows([], 5), SparseVectors.from_rows([], 6)])


@settings(deadline=None)
@given(data=st.data(), parts=st.lists(matrices(low=0, high=4), min_size=1, max_size=4))
def test_taking_from_parts_is_taking_from_the_whole(data, parts):
    whole = np.vstack(parts)
    parted = PartedVectors([SparseVectors.from_dense(part) for part in parts])
    rows = data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=10)) if len(whole) else []

    assert len(parted) == len(whole) and parted.vocabulary_size == VOCABULARY
    np.testing.assert_array_equal(dense(parted.take(rows)), scipy.sparse.csr_matrix(whole)[rows].toarray())


def test_parts_are_walked_with_the_row_at_which_each_begins():
    parts = [SparseVectors.from_dense(np.ones((count, 2))) for count in (2, 0, 3)]

    assert [(first, len(part)) for first, part in PartedVectors(parts)] == [(0, 2), (2, 0), (2, 3)]


@pytest.mark.parametrize("rows", [[-1], [0, 5]])
def test_rows_outside_the_collection_are_refused(rows):
    parted = PartedVectors([SparseVectors.from_dense(np.ones((5, 2)))])

    with pytest.raises(ValueError, match=r"rows must lie in \[0, 5\)"):
        parted.take(rows)


def test_a_collection_without_parts_is_refused():
    with pytest.raises(ValueError, match="at least one part"):
        PartedVectors([])
