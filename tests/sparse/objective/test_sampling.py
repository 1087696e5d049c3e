"""Samples: the window's corners, what is never drawn, chi-square tests of each strategy, and importance weights."""

from collections import Counter

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from retort.sparse.objective.losses import candidate_kl
from retort.sparse.objective.sampling import (
    eligible_ranks,
    hardest_samples,
    proportional_samples,
    stratified_samples,
    turn_generator,
    window_samples,
)


def ranking(length):
    # Rows are not ranks: the passage at rank r has row 1000 - r.
    return np.arange(1000, 1000 - length, -1, dtype=np.int32)


def draw(length, excluded=(), *, count, window, query_id="q"):
    generator = turn_generator(0, 0, query_id)
    eligible = eligible_ranks(ranking(length), np.array(excluded), window)
    return window_samples(eligible, count=count, generator=generator)


@pytest.mark.parametrize(
    ("length", "window", "expected"),
    [
        (10, (2, 5), [2, 3, 4]),  # half-open: rank 5 is outside
        (10, (0, 1), [0]),
        (4, (2, 9), [2, 3]),  # the ranking ends first
        (2, (2, 9), []),
        (0, (0, 3), []),
    ],
)
def test_a_window_that_holds_no_more_than_was_asked_for_is_taken_whole(length, window, expected):
    assert draw(length, count=7, window=window).tolist() == expected


def test_every_rank_of_the_window_is_drawn_and_no_other():
    drawn = {int(rank) for turn in range(300) for rank in draw(30, count=2, window=(3, 9), query_id=f"q{turn}")}

    assert drawn == {3, 4, 5, 6, 7, 8}


@given(
    length=st.integers(0, 40),
    low=st.integers(0, 20),
    width=st.integers(1, 30),
    count=st.integers(1, 12),
    excluded=st.lists(st.integers(960, 1000)),
    query_id=st.text(),
)
def test_samples_are_distinct_ascending_eligible_and_as_many_as_there_are(
    length, low, width, count, excluded, query_id
):
    window = (low, low + width)
    drawn = draw(length, excluded, count=count, window=window, query_id=query_id).tolist()
    eligible = [rank for rank in range(*window) if rank < length and 1000 - rank not in excluded]

    assert drawn == sorted(set(drawn)) and set(drawn) <= set(eligible)
    assert len(drawn) == min(count, len(eligible))


@pytest.mark.parametrize("count", [1, 5])
def test_every_eligible_passage_is_as_likely_as_another(count):
    drawn = Counter(
        int(rank)
        for turn in range(2000)
        for rank in draw(40, [1000 - 12], count=count, window=(10, 20), query_id=f"conversation_{turn}")
    )

    assert 12 not in drawn
    assert scipy.stats.chisquare([drawn[rank] for rank in range(10, 20) if rank != 12]).pvalue > 0.01


def test_a_turns_samples_depend_on_seed_epoch_and_query_id_alone():
    def sample(seed, epoch, query_id):
        generator = turn_generator(seed, epoch, query_id)
        return tuple(window_samples(np.arange(500), count=8, generator=generator).tolist())

    keys = [(seed, epoch, query_id) for seed in (0, 1) for epoch in (0, 1) for query_id in ("a", "b", "1", "0\x000")]
    forwards = {key: sample(*key) for key in keys}
    backwards = {key: sample(*key) for key in reversed(keys)}

    assert forwards == backwards
    assert len(set(forwards.values())) == len(keys)


def test_the_generator_is_the_same_on_every_machine():
    # Pinned: a run that is continued elsewhere draws what it would have drawn here.
    generator = turn_generator(1, 2, "topiocqa_3_4")

    assert generator.integers(0, 1000, size=5).tolist() == [471, 881, 723, 55, 881]


# -- other strategies --------------------------------------------------------------------------------------------------


def test_the_hardest_are_the_first_eligible_ranks():
    eligible = eligible_ranks(ranking(30), [1000 - 11], (10, 30))

    assert hardest_samples(eligible, count=3).tolist() == [10, 12, 13]
    assert hardest_samples(eligible, count=100).tolist() == eligible.tolist()


@given(
    eligible=st.lists(st.integers(0, 2000), max_size=400, unique=True).map(sorted),
    count=st.integers(1, 300),
    spacing=st.sampled_from(["equal", "geometric"]),
    query_id=st.text(),
)
def test_strata_give_distinct_ascending_eligible_ranks(eligible, count, spacing, query_id):
    ranks = np.array(eligible, dtype=np.int64)
    generator = turn_generator(0, 0, query_id)
    drawn = stratified_samples(ranks, count=count, generator=generator, spacing=spacing).tolist()

    assert drawn == sorted(set(drawn)) and set(drawn) <= set(eligible)
    assert len(drawn) == min(count, len(eligible))


