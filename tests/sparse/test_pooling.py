"""The SPLADE head against the same formula in plain torch, over more than one chunk."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retort.sparse.pooling import GRADIENT_CHUNK, VOCABULARY_CHUNK, splade_max


def plain(hidden, weight, bias, lengths):
    logits = hidden @ weight.T + bias
    best = torch.stack([part.max(dim=0).values for part in logits.split(list(lengths))])
    return torch.log1p(torch.relu(best))


def inputs(tokens, vocabulary, width, seed, *, bias=0.0):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(tokens, width, generator=generator),
        torch.randn(vocabulary, width, generator=generator) / width**0.5,
        torch.randn(vocabulary, generator=generator) * 0.5 + bias,
    )


def compare(hidden, weight, bias, lengths):
    ours, theirs = ([t.clone().requires_grad_() for t in (hidden, weight, bias)] for _ in range(2))
    found, expected = splade_max(*ours, lengths), plain(*theirs, lengths)
    upstream = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    found.backward(upstream)
    expected.backward(upstream)

    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad, atol=1e-5, rtol=1e-5)
    return found


def test_one_text_by_hand():
    hidden = torch.tensor([[1.0], [3.0], [-2.0]], requires_grad=True)
    weight, bias = torch.tensor([[1.0], [-1.0], [1.0]]), torch.tensor([0.0, -3.0, -2.0])
    found = splade_max(hidden, weight, bias, (3,))
    found.sum().backward()

    # Logits: (1, 3, -2), (-4, -6, -1), (-1, 1, -4); maxima 3, -1 and 1; the derivative of log(1 + x) is 1 / (1 + x).
    torch.testing.assert_close(found, torch.tensor([[math.log(4), 0.0, math.log(2)]]))
    torch.testing.assert_close(hidden.grad, torch.tensor([[0.0], [1 / 4 + 1 / 2], [0.0]]))


@settings(deadline=None)
@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4), seed=st.integers(0, 10_000))
def test_values_and_gradients_are_plain_torchs(lengths, seed):
    compare(*inputs(sum(lengths), 11, 3, seed), tuple(lengths))


def test_a_vocabulary_of_several_chunks_and_more_entries_than_one_gradient_chunk():
    vocabulary = 2 * VOCABULARY_CHUNK + 17
    lengths = (2, 1, 3, 2, 1, 2, 2, 1, 2, 2)
    found = compare(*inputs(sum(lengths), vocabulary, 4, 0, bias=3.0), lengths)

    assert torch.count_nonzero(found) > GRADIENT_CHUNK


def test_entries_that_no_token_activates_get_no_gradient():
    hidden, weight, bias = inputs(4, 9, 3, 2, bias=-50.0)
    hidden.requires_grad_(), weight.requires_grad_(), bias.requires_grad_()
    found = splade_max(hidden, weight, bias, (2, 2))
    found.sum().backward()

    assert torch.count_nonzero(found) == 0
    assert all(torch.count_nonzero(t.grad) == 0 for t in (hidden, weight, bias))


@pytest.mark.parametrize("lengths", [(2, 1), (2, 3), (4, 0), (5, -1), ()])
def test_lengths_must_be_positive_and_sum_to_the_tokens(lengths):
    with pytest.raises(ValueError, match=r"must be positive and sum to the 4 tokens"):
        splade_max(*inputs(4, 5, 3, 0), lengths)
