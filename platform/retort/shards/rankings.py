"""Stage: a teacher's rewrites -> its rankings of the collection, exact, the top K passages of each turn.

``rankings/<teacher>/<split>-<fingerprint>/`` holds one parquet part per chunk of turns, in the turns' order. Chunks are
ranked on Ray Data, all processes with the one memory-mapped index; a chunk that an interrupted run had finished is kept.
"""

import json
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from retort.config import EncoderConfig, TeacherConfig
from retort.corpora.turns import read_turns, require_turns
from retort.progress import Progress
from retort.records import RANKING_SCHEMA
from retort.shards.index import open_index
from retort.shards.reader import Collection
from retort.shards.session import map_units
from retort.shards.texts import TextEncoder
from retort.storage import FileEntry, Folder, Stage, Workspace
from retort.teachers.imports import read_rewrites, require_rewrites

__all__ = ["CHUNK_TURNS", "chunk_file", "prepare_rankings", "rankings_stage"]

STAGE = "rankings"
VERSION = 2  # 2: frequent terms are added up last, so that scores differ in the last bit
CHUNK_TURNS = 128  # a chunk of 1,000 passages each is 1 MB, and seconds of work


def chunk_file(chunk: int, suffix: str) -> str:
    """Name of a chunk's file; rankings and training shards are cut at the same turns."""
    return f"part-{chunk:05d}.{suffix}"


def rankings_stage(
    workspace: Workspace, vectors: Folder, encoder: EncoderConfig, settings: TeacherConfig, *, teacher: str, split: str
) -> Stage:
    """Folder and identity of a teacher's rankings of one split."""
    rewrites = require_rewrites(workspace, teacher, split)
    turns = require_turns(workspace, split)
    config: dict[str, object] = {"top_k": settings.top_k, "rewrite_tokens": encoder.rewrite_tokens}
    if encoder.family == "lexical":
        config["rewrite_terms"] = encoder.rewrite_terms
    inputs = {
        "vectors": vectors.require("the vectors are prepared first").fingerprint,
        "rewrites": rewrites.fingerprint,
        "turns": turns.fingerprint,
    }
    return workspace.stage(STAGE, VERSION, label=f"rankings/{teacher}/{split}", config=config, inputs=inputs)


def prepare_rankings(
    workspace: Workspace,
    vectors: Folder,
    index: Folder,
    encoder: EncoderConfig,
    settings: TeacherConfig,
    *,
    teacher: str,
    split: str,
    progress: Progress,
) -> Folder:
    """Rank the collection for every rewrite of a teacher, unless that is done already; returns the stage's folder."""
    stage = rankings_stage(workspace, vectors, encoder, settings, teacher=teacher, split=split)
    with stage.writing() as writer:
        if writer.finished is not None:
            progress(f"{STAGE} {teacher}", 1, 1, f"{stage.folder.name} is there already")
            return stage.folder
        turns = len(read_turns(workspace, split))
        chunks = range(0, turns, CHUNK_TURNS)
        units = [{"chunk": number, "first": first} for number, first in enumerate(chunks)]
        done = ranked = 0
        progress(f"{STAGE} {teacher}", 0, turns, f"ranking the passages for {teacher}'s rewrites")

        def finished(row: dict[str, Any]) -> None:
            nonlocal done, ranked
            entry = FileEntry(**json.loads(row["entry"]))
            writer.add(entry)
            done += min(CHUNK_TURNS, turns - int(row["first"]))
            ranked += entry.rows or 0
            progress(f"{STAGE} {teacher}", done, turns)

        arguments = {
            "url": workspace.url,
            "folder": stage.folder.name,
            "vectors": vectors.name,
            "index": index.name,
            "encoder": encoder.model_dump(mode="json"),
            "teacher": teacher,
            "split": split,
            "top_k": settings.top_k,
        }
        map_units(units, _RankChunk, arguments, on_result=finished)
        writer.counts |= {"turns": turns, "ranked": ranked}
    return stage.folder


class _RankChunk:
    """One process: ranks the collection for a chunk of rewrites and writes the chunk's file."""

    def __init__(
        self,
        url: str,
        folder: str,
        vectors: str,
        index: str,
        encoder: dict[str, Any],
        teacher: str,
        split: str,
        top_k: int,
    ) -> None:
        workspace = Workspace(url)
        self.folder = workspace.folder(folder)
        self.collection = Collection(workspace.folder(vectors))
        self.encoder = TextEncoder(EncoderConfig.model_validate(encoder), self.collection.tokenizer)
        self.index = open_index(workspace.folder(index))
        self.query_ids = [turn.query_id for turn in read_turns(workspace, split)]
        self.rewrites = read_rewrites(workspace, teacher, split)
        self.top_k = top_k

    def __call__(self, unit: dict[str, Any]) -> dict[str, Any]:
        chunk, first = int(unit["chunk"]), int(unit["first"])
        file = chunk_file(chunk, "parquet")
        entry = self.folder.part(file)
        if entry is None:
            query_ids = [q for q in self.query_ids[first : first + CHUNK_TURNS] if q in self.rewrites]
            entry = self.folder.write_table(file, self._rank(query_ids), part=True)
        return {"entry": json.dumps(asdict(entry)), "first": first}

    def _rank(self, query_ids: list[str]) -> pa.Table:
        vectors = self.encoder.rewrites([self.rewrites[query_id] for query_id in query_ids])
        rankings = self.index.search(vectors, self.top_k)
        own = [vectors.row(number) for number in range(len(query_ids))]
        return pa.table(
            [
                query_ids,
                [ranking.rows for ranking in rankings],
                [ranking.scores for ranking in rankings],
                [indices for indices, _ in own],
                [values for _, values in own],
            ],
            schema=RANKING_SCHEMA,
        )
