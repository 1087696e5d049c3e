"""The held-out conversations: order, share, bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retort.config import HoldoutConfig
from retort.corpora.holdout import validation_conversations
from retort.errors import ConfigError

ids = st.sets(st.text(min_size=1, max_size=6), min_size=2, max_size=40)


@given(ids=ids, share=st.floats(0.01, 0.99), seed=st.integers(0, 99), data=st.data())
def test_the_draw_depends_on_the_set_of_conversations_and_the_seed_alone(ids, share, seed, data):
    config = HoldoutConfig(share=share, seed=seed)
    held_out = validation_conversations(ids, config)
    shuffled = data.draw(st.permutations(sorted(ids)))

    assert held_out == validation_conversations([*shuffled, shuffled[0]], config)
    assert held_out < ids and 1 <= len(held_out) <= len(ids) - 1


@pytest.mark.parametrize(
    ("count", "share", "expected"), [(100, 0.15, 15), (10, 0.25, 3), (10, 0.24, 2), (2, 0.9, 1), (3, 0.01, 1)]
)
def test_the_share_is_rounded_to_the_nearest_number(count, share, expected):
    assert len(validation_conversations(map(str, range(count)), HoldoutConfig(share=share))) == expected


def test_seeds_draw_different_conversations():
    draws = {validation_conversations(map(str, range(50)), HoldoutConfig(seed=seed)) for seed in range(5)}
    assert len(draws) == 5


def test_the_draw_is_the_same_on_every_machine():
    # Written down, so that a changed draw, which would change every published validation figure, is noticed.
    drawn = validation_conversations(map(str, range(10)), HoldoutConfig(share=0.3, seed=0))
    assert drawn == {"4", "7", "9"}


@pytest.mark.parametrize("ids", [[], ["a"], ["a", "a"]])
def test_fewer_than_two_conversations_are_refused(ids):
    with pytest.raises(ConfigError, match=r"corpus\.validate: .*two are needed; name a split"):
        validation_conversations(ids, HoldoutConfig())
