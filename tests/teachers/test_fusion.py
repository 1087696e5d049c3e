"""Fusion against hand arithmetic, a brute force, and the properties that define it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retort.teachers.fusion import (
    RRF_K,
    dense_scores,
    fuse,
    mean_over_present,
    normalized_mean,
    reciprocal_rank,
    weighted_mean,
)


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


# -- the other fusions -------------------------------------------------------------------------------------------------

FUSIONS = ("mean", "normalized_mean", "rrf", "learned")
A, B = ranking({7: 4.0, 3: 2.0, 5: 0.0}), ranking({3: 30.0, 9: 10.0})


def test_standardised_scores_by_hand():
    # A: mean 2, deviation sqrt(8/3); B: mean 20, deviation 10. Their own unit: mean 11, deviation (1.63299 + 10) / 2.
    deviation = (8 / 3) ** 0.5
    unit = (deviation + 10) / 2
    rows, scores, positives = normalized_mean([A, B], [np.array([4.0], np.float32), np.array([0.0], np.float32)])

    expected = {7: 11 + unit * 2 / deviation, 3: 11 + unit * 0.5, 9: 11 - unit, 5: 11 - unit * 2 / deviation}
    assert rows.tolist() == [7, 3, 9, 5]
    np.testing.assert_allclose(scores, [expected[row] for row in rows.tolist()], rtol=1e-6)
    np.testing.assert_allclose(positives, [11 + unit * (2 / deviation - 2) / 2], rtol=1e-6)


def test_a_ranking_without_spread_has_nothing_to_say_about_order():
    rows, scores, positives = normalized_mean([ranking({1: 5.0}), ranking({2: 3.0, 4: 3.0})], [np.ones(1), np.ones(1)])
    assert rows.tolist() == [1, 2, 4] and scores.tolist() == [4.0] * 3
    assert positives.tolist() == [4.0 + ((1 - 5) + (1 - 3)) / 2]


@given(scale=st.floats(0.5, 20), shift=st.floats(-10, 10))
def test_standardised_scores_order_alike_whatever_a_teachers_unit(scale, shift):
    other = (B[0], (B[1] * scale + shift).astype(np.float32))
    own = [np.array([1.0], np.float32)] * 2
    assert normalized_mean([A, other], own)[0].tolist() == normalized_mean([A, B], own)[0].tolist()


def test_reciprocal_ranks_by_hand():
    rows, scores = reciprocal_rank([A, B])
    assert RRF_K == 60 and rows.tolist() == [3, 7, 9, 5]
    np.testing.assert_allclose(scores, [1 / 62 + 1 / 61, 1 / 61, 1 / 62, 1 / 63], rtol=1e-12)
    assert reciprocal_rank([A, B], k=1)[1][0] == pytest.approx(1 / 3 + 1 / 2)


@given(rankings)
def test_reciprocal_ranks_are_the_brute_force(teachers):
    own = [ranking(t) for t in teachers]
    rows, scores = reciprocal_rank(own)
    expected = {}
    for ranked, _ in own:
        for rank, row in enumerate(ranked.tolist(), start=1):
            expected[row] = expected.get(row, 0.0) + 1 / (60 + rank)
    assert set(rows.tolist()) == set(expected)
    np.testing.assert_allclose(scores, [expected[row] for row in rows.tolist()], rtol=1e-12)
    assert (np.diff(scores) <= 0).all()


def test_rrf_is_the_order_of_the_ranks_with_the_teachers_scores_at_them():
    positives = np.array([9, 8], np.int32)
    own = [np.array([-1.0, -2.0], np.float32), np.array([10.0, 2.0], np.float32)]
    rows, scores, of_positives = fuse("rrf", [A, B], positives, own)
    # Profiles: (4, 2, 0, 0) and (30, 10, 10, 10). Passage 8 has 0 on average, which is below the last of the profile.
    assert rows.tolist() == [3, 7, 9, 5] and scores.tolist() == [17.0, 6.0, 5.0, 5.0]
    assert of_positives.tolist() == [5.0, 0.0]


def test_a_missing_score_is_the_teachers_lowest():
    rows, scores = dense_scores([A, B], np.array([5, 2]), [np.array([0.0, -3.0]), np.array([1.0, 2.0])])
    assert rows.tolist() == [2, 3, 5, 7, 9]
    assert scores.tolist() == [[-3.0, 2.0, 0.0, 4.0, 0.0], [2.0, 30.0, 1.0, 10.0, 10.0]]


def test_a_weighted_mean_by_hand():
    positives, own = np.array([2], np.int32), [np.array([-3.0], np.float32), np.array([2.0], np.float32)]
    rows, scores, of_positives = weighted_mean([A, B], positives, own, [3.0, 1.0])
    assert rows.tolist() == [3, 7, 5, 9]  # 5 and 9 tie: A's lowest and B's lowest stand in
    assert scores.tolist() == [9.0, 5.5, 2.5, 2.5] and of_positives.tolist() == [-1.75]
    assert weighted_mean([A, B], positives, own, [0, 0])[1].tolist() == [16.0, 7.0, 5.0, 5.0]


@given(rankings.filter(all), st.data())
def test_every_fusion_keeps_every_passage_once_best_first(teachers, data):
    own = [ranking(t) for t in teachers]
    positives = np.array(data.draw(st.lists(st.integers(0, 15), min_size=1, max_size=3, unique=True)), np.int32)
    scores_of = [np.array([t.get(row, -60.0) for row in positives.tolist()], np.float32) for t in teachers]
    weights = data.draw(st.lists(st.floats(0, 1), min_size=len(own), max_size=len(own)))
    union = set().union(*teachers)
    for fusion in FUSIONS:
        rows, scores, of_positives = fuse(fusion, own, positives, scores_of, weights=weights)
        assert sorted(rows.tolist()) == sorted(union)
        assert (np.diff(scores) <= 0).all() and np.isfinite(of_positives).all()
        assert len(of_positives) == len(positives) and scores.dtype == np.float32


def test_a_positive_far_outside_a_ranking_of_nearly_equal_scores_has_a_finite_score():
    # The deviation of the second ranking is about 1e-37, so that -60 is 1e38 deviations away from its mean.
    flat = (np.array([2, 0], np.int32), np.array([2.6582374e-37, 0.0], np.float32))
    steep = (np.array([1, 0], np.int32), np.array([7.0, 0.0], np.float32))
    own = [np.array([7.0], np.float32), np.array([-60.0], np.float32)]
    _, scores, of_positives = fuse("normalized_mean", [steep, flat], np.array([1], np.int32), own)
    assert np.isfinite(scores).all() and of_positives.tolist() == [np.finfo(np.float32).min]


@pytest.mark.parametrize("fusion", FUSIONS)
def test_one_teacher_is_passed_through_by_every_fusion(fusion):
    own = np.array([1.0], np.float32)
    rows, scores, of_positives = fuse(fusion, [A], np.array([7]), [own])
    assert rows is A[0] and scores is A[1] and of_positives is own


def test_an_unknown_fusion_and_missing_weights_are_refused():
    own = [np.ones(1)] * 2
    with pytest.raises(ValueError, match="fusion must be mean, normalized_mean, rrf or learned, got 'median'"):
        fuse("median", [A, B], np.array([7]), own)
    with pytest.raises(ValueError, match="learned fusion needs weights"):
        fuse("learned", [A, B], np.array([7]), own)
