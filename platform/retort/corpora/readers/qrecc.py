"""QReCC as the SCAI challenge publishes it: one JSON array of turns, each with the conversation before it.

- ``Context`` alternates questions and answers, oldest first: 2t - 2 of them at turn t. A conversation's first question
  can be unanswerable by itself, since it was asked under a title that is not in the file; by convention its rewrite takes
  its place, there and in the later turns' history.
- ``Truth_passages`` holds ids ``URL_pN``; about half of the training turns have none. They stay, unjudged, since later
  turns need them as history and a teacher may rank passages for them all the same.
- ``Truth_rewrite`` is a person's: it is imported as the teacher "human".
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from retort.corpora.importing import Conversations, CorpusImport, ImportRequest, import_split, options_digest
from retort.corpora.official.published import official_part
from retort.formats.json_files import Fields, read_records
from retort.formats.lines import digests_of
from retort.records import Message, Rewrite, Turn

__all__ = ["TEACHER", "import_qrecc", "read_qrecc"]

TEACHER: Final = "human"
UNEVEN: Final = "do not have two utterances in Context for each turn before them: their history is what there is of it"


def import_qrecc(request: ImportRequest, turns: Path, *, first_rewritten: bool = True) -> CorpusImport:
    """Import one split, and the passages of its collection that the workspace does not have.

    Args:
        request: The collection is files and folders of ``{"id", "contents"}`` (commoncrawl, wayback, wayback-backfill);
            judgements have ids ``<Conversation_no>_<Turn_no>``, and without them ``Truth_passages`` are the judgements.
        turns: ``scai-qrecc21-training-turns.json`` or ``scai-qrecc21-test-turns.json``.
        first_rewritten: A conversation's first question is replaced by its rewrite.
    """
    inputs = digests_of(topics=turns, qrels=request.qrels)
    if not first_rewritten:
        inputs["options"] = options_digest(first_rewritten=False)
    read = read_qrecc(turns, first_rewritten=first_rewritten)
    return import_split(read, request, inputs=inputs, corpus="qrecc", part=official_part("qrecc", turns))


def read_qrecc(path: Path, *, first_rewritten: bool = True) -> Conversations:
    """Read and check a file of turns.

    Raises:
        DataError: With the line of the first record that is broken.
    """
    records: dict[str, Fields] = {}
    first_questions: dict[str, str] = {}
    for line, record in read_records(path):
        fields = Fields(record, path, line)
        conversation, number = fields.identifier("Conversation_no"), fields.number("Turn_no")
        query_id = f"{conversation}_{number}"
        if query_id in records:
            there = records[query_id].line
            raise fields.wrong(f"turn {number} of conversation {conversation} is on line {there} already; remove one")
        records[query_id] = fields
        if first_rewritten and number == 1:
            rewrite = fields.optional_text("Truth_rewrite")
            first_questions |= {} if rewrite is None else {conversation: rewrite}
    turns: list[Turn] = []
    rewrites: list[Rewrite] = []
    uneven: list[str] = []
    for query_id, fields in records.items():
        if len(fields.texts("Context")) != 2 * (fields.number("Turn_no") - 1):
            uneven.append(query_id)
        turns.append(_turn(query_id, fields, first_questions))
        rewrite = fields.optional_text("Truth_rewrite")
        if rewrite is not None:
            rewrites.append(Rewrite(query_id, rewrite))
    return Conversations(
        path=path,
        turns=tuple(turns),
        places={query_id: fields.place for query_id, fields in records.items()},
        rewrites={TEACHER: tuple(rewrites)},
        warnings=(f"{len(uneven)} turn(s), first {uneven[0]}, {UNEVEN}",) if uneven else (),
    )


def _turn(query_id: str, fields: Fields, first_questions: Mapping[str, str]) -> Turn:
    conversation, number = fields.identifier("Conversation_no"), fields.number("Turn_no")
    said = fields.texts("Context")
    question = fields.text("Question")
    if conversation in first_questions:
        if number == 1:
            question = first_questions[conversation]
        elif len(said) == 2 * (number - 1):
            said[0] = first_questions[conversation]
    source = fields.optional_text("Conversation_source")
    return Turn(
        query_id=query_id,
        conversation_id=conversation,
        turn_number=number,
        # Counted from the end: what stands before the question is the agent's.
        history=tuple(
            Message("user" if (len(said) - place) % 2 == 0 else "agent", text)
            for place, text in enumerate(said)
            if text.strip()
        ),
        question=question,
        answer=fields.optional_text("Truth_answer"),
        positives=fields.doc_ids("Truth_passages"),
        attributes={} if source is None else {"source": source},
    )
