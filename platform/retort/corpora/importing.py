"""The part that all imports share: conversations that a reader checked become passages, turns and judgements.

A reader turns a corpus's files into ``Conversations``; here the collection is streamed into the workspace, what the
judgements need is found in it or refused, and the split is committed last. Nothing is committed unless all of it is
right.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from retort.corpora.collection import ImportCounts, import_passages, passages_by_id
from retort.corpora.judgements import read_judged
from retort.corpora.official.published import differences, published_counts
from retort.corpora.passages import PassageFile, PassageFiles
from retort.corpora.report import ImportReport, shape_of
from retort.corpora.turns import check_split, check_split_name, write_turns
from retort.errors import DataError
from retort.identity import fingerprint
from retort.progress import Progress, silent
from retort.records import Judgement, Rewrite, Turn
from retort.storage import Workspace

__all__ = ["Conversations", "CorpusImport", "ImportRequest", "import_collection", "import_split", "options_digest"]

MISSING: Final = "positives that the collection lacks"
MISSING_RESPONSES: Final = "responses that the collection lacks"


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What every import is asked for, whatever the corpus: a reader gets it beside the corpus's own files.

    Attributes:
        workspace: The workspace to write to.
        split: Name of the split in the workspace; None: passages alone, which only MS MARCO's reader imports.
        collection: Files and folders of passages.
        qrels: TREC judgements; None: each passage that a turn names as its positive has relevance 1.
        relevant_from: Least relevance that makes a passage a positive; None: 1, or what the corpus's own rule says.
        allow_missing: Drop and count positives that the collection lacks, instead of refusing the import.
        progress: Called with the number of passages read so far.
    """

    workspace: Workspace
    split: str | None
    collection: Sequence[Path | PassageFile] = ()
    qrels: Path | None = None
    relevant_from: int | None = None
    allow_missing: bool = False
    progress: Progress = silent


@dataclass(frozen=True, slots=True)
class Conversations:
    """A split's turns as its files have them.

    Attributes:
        path: The topics file, for messages.
        turns: The turns, in the files' order; where histories quote passages of the collection, see ``complete``.
        places: query_id -> ``file:line``.
        rewrites: Teacher -> rewrites that the files hold.
        dropped: How much the reader left out, by reason.
        warnings: Sentences about what the user should look at.
        positive_texts: doc_id -> text, where the files quote positives.
        responses: doc_ids of passages that are part of some history.
        complete: doc_id -> text of those -> the turns with their whole history; None: they are whole already.
    """

    path: Path
    turns: tuple[Turn, ...]
    places: dict[str, str]
    rewrites: dict[str, tuple[Rewrite, ...]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    positive_texts: dict[str, str] = field(default_factory=dict)
    responses: frozenset[str] = frozenset()
    complete: Callable[[Mapping[str, str]], Sequence[Turn]] | None = None


@dataclass(frozen=True, slots=True)
class CorpusImport:
    """What was imported, and what the caller still writes: the rewrites, with the inputs that identify them."""

    report: ImportReport
    rewrites: dict[str, tuple[Rewrite, ...]] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)


def options_digest(**options: object) -> str:
    """One digest over the options of a reader that change what it makes of the same files."""
    return fingerprint("options", 1, config=options, inputs={})


def import_split(
    read: Conversations,
    request: ImportRequest,
    *,
    inputs: Mapping[str, str],
    corpus: str = "",
    part: str | None = None,
    excluded: Collection[str] = frozenset(),
    with_header: bool = False,
) -> CorpusImport:
    """Import a split, and the passages of its collection that the workspace does not have.

    Args:
        read: The split's turns.
        request: What the user asked for.
        inputs: Digests of what ``read`` was made from; they identify the split.
        corpus: The corpus whose published counts the report shows.
        part: The part of that corpus which this split is.
        excluded: doc_ids of the collection that are passed over.
        with_header: Whether TSV files must begin with TopiOCQA's header.

    Raises:
        ConfigError: If the split's name is no name.
        DataError: With file and line, if a file is broken or a positive is missing.
        WorkspaceError: If the split is there with other content.
    """
    assert request.split is not None, "passages alone are imported by import_collection"
    workspace, split, qrels, allow_missing = request.workspace, request.split, request.qrels, request.allow_missing
    relevant_from = 1 if request.relevant_from is None else request.relevant_from
    check_split_name(split)
    if relevant_from != 1 and qrels is None:
        raise DataError(f"relevant from {relevant_from} on is for graded judgements; name them with --qrels")
    judged, needed = _judgements(read, qrels)
    if not allow_missing and not read.responses:
        check_split(workspace, split, inputs=inputs, relevant_from=relevant_from)
    source = PassageFiles(
        request.collection,
        needed=needed,
        positive_texts=read.positive_texts,
        excluded=excluded,
        with_header=with_header,
        allow_missing=allow_missing,
        progress=request.progress,
    )

    def inputs_without(missing: frozenset[str]) -> Mapping[str, str]:
        # What was dropped is part of the split's identity; nothing dropped: the same split as without allow_missing.
        lacking = {"missing": fingerprint("missing", 1, config={"doc_ids": sorted(missing)}, inputs={})}
        return {**inputs, **lacking} if missing else inputs

    counts = import_passages(
        workspace,
        source.passages(),
        source=source.name,
        digest=source.digest(),
        required=needed,
        allow_missing=allow_missing,
        before_commit=lambda missing: check_split(
            workspace, split, inputs=inputs_without(missing), relevant_from=relevant_from
        ),
        place=source.place,
        optional=read.responses,
    )
    turns = list(read.turns)
    identity = dict(inputs_without(counts.missing))
    if read.complete is not None:
        found = passages_by_id(workspace, sorted(read.responses))
        turns = list(read.complete({doc_id: passage.text for doc_id, passage in found.items()}))
    kept = [j for j in judged if j.doc_id not in counts.missing]
    positives = [j for j in kept if j.relevance >= relevant_from]
    turns = _with_positives(turns, positives, counts.missing, from_qrels=qrels is not None)
    new = write_turns(workspace, split, turns, kept, inputs=identity, relevant_from=relevant_from)
    request.progress("passages", source.read, source.read, "there already" if counts.skipped else "imported")
    dropped = {
        **read.dropped,
        **source.dropped(),
        MISSING: len(counts.missing.intersection(needed)),
        MISSING_RESPONSES: len(counts.missing & read.responses),
    }
    report = replace(
        _report(read, source, counts, turns, kept, positives, corpus, part),
        split=split,
        skipped=counts.skipped and not new,
        dropped={reason: count for reason, count in dropped.items() if count},
    )
    query_ids = {turn.query_id for turn in turns}
    rewrites = {t: tuple(r for r in own if r.query_id in query_ids) for t, own in read.rewrites.items()}
    return CorpusImport(report, {t: own for t, own in rewrites.items() if own}, identity)


