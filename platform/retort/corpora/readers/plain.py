"""Plain JSON lines, for corpora that no reader knows: our own records, one a line.

``passages.jsonl``: ``doc_id``, ``text``, and optionally ``title``. ``turns.jsonl``: ``query_id``, ``conversation_id``,
``turn_number`` (from 1), ``question``, and optionally ``history`` (a list of ``{"role": "user" or "agent", "text"}``,
oldest first), ``answer``, ``positives`` (doc_ids) and ``attributes`` (text by name). Other keys are refused: a misspelled
one would be lost silently. Graded judgements come from a qrels file.
"""

from pathlib import Path
from typing import Any, Final, cast

from retort.corpora.importing import Conversations, CorpusImport, ImportRequest, import_split
from retort.formats.json_files import Fields, read_records, shown
from retort.formats.lines import digests_of, is_blank, is_encodable
from retort.records import Message, Role, Turn

__all__ = ["import_jsonl", "read_plain"]

KEYS: Final = frozenset(Turn.__dataclass_fields__)


def import_jsonl(request: ImportRequest, turns: Path) -> CorpusImport:
    """Import a split from ``turns.jsonl``, with a collection of ``passages.jsonl`` or any other form."""
    return import_split(read_plain(turns), request, inputs=digests_of(topics=turns, qrels=request.qrels))


def read_plain(path: Path) -> Conversations:
    """Read and check a file of turns.

    Raises:
        DataError: With the line of the first record that is broken.
    """
    turns: list[Turn] = []
    places: dict[str, str] = {}
    for line, record in read_records(path):
        fields = Fields(record, path, line)
        if unknown := sorted(fields.record.keys() - KEYS):
            raise fields.wrong(f"unknown key {shown(unknown[0])}; known are {', '.join(sorted(KEYS))}")
        query_id = fields.identifier("query_id")
        if query_id in places:
            raise fields.wrong(f"the turn {query_id} is at {places[query_id]} already; remove one")
        places[query_id] = fields.place
        turns.append(
            Turn(
                query_id=query_id,
                conversation_id=fields.identifier("conversation_id"),
                turn_number=fields.number("turn_number"),
                history=_history(fields),
                question=fields.text("question"),
                answer=fields.optional_text("answer"),
                positives=fields.doc_ids("positives"),
                attributes=_attributes(fields),
            )
        )
    return Conversations(path=path, turns=tuple(turns), places=places)


def _history(fields: Fields) -> tuple[Message, ...]:
    messages = []
    for number, item in enumerate(fields.items("history") if fields.has("history") else ()):
        message = fields.below(item, f"history[{number}]")
        role, text = message.text("role"), message.text("text", empty=True)
        if role not in ("user", "agent"):
            raise fields.wrong(f"role must be user or agent, got {shown(role)}")
        if is_blank(text):
            raise fields.wrong(f"history[{number}] has no text; leave the message out")
        messages.append(Message(cast(Role, role), text))
    return tuple(messages)


def _attributes(fields: Fields) -> dict[str, str]:
    value: Any = fields.record["attributes"] if fields.has("attributes") else {}
    if not isinstance(value, dict) or not all(
        isinstance(text, str) and is_encodable(text) and is_encodable(name) for name, text in value.items()
    ):
        raise fields.wrong(f"attributes must hold valid text by name, got {shown(value)}")
    return dict(value)
