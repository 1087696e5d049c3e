"""Texts packed one after the other, so that nothing is computed on padding, and the models that can read them so.

A body reads one row of T tokens; its attention keeps the texts apart (``attention.py``), its positions start again with
every text. Bodies that are not known to be able to do that get the padded batch they expect, and it is said once.

Shapes: B texts, T tokens of all of them, H hidden size.
"""

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PretrainedConfig, PreTrainedModel

from retort.sparse.encoders.attention import PACKED_ATTENTION
from retort.sparse.encoders.dropout import replace_dropout
from retort.sparse.encoders.models import ROBERTA_LIKE
from retort.sparse.vectors import Int32

__all__ = ["PACKED_BODIES", "pack", "prepare_body", "read_packed"]

# What is tested to give the padded batch's vectors: sequence-wise attention through transformers' attention interface.
PACKED_BODIES = ("bert", "camembert", "distilbert", "modernbert", "roberta", "xlm-roberta")

logger = logging.getLogger("retort")


def pack(sequences: Sequence[Int32]) -> tuple[Tensor, tuple[int, ...]]:
    """Input ids of several texts, one after the other, (T,) int64, and the texts' lengths."""
    return torch.from_numpy(np.concatenate(sequences).astype(np.int64)), tuple(len(ids) for ids in sequences)


@lru_cache(maxsize=16)
def _say_padded(model_type: str) -> None:
    logger.warning(
        "bodies of type %s are run on padded batches, which is slower; unpadded are: %s",
        model_type,
        ", ".join(PACKED_BODIES),
    )


def prepare_body(model: PreTrainedModel) -> None:
    """Let a model read packed texts, if it can, and drop out fast; its weights and its configuration file stay as they are."""
    replace_dropout(model)
    if model.config.model_type in PACKED_BODIES:
        model.set_attn_implementation(PACKED_ATTENTION)
    else:
        _say_padded(model.config.model_type)


def _positions(lengths: tuple[int, ...], settings: PretrainedConfig, device: torch.device) -> Tensor:
    # RoBERTa's positions begin behind its padding's.
    first = settings.pad_token_id + 1 if settings.model_type in ROBERTA_LIKE else 0
    positions = np.concatenate([np.arange(first, first + length) for length in lengths])
    return torch.from_numpy(positions).to(device)


def read_packed(
    run: Callable[..., Tensor], settings: PretrainedConfig, input_ids: Tensor, lengths: tuple[int, ...]
) -> Tensor:
    """Hidden states of packed texts, from a model that ``prepare_body`` was called for.

    Args:
        run: The model's keyword arguments -> its hidden states (rows, tokens, H).
        settings: The model's configuration.
        input_ids: (T,).
        lengths: Lengths of the B texts.

    Returns:
        (T, H).
    """
    if sum(lengths) != len(input_ids) or min(lengths, default=0) < 1:
        raise ValueError(f"lengths {list(lengths)} must be positive and sum to the {len(input_ids)} input ids")
    if settings._attn_implementation == PACKED_ATTENTION:
        more: dict[str, Any] = {}
        if settings.model_type == "modernbert":
            # It would make a (T, T) mask for its sliding windows, which the attention function keeps by itself.
            more["attention_mask"] = {"full_attention": None, "sliding_attention": None}
        positions = _positions(lengths, settings, input_ids.device)
        hidden = run(
            input_ids=input_ids.unsqueeze(0), position_ids=positions.unsqueeze(0), text_lengths=lengths, **more
        )
        return hidden[0]
    texts = input_ids.split(lengths)
    padding = settings.pad_token_id if settings.pad_token_id is not None else 0
    mask = pad_sequence([torch.ones_like(text) for text in texts], batch_first=True)
    padded = pad_sequence(list(texts), batch_first=True, padding_value=padding)
    return run(input_ids=padded, attention_mask=mask)[mask.bool()]
