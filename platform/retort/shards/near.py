"""Which passages of a turn's rankings are likely positives that nobody judged, and how many were found.

What counts as near stands in ``retort.sparse.objective.filtering``; here it is applied to one row of a training shard.
"""

from collections import Counter
from typing import Any

import numpy as np

from retort.config import ExperimentConfig, SamplingConfig
from retort.sparse.objective.filtering import near_by_overlap, near_by_score
from retort.sparse.vectors import PartedVectors
from retort.teachers.fusion import mean_over_present

__all__ = ["filters_of", "near_positives"]


def filters_of(experiment: ExperimentConfig) -> dict[str, float]:
    """The filters that are set, by name; part of a training shard's identity where there are any."""
    settings = experiment.sampling
    named = {"score_ratio": settings.filter_score_ratio, "overlap": settings.filter_overlap}
    return {name: value for name, value in named.items() if value is not None}


def near_positives(
    row: dict[str, Any],
    teachers: list[str],
    settings: SamplingConfig,
    vectors: PartedVectors,
    counted: Counter[str],
) -> list[int]:
    """Rows that are to be excluded beside those that a turn excludes anyway.

    Args:
        row: A row of the training shard.
        teachers: Those that ranked the turn.
        settings: The thresholds.
        vectors: The passages'.
        counted: Gets ``filtered`` in all, by each filter, and ``turns_with_filtered``.
    """
    pairs = [(np.array(row[f"{t}/passage_rows"]), np.array(row[f"{t}/scores"])) for t in teachers]
    # Of several teachers their mean, whatever the fusion: it is the one in which all scores have a common unit.
    rows, scores = mean_over_present(pairs)
    fresh = ~np.isin(rows, row["excluded_rows"])
    near = np.zeros(len(rows), dtype=bool)
    if settings.filter_score_ratio is not None:
        positive_scores = np.mean([row[f"{t}/positive_scores"] for t in teachers], axis=0)
        by_score = fresh & near_by_score(scores, positive_scores, settings.filter_score_ratio)
        counted["filtered_by_score_ratio"] += int(by_score.sum())
        near |= by_score
    if settings.filter_overlap is not None:
        passages, positives = vectors.take(rows.tolist()), vectors.take(row["positive_rows"])
        by_overlap = fresh & near_by_overlap(passages, positives, settings.filter_overlap)
        counted["filtered_by_overlap"] += int(by_overlap.sum())
        near |= by_overlap
    counted["filtered"] += int(near.sum())
    counted["turns_with_filtered"] += bool(near.any())
    return [int(passage_row) for passage_row in rows[near]]
