"""Training losses over candidate scores: pure torch, one value per turn, so that any split of a batch adds up.

Shapes: B turns, K candidates of a turn (the positive first, then its samples; absent ones masked), U passages in the
batch's pool.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["candidate_kl", "info_nce"]


def candidate_kl(
    student_scores: Tensor,
    teacher_scores: Tensor,
    *,
    present: Tensor | None = None,
    temperature: float = 1.0,
    temperature_squared: bool = False,
) -> Tensor:
    r"""Divergence of the student's candidate distribution from the teacher's, turn by turn.

    .. math::
        \sum_{d} p_T(d|q) \, [\log p_T(d|q) - \log p_S(d|q)], \qquad p_X(d|q) = \mathrm{softmax}_d(s_X(q, d) / t)

    The teacher scores the rewrite, the student the whole context (DiSCo, arXiv:2410.14609).

    Args:
        student_scores: (B, K), dot products of context and passage vectors.
        teacher_scores: (B, K), the same candidates in the same order. Not differentiated through.
        present: (B, K) bool, candidates that exist; None: all.
        temperature: Of both softmaxes; above 1 flattens both distributions.
        temperature_squared: Multiply by the temperature squared, which keeps gradients comparable over temperatures
            (Hinton et al., arXiv:1503.02531); not in the paper.

    Returns:
        (B,), in nats, zero iff both distributions agree.

    Raises:
        ValueError: If the shapes differ, or ``temperature`` is not positive.
    """
    if student_scores.shape != teacher_scores.shape or student_scores.ndim != 2:
        raise ValueError(
            "student_scores and teacher_scores must share one shape (B, K); "
            f"got {tuple(student_scores.shape)} and {tuple(teacher_scores.shape)}"
        )
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    # float32: in bfloat16 the log-softmax of 50 near-equal scores has no bits left for the gradient.
    student = student_scores.float() / temperature
    teacher = teacher_scores.detach().float() / temperature
    if present is not None:
        # A large negative number and not -inf: 0 * (-inf - -inf) is NaN in the backward pass.
        student = student.masked_fill(~present, -1e9)
        teacher = teacher.masked_fill(~present, -1e9)
    divergence = F.kl_div(
        F.log_softmax(student, dim=1), F.log_softmax(teacher, dim=1), reduction="none", log_target=True
    ).sum(dim=1)
    return divergence * temperature**2 if temperature_squared else divergence


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
