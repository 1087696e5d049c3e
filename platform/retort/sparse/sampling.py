"""Which passages of a teacher's ranking the divergence is taken over. Pure functions of a seeded generator."""

import hashlib

import numpy as np
import numpy.typing as npt

from retort.sparse.vectors import Int32, Int64

__all__ = ["turn_generator", "window_samples"]


def turn_generator(seed: int, epoch: int, query_id: str) -> np.random.Generator:
    """Generator of one turn in one epoch.

    It depends on seed, epoch and query_id alone, never on how turns are dealt out to workers, so that one worker and four
    draw the same samples.
    """
    digest = hashlib.blake2b(f"{seed}\x00{epoch}\x00{query_id}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest)))


def window_samples(
    passage_rows: Int32 | Int64,
    excluded_rows: npt.ArrayLike,
    *,
    count: int,
    window: tuple[int, int],
    generator: np.random.Generator,
) -> Int64:
    """Draw passages uniformly, without replacement, from a rank window.

    Args:
        passage_rows: (K,), the teacher's ranking, best first.
        excluded_rows: Passages that are never drawn: judged positives and passages with the same text.
        count: How many to draw.
        window: Zero-based, half-open ranks.
        generator: Source of randomness.

    Returns:
        Ranks that were drawn, ascending; fewer than ``count`` where the window holds fewer passages.
    """
    low, high = window
    ranks = np.arange(low, min(high, len(passage_rows)), dtype=np.int64)
    eligible = ranks[~np.isin(passage_rows[low:high], np.asarray(excluded_rows))]
    if len(eligible) <= count:
        return eligible
    return np.sort(generator.choice(eligible, size=count, replace=False))
