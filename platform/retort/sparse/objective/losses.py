"""Training losses over candidate scores and query vectors: pure torch, one value per turn, so that any split of a batch adds up.

Shapes: B turns, K candidates of a turn (the positive first, then its samples; absent ones masked), U passages in the
batch's pool, V vocabulary entries.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["candidate_kl", "info_nce", "margin_mse", "representation_mse"]


def candidate_kl(
    student_scores: Tensor,
    teacher_scores: Tensor,
    *,
    present: Tensor | None = None,
    log_weights: Tensor | None = None,
    student_log_normalizer: Tensor | None = None,
    temperature: float = 1.0,
    temperature_squared: bool = False,
) -> Tensor:
    r"""Divergence of the student's candidate distribution from the teacher's, turn by turn.

    .. math::
        \sum_{d} p_T(d|q) \, [\log p_T(d|q) - \log p_S(d|q)], \qquad p_X(d|q) \propto w_d \, e^{s_X(q, d) / t}

    The teacher scores the rewrite, the student the whole context (DiSCo, arXiv:2410.14609), all weights being 1. A sample
    that was drawn n times from a proposal q stands for :math:`w_d = 1 / (n \, q_d)` passages (importance sampling); a
    positive that shall not drown counts :math:`w_d > 1` times.

    Args:
        student_scores: (B, K), dot products of context and passage vectors.
        teacher_scores: (B, K), the same candidates in the same order. Not differentiated through.
        present: (B, K) bool, candidates that exist; None: all.
        log_weights: (B, K), log w_d; None: 0.
        student_log_normalizer: (B,), the student's log Z where it is known over more passages than the candidates; None:
            over the candidates, which has a bias of order 1/K where they are samples.
        temperature: Of both softmaxes; above 1 flattens both distributions.
        temperature_squared: Multiply by the temperature squared, which keeps gradients comparable over temperatures
            (Hinton et al., arXiv:1503.02531); not in the paper.

    Returns:
        (B,), in nats, zero iff both distributions agree (with the student's own normalizer; with a given one an estimate,
        which may be below zero).

    Raises:
        ValueError: If the shapes differ, or ``temperature`` is not positive.
    """
    _check_candidates(student_scores, teacher_scores)
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    # float32: in bfloat16 the log-softmax of 50 near-equal scores has no bits left for the gradient.
    student = student_scores.float() / temperature
    teacher = teacher_scores.detach().float() / temperature
    weights = torch.zeros_like(teacher) if log_weights is None else log_weights
    if present is not None:
        # A large negative number and not -inf: 0 * (-inf - -inf) is NaN in the backward pass.
        student = student.masked_fill(~present, -1e9)
        teacher = teacher.masked_fill(~present, -1e9)
    teacher_log_shares = F.log_softmax(teacher + weights, dim=1)
    if student_log_normalizer is None:
        student_log_shares = F.log_softmax(student + weights, dim=1)
    else:
        student_log_shares = student + weights - student_log_normalizer.unsqueeze(1)
        student_log_shares = student_log_shares.masked_fill(teacher_log_shares < -1e8, 0.0)
    divergence = F.kl_div(student_log_shares, teacher_log_shares, reduction="none", log_target=True).sum(dim=1)
    return divergence * temperature**2 if temperature_squared else divergence


def margin_mse(student_scores: Tensor, teacher_scores: Tensor, *, present: Tensor | None = None) -> Tensor:
    r"""Mean squared error of the margins between the positive and each sample, turn by turn.

    .. math::
        \frac{1}{n} \sum_{i=1}^{n} \big[ (s_S(d^+) - s_S(d_i)) - (s_T(d^+) - s_T(d_i)) \big]^2

    Hofstätter et al., arXiv:2010.02666. It asks for the teacher's margins in the teacher's own units, not for an order.

    Args:
        student_scores: (B, K), the positive first.
        teacher_scores: (B, K). Not differentiated through.
        present: (B, K) bool, candidates that exist; None: all.

    Returns:
        (B,), in squared units of the scores; zero for a turn without samples.

    Raises:
        ValueError: If the shapes differ.
    """
    _check_candidates(student_scores, teacher_scores)
    gaps = student_scores.float() - teacher_scores.detach().float()
    squares = (gaps[:, :1] - gaps[:, 1:]).square()
    if present is None:
        return squares.sum(dim=1) / max(1, squares.shape[1])
    samples = present[:, 1:]
    return squares.masked_fill(~samples, 0.0).sum(dim=1) / samples.sum(dim=1).clamp(min=1)


def representation_mse(queries: Tensor, rewrites: Tensor) -> Tensor:
    r"""Squared distance of each query vector to its teacher's rewrite vector, :math:`\sum_j (q_{bj} - r_{bj})^2`.

    What ConvDR (arXiv:2105.04166) and LeCoRE distil. It is V times the mean over entries, so that its size, and with it
    its weight, does not depend on the vocabulary's.

    Args:
        queries: (B, V).
        rewrites: (B, V). Not differentiated through.

    Returns:
        (B,).
    """
    return (queries.float() - rewrites.detach().float()).square().sum(dim=1)


def _check_candidates(student_scores: Tensor, teacher_scores: Tensor) -> None:
    if student_scores.shape != teacher_scores.shape or student_scores.ndim != 2:
        raise ValueError(
            "student_scores and teacher_scores must share one shape (B, K); "
            f"got {tuple(student_scores.shape)} and {tuple(teacher_scores.shape)}"
        )


def info_nce(scores: Tensor, positives: Tensor, *, negatives: Tensor, temperature: float = 1.0) -> Tensor:
    r"""Contrastive loss of each turn's positive against its negatives in the batch's pool.

    .. math::
        -\log \frac{e^{s(q, d^+) / \tau}}{e^{s(q, d^+) / \tau} + \sum_{d^-} e^{s(q, d^-) / \tau}}

    InfoNCE (van den Oord et al., arXiv:1807.03748) over the turn's own samples and the other turns' passages.

    Args:
        scores: (B, U), each turn against every passage of the pool.
        positives: (B,) int64, place of the turn's positive in the pool.
        negatives: (B, U) bool, passages that may count as negatives: never a judged positive of the turn, nor a passage
            with the same text as one.
        temperature: Softmax temperature tau.

    Returns:
        (B,), in nats; zero for a turn without a negative.

    Raises:
        ValueError: If the shapes do not fit, or ``temperature`` is not positive.
    """
    if scores.ndim != 2 or negatives.shape != scores.shape or positives.shape != scores.shape[:1]:
        raise ValueError(
            "info_nce needs scores (B, U), negatives (B, U) and positives (B,); got "
            f"{tuple(scores.shape)}, {tuple(negatives.shape)} and {tuple(positives.shape)}"
        )
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    kept = negatives.scatter(1, positives.unsqueeze(1), True)
    logits = (scores.float() / temperature).masked_fill(~kept, -torch.inf)
    return F.cross_entropy(logits, positives, reduction="none")
