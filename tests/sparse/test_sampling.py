"""Samples: the window's corners, what is never drawn, and uniformity by a chi-square test."""

from collections import Counter

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from retort.sparse.sampling import turn_generator, window_samples


def ranking(length):
    # Rows are not ranks: the passage at rank r has row 1000 - r.
    return np.arange(1000, 1000 - length, -1, dtype=np.int32)


def draw(length, excluded=(), *, count, window, query_id="q"):
    generator = turn_generator(0, 0, query_id)
    return window_samples(ranking(length), np.array(excluded), count=count, window=window, generator=generator)


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
        return tuple(window_samples(ranking(500), [], count=8, window=(0, 500), generator=generator).tolist())

    keys = [(seed, epoch, query_id) for seed in (0, 1) for epoch in (0, 1) for query_id in ("a", "b", "1", "0\x000")]
    forwards = {key: sample(*key) for key in keys}
    backwards = {key: sample(*key) for key in reversed(keys)}

    assert forwards == backwards
    assert len(set(forwards.values())) == len(keys)


def test_the_generator_is_the_same_on_every_machine():
    # Pinned: a run that is continued elsewhere draws what it would have drawn here.
    generator = turn_generator(1, 2, "topiocqa_3_4")

    assert generator.integers(0, 1000, size=5).tolist() == [471, 881, 723, 55, 881]
