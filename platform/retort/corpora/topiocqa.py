"""Import of TopiOCQA's files, and of every corpus that is brought into their form: topics, collection, qrels.

Topics: see ``retort.corpora.topics``. Collection: TSV with the header ``id<TAB>text<TAB>title`` - text second, title
last - read without csv quoting: with it, quotation marks in the text swallow whole passages. Qrels: TREC, ``qid 0 docid
rel``; without them the positives of the topics are the judgements. Topics and qrels are checked before the collection
is read, and nothing is committed unless all three are right.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from retort.corpora.collection import PART_PASSAGES, import_passages
from retort.corpora.lines import digest_of, read_lines
from retort.corpora.report import ImportReport
from retort.corpora.topics import Topics, read_topics
from retort.corpora.turns import check_split, write_turns
from retort.errors import DataError
from retort.identity import fingerprint
from retort.progress import Progress, silent
from retort.records import Judgement, Passage, Turn
from retort.storage import Workspace

__all__ = ["import_topiocqa"]

HEADER: Final = ("id", "text", "title")
EMPTY_TEXT: Final = "passages without text"
MISSING: Final = "positives that the collection lacks"


def import_topiocqa(
    topics: Path,
    collection: Path,
    *,
    split: str,
    workspace: Workspace,
    qrels: Path | None = None,
    allow_missing: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Import one split, and the passages of its collection that the workspace does not have.

    Args:
        topics: "all_history" JSON.
        collection: TSV, or TSV compressed as ``.gz``.
        split: Name of the split in the workspace.
        workspace: Where to.
        qrels: TREC judgements; None: each positive of the topics has relevance 1.
        allow_missing: Drop and count positives that the collection lacks, instead of refusing the import.
        progress: Told how many passages were read.

    Raises:
        ConfigError: If the split's name is no name.
        DataError: With file and line, if a file is broken or a positive is missing.
        WorkspaceError: If the split is there with other content.
    """
    inputs = {"topics": digest_of(topics)}
    if qrels is not None:
        inputs["qrels"] = digest_of(qrels)
    if not allow_missing:
        check_split(workspace, split, inputs=inputs)
    read = read_topics(topics)
    judged, needed = _judgements(read, topics, qrels)
    source = _Collection(collection, needed, read.positive_texts, allow_missing, progress or silent)

    def inputs_without(missing: frozenset[str]) -> Mapping[str, str]:
        # What was dropped is part of the split's identity; nothing dropped: the same split as without allow_missing.
        lacking = {"missing": fingerprint("missing", 1, config={"doc_ids": sorted(missing)}, inputs={})}
        return inputs | lacking if missing else inputs

    counts = import_passages(
        workspace,
        source.passages(),
        source=str(collection),
        digest=digest_of(collection),
        required=needed,
        allow_missing=allow_missing,
        before_commit=lambda missing: check_split(workspace, split, inputs=inputs_without(missing)),
    )
    turns = [_without(turn, counts.missing) for turn in read.turns]
    kept = [j for j in judged if j.doc_id not in counts.missing]
    new = write_turns(workspace, split, turns, kept, inputs=inputs_without(counts.missing))
    (progress or silent)("passages", source.read, source.read, "there already" if counts.skipped else "imported")
    dropped = {EMPTY_TEXT: source.empty, MISSING: len(counts.missing)}
    positives = [j for j in kept if j.relevance > 0]
    return ImportReport(
        split=split,
        skipped=counts.skipped and not new,
        conversations=len({turn.conversation_id for turn in turns}),
        turns=len(turns),
        passages_added=counts.added,
        passages_known=counts.known,
        judgements=len(kept),
        positives_per_turn=len(positives) / len(turns),
        dropped={reason: count for reason, count in dropped.items() if count},
        warnings=tuple(_warnings(read, positives, source)),
    )


def _judgements(read: Topics, topics: Path, qrels: Path | None) -> tuple[list[Judgement], dict[str, str]]:
    # Also: doc_ids that the collection must hold, with the place that says so.
    needed: dict[str, str] = {}
    for turn in read.turns:
        for doc_id in turn.positives:
            needed.setdefault(doc_id, f"{topics}:{read.lines[turn.query_id]}")
    if qrels is None:
        return [Judgement(turn.query_id, doc_id, 1) for turn in read.turns for doc_id in turn.positives], needed
    judged: dict[tuple[str, str], tuple[int, Judgement]] = {}
    for line, judgement in _read_qrels(qrels):
        if judgement.query_id not in read.lines:
            message = (
                f"judges the turn {judgement.query_id!r}, which {topics} does not have; are both of the same split?"
            )
            raise DataError(message, path=qrels, line=line)
        key = (judgement.query_id, judgement.doc_id)
        first, there = judged.setdefault(key, (line, judgement))
        if there.relevance != judgement.relevance:
            raise DataError(
                f"{judgement.doc_id} has relevance {judgement.relevance} for {judgement.query_id}, but "
                f"{there.relevance} on line {first}; remove one of the two",
                path=qrels,
                line=line,
            )
        if judgement.relevance > 0:
            needed.setdefault(judgement.doc_id, f"{qrels}:{line}")
    if not judged:
        raise DataError("holds no judgement; was the download cut off?", path=qrels)
    return [judgement for _, judgement in judged.values()], needed


