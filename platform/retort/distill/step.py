"""One distillation step in plain torch: from turn numbers to a loss. No Ray, no optimiser, no state.

Every turn's positive and samples depend on seed, epoch and query_id alone, and passages come from the memory-mapped cache, or
are encoded with the others of the pool where their encoder is trained.
A worker therefore knows the *whole* batch's pool of passages without asking the others: it encodes its own turns only, and
scores them against the pool of all. One worker and four give the same losses (tested).

Shapes: B turns of the whole batch, b of them in this part, K candidates of a turn (positive first), U passages in the
pool, V vocabulary entries.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from retort.config import ExperimentConfig
from retort.distill.adaptation import TERMS, Weights
from retort.distill.candidates import Drawn, draw_candidates
from retort.distill.towers import PassageTexts
from retort.shards.reader import TrainingTurns
from retort.shards.texts import PassageTokens
from retort.sparse.encoders.packing import pack
from retort.sparse.objective.losses import candidate_kl, info_nce, margin_mse, representation_mse
from retort.sparse.objective.regularizers import (
    active_share,
    anti_zero,
    expected_flops,
    flops,
    l1,
    mean_activation,
    saturated,
    turn_factors,
)
from retort.sparse.scores import PassagePool, pool_scores
from retort.sparse.vectors import Int32, Int64, PartedVectors

__all__ = ["CURVES", "Batch", "batch_loss", "build_batch", "passage_penalty", "penalized"]

CURVES: Final = ("loss", "kld", "contrastive", "regularization", "L0", "FLOPS")
Encode = Callable[["Batch"], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True)
class Batch:
    """One part of a batch, on the device.

    Attributes:
        input_ids: (t,) of this part's turns, one after the other; ``lengths`` has the tokens of each.
        pool: The U distinct passages of the whole batch: their vectors, or their texts where they are trained.
        candidates: (b, K) positions in the pool, the positive first; ``present`` says which exist.
        teacher_scores: (b, K), scaled.
        log_weights: (b, K), how many passages each candidate stands for, or None where each stands for itself.
        negatives: (b, U) bool, for the contrastive loss.
        window: (b, U) bool, the passages of the student's normalizer, or None where those are the candidates.
        rewrites: (b, V), the teachers' mean rewrite vector, or None where nothing asks for it.
        turn_numbers: (b,), 1 for the first turn of a conversation.
        turns: B.
    """

    input_ids: Tensor
    lengths: tuple[int, ...]
    pool: PassagePool | PassageTexts
    candidates: Tensor
    present: Tensor
    teacher_scores: Tensor
    log_weights: Tensor | None
    negatives: Tensor
    window: Tensor | None
    rewrites: Tensor | None
    turn_numbers: Tensor
    turns: int


def build_batch(
    turns: TrainingTurns,
    vectors: PartedVectors,
    numbers: np.ndarray,
    own: slice,
    *,
    config: ExperimentConfig,
    epoch: int,
    device: torch.device,
    student_rankings: Int32 | None = None,
    tokens: PassageTokens | None = None,
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
        student_rankings: (turns, depth), where samples come from the student's own rankings.
        tokens: The passages' input ids, where their encoder is trained; their vectors then give teacher scores alone.
    """
    drawn = draw_candidates(turns, vectors, numbers, config=config, epoch=epoch, student_rankings=student_rankings)
    drawn_rows = np.unique(np.concatenate([own_drawn.rows for own_drawn in drawn]))
    windows = [own_drawn.window_rows for own_drawn in drawn if own_drawn.window_rows is not None]
    pool_rows = np.unique(np.concatenate([drawn_rows, *windows])) if windows else drawn_rows
    mine = list(range(len(numbers)))[own]
    width = max(len(drawn[number].rows) for number in range(len(numbers)))
    candidates = np.zeros((len(mine), width), dtype=np.int64)
    present = np.zeros((len(mine), width), dtype=bool)
    teacher_scores = np.zeros((len(mine), width), dtype=np.float32)
    log_weights = np.zeros((len(mine), width), dtype=np.float32)
    negatives = np.zeros((len(mine), len(pool_rows)), dtype=bool)
    window = np.zeros((len(mine), len(pool_rows)), dtype=bool)
    for position, number in enumerate(mine):
        own_drawn = drawn[number]
        count = len(own_drawn.rows)
        candidates[position, :count] = np.searchsorted(pool_rows, own_drawn.rows)
        present[position, :count] = True
        teacher_scores[position, :count] = own_drawn.scores * config.encoder.score_scale
        log_weights[position, :count] = own_drawn.log_weights
        rows = _negative_rows(drawn, number, config.objective.contrastive_negatives, drawn_rows)
        rows = rows[~np.isin(rows, turns.excluded_rows(int(numbers[number])))]
        negatives[position, np.searchsorted(pool_rows, rows)] = True
        if own_drawn.window_rows is not None:
            window[position, np.searchsorted(pool_rows, own_drawn.window_rows)] = True
    own_turns = [int(numbers[number]) for number in mine]
    input_ids, lengths = pack([turns.input_ids(turn) for turn in own_turns])
    rewrites = None
    if config.objective.representation_weight > 0:
        rewrites = torch.from_numpy(turns.mean_rewrites(own_turns, vectors.vocabulary_size)).to(device)
    return Batch(
        input_ids=input_ids.to(device),
        lengths=lengths,
        pool=PassagePool.of(vectors.take(pool_rows), device)
        if tokens is None
        else PassageTexts.of(tokens, pool_rows, device),
        candidates=torch.from_numpy(candidates).to(device),
        present=torch.from_numpy(present).to(device),
        teacher_scores=torch.from_numpy(teacher_scores).to(device),
        log_weights=torch.from_numpy(log_weights).to(device) if log_weights.any() else None,
        negatives=torch.from_numpy(negatives).to(device),
        window=torch.from_numpy(window).to(device) if windows else None,
        rewrites=rewrites,
        turn_numbers=torch.from_numpy(turns.turn_numbers[own_turns].astype(np.int64)).to(device),
        turns=len(numbers),
    )


