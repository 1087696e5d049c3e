"""The non-dominated points of several objectives, and the area that they dominate.

A point dominates another if it is at least as good in every objective and better in one. Each objective has its own
direction, so that recall and FLOPS go in as they are.

Shapes: N points, M objectives.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["front_order", "hypervolume", "log_flops_hypervolume", "non_dominated"]


def non_dominated(points: NDArray[np.float64], maximize: Sequence[bool]) -> NDArray[np.bool_]:
    """Which points no other point dominates.

    Of points that are exactly equal, the first alone is kept: a front names each trade-off once. One or two objectives
    cost O(N log N), more cost O(N^2 M).

    Args:
        points: (N, M). Infinities are allowed.
        maximize: M directions, True where greater is better.

    Returns:
        (N,), True on the front.

    Raises:
        ValueError: If the shapes disagree, or a point holds a NaN.
    """
    losses = _losses(points, maximize)
    unique, first = np.unique(losses, axis=0, return_index=True)  # in lexicographic order; first copy of each
    mask = np.zeros(len(losses), dtype=np.bool_)
    if losses.shape[1] <= 2:
        # Earlier rows are no worse in the first objective: a row survives iff it beats all of them in the last.
        best = np.minimum.accumulate(unique[:, -1])
        survives = np.ones(len(unique), dtype=np.bool_)
        survives[1:] = unique[1:, -1] < best[:-1]
        mask[first[survives]] = True
        return mask
    for row, position in zip(unique, first, strict=True):
        # unique holds no second copy of the row, so that "no worse everywhere" is "dominates" but for itself.
        mask[position] = np.count_nonzero((unique <= row).all(axis=1)) == 1
    return mask


def front_order(points: NDArray[np.float64], maximize: Sequence[bool]) -> NDArray[np.int64]:
    """Positions (F,) of the points of :func:`non_dominated`, by ascending first objective whatever its direction."""
    positions = np.flatnonzero(non_dominated(points, maximize))
    return positions[np.argsort(points[positions, 0], kind="stable")].astype(np.int64)


def hypervolume(points: NDArray[np.float64], reference: Sequence[float], maximize: Sequence[bool]) -> float:
    """Area between the reference point and the front of two objectives; greater is better (arXiv:2005.00515).

    Exact, in O(N log N): the dominated region is a staircase, one rectangle for each point of the front. A point that
    is not better than the reference in *both* objectives contributes nothing.

    Args:
        points: (N, 2), N may be 0.
        reference: The worst trade-off that still counts, finite. Areas compare only under the same reference.
        maximize: Two directions, True where greater is better.

    Returns:
        Area, in the product of the objectives' units.

    Raises:
        ValueError: If there are not two objectives, the shapes disagree, a point holds a NaN, or the area is infinite.
    """
    losses = _losses(points, maximize)
    if losses.shape[1] != 2:
        raise ValueError(f"hypervolume is exact for 2 objectives, got {losses.shape[1]}; choose the two to compare")
    corner = _losses(np.asarray([reference], dtype=np.float64), maximize)[0]
    if not np.isfinite(corner).all():
        raise ValueError(f"the reference point must be finite, got {list(reference)}")

    losses = losses[(losses < corner).all(axis=1)]
    if not np.isfinite(losses).all():
        raise ValueError("a point is infinitely good, and so would the area be: clip the objective, or drop the point")
    staircase = losses[front_order(losses, (False, False))]  # the first objective rises, the second falls
    if not len(staircase):
        return 0.0
    widths = corner[0] - staircase[:, 0]
    heights = -np.diff(staircase[:, 1], prepend=corner[1])
    return float(widths @ heights)


def log_flops_hypervolume(
    recall: NDArray[np.float64],
    flops: NDArray[np.float64],
    *,
    recall_reference: float,
    flops_reference: float,
    flops_floor: float = 0.05,
) -> float:
    """Area that runs dominate over recall (greater is better) and log10 FLOPS (less is better).

    On a linear axis the dense end would make up the area; on this one, halving the cost is worth the same everywhere.
    Without a floor a student with FLOPS near 0 would dominate an unbounded area with whatever recall it has.

    Args:
        recall: (N,), R@100 of each run, in [0, 1].
        flops: (N,), FLOPS of each run; below the floor they count as the floor.
        recall_reference: Recall above which a run counts.
        flops_reference: FLOPS below which a run counts.
        flops_floor: FLOPS below which less is no better, positive.

    Returns:
        Area, in recall times decades of FLOPS.

    Raises:
        ValueError: If the shapes differ, a value is NaN or outside its range, or the reference is not above the floor.
    """
    if recall.ndim != 1 or recall.shape != flops.shape:
        raise ValueError(f"recall and flops must share one shape (N,), got {recall.shape} and {flops.shape}")
    if not ((recall >= 0) & (recall <= 1)).all() or not 0 <= recall_reference <= 1:
        raise ValueError(
            f"recall must be a share in [0, 1], got {recall.tolist()} with the reference {recall_reference}: "
            "divide percentages by 100, and drop runs without a measure"
        )
    if not (flops >= 0).all():
        raise ValueError(f"FLOPS must be 0 or more, got {flops.tolist()}: drop runs without a measure")
    if not 0 < flops_floor < flops_reference:
        raise ValueError(
            f"flops_reference must be above flops_floor, and the floor above 0; got {flops_reference} and {flops_floor}"
        )
    points = np.column_stack([recall, np.log10(np.maximum(flops, flops_floor))])
    return hypervolume(points, (recall_reference, float(np.log10(flops_reference))), (True, False))


def _losses(points: NDArray[np.float64], maximize: Sequence[bool]) -> NDArray[np.float64]:
    """The points with every objective turned so that less is better: (N, M)."""
    if points.ndim != 2 or points.shape[1] != len(maximize) or points.shape[1] == 0:
        raise ValueError(
            f"points must have the shape (N, M) with one direction for each of M objectives; "
            f"got {points.shape} and {len(maximize)} directions"
        )
    broken = np.isnan(points).any(axis=1)
    if broken.any():
        row = int(broken.argmax())
        raise ValueError(
            f"point {row} is {points[row].tolist()}: NaN can't be compared; drop runs that failed or lack a measure"
        )
    # Adding 0 turns a negated 0 from -0.0 into 0.0: equal points must also sort as equal.
    return np.where(np.asarray(maximize, dtype=np.bool_), -points, points) + 0.0
