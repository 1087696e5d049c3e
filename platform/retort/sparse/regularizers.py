"""Sparsity penalties on query vectors, and how a squared mean is kept exact over any split of a batch.

Shapes: B queries of the *whole* batch, b of them in this part (a worker's share, an accumulation step), V entries.

L1 and expected FLOPS are means over queries, so parts add up by themselves: each part contributes its sum over B. FLOPS is
a squared mean and does not add up: a part needs the whole batch's mean activations first. ``flops`` therefore takes them,
and returns a value whose gradient is the part's exact share; the parts' gradients then sum to the gradient of the whole.
"""

import torch
from torch import Tensor

__all__ = ["active_share", "expected_flops", "flops", "l1", "mean_activation"]


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
