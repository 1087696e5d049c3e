"""What flows between the stages, as records and as Arrow schemas. No defaults of an experiment.

A *turn* is one user utterance with its history and the unit that is retrieved for; its id is its ``query_id``. A passage's
*row* is its place in import order: rows, not ids, are what vectors, rankings and training shards refer to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

__all__ = [
    "JUDGEMENT_SCHEMA",
    "PASSAGE_SCHEMA",
    "RANKING_SCHEMA",
    "REWRITE_SCHEMA",
    "TURN_SCHEMA",
    "Judgement",
    "Message",
    "Passage",
    "Rewrite",
    "TeacherRanking",
    "Turn",
    "passage_text",
    "training_schema",
]

Role = Literal["user", "agent"]


@dataclass(frozen=True, slots=True)
class Passage:
    """One passage of the collection; :func:`passage_text` is what is indexed of it."""

    doc_id: str
    title: str
    text: str


def passage_text(title: str, text: str) -> str:
    """Join a passage's title and text as encoders and tokenisers read them: ``title. text``, or the text alone."""
    return f"{title}. {text}" if title else text


@dataclass(frozen=True, slots=True)
class Message:
    """One utterance of the history; ``text`` is its text, without any separator."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One user utterance with its history, oldest message first.

    Attributes:
        query_id: The turn's id, unique within a split.
        conversation_id: Conversations, not turns, are what is held out and resampled.
        turn_number: 1 for the first turn of a conversation.
        history: What was said before, oldest first.
        question: The current utterance.
        answer: The agent's answer to it, where the corpus has one; never part of the context.
        positives: doc_ids of the passages that the corpus gives as relevant.
        attributes: Further columns of the corpus (domain, topic...), as text.
    """

    query_id: str
    conversation_id: str
    turn_number: int
    history: tuple[Message, ...]
    question: str
    answer: str | None = None
    positives: tuple[str, ...] = ()
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A graded judgement of one passage for one turn; relevance 0 is judged and not relevant."""

    query_id: str
    doc_id: str
    relevance: int


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A self-contained question that a teacher wrote for the turn."""

    query_id: str
    rewrite: str


@dataclass(frozen=True, slots=True)
class TeacherRanking:
    """The passages that a teacher's rewrite retrieves, best first, with the rewrite's own sparse vector."""

    query_id: str
    passage_rows: Sequence[int]
    scores: Sequence[float]
    rewrite_indices: Sequence[int]
    rewrite_values: Sequence[float]


_ROWS = pa.list_(pa.int32())
_SCORES = pa.list_(pa.float32())

PASSAGE_SCHEMA = pa.schema([("doc_id", pa.string()), ("title", pa.string()), ("text", pa.string())])

TURN_SCHEMA = pa.schema(
    [
        ("query_id", pa.string()),
        ("conversation_id", pa.string()),
        ("turn_number", pa.int32()),
        ("history", pa.list_(pa.struct([("role", pa.string()), ("text", pa.string())]))),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("positives", pa.list_(pa.string())),
        ("attributes", pa.map_(pa.string(), pa.string())),
    ]
)

JUDGEMENT_SCHEMA = pa.schema([("query_id", pa.string()), ("doc_id", pa.string()), ("relevance", pa.int32())])

REWRITE_SCHEMA = pa.schema([("query_id", pa.string()), ("rewrite", pa.string())])

RANKING_SCHEMA = pa.schema(
    [
        ("query_id", pa.string()),
        ("passage_rows", _ROWS),
        ("scores", _SCORES),
        ("rewrite_indices", _ROWS),
        ("rewrite_values", _SCORES),
    ]
)


def training_schema(teachers: Sequence[str]) -> pa.Schema:
    """Schema of a training shard: all that a distillation step needs of a turn, per teacher where it depends on one.

    ``excluded_rows`` are the judged positives and every passage with the same text as one of them: never a sample, never a
    negative. ``positive_scores`` has the teacher's score of each positive, also of those outside its top K.
    """
    fields: list[pa.Field] = [
        pa.field("query_id", pa.string()),
        pa.field("conversation_id", pa.string()),
        pa.field("turn_number", pa.int32()),
        pa.field("input_ids", _ROWS),
        pa.field("positive_rows", _ROWS),
        pa.field("excluded_rows", _ROWS),
    ]
    for teacher in teachers:
        fields += [
            pa.field(f"{teacher}/positive_scores", _SCORES),
            pa.field(f"{teacher}/passage_rows", _ROWS),
            pa.field(f"{teacher}/scores", _SCORES),
            pa.field(f"{teacher}/rewrite_indices", _ROWS),
            pa.field(f"{teacher}/rewrite_values", _SCORES),
        ]
    return pa.schema(fields)
