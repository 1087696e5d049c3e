"""Sparsity penalties and hard limits on query vectors, and how a squared mean is kept exact over any split of a batch.

Shapes: B queries of the *whole* batch, b of them in this part (a worker's share, an accumulation step), V entries.

L1 and expected FLOPS are means over queries, so parts add up by themselves: each part contributes its sum over B. FLOPS is
a squared mean and does not add up: a part needs the whole batch's mean activations first. ``flops`` therefore takes them,
and returns a value whose gradient is the part's exact share; the parts' gradients then sum to the gradient of the whole.

A penalty that is stronger for some queries than for others (``turn_factors``) multiplies their weights before any of these, and
one that asks what is active more than how much (``saturated``) bends them.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = [
    "Limits",
    "active_share",
    "anti_zero",
    "expected_flops",
    "flops",
    "l1",
    "mean_activation",
    "saturated",
    "turn_factors",
]


def l1(queries: Tensor) -> Tensor:
    r"""L1 norm of each query, :math:`\sum_j |q_{bj}|`: (b, V) -> (b,). Its mean over B is the paper's regulariser."""
    return queries.abs().sum(dim=1)


def expected_flops(queries: Tensor, passage_share: Tensor) -> Tensor:
    r"""L1 norm with each entry weighted by its share of passages, :math:`\sum_j p_d(j) |q_{bj}|`.

    The L1 relaxation of the retrieval cost itself, which counts :math:`\sum_j p_d(j) [q_{bj} > 0]` for a query: an entry
    that many passages hold costs more than a rare one. p_d is fixed while passages are frozen.

    Args:
        queries: (b, V), weights.
        passage_share: (V,), share of passages in which each entry is active.

    Returns:
        (b,).
    """
    return queries.abs() @ passage_share


def mean_activation(queries: Tensor, batch: int) -> Tensor:
    """This part's contribution to the batch's mean activations: (b, V) -> (V,), to be summed over all parts."""
    return queries.detach().abs().float().sum(dim=0) / batch


def flops(queries: Tensor, batch_mean: Tensor, batch: int) -> Tensor:
    r"""FLOPS penalty, :math:`\sum_j (\frac{1}{B} \sum_b |q_{bj}|)^2`, seen from one part of the batch.

    Paria et al., arXiv:2004.05665; used for SPLADE in arXiv:2107.05720.

    Args:
        queries: (b, V), this part's weights.
        batch_mean: (V,), ``mean_activation`` summed over all parts of the batch.
        batch: B.

    Returns:
        Scalar. Its value is the whole batch's penalty; its gradient is the part's share of the whole batch's gradient, so
        that summing the parts' *gradients*, not their values, is exact.
    """
    value = batch_mean.square().sum()
    # d/dq_bj of the squared mean is 2 mean_j sign(q_bj) / B.
    share = 2.0 * (queries.abs().float() @ batch_mean).sum() / batch
    return value.detach() + share - share.detach()


def active_share(queries: Tensor, batch: int) -> Tensor:
    """This part's contribution to the share of the batch's queries in which each entry is active: (b, V) -> (V,)."""
    return (queries.detach() > 0).to(torch.float32).sum(dim=0) / batch


def anti_zero(queries: Tensor) -> Tensor:
    r"""A penalty on queries that vanish, :math:`1 / (1 + \sum_j |q_{bj}|)^2`: (b, V) -> (b,), in (0, 1].

    Next to nothing for a query with terms; its gradient is largest where the last of them goes, so that a strong sparsity
    penalty leaves something to retrieve with. Bounded and per query, unlike the inverse square of a whole batch's sum that
    is used for the same end elsewhere: parts of a batch add up.
    """
    return (1.0 + l1(queries)).square().reciprocal()


def saturated(queries: Tensor, level: float) -> Tensor:
    r"""Weights as a penalty sees them that asks whether an entry is active, more than how much: :math:`h q / (q + h)`.

    Retrieval costs the same whatever an active entry weighs. L1 shrinks what it does not remove, and so takes from the terms
    that carry a query; this is L1 at weights far below h (slope 1 at 0) and next to constant far above it, a concave
    relaxation of L0 as in reweighted L1 (Candès et al., arXiv:0711.1612).

    Args:
        queries: (b, V), not negative.
        level: h.

    Returns:
        (b, V), in [0, h).

    Raises:
        ValueError: If the level is not positive.
    """
    if level <= 0:
        raise ValueError(f"level must be positive, got {level}")
    return level * queries / (queries + level)


def turn_factors(turn_numbers: Tensor, exponent: float) -> Tensor:
    r"""Factor on each query's penalty, :math:`t_b^\gamma`: (b,) turn numbers from 1 -> (b,).

    The first turn has factor 1 for any exponent. Contexts grow with the turns and a penalty that is the same for all
    lets the queries grow with them; above 0 deeper turns pay more.
    """
    return turn_numbers.float().pow(exponent)


@dataclass(frozen=True)
class Limits:
    """Hard limits on a student's queries, in training and whenever it encodes; entries that are cut get no gradient.

    Attributes:
        max_terms: Each query keeps its so many largest entries, of equal ones the first; None: all.
        threshold: Entries up to it are cut.
        cost_threshold: Entries whose weight is at most so many times the share of passages that hold them are cut: what an
            entry is worth against what it costs. Static pruning that L1's penalty only approaches, and free of training.
        passage_share: (V,), p_d, where ``cost_threshold`` is above 0.
    """

    max_terms: int | None = None
    threshold: float = 0.0
    cost_threshold: float = 0.0
    passage_share: Tensor | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.cost_threshold < 0 or (self.cost_threshold > 0 and self.passage_share is None):
            raise ValueError(
                f"cost_threshold must be at least 0, and above it needs passage_share; got {self.cost_threshold}"
            )
        if self.threshold < 0 or (self.max_terms is not None and self.max_terms < 1):
            raise ValueError(
                f"max_terms must be at least 1 and threshold at least 0, got {self.max_terms} and {self.threshold}"
            )

    def settings(self) -> dict[str, int | float | None]:
        """The limits as plain data, those that came later only where they are set; the shares are not in it."""
        plain: dict[str, int | float | None] = {"max_terms": self.max_terms, "threshold": self.threshold}
        return plain | ({"cost_threshold": self.cost_threshold} if self.cost_threshold > 0 else {})

    def least_weights(self) -> Tensor | None:
        """(V,), what an entry's weight must exceed by ``cost_threshold``; None where that is 0."""
        return None if self.passage_share is None else self.cost_threshold * self.passage_share.float()

    def apply(self, queries: Tensor) -> Tensor:
        """(b, V), not negative -> (b, V)."""
        least = self.least_weights()
        if least is not None:
            queries = queries.masked_fill(queries <= least.to(queries.device, queries.dtype), 0.0)
        if self.threshold > 0:
            queries = queries.masked_fill(queries <= self.threshold, 0.0)
        if self.max_terms is not None and self.max_terms < queries.shape[1]:
            # A stable sort, and not topk, which takes any of equal entries: the same query is cut alike everywhere.
            order = queries.detach().sort(dim=1, descending=True, stable=True).indices[:, self.max_terms :]
            queries = queries.scatter(1, order, 0.0)
        return queries
