"""Estimate how many tokens rewriting takes, and what they cost where the prices are known."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from retort.config import EndpointConfig, RewritingConfig
from retort.records import Turn
from retort.teachers.endpoints import tokens_of
from retort.teachers.prompts import Prompt, ask_for

__all__ = ["Estimate", "cost", "estimate"]

PER: Final = 1_000_000  # tokens that a price is of
MESSAGE_TOKENS: Final = 4  # that a message costs beside its text


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimate for the turns that are still to be rewritten.

    Attributes:
        turns: How many turns there are.
        input_tokens: Tokens of the prompts, estimated as one for every 4 bytes.
        output_tokens: The most tokens that the answers can have, by the limit of each.
        price: The most that both can cost; None where no price was given.
    """

    turns: int
    input_tokens: int
    output_tokens: int
    price: float | None


def cost(input_tokens: int, output_tokens: int, endpoint: EndpointConfig | None) -> float | None:
    """The price of tokens; None where no price was given."""
    if endpoint is None or endpoint.price_in is None or endpoint.price_out is None:
        return None
    return (input_tokens * endpoint.price_in + output_tokens * endpoint.price_out) / PER


def estimate(turns: Iterable[Turn], prompt: Prompt, settings: RewritingConfig) -> Estimate:
    """Estimate before anything is asked; retries are not in it."""
    count = tokens = 0
    for turn in turns:
        ask = ask_for(turn, prompt)
        count += 1
        tokens += tokens_of(ask.user) + MESSAGE_TOKENS
        tokens += tokens_of(ask.system) + MESSAGE_TOKENS if ask.system else 0
    answers = count * settings.max_new_tokens
    return Estimate(count, tokens, answers, cost(tokens, answers, settings.endpoint))
