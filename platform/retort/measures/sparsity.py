"""FLOPS and L0 of sparse vectors: the retrieval cost that is put beside effectiveness.

Vectors come as the pieces of a CSR matrix. An entry is active if its value is positive, and only active entries are
stored, so that the values themselves aren't needed here.

FLOPS is *measured*: the expected number of multiplications of a query-passage pair. The penalty of the same name, its
smooth relaxation over a batch, is a regulariser and lives with the losses.

Shapes: N rows (queries or passages), Q queries, V vocabulary entries, Z stored entries.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["activation_share", "flops", "l0_per_row", "per_query_flops"]

# Entries counted at a time: np.bincount copies what it counts to int64, and a collection's indices (10 GB for
# 25 million passages of 100 entries) are memory-mapped precisely so that they needn't fit.
_CHUNK_ENTRIES = 1 << 20


def activation_share(
    indptr: NDArray[np.int64], indices: NDArray[np.int32], vocabulary_size: int
) -> NDArray[np.float64]:
    r"""Share of the rows in which each vocabulary entry is active, :math:`p(j) = \frac{1}{N} \sum_i [w_{ij} > 0]`.

    Args:
        indptr: (N + 1,), where each row begins among the stored entries.
        indices: (Z,), vocabulary entries, each at most once in a row.
        vocabulary_size: V.

    Returns:
        (V,), shares in [0, 1].

    Raises:
        ValueError: If there is no row, ``indptr`` doesn't fit ``indices``, or an index is outside [0, V).
    """
    rows = _rows(indptr, indices)
    counts = np.zeros(vocabulary_size, dtype=np.int64)
    for start in range(0, len(indices), _CHUNK_ENTRIES):
        chunk = np.asarray(indices[start : start + _CHUNK_ENTRIES])
        _check_range(chunk, vocabulary_size)
        counts += np.bincount(chunk, minlength=vocabulary_size)
    if counts.max(initial=0) > rows:
        raise ValueError(
            f"entry {int(counts.argmax())} is stored {int(counts.max())} times in {rows} rows: "
            "sum the duplicates within each row first"
        )
    return counts / rows


def flops(query_share: NDArray[np.float64], passage_share: NDArray[np.float64]) -> float:
    r"""Mean number of multiplications of a query-passage pair, :math:`\sum_j p_q(j) \, p_d(j)`.

    The measure is SPLADE's (arXiv:2107.05720), after the expected number of operations of Paria et al.
    (arXiv:2004.05665).

    Args:
        query_share: (V,), :func:`activation_share` of the queries.
        passage_share: (V,), :func:`activation_share` of the passages.

    Returns:
        Multiplications per pair, 0 iff no query shares an active entry with a passage.

    Raises:
        ValueError: If the shapes differ, or a value isn't a share.
    """
    if query_share.ndim != 1 or query_share.shape != passage_share.shape:
        raise ValueError(
            "query_share and passage_share must share one shape (V,), that of one vocabulary; "
            f"got {query_share.shape} and {passage_share.shape}"
        )
    _check_share("query_share", query_share)
    _check_share("passage_share", passage_share)
    return float(query_share @ passage_share)


def per_query_flops(
    indptr: NDArray[np.int64], indices: NDArray[np.int32], passage_share: NDArray[np.float64]
) -> NDArray[np.float64]:
    r"""Mean number of multiplications of each query with a passage, :math:`\sum_{j : w_{qj} > 0} p_d(j)`.

    Its mean over the queries is :func:`flops` exactly: both count the same pairs, in another order. By turn number it
    says which turns cost.

    Args:
        indptr: (Q + 1,), where each query begins among the stored entries.
        indices: (Z,), vocabulary entries, each at most once in a query.
        passage_share: (V,), :func:`activation_share` of the passages.

    Returns:
        (Q,), multiplications per pair; 0 for a query without active entries.

    Raises:
        ValueError: If there is no query, ``indptr`` doesn't fit ``indices``, an index is outside [0, V), or a value of
            ``passage_share`` isn't a share.
    """
    queries = _rows(indptr, indices)
    _check_range(indices, len(passage_share))
    _check_share("passage_share", passage_share)
    query_of_entry = np.repeat(np.arange(queries), np.diff(indptr))
    sums = np.bincount(query_of_entry, weights=passage_share[indices], minlength=queries)
    return sums.astype(np.float64, copy=False)


def l0_per_row(indptr: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of active entries of each row, (N,), by where each row begins among the stored entries, (N + 1,).

    Raises:
        ValueError: If there is no row, or ``indptr`` decreases.
    """
    if indptr.ndim != 1 or len(indptr) < 2:
        raise ValueError(f"indptr must have the shape (N + 1,) with at least one row, got {indptr.shape}")
    lengths = np.diff(indptr)
    if (lengths < 0).any():
        row = int((lengths < 0).argmax())
        raise ValueError(f"indptr must not decrease, but row {row} ends before it begins: is it really an indptr?")
    return lengths


def _rows(indptr: NDArray[np.int64], indices: NDArray[np.int32]) -> int:
    """Number of rows, once the two pieces are known to belong together."""
    rows = len(l0_per_row(indptr))
    if indices.ndim != 1 or indptr[0] != 0 or indptr[-1] != len(indices):
        raise ValueError(
            f"indptr runs from {int(indptr[0])} to {int(indptr[-1])}, but indices has the shape {indices.shape}: for a "
            "slice of rows, cut indices at indptr[first] and indptr[last], and subtract indptr[first]"
        )
    return rows


def _check_range(indices: NDArray[np.int32], vocabulary_size: int) -> None:
    if len(indices) and (indices.min() < 0 or indices.max() >= vocabulary_size):
        raise ValueError(
            f"indices run from {int(indices.min())} to {int(indices.max())}, outside a vocabulary of "
            f"{vocabulary_size} entries: were queries and passages encoded with the same tokenizer?"
        )


def _check_share(name: str, share: NDArray[np.float64]) -> None:
    # Written so that NaN fails it too. A mean over rows may exceed 1 by a rounding error, hence the small excess.
    if not ((share >= 0) & (share <= 1 + 1e-9)).all():
        raise ValueError(
            f"{name} must hold shares of rows in [0, 1], got {share.min()} to {share.max()}: divide counts by the rows"
        )
