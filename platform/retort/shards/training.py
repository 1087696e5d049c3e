"""Stage: turns, rankings and vectors -> training shards with all that a distillation step needs.

``training/<split>-<fingerprint>/`` holds memory-mappable Arrow files, one per chunk of turns, of the training conversations
alone: those that ``corpus.validate`` holds out are not in it. Tokenisation happens here, once. So does what depends on more
than one turn or passage: the teachers' weights for learned fusion, and which passages are filtered as near-duplicates of a
positive.
"""

import json
from collections import Counter
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
from retort.shards.near import filters_of, near_positives
from retort.shards.positives import positives_of, ranked_turns, scores_of_positives
from retort.shards.rankings import CHUNK_TURNS, chunk_file
from retort.shards.reader import WEIGHTS_FILE, Collection
from retort.shards.session import map_units
from retort.storage import FileEntry, Folder, Stage, Workspace
from retort.storage.layout import EXPERIMENT

__all__ = ["prepare_training", "training_stage"]

STAGE = "training"
VERSION = 1
COUNTED = b"counted"  # key of a part's metadata
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
    # At their defaults these are no part of the identity: shards that were made before there were any are the same.
    if _learns(experiment):
        config["fusion"] = {"learned": experiment.encoder.score_scale}
    if filters := filters_of(experiment):
        config["filters"] = filters
    if any(folder.require("it was imported").counts.get("imported") for folder in rankings.values()):
        config["top_k"] = experiment.teacher.top_k
    missing = "import that split first: retort import --help"
    inputs = {
        "turns": workspace.folder(f"turns/{split}").require(missing).fingerprint,
        "judgements": workspace.folder(f"judgements/{split}").require(missing).fingerprint,
        "vectors": vectors.require("the vectors are prepared first").fingerprint,
    }
    for teacher, folder in rankings.items():
        inputs[f"rankings/{teacher}"] = folder.require("the rankings are prepared first").fingerprint
    return workspace.stage(STAGE, VERSION, label=f"training/{split}", config=config, inputs=inputs)


def _learns(experiment: ExperimentConfig) -> bool:
    return experiment.teacher.fusion == "learned" and len(experiment.teacher.names) > 1


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
        collection = Collection(vectors)
        plan, dropped, held_out = _plan(workspace, experiment, collection)
        if plan.num_rows == 0:
            raise DataError(f"no turn of {experiment.corpus.train} can be trained on: {dropped}")
        stage.folder.write_table(PLAN, plan)
        all_turns = read_turns(workspace, experiment.corpus.train)
        turns = len(all_turns)
        if _learns(experiment):
            from retort.shards.weights import weights_of_teachers  # scipy's optimisers

            found = weights_of_teachers(experiment, all_turns, held_out, collection, rankings)
            weights = dict(zip(experiment.teacher.names, found.weights, strict=True))
            writer.add(stage.folder.write_json(WEIGHTS_FILE, asdict(found) | {"weights": weights}))
            writer.counts["teacher_weights"] = weights
        units = [{"chunk": number, "first": first} for number, first in enumerate(range(0, turns, CHUNK_TURNS))]
        done = without_ranking = written = 0
        counted: Counter[str] = Counter()
        progress(STAGE, 0, turns, "joining turns with their rankings")

        def finished(row: dict[str, Any]) -> None:
            nonlocal done, without_ranking, written
            entry = FileEntry(**json.loads(row["entry"]))
            writer.add(entry)
            written += entry.rows or 0
            counted.update(json.loads(row["counted"]))
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
        writer.add(stage.folder.write_json(EXPERIMENT, experiment.model_dump(mode="json")))
        writer.counts |= {"turns": written, "dropped": dropped | {"without a teacher's ranking": without_ranking}}
        writer.counts |= dict(sorted(counted.items()))
    return stage.folder


def _plan(
    workspace: Workspace, experiment: ExperimentConfig, collection: Collection
) -> tuple[pa.Table, dict[str, int], dict[str, list[int]]]:
    split = experiment.corpus.train
    turns = read_turns(workspace, split)
    judgements = read_judgements(workspace, split)
    held_out: frozenset[str] = frozenset()
    if isinstance(experiment.corpus.validation, HoldoutConfig):
        held_out = validation_conversations({t.conversation_id for t in turns}, experiment.corpus.validation)
    relevant = relevance_threshold(workspace, split)
    positives = {turn.query_id: positives_of(turn, judgements.get(turn.query_id, {}), relevant) for turn in turns}
    rows = passage_rows(workspace, sorted({doc_id for ids in positives.values() for doc_id in ids}))
    same_text = _rows_with_text_of(np.array(sorted(rows.values()), dtype=np.int64), collection.text_hashes)
    dropped = {"held out for validation": 0, "without a judged positive": 0}
    query_ids, positive_rows, excluded_rows = [], [], []
    held_out_positives: dict[str, list[int]] = {}
    for turn in turns:
        mine = [rows[doc_id] for doc_id in positives[turn.query_id]]
        if turn.conversation_id in held_out:
            dropped["held out for validation"] += 1
            if mine:
                held_out_positives[turn.query_id] = mine
            continue
        if not mine:
            dropped["without a judged positive"] += 1
            continue
        query_ids.append(turn.query_id)
        positive_rows.append(mine)
        excluded_rows.append(sorted({twin for row in mine for twin in same_text[row]}))
    return pa.table([query_ids, positive_rows, excluded_rows], schema=PLAN_SCHEMA), dropped, held_out_positives


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
        self.counted: Counter[str] = Counter()

    def __call__(self, unit: dict[str, Any]) -> dict[str, Any]:
        chunk, first = int(unit["chunk"]), int(unit["first"])
        turns = [turn for turn in self.turns[first : first + CHUNK_TURNS] if turn.query_id in self.plan]
        file, top_k = chunk_file(chunk, "parquet"), self.experiment.teacher.top_k
        ranked = {teacher: ranked_turns(folder, file, top_k) for teacher, folder in self.rankings.items()}
        trained = [turn for turn in turns if any(turn.query_id in rows for rows in ranked.values())]
        file = chunk_file(chunk, "arrow")
        entry = self.folder.part(file)
        if entry is not None:
            counted = json.loads((self.folder.read_table(file).schema.metadata or {}).get(COUNTED, b"{}"))
        else:
            self.counted = Counter()
            rows = [self._row(turn, ranked) for turn in trained]
            counted = {name: count for name, count in self.counted.items() if count}
            table = pa.Table.from_pylist(rows, schema=training_schema(tuple(self.rankings)))
            if counted:  # beside the rows, for a stage that goes on
                table = table.replace_schema_metadata({COUNTED: json.dumps(counted)})
            entry = self.folder.write_table(file, table, part=True)
        return {
            "entry": json.dumps(asdict(entry)),
            "first": first,
            "without_ranking": len(turns) - len(trained),
            "counted": json.dumps(counted),
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
                scores, bounds = scores_of_positives(self.collection, plan["positive_rows"], ranking)
                row[f"{teacher}/positive_scores"] = scores
                self.counted["positives_without_own_score"] += bounds
        if filters_of(self.experiment):
            teachers = [teacher for teacher, rankings in ranked.items() if turn.query_id in rankings]
            near = near_positives(row, teachers, self.experiment.sampling, self.collection.vectors, self.counted)
            row["excluded_rows"] = sorted({*row["excluded_rows"], *near})
        return row


def _read_plan(folder: Folder) -> pa.Table:
    with folder.workspace.fs.open(folder.path(PLAN), "rb") as stream:
        return pa.ipc.open_file(stream).read_all()
