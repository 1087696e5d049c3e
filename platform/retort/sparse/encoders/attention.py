"""Attention over packed texts: every token attends to its own text's tokens, and no padding exists.

Registered with transformers under ``PACKED_ATTENTION``, so that its models run their own code on one row of T tokens and
reach this function with the texts' lengths (``text_lengths``). Called without lengths it is transformers' own attention.

Shapes: B texts, T tokens of all texts, L of one text, N heads, D their width.
"""

from typing import Any, cast

import numba
import torch
import torch.nn.functional as F
from numba import float32, uint32
from torch import Tensor, nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.modeling_utils import AttentionInterface

from retort.sparse.encoders.dropout import FAST, draw_seed, drop, keeping, kept

__all__ = ["PACKED_ATTENTION", "packed_attention"]

PACKED_ATTENTION = "retort_packed"


@numba.njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator,unused-ignore]
def _softmax_dropout_backward(
    probabilities: Any, gradient: Any, seed: Any, threshold: Any, factor: Any
) -> None:  # pragma: no cover - compiled
    """Gradient after the dropout -> gradient before the softmax, in place; both (rows, L)."""
    key, limit = uint32(seed), uint32(threshold)
    rows, width = probabilities.shape
    for row in range(rows):
        total = float32(0)
        for column in range(width):
            value = gradient[row, column] * factor if kept(row * width + column, key, limit) else float32(0)
            gradient[row, column] = value
            total += value * probabilities[row, column]
        for column in range(width):
            gradient[row, column] = probabilities[row, column] * (gradient[row, column] - total)


class _DroppedAttention(torch.autograd.Function):
    """Softmax attention with dropout on its probabilities, on a processor.

    torch's own has no fused kernel with dropout and takes ten passes over the (N, L, L) probabilities; this takes four.
    Computed in float32 whatever comes in: the products are 32 wide here, for which bfloat16 gains nothing.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, scaling: float, probability: float) -> Tensor:
        seed = draw_seed()
        ctx.settings = scaling, seed, probability, query.dtype
        # Autocast would cast these products back.
        with torch.autocast(query.device.type, enabled=False):
            scaled, key, value = query.float() * scaling, key.float(), value.float()
            probabilities = torch.softmax(scaled @ key.transpose(-1, -2), dim=-1)  # (1, N, L, L)
            ctx.save_for_backward(scaled, key, value, probabilities)
            return (drop(probabilities, seed, probability) @ value).to(query.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        scaled, key, value, probabilities = ctx.saved_tensors
        scaling, seed, probability, dtype = ctx.settings
        gradient = gradients[0].float()
        to_value = drop(probabilities, seed, probability).transpose(-1, -2) @ gradient
        to_scores = gradient @ value.transpose(-1, -2)
        width = probabilities.shape[-1]
        _softmax_dropout_backward(
            probabilities.view(-1, width).numpy(), to_scores.view(-1, width).numpy(), seed, *keeping(probability)
        )
        to_query, to_key = (to_scores @ key) * scaling, to_scores.transpose(-1, -2) @ scaled
        return to_query.to(dtype), to_key.to(dtype), to_value.to(dtype), None, None


def _one_text(
    query: Tensor, key: Tensor, value: Tensor, *, dropout: float, scaling: float, window: int | None
) -> Tensor:
    length = query.shape[2]
    near = None
    if window is not None and length > window:
        places = torch.arange(length, device=query.device)
        near = (places[:, None] - places).abs() < window  # as ModernBERT counts its half window
    if dropout and near is None and query.dtype in FAST and query.device.type == "cpu":
        return cast(Tensor, _DroppedAttention.apply(query, key, value, scaling, dropout))  # type: ignore[no-untyped-call]
    return F.scaled_dot_product_attention(query, key, value, attn_mask=near, dropout_p=dropout, scale=scaling)


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    text_lengths: tuple[int, ...] | None = None,
    **arguments: Any,
) -> tuple[Tensor, None]:
    """Transformers' attention interface: (1, N, T, D) queries, keys and values -> (1, T, N, D).

    Args:
        module: The attention layer.
        query: (1, N, T, D).
        key: As ``query``.
        value: As ``query``.
        attention_mask: Ignored where ``text_lengths`` are given.
        dropout: On the attention probabilities.
        scaling: Factor on the scores; None: 1 / sqrt(D).
        sliding_window: Tokens on each side that are attended to, itself included; None: all of the text.
        text_lengths: Lengths of the B texts; they sum to T. None: an ordinary padded batch.
        arguments: Whatever else the model passes on.
    """
    if text_lengths is None:
        result: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **arguments
        )
        return result
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    parts = zip(*(tensor.split(text_lengths, dim=2) for tensor in (query, key, value)), strict=True)
    texts = [_one_text(q, k, v, dropout=dropout, scaling=scale, window=sliding_window) for q, k, v in parts]
    return torch.cat(texts, dim=2).transpose(1, 2), None


AttentionInterface.register(PACKED_ATTENTION, packed_attention)
AttentionMaskInterface.register(PACKED_ATTENTION, sdpa_mask)
