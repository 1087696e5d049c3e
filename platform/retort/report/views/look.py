"""One turn as a person wants to see it: what was said, what the student reads, what the teachers wrote, what is relevant."""

from typing import TYPE_CHECKING, Any, Final

from retort.config import ContextConfig
from retort.corpora.collection import passages_by_id
from retort.corpora.context import context_of, context_text, fit_context
from retort.corpora.turns import read_judgements, read_turns, splits
from retort.errors import InputError
from retort.records import Passage, Turn
from retort.storage import Workspace
from retort.teachers.imports import read_rewrites, teachers_of

if TYPE_CHECKING:
    from retort.sparse.tokens import Tokenizer

__all__ = ["UNKNOWN", "describe_turn", "find_turn", "rewrites_of"]

UNKNOWN: Final = "(not in the collection)"  # stands for the text of a judged passage that is not there


def find_turn(workspace: Workspace, query_id: str, *, split: str | None) -> tuple[str, Turn]:
    """A turn, and the split that it is in.

    Args:
        workspace: Where to look.
        query_id: The turn.
        split: Where it is; None: every split is looked through.

    Raises:
        InputError: If there is no such turn, or several splits have one.
    """
    searched = [split] if split is not None else splits(workspace)
    matches = [(name, turn) for name in searched for turn in read_turns(workspace, name) if turn.query_id == query_id]
    if len(matches) != 1:
        where = ", ".join(name for name, _ in matches) or ", ".join(searched)
        problem = f"is in {where}; choose one with --split" if matches else f"is in none of {where}"
        raise InputError(f"the turn {query_id!r} {problem}")
    return matches[0]


def describe_turn(
    workspace: Workspace,
    query_id: str,
    *,
    split: str | None,
    context: ContextConfig,
    tokenizer: "Tokenizer | None" = None,
    max_tokens: int | None = None,
) -> dict[str, Any]:
    """All that a workspace holds of a turn, as plain data.

    Args:
        workspace: Where to look.
        query_id: The turn.
        split: Where it is; None: every split is looked through.
        context: How the student's text is made.
        tokenizer: The student's, to show what its budget cuts; None: the text is shown whole.
        max_tokens: The budget.

    Raises:
        InputError: If there is no such turn, or several splits have one.
    """
    name, turn = find_turn(workspace, query_id, split=split)
    judged = read_judgements(workspace, name).get(query_id, {})
    doc_ids = sorted(judged, key=lambda doc_id: -judged[doc_id])
    passages = passages_by_id(
        workspace, judged
    )  # judgements of relevance 0 may name passages that the collection lacks
    return {
        "query_id": query_id,
        "split": name,
        "conversation_id": turn.conversation_id,
        "turn_number": turn.turn_number,
        "history": [{"role": message.role, "text": message.text} for message in turn.history],
        "question": turn.question,
        "answer": turn.answer,
        "attributes": turn.attributes,
        "context": context_text(turn, context),
        "read": None
        if tokenizer is None or max_tokens is None
        else _read(turn, context, tokenizer=tokenizer, max_tokens=max_tokens),
        "rewrites": {
            teacher: own[query_id] for teacher, own in rewrites_of(workspace, name).items() if query_id in own
        },
        "judged": [
            {"doc_id": own.doc_id, "relevance": judged[own.doc_id], "title": own.title, "text": own.text}
            for own in (passages.get(doc_id, Passage(doc_id, "", UNKNOWN)) for doc_id in doc_ids)
        ],
    }


def _read(turn: Turn, config: ContextConfig, *, tokenizer: "Tokenizer", max_tokens: int) -> dict[str, Any]:
    fitted = fit_context(tokenizer, context_of(turn, config), config, max_tokens=max_tokens)
    return {
        "tokens": len(fitted.ids),
        "max_tokens": max_tokens,
        "segments": [
            {
                "text": segment.text,
                "tokens": segment.tokens,
                "kept": len(segment.kept),
                # Word pieces put together again; what is read of a message need not be its beginning.
                "read": segment.text
                if len(segment.kept) == segment.tokens
                else " ".join(tokenizer.token(int(index)) for index in segment.kept).replace(" ##", ""),
            }
            for segment in fitted.segments
        ],
    }


def rewrites_of(workspace: Workspace, split: str) -> dict[str, dict[str, str]]:
    """Every teacher's rewrites of a split: teacher -> query_id -> rewrite, teachers sorted by name."""
    return {teacher: read_rewrites(workspace, teacher, split) for teacher in teachers_of(workspace, split)}
