"""When the next request may go out: limits per minute, and pauses between attempts. Nothing here knows of HTTP.

Requests are spread evenly rather than in bursts: a bucket that holds a minute's worth lets twice the limit pass in the
first minute.
"""

import random
import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["Pace", "Stopped", "backoff"]

MINUTE: Final = 60.0


class Stopped(Exception):
    """Waiting ended because the work did."""


class Pace:
    """A gate that every request passes, shared by all threads.

    Args:
        requests_per_minute: The most requests in a minute; None: no limit.
        tokens_per_minute: The most tokens of prompts and answers in a minute; None: no limit.
        clock: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        requests_per_minute: int | None,
        tokens_per_minute: int | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_request = MINUTE / requests_per_minute if requests_per_minute else 0.0
        self._per_token = MINUTE / tokens_per_minute if tokens_per_minute else 0.0
        self._clock = clock
        self._lock = threading.Lock()
        self._requests_free = self._tokens_free = self._held_until = float("-inf")

    def reserve(self, tokens: int) -> float:
        """Take the next free place for a request of about so many tokens; returns the seconds until it is due."""
        with self._lock:
            now = self._clock()
            due = max(now, self._requests_free, self._tokens_free, self._held_until)
            self._requests_free = due + self._per_request
            self._tokens_free = due + tokens * self._per_token
            return due - now

    def settle(self, reserved: int, used: int) -> None:
        """Tell what a request really took, once its answer says so."""
        with self._lock:
            self._tokens_free += (used - reserved) * self._per_token

    def hold(self, seconds: float) -> None:
        """Let nobody pass for a while: what the server asks of one request, it means for all."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock() + seconds)

    def pass_gate(self, tokens: int, stop: threading.Event) -> None:
        """Wait for a request's turn.

        Raises:
            Stopped: If ``stop`` was set meanwhile.
        """
        seconds = self.reserve(tokens)
        while seconds > 0:
            if stop.wait(seconds):
                raise Stopped
            # A pause that another request was told of in the meantime holds for this one too.
            with self._lock:
                seconds = self._held_until - self._clock()
        if stop.is_set():
            raise Stopped


def backoff(attempt: int, *, first: float, longest: float, jitter: Callable[[], float] = random.random) -> float:
    r"""Seconds before another attempt: :math:`u \cdot \min(longest, first \cdot 2^{attempt})`, u uniform in [0, 1).

    The whole pause is random ("full jitter"), so that requests which failed together do not come back together.

    Args:
        attempt: 0 after the first failure.
        first: Upper bound of the first pause.
        longest: Upper bound of every pause.
        jitter: Draws u.
    """
    return jitter() * min(longest, first * 2.0 ** min(attempt, 64))
