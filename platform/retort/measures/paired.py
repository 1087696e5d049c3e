"""Values of two systems on the same turns: the mean difference, whether it is more than chance, and how two columns rank alike.

Both paired tests take turns as independent, which those of one conversation are not; the interval resamples whole
conversations. p is corrected over the pairs that are given together: the systems compared with one baseline on one measure.

Shapes: N turns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retort.measures.significance import bonferroni, bootstrap_by_conversation, holm, paired_t_test, randomization_test

__all__ = ["SIGNIFICANT", "Corrected", "Paired", "compare_pairs", "interval_by_conversation", "rank_correlation"]

SIGNIFICANT: Final = 0.05
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Corrected:
    """One test's two-sided p: as it is, and after Holm's and Bonferroni's correction over all pairs."""

    p: float
    holm: float
    bonferroni: float


@dataclass(frozen=True, slots=True)
class Paired:
    """One system less the other.

    Attributes:
        difference: Mean over the turns.
        interval: 95 % interval of the difference, by conversation; None with a single conversation.
        t_test: Of the paired t test.
        randomization: Of the paired randomization test.
    """

    difference: float
    interval: tuple[float, float] | None
    t_test: Corrected
    randomization: Corrected


def compare_pairs(
    pairs: Sequence[tuple[Values, Values]], conversation_ids: Sequence[str], *, seed: int = 0
) -> list[Paired]:
    """Compare each pair of (N,) values by turn, and correct p over all of them.

    Args:
        pairs: A system's values and those that it is compared with, of the same turns in the same order.
        conversation_ids: N, the conversation of each turn.
        seed: Of the randomization test and of the bootstrap.

    Raises:
        ValueError: If the shapes of a pair differ, N < 2, or a value is not finite.
    """
    t_test = _corrected([paired_t_test(own, base) for own, base in pairs])
    randomization = _corrected([randomization_test(own, base, seed=seed) for own, base in pairs])
    return [
        Paired(
            difference=float((own - base).mean()),
            interval=interval_by_conversation(own - base, conversation_ids, seed=seed),
            t_test=t_test[number],
            randomization=randomization[number],
        )
        for number, (own, base) in enumerate(pairs)
    ]


def _corrected(p_values: Sequence[float]) -> list[Corrected]:
    columns = (p_values, holm(p_values).tolist(), bonferroni(p_values).tolist())
    return [Corrected(*of_one) for of_one in zip(*columns, strict=True)]


def interval_by_conversation(
    differences: Values, conversation_ids: Sequence[str], *, seed: int = 0
) -> tuple[float, float] | None:
    """95 % interval of the mean of (N,) differences, by conversation; None with a single conversation."""
    if len(set(conversation_ids)) < 2:
        return None
    return bootstrap_by_conversation(differences, conversation_ids, seed=seed)


def rank_correlation(first: ArrayLike, second: ArrayLike) -> float | None:
    r"""Spearman's :math:`\rho`: Pearson's correlation of the ranks, equal values sharing the mean of theirs.

    Args:
        first: (N,), one figure of each system.
        second: (N,), the other, in the same order.

    Returns:
        A number in [-1, 1]; None for fewer than three systems, or where one figure is the same for all.
    """
    a, b = _ranks(first), _ranks(second)
    if len(a) < 3 or not np.ptp(a) or not np.ptp(b):
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _ranks(values: ArrayLike) -> Values:
    # By hand: importing scipy.stats takes 1.5 s.
    _, positions, counts = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True, return_counts=True)
    ranks: Values = (np.cumsum(counts) - (counts - 1) / 2)[positions]
    return ranks
