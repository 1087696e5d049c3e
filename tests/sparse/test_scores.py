"""Scores of a sparse pool, forwards and backwards, against a dense matrix product."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retort.sparse.scores import PassagePool, pool_scores
from retort.sparse.vectors import SparseVectors

CPU = torch.device("cpu")


def random_weights(generator, *shape):
    return torch.relu(torch.randn(*shape, generator=generator))


def test_scores_by_hand():
    pool = PassagePool.of(SparseVectors.from_dense([[1.0, 0.0, 2.0], [0.0, 0.0, 0.0]]), CPU)
    queries = torch.tensor([[3.0, 5.0, 0.5], [0.0, 7.0, 0.0]], requires_grad=True)
    scores = pool_scores(queries, pool)
    scores[0, 0].backward()

    assert scores.tolist() == [[4.0, 0.0], [0.0, 0.0]]
    assert queries.grad.tolist() == [[1.0, 0.0, 2.0], [0.0, 0.0, 0.0]]


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), queries=st.integers(1, 4), passages=st.integers(1, 6), vocabulary=st.integers(1, 9))
def test_scores_and_gradients_are_a_dense_products(seed, queries, passages, vocabulary):
    generator = torch.Generator().manual_seed(seed)
    asked, pool = random_weights(generator, queries, vocabulary), random_weights(generator, passages, vocabulary)
    upstream = torch.randn(queries, passages, generator=generator)
    sparse, dense = asked.clone().requires_grad_(), asked.clone().requires_grad_()
    found = pool_scores(sparse, PassagePool.of(SparseVectors.from_dense(pool.numpy()), CPU))
    expected = dense @ pool.T
    found.backward(upstream)
    expected.backward(upstream)

    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(sparse.grad, dense.grad, atol=1e-5, rtol=1e-5)


def test_a_passage_without_any_weight_scores_nothing():
    pool = PassagePool.of(SparseVectors.from_rows([([], []), ([1], [2.0])], 3), CPU)

    np.testing.assert_array_equal(pool_scores(torch.ones(1, 3), pool).numpy(), [[0.0, 2.0]])
