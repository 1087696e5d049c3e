"""One distillation step in plain torch: from turn numbers to a loss. No Ray, no optimiser, no state.

Every turn's positive and samples depend on seed, epoch and query_id alone, and passages come from the memory-mapped cache.
A worker therefore knows the *whole* batch's pool of passages without asking the others: it encodes its own turns only, and
scores them against the pool of all. One worker and four give the same losses (tested).

Shapes: B turns of the whole batch, b of them in this part, K candidates of a turn (positive first), U passages in the
pool, V vocabulary entries.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from retort.config import ExperimentConfig
from retort.shards.reader import TrainingTurns
from retort.sparse.encoder import QueryEncoder
from retort.sparse.losses import candidate_kl, info_nce
from retort.sparse.packing import pack
from retort.sparse.regularizers import active_share, expected_flops, flops, l1, mean_activation
from retort.sparse.sampling import turn_generator, window_samples
from retort.sparse.schedules import ramp
from retort.sparse.scores import PassagePool, pool_scores
from retort.sparse.vectors import PartedVectors

__all__ = ["CURVES", "Batch", "batch_loss", "build_batch", "epoch_batches"]

CURVES = ("loss", "kld", "contrastive", "regularization", "L0", "FLOPS")
LENGTH_POOL = 16  # batches among which turns of like length are brought together


@dataclass(frozen=True)
class Batch:
    """One part of a batch, on the device.

    Attributes:
        input_ids: (t,) of this part's turns, one after the other; ``lengths`` has the tokens of each.
        pool: The U distinct passages of the whole batch.
        candidates: (b, K) places in the pool, the positive first; ``present`` says which exist.
        teacher_scores: (b, K), scaled.
        negatives: (b, U) bool, for the contrastive loss.
        turns: B.
    """

    input_ids: Tensor
    lengths: tuple[int, ...]
    pool: PassagePool
    candidates: Tensor
    present: Tensor
    teacher_scores: Tensor
    negatives: Tensor
    turns: int


def epoch_batches(lengths: Sequence[int] | np.ndarray, *, batch_turns: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Turn numbers of each batch of an epoch: shuffled, then bucketed by length.

    A body that needs padding then needs little.

    The turns that do not fill a last batch sit this epoch out; others do in the next one. Fewer turns than a batch make
    one batch.
    """
    turns = len(lengths)
    generator = turn_generator(seed, epoch, "order of the turns")
    order = generator.permutation(turns)
    size = min(batch_turns, turns)
    order = order[: turns // size * size]
    batches: list[np.ndarray] = []
    for low in range(0, len(order), size * LENGTH_POOL):
        pool = order[low : low + size * LENGTH_POOL]
        pool = pool[np.argsort(np.asarray(lengths)[pool], kind="stable")]
        batches += np.split(pool, len(pool) // size)
    return [batches[number] for number in generator.permutation(len(batches))]


def _candidates(turns: TrainingTurns, turn: int, config: ExperimentConfig, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and unscaled teacher scores of one turn's candidates, a judged positive drawn at random first."""
    generator = turn_generator(config.training.seed, epoch, turns.query_ids[turn])
    rows, scores, positive_scores = turns.ranking(turn, config.teacher.fusion, seed=config.training.seed, epoch=epoch)
    drawn = int(generator.integers(len(positive_scores)))
    ranks = window_samples(
        rows,
        turns.excluded_rows(turn),
        count=config.sampling.count,
        window=config.sampling.window,
        generator=generator,
    )
    positive_score = positive_scores[drawn]
    if config.objective.positive_score == "pool_max" and len(ranks):
        positive_score = max(positive_score, scores[ranks].max())
    candidate_rows = np.concatenate([turns.positive_rows(turn)[drawn : drawn + 1], rows[ranks]])
    return candidate_rows.astype(np.int64), np.concatenate([[positive_score], scores[ranks]]).astype(np.float32)


def build_batch(
    turns: TrainingTurns,
    vectors: PartedVectors,
    numbers: np.ndarray,
    own: slice,
    *,
    config: ExperimentConfig,
    epoch: int,
    device: torch.device,
) -> Batch:
    """Read one part of a batch.

    Args:
        turns: The training shard.
        vectors: The passages' vectors.
        numbers: (B,) turns of the whole batch.
        own: Which of them this part encodes.
        config: The experiment.
        epoch: Zero-based.
        device: Where the tensors go.
    """
    drawn = [_candidates(turns, int(turn), config, epoch) for turn in numbers]
    pool_rows = np.unique(np.concatenate([rows for rows, _ in drawn]))
    mine = list(range(len(numbers)))[own]
    width = 1 + config.sampling.count
    candidates = np.zeros((len(mine), width), dtype=np.int64)
    present = np.zeros((len(mine), width), dtype=bool)
    teacher_scores = np.zeros((len(mine), width), dtype=np.float32)
    negatives = np.ones((len(mine), len(pool_rows)), dtype=bool)
    for place, number in enumerate(mine):
        rows, scores = drawn[number]
        candidates[place, : len(rows)] = np.searchsorted(pool_rows, rows)
        present[place, : len(rows)] = True
        teacher_scores[place, : len(rows)] = scores * config.encoder.score_scale
        negatives[place] = ~np.isin(pool_rows, turns.excluded_rows(int(numbers[number])))
    input_ids, lengths = pack([turns.input_ids(int(numbers[number])) for number in mine])
    return Batch(
        input_ids.to(device),
        lengths,
        PassagePool.of(vectors.take(pool_rows), device),
        torch.from_numpy(candidates).to(device),
        torch.from_numpy(present).to(device),
        torch.from_numpy(teacher_scores).to(device),
        torch.from_numpy(negatives).to(device),
        len(numbers),
    )


def batch_loss(
    student: Callable[[Tensor, tuple[int, ...]], Tensor] | QueryEncoder,
    batch: Batch,
    config: ExperimentConfig,
    *,
    step: int,
    total_steps: int,
    passage_share: Tensor,
    sum_over_parts: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    r"""This part's share of :math:`(1 - w) \cdot KLD + w \cdot contrastive + \lambda(step) \cdot regularisation`.

    Args:
        student: Packed input ids and lengths -> (b, V).
        batch: The part.
        config: The experiment.
        step: Zero-based.
        total_steps: Of the whole training.
        passage_share: (V,), p_d.
        sum_over_parts: Adds a tensor up over all parts of the batch; the identity for a whole batch.

    Returns:
        The part's loss, whose sum over parts is the batch's loss, and its share of ``CURVES``, detached, likewise. The
        FLOPS penalty is no sum of parts' values: each part's loss carries its share of the gradient and, of the value,
        its share by turns.
    """
    queries = student(batch.input_ids, batch.lengths).float()  # (b, V)
    scores = pool_scores(queries, batch.pool) * config.encoder.score_scale  # (b, U)
    divergence = candidate_kl(
        scores.gather(1, batch.candidates),
        batch.teacher_scores,
        present=batch.present,
        temperature=config.objective.temperature,
        temperature_squared=config.objective.temperature_squared,
    )
    contrastive = info_nce(
        scores,
        batch.candidates[:, 0],
        negatives=batch.negatives,
        temperature=config.objective.contrastive_temperature,
    )
    kld, nce = divergence.sum() / batch.turns, contrastive.sum() / batch.turns
    weight = config.objective.contrastive_weight
    penalty = _penalty(queries, batch.turns, config, passage_share, sum_over_parts)
    strength = config.regularization.query_weight * ramp(
        step,
        total_steps=total_steps,
        fraction=config.regularization.ramp_fraction,
        kind=config.regularization.ramp,
    )
    loss = (1.0 - weight) * kld + weight * nce + strength * penalty
    share = active_share(queries, batch.turns)
    values = [loss, kld, nce, strength * penalty, share.sum(), (share * passage_share).sum()]
    return loss, torch.stack([value.detach().float() for value in values])


def _penalty(
    queries: Tensor,
    batch_turns: int,
    config: ExperimentConfig,
    passage_share: Tensor,
    sum_over_parts: Callable[[Tensor], Tensor],
) -> Tensor:
    kind = config.regularization.query
    if kind == "l1":
        return l1(queries).sum() / batch_turns
    if kind == "expected_flops":
        return expected_flops(queries, passage_share).sum() / batch_turns
    if kind == "flops":
        whole = flops(queries, sum_over_parts(mean_activation(queries, batch_turns)), batch_turns)
        # Every part sees the whole batch's value; its share by turns makes the parts' values add up too.
        return whole - whole.detach() * (1.0 - len(queries) / batch_turns)
    return queries.new_zeros(())
