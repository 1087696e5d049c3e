"""TREC CAsT 2019 to 2022: topics of all years' forms (``cast_topics``), qrels, and a collection of several.

Judgements call MS MARCO's passage 7 ``MARCO_7`` and TREC CAR's ``CAR_...``; files with the bare ids are named with the
prefix that is put before them (``MARCO_=collection.tsv``). Relevance is graded 0-4: MRR and recall take 2 and above as
relevant in 2020 and 1 and above in the other years, nDCG takes the grades. The duplicates that the track lists are left
out of the collection. In 2021 documents are judged, not passages: import the documents as the collection.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from retort.corpora.importing import Conversations, CorpusImport, ImportRequest, import_split, options_digest
from retort.corpora.official.published import year_part
from retort.corpora.passages import PassageFile
from retort.corpora.readers.cast_topics import Canonical, conversation_of, read_resolved, read_topic_nodes
from retort.errors import DataError
from retort.formats.lines import digests_of, id_problem, read_lines
from retort.records import Rewrite, Turn

__all__ = ["RELEVANT_FROM", "YEARS", "import_cast", "named_sources", "read_cast", "read_duplicates"]

YEARS: Final = (2019, 2020, 2021, 2022)
RELEVANT_FROM: Final[Mapping[int, int]] = {2019: 1, 2020: 2, 2021: 1, 2022: 1}
REPEATED: Final = "repetitions of a turn in another path of its tree"
RENUMBERED: Final = "utterances whose number another turn of the topic has"
_NAMED: Final = re.compile(r"([A-Za-z0-9]+_)=(.+)", re.DOTALL)


def import_cast(
    request: ImportRequest,
    topics: Path,
    *,
    year: int,
    resolved: Path | None = None,
    duplicates: Path | None = None,
    canonical: Canonical = "manual",
) -> CorpusImport:
    """Import a year's topics, and the passages of its collection that the workspace does not have.

    Args:
        request: Without judgements what a response was written from has relevance 1; with them, and without
            ``relevant_from``, the year decides. Some positives may be missing from every collection (WaPo's, say).
        topics: The evaluation topics, JSON.
        year: The year of the track: it decides what counts as relevant, and which published counts the report shows.
        resolved: 2019's resolved questions.
        duplicates: Passages to leave out, as the track lists them: ``kept:duplicate,duplicate``.
        canonical: Which canonical responses become the history's answers: those chosen by people, by a system, or none.
    """
    inputs = digests_of(topics=topics, qrels=request.qrels, resolved=resolved)
    inputs["options"] = options_digest(canonical=canonical)
    excluded = frozenset() if duplicates is None else read_duplicates(duplicates)
    read = read_cast(topics, resolved=resolved, canonical=canonical, provenance=request.qrels is None)
    if request.relevant_from is None and request.qrels is not None:
        request = replace(request, relevant_from=RELEVANT_FROM[year])
    part = year_part(year, topics)
    return import_split(read, request, inputs=inputs, corpus="cast", part=part, excluded=excluded)


def named_sources(words: Sequence[str]) -> list[PassageFile]:
    """Collection files as a command line names them: ``path``, or ``PREFIX_=path``."""
    named = [_NAMED.fullmatch(word) for word in words]
    return [
        PassageFile(Path(word)) if match is None else PassageFile(Path(match[2]), match[1])
        for word, match in zip(words, named, strict=True)
    ]


def read_cast(
    path: Path, *, resolved: Path | None = None, canonical: Canonical = "manual", provenance: bool = True
) -> Conversations:
    """Read and check a topics file.

    Args:
        path: The topics.
        resolved: Questions of 2019, resolved by people.
        canonical: Which canonical responses become the history's answers: those chosen by people, by a system, or none.
        provenance: The passages that responses were written from are the turns' positives.

    Raises:
        DataError: With the line of the first topic that is broken.
    """
    topics = read_topic_nodes(path, canonical)
    nodes = [(topic, node) for topic in topics for node in topic.nodes.values() if node.query_id is not None]
    places = {node.query_id: node.place for _, node in nodes if node.query_id is not None}
    rewrites: dict[str, list[Rewrite]] = {}
    for _, node in nodes:
        for teacher, text in node.rewrites.items():
            rewrites.setdefault(teacher, []).append(Rewrite(str(node.query_id), text))
    if resolved is not None:
        rewrites["human"] = read_resolved(resolved, places)

    def complete(texts: Mapping[str, str]) -> list[Turn]:
        return [conversation_of(topic, node, texts, positives=provenance) for topic, node in nodes]

    quoted = {
        n.response_id for t in topics for n in t.nodes.values() if n.response_id is not None and n.response is None
    }
    return Conversations(
        path=path,
        turns=tuple(complete({})),
        places=places,
        rewrites={teacher: tuple(own) for teacher, own in rewrites.items()},
        dropped={
            REPEATED: sum(topic.repeated for topic in topics),
            RENUMBERED: sum(topic.renumbered for topic in topics),
        },
        responses=frozenset(quoted),
        complete=complete,
    )


def read_duplicates(path: Path) -> frozenset[str]:
    """The doc_ids that the track lists as duplicates of others.

    Raises:
        DataError: With the line of the first row that is broken.
    """
    found: set[str] = set()
    for line, row in read_lines(path):
        if not row.strip():
            continue
        kept, colon, others = row.partition(":")
        ids = [doc_id.strip() for doc_id in others.split(",")]
        if not colon or not kept.strip() or any(map(id_problem, ids)):
            raise DataError(f"expected 'kept:duplicate,duplicate', got {row[:60]!r}", path=path, line=line)
        found.update(ids)
    if not found:
        raise DataError("lists no duplicate; was the download cut off?", path=path)
    return frozenset(found)
