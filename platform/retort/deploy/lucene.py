"""Retrieval with Lucene, as it is deployed: an impact index of quantised weights, built and searched by Anserini's classes.

``lucene/<encoder>-<fingerprint>/index/`` is a stage like any other, shared by all runs over the same passages; Anserini and
Pyserini open it as it is. Its terms are vocabulary entries by number, since a word piece may hold what a text field takes apart.

A weight w becomes the integer ``round(w * s)``; what rounds to 0 is left out. For passages s is ``(2^bits - 1) / (greatest weight
of the collection)``, for queries the same with the greatest weight of the query: a factor on a whole query changes no ranking. A
stored weight is off by at most half a step, ``1 / (2 s)``.

Shapes: Q queries, V vocabulary entries.
"""

import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self, TextIO

import numpy as np

from retort.deploy.java import find_java, java_class, run_java
from retort.errors import RunError
from retort.progress import Progress, silent
from retort.shards.reader import open_vectors
from retort.sparse.vectors import Float32, Int64, PartedVectors, SparseVectors
from retort.storage import Folder, Stage, Workspace
from retort.storage.layout import encoder_label

__all__ = [
    "INDEX_FOLDER",
    "LuceneIndex",
    "lucene_stage",
    "prepare_lucene",
    "quantized",
    "write_vectors",
]

STAGE = "lucene"
VERSION = 1
INDEX_FOLDER = "index"  # of the stage
# A limit and no estimate: a busy processor indexes some hundreds of passages a second, and starts Java in two.
LEAST_PASSAGES_PER_SECOND = 20
START_SECONDS = 300.0
Run = Mapping[str, Mapping[str, float]]


def quantized(values: Float32, greatest: float, bits: int) -> Int64:
    """Weights in [0, greatest] as integers from 0 to ``2^bits - 1``, rounded to the nearest.

    Raises:
        ValueError: If a weight is above the greatest, or that is not positive.
    """
    if greatest <= 0 or (len(values) and float(values.max()) > greatest):
        raise ValueError(f"greatest must be positive and no less than every weight, got {greatest}")
    impacts: Int64 = np.rint(values.astype(np.float64) * ((2**bits - 1) / greatest)).astype(np.int64)
    return impacts


def lucene_stage(workspace: Workspace, vectors: Folder, *, bits: int) -> Stage:
    """Folder and identity of the Lucene index over a collection's vectors."""
    inputs = {"vectors": vectors.require("prepare it first: retort prepare --help").fingerprint}
    encoder = encoder_label(vectors.name)
    return workspace.stage(STAGE, VERSION, label=f"lucene/{encoder}", config={"bits": bits}, inputs=inputs)


def prepare_lucene(workspace: Workspace, vectors: Folder, *, bits: int, progress: Progress = silent) -> Folder:
    """Index a collection's vectors with Lucene, unless that is done already; returns the stage's folder.

    The vectors pass through a temporary folder as JSON lines, about 12 bytes an entry.

    Raises:
        ConfigError: If there is no Java, or no Anserini.
        RunError: If indexing failed.
    """
    stage = lucene_stage(workspace, vectors, bits=bits)
    folder = stage.folder
    with stage.writing() as writer:
        if writer.finished is not None:
            progress(STAGE, 1, 1, f"{folder.name} is there already")
            return folder
        java = find_java()
        opened = open_vectors(vectors)
        doc_ids: list[str] = vectors.read_table("doc_ids.arrow")["doc_id"].to_pylist()
        greatest = max((float(part.values.max()) for part in opened.parts if part.entries), default=1.0)
        with tempfile.TemporaryDirectory(prefix="retort-lucene-") as temporary:
            source, index = Path(temporary, "vectors"), Path(temporary, INDEX_FOLDER)
            progress(STAGE, 0, 2, f"writing {len(opened):,} passages as {bits}-bit impacts")
            written = write_vectors(source, opened, doc_ids, greatest=greatest, bits=bits)
            progress(STAGE, 1, 2, "indexing with Lucene")
            _index(source, index)
            (index / "write.lock").unlink(missing_ok=True)
            writer.add_tree(index, INDEX_FOLDER)
        writer.counts |= {
            "passages": len(opened),
            "indexed": written,
            "vocabulary_size": opened.vocabulary_size,
            "greatest_weight": greatest,
            "bytes": sum(entry.bytes for entry in writer.entries.values()),
            "java": java.version,
            "anserini": java.jar.name,
        }
        progress(STAGE, 2, 2)
    return folder


