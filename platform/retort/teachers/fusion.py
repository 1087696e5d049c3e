"""Several teachers -> one ranking: the mean score over those teachers that have the passage at all.

K passages of one ranking, U different passages of all.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["mean_over_present"]

Rows = npt.NDArray[np.integer]
Scores = npt.NDArray[np.floating]


def mean_over_present(rankings: Sequence[tuple[Rows, Scores]]) -> tuple[Rows, Scores]:
    r"""Fuse rankings of the same turn.

    .. math::
        s(d) = \frac{1}{|\{T : d \in R_T\}|} \sum_{T : d \in R_T} s_T(d)

    A teacher that does not have a passage in its top K says nothing about it, rather than 0: scores of BM25 and SPLADE
    have no natural zero there. One ranking passes through unchanged.

    Args:
        rankings: Per teacher (K,) passage rows, each at most once, and (K,) scores.

    Returns:
        (U,) rows and (U,) mean scores, best first, ties by row.

    Raises:
        ValueError: If there is no ranking, or rows and scores of one differ in length.
    """
    if not rankings:
        raise ValueError("no ranking to fuse; at least one teacher must have ranked the turn")
    for rows, scores in rankings:
        if rows.ndim != 1 or rows.shape != scores.shape:
            raise ValueError(f"rows and scores must share one shape (K,); got {rows.shape} and {scores.shape}")
    if len(rankings) == 1:
        return rankings[0]
    rows, places = np.unique(np.concatenate([rows for rows, _ in rankings]), return_inverse=True)
    scores = np.concatenate([scores for _, scores in rankings])
    # bincount adds in float64: the order of the teachers does not show in float32.
    means = np.bincount(places, weights=scores, minlength=len(rows)) / np.bincount(places, minlength=len(rows))
    # Rounded before they are sorted, so that ties in the result's own precision are ordered by row.
    fused = means.astype(scores.dtype)
    order = np.lexsort((rows, -fused))
    return rows[order], fused[order]
