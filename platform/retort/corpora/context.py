"""A turn -> what the student may see of it: the question, and the history newest first. Nothing is cut here."""

from dataclasses import dataclass
from typing import Final

from retort.config import ContextConfig
from retort.records import Turn

__all__ = ["Context", "context_of", "context_text"]

SEPARATOR: Final = " [SEP] "


@dataclass(frozen=True, slots=True)
class Context:
    """The current question, and the earlier utterances of either side, newest first."""

    question: str
    history: tuple[str, ...]


def context_of(turn: Turn, config: ContextConfig) -> Context:
    """What of a turn is context.

    ``config.answers`` says whether the agent's messages are in it, ``config.last_turns`` how many earlier user turns,
    each with the answers that followed it. Empty messages are left out; the question never is.
    """
    history: list[str] = []
    user_turns = 0
    for message in reversed(turn.history):
        if (message.role == "user" or config.answers) and message.text:
            history.append(message.text)
        user_turns += message.role == "user"
        if user_turns == config.last_turns:
            break
    return Context(turn.question, tuple(history))


def context_text(turn: Turn, config: ContextConfig) -> str:
    """The context as one text in the configured order, for people to look at."""
    context = context_of(turn, config)
    parts = (context.question, *context.history)
    return SEPARATOR.join(parts if config.order == "newest_first" else reversed(parts))
