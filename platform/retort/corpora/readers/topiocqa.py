"""Import of TopiOCQA's files, and of every corpus that is brought into their form: topics, collection, qrels.

Topics: see ``retort.corpora.readers.topics``. Collection: TSV with the header ``id<TAB>text<TAB>title`` - text second, title
last. Qrels: TREC, ``qid 0 docid rel``; without them the positives of the topics are the judgements.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from retort.corpora.importing import Conversations, CorpusImport, import_split
from retort.corpora.official.published import official_part
from retort.corpora.passages import PassageFile, PassageFiles
from retort.corpora.readers.topics import Topics, Variant, read_topic_rewrites, read_topics
from retort.errors import DataError
from retort.formats.lines import digests_of
from retort.progress import Progress, silent
from retort.storage import Workspace

__all__ = ["import_topiocqa"]


def import_topiocqa(
    topics: Path,
    collection: Path,
    *,
    split: str,
    workspace: Workspace,
    qrels: Path | None = None,
    variant: Variant = "all_history",
    rewrites: Mapping[str, Path] | None = None,
    relevant_from: int = 1,
    allow_missing: bool = False,
    progress: Progress = silent,
) -> CorpusImport:
    """Import one split, and the passages of its collection that the workspace does not have.

    Args:
        topics: JSON of one of the variants.
        collection: TSV, or TSV compressed as ``.gz`` or ``.zst``; JSON lines or parquet by their names.
        split: Name of the split in the workspace.
        workspace: The workspace to write to.
        qrels: TREC judgements; None: each positive of the topics has relevance 1.
        variant: Which of the published variants the topics are.
        rewrites: Teacher -> a ``rewrites_*`` file, of turns that the topics have.
        relevant_from: Least relevance that makes a passage a positive.
        allow_missing: Drop and count positives that the collection lacks, instead of refusing the import.
        progress: Called with the number of passages read so far.

    Raises:
        ConfigError: If the split's name is no name.
        DataError: With file and line, if a file is broken or a positive is missing.
        WorkspaceError: If the split is there with other content.
    """
    inputs = digests_of(topics=topics, qrels=qrels)
    read = read_topics(topics, variant=variant)
    rewritten = {teacher: tuple(read_topic_rewrites(path)) for teacher, path in (rewrites or {}).items()}
    for teacher, own in rewritten.items():
        if stray := next((rewrite.query_id for rewrite in own if rewrite.query_id not in read.lines), None):
            message = f"the rewrites of {teacher} hold the turn {stray!r}, which {topics} does not have"
            raise DataError(f"{message}; are both of the same split?")

    def files(needed: Mapping[str, str]) -> PassageFiles:
        return PassageFiles(
            [PassageFile(collection)],
            needed=needed,
            positive_texts=read.positive_texts,
            with_header=True,
            allow_missing=allow_missing,
            progress=progress,
        )

    done = import_split(
        Conversations(
            path=topics,
            turns=read.turns,
            places={query_id: f"{topics}:{line}" for query_id, line in read.lines.items()},
            warnings=tuple(_warnings(read)),
            positive_texts=read.positive_texts,
        ),
        files,
        split=split,
        workspace=workspace,
        inputs=inputs,
        qrels=qrels,
        relevant_from=relevant_from,
        allow_missing=allow_missing,
        corpus="topiocqa",
        part=official_part("topiocqa", topics),
        progress=progress,
    )
    return CorpusImport(done.report, rewritten, digests_of(**(rewrites or {})))


def _warnings(read: Topics) -> Iterator[str]:
    if read.recovered:
        yield (
            f"{len(read.recovered)} turn(s), first {read.recovered[0]}, hold [SEP] inside an utterance; it was read "
            "as a blank"
        )
    if read.incomplete:
        yield (
            f"{len(read.incomplete)} turn(s), first {read.incomplete[0]}, lack earlier turns of their conversation: "
            "their history is what there is of it"
        )