def _negative_rows(drawn: list[Drawn], number: int, kind: str, drawn_rows: Int64) -> Int64:
    """Rows that may be negatives of one turn, before its own positives are taken out of them."""
    if kind == "all":
        return drawn_rows
    samples = drawn[number].rows[1:]
    others = np.array([of_turn.rows[0] for other, of_turn in enumerate(drawn) if other != number], dtype=np.int64)
    if kind == "samples":
        return np.unique(samples)
    return np.unique(others if kind == "positives" else np.concatenate([samples, others]))


def batch_loss(
    encode: Encode,
    batch: Batch,
    config: ExperimentConfig,
    *,
    weights: Weights,
    passage_share: Tensor,
    sum_over_parts: Callable[[Tensor], Tensor],
) -> tuple[Tensor, dict[str, Tensor]]:
    r"""This part's share of :math:`\sum_i w_i L_i + \lambda R`, the terms :math:`L_i` being ``TERMS``.

    Args:
        encode: A part -> its queries (b, V), and its pool's passages (U, V) where they are trained.
        batch: The part.
        config: The experiment.
        weights: Of ``TERMS`` and of the sparsity penalties at this step.
        passage_share: (V,), p_d of the collection; of the pool, where passages are trained and the collection's is moving.
        sum_over_parts: Adds a tensor up over all parts of the batch; the identity for a whole batch.

    Returns:
        The part's loss, whose sum over parts is the batch's loss, and by name its share of what the step measures,
        detached, likewise: ``CURVES``, the further terms, the squared norms of the terms' gradients. The FLOPS penalty is no
        sum of parts' values: each part's loss carries its share of the gradient and, of the value, its share by turns.
    """
    objective = config.objective
    queries, passages = encode(batch)
    queries = queries.float()  # (b, V)
    passage_active = queries.new_zeros(())
    if passages is not None:
        passages = passages.float()  # (U, V)
        passage_share = active_share(passages, len(passages))
        passage_active = passage_share.sum()
    scores = _scores(queries, passages, batch) * config.encoder.score_scale  # (b, U)
    candidates = scores.gather(1, batch.candidates)  # (b, K)
    terms = {
        "kld": candidate_kl(
            candidates,
            batch.teacher_scores,
            present=batch.present,
            log_weights=batch.log_weights,
            student_log_normalizer=_log_normalizer(scores, batch, objective.temperature),
            temperature=objective.temperature,
            temperature_squared=objective.temperature_squared,
        ),
        "margin_mse": margin_mse(candidates, batch.teacher_scores, present=batch.present),
        "contrastive": info_nce(
            scores,
            batch.candidates[:, 0],
            negatives=batch.negatives,
            temperature=objective.contrastive_temperature,
        ),
        "representation": scores.new_zeros(1)
        if batch.rewrites is None
        else representation_mse(queries, batch.rewrites),
    }
    means = {name: value.sum() / batch.turns for name, value in terms.items()}
    squares = dict.fromkeys(TERMS, queries.new_zeros(()))
    if objective.weighting == "gradient_norm":
        squares = {name: _squared_gradient(means[name], queries, active=weights.terms[name] > 0) for name in TERMS}
    penalty = _penalty(queries, batch, config, passage_share, sum_over_parts)
    regularization = weights.queries * penalty
    if passages is not None and weights.passages > 0:
        regularization = regularization + weights.passages * passage_penalty(passages, len(queries), batch.turns)
    if config.regularization.anti_zero_weight > 0:
        regularization = (
            regularization + config.regularization.anti_zero_weight * anti_zero(queries).sum() / batch.turns
        )
    loss = regularization
    for name in TERMS:
        if weights.terms[name] > 0:
            loss = loss + weights.terms[name] * means[name]
    share = active_share(queries, batch.turns)
    values = {
        **means,
        "loss": loss,
        "regularization": regularization,
        "L0": share.sum(),
        "FLOPS": (share * passage_share).sum(),
        "passage_L0": passage_active * (len(queries) / batch.turns),
        **{f"gradient_{name}": square for name, square in squares.items()},
    }
    return loss, {name: value.detach().float() for name, value in values.items()}