def test_equal_strata_hold_one_sample_each_and_every_rank_is_as_likely():
    drawn = [
        stratified_samples(np.arange(100, 160), count=6, generator=turn_generator(0, 0, f"q{turn}")).tolist()
        for turn in range(3000)
    ]

    assert all([(rank - 100) // 10 for rank in ranks] == list(range(6)) for ranks in drawn)
    counts = Counter(rank for ranks in drawn for rank in ranks)
    assert scipy.stats.chisquare([counts[rank] for rank in range(100, 160)]).pvalue > 0.01


def test_geometric_strata_widen_by_a_constant_factor():
    # Edges 0, 1, 3, 7, 15: four strata of 1, 2, 4 and 8 ranks.
    drawn = np.array(
        [
            stratified_samples(np.arange(15), count=4, generator=turn_generator(0, 0, f"q{turn}"), spacing="geometric")
            for turn in range(500)
        ]
    )

    assert [sorted(set(column.tolist())) for column in drawn.T] == [[0], [1, 2], [3, 4, 5, 6], [7, *range(8, 15)]]


def proportional(scores, *, count, temperature=1.0, query_id="q", eligible=None):
    eligible = np.arange(len(scores)) if eligible is None else eligible
    generator = turn_generator(0, 0, query_id)
    return proportional_samples(eligible, scores, count=count, temperature=temperature, generator=generator)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_proportional_samples_are_as_likely_as_the_softmax_says(temperature):
    scores = np.array([9.0, 1.0, 0.5, 0.0, -0.5])  # rank 0 is not eligible
    ranks, log_weights = proportional(scores, count=20_000, temperature=temperature, eligible=np.arange(1, 5))
    shares = scipy.special.softmax(scores[1:] / temperature)

    counts = Counter(ranks.tolist())
    assert scipy.stats.chisquare([counts[rank] for rank in range(1, 5)], 20_000 * shares).pvalue > 0.01
    np.testing.assert_allclose(log_weights, -np.log(20_000 * shares[ranks - 1]), rtol=1e-5)
    # The weights count what the samples stand for: four passages.
    assert np.exp(log_weights).sum() == pytest.approx(4, rel=0.05)


def test_proportional_samples_of_nothing_are_nothing():
    ranks, log_weights = proportional(np.zeros(3), count=4, eligible=np.arange(0))

    assert ranks.tolist() == log_weights.tolist() == []


def estimates(count, *, full, draws):
    """The divergence as estimated from samples: the estimates' bias against the exact value, and its standard error."""
    generator = np.random.default_rng(5)
    teacher, student = generator.normal(size=(2, 60)).astype(np.float32)
    exact = candidate_kl(torch.from_numpy(student)[None], torch.from_numpy(teacher)[None]).item()
    # Many turns' samples are drawn at once: they are independent draws with replacement.
    ranks, log_weights = proportional_samples(
        np.arange(1, 60), teacher, count=count * draws, temperature=1.0, generator=generator
    )
    order = generator.permutation(count * draws)
    # Rank 0 is the positive, always there and standing for itself.
    places = np.pad(ranks[order].reshape(draws, count), ((0, 0), (1, 0)))
    weights = np.pad(log_weights[order].reshape(draws, count) + np.log(draws), ((0, 0), (1, 0)))
    found = candidate_kl(
        torch.from_numpy(student[places]),
        torch.from_numpy(teacher[places]),
        log_weights=torch.from_numpy(weights.astype(np.float32)),
        student_log_normalizer=torch.from_numpy(student).logsumexp(0).expand(draws) if full else None,
    ).double()
    return found.mean().item() - exact, found.std().item() / draws**0.5


def test_the_bias_of_sampled_logits_falls_as_one_over_their_number():
    counts = [8, 16, 32, 64]
    biases, errors = zip(*(estimates(count, full=False, draws=100_000) for count in counts), strict=True)

    assert all(abs(bias) > 5 * error for bias, error in zip(biases, errors, strict=True)), "there is a bias to see"
    slope = np.polyfit(np.log(counts), np.log(np.abs(biases)), 1)[0]
    assert slope == pytest.approx(-1, abs=0.1)


@pytest.mark.parametrize("count", [1, 4, 16])
def test_with_the_full_normalizer_there_is_no_bias(count):
    bias, error = estimates(count, full=True, draws=20_000)

    assert abs(bias) < 4 * error
