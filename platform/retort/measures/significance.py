"""Is one run better than another? Paired tests over the same turns, corrections, and an interval.

Turns of one conversation share a topic and so aren't independent, which both tests assume: their p is a little small.
The bootstrap draws whole conversations and doesn't need the assumption; report it beside them.

Shapes: N turns, C conversations, H hypotheses.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "bonferroni",
    "bootstrap_by_conversation",
    "bootstrap_totals_by_conversation",
    "holm",
    "paired_t_test",
    "randomization_test",
]

# Numbers drawn at a time, 32 MB as float64. It has a part in which numbers a seed gives: change it as you would a seed.
_CHUNK_DRAWS = 1 << 22


def paired_t_test(a: ArrayLike, b: ArrayLike) -> float:
    r"""Two-sided p of Student's t test on the differences, :math:`t = \bar{d} \sqrt{N} / s_d` with N - 1 degrees.

    Where all differences agree the statistic has no spread to divide by: p is 1 if they are 0, and 0 otherwise.

    Args:
        a: (N,), one run's values by turn.
        b: (N,), the other run's, for the same turns in the same order.

    Returns:
        p in [0, 1].

    Raises:
        ValueError: If the shapes differ, N < 2, or a value isn't finite.
    """
    from scipy.special import stdtr  # not scipy.stats: importing that takes 1.5 s, against 0.2 s

    first, second = _paired(a, b)
    differences = first - second
    # Differences of equal pairs such as .9 - .8 and .3 - .2 differ by rounding alone, and are no spread.
    rounding = 64 * np.finfo(np.float64).eps * max(np.abs(first).max(), np.abs(second).max())
    if np.ptp(differences) <= rounding:
        return 1.0 if np.abs(differences).max() <= rounding else 0.0
    turns = len(differences)
    statistic = differences.mean() / (differences.std(ddof=1) / np.sqrt(turns))
    return float(2 * stdtr(turns - 1, -abs(statistic)))


def randomization_test(a: ArrayLike, b: ArrayLike, *, permutations: int = 10_000, seed: int = 0) -> float:
    r"""Two-sided p of Fisher's paired randomization test on the mean difference.

    If the runs are equally good, every difference could as well have had the other sign. p is the share of the sign
    assignments whose mean is at least as far from 0 as the observed one. With k differences other than 0:

    - exact over all :math:`2^k` assignments, if those are no more than ``permutations``;
    - else :math:`(1 + extreme) / (1 + permutations)` over random ones, which is never 0 (arXiv:1603.05766).

    Args:
        a: (N,), one run's values by turn.
        b: (N,), the other run's, for the same turns in the same order.
        permutations: Sign assignments that are drawn.
        seed: Seed of the draws; the same seed gives the same p.

    Returns:
        p in (0, 1].

    Raises:
        ValueError: If the shapes differ, N < 2, a value isn't finite, or ``permutations`` is below 1.
    """
    first, second = _paired(a, b)
    if permutations < 1:
        raise ValueError(f"permutations must be at least 1, got {permutations}; 10000 is usual")
    differences = first - second
    differences = differences[differences != 0]  # a zero has no sign to flip
    turns = len(differences)
    total = differences.sum()
    # Assignments that tie with the observed one must count; their sums are equal up to the rounding of N additions.
    threshold = abs(total) - len(first) * np.finfo(np.float64).eps * np.abs(differences).sum()

    # The sum under flipped signs is total - 2 * (sum of the flipped), so that a draw is one bit per difference.
    if 2**turns <= permutations:
        assignments = np.arange(2**turns)
        flipped = np.zeros(len(assignments))
        for position, difference in enumerate(differences):
            flipped += (assignments >> position & 1) * difference
        return float(np.mean(np.abs(total - 2 * flipped) >= threshold))

    generator = np.random.default_rng(seed)
    extreme = 0
    for rows in _chunks(permutations, turns):
        flips = generator.integers(0, 2, size=(rows, turns), dtype=np.int8).astype(np.float64)
        extreme += int(np.count_nonzero(np.abs(total - 2 * (flips @ differences)) >= threshold))
    return (1 + extreme) / (1 + permutations)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    r"""Holm's adjusted p: step-down control of the chance of any false finding, never above Bonferroni's.

    .. math::
        \tilde{p}_{(i)} = \max_{j \le i} \min(1, (H - j + 1) \, p_{(j)})

    Holm, "A simple sequentially rejective multiple test procedure", 1979.

    Args:
        p_values: (H,), one p for each hypothesis; H may be 0.

    Returns:
        (H,), adjusted p in the same order; reject where it is at most the level.

    Raises:
        ValueError: If a p is outside [0, 1].
    """
    p = _p_values(p_values)
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(1.0, np.arange(len(p), 0, -1) * p[order])
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(stepped)
    return adjusted


def bonferroni(p_values: ArrayLike) -> NDArray[np.float64]:
    r"""Bonferroni's adjusted p, :math:`\min(1, H p)`.

    Args:
        p_values: (H,), one p for each hypothesis; H may be 0.

    Returns:
        (H,), adjusted p in the same order.

    Raises:
        ValueError: If a p is outside [0, 1].
    """
    p = _p_values(p_values)
    return np.minimum(1.0, len(p) * p)


def bootstrap_by_conversation(
    differences: ArrayLike,
    conversation_ids: Sequence[str],
    *,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of the mean over turns, under resampling of whole conversations.

    Each resample draws C conversations with replacement, takes all turns of each, and averages over those turns: a long
    conversation weighs more, as it does in the reported mean.

    Args:
        differences: (N,), one run's value less the other's, by turn.
        conversation_ids: N, the conversation of each turn.
        resamples: Number of resamples.
        seed: Seed of the draws; the same seed gives the same interval.
        level: Share of the resamples that the interval holds, between 0 and 1.

    Returns:
        (low, high), in the unit of the differences.

    Raises:
        ValueError: If the lengths differ, there are fewer than 2 conversations, a difference isn't finite,
            ``resamples`` is below 1, or ``level`` is outside (0, 1).
    """
    values = _finite("differences", differences)
    if len(values) != len(conversation_ids):
        raise ValueError(
            f"got {len(values)} differences and {len(conversation_ids)} conversation_ids: one for each turn"
        )
    return bootstrap_totals_by_conversation(
        np.column_stack([values, np.ones(len(values))]),
        conversation_ids,
        lambda totals: totals[:, 0] / totals[:, 1],
        resamples=resamples,
        seed=seed,
        level=level,
    )


