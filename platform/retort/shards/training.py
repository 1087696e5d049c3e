"""Stage: turns, rankings and vectors -> training shards with all that a distillation step needs.

``training/<split>-<fingerprint>/`` holds memory-mappable Arrow files, one per chunk of turns, of the training conversations
alone: those that ``corpus.validate`` holds out are not in it. Tokenisation happens here, once.
"""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from retort.config import EncoderConfig, ExperimentConfig, HoldoutConfig
from retort.corpora.collection import passage_rows
from retort.corpora.context import context_ids, context_of
from retort.corpora.holdout import validation_conversations
from retort.corpora.turns import read_judgements, read_turns, relevance_threshold
from retort.errors import DataError
from retort.progress import Progress
from retort.records import Turn, training_schema
from retort.shards.rankings import CHUNK_TURNS, chunk_file
from retort.shards.reader import Collection
from retort.shards.session import map_units
from retort.sparse.vectors import SparseVectors
from retort.storage import FileEntry, Folder, Stage, Workspace

__all__ = ["prepare_training", "training_stage"]

STAGE = "training"
VERSION = 1
PLAN = "positives.arrow"  # written for the stage's own workers, and gone when it is committed
PLAN_SCHEMA = pa.schema(
    [
        ("query_id", pa.string()),
        ("positive_rows", pa.list_(pa.int32())),
        ("excluded_rows", pa.list_(pa.int32())),
    ]
)


def training_stage(
    workspace: Workspace, experiment: ExperimentConfig, vectors: Folder, rankings: dict[str, Folder]
) -> Stage:
    """Folder and identity of the training shards."""
    split = experiment.corpus.train
    held_out = experiment.corpus.validation
    config: dict[str, object] = {
        "split": split,
        "context": experiment.context.identity(),
        "query_tokens": experiment.encoder.query_tokens,
        "teachers": list(experiment.teacher.names),
        "held_out": held_out.model_dump(mode="json") if isinstance(held_out, HoldoutConfig) else None,
    }
    missing = "import that split first: retort import --help"
    inputs = {
        "turns": workspace.folder(f"turns/{split}").require(missing).fingerprint,
        "judgements": workspace.folder(f"judgements/{split}").require(missing).fingerprint,
        "vectors": vectors.require("the vectors are prepared first").fingerprint,
    }
    for teacher, folder in rankings.items():
        inputs[f"rankings/{teacher}"] = folder.require("the rankings are prepared first").fingerprint
    return workspace.stage(STAGE, VERSION, label=f"training/{split}", config=config, inputs=inputs)


def prepare_training(
    workspace: Workspace,
    experiment: ExperimentConfig,
    vectors: Folder,
    rankings: dict[str, Folder],
    progress: Progress,
) -> Folder:
    """Join what a step needs, turn by turn, unless that is done already; returns the stage's folder.

    Raises:
        DataError: If no turn can be trained on.
    """
    stage = training_stage(workspace, experiment, vectors, rankings)
    with stage.writing() as writer:
        if writer.finished is not None:
            progress(STAGE, 1, 1, f"{stage.folder.name} is there already")
            return stage.folder
        plan, dropped = _plan(workspace, experiment, Collection(vectors))
        if plan.num_rows == 0:
            raise DataError(f"no turn of {experiment.corpus.train} can be trained on: {dropped}")
        stage.folder.write_table(PLAN, plan)
        turns = len(read_turns(workspace, experiment.corpus.train))
        units = [{"chunk": number, "first": first} for number, first in enumerate(range(0, turns, CHUNK_TURNS))]
        done = without_ranking = written = 0
        progress(STAGE, 0, turns, "joining turns with their rankings")

        def finished(row: dict[str, Any]) -> None:
            nonlocal done, without_ranking, written
            entry = FileEntry(**json.loads(row["entry"]))
            writer.add(entry)
            written += entry.rows or 0
            without_ranking += int(row["without_ranking"])
            done += min(CHUNK_TURNS, turns - int(row["first"]))
            progress(STAGE, done, turns)

        arguments = {
            "url": workspace.url,
            "folder": stage.folder.name,
            "vectors": vectors.name,
            "rankings": {teacher: folder.name for teacher, folder in rankings.items()},
            "experiment": experiment.model_dump(mode="json"),
        }
        map_units(units, _JoinChunk, arguments, on_result=finished)
        if written == 0:
            raise DataError(f"no training turn has a rewrite by {', '.join(rankings)} that retrieves anything")
        # For whom asks what was prepared here, such as a baseline's evaluation; no part of the stage's identity.
        content = json.dumps(experiment.model_dump(mode="json"), indent=1) + "\n"
        writer.add(stage.folder.write_bytes("experiment.json", content.encode()))
        writer.counts |= {"turns": written, "dropped": dropped | {"without a teacher's ranking": without_ranking}}
    return stage.folder


