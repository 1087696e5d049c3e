"""Fuse several teachers' rankings of a turn into one. Pure functions of rankings; ``teacher.fusion`` chooses among them.

K passages of one teacher's ranking, U different passages of all, P judged positives, T teachers that ranked the turn. A
teacher scores every positive, also those outside its top K; a passage outside it has no score of its.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = [
    "RRF_K",
    "dense_scores",
    "fuse",
    "mean_over_present",
    "normalized_mean",
    "reciprocal_rank",
    "weighted_mean",
]

RRF_K = 60  # Cormack et al., SIGIR 2009

Rows = npt.NDArray[np.integer]
Scores = npt.NDArray[np.floating]
Ranking = tuple[Rows, Scores]
Fused = tuple[Rows, Scores, Scores]


def _checked(rankings: Sequence[Ranking]) -> None:
    if not rankings:
        raise ValueError("no ranking to fuse; at least one teacher must have ranked the turn")
    for rows, scores in rankings:
        if rows.ndim != 1 or rows.shape != scores.shape:
            raise ValueError(f"rows and scores must share one shape (K,); got {rows.shape} and {scores.shape}")


def _rounded(scores: Scores, dtype: npt.DTypeLike) -> Scores:
    """Scores in the result's own precision; beyond its range is its greatest or least number, which still has a softmax."""
    limits = np.finfo(np.dtype(dtype).type)
    return np.clip(scores, limits.min, limits.max).astype(dtype)


def _sorted(rows: Rows, scores: Scores, dtype: npt.DTypeLike) -> Ranking:
    # Rounded before they are sorted, so that ties in the result's own precision are ordered by row.
    rounded = _rounded(scores, dtype)
    order = np.lexsort((rows, -rounded))
    return rows[order], rounded[order]


def mean_over_present(rankings: Sequence[Ranking]) -> Ranking:
    r"""Fuse rankings of the same turn.

    .. math::
        s(d) = \frac{1}{|\{T : d \in R_T\}|} \sum_{T : d \in R_T} s_T(d)

    A teacher that does not have a passage in its top K says nothing about it, rather than 0: scores of BM25 and SPLADE
    have no natural zero there. One ranking passes through unchanged.

    Args:
        rankings: For each teacher, (K,) passage rows, each at most once, and (K,) scores.

    Returns:
        (U,) rows and (U,) mean scores, best first, ties by row.

    Raises:
        ValueError: If there is no ranking, or rows and scores of one differ in length.
    """
    _checked(rankings)
    if len(rankings) == 1:
        return rankings[0]
    rows, places = np.unique(np.concatenate([rows for rows, _ in rankings]), return_inverse=True)
    scores = np.concatenate([scores for _, scores in rankings])
    # bincount adds in float64: the order of the teachers does not show in float32.
    means = np.bincount(places, weights=scores, minlength=len(rows)) / np.bincount(places, minlength=len(rows))
    return _sorted(rows, means, scores.dtype)


def _moments(scores: Scores) -> tuple[float, float]:
    """Mean and standard deviation; a ranking without spread (one passage, equal scores) has 1, so that z is 0."""
    if not len(scores):
        return 0.0, 1.0
    values = scores.astype(np.float64)
    return float(values.mean()), float(values.std()) or 1.0


def normalized_mean(rankings: Sequence[Ranking], positive_scores: Sequence[Scores]) -> Fused:
    r"""The mean of standardised scores over the teachers that have the passage, in the teachers' own mean unit.

    .. math::
        s(d) = \bar\mu + \bar\sigma \cdot \mathrm{mean}_{T : d \in R_T} \frac{s_T(d) - \mu_T}{\sigma_T}

    with mean and deviation of each teacher over its ranking of this turn (zero mean and unit variance: Montague & Aslam,
    CIKM 2001). A teacher whose rewrites are long has large scores, which would outvote the others in a plain mean.
    :math:`\bar\mu, \bar\sigma` are the means over the teachers: without them the softmax would see z-scores, for which
    ``encoder.score_scale`` was not made.

    Args:
        rankings: As in ``mean_over_present``.
        positive_scores: For each teacher, (P,) scores of the positives.

    Returns:
        (U,) rows and (U,) scores, best first, ties by row; (P,) scores of the positives, which every teacher has.
    """
    _checked(rankings)
    moments = [_moments(scores) for _, scores in rankings]
    mean, spread = np.mean(moments, axis=0)
    standard = [
        (rows, (scores.astype(np.float64) - m) / s) for (rows, scores), (m, s) in zip(rankings, moments, strict=True)
    ]
    rows, fused = mean_over_present(standard)
    own = [(scores.astype(np.float64) - m) / s for scores, (m, s) in zip(positive_scores, moments, strict=True)]
    dtype = rankings[0][1].dtype
    in_unit: Scores = mean + spread * fused
    return (*_sorted(rows, in_unit, dtype), _rounded(mean + spread * np.mean(own, axis=0), dtype))


def reciprocal_rank(rankings: Sequence[Ranking], k: int = RRF_K) -> Ranking:
    r"""Reciprocal-rank fusion (Cormack, Clarke & Büttcher, SIGIR 2009).

    .. math::
        s(d) = \sum_{T : d \in R_T} \frac{1}{k + r_T(d)}

    with ranks from 1.

    Args:
        rankings: As in ``mean_over_present``; only their order counts.
        k: Dampens the first ranks.

    Returns:
        (U,) rows and (U,) float64 scores, best first, ties by row.
    """
    _checked(rankings)
    rows, places = np.unique(np.concatenate([rows for rows, _ in rankings]), return_inverse=True)
    shares = np.concatenate([1.0 / (k + np.arange(1, len(rows) + 1)) for rows, _ in rankings])
    sums = np.bincount(places, weights=shares, minlength=len(rows)).astype(np.float64)
    return _sorted(rows, sums, np.float64)