def write_vectors(
    directory: Path, vectors: PartedVectors, doc_ids: Sequence[str], *, greatest: float, bits: int
) -> int:
    """Write a collection as Anserini's JsonVectorCollection reads it, a file per part; returns the passages that have a term."""
    directory.mkdir(parents=True, exist_ok=True)
    written = 0
    for number, (first, part) in enumerate(vectors):
        with (directory / f"part-{number:05d}.jsonl").open("w", encoding="utf-8") as stream:
            written += _write_part(stream, part, doc_ids[first : first + len(part)], greatest=greatest, bits=bits)
    return written


def _write_part(stream: TextIO, part: SparseVectors, doc_ids: Sequence[str], *, greatest: float, bits: int) -> int:
    impacts, written = quantized(np.asarray(part.values), greatest, bits), 0
    for row, doc_id in enumerate(doc_ids):
        entries = slice(part.indptr[row], part.indptr[row + 1])
        terms = zip(part.indices[entries].tolist(), impacts[entries].tolist(), strict=True)
        vector = ", ".join(f'"{term}": {impact}' for term, impact in terms if impact)
        if vector:  # Lucene would refuse a passage without a term, and no query finds it
            stream.write(f'{{"id": {json.dumps(doc_id)}, "contents": "", "vector": {{{vector}}}}}\n')
            written += 1
    return written


def _index(source: Path, index: Path) -> None:
    words: list[str | Path] = ["io.anserini.index.IndexCollection", "-collection", "JsonVectorCollection"]
    words += ["-generator", "DefaultLuceneDocumentGenerator", "-impact", "-pretokenized", "-optimize"]
    words += ["-threads", str(_processors()), "-input", source, "-index", index]
    wanted = sum(len(path.read_bytes().splitlines()) for path in source.glob("*.jsonl"))
    output = run_java(words, seconds=START_SECONDS + wanted / LEAST_PASSAGES_PER_SECOND)
    # It ends with 0 whatever happened to single passages.
    found = re.search(r"Total ([\d,]+) documents indexed", output)
    if found is None or int(found[1].replace(",", "")) != wanted:
        raise RunError(f"Lucene indexed {found[1] if found else 'none'} of {wanted:,} passages:\n{output[-2000:]}")


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LuceneIndex:
    """A finished index, opened; the first one starts Java.

    Args:
        folder: Of the stage.
    """

    def __init__(self, folder: Folder) -> None:
        record = folder.require("index the collection first: retort evaluate --engine lucene")
        self.bits = int(record.config["bits"])
        self.bytes = int(record.counts["bytes"])
        self._step = float(record.counts["greatest_weight"]) / (2**self.bits - 1)
        self._searcher = java_class("io.anserini.search.SimpleImpactSearcher")(str(folder.local_tree(INDEX_FOLDER)))
        self._map, self._list = java_class("java.util.HashMap"), java_class("java.util.ArrayList")
        self._integer = java_class("java.lang.Integer")

    def search(self, queries: SparseVectors, query_ids: Sequence[str], k: int, *, threads: int | None = None) -> Run:
        """The k best passages of each query: query_id -> doc_id -> score, best first, in units of the exact scores.

        A query that nothing is found for is left out.

        Args:
            queries: (Q, V).
            query_ids: Q.
            k: Passages a query.
            threads: At a time; None: as many as there are processors.
        """
        asked, ids = self._list(), self._list()
        steps: dict[str, float] = {}
        for number, query_id in enumerate(query_ids):
            terms, weights = queries.row(number)
            if len(terms):
                steps[query_id] = float(weights.max()) / (2**self.bits - 1)
                asked.add(self._query(terms, weights))
                ids.add(query_id)
        found = self._searcher.batch_search(asked, ids, k, threads or _processors())
        run = {}
        for query_id, step in steps.items():
            if hits := found.get(query_id):
                run[query_id] = {hit.docid: float(hit.score) * step * self._step for hit in hits}
        return run

    def search_one(self, terms: np.ndarray, weights: Float32, k: int) -> list[str]:
        """doc_ids of the k best passages of one query, by its terms and their weights."""
        return [hit.docid for hit in self._searcher.search(self._query(terms, weights), k)] if len(terms) else []

    def _query(self, terms: np.ndarray, weights: Float32) -> object:
        query = self._map()
        for term, impact in zip(
            terms.tolist(), quantized(weights, float(weights.max()), self.bits).tolist(), strict=True
        ):
            if impact:
                query.put(str(term), self._integer(impact))
        return query

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._searcher.close()
