"""The SPLADE head: one maximum per vocabulary entry over a text's tokens, never materialising what it throws away.

Shapes: T tokens of all B texts packed one after the other, H hidden size, V vocabulary entries.

The head goes through the vocabulary in chunks, keeps the maximum and its place, and its backward pass touches only the
places that survived the ReLU: neither a (T, V) tensor nor its gradient ever exists.
"""

from typing import Any

import torch
from torch import Tensor

__all__ = ["splade_max"]

VOCABULARY_CHUNK = 4096  # (T, chunk) logits of 2,048 tokens: 32 MiB in fp32
GRADIENT_CHUNK = 65_536  # surviving entries whose (chunk, H) rows are gathered at a time: 96 MiB at H = 384


class _SpladeMax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, lengths: tuple[int, ...]) -> Tensor:
        texts, vocabulary = len(lengths), weight.shape[0]
        best = hidden.new_empty((texts, vocabulary), dtype=torch.float32)
        place = torch.empty((texts, vocabulary), dtype=torch.int32, device=hidden.device)
        starts = [0]
        for length in lengths:
            starts.append(starts[-1] + length)
        for low in range(0, vocabulary, VOCABULARY_CHUNK):
            chunk = slice(low, min(low + VOCABULARY_CHUNK, vocabulary))
            logits = hidden @ weight[chunk].to(hidden.dtype).T  # (T, chunk)
            for text in range(texts):
                value, where = logits[starts[text] : starts[text + 1]].max(dim=0)
                best[text, chunk] = value.float()
                place[text, chunk] = where.to(torch.int32) + starts[text]
        best += bias.float()
        survived = best > 0
        ctx.save_for_backward(hidden, weight, place, best, survived)
        return torch.where(survived, torch.log1p(best), 0.0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, place, best, survived = ctx.saved_tensors
        (gradient,) = gradients
        text, entry = torch.nonzero(survived & (gradient != 0), as_tuple=True)
        at_logit = gradient[text, entry].float() / (1.0 + best[text, entry])  # d log(1 + x) = 1 / (1 + x)
        token = place[text, entry].long()
        to_hidden = torch.zeros(hidden.shape, dtype=torch.float32, device=hidden.device)
        to_weight = torch.zeros(weight.shape, dtype=torch.float32, device=weight.device)
        to_bias = torch.zeros(weight.shape[0], dtype=torch.float32, device=weight.device)
        to_bias.index_add_(0, entry, at_logit)
        for low in range(0, len(entry), GRADIENT_CHUNK):
            part = slice(low, low + GRADIENT_CHUNK)
            factor = at_logit[part].unsqueeze(1)
            to_hidden.index_add_(0, token[part], factor * weight[entry[part]].float())
            to_weight.index_add_(0, entry[part], factor * hidden[token[part]].float())
        return to_hidden.to(hidden.dtype), to_weight.to(weight.dtype), to_bias, None


def splade_max(hidden: Tensor, weight: Tensor, bias: Tensor, lengths: tuple[int, ...]) -> Tensor:
    r"""SPLADE max pooling, :math:`\log(1 + \mathrm{relu}(\max_t (h_t \cdot w_j + b_j)))` (arXiv:2109.10086).

    Args:
        hidden: (T, H), the masked-LM head's input to its last projection, texts packed without padding.
        weight: (V, H), that projection.
        bias: (V,).
        lengths: Tokens of each text, each at least 1; they sum to T.

    Returns:
        (B, V), float32, differentiable in ``hidden``, ``weight`` and ``bias``.

    Raises:
        ValueError: If ``lengths`` do not sum to T or a text is empty.
    """
    if sum(lengths) != hidden.shape[0] or min(lengths, default=0) < 1:
        raise ValueError(f"lengths {list(lengths)} must be positive and sum to the {hidden.shape[0]} tokens of hidden")
    result: Tensor = _SpladeMax.apply(hidden, weight, bias, lengths)  # type: ignore[no-untyped-call]
    return result
