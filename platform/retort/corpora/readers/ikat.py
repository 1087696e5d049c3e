"""TREC iKAT 2023, 2024 and 2025: conversations with what is known of their user, the personal knowledge base (PTKB).

The years spell the same things differently: ``number`` is text or a number; the turns stand under ``turns`` (2025:
``responses``), the question under ``utterance`` (``user_utterance``), the PTKB is an object of numbered statements or a
list, the relevant statements are numbers (``ptkb_provenance``) or the statements themselves (``relevant_ptkbs``). Passages
are ClueWeb22-B's, ids ``clueweb22-en0035-25-01897:1``; only some turns are judged.

The PTKB is kept in the turns' attributes ``ptkb`` and ``ptkb_relevant``, one statement a line; ``context.ptkb`` says
whether it is part of the student's text. ``resolved_utterance`` is imported as the teacher "human".
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from retort.corpora.importing import Conversations, CorpusImport, ImportRequest, import_split
from retort.corpora.official.published import year_part
from retort.formats.json_files import Fields, read_records, shown
from retort.formats.lines import digests_of, is_encodable
from retort.records import Message, Rewrite, Turn

__all__ = ["TEACHER", "YEARS", "import_ikat", "read_ikat"]

TEACHER: Final = "human"
YEARS: Final = (2023, 2024, 2025)
Attributes = dict[str, str]


def import_ikat(request: ImportRequest, topics: Path, *, year: int) -> CorpusImport:
    """Import a year's topics, and the passages of its collection that the workspace does not have.

    Args:
        request: Without judgements the passages that a response was written from have relevance 1.
        topics: ``2023_test_topics.json`` and its like.
        year: The year of the track: it decides which published counts the report shows.
    """
    inputs = digests_of(topics=topics, qrels=request.qrels)
    read = read_ikat(topics, provenance=request.qrels is None)
    return import_split(read, request, inputs=inputs, corpus="ikat", part=year_part(year, topics))


def read_ikat(path: Path, *, provenance: bool = True) -> Conversations:
    """Read and check a topics file.

    Args:
        path: The file.
        provenance: The passages that responses were written from are the turns' positives.

    Raises:
        DataError: With the line of the first conversation that is broken.
    """
    turns: list[Turn] = []
    rewrites: list[Rewrite] = []
    places: dict[str, str] = {}
    for line, record in read_records(path, of="conversations"):
        conversation = Fields(record, path, line, what="the conversation")
        number = conversation.identifier("number")
        statements = _statements(conversation)
        common: Attributes = {"ptkb": "\n".join(statements.values())} if statements else {}
        title = conversation.optional_text("title")
        common |= {} if title is None else {"title": title}
        history: list[Message] = []
        for position, item in enumerate(conversation.items("turns", "responses"), start=1):
            fields = conversation.below(item, f"turn {position} of conversation {number}")
            query_id = f"{number}_{fields.number('turn_id')}"
            if query_id in places:
                raise fields.wrong(f"the turn {query_id} is there twice; remove one")
            places[query_id] = fields.place
            question = fields.text("utterance", "user_utterance")
            relevant = _relevant(fields, statements)
            response = fields.optional_text("response")
            turns.append(
                Turn(
                    query_id=query_id,
                    conversation_id=number,
                    turn_number=position,
                    history=tuple(history),
                    question=question,
                    answer=response,
                    positives=fields.doc_ids("response_provenance", "citations") if provenance else (),
                    attributes=common | ({"ptkb_relevant": "\n".join(relevant)} if relevant else {}),
                )
            )
            rewrite = fields.optional_text("resolved_utterance")
            if rewrite is not None:
                rewrites.append(Rewrite(query_id, rewrite))
            history.append(Message("user", question))
            if response is not None:
                history.append(Message("agent", response))
    return Conversations(path=path, turns=tuple(turns), places=places, rewrites={TEACHER: tuple(rewrites)})


def _statements(conversation: Fields) -> dict[str, str]:
    # 2023 and 2024 number them from "1"; a list is numbered likewise.
    value: Any = conversation.record["ptkb"] if conversation.has("ptkb") else {}
    items = value if isinstance(value, dict) else {}
    if isinstance(value, list):
        items = {str(number): text for number, text in enumerate(value, start=1)}
    if not isinstance(value, dict | list) or not all(isinstance(t, str) and is_encodable(t) for t in items.values()):
        raise conversation.wrong(f"ptkb must hold statements by number, or a list of them, got {shown(value)}")
    return {str(key): " ".join(text.split()) for key, text in items.items()}


def _relevant(fields: Fields, statements: Mapping[str, str]) -> list[str]:
    key = next((key for key in ("ptkb_provenance", "relevant_ptkbs") if fields.has(key)), None)
    if key is None:
        return []
    relevant = []
    for item in fields.items(key):
        if isinstance(item, str) and item not in statements and is_encodable(item):
            relevant.append(" ".join(item.split()))  # the statement itself
        elif isinstance(item, int | str) and str(item) in statements:
            relevant.append(statements[str(item)])
        else:
            raise fields.wrong(f"{key} names the statement {shown(item)}, which the ptkb does not have")
    return relevant
