"""BM25 impacts over word pieces: the frozen passage encoder of the lexical family, in numpy alone.

A passage's weight for a word piece is its BM25 contribution, so that the dot product with a query's term weights is the
BM25 score (Robertson and Zaragoza, 2009; with the factor k1 + 1, which Lucene leaves out: rankings are the same, a softmax
over scores is not). Kept apart from the
lexical student so that the workers which index a collection need not import torch.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from retort.sparse.vectors import Float32, Int32, SparseVectors

__all__ = ["bm25_impacts", "query_terms", "term_counts"]


def term_counts(pieces: Sequence[Int32], vocabulary_size: int) -> SparseVectors:
    """How often each word piece occurs in each text: (N, V)."""
    rows = []
    for text in pieces:
        terms, counts = np.unique(text, return_counts=True)
        rows.append((terms, counts))
    return SparseVectors.from_rows(rows, vocabulary_size)


def bm25_impacts(
    counts: SparseVectors,
    *,
    document_frequency: npt.NDArray[np.int64],
    passages: int,
    mean_length: float,
    k1: float,
    b: float,
) -> SparseVectors:
    r"""BM25 weight of every term of every passage.

    .. math::
        \log\left(1 + \frac{N - df + 0.5}{df + 0.5}\right)
        \cdot \frac{tf \, (k_1 + 1)}{tf + k_1 (1 - b + b \, |d| / \overline{|d|})}

    Args:
        counts: (N, V) term counts of some passages; a passage's length is the sum of its counts.
        document_frequency: (V,), passages of the whole collection that hold each term.
        passages: Passages in the whole collection.
        mean_length: Their mean length, in word pieces.
        k1: Saturation of the term frequency.
        b: Strength of the length normalisation.

    Returns:
        (N, V), on the same entries as ``counts``.
    """
    # For an empty row reduceat yields the next row's first value, which no entry reads.
    lengths = np.add.reduceat(np.append(counts.values, np.float32(0)), counts.indptr[:-1]).astype(np.float64)
    idf = np.log1p((passages - document_frequency + 0.5) / (document_frequency + 0.5))
    normaliser = k1 * (1.0 - b + b * lengths / mean_length)
    tf = counts.values.astype(np.float64)
    weights = idf[counts.indices] * tf * (k1 + 1.0) / (tf + np.repeat(normaliser, np.diff(counts.indptr)))
    return SparseVectors(counts.indptr, counts.indices, weights.astype(np.float32), counts.vocabulary_size)


def query_terms(pieces: Sequence[Int32], vocabulary_size: int, *, counted: bool) -> SparseVectors:
    """A text as a bag of word pieces: weight 1, or the number of occurrences where ``counted``; (N, V)."""
    counts = term_counts(pieces, vocabulary_size)
    values: Float32 = counts.values if counted else np.ones_like(counts.values)
    return SparseVectors(counts.indptr, counts.indices, values, vocabulary_size)
