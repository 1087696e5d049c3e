"""Paired tests, corrections and the bootstrap against hand arithmetic, scipy and exact enumeration."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from retort.measures.significance import (
    bonferroni,
    bootstrap_by_conversation,
    bootstrap_totals_by_conversation,
    holm,
    paired_t_test,
    randomization_test,
)

P_VALUES = st.lists(st.floats(0, 1), max_size=8)
SEEDS = st.integers(0, 10_000)


def exact_sign_flip_p(differences):
    observed = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    return sum(value >= observed - 1e-12 for value in sums) / len(sums)


def test_paired_t_test_matches_hand_arithmetic():
    # Differences 1, 0: mean 1/2, deviation sqrt(1/2), t = 1. With one degree of freedom t is Cauchy: p = 2 (1/2 - 1/4).
    assert paired_t_test([1.0, 1.0], [0.0, 1.0]) == pytest.approx(0.5)


@given(seed=SEEDS, turns=st.integers(2, 40))
def test_paired_t_test_matches_scipy(seed, turns):
    a, b = np.random.default_rng(seed).random((2, turns))

    assert paired_t_test(a, b) == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-9)
    assert paired_t_test(a, b) == paired_t_test(b, a)


def test_differences_without_spread_need_no_division_by_it():
    assert paired_t_test([0.2, 0.9], [0.2, 0.9]) == 1
    assert paired_t_test([0.9, 0.3, 0.5], [0.8, 0.2, 0.4]) == 0  # .1 each, but for rounding
    assert paired_t_test([0.1 + 0.2, 1.0], [0.3, 1.0]) == 1  # .1 + .2 - .3 is 5.6e-17


def test_randomization_test_matches_hand_arithmetic():
    # Sums of +-1 +-2 are 3, -1, 1, -3: two of four are as far from 0 as 3.
    assert randomization_test([1.0, 2.0], [0.0, 0.0]) == 0.5
    assert randomization_test([1.0, 2.0, 7.0], [0.0, 0.0, 7.0]) == 0.5  # an equal pair says nothing
    assert randomization_test([0.5, 0.5], [0.5, 0.5]) == 1


@given(st.lists(st.integers(-4, 4), min_size=2, max_size=10))
def test_randomization_test_is_exact_for_few_turns(eighths):
    differences = [value / 8 for value in eighths]

    assert randomization_test(differences, np.zeros(len(differences))) == exact_sign_flip_p(differences)


@given(seed=SEEDS, turns=st.integers(2, 8))
def test_randomization_test_matches_scipy(seed, turns):
    a, b = np.random.default_rng(seed).random((2, turns))
    expected = stats.permutation_test(
        (a, b),
        lambda x, y, axis: (x - y).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )

    assert randomization_test(a, b) == pytest.approx(expected.pvalue)


@pytest.mark.parametrize("seed", range(5))
def test_random_assignments_come_close_to_all_of_them(seed):
    a, b = np.random.default_rng(seed).random((2, 10))
    exact = exact_sign_flip_p((a - b).tolist())
    drawn = randomization_test(a, b, permutations=1023, seed=seed)  # one less than all, and so they are drawn

    assert drawn != exact and drawn * 1024 == round(drawn * 1024)
    assert drawn == pytest.approx(exact, abs=5 * math.sqrt(exact * (1 - exact) / 1023))


def test_the_least_p_of_random_assignments_is_not_zero():
    ones = np.ones(1000)

    assert randomization_test(ones, 0 * ones, permutations=999) == 1 / 1000
    # Ten million signs are drawn in several chunks.
    assert randomization_test(ones, 0 * ones, permutations=10_000) == 1 / 10_001


def test_a_seed_gives_the_same_p():
    a, b = np.random.default_rng(1).random((2, 50))
    p = randomization_test(a, b, permutations=2000, seed=3)
    assert p == randomization_test(a, b, permutations=2000, seed=3)
    assert p != randomization_test(a, b, permutations=2000, seed=4)


@given(seed=SEEDS, turns=st.integers(2, 60))
def test_randomization_test_does_not_ask_which_run_is_first(seed, turns):
    a, b = np.random.default_rng(seed).random((2, turns))
    p = randomization_test(a, b, permutations=500)

    assert 0 < p <= 1
    assert p == randomization_test(b, a, permutations=500)


def test_corrections_match_hand_arithmetic():
    p = [0.01, 0.04, 0.03, 0.005]

    assert bonferroni(p) == pytest.approx([0.04, 0.16, 0.12, 0.02])
    # In order .005 * 4, .01 * 3, .03 * 2, and .04 * 1, which may not fall below the one before.
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]).tolist() == bonferroni([]).tolist() == []
    assert holm([0.7]).tolist() == bonferroni([0.7]).tolist() == [0.7]
    assert holm([0.6, 0.9]).tolist() == bonferroni([0.6, 0.9]).tolist() == [1, 1]


@given(P_VALUES)
def test_holm_lies_between_p_and_bonferroni_and_keeps_the_order(p):
    adjusted = holm(p)

    assert (adjusted >= p).all() and (adjusted <= bonferroni(p)).all() and (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


@given(P_VALUES, st.floats(0.01, 0.99))
def test_holm_rejects_what_the_stepwise_procedure_rejects(p, level):
    rejected = set()
    for step, position in enumerate(np.argsort(p, kind="stable")):
        if min(1.0, (len(p) - step) * p[position]) > level:
            break
        rejected.add(int(position))

    assert set(np.flatnonzero(holm(p) <= level).tolist()) == rejected


@given(st.floats(-1, 1), st.lists(st.sampled_from("abc"), min_size=1, max_size=10))
def test_the_interval_of_a_constant_is_that_constant(constant, conversation_ids):
    conversation_ids = [*conversation_ids, "other"]
    interval = bootstrap_by_conversation([constant] * len(conversation_ids), conversation_ids, resamples=50)

    assert interval == pytest.approx((constant, constant), rel=1e-12)


def test_bootstrap_matches_hand_arithmetic_on_two_conversations():
    # Resamples: a a (mean 0), b b (mean 1), and a b (mean 2/3, b has two turns): shares 1/4, 1/4, 1/2.
    differences, conversation_ids = [0.0, 1.0, 1.0], ["a", "b", "b"]

    assert bootstrap_by_conversation(differences, conversation_ids) == (0, 1)
    assert bootstrap_by_conversation(differences, conversation_ids, level=0.4) == pytest.approx((2 / 3, 2 / 3))


def test_bootstrap_matches_scipy_where_every_conversation_has_one_turn():
    values = np.random.default_rng(0).normal(0.1, 1, 200)
    interval = bootstrap_by_conversation(values, [str(turn) for turn in range(200)])
    expected = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=10_000, rng=np.random.default_rng(1)
    )

    # Both ends are estimated from 10,000 resamples: their own error is about 1 % of the interval.
    assert interval == pytest.approx(tuple(expected.confidence_interval), abs=0.01)


def test_a_ratio_of_totals_by_hand_on_two_conversations():
    # Totals: a has 1 and 2, b has 3 and 1. Resamples a a: 1/2, a b: 4/3, b b: 3; shares 1/4, 1/2, 1/4.
    columns = np.array([[1.0, 2.0], [1.0, 1.0], [2.0, 0.0]])

    def ratio(level):
        return bootstrap_totals_by_conversation(
            columns, ["a", "b", "b"], lambda totals: totals[:, 0] / totals[:, 1], level=level
        )

    assert ratio(0.95) == (0.5, 3.0)
    assert ratio(0.4) == pytest.approx((4 / 3, 4 / 3))


def test_resamples_where_the_statistic_is_not_finite_are_left_out():
    columns = np.array([[1.0, 0.0], [1.0, 2.0]])

    def ratio(totals):
        return totals[:, 0] / totals[:, 1]

    # Of a a (infinite), a b (2/2) and b b (2/4), two are left.
    assert bootstrap_totals_by_conversation(columns, ["a", "b"], ratio) == (0.5, 1.0)
    with pytest.raises(ValueError, match="finite in no resample"):
        bootstrap_totals_by_conversation(columns[:, [0, 0]] * [1, 0], ["a", "b"], ratio)
    with pytest.raises(ValueError, match=r"columns \(2, 2\) and 1 conversation_ids"):
        bootstrap_totals_by_conversation(columns, ["a"], ratio)


@given(seed=SEEDS)
def test_the_mean_is_a_ratio_of_totals(seed):
    generator = np.random.default_rng(seed)
    differences, conversation_ids = generator.random(30), [str(number) for number in generator.integers(0, 9, 30)]
    columns = np.column_stack([differences, np.ones(30)])
    interval = bootstrap_totals_by_conversation(
        columns, conversation_ids, lambda totals: totals[:, 0] / totals[:, 1], resamples=200, seed=seed
    )
    assert interval == bootstrap_by_conversation(differences, conversation_ids, resamples=200, seed=seed)


def test_turns_that_move_together_widen_the_interval():
    by_topic = np.random.default_rng(0).normal(0, 1, 40)
    differences = np.repeat(by_topic, 10)

    def width(conversation_ids):
        low, high = bootstrap_by_conversation(differences, conversation_ids, resamples=2000)
        return high - low

    conversations = width([str(turn // 10) for turn in range(400)])
    assert conversations == pytest.approx(math.sqrt(10) * width([str(turn) for turn in range(400)]), rel=0.15)


@given(seed=SEEDS)
def test_bootstrap_brackets_the_mean_depends_on_the_seed_alone_and_narrows_with_the_level(seed):
    generator = np.random.default_rng(seed)
    differences, conversation_ids = generator.random(60), [str(number) for number in generator.integers(0, 20, 60)]
    low, high = bootstrap_by_conversation(differences, conversation_ids, resamples=400, seed=seed)
    inner = bootstrap_by_conversation(differences, conversation_ids, resamples=400, seed=seed, level=0.5)

    assert differences.min() <= low <= inner[0] <= inner[1] <= high <= differences.max()
    assert low < differences.mean() < high
    assert (low, high) == bootstrap_by_conversation(differences, conversation_ids, resamples=400, seed=seed)


@pytest.mark.parametrize("test", [paired_t_test, randomization_test])
def test_unpaired_values_are_refused(test):
    with pytest.raises(ValueError, match="got 2 and 3: align them by query_id"):
        test([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="2 or more turns"):
        test([1.0], [2.0])
    with pytest.raises(ValueError, match=r"b\[1\] is nan"):
        test([1.0, 2.0], [1.0, math.nan])
    with pytest.raises(ValueError, match=r"a must have the shape \(N,\), got \(1, 2\)"):
        test([[1.0, 2.0]], [1.0, 2.0])


def test_other_mistakes_are_refused():
    with pytest.raises(ValueError, match="permutations must be at least 1, got 0"):
        randomization_test([1.0, 2.0], [0.0, 0.0], permutations=0)
    for adjust in (holm, bonferroni):
        with pytest.raises(ValueError, match=r"numbers in \[0, 1\], got \[0.5, 1.5\]"):
            adjust([0.5, 1.5])
        with pytest.raises(ValueError, match=r"got .*nan"):
            adjust([math.nan])
    with pytest.raises(ValueError, match="2 differences and 1 conversation_ids"):
        bootstrap_by_conversation([1.0, 2.0], ["a"])
    with pytest.raises(ValueError, match="at least 2 of them, got 1"):
        bootstrap_by_conversation([1.0, 2.0], ["a", "a"])
    with pytest.raises(ValueError, match=r"got 0 and 0.95"):
        bootstrap_by_conversation([1.0, 2.0], ["a", "b"], resamples=0)
    with pytest.raises(ValueError, match="got 10000 and 95"):
        bootstrap_by_conversation([1.0, 2.0], ["a", "b"], level=95)
