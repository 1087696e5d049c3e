"""Which training conversations are kept out of training and chosen on: whole ones, since their turns share words."""

import hashlib
import math
from collections.abc import Iterable

from retort.config import HoldoutConfig
from retort.errors import ConfigError

__all__ = ["HELD_OUT", "validation_conversations"]

HELD_OUT = "validate"  # as a split: the conversations that corpus.validate holds out of training


def validation_conversations(conversation_ids: Iterable[str], config: HoldoutConfig) -> frozenset[str]:
    """Draw the held-out conversations: at least one, and at least one is left to train on.

    Conversations are ordered by a hash of seed and id, so that neither their order nor a library's random generator
    matters.

    Args:
        conversation_ids: The conversations of the training split, in any order, repeated or not.
        config: Share (rounded to the nearest number of conversations) and seed.

    Raises:
        ConfigError: If there are fewer than two conversations.
    """
    drawn = sorted(
        set(conversation_ids), key=lambda name: (hashlib.sha256(f"{config.seed}:{name}".encode()).digest(), name)
    )
    if len(drawn) < 2:
        raise ConfigError(
            [
                f"corpus.validate: a share of {len(drawn)} conversation(s) cannot be held out, two are needed; "
                "name a split to choose on, or set it to null"
            ]
        )
    count = math.floor(len(drawn) * config.share + 0.5)
    return frozenset(drawn[: min(max(count, 1), len(drawn) - 1)])
