"""Turns -> a teacher's rewrites: one plain function over a batch, whoever answers.

A turn that fails is an outcome with its reason, not an exception: a batch of 45,000 is not lost to one of them. An
exception is for what would fail for every turn alike, such as a key that is refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from retort.records import Turn
from retort.teachers.prompts import Ask, Prompt, ask_for, rewrite_in

__all__ = ["Answer", "Answerer", "Outcome", "cut_answer", "outcome_of", "rewrite_turns"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer for one turn.

    Attributes:
        text: The text of the answer; None: there is none.
        reason: Why there is none.
        input_tokens: Tokens of the prompt, where the back-end counts them. Failed attempts that were answered count too.
        output_tokens: Tokens of the answer, counted likewise.
        attempts: How many requests it took.
    """

    text: str | None
    reason: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    attempts: int = 1


def cut_answer(limit: int, input_tokens: int, output_tokens: int) -> Answer:
    """What becomes of an answer that ended at the limit of its tokens: it is none."""
    return Answer(None, f"the answer was cut at {limit} tokens; raise --max-new-tokens", input_tokens, output_tokens)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A turn's rewrite, or the reason why there is none, and what it took."""

    query_id: str
    rewrite: str | None
    reason: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    attempts: int = 1


class Answerer(Protocol):
    """A back-end: asks a model, in whatever order it likes, and hands over each answer once."""

    def __call__(self, asks: Sequence[Ask], on_answer: Callable[[int, Answer], None]) -> None:
        """Answer all; ``on_answer`` gets an ask's number and its answer as soon as it is there, one at a time."""
        ...

    def newest_that_fit(self, turn: Turn, prompt: Prompt) -> int | None:
        """How many of the newest messages the model can read; None: all of them."""
        ...


def outcome_of(query_id: str, answer: Answer, prompt: Prompt) -> Outcome:
    """An answer, read as its prompt says."""
    rewrite, reason = (None, answer.reason) if answer.text is None else rewrite_in(answer.text, prompt)
    return Outcome(query_id, rewrite, reason, answer.input_tokens, answer.output_tokens, answer.attempts)


def rewrite_turns(
    turns: Sequence[Turn],
    prompt: Prompt,
    answerer: Answerer,
    *,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Rewrite a batch of turns.

    Args:
        turns: The turns.
        prompt: The prompt into which each turn is put.
        answerer: The back-end that is asked.
        on_outcome: Called with each outcome as soon as it is there, before the next; what it does is done for good even
            if the process ends then.

    Returns:
        An outcome for each turn, in their order.
    """
    asks = [ask_for(turn, prompt, newest=answerer.newest_that_fit(turn, prompt)) for turn in turns]
    outcomes: dict[int, Outcome] = {}

    def take(number: int, answer: Answer) -> None:
        outcomes[number] = outcome_of(asks[number].query_id, answer, prompt)
        if on_outcome is not None:
            on_outcome(outcomes[number])

    answerer(asks, take)
    assert len(outcomes) == len(asks), "a back-end answered fewer turns than it was asked"
    return [outcomes[number] for number in range(len(asks))]
