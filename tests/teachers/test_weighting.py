"""Learned weights: hand arithmetic, the gradient against differences, and the optimum against a grid."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retort.teachers.weighting import Judged, learn_weights, log_likelihood


def turn(scores, positives=(0,)):
    return Judged(np.array(scores, np.float64), np.array(positives, np.int64))


def some_turns(seed, teachers=3, count=12):
    generator = np.random.default_rng(seed)
    return [
        turn(generator.normal(size=(teachers, generator.integers(2, 7))), (0,) if n % 2 else (0, 1))
        for n in range(count)
    ]


def test_a_likelihood_by_hand():
    # Half and half: scores (2, 0) and thus log-softmax 2 - log(e^2 + 1).
    value, gradient = log_likelihood(np.array([0.5, 0.5]), [turn([[3.0, 0.0], [1.0, 0.0]])])
    share = math.exp(2) / (math.exp(2) + 1)
    assert value == pytest.approx(math.log(share))
    np.testing.assert_allclose(gradient, [3 * (1 - share), 1 - share])


@given(seed=st.integers(0, 1000))
def test_the_gradient_is_that_of_the_value(seed):
    turns, weights = some_turns(seed), np.random.default_rng(seed + 1).dirichlet(np.ones(3))
    _, gradient = log_likelihood(weights, turns)
    for place in range(3):
        step = np.zeros(3)
        step[place] = 1e-5
        difference = log_likelihood(weights + step, turns)[0] - log_likelihood(weights - step, turns)[0]
        assert gradient[place] == pytest.approx(difference / 2e-5, abs=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_no_weights_of_a_grid_are_better(seed):
    turns = some_turns(seed)
    found = learn_weights(turns, 3)
    best = max(log_likelihood(np.array([a, b, 20 - a - b]) / 20, turns)[0] for a in range(21) for b in range(21 - a))
    assert found.log_likelihood >= best - 1e-6 and found.log_likelihood >= found.uniform
    assert sum(found.weights) == pytest.approx(1) and min(found.weights) >= 0 and found.turns == 12


def test_a_teacher_that_is_right_outweighs_one_that_is_wrong():
    turns = [turn([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]])] * 3
    assert learn_weights(turns, 2).weights == (1.0, 0.0)
    assert learn_weights([turns[0], turn([[0.0, 2.0], [2.0, 0.0]])], 2).weights == pytest.approx((0.5, 0.5), abs=0.2)


def test_the_same_turns_give_the_same_weights_in_any_order_of_teachers():
    turns = some_turns(5)
    swapped = [Judged(t.scores[::-1], t.positives) for t in turns]
    assert learn_weights(turns, 3) == learn_weights(turns, 3)
    assert learn_weights(swapped, 3).weights == pytest.approx(learn_weights(turns, 3).weights[::-1], abs=2e-4)


def test_no_turn_teaches_nothing():
    with pytest.raises(ValueError, match="no turn to learn"):
        learn_weights([], 2)
