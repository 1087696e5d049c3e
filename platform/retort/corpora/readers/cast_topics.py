"""The topics files of TREC CAsT, whose form changes every year; all of them end in nodes with a parent.

- 2019: ``raw_utterance`` alone; resolved questions stand in a TSV file beside (``31_4<TAB>text``).
- 2020: manual and automatic files, with rewrites, and the id of the canonical response, a passage of the collection.
- 2021: the canonical response's text is in the file (``passage``). A turn number can be there twice in a topic: the
  second utterance stays in the history, and is no turn of its own, since judgements could not tell the two apart.
- 2022: trees, ``1-3`` below ``1-2``, where questions and responses are nodes of their own; or the trees' paths one after the
  other, so that topics and beginnings of paths are repeated: a topic's node is one turn, however often it is there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from retort.errors import DataError, shown
from retort.formats.json_files import Fields, read_records
from retort.formats.lines import is_blank, read_lines
from retort.records import Message, Rewrite, Role, Turn

__all__ = ["Canonical", "Node", "Topic", "conversation_of", "read_resolved", "read_topic_nodes"]

Canonical = Literal["manual", "automatic", "none"]
TEACHERS: Final = {"human": "manual_rewritten_utterance", "automatic": "automatic_rewritten_utterance"}
RESPONSES: Final[Mapping[str, tuple[str, ...]]] = {
    "manual": ("manual_canonical_result_id", "canonical_result_id", "automatic_canonical_result_id"),
    "automatic": ("automatic_canonical_result_id", "canonical_result_id", "manual_canonical_result_id"),
    "none": (),
}


@dataclass(frozen=True, slots=True)
class Node:
    """An utterance of a topic.

    Attributes:
        query_id: The id of a user's turn; None for what the system says.
        parent: The utterance before it; None at the beginning.
        role: Who says it.
        text: What is said.
        response: The system's answer to it, where it stands in the same node.
        response_id: The passage which is that answer.
        provenance: doc_ids that the answer was written from.
        place: ``file:line``.
        rewrites: Teacher -> rewrite.
    """

    query_id: str | None
    parent: "Node | None"
    role: Role
    text: str
    place: str
    response: str | None = None
    response_id: str | None = None
    provenance: tuple[str, ...] = ()
    rewrites: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Topic:
    """A conversation, or a tree of them.

    Attributes:
        number: The topic's id.
        title: Its title, where it has one.
        nodes: Its utterances, by their number in the topic.
        repeated: Nodes that were there already: of another path through the same tree.
        renumbered: Utterances whose number another one has.
    """

    number: str
    title: str | None
    nodes: dict[str, Node] = field(default_factory=dict)
    repeated: int = 0
    renumbered: int = 0


def read_topic_nodes(path: Path, canonical: Canonical) -> list[Topic]:
    """Read and check a topics file of any year.

    Raises:
        DataError: With the line of the first topic that is broken.
    """
    topics: dict[str, Topic] = {}
    for line, record in read_records(path, of="topics"):
        fields = Fields(record, path, line, what="the topic")
        number = fields.identifier("number")
        is_new = number not in topics
        topic = topics.setdefault(number, Topic(number, fields.optional_text("title")))
        items = fields.items("turn", "turns")
        of_paths = any(isinstance(item, dict) and "utterance" in item for item in items)
        if not is_new and not of_paths:
            raise fields.wrong(f"the topic {number} is there twice; remove one")
        previous: Node | None = None
        for item in items:
            previous = _add(topic, fields.below(item, f"a turn of topic {number}"), previous, canonical)
    if not topics:
        raise DataError("holds no topic; was the download cut off?", path=path)
    return list(topics.values())


def _add(topic: Topic, fields: Fields, previous: Node | None, canonical: Canonical) -> Node:
    number = fields.identifier("number")
    fields.what = f"turn {number} of topic {topic.number}"
    parent = previous
    if "participant" in fields.record:
        parent = _parent(topic, fields, number)
    node = _node(topic, fields, number, parent, canonical)
    there = topic.nodes.get(number)
    if there is None:
        topic.nodes[number] = node
        return node
    if "utterance" not in fields.record and "response" not in fields.record:
        topic.renumbered += 1
        return Node(None, parent, node.role, node.text, node.place, node.response, node.response_id)
    said_before = (None if n.parent is None else n.parent.text for n in (there, node))
    if there.text != node.text or len(set(said_before)) > 1:
        raise fields.wrong(f"{fields.what} is there twice, with different utterances or after different ones")
    topic.repeated += 1
    return there


def _parent(topic: Topic, fields: Fields, number: str) -> Node | None:
    key = next((key for key in ("parent", "parent_turn") if fields.has(key)), None)
    if key is None:
        return None
    parent = topic.nodes.get(fields.identifier(key))
    if parent is None:
        raise fields.wrong(
            f"turn {number} of topic {topic.number} follows {fields.identifier(key)}, which is not before it"
        )
    return parent


def _node(topic: Topic, fields: Fields, number: str, parent: Node | None, canonical: Canonical) -> Node:
    participant = fields.optional_text("participant") or "User"
    if participant not in ("User", "System"):
        raise fields.wrong(f"participant must be User or System, got {shown(participant)}")
    provenance = fields.doc_ids("provenance", joined=True)  # 2022 has one id with a blank before its chunk number
    if participant == "System":
        said = fields.text("response", "utterance")
        return Node(None, parent, "agent", said, fields.place, provenance=provenance)
    response_id = next((fields.identifier(key) for key in RESPONSES[canonical] if fields.has(key)), None)
    response = fields.optional_text("passage", "response") if canonical != "none" else None
    rewrites = {teacher: fields.optional_text(key) for teacher, key in TEACHERS.items()}
    return Node(
        query_id=f"{topic.number}_{number}",
        parent=parent,
        role="user",
        text=fields.text("raw_utterance", "utterance"),
        place=fields.place,
        response=response,
        response_id=response_id,
        provenance=provenance or (() if response_id is None else (response_id,)),
        rewrites={teacher: text for teacher, text in rewrites.items() if text is not None},
    )


def conversation_of(topic: Topic, node: Node, texts: Mapping[str, str], *, positives: bool) -> Turn:
    """The turn of a user's node, its history looked up along its parents.

    Args:
        topic: The node's.
        node: A user's.
        texts: doc_id -> text of canonical responses.
        positives: What the answer was written from is relevant.
    """
    assert node.query_id is not None, "what the system says is no turn"
    history: list[Message] = []
    questions = 1
    for before in _ancestors(node):
        answer = _answer(before, texts)
        if answer is not None:
            history.append(Message("agent", answer))
        history.append(Message(before.role, before.text))
        questions += before.role == "user"
    history.reverse()
    below = next((n for n in topic.nodes.values() if n.parent is node and n.role == "agent"), None)
    provenance = node.provenance or (() if below is None else below.provenance)
    return Turn(
        query_id=node.query_id,
        conversation_id=topic.number,
        turn_number=questions,
        history=tuple(history),
        question=node.text,
        answer=_answer(node, texts) if below is None else below.text,
        positives=provenance if positives else (),
        attributes={} if topic.title is None else {"title": topic.title},
    )


def _ancestors(node: Node) -> Iterator[Node]:
    before = node.parent
    while before is not None:
        yield before
        before = before.parent


def _answer(node: Node, texts: Mapping[str, str]) -> str | None:
    if node.response is not None or node.response_id is None:
        return node.response
    return texts.get(node.response_id)


def read_resolved(path: Path, known: Mapping[str, object]) -> list[Rewrite]:
    """The resolved questions of 2019: query_id and text, separated by a tab.

    Raises:
        DataError: With the line of the first row that is broken, or of an unknown turn.
    """
    rewrites: dict[str, Rewrite] = {}
    for line, row in read_lines(path):
        if not row.strip():
            continue
        query_id, tab, text = row.partition("\t")
        if not tab or is_blank(text):
            raise DataError(f"expected a turn and its text, separated by a tab, got {row[:60]!r}", path=path, line=line)
        if query_id not in known:
            raise DataError(f"resolves the turn {query_id!r}, which the topics do not have", path=path, line=line)
        if query_id in rewrites:
            raise DataError(f"resolves the turn {query_id!r} twice; remove one", path=path, line=line)
        rewrites[query_id] = Rewrite(query_id, text.strip())
    if not rewrites:
        raise DataError("holds no question; was the download cut off?", path=path)
    return list(rewrites.values())