def _plan(
    workspace: Workspace, experiment: ExperimentConfig, collection: Collection
) -> tuple[pa.Table, dict[str, int]]:
    split = experiment.corpus.train
    turns = read_turns(workspace, split)
    judgements = read_judgements(workspace, split)
    held_out: frozenset[str] = frozenset()
    if isinstance(experiment.corpus.validation, HoldoutConfig):
        held_out = validation_conversations({t.conversation_id for t in turns}, experiment.corpus.validation)
    relevant = relevance_threshold(workspace, split)
    positives = {turn.query_id: _positives(turn, judgements.get(turn.query_id, {}), relevant) for turn in turns}
    rows = passage_rows(workspace, sorted({doc_id for ids in positives.values() for doc_id in ids}))
    same_text = _rows_with_text_of(np.array(sorted(rows.values()), dtype=np.int64), collection.text_hashes)
    dropped = {"held out for validation": 0, "without a judged positive": 0}
    query_ids, positive_rows, excluded_rows = [], [], []
    for turn in turns:
        if turn.conversation_id in held_out:
            dropped["held out for validation"] += 1
            continue
        mine = [rows[doc_id] for doc_id in positives[turn.query_id]]
        if not mine:
            dropped["without a judged positive"] += 1
            continue
        query_ids.append(turn.query_id)
        positive_rows.append(mine)
        excluded_rows.append(sorted({twin for row in mine for twin in same_text[row]}))
    return pa.table([query_ids, positive_rows, excluded_rows], schema=PLAN_SCHEMA), dropped


def _positives(turn: Turn, judged: dict[str, int], relevant_from: int) -> list[str]:
    relevant = (doc_id for doc_id, relevance in judged.items() if relevance >= relevant_from)
    return sorted({*turn.positives, *relevant})


def _rows_with_text_of(rows: np.ndarray, hashes: np.ndarray) -> dict[int, list[int]]:
    """For each of these rows, all rows with the same text, itself included."""
    wanted = {int(hashes[row]) for row in rows}
    by_hash: dict[int, list[int]] = {value: [] for value in wanted}
    for row in np.flatnonzero(np.isin(hashes, np.array(sorted(wanted), dtype=hashes.dtype))):
        by_hash[int(hashes[row])].append(int(row))
    return {int(row): by_hash[int(hashes[row])] for row in rows}


class _JoinChunk:
    """One process: writes the training rows of a chunk of turns."""

    def __init__(
        self, url: str, folder: str, vectors: str, rankings: dict[str, str], experiment: dict[str, Any]
    ) -> None:
        workspace = Workspace(url)
        self.experiment = ExperimentConfig.model_validate(experiment)
        self.folder = workspace.folder(folder)
        self.collection = Collection(workspace.folder(vectors))
        self.rankings = {teacher: workspace.folder(name) for teacher, name in rankings.items()}
        self.turns = read_turns(workspace, self.experiment.corpus.train)
        plan = _read_plan(self.folder)
        self.plan = {row["query_id"]: row for row in plan.to_pylist()}

    def __call__(self, unit: dict[str, Any]) -> dict[str, Any]:
        chunk, first = int(unit["chunk"]), int(unit["first"])
        turns = [turn for turn in self.turns[first : first + CHUNK_TURNS] if turn.query_id in self.plan]
        ranked: dict[str, dict[str, dict[str, Any]]] = {}
        for teacher, folder in self.rankings.items():
            rows = folder.read_table(chunk_file(chunk, "parquet")).to_pylist()
            ranked[teacher] = {row["query_id"]: row for row in rows if row["passage_rows"]}
        trained = [turn for turn in turns if any(turn.query_id in rows for rows in ranked.values())]
        file = chunk_file(chunk, "arrow")
        if self.folder.exists(file):
            entry = self.folder.entry(file, rows=len(trained))
        else:
            rows = [self._row(turn, ranked) for turn in trained]
            table = pa.Table.from_pylist(rows, schema=training_schema(tuple(self.rankings)))
            entry = self.folder.write_table(file, table)
        return {
            "entry": json.dumps(asdict(entry)),
            "first": first,
            "without_ranking": len(turns) - len(trained),
        }

    def _row(self, turn: Turn, ranked: dict[str, dict[str, dict[str, Any]]]) -> dict[str, Any]:
        encoder: EncoderConfig = self.experiment.encoder
        plan = self.plan[turn.query_id]
        row: dict[str, Any] = {
            "query_id": turn.query_id,
            "conversation_id": turn.conversation_id,
            "turn_number": turn.turn_number,
            "input_ids": context_ids(
                self.collection.tokenizer,
                context_of(turn, self.experiment.context),
                self.experiment.context,
                max_tokens=encoder.query_tokens,
            ),
            "positive_rows": plan["positive_rows"],
            "excluded_rows": plan["excluded_rows"],
        }
        for teacher, rankings in ranked.items():
            ranking = rankings.get(turn.query_id)
            for column in ("positive_scores", "passage_rows", "scores", "rewrite_indices", "rewrite_values"):
                row[f"{teacher}/{column}"] = [] if ranking is None or column == "positive_scores" else ranking[column]
            if ranking is not None:
                row[f"{teacher}/positive_scores"] = self._scores(plan["positive_rows"], ranking)
        return row

    def _scores(self, rows: list[int], ranking: dict[str, Any]) -> list[float]:
        # A positive outside the top K has a teacher score too: the same dot product.
        rewrite = SparseVectors.from_rows(
            [(ranking["rewrite_indices"], ranking["rewrite_values"])], self.collection.vectors.vocabulary_size
        )
        product = self.collection.vectors.take(rows).to_scipy() @ rewrite.to_scipy().T
        return [float(score) for score in product.toarray()[:, 0]]


def _read_plan(folder: Folder) -> pa.Table:
    with folder.workspace.fs.open(folder.path(PLAN), "rb") as stream:
        return pa.ipc.open_file(stream).read_all()
