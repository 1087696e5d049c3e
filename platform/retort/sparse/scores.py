"""Dot products of dense query weights with a pool of sparse passages, differentiable in the queries alone.

Shapes: B queries, U passages in the pool, V vocabulary entries.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from retort.sparse.vectors import SparseVectors

__all__ = ["PassagePool", "pool_scores"]


@dataclass(frozen=True)
class PassagePool:
    """A pool of passages on a device, as two CSR matrices: (U, V) for scores, (V, U) for their gradient."""

    passages: Tensor
    transposed: Tensor

    @classmethod
    def of(cls, vectors: SparseVectors, device: torch.device) -> "PassagePool":
        """The pool of these passages."""
        matrix = vectors.to_scipy()
        return cls(_csr(matrix, device), _csr(matrix.T.tocsr(), device))


def _csr(matrix: Any, device: torch.device) -> Tensor:
    with warnings.catch_warnings():
        # torch says once per process that CSR is in beta; of it, only the product with a dense matrix is used here.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state", category=UserWarning)
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr).long(),
            torch.from_numpy(matrix.indices).long(),
            torch.from_numpy(matrix.data),
            size=matrix.shape,
            device=device,
            check_invariants=False,
        )


class _PoolScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, pool: PassagePool) -> Tensor:
        ctx.pool = pool
        return (pool.passages @ queries.T.contiguous()).T

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        return (ctx.pool.transposed @ gradient.T.contiguous()).T, None


def pool_scores(queries: Tensor, pool: PassagePool) -> Tensor:
    """Scores of every query against every passage of the pool: (B, V) float32 -> (B, U)."""
    scores: Tensor = _PoolScores.apply(queries, pool)  # type: ignore[no-untyped-call]
    return scores
