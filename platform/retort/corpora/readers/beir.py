"""BEIR's layout, and MS MARCO's files: queries without a conversation, each a conversation of one turn.

BEIR: ``corpus.jsonl`` ({_id, title, text}), ``queries.jsonl`` ({_id, text}), ``qrels/<split>.tsv`` with a header. Queries
that the split does not judge are another split's: they are dropped and counted. MS MARCO: ``collection.tsv`` (id, text),
``queries.*.tsv`` (id, text), ``qrels.*.tsv``; the collection can be imported alone.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from retort.corpora.importing import Conversations, CorpusImport, ImportRequest, import_collection, import_split
from retort.errors import DataError
from retort.formats.json_files import Fields, read_json_lines, shown
from retort.formats.lines import COMPRESSED, digests_of, id_problem, is_blank, read_lines
from retort.formats.trec import read_qrels
from retort.records import Turn

__all__ = ["import_beir", "import_msmarco"]

UNJUDGED: Final = "queries that the split does not judge"


def import_beir(request: ImportRequest, folder: Path, *, name: str | None = None) -> CorpusImport:
    """Import a split of a data set in BEIR's layout.

    Args:
        request: Its split is the one that ``qrels/<split>.tsv`` judges; collection and judgements stand in the folder.
        folder: Holds corpus.jsonl, queries.jsonl and qrels/; the first two may be compressed.
        name: Name of the split in the workspace; None: the same.
    """
    corpus, queries = _file(folder, "corpus.jsonl"), _file(folder, "queries.jsonl")
    qrels = _file(folder / "qrels", f"{request.split}.tsv")
    return _import_queries(
        queries, replace(request, split=name or request.split, collection=[corpus], qrels=qrels), qrels
    )


def import_msmarco(request: ImportRequest, queries: Path | None = None) -> CorpusImport:
    """Import MS MARCO's passages, and the judged ones of some queries where these are named.

    Args:
        request: The collection is ``collection.tsv`` or its like; judgements and a split go with queries.
        queries: TSV of id and text; None: passages alone.

    Raises:
        DataError: If some of queries, qrels and split are given, and not all.
    """
    given = {"queries": queries, "qrels": request.qrels, "split": request.split}
    if all(value is None for value in given.values()):
        return import_collection(request)
    if queries is None or request.qrels is None or request.split is None:
        lacking = ", ".join(f"--{key}" for key, value in given.items() if value is None)
        raise DataError(f"queries need their judgements and a name: {lacking} is missing")
    return _import_queries(queries, request, request.qrels)


def _import_queries(queries: Path, request: ImportRequest, qrels: Path) -> CorpusImport:
    inputs = digests_of(topics=queries, qrels=qrels)
    return import_split(_read_queries(queries, qrels), request, inputs=inputs)


def _read_queries(path: Path, qrels: Path) -> Conversations:
    judged = {judgement.query_id for _, judgement in read_qrels(qrels)}
    turns: dict[str, Turn] = {}
    places: dict[str, str] = {}
    for line, query_id, text in _queries(path):
        if query_id in places:
            raise DataError(f"the query {query_id} is at {places[query_id]} already; remove one", path=path, line=line)
        places[query_id] = f"{path}:{line}"
        if query_id in judged:
            turns[query_id] = Turn(query_id, query_id, 1, (), text)
    if not places:
        raise DataError("holds no query; was the download cut off?", path=path)
    if not turns:
        raise DataError(f"holds none of the queries that {qrels} judges; are both of the same data set?", path=path)
    read = Conversations(path=path, turns=tuple(turns.values()), places={q: places[q] for q in turns})
    return replace(read, dropped={UNJUDGED: len(places) - len(turns)})


def _queries(path: Path) -> Iterator[tuple[int, str, str]]:
    if ".json" in path.name:
        for line, record in read_json_lines(path):
            fields = Fields(record, path, line, what="the query")
            yield line, fields.identifier("_id", "id"), fields.text("text")
        return
    for line, row in read_lines(path):
        columns = row.split("\t")
        if len(columns) != 2 or is_blank(columns[1]):
            message = f"expected an id without blanks and a text, separated by a tab, got {row[:60]!r}"
            raise DataError(message, path=path, line=line)
        if problem := id_problem(columns[0]):
            raise DataError(f"the id {problem}, got {shown(columns[0])}", path=path, line=line)
        yield line, columns[0], columns[1]


def _file(folder: Path, name: str) -> Path:
    if not folder.is_dir():
        raise DataError(
            "is no folder; BEIR's layout is a folder with corpus.jsonl, queries.jsonl and qrels/", path=folder
        )
    candidates = [folder / f"{name}{ending}" for ending in ("", *COMPRESSED)]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
        raise DataError(f"has no {name}; there are {there}", path=folder)
    return found
