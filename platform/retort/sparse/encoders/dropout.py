"""Dropout on a processor at the speed of memory: a kept entry is a hash of its place, so that no mask is drawn or stored.

``torch.nn.functional.dropout`` draws one random number after the other, 7 ns an entry; with attention's probabilities that
was a seventh of a training step. Here entry i is kept iff ``hash(seed, i)`` is at least p * 2**32, a counter-based generator
whose loop the compiler vectorises. The backward pass computes the same hashes again. The seed comes from torch's generator,
so that ``torch.manual_seed`` decides what is dropped.
"""

from typing import Any, cast

import numba
import numpy as np
import torch
from numba import float32, uint32
from torch import Tensor, nn

__all__ = ["FAST", "FastDropout", "draw_seed", "drop", "keeping", "kept", "replace_dropout"]

FAST = (torch.float32, torch.bfloat16)  # what a processor trains in


@numba.njit(inline="always")  # type: ignore[untyped-decorator,unused-ignore]
def kept(place: Any, seed: Any, threshold: Any) -> Any:  # pragma: no cover - compiled
    """Whether the entry at a place is kept: 32 well-mixed bits of (seed, place) against the threshold."""
    bits = uint32(uint32(place) * uint32(0x9E3779B1) + seed)
    bits = uint32(bits ^ (bits >> uint32(16)))
    bits = uint32(bits * uint32(0x7FEB352D))
    bits = uint32(bits ^ (bits >> uint32(15)))
    bits = uint32(bits * uint32(0x846CA68B))
    bits = uint32(bits ^ (bits >> uint32(16)))
    return bits >= threshold


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _drop(values: Any, result: Any, seed: Any, threshold: Any, factor: Any) -> None:  # pragma: no cover - compiled
    key, limit = uint32(seed), uint32(threshold)
    for place in range(values.shape[0]):
        result[place] = values[place] * factor if kept(place, key, limit) else float32(0)


def draw_seed() -> int:
    """32 bits from torch's generator of the processor."""
    return int(torch.randint(2**32, (), dtype=torch.int64).item())


def keeping(probability: float) -> tuple[int, np.float32]:
    """The hash's threshold and the factor on what is kept, for a probability of being dropped."""
    return round(probability * 2**32), np.float32(1.0 / (1.0 - probability))


def drop(values: Tensor, seed: int, probability: float) -> Tensor:
    """``values`` with the share ``probability`` of its entries set to 0 and the others scaled up.

    Any shape. float32; another type is computed in it and rounded back, which is faster than torch's dropout all the same.
    """
    single = values.float().contiguous()
    result = torch.empty_like(single)
    threshold, factor = keeping(probability)
    _drop(single.view(-1).numpy(), result.view(-1).numpy(), seed, threshold, factor)
    return result.to(values.dtype)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, seed: int, probability: float) -> Tensor:
        ctx.seed, ctx.probability = seed, probability
        return drop(values.detach(), seed, probability)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        return drop(gradient.detach(), ctx.seed, ctx.probability), None, None


class FastDropout(nn.Dropout):
    """``nn.Dropout`` whose path on a processor needs no random numbers; elsewhere torch's own."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape."""
        if not self.training or self.p == 0:
            return input
        if input.device.type != "cpu" or input.dtype not in FAST or self.p == 1 or self.inplace:
            return super().forward(input)
        return cast(Tensor, _Dropout.apply(input, draw_seed(), self.p))  # type: ignore[no-untyped-call]


def replace_dropout(model: nn.Module) -> None:
    """Put a ``FastDropout`` in the place of every ``nn.Dropout`` of a model."""
    for module in model.modules():
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, FastDropout(child.p, child.inplace).train(child.training))
