"""Import of TopiOCQA's files, and of every corpus that is brought into their form: topics, collection, qrels.

Topics: see ``retort.corpora.readers.topics``. Collection: TSV with the header ``id<TAB>text<TAB>title`` - text second, title
last. Qrels: TREC, ``qid 0 docid rel``; without them the positives of the topics are the judgements.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from retort.corpora.importing import Conversations, CorpusImport, ImportRequest, import_split
from retort.corpora.official.published import official_part
from retort.corpora.readers.topics import Topics, Variant, read_topic_rewrites, read_topics
from retort.errors import DataError
from retort.formats.lines import digests_of

__all__ = ["import_topiocqa"]


def import_topiocqa(
    request: ImportRequest,
    topics: Path,
    *,
    variant: Variant = "all_history",
    rewrites: Mapping[str, Path] | None = None,
) -> CorpusImport:
    """Import one split, and the passages of its collection that the workspace does not have.

    Args:
        request: The collection is a TSV, also compressed as ``.gz`` or ``.zst``; JSON lines or parquet by their names.
        topics: JSON of one of the variants.
        variant: Which of the published variants the topics are.
        rewrites: Teacher -> a ``rewrites_*`` file, of turns that the topics have.

    Raises:
        ConfigError: If the split's name is no name.
        DataError: With file and line, if a file is broken or a positive is missing.
        WorkspaceError: If the split is there with other content.
    """
    inputs = digests_of(topics=topics, qrels=request.qrels)
    read = read_topics(topics, variant=variant)
    rewritten = {teacher: tuple(read_topic_rewrites(path)) for teacher, path in (rewrites or {}).items()}
    for teacher, own in rewritten.items():
        if stray := next((rewrite.query_id for rewrite in own if rewrite.query_id not in read.lines), None):
            message = f"the rewrites of {teacher} hold the turn {stray!r}, which {topics} does not have"
            raise DataError(f"{message}; are both of the same split?")
    conversations = Conversations(
        path=topics,
        turns=read.turns,
        places={query_id: f"{topics}:{line}" for query_id, line in read.lines.items()},
        warnings=tuple(_warnings(read)),
        positive_texts=read.positive_texts,
    )
    part = official_part("topiocqa", topics)
    done = import_split(conversations, request, inputs=inputs, corpus="topiocqa", part=part, with_header=True)
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
