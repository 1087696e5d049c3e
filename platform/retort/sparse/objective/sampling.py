"""Which passages of a ranking the divergence is taken over. Pure functions of a seeded generator.

Shapes: K passages of the ranking, E of them eligible, n drawn. Every strategy begins with ``eligible_ranks``, so that none
ever draws a judged positive, nor a passage with the same text as one.
"""

import hashlib
from typing import Literal

import numpy as np
import numpy.typing as npt

from retort.sparse.vectors import Float32, Int32, Int64

__all__ = [
    "eligible_ranks",
    "hardest_samples",
    "proportional_samples",
    "stratified_samples",
    "turn_generator",
    "window_samples",
]


def turn_generator(seed: int, epoch: int, query_id: str) -> np.random.Generator:
    """Generator of one turn in one epoch.

    It depends on seed, epoch and query_id alone, never on how turns are dealt out to workers, so that one worker and four
    draw the same samples.
    """
    digest = hashlib.blake2b(f"{seed}\x00{epoch}\x00{query_id}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest)))


def eligible_ranks(passage_rows: Int32 | Int64, excluded_rows: npt.ArrayLike, window: tuple[int, int]) -> Int64:
    """Ranks that may be drawn.

    Args:
        passage_rows: (K,), the ranking, best first.
        excluded_rows: Passages that are never drawn: judged positives and passages with the same text.
        window: Zero-based, half-open ranks.

    Returns:
        (E,), ascending.
    """
    low, high = window
    ranks = np.arange(low, min(high, len(passage_rows)), dtype=np.int64)
    return ranks[~np.isin(passage_rows[low:high], np.asarray(excluded_rows))]


def window_samples(eligible: Int64, *, count: int, generator: np.random.Generator) -> Int64:
    """Draw uniformly, without replacement: the paper's strategy.

    Args:
        eligible: (E,), ranks, ascending.
        count: How many to draw.
        generator: Source of randomness.

    Returns:
        Ranks, ascending; fewer than ``count`` where fewer are eligible.
    """
    if len(eligible) <= count:
        return eligible
    return np.sort(generator.choice(eligible, size=count, replace=False))


def hardest_samples(eligible: Int64, *, count: int) -> Int64:
    """The first ``count`` eligible ranks: what the ranking finds most relevant, the same in every epoch."""
    return eligible[:count]


def stratified_samples(
    eligible: Int64, *, count: int, generator: np.random.Generator, spacing: Literal["equal", "geometric"] = "equal"
) -> Int64:
    """Draw one passage from each of ``count`` strata of consecutive ranks, so that every draw covers the window.

    Args:
        eligible: (E,), ranks, ascending.
        count: How many to draw.
        generator: Source of randomness.
        spacing: ``equal`` strata hold as many ranks each, so that every rank is as likely as under uniform sampling, but
            the samples spread; ``geometric`` strata widen by a constant factor, so that the head is covered densely.

    Returns:
        Ranks, ascending and distinct; fewer than ``count`` where fewer are eligible.
    """
    total = len(eligible)
    if total <= count:
        return eligible
    if spacing == "equal":
        edges = np.round(np.linspace(0, total, count + 1)).astype(np.int64)
    else:
        edges = np.round(np.geomspace(1, total + 1, count + 1)).astype(np.int64) - 1
        # The narrowest strata would be empty: each edge lies at least one rank beyond the last, and leaves one for the rest.
        edges = np.maximum.accumulate(edges - np.arange(count + 1)) + np.arange(count + 1)
        edges = np.minimum(edges, total - np.arange(count, -1, -1))
    return eligible[generator.integers(edges[:-1], edges[1:])]


def proportional_samples(
    eligible: Int64, scores: npt.NDArray[np.floating], *, count: int, temperature: float, generator: np.random.Generator
) -> tuple[Int64, Float32]:
    r"""Draw as likely as a ranking's own distribution finds each passage, with replacement.

    .. math::
        q_d \propto e^{s(d) / t}, \qquad \log w_d = -\log (n \, q_d)

    With these weights a sum over the samples estimates the sum over all eligible ranks without bias, and a sum weighted by
    the distribution itself is a plain mean: the draws go where the divergence has its mass.

    Args:
        eligible: (E,), ranks, ascending.
        scores: (K,), of the whole ranking, scaled as in the divergence.
        count: n.
        temperature: t of the proposal.
        generator: Source of randomness.

    Returns:
        (n,) ranks, ascending, a rank as often as it was drawn, and (n,) log weights; none where none is eligible.
    """
    if not len(eligible):
        return eligible, np.zeros(0, dtype=np.float32)
    logits = scores[eligible].astype(np.float64) / temperature
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    drawn = np.sort(generator.choice(len(eligible), size=count, replace=True, p=shares))
    return eligible[drawn], -np.log(count * shares[drawn]).astype(np.float32)