def import_collection(request: ImportRequest) -> CorpusImport:
    """Import passages alone."""
    source = PassageFiles(request.collection, progress=request.progress)
    counts = import_passages(
        request.workspace,
        source.passages(),
        source=source.name,
        digest=source.digest(),
        required={},
        place=source.place,
    )
    request.progress("passages", source.read, source.read, "there already" if counts.skipped else "imported")
    report = ImportReport(
        split=None,
        skipped=counts.skipped,
        passages_added=counts.added,
        passages_known=counts.known,
        dropped={reason: count for reason, count in source.dropped().items() if count},
    )
    return CorpusImport(report)


def _judgements(read: Conversations, qrels: Path | None) -> tuple[list[Judgement], dict[str, str]]:
    # Also: doc_ids that the collection must hold, with the place that says so.
    if not read.turns:
        raise DataError("holds no turn; was the export cut off?", path=read.path)
    needed: dict[str, str] = {}
    for turn in read.turns:
        for doc_id in turn.positives:
            needed.setdefault(doc_id, read.places[turn.query_id])
    if qrels is None:
        return [Judgement(turn.query_id, doc_id, 1) for turn in read.turns for doc_id in turn.positives], needed
    judgements, places = read_judged(qrels, read.places, read.path)
    for doc_id, place in places.items():
        needed.setdefault(doc_id, place)
    return judgements, needed


def _with_positives(
    turns: Sequence[Turn], positives: Sequence[Judgement], missing: frozenset[str], *, from_qrels: bool
) -> list[Turn]:
    # Corpora whose topics name no positives have those of their judgements.
    judged: dict[str, list[str]] = {}
    if from_qrels:
        for judgement in positives:
            judged.setdefault(judgement.query_id, []).append(judgement.doc_id)
    result = []
    for turn in turns:
        own = turn.positives
        if not own and turn.query_id in judged:
            own = tuple(judged[turn.query_id])
        result.append(replace(turn, positives=tuple(doc_id for doc_id in own if doc_id not in missing)))
    return result


def _report(
    read: Conversations,
    source: PassageFiles,
    counts: ImportCounts,
    turns: Sequence[Turn],
    judgements: Sequence[Judgement],
    positives: Sequence[Judgement],
    corpus: str,
    part: str | None,
) -> ImportReport:
    shape = shape_of(turns, (j.query_id for j in positives))
    conversations = len({turn.conversation_id for turn in turns})
    published = published_counts(corpus, part)
    counted = {
        "turns": len(turns),
        "conversations": conversations,
        "judged": len({j.query_id for j in judgements}),
        "passages": counts.added + counts.known,
    }
    warnings = [*read.warnings]
    unjudged = len(turns) - counted["judged"]
    if unjudged:
        warnings.append(f"{unjudged} turn(s) have no judgement: they count neither in training nor in a measure")
    if without := shape.turns_without_positive - unjudged:
        warnings.append(
            f"{without} judged turn(s) have no positive passage: they do not count in training, and every measure counts "
            "them as 0"
        )
    if source.other_texts:
        total = source.other_texts + source.same_texts
        warnings.append(
            f"{source.other_texts} of {total} positives have another text in the collection than in the topics; "
            "if it is most of them, the ids of the two files are shifted (by one, often) or of different editions"
        )
    return ImportReport(
        split=None,
        skipped=False,
        conversations=conversations,
        turns=len(turns),
        passages_added=counts.added,
        passages_known=counts.known,
        judgements=len(judgements),
        positives_per_turn=shape.positives_per_turn,
        warnings=(*warnings, *differences(published, counted)),
        shape=shape,
        published=published,
    )
