"""One turn as a person wants to see it: what was said, what the student reads, what the teachers wrote, what is relevant."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retort.config import ContextConfig
from retort.corpora.collection import read_doc_ids, read_passages
from retort.corpora.context import context_of, context_text, fit_context
from retort.corpora.turns import read_judgements, read_turns, splits
from retort.errors import InputError
from retort.records import REWRITE_SCHEMA, Passage, Turn
from retort.storage import Workspace

if TYPE_CHECKING:
    from retort.sparse.tokens import Tokenizer

__all__ = ["describe_turn", "find_turn", "rewrites_of"]


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
    known = _known(workspace, doc_ids)
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
            {"doc_id": d, "relevance": judged[d], "title": known[d].title, "text": known[d].text}
            if d in known
            else {"doc_id": d, "relevance": judged[d], "title": "", "text": "(not in the collection)"}
            for d in doc_ids
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


def _known(workspace: Workspace, doc_ids: list[str]) -> dict[str, Passage]:
    # Judgements of relevance 0 may name passages that the collection lacks.
    there = pc.is_in(read_doc_ids(workspace), value_set=pa.array(doc_ids, pa.string()))
    rows = np.flatnonzero(there.to_numpy())
    return {passage.doc_id: passage for passage in read_passages(workspace, rows.tolist())}


def rewrites_of(workspace: Workspace, split: str) -> dict[str, dict[str, str]]:
    """Every teacher's rewrites of a split: teacher -> query_id -> rewrite, teachers sorted by name."""
    # Read here, and not through teachers: the two packages stand side by side and do not import each other.
    by_teacher: dict[str, dict[str, str]] = {}
    base = f"{workspace.root}/rewrites"
    teachers = (
        sorted(path.rsplit("/", 1)[-1] for path in workspace.fs.ls(base, detail=False))
        if workspace.fs.exists(base)
        else []
    )
    for teacher in teachers:
        folder = workspace.folder(f"rewrites/{teacher}/{split}")
        record = folder.record()
        if record is not None:
            columns = folder.read_tables(record.names(".parquet"), REWRITE_SCHEMA).to_pydict()
            by_teacher[teacher] = dict(zip(columns["query_id"], columns["rewrite"], strict=True))
    return by_teacher
