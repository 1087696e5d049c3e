"""Near-duplicates of positives: hand arithmetic, a brute force over sets, and what a threshold means."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retort.sparse.objective.filtering import near_by_overlap, near_by_score, overlap
from retort.sparse.vectors import SparseVectors

V = 12
SETS = st.lists(st.sets(st.integers(0, V - 1)), min_size=0, max_size=6)


def vectors(sets):
    return SparseVectors.from_rows([(sorted(entries), np.ones(len(entries))) for entries in sets], V)


def test_overlaps_by_hand():
    found = overlap(vectors([{1, 2, 3}, {3, 4}, {9}, set(), {1, 2, 3, 4}]), vectors([{1, 2, 3, 4}, {9, 10}]))
    np.testing.assert_allclose(found, [3 / 4, 2 / 4, 1 / 2, 0, 1])
    assert near_by_overlap(vectors([{1, 2, 3}, {3, 4}]), vectors([{1, 2, 3, 4}]), 0.75).tolist() == [True, False]


@given(passages=SETS, positives=SETS.filter(bool))
def test_overlap_is_jaccards_coefficient_of_the_sets(passages, positives):
    expected = [max(len(p & q) / len(p | q) if p | q else 0.0 for q in positives) for p in passages]
    np.testing.assert_allclose(overlap(vectors(passages), vectors(positives)), expected)


def test_a_ratio_is_of_the_best_positive():
    scores, positives = np.array([12.0, 9.5, 9.4, 1.0]), np.array([2.0, 10.0])
    assert near_by_score(scores, positives, 0.95).tolist() == [True, True, False, False]
    assert near_by_score(scores, positives, 1.2).tolist() == [True, False, False, False]


@pytest.mark.parametrize("positives", [[0.0], [-3.0, -1.0], []])
def test_where_no_positive_is_retrieved_a_ratio_says_nothing(positives):
    assert not near_by_score(np.array([5.0, -1.0, 0.0]), np.array(positives), 0.5).any()


@given(
    scores=st.lists(st.floats(0, 50), max_size=8), best=st.floats(0.1, 50), low=st.floats(0.1, 1), high=st.floats(1, 3)
)
def test_a_higher_ratio_filters_no_more(scores, best, low, high):
    wide, narrow = (near_by_score(np.array(scores), np.array([best]), ratio) for ratio in (low, high))
    assert not (narrow & ~wide).any()