def _read_qrels(path: Path) -> Iterator[tuple[int, Judgement]]:
    for line, text in read_lines(path):
        columns = text.split()
        if not columns:
            continue
        if len(columns) != 4:
            message = f"expected 4 columns, 'query_id 0 doc_id relevance', got {len(columns)}: {text[:60]!r}"
            raise DataError(message, path=path, line=line)
        try:
            relevance = int(columns[3])
        except ValueError as error:
            message = f"relevance must be a whole number, got {columns[3]!r}"
            raise DataError(message, path=path, line=line) from error
        if abs(relevance) >= 2**31:
            raise DataError(f"relevance must fit into 32 bits, got {relevance}", path=path, line=line)
        yield line, Judgement(columns[0], columns[2], relevance)


class _Collection:
    """The TSV file while it is streamed, and what was noticed on the way."""

    def __init__(
        self,
        path: Path,
        needed: Mapping[str, str],
        positive_texts: Mapping[str, str],
        allow_missing: bool,
        progress: Progress,
    ) -> None:
        self.path = path
        self.needed = needed
        self.positive_texts = positive_texts
        self.allow_missing = allow_missing
        self.progress = progress
        self.read = self.empty = self.same_texts = self.other_texts = 0

    def passages(self) -> Iterator[tuple[int, Passage]]:
        lines = read_lines(self.path)
        self._check_header(next(lines, (1, ""))[1])
        for line, row in lines:
            columns = row.split("\t")
            if len(columns) != len(HEADER):
                message = (
                    f"expected {len(HEADER)} columns ({_shown(HEADER)}), got {len(columns)}; is there a tab or a line "
                    "break inside a passage, or was the file cut off?"
                )
                raise DataError(message, path=self.path, line=line)
            doc_id, text, title = columns
            if doc_id.split() != [doc_id]:
                message = f"the id must be text without blanks (TREC runs are separated by them), got {doc_id!r}"
                raise DataError(message, path=self.path, line=line)
            self.read += 1
            if self.read % PART_PASSAGES == 0:
                self.progress("passages", self.read, None)
            if not text.strip():
                self._check_empty(line, doc_id)
                continue
            self._compare(doc_id, text)
            yield line, Passage(doc_id, title, text)

    def _check_header(self, header: str) -> None:
        got = header.split("\t")
        if tuple(got) == HEADER:
            return
        way_out = "reorder the columns and the header" if sorted(got) == sorted(HEADER) else "add that header line"
        message = (
            f"the first line must be the header {_shown(HEADER)}, separated by tabs, got {_shown(got)[:80]}; {way_out}"
        )
        raise DataError(message, path=self.path, line=1)

    def _check_empty(self, line: int, doc_id: str) -> None:
        self.empty += 1
        if doc_id in self.needed and not self.allow_missing:
            place = self.needed[doc_id]
            message = f"passage {doc_id!r} has no text, but is a positive at {place}; is the text column second?"
            raise DataError(message, path=self.path, line=line)

    def _compare(self, doc_id: str, text: str) -> None:
        # Published id columns differ by one between distributions: ids that all exist can still be the wrong ones.
        quoted = self.positive_texts.get(doc_id)
        if quoted is not None:
            same = "".join(quoted.split()) == "".join(text.split())
            self.same_texts += same
            self.other_texts += not same


def _shown(columns: tuple[str, ...] | list[str]) -> str:
    return "/".join(repr(column)[1:-1] for column in columns)


def _without(turn: Turn, missing: frozenset[str]) -> Turn:
    if missing.isdisjoint(turn.positives):
        return turn
    fields = {name: getattr(turn, name) for name in Turn.__dataclass_fields__}
    return Turn(**fields | {"positives": tuple(p for p in turn.positives if p not in missing)})


def _warnings(read: Topics, positives: list[Judgement], source: _Collection) -> Iterator[str]:
    if read.recovered:
        yield (
            f"{len(read.recovered)} turn(s), first {read.recovered[0]}, hold [SEP] inside an utterance; it was read "
            "as a blank"
        )
    if unjudged := len(read.turns) - len({j.query_id for j in positives}):
        yield f"{unjudged} turn(s) have no positive passage: they count neither in training nor in a measure"
    if source.other_texts:
        total = source.other_texts + source.same_texts
        yield (
            f"{source.other_texts} of {total} positives have another text in the collection than in the topics; "
            "if it is most of them, the ids of the two files are shifted (by one, often) or of different editions"
        )
