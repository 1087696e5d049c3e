"""The SPLADE head against the same formula in plain torch, over more than one chunk."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retort.sparse.encoders.pooling import SURVIVOR_CHUNK, VOCABULARY_CHUNK, splade_max


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


def test_a_vocabulary_of_several_chunks_and_more_entries_than_one_chunk_of_survivors():
    vocabulary = 4 * VOCABULARY_CHUNK + 17
    lengths = (2, 1, 3, 2, 1, 2, 2, 1, 2, 2)
    found = compare(*inputs(sum(lengths), vocabulary, 4, 0, bias=3.0), lengths)

    assert torch.count_nonzero(found) > SURVIVOR_CHUNK


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


@pytest.mark.parametrize("bias", [0.0, -1.5])
def test_under_autocast_what_half_precision_cannot_tell_apart_is_scored_again_in_float32(bias):
    hidden, weight, offsets = inputs(120, 700, 64, 3, bias=bias)
    lengths = (50, 1, 69)
    ours, theirs = ([t.clone().requires_grad_() for t in (hidden, weight, offsets)] for _ in range(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = splade_max(*ours, lengths)
        rounded = hidden @ weight.T
    expected = plain(*theirs, lengths)
    upstream = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    found.backward(upstream)
    expected.backward(upstream)

    # The logits themselves are off by a hundred times as much, and their maxima are in other places.
    assert rounded.dtype == torch.bfloat16 and (rounded.float() - hidden @ weight.T).abs().max() > 3e-3
    moved = [
        a.argmax(0) != b.argmax(0)
        for a, b in zip(rounded.split(lengths), (hidden @ weight.T).split(lengths), strict=True)
    ]
    assert sum(int(m.sum()) for m in moved) > 5
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad, atol=1e-5, rtol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [None, torch.float16, torch.bfloat16])
def test_on_a_gpu_values_and_gradients_are_the_processors(dtype):
    hidden, weight, offsets = inputs(700, 5000, 64, 3)
    lengths = (300, 1, 399)
    ours, theirs = ([t.clone() for t in (hidden, weight, offsets)] for _ in range(2))
    ours = [t.cuda().requires_grad_() for t in ours]
    theirs = [t.requires_grad_() for t in theirs]
    with torch.autocast("cuda", dtype=dtype or torch.float16, enabled=dtype is not None):
        found = splade_max(*ours, lengths)
    expected = plain(*theirs, lengths)
    upstream = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    found.backward(upstream.cuda())
    expected.backward(upstream)

    torch.testing.assert_close(found.cpu(), expected, atol=1e-5, rtol=1e-5)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad.cpu(), other.grad, atol=1e-4, rtol=1e-4)
