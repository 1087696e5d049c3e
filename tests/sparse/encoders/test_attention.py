"""Packed attention against attention text by text in plain torch, with dropout and sliding windows."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retort.sparse.encoders.attention import packed_attention
from retort.sparse.encoders.dropout import draw_seed, drop

HEADS, WIDTH = 2, 4


def inputs(tokens, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1, HEADS, tokens, WIDTH, generator=generator).requires_grad_() for _ in range(3)]


def plain(query, key, value, lengths, *, window=None, masks=None, scaling=WIDTH**-0.5):
    """The textbook formula, text by text; ``masks`` multiply the probabilities."""
    texts, start = [], 0
    for number, length in enumerate(lengths):
        q, k, v = (tensor[:, :, start : start + length] for tensor in (query, key, value))
        scores = q @ k.transpose(-1, -2) * scaling
        if window is not None:
            places = torch.arange(length)
            scores = scores.masked_fill((places[:, None] - places).abs() >= window, -torch.inf)
        probabilities = torch.softmax(scores, dim=-1)
        if masks is not None:
            probabilities = probabilities * masks[number]
        texts.append(probabilities @ v)
        start += length
    return torch.cat(texts, dim=2).transpose(1, 2)


def compare(tokens, found, expected, arguments):
    upstream = torch.randn(found.shape, generator=torch.Generator().manual_seed(9))
    mine = torch.autograd.grad(found, arguments, upstream)
    theirs = torch.autograd.grad(expected, arguments, upstream)

    assert found.shape == (1, tokens, HEADS, WIDTH)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


@settings(deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4), seed=st.integers(0, 1000))
def test_each_text_attends_to_itself_alone(lengths, seed):
    arguments = inputs(sum(lengths), seed)
    found, _ = packed_attention(None, *arguments, None, text_lengths=tuple(lengths))

    compare(sum(lengths), found, plain(*arguments, lengths), arguments)


@pytest.mark.parametrize("window", [1, 2, 4])
def test_a_sliding_window_is_kept_within_each_text(window):
    lengths = (6, 2, 5)
    arguments = inputs(13)
    found, _ = packed_attention(None, *arguments, None, text_lengths=lengths, sliding_window=window)

    compare(13, found, plain(*arguments, lengths, window=window), arguments)


@settings(deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4), seed=st.integers(0, 1000))
def test_dropout_and_its_gradient_are_the_formulas_with_the_same_entries_dropped(lengths, seed):
    arguments = inputs(sum(lengths), seed)
    torch.manual_seed(seed)
    found, _ = packed_attention(None, *arguments, None, dropout=0.3, scaling=0.7, text_lengths=tuple(lengths))
    torch.manual_seed(seed)
    masks = [drop(torch.ones(1, HEADS, length, length), draw_seed(), 0.3) for length in lengths]

    compare(sum(lengths), found, plain(*arguments, lengths, masks=masks, scaling=0.7), arguments)


def test_half_precision_is_float32_rounded_under_autocast_or_not():
    lengths = (30, 12)
    halves = [tensor.detach().bfloat16().requires_grad_() for tensor in inputs(42)]
    singles = [tensor.detach().float().requires_grad_() for tensor in halves]
    upstream = torch.randn(1, 42, HEADS, WIDTH, generator=torch.Generator().manual_seed(9))
    results = []
    for arguments, enabled in ((halves, True), (halves, False), (singles, False)):
        torch.manual_seed(3)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            found, _ = packed_attention(None, *arguments, None, dropout=0.3, text_lengths=lengths)
        assert found.dtype == arguments[0].dtype
        results.append((found, *torch.autograd.grad(found, arguments, upstream.to(found.dtype))))

    for half, same, single in zip(*results, strict=True):
        assert torch.equal(half, same)
        torch.testing.assert_close(half.float(), single, atol=1e-2, rtol=1e-2)


def test_without_lengths_it_is_the_usual_masked_attention():
    arguments = inputs(5)
    mask = torch.tensor([True, True, True, False, False]).view(1, 1, 1, 5)
    found, _ = packed_attention(torch.nn.Module(), *arguments, mask)
    expected = torch.nn.functional.scaled_dot_product_attention(*arguments, attn_mask=mask).transpose(1, 2)

    torch.testing.assert_close(found, expected)
