"""Passages that are likely positives nobody judged: near the positive by the teacher's score, or by their words.

A false negative among the samples teaches the student to rank a right passage low. K passages of a ranking, P judged
positives, V vocabulary entries.
"""

import numpy as np
import numpy.typing as npt

from retort.sparse.vectors import SparseVectors

__all__ = ["near_by_overlap", "near_by_score", "overlap"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating]


def near_by_score(scores: Floats, positive_scores: Floats, ratio: float) -> Bools:
    r"""Passages that the teacher scores at least ``ratio`` times as high as the turn's best positive.

    Positive-aware mining by a share of the positive's score (NV-Retriever, arXiv:2407.15831, keeps negatives below 95 %
    of it). The best of several positives counts: another may be one that the rewrite does not retrieve at all. Where no
    positive scores above 0, a ratio says nothing, and nothing is near.

    Args:
        scores: (K,), the teacher's.
        positive_scores: (P,), likewise.
        ratio: Above 0.

    Returns:
        (K,).
    """
    best = float(positive_scores.max(initial=0.0))
    if best <= 0:
        return np.zeros(len(scores), dtype=bool)
    return np.asarray(scores, dtype=np.float64) >= ratio * best


def overlap(passages: SparseVectors, positives: SparseVectors) -> npt.NDArray[np.float64]:
    r"""Jaccard coefficient of the active entries, :math:`|A \cap B| / |A \cup B|`, the highest over the positives.

    A lexical vector's entries are the passage's word pieces; a SPLADE vector's are those and its expansions. Two passages
    without any entry share nothing: 0.

    Args:
        passages: (K, V).
        positives: (P, V).

    Returns:
        (K,), in [0, 1].
    """
    highest = np.zeros(len(passages))
    sizes = np.diff(passages.indptr)
    for number in range(len(positives)):
        own, _ = positives.row(number)
        active = np.zeros(passages.vocabulary_size, dtype=np.int64)
        active[own] = 1
        # Running sums, since reduceat has no empty segments.
        sums = np.concatenate([[0], np.cumsum(active[passages.indices])])
        shared = sums[passages.indptr[1:]] - sums[passages.indptr[:-1]]
        union = sizes + len(own) - shared
        highest = np.maximum(highest, shared / np.maximum(union, 1))
    return highest


def near_by_overlap(passages: SparseVectors, positives: SparseVectors, least: float) -> Bools:
    """Passages whose ``overlap`` with a positive is at least ``least``; (K,)."""
    return overlap(passages, positives) >= least
