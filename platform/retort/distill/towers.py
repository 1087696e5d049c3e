"""Both encoders of a training that trains its passages too, as one module; the cache of passage vectors is then off.

DDP averages the gradients of the one module that it wraps, so that both encoders are parts of one. Each part of a batch, a
worker's or an accumulation step's, encodes the whole batch's pool: its gradient in the passages is then the gradient of its
own loss, and the parts' gradients add up to the batch's.

Shapes: b turns of a part, U passages in the batch's pool, V vocabulary entries.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from retort.shards.texts import PassageTokens
from retort.sparse.encoders.encoder import QueryEncoder
from retort.sparse.encoders.packing import pack
from retort.sparse.vectors import Int64

__all__ = ["PassageTexts", "Towers", "TrainedPassages", "say_cache_is_off"]

logger = logging.getLogger("retort")


@dataclass(frozen=True)
class TrainedPassages:
    """What trains passages beside queries.

    Attributes:
        encoder: Trained in place.
        tokens: Input ids of the workspace's passages.
    """

    encoder: QueryEncoder
    tokens: PassageTokens


@dataclass(frozen=True)
class PassageTexts:
    """A batch's pool of passages as texts, packed, on the device.

    Attributes:
        input_ids: (t,) of the U passages, one after the other.
        lengths: Number of tokens of each passage.
    """

    input_ids: Tensor
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, tokens: PassageTokens, rows: Sequence[int] | Int64, device: torch.device) -> "PassageTexts":
        """The passages of these rows."""
        input_ids, lengths = pack(tokens.input_ids(rows))
        return cls(input_ids.to(device), lengths)


class Towers(nn.Module):
    """A query encoder and a passage encoder that are trained together.

    Args:
        query: The student.
        passage: Starts as the frozen encoder did.
    """

    def __init__(self, query: QueryEncoder, passage: QueryEncoder) -> None:
        super().__init__()
        self.query = query
        self.passage = passage

    def forward(
        self, input_ids: Tensor, lengths: tuple[int, ...], passages: PassageTexts | None = None
    ) -> tuple[Tensor, Tensor] | Tensor:
        """Packed queries -> (b, V), and with passages their vectors (U, V) beside them.

        Queries come first: what dropout draws for them is the same with passages and without.
        """
        queries: Tensor = self.query(input_ids, lengths)
        if passages is None:
            return queries
        return queries, self.passage(passages.input_ids, passages.lengths)


def say_cache_is_off(pool: PassageTexts) -> None:
    """Say what training the passage encoder costs, by the first batch's pool."""
    logger.warning(
        "training.passage_encoder=trained: the passage cache is off; every step encodes the passages of its batch, "
        "%d with %d tokens in the first",
        len(pool.lengths),
        len(pool.input_ids),
    )
