"""MTRAG's retrieval tasks: BEIR-style files by domain, whose queries hold a whole conversation's questions.

``*_questions.jsonl`` has, in ``text``, all questions up to the current one, each behind ``|user|:``; ids are
``<conversation><::><turn>`` (earlier releases: an annotator and a time, which say nothing of the conversation; there the
first question stands for it). The files have no answers: ``--conversations`` adds them, from the benchmark's
generation tasks (``reference.jsonl``), whose ``task_id`` is the query's id. ``*_rewrite.jsonl`` holds rewrites by an LLM.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from retort.corpora.importing import Conversations, CorpusImport, ImportRequest, import_split
from retort.corpora.official.published import official_part
from retort.errors import DataError, shown
from retort.formats.json_files import Fields, read_records
from retort.formats.lines import digests_of, is_blank
from retort.records import Message, Rewrite, Turn

__all__ = ["TEACHER", "import_mtrag", "read_mtrag"]

TEACHER: Final = "mixtral"
SPEAKER: Final = re.compile(r"(?:^|\n)\|(user|agent|assistant)\|:[ \t]*")
NO_HISTORY: Final = "turns without the agent's answers in their history"


def import_mtrag(
    request: ImportRequest, questions: Path, *, conversations: Path | None = None, rewrites: Path | None = None
) -> CorpusImport:
    """Import one domain's tasks, and the passages of its collection that the workspace does not have.

    Args:
        request: The collection is the domain's passages, JSON lines, unzipped; turns that ``qrels/dev.tsv`` does not judge
            are kept, unjudged.
        questions: ``*_questions.jsonl``.
        conversations: Generation tasks with ``task_id`` and ``input``, for the agent's answers.
        rewrites: ``*_rewrite.jsonl``.
    """
    inputs = digests_of(topics=questions, qrels=request.qrels, conversations=conversations, rewrites=rewrites)
    read = read_mtrag(questions, conversations=conversations, rewrites=rewrites)
    return import_split(read, request, inputs=inputs, corpus="mtrag", part=official_part("mtrag", questions))


def read_mtrag(questions: Path, *, conversations: Path | None = None, rewrites: Path | None = None) -> Conversations:
    """Read and check a domain's files.

    Raises:
        DataError: With the line of the first record that is broken, or of a rewrite of an unknown turn.
    """
    spoken = {} if conversations is None else _spoken(conversations)
    turns: list[Turn] = []
    places: dict[str, str] = {}
    without = 0
    for line, record in read_records(questions):
        fields = Fields(record, questions, line)
        query_id = fields.identifier("_id")
        if query_id in places:
            raise fields.wrong(f"the turn {query_id} is at {places[query_id]} already; remove one")
        places[query_id] = fields.place
        asked = [Message("user", text) for role, text in _utterances(fields, fields.text("text")) if role == "user"]
        if not asked:
            raise fields.wrong("text holds no question behind |user|:")
        *history, current = asked
        if query_id in spoken:
            history = list(spoken[query_id])
        elif history:
            without += 1
        conversation, separator, number = query_id.rpartition("<::>")
        if not separator:
            conversation, number = _conversation(asked[0].text), str(len(asked))
        if not number.isascii() or not number.isdigit() or not 1 <= int(number) < 2**31:
            raise fields.wrong(f"_id must end in the turn's number, as in 'a1b2<::>3', got {shown(query_id)}")
        turns.append(Turn(query_id, conversation, int(number), tuple(history), current.text))
    if spoken and not spoken.keys() & places.keys():
        raise DataError(
            f"none of its {len(spoken)} tasks belongs to a question of {questions}; are both of the same release? Its first is "
            f"{shown(next(iter(spoken)))}, the first question is {shown(next(iter(places), None))}",
            path=conversations,
        )
    way_out = "--conversations adds them"
    if conversations is not None:
        way_out = (
            f"{conversations} has no task of theirs, though it has {len(spoken.keys() & places.keys())} of other turns"
        )
    own = () if rewrites is None else tuple(_rewrites(rewrites, places, questions))
    return Conversations(
        path=questions,
        turns=tuple(turns),
        places=places,
        rewrites={TEACHER: own},
        warnings=(f"{without} {NO_HISTORY}; {way_out}",) if without else (),
    )


def _utterances(fields: Fields, text: str) -> list[tuple[str, str]]:
    # re.split with a group: what stands before the first speaker, then speaker and utterance in turn.
    before, *parts = SPEAKER.split(text)
    if before.strip():
        if parts:
            raise fields.wrong(f"text must begin with |user|:, begins with {before[:40]!r}")
        return [("user", before.strip())] if not is_blank(before) else []
    utterances = [(role, " ".join(said.split())) for role, said in zip(parts[::2], parts[1::2], strict=True)]
    return [(role, said) for role, said in utterances if not is_blank(said)]


def _conversation(first_question: str) -> str:
    return hashlib.sha256(first_question.encode()).hexdigest()[:16]


def _spoken(path: Path) -> dict[str, tuple[Message, ...]]:
    spoken: dict[str, tuple[Message, ...]] = {}
    for line, record in read_records(path):
        fields = Fields(record, path, line, what="the task")
        messages = []
        for item in fields.items("input"):
            said = fields.below(item, "the message")
            speaker = said.text("speaker", "role")
            if speaker not in ("user", "agent", "assistant"):
                raise fields.wrong(f"speaker must be user or agent, got {shown(speaker)}")
            messages.append(Message("user" if speaker == "user" else "agent", said.text("text", "content")))
        if not messages or messages[-1].role != "user":
            raise fields.wrong("input must end with the user's question")
        task = fields.identifier("task_id", "_id")
        if spoken.setdefault(task, tuple(messages[:-1])) != tuple(messages[:-1]):
            raise fields.wrong(f"the task {shown(task)} is there already, with another input; remove one of the two")
    if not spoken:
        raise DataError("holds no task; was the download cut off?", path=path)
    return spoken


def _rewrites(path: Path, places: Mapping[str, str], questions: Path) -> list[Rewrite]:
    rewrites: dict[str, Rewrite] = {}
    for line, record in read_records(path):
        fields = Fields(record, path, line, what="the rewrite")
        query_id = fields.identifier("_id")
        if query_id not in places:
            raise fields.wrong(f"rewrites the turn {shown(query_id)}, which {questions} does not have")
        if query_id in rewrites:
            raise fields.wrong(f"{query_id} has a rewrite already; remove one")
        said = [text for _, text in _utterances(fields, fields.text("text"))]
        if not said:
            raise fields.wrong("the rewrite is empty")
        rewrites[query_id] = Rewrite(query_id, said[-1])
    return list(rewrites.values())