def _scores(queries: Tensor, passages: Tensor | None, batch: Batch) -> Tensor:
    """(b, U), of the pool's cached vectors or of those that the part has just encoded."""
    if passages is not None:
        # Out of autocast, which has ended: a product of two dense matrices, with a gradient in both.
        return queries @ passages.T
    assert isinstance(batch.pool, PassagePool), "texts are encoded before they are scored"
    return pool_scores(queries, batch.pool)


def passage_penalty(passages: Tensor, own_turns: int, turns: int) -> Tensor:
    r"""A part's share of the FLOPS penalty on passages, :math:`\frac{b}{B} \sum_j (\frac{1}{U} \sum_u |d_{uj}|)^2`.

    Every part encodes the whole pool, so that each has the whole penalty: its share of the turns makes values and
    gradients add up to the batch's.

    Args:
        passages: (U, V), all of the batch's.
        own_turns: b.
        turns: B.
    """
    return flops(passages, mean_activation(passages, len(passages)), len(passages)) * (own_turns / turns)


def _log_normalizer(scores: Tensor, batch: Batch, temperature: float) -> Tensor | None:
    """The student's log Z over the positive and its whole window, (b,), where the batch has the window."""
    if batch.window is None:
        return None
    logits = scores / temperature
    positive = logits.gather(1, batch.candidates[:, :1])  # (b, 1)
    if batch.log_weights is not None:
        positive = positive + batch.log_weights[:, :1]
    window = torch.where(batch.window, logits, -1e9)
    return torch.cat([positive, window], dim=1).logsumexp(dim=1)


def _squared_gradient(term: Tensor, queries: Tensor, *, active: bool) -> Tensor:
    """Squared norm of a term's gradient in the query vectors: 0 for a term that is off."""
    if not active:
        return queries.new_zeros(())
    (gradient,) = torch.autograd.grad(term, queries, retain_graph=True)
    return gradient.square().sum()


def penalized(queries: Tensor, batch: Batch, config: ExperimentConfig) -> Tensor:
    """The queries as the penalty sees them: saturated, and deeper turns' weights multiplied up, (b, V)."""
    settings = config.regularization
    if settings.saturation is not None:
        queries = saturated(queries, settings.saturation)
    if settings.turn_exponent:
        queries = queries * turn_factors(batch.turn_numbers, settings.turn_exponent).unsqueeze(1)
    return queries


def _penalty(
    queries: Tensor,
    batch: Batch,
    config: ExperimentConfig,
    passage_share: Tensor,
    sum_over_parts: Callable[[Tensor], Tensor],
) -> Tensor:
    kind = config.regularization.query
    if kind == "none":
        return queries.new_zeros(())
    queries = penalized(queries, batch, config)
    if kind == "l1":
        return l1(queries).sum() / batch.turns
    if kind == "expected_flops":
        return expected_flops(queries, passage_share).sum() / batch.turns
    whole = flops(queries, sum_over_parts(mean_activation(queries, batch.turns)), batch.turns)
    # Every part sees the whole batch's value; its share by turns makes the parts' values add up too.
    return whole - whole.detach() * (1.0 - len(queries) / batch.turns)
