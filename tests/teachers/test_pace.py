"""The gate of requests, on a clock of its own; pauses by hand arithmetic."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retort.teachers.pace import Pace, Stopped, backoff


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_requests_are_spread_over_the_minute():
    pace = Pace(30, None, clock=Clock())
    assert [pace.reserve(1_000) for _ in range(4)] == [0.0, 2.0, 4.0, 6.0]


def test_tokens_are_spread_over_the_minute_and_settled_by_what_was_used():
    clock = Clock()
    pace = Pace(None, 600, clock=clock)  # ten a second
    assert pace.reserve(50) == 0.0
    assert pace.reserve(10) == 5.0
    pace.settle(10, 30)
    assert pace.reserve(1) == 5.0 + 3.0
    clock.now = 100.0
    assert pace.reserve(1) == 0.0  # what was not used is not saved up
    assert pace.reserve(1) == pytest.approx(0.1)


def test_a_pause_holds_for_everybody():
    pace = Pace(None, None, clock=Clock())
    pace.hold(7.0)
    pace.hold(3.0)
    assert pace.reserve(1) == pace.reserve(1) == 7.0


@given(limit=st.integers(1, 600), arrivals=st.lists(st.floats(0, 30), min_size=1, max_size=60))
def test_no_minute_sees_more_than_its_limit(limit, arrivals):
    clock = Clock()
    pace = Pace(limit, None, clock=clock)
    sent = []
    for wait in arrivals:
        clock.now += wait / 10
        sent.append(clock.now + pace.reserve(1))
    for start in sent:
        assert sum(start <= moment < start + 60 - 1e-6 for moment in sent) <= limit + 1


def test_waiting_ends_with_the_work():
    stop = threading.Event()
    pace = Pace(1, None)
    pace.pass_gate(1, stop)
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(Stopped):
        pace.pass_gate(1, stop)


def test_pauses_double_up_to_the_longest_and_are_random_as_a_whole():
    assert [backoff(n, first=1.0, longest=5.0, jitter=lambda: 1.0) for n in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert backoff(3, first=0.5, longest=60.0, jitter=lambda: 0.25) == 1.0
    assert backoff(10_000, first=1.0, longest=9.0, jitter=lambda: 1.0) == 9.0
