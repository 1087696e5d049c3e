"""Fusion against hand arithmetic, a brute force, and the properties that define it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retort.teachers.fusion import mean_over_present


def ranking(scores, dtype=np.float32):
    ordered = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return np.array([row for row, _ in ordered], np.int32), np.array([score for _, score in ordered], dtype)


def test_the_mean_is_over_the_teachers_that_have_the_passage():
    rows, scores = mean_over_present([ranking({7: 4.0, 3: 2.0, 5: 1.0}), ranking({3: 6.0, 9: 3.0})])

    assert rows.tolist() == [3, 7, 9, 5]  # 3: (2 + 6) / 2; 7, 9 and 5 as their only teacher has them
    assert scores.tolist() == [4.0, 4.0, 3.0, 1.0]
    assert rows.dtype == np.int32 and scores.dtype == np.float32


def test_one_ranking_passes_through_unchanged():
    rows, scores = np.array([4, 2, 9]), np.array([1.0, 1.0, 0.5], np.float32)
    fused = mean_over_present([(rows, scores)])
    assert fused[0] is rows and fused[1] is scores


def test_an_empty_ranking_says_nothing():
    rows, scores = mean_over_present([ranking({}), ranking({1: 2.0, 0: 1.0})])
    assert rows.tolist() == [1, 0] and scores.tolist() == [2.0, 1.0]


rankings = st.lists(
    st.dictionaries(st.integers(0, 12), st.floats(-50, 50, width=32), max_size=8), min_size=2, max_size=4
)


@given(rankings)
def test_fusion_is_the_brute_force_and_does_not_depend_on_the_teachers_order(teachers):
    rows, scores = mean_over_present([ranking(t) for t in teachers])
    expected = {
        row: np.float32(np.mean([t[row] for t in teachers if row in t], dtype=np.float64))
        for row in set().union(*teachers)
    }

    assert set(rows.tolist()) == set(expected) and len(rows) == len(expected)
    np.testing.assert_allclose(scores, [expected[row] for row in rows.tolist()], rtol=1e-6, atol=1e-6)
    assert [(-s, r) for r, s in zip(rows, scores, strict=True)] == sorted(
        (-s, r) for r, s in zip(rows, scores, strict=True)
    )
    backwards = mean_over_present([ranking(t) for t in reversed(teachers)])
    np.testing.assert_array_equal(rows, backwards[0])
    np.testing.assert_array_equal(scores, backwards[1])


def test_what_is_no_ranking_is_refused():
    with pytest.raises(ValueError, match="no ranking to fuse"):
        mean_over_present([])
    with pytest.raises(ValueError, match=r"share one shape \(K,\); got \(2,\) and \(1,\)"):
        mean_over_present([(np.zeros(2, np.int32), np.zeros(1, np.float32))])
