"""Blocks of postings by hand, and read back into the vectors that they were built from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retort.sparse.search.postings import Postings, build_postings, document_frequency, frequent_terms
from retort.sparse.search.sizes import TILE
from retort.sparse.vectors import SparseVectors


def test_postings_by_hand():
    vectors = SparseVectors.from_dense([[1, 0, 2], [0, 3, 4], [5, 0, 0]])
    postings = build_postings(vectors, np.array([2], np.int32), block_passages=64)

    assert postings.passages == 3
    # Lists of terms 0 and 1; term 2 is frequent, so that passages 0 and 1 have a row of one entry each.
    assert postings.terms["start"].tolist() == [0, 2, 3, 3]
    assert postings.terms["maximum"].tolist() == [5, 3, 4, 0]
    assert postings.rows.tolist() == [3, 4, 5, 5]
    assert postings.ids.tolist() == [0, 2, 1, 0, 0] and postings.values.tolist() == [1, 5, 3, 2, 4]
    # 2 of 4 is 127.5 of 255, rounded up.
    assert postings.ceilings[:3].tolist() == [128, 255, 0] and len(postings.ceilings) == TILE


def decoded(postings, frequent, vocabulary):
    """(N, V) values, and (N, F) what the ceilings allow."""
    passages, size = postings.passages, postings.block_passages
    dense, allowed = np.zeros((passages, vocabulary)), np.zeros((passages, len(frequent)))
    for row in range(passages):
        block, local = divmod(row, size)
        terms = postings.terms[block * (vocabulary + 1) : (block + 1) * (vocabulary + 1)]
        for term in range(vocabulary):
            listed = slice(terms["start"][term], terms["start"][term + 1])
            ids = postings.ids[listed].tolist()
            assert ids == sorted(set(ids))
            dense[row, term] = sum(postings.values[listed][np.asarray(ids, int) == local])
        own = slice(postings.rows[row + block], postings.rows[row + block + 1])
        for slot, value in zip(postings.ids[own].tolist(), postings.values[own], strict=True):
            dense[row, frequent[slot]] = value
        span = postings.ceilings.reshape(-1, len(frequent), 64)[row // 64] if len(frequent) else None
        for slot, term in enumerate(frequent):
            allowed[row, slot] = float(span[slot, row % 64]) / 255 * float(terms["maximum"][term])
    return dense, allowed


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), passages=st.integers(0, 200), share=st.sampled_from([0.0, 0.3, 1.0]))
def test_every_entry_is_in_one_list_or_row_and_ceilings_are_above_it(seed, passages, share):
    generator = np.random.default_rng(seed)
    weights = generator.lognormal(0, 2, (passages, 6)).astype(np.float32)
    dense = np.where(generator.random((passages, 6)) < [0.01, 0.1, 0.3, 0.5, 0.9, 0], weights, 0)
    vectors = SparseVectors.from_dense(dense)
    frequent = frequent_terms(document_frequency([vectors]), passages, share=share)
    postings = build_postings(vectors, frequent, block_passages=64)
    found, allowed = decoded(postings, frequent, 6)

    assert postings.passages == passages
    again = Postings.of(postings.memory.copy())
    assert all(
        np.array_equal(getattr(again, name), getattr(postings, name)) for name in ("terms", "rows", "ids", "values")
    )
    np.testing.assert_array_equal(found, dense)
    assert (allowed >= found[:, frequent] * (1 - 1e-9)).all()
    # A ceiling is at most one step of 255 above its value.
    assert (allowed <= found[:, frequent] + dense.max(initial=0) / 255 + 1e-6).all()


def test_frequent_terms_are_those_above_the_share_of_passages():
    frequency = np.array([5, 50, 0, 51, 100])

    assert frequent_terms(frequency, 100, share=0.5).tolist() == [3, 4]
    assert frequent_terms(frequency, 100, share=0.0).tolist() == [0, 1, 3, 4]
    assert frequent_terms(np.full(5000, 9), 10, share=0.5).tolist() == list(range(4096))


def test_document_frequency_counts_passages():
    parts = [SparseVectors.from_dense([[1, 0, 2]]), SparseVectors.from_dense([[3, 0, 0], [1, 0, 0]])]

    assert document_frequency(parts).tolist() == [3, 0, 1]


@pytest.mark.parametrize("size", [-64, 0, 32, 100, 1024, 2**17])
def test_blocks_are_whole_spans_whose_passages_have_16_bit_numbers(size):
    with pytest.raises(ValueError, match=f"a multiple of 960 up to 65536, or of 64 up to 960, got {size}"):
        build_postings(SparseVectors.from_dense([[1.0]]), np.array([], np.int32), block_passages=size)
