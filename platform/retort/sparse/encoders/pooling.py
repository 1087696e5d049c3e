"""The SPLADE head: one maximum per vocabulary entry over a text's tokens, never materialising what it throws away.

Shapes: B texts, T tokens of all of them packed one after the other, L of one text, H hidden size, V vocabulary entries, S
surviving (text, entry) pairs: those whose maximum is above 0.

The head goes through the vocabulary in chunks and keeps the maxima; where they are, is looked up for the survivors alone,
and the backward pass touches only those places: neither a (T, V) tensor nor its gradient ever exists.

In half precision (under autocast) the chunks are only scanned: every place that half precision cannot tell from the maximum
is scored again in float32, so that weights and gradients do not carry its 8 bits.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["splade_max"]

VOCABULARY_CHUNK = 1024  # (T, chunk) logits of 2,048 tokens: 8 MiB in fp32, which stay in the cache
SURVIVOR_CHUNK = 32_768  # survivors whose (chunk, H) rows are gathered at a time: 48 MiB at H = 384


def _autocast_dtype(device: torch.device) -> torch.dtype:
    if torch.is_autocast_enabled(device.type):
        return torch.get_autocast_dtype(device.type)
    return torch.float32


def _rescored(
    logits: Tensor, best: Tensor, margin: Tensor, hidden: Tensor, weight: Tensor, columns: Tensor
) -> tuple[Tensor, Tensor]:
    """Maxima and places in float32, among the tokens whose half-precision logits lie within the margin of the maximum.

    Args:
        logits: (L, columns), in half precision.
        best: (columns,), their maxima.
        margin: (columns,).
        hidden: (L, H), float32.
        weight: (chunk, H).
        columns: (columns,), their rows of ``weight``.
    """
    token, column = torch.nonzero(logits.float() >= best - margin, as_tuple=True)
    exact = torch.cat(
        [
            (hidden[t].float() * weight[columns[c]].float()).sum(dim=1)
            for t, c in zip(token.split(SURVIVOR_CHUNK), column.split(SURVIVOR_CHUNK), strict=True)
        ]
    )
    highest = torch.full_like(best, -torch.inf).scatter_reduce(0, column, exact, reduce="amax")
    place = torch.zeros_like(columns)
    winners = exact == highest[column]
    place[column[winners]] = token[winners]
    return highest, place


class _SpladeMax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, lengths: Sequence[int], scan: torch.dtype
    ) -> Tensor:
        vocabulary = weight.shape[0]
        # Autocast would cast the products of this function too.
        with torch.autocast(hidden.device.type, enabled=False):
            scanned = hidden.to(scan)
            result = torch.zeros((len(lengths), vocabulary), dtype=torch.float32, device=hidden.device)
            if scan != torch.float32:
                # Rounding of a product of H terms: a random walk of relative steps of eps; four times that, with the
                # largest norm of the text in the place of the token's own, leaves no place out that could be the maximum.
                unit = 4.0 * torch.finfo(scan).eps * hidden.shape[1] ** -0.5
                norms = [float(part.float().norm(dim=1).max()) for part in hidden.split(list(lengths))]
            buffer = hidden.new_empty(hidden.shape[0] * min(VOCABULARY_CHUNK, vocabulary), dtype=scan)
            found: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []  # text, entry, token, logit of survivors
            for low in range(0, vocabulary, VOCABULARY_CHUNK):
                part = weight[low : low + VOCABULARY_CHUNK]
                logits = buffer[: hidden.shape[0] * len(part)].view(hidden.shape[0], len(part))
                torch.mm(scanned, part.to(scan).T, out=logits)
                start = 0
                for text, length in enumerate(lengths):
                    rows = logits[start : start + length]
                    best = rows.amax(dim=0).float()
                    offsets = bias[low : low + len(part)].float()
                    if scan == torch.float32:
                        columns = torch.nonzero(best + offsets > 0).squeeze(1)
                        place = rows.index_select(1, columns).argmax(dim=0)
                        best = best[columns]
                    else:
                        margin = unit * norms[text] * part.float().norm(dim=1) + torch.finfo(scan).eps * best.abs()
                        columns = torch.nonzero(best + offsets > -margin).squeeze(1)
                        best, place = _rescored(
                            rows.index_select(1, columns),
                            best[columns],
                            margin[columns],
                            hidden[start : start + length],
                            part,
                            columns,
                        )
                        alive = best + offsets[columns] > 0
                        columns, best, place = columns[alive], best[alive], place[alive]
                    value = best + offsets[columns]
                    entry = columns + low
                    result[text, entry] = torch.log1p(value)
                    found.append((torch.full_like(entry, text), entry, place + start, value))
                    start += length
        if any(ctx.needs_input_grad):
            text_of, entry, token, value = (torch.cat(parts) for parts in zip(*found, strict=True))
            ctx.save_for_backward(hidden, weight, text_of, entry, token, value)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, text, entry, token, value = ctx.saved_tensors
        (gradient,) = gradients
        at_logit = gradient[text, entry].float() / (1.0 + value)  # d log(1 + x) = 1 / (1 + x)
        to_hidden = torch.zeros(hidden.shape, dtype=torch.float32, device=hidden.device)
        to_weight = torch.zeros(weight.shape, dtype=torch.float32, device=weight.device)
        to_bias = torch.zeros(weight.shape[0], dtype=torch.float32, device=weight.device)
        to_bias.index_add_(0, entry, at_logit)
        for low in range(0, len(entry), SURVIVOR_CHUNK):
            part = slice(low, low + SURVIVOR_CHUNK)
            factor = at_logit[part].unsqueeze(1)
            to_hidden.index_add_(0, token[part], factor * weight[entry[part]].float())
            to_weight.index_add_(0, entry[part], factor * hidden[token[part]].float())
        return to_hidden.to(hidden.dtype), to_weight.to(weight.dtype), to_bias, None, None


def splade_max(
    hidden: Tensor, weight: Tensor, bias: Tensor, lengths: tuple[int, ...], *, scan: torch.dtype | None = None
) -> Tensor:
    r"""SPLADE max pooling, :math:`\log(1 + \mathrm{relu}(\max_t (h_t \cdot w_j + b_j)))` (arXiv:2109.10086).

    Args:
        hidden: (T, H), the masked-LM head's input to its last projection, texts packed without padding.
        weight: (V, H), that projection.
        bias: (V,).
        lengths: Tokens of each text, each at least 1; they sum to T.
        scan: Type in which the maxima are looked for; None: autocast's, or float32.

    Returns:
        (B, V), float32, differentiable in ``hidden``, ``weight`` and ``bias``.

    Raises:
        ValueError: If ``lengths`` do not sum to T or a text is empty.
    """
    if sum(lengths) != hidden.shape[0] or min(lengths, default=0) < 1:
        raise ValueError(f"lengths {list(lengths)} must be positive and sum to the {hidden.shape[0]} tokens of hidden")
    result: Tensor = _SpladeMax.apply(hidden, weight, bias, lengths, scan or _autocast_dtype(hidden.device))  # type: ignore[no-untyped-call]
    return result
