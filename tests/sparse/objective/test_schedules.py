"""Schedules at their corners, by hand, and as monotone functions of the step."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retort.sparse.objective.schedules import learning_rate_factor, ramp, transition

KINDS = st.sampled_from(["quadratic", "linear", "constant"])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("quadratic", [0.0625, 0.25, 0.5625, 1, 1, 1, 1, 1]),
        ("linear", [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]),
        ("constant", [1] * 8),
    ],
)
def test_ramps_reach_one_after_their_share_of_the_steps(kind, expected):
    assert [ramp(step, total_steps=8, fraction=0.5, kind=kind) for step in range(8)] == expected


@given(total=st.integers(1, 300), fraction=st.floats(0.01, 1), kind=KINDS)
def test_ramps_rise_within_zero_and_one_and_end_at_one(total, fraction, kind):
    factors = [ramp(step, total_steps=total, fraction=fraction, kind=kind) for step in range(total)]

    assert all(0 < low <= high <= 1 for low, high in itertools.pairwise(factors))
    assert factors[-1] == pytest.approx(1)


@given(total=st.integers(1, 300), fraction=st.floats(0.01, 1), step=st.integers(0, 299))
def test_the_quadratic_ramp_is_the_linear_ones_square(total, fraction, step):
    linear = ramp(step, total_steps=total, fraction=fraction, kind="linear")

    assert ramp(step, total_steps=total, fraction=fraction, kind="quadratic") == pytest.approx(linear**2)


def test_the_learning_rate_warms_up_and_decays_by_hand():
    factors = [learning_rate_factor(step, total_steps=8, warmup_fraction=0.25) for step in range(8)]

    # Two steps of warm-up, 1/3 and 2/3, the peak at step 2, then sixths.
    assert factors == pytest.approx([1 / 3, 2 / 3, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])


@given(total=st.integers(1, 300), warmup=st.floats(0, 0.99))
def test_every_step_trains_and_the_peak_is_one(total, warmup):
    factors = [learning_rate_factor(step, total_steps=total, warmup_fraction=warmup) for step in range(total)]
    peak = factors.index(max(factors))

    assert all(0 < factor <= 1 for factor in factors)
    assert factors[:peak] == sorted(factors[:peak]) and factors[peak:] == sorted(factors[peak:], reverse=True)
    if round(warmup * total) < total:
        assert max(factors) == 1


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("linear", [0.0, 0.1, 0.2, 0.3, 0.4]), ("cosine", [0.0, 0.0586, 0.2, 0.3414, 0.4]), ("constant", [0.4] * 5)],
)
def test_transitions_by_hand(kind, expected):
    found = [transition(step, total_steps=5, start=0.0, end=0.4, kind=kind) for step in range(5)]
    assert found == pytest.approx(expected, abs=1e-4)


@given(
    total=st.integers(2, 200),
    start=st.floats(0, 1),
    end=st.floats(0, 1),
    kind=st.sampled_from(["linear", "cosine"]),
)
def test_transitions_go_from_start_to_end_without_turning_back(total, start, end, kind):
    values = [transition(step, total_steps=total, start=start, end=end, kind=kind) for step in range(total)]

    assert values[0] == pytest.approx(start) and values[-1] == pytest.approx(end)
    sign = 1 if end >= start else -1
    assert all(sign * (after - before) >= -1e-12 for before, after in itertools.pairwise(values))


def test_a_training_of_one_step_has_the_final_weight():
    assert transition(0, total_steps=1, start=0.0, end=0.3, kind="linear") == 0.3
