"""Choose what the student may see of a turn, and cut it to a budget of tokens.

What is cut, is cut at the oldest end: the current question has room first, then what is kept on purpose (statements about
the user, the conversation's first question), then the history, newest first.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from retort.config import ContextConfig
from retort.records import Turn

if TYPE_CHECKING:
    from retort.sparse.tokens import Tokenizer

__all__ = ["Context", "Fitted", "Segment", "context_ids", "context_of", "context_text", "fit_context"]

SEPARATOR_TOKEN: Final = "[SEP]"  # as a setting: the tokeniser's own separator, whatever it spells
Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Context:
    """The current question and what may stand beside it.

    Attributes:
        question: The current utterance.
        history: Earlier utterances of either side, newest first.
        statements: What is known of the user.
        first: The conversation's first question, where it is kept on purpose; then it is not in ``history``.
    """

    question: str
    history: tuple[str, ...]
    statements: tuple[str, ...] = ()
    first: str | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a context: its text, its tokens, and which of these the student reads."""

    text: str
    tokens: int
    kept: Int32


@dataclass(frozen=True, slots=True)
class Fitted:
    """A context within a budget.

    Attributes:
        ids: Input ids, with special tokens.
        segments: All parts, in the order of the text; those that were cut away keep nothing.
    """

    ids: Int32
    segments: tuple[Segment, ...]


def context_of(turn: Turn, config: ContextConfig) -> Context:
    """Choose the parts of a turn that are context.

    ``config.answers`` says whether the agent's messages are in it, ``config.last_turns`` how many earlier user turns,
    each with the answers that followed it. Empty messages are left out; the question never is.
    """
    history: list[str] = []
    user_turns = 0
    first = next((i for i, message in enumerate(turn.history) if message.role == "user" and message.text), None)
    for position in range(len(turn.history) - 1, -1, -1):
        message = turn.history[position]
        if (
            (message.role == "user" or config.answers)
            and message.text
            and not (config.first_turn and position == first)
        ):
            history.append(message.text)
        user_turns += message.role == "user"
        if user_turns == config.last_turns:
            break
    kept = turn.history[first].text if config.first_turn and first is not None else None
    return Context(turn.question, tuple(history), _statements(turn, config), kept)


def _statements(turn: Turn, config: ContextConfig) -> tuple[str, ...]:
    key = {"none": "", "all": "ptkb", "relevant": "ptkb_relevant"}[config.ptkb]
    return tuple(text for text in turn.attributes.get(key, "").split("\n") if text)


def context_text(turn: Turn, config: ContextConfig) -> str:
    """The whole context as one text in the configured order, for people to look at."""
    context = context_of(turn, config)
    parts = _by_importance(context)
    separator = f" {config.separator} " if config.separator.strip() else " "
    return separator.join(parts[position] for position in _layout(context, config))


def _by_importance(context: Context) -> list[str]:
    # In the order in which the parts get room; the question is the first.
    first = [] if context.first is None else [context.first]
    return [context.question, *context.statements, *first, *context.history]


def _layout(context: Context, config: ContextConfig) -> list[int]:
    # Positions in that order, in the order of the text.
    statements = range(1, 1 + len(context.statements))
    first = [] if context.first is None else [statements.stop]
    history = range(statements.stop + len(first), statements.stop + len(first) + len(context.history))
    if config.order == "newest_first":
        return [0, *statements, *history, *first]
    return [*first, *reversed(history), *statements, 0]


def context_ids(tokenizer: "Tokenizer", context: Context, config: ContextConfig, *, max_tokens: int) -> Int32:
    """Input ids of a context: CLS, the parts with separators between them, SEP; at most ``max_tokens`` of them."""
    return fit_context(tokenizer, context, config, max_tokens=max_tokens).ids


def fit_context(tokenizer: "Tokenizer", context: Context, config: ContextConfig, *, max_tokens: int) -> Fitted:
    """Cut a context to a budget, and say what of it remains.

    The question is never cut, unless it alone exceeds the budget: then at its end. Of the history, the message that is
    cut keeps what touches the rest: its beginning where the newest comes first, its end otherwise.

    Args:
        tokenizer: The student's tokeniser.
        context: The context to cut.
        config: Its order and separator.
        max_tokens: The budget, special tokens included.
    """
    parts = _by_importance(context)
    pieces = tokenizer.pieces(parts, keep_unknown=True)
    separator = np.array([tokenizer.sep_id], dtype=np.int32)
    between = separator
    if config.separator != SEPARATOR_TOKEN:
        between = tokenizer.pieces([config.separator], keep_unknown=True)[0]
    room = max_tokens - 2  # CLS, and the SEP at the end
    kept: list[Int32] = [pieces[0][:room], *(ids[:0] for ids in pieces[1:])]
    room -= len(kept[0])
    newest = len(parts) - len(context.history)
    for position, ids in enumerate(pieces[1:], start=1):
        if room < len(between) + 1:
            break  # a separator alone would say nothing
        if not len(ids):
            continue
        room -= len(between)
        from_end = position >= newest and config.order == "oldest_first"
        kept[position] = ids[max(len(ids) - room, 0) :] if from_end else ids[:room]
        room -= len(kept[position])
    layout = _layout(context, config)
    body: list[Int32] = []
    for position in layout:
        if position == 0 or len(kept[position]):
            body += [between, kept[position]] if body else [kept[position]]
    joined = [np.array([tokenizer.cls_id], dtype=np.int32), *body, separator]
    segments = tuple(Segment(parts[position], len(pieces[position]), kept[position]) for position in layout)
    return Fitted(np.concatenate(joined), segments)
