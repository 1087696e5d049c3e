"""TopiOCQA's topics: one JSON array, a record per turn, in the variants that its authors publish side by side.

- ``all_history``: the question is the whole conversation so far (below).
- ``original``: the question alone; the history is that of the conversation's earlier records.
- ``rewrites_*``: the question is a rewrite: those are a teacher's, see ``read_topic_rewrites``.

In ``all_history`` the question is oldest first, ``Q1 [SEP] A1 [SEP] ... [SEP] Qt``: 2t - 1 segments at turn t. An
utterance that itself holds "[SEP]" shifts them; such a turn is read only where the turns before it say what the
segments are. Records are decoded one by one, so that every error names its line.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from retort.errors import DataError
from retort.formats.json_files import Fields, read_array, shown
from retort.formats.lines import is_blank, is_encodable
from retort.records import Message, Rewrite, Turn

__all__ = ["Topics", "Variant", "read_topic_rewrites", "read_topics"]

Variant = Literal["all_history", "original"]

SEPARATOR: Final = "[SEP]"
REQUIRED: Final = ("conv_id", "turn_id", "question", "answers", "positive_ctxs")


@dataclass(frozen=True, slots=True)
class Topics:
    """A topics file, read and checked.

    Attributes:
        turns: The turns, in the file's order.
        lines: Line of each turn's record, by query_id.
        recovered: query_ids of turns that hold "[SEP]" in an utterance.
        positive_texts: Text of each positive as the topics file quotes it, where it does.
        incomplete: query_ids of turns some of whose earlier turns the file does not have (``original``).
    """

    turns: tuple[Turn, ...]
    lines: dict[str, int]
    recovered: tuple[str, ...]
    positive_texts: dict[str, str]
    incomplete: tuple[str, ...] = ()


@dataclass(slots=True)
class _Raw:
    line: int
    conversation_id: str
    turn_number: int
    segments: list[str]
    answers: list[str]
    positives: dict[str, str | None]
    attributes: dict[str, str]
    utterances: list[str] = field(default_factory=list)  # the segments once they are attributed to utterances

    @property
    def query_id(self) -> str:
        return f"{self.conversation_id}_{self.turn_number}"


def read_topics(path: Path, *, variant: Variant = "all_history") -> Topics:
    """Read and check a topics file.

    Raises:
        DataError: With the line of the first record that is broken.
    """
    by_id = _by_id(path)
    conversations: dict[str, list[_Raw]] = {}
    for raw in by_id.values():
        conversations.setdefault(raw.conversation_id, []).append(raw)
    recovered: set[str] = set()
    incomplete: set[str] = set()
    turns: dict[str, Turn] = {}
    for conversation in conversations.values():
        conversation.sort(key=lambda raw: raw.turn_number)
        if variant == "original":
            turns |= _told_in_order(conversation, recovered, incomplete)
            continue
        earlier: _Raw | None = None
        for raw in conversation:
            raw.utterances = _utterances(path, raw, earlier)
            if len(raw.utterances) != len(raw.segments):
                recovered.add(raw.query_id)
            earlier = raw
            *said, question = raw.utterances
            history = tuple(Message("agent" if i % 2 else "user", text) for i, text in enumerate(said))
            turns[raw.query_id] = _turn(raw, history, question)
    return Topics(
        turns=tuple(turns[query_id] for query_id in by_id),
        lines={query_id: raw.line for query_id, raw in by_id.items()},
        recovered=tuple(query_id for query_id in by_id if query_id in recovered),
        positive_texts={p: text for raw in by_id.values() for p, text in raw.positives.items() if text is not None},
        incomplete=tuple(query_id for query_id in by_id if query_id in incomplete),
    )


def read_topic_rewrites(path: Path) -> tuple[Rewrite, ...]:
    """The rewrites of a ``rewrites_*`` variant: its questions, by the query_ids that the other variants have.

    Raises:
        DataError: With the line of the first record that is broken.
    """
    return tuple(Rewrite(query_id, _joined(raw.segments)) for query_id, raw in _by_id(path).items())


def _by_id(path: Path) -> dict[str, _Raw]:
    by_id: dict[str, _Raw] = {}
    for line, record in read_array(path):
        raw = _raw(Fields(record, path, line))
        if raw.query_id in by_id:
            first = by_id[raw.query_id].line
            message = (
                f"turn {raw.turn_number} of conversation {raw.conversation_id} is on line {first} already; remove one"
            )
            raise DataError(message, path=path, line=line)
        by_id[raw.query_id] = raw
    if not by_id:
        raise DataError("holds no turn: the array is empty; was the export cut off?", path=path)
    return by_id


def _told_in_order(conversation: Sequence[_Raw], recovered: set[str], incomplete: set[str]) -> dict[str, Turn]:
    turns: dict[str, Turn] = {}
    history: list[Message] = []
    for number, raw in enumerate(conversation, start=1):
        question = _joined(raw.segments)
        if len(raw.segments) > 1:
            recovered.add(raw.query_id)
        if raw.turn_number != number:
            incomplete.add(raw.query_id)
        turns[raw.query_id] = _turn(raw, tuple(history), question)
        history.append(Message("user", question))
        if raw.answers and raw.answers[0].strip():
            history.append(Message("agent", _joined([part.strip() for part in raw.answers[0].split(SEPARATOR)])))
    return turns


def _raw(record: Fields) -> _Raw:
    if missing := [key for key in REQUIRED if key not in record.record]:
        raise record.wrong(f"the turn has no {', '.join(missing)}; it has {record.keys()}")
    segments = [segment.strip() for segment in record.text("question").split(SEPARATOR)]
    if is_blank(segments[-1]):
        raise record.wrong("the question is empty: nothing that shows stands after the last [SEP]")
    return _Raw(
        line=record.line,
        conversation_id=record.identifier("conv_id"),
        turn_number=record.number("turn_id"),
        segments=segments,
        answers=record.texts("answers"),
        positives=_positives(record),
        attributes=_attributes(record),
    )


def _positives(record: Fields) -> dict[str, str | None]:
    positives: dict[str, str | None] = {}
    for item in record.items("positive_ctxs"):
        passage = record.below(item, "a passage of positive_ctxs")
        text = passage.record.get("text")
        positives[passage.identifier("passage_id")] = text if isinstance(text, str) else None
    return positives


def _attributes(record: Fields) -> dict[str, str]:
    attributes = {}
    for key, value in record.record.items():
        if key not in REQUIRED and isinstance(value, str | int | float):
            attributes[key] = value if isinstance(value, str) else json.dumps(value)
            if not (is_encodable(key) and is_encodable(attributes[key])):
                raise record.wrong(f"{key!r} must be valid text, got {shown(value)}")
    return attributes


def _utterances(path: Path, raw: _Raw, earlier: _Raw | None) -> list[str]:
    expected = 2 * raw.turn_number - 1
    if len(raw.segments) == expected:
        return raw.segments
    if len(raw.segments) > expected and (found := _recovered(raw, earlier)) is not None:
        return found
    raise DataError(
        f"turn {raw.turn_number} of conversation {raw.conversation_id} must hold {expected} utterances separated by "
        f"[SEP], got {len(raw.segments)}, and the turns before it do not say which belong together; an utterance must "
        "not hold [SEP] itself, nor may one be left out (files without history are of the variant original)",
        path=path,
        line=raw.line,
    )


def _recovered(raw: _Raw, earlier: _Raw | None) -> list[str] | None:
    # What was said up to the earlier turn is known; what follows must be countable, or begin with that turn's answer.
    if raw.turn_number == 1:
        return [_joined(raw.segments)]
    if earlier is None or _plain(raw.segments[: len(earlier.segments)]) != _plain(earlier.segments):
        return None
    rest = raw.segments[len(earlier.segments) :]
    if len(rest) == 2 * (raw.turn_number - earlier.turn_number):
        return earlier.utterances + rest
    if earlier.turn_number != raw.turn_number - 1:
        return None
    splits = set()
    for answer in earlier.answers:
        segments = _plain(answer.split(SEPARATOR))
        if len(segments) < len(rest) and _plain(rest[: len(segments)]) == segments:
            splits.add(len(segments))
    if len(splits) != 1:
        return None
    end = splits.pop()
    return [*earlier.utterances, _joined(rest[:end]), _joined(rest[end:])]


def _plain(segments: Sequence[str]) -> list[str]:
    return [" ".join(segment.split()) for segment in segments]


def _joined(segments: Sequence[str]) -> str:
    # Without the separator: tokenisers would take it for the boundary of an utterance.
    return " ".join(segment for segment in segments if segment)


def _turn(raw: _Raw, history: tuple[Message, ...], question: str) -> Turn:
    return Turn(
        query_id=raw.query_id,
        conversation_id=raw.conversation_id,
        turn_number=raw.turn_number,
        history=history,
        question=question,
        answer=raw.answers[0] if raw.answers else None,
        positives=tuple(raw.positives),
        attributes=raw.attributes,
    )