def _rank_fused(rankings: Sequence[Ranking], positives: Rows, positive_scores: Sequence[Scores]) -> Fused:
    r"""The order of reciprocal-rank fusion, with the scores that the teachers have at those ranks on average.

    The values of the fusion itself (0.016 and less) make no distribution that could be distilled: its order does, along
    the teachers' mean profile :math:`s(r) = \mathrm{mean}_T s_T(r)`. A ranking that ends earlier goes on with its last
    score. A positive that no teacher has in its top K gets the mean of its scores, but no more than the last of the
    profile.
    """
    rows, _ = reciprocal_rank(rankings)
    profile = np.zeros(len(rows))
    present = [scores.astype(np.float64) for _, scores in rankings if len(scores)]
    for scores in present:
        profile += np.concatenate([scores, np.full(len(rows) - len(scores), scores[-1])]) / len(present)
    own = np.mean([scores.astype(np.float64) for scores in positive_scores], axis=0)
    if len(rows):
        order = np.argsort(rows, kind="stable")
        places = np.minimum(np.searchsorted(rows[order], positives), len(rows) - 1)
        found = rows[order][places] == positives
        own = np.where(found, profile[order[places]], np.minimum(own, profile[-1]))
    dtype = rankings[0][1].dtype
    return rows, profile.astype(dtype), own.astype(dtype)


def dense_scores(
    rankings: Sequence[Ranking], positives: Rows, positive_scores: Sequence[Scores]
) -> tuple[Rows, npt.NDArray[np.float64]]:
    """Every teacher's score of every passage that one of them ranked, and of every positive.

    Where a teacher has none, its lowest score stands: the passage lies below its top K, so that this is an upper bound.

    Args:
        rankings: As in ``mean_over_present``.
        positives: (P,) rows.
        positive_scores: For each teacher, (P,) scores of the positives.

    Returns:
        (U,) rows, ascending, and (T, U) float64 scores.
    """
    _checked(rankings)
    rows = np.unique(np.concatenate([positives, *(rows for rows, _ in rankings)]))
    scores = np.empty((len(rankings), len(rows)))
    for number, ((ranked, own), of_positives) in enumerate(zip(rankings, positive_scores, strict=True)):
        scores[number] = own.min() if len(own) else 0.0
        scores[number, np.searchsorted(rows, positives)] = of_positives
        scores[number, np.searchsorted(rows, ranked)] = own
    return rows, scores


def weighted_mean(
    rankings: Sequence[Ranking], positives: Rows, positive_scores: Sequence[Scores], weights: Sequence[float]
) -> Fused:
    r"""The weighted mean of the teachers' scores, :math:`s(d) = \sum_T w_T s_T(d) / \sum_T w_T`.

    The sums run over the teachers that ranked the turn; one that does not have a passage counts with its lowest score,
    see ``dense_scores``. Teachers that all weigh nothing count alike.

    Args:
        rankings: As in ``mean_over_present``.
        positives: (P,) rows.
        positive_scores: For each teacher, (P,) scores of the positives.
        weights: One for each teacher, not negative.

    Returns:
        (U,) rows and (U,) scores of what one of them ranked, best first, ties by row; (P,) scores of the positives.
    """
    rows, scores = dense_scores(rankings, positives, positive_scores)
    shares = np.asarray(weights, dtype=np.float64)
    shares = shares / shares.sum() if shares.sum() > 0 else np.full(len(rankings), 1.0 / len(rankings))
    fused = shares @ scores
    ranked = np.isin(rows, np.concatenate([rows for rows, _ in rankings]))
    dtype = rankings[0][1].dtype
    return (*_sorted(rows[ranked], fused[ranked], dtype), fused[np.searchsorted(rows, positives)].astype(dtype))


def fuse(
    fusion: str,
    rankings: Sequence[Ranking],
    positives: Rows,
    positive_scores: Sequence[Scores],
    *,
    weights: Sequence[float] | None = None,
) -> Fused:
    """Fuse a turn's rankings as ``teacher.fusion`` says.

    Args:
        fusion: ``mean``, ``normalized_mean``, ``rrf`` or ``learned``.
        rankings: Rankings of the teachers that ranked the turn.
        positives: (P,) rows.
        positive_scores: For each teacher, (P,) scores of the positives.
        weights: Weights of these teachers, for ``learned``.

    Returns:
        (U,) rows and scores, best first, and (P,) scores of the positives.

    Raises:
        ValueError: If the fusion is none of these, or ``learned`` has no weights.
    """
    if fusion not in ("mean", "normalized_mean", "rrf", "learned"):
        raise ValueError(f"fusion must be mean, normalized_mean, rrf or learned, got {fusion!r}")
    if len(rankings) == 1:
        return (*rankings[0], positive_scores[0])
    if fusion == "mean":
        return (*mean_over_present(rankings), np.mean(positive_scores, axis=0))
    if fusion == "normalized_mean":
        return normalized_mean(rankings, positive_scores)
    if fusion == "rrf":
        return _rank_fused(rankings, positives, positive_scores)
    if weights is None:
        raise ValueError("learned fusion needs weights; was the training shard prepared for it?")
    return weighted_mean(rankings, positives, positive_scores, weights)