def bootstrap_totals_by_conversation(
    columns: NDArray[np.float64],
    conversation_ids: Sequence[str],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of a function of totals over turns, such as a ratio of two means, under resampling of conversations.

    Args:
        columns: (N, K), values by turn.
        conversation_ids: N, the conversation of each turn.
        statistic: (R, K) totals of R resamples -> (R,) values. Resamples where it is not finite are left out.
        resamples: Number of resamples.
        seed: Seed of the draws; the same seed gives the same interval.
        level: Share of the resamples that the interval holds, between 0 and 1.

    Returns:
        (low, high), in the statistic's unit.

    Raises:
        ValueError: If the lengths differ, there are fewer than 2 conversations, ``resamples`` is below 1, ``level`` is
            outside (0, 1), or the statistic is finite in no resample.
    """
    if columns.ndim != 2 or len(columns) != len(conversation_ids):
        raise ValueError(f"got columns {columns.shape} and {len(conversation_ids)} conversation_ids: one for each turn")
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(f"resamples must be at least 1 and level between 0 and 1, got {resamples} and {level}")
    numbers: dict[str, int] = {}
    conversation_of_turn = [numbers.setdefault(conversation_id, len(numbers)) for conversation_id in conversation_ids]
    conversations = len(numbers)
    if conversations < 2:
        raise ValueError(f"an interval over conversations needs at least 2 of them, got {conversations}")
    sums = np.column_stack([np.bincount(conversation_of_turn, weights=column) for column in columns.T])  # (C, K)

    generator = np.random.default_rng(seed)
    even = np.full(conversations, 1 / conversations)
    drawn = []
    for rows in _chunks(resamples, conversations):
        times_drawn = generator.multinomial(conversations, even, size=rows).astype(np.float64)  # (rows, C)
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn.append(statistic(times_drawn @ sums))
    values = np.concatenate(drawn)
    values = values[np.isfinite(values)]
    if not len(values):
        raise ValueError("the statistic is finite in no resample: does a total that it divides by vanish?")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _chunks(rows: int, columns: int) -> list[int]:
    """Rows to draw at a time, so that a chunk's matrix stays small."""
    size = max(1, _CHUNK_DRAWS // columns)
    return [min(size, rows - start) for start in range(0, rows, size)]


def _finite(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} must have the shape (N,), got {array.shape}")
    if not np.isfinite(array).all():
        position = int((~np.isfinite(array)).argmax())
        raise ValueError(
            f"{name}[{position}] is {array[position]}: drop the turn from both runs, or count it 0 in both"
        )
    return array


def _paired(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = _finite("a", a), _finite("b", b)
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(
            f"a paired test needs the same 2 or more turns of both runs, got {len(first)} and {len(second)}: "
            "align them by query_id"
        )
    return first, second


def _p_values(p_values: ArrayLike) -> NDArray[np.float64]:
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p_values must be (H,) numbers in [0, 1], got {p.tolist()}")
    return p
