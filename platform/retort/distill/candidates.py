"""The candidates of each turn of a batch: its positive, the passages that are sampled beside it, and what each stands for.

Every draw depends on seed, epoch and query_id alone, and passages come from the memory-mapped cache: a worker knows the
*whole* batch's candidates without asking the others.
"""

import math
from dataclasses import dataclass

import numpy as np

from retort.config import ExperimentConfig
from retort.distill.mining import NO_PASSAGE
from retort.shards.reader import TrainingTurns
from retort.sparse.objective.sampling import (
    eligible_ranks,
    hardest_samples,
    proportional_samples,
    stratified_samples,
    turn_generator,
    window_samples,
)
from retort.sparse.vectors import Float32, Int32, Int64, PartedVectors

__all__ = ["Drawn", "draw_candidates"]

Samples = tuple[Int64, Float32, Float32, Int64 | None]  # what Drawn has, without the positive


@dataclass(frozen=True)
class Drawn:
    """One turn's candidates, the positive first.

    Attributes:
        rows: (K,) passage rows; a sample that was drawn twice stands there twice.
        scores: (K,) the teacher's, unscaled.
        log_weights: (K,), log of how many passages each stands for.
        window_rows: Rows of the whole window, where the student's normalizer is taken over it.
    """

    rows: Int64
    scores: Float32
    log_weights: Float32
    window_rows: Int64 | None = None


def draw_candidates(
    turns: TrainingTurns,
    vectors: PartedVectors,
    numbers: np.ndarray,
    *,
    config: ExperimentConfig,
    epoch: int,
    student_rankings: Int32 | None = None,
) -> list[Drawn]:
    """Candidates of every turn of a batch.

    Args:
        turns: The training shard.
        vectors: The passages' vectors, for the teacher's score of a passage outside its ranking.
        numbers: (B,) turns of the whole batch.
        config: The experiment.
        epoch: Zero-based.
        student_rankings: (turns, depth), where the strategy is ``student``.
    """
    generators = [turn_generator(config.training.seed, epoch, turns.query_ids[int(turn)]) for turn in numbers]
    # A judged positive, drawn at random; the draw comes first, so that the strategies share their positives.
    positives = [
        int(generator.integers(len(turns.positive_rows(int(turn)))))
        for generator, turn in zip(generators, numbers, strict=True)
    ]
    batch_positives = np.array(
        [turns.positive_rows(int(turn))[position] for turn, position in zip(numbers, positives, strict=True)],
        dtype=np.int64,
    )
    drawn = []
    samples: Samples
    for number, turn in enumerate(numbers.tolist()):
        if config.sampling.strategy == "in_batch":
            others = np.unique(batch_positives)
            others = others[~np.isin(others, turns.excluded_rows(turn))]
            rows = window_samples(others, count=config.sampling.count, generator=generators[number])
            samples = rows, turns.teacher_scores(turn, rows, vectors), np.zeros(len(rows), np.float32), None
        elif config.sampling.strategy == "student":
            assert student_rankings is not None, "the worker retrieves them before the first step"
            own = student_rankings[turn]
            own = own[own != NO_PASSAGE].astype(np.int64)
            eligible = eligible_ranks(own, turns.excluded_rows(turn), config.sampling.window)
            rows = own[window_samples(eligible, count=config.sampling.count, generator=generators[number])]
            samples = rows, turns.teacher_scores(turn, rows, vectors), np.zeros(len(rows), np.float32), None
        else:
            samples = _from_ranking(turns, turn, config, epoch, generators[number])
        _, _, positive_scores = _ranking(turns, turn, config, epoch)
        drawn.append(_with_positive(batch_positives[number], positive_scores[positives[number]], samples, config))
    return drawn


def _ranking(turns: TrainingTurns, turn: int, config: ExperimentConfig, epoch: int) -> tuple[Int64, Float32, Float32]:
    return turns.ranking(turn, config.teacher.fusion, seed=config.training.seed, epoch=epoch)


def _from_ranking(
    turns: TrainingTurns, turn: int, config: ExperimentConfig, epoch: int, generator: np.random.Generator
) -> Samples:
    sampling = config.sampling
    rows, scores, _ = _ranking(turns, turn, config, epoch)
    eligible = eligible_ranks(rows, turns.excluded_rows(turn), sampling.window)
    if sampling.strategy == "proportional":
        ranks, log_weights = proportional_samples(
            eligible,
            scores * config.encoder.score_scale,
            count=sampling.count,
            temperature=sampling.temperature,
            generator=generator,
        )
        return rows[ranks], scores[ranks], log_weights, rows[eligible] if sampling.normalizer == "full" else None
    if sampling.strategy == "hardest":
        ranks = hardest_samples(eligible, count=sampling.count)
    elif sampling.strategy == "window":
        ranks = window_samples(eligible, count=sampling.count, generator=generator)
    else:
        spacing = "equal" if sampling.strategy == "stratified" else "geometric"
        ranks = stratified_samples(
            eligible,
            count=sampling.count,
            generator=generator,
            spacing=spacing,  # type: ignore[arg-type]
        )
    return rows[ranks], scores[ranks], np.zeros(len(ranks), np.float32), None


def _with_positive(row: int, score: float, samples: Samples, config: ExperimentConfig) -> Drawn:
    rows, scores, log_weights, window_rows = samples
    if config.objective.positive_score == "pool_max" and len(scores):
        score = max(score, scores.max())
    weight = config.objective.positive_weight
    counted = math.log(max(1, len(rows)) if weight == "balanced" else weight)
    return Drawn(
        np.concatenate([[row], rows]).astype(np.int64),
        np.concatenate([[score], scores]).astype(np.float32),
        np.concatenate([[counted], log_weights]).astype(np.float32),
        window_rows,
    )
