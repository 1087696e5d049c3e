"""Paired comparisons: by hand where four turns suffice, and by scipy and the single tests elsewhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from retort.measures.paired import compare_pairs, interval_by_conversation, rank_correlation
from retort.measures.significance import bonferroni, bootstrap_by_conversation, holm, randomization_test


def test_four_turns_by_hand():
    base, own = np.array([0.0, 0.5, 1.0, 0.0]), np.array([1.0, 1.0, 1.0, 0.5])
    (found,) = compare_pairs([(own, base)], ["a", "a", "b", "b"])

    assert found.difference == 0.5
    # Differences 1, .5, 0, .5: of the 8 signs of the three that are not 0 only +++ and --- are as far from 0.
    assert found.randomization.p == found.randomization.holm == found.randomization.bonferroni == pytest.approx(2 / 8)
    # Mean .5, standard deviation sqrt(1/6), t = .5 * 2 / sqrt(1/6) = sqrt(6), 3 degrees.
    assert found.t_test.p == pytest.approx(2 * stats.t.sf(6**0.5, 3))
    # Conversation a gains .75 a turn and b .25: every resample's mean is .25, .5 or .75.
    assert found.interval == (pytest.approx(0.25), pytest.approx(0.75))
    assert interval_by_conversation(own - base, ["a"] * 4) is None


def test_p_is_corrected_over_all_pairs_and_each_pair_has_a_baseline_of_its_own():
    random = np.random.default_rng(0)
    pairs = [(random.random(60) + gain, random.random(60)) for gain in (0.02, 0.2, 0.1)]
    conversations = [f"c{turn // 5}" for turn in range(60)]
    found = compare_pairs(pairs, conversations, seed=3)

    t_test = [stats.ttest_rel(own, base).pvalue for own, base in pairs]
    randomization = [randomization_test(own, base, seed=3) for own, base in pairs]
    for name, plain in (("t_test", t_test), ("randomization", randomization)):
        told = np.array(
            [[getattr(getattr(one, name), field) for field in ("p", "holm", "bonferroni")] for one in found]
        )
        np.testing.assert_allclose(told.T, [plain, holm(plain), bonferroni(plain)])
    for one, (own, base) in zip(found, pairs, strict=True):
        assert one.interval == bootstrap_by_conversation(own - base, conversations, seed=3)
    assert compare_pairs([], conversations) == []


def test_ranks_that_tie_share_their_mean_rank():
    # Ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: covariance 4.5, variances 4.5 and 5.
    assert rank_correlation([1, 7, 7, 9], [0, 1, 2, 3]) == pytest.approx(4.5 / (4.5 * 5) ** 0.5)
    assert rank_correlation([3, 2, 1], [1, 10, 100]) == pytest.approx(-1)
    assert rank_correlation([1, 2], [1, 2]) is None and rank_correlation([1, 1, 1], [1, 2, 3]) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(-9, 9)), min_size=3, max_size=30))
def test_the_rank_correlation_is_scipys(pairs):
    first, second = zip(*pairs, strict=True)
    found = rank_correlation(first, second)
    if len(set(first)) < 2 or len(set(second)) < 2:
        assert found is None
    else:
        assert found == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-12)
