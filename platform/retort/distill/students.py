"""A run's student: as training starts from it, trained in this process, pruned from another run's, and its files."""

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from retort.config import ExperimentConfig
from retort.distill.state import Curves
from retort.distill.towers import TrainedPassages
from retort.distill.worker import Material, States, Worker, train
from retort.progress import Progress
from retort.shards.index import open_index
from retort.shards.reader import Collection, TrainingTurns
from retort.shards.texts import PassageTokens
from retort.sparse.encoders.encoder import QueryEncoder, initial_student, load_student, save_student
from retort.sparse.objective.regularizers import Limits
from retort.storage import FileEntry, Folder, StageWriter, Workspace
from retort.storage.layout import RUN

__all__ = ["Trained", "Training", "prune", "train_and_keep", "untrained_passages", "untrained_student"]


@dataclass(frozen=True)
class Training:
    """What an experiment is trained from.

    Attributes:
        folder: The run's, which checkpoints and states are written to.
        index: The stage of the collection's index.
    """

    workspace: Workspace
    experiment: ExperimentConfig
    folder: Folder
    collection: Collection
    turns: TrainingTurns
    index: Folder


@dataclass(frozen=True)
class Trained:
    """A student and what its run's record says of it: files and counts."""

    student: QueryEncoder
    entries: list[FileEntry]
    counts: dict[str, Any]


def untrained_student(experiment: ExperimentConfig, collection: Collection) -> QueryEncoder:
    """The student that a training starts from, within the experiment's hard limits."""
    student = initial_student(experiment.encoder, collection.tokenizer)
    settings = experiment.regularization
    student.limits = Limits(settings.max_terms, settings.threshold)
    return student


def untrained_passages(
    workspace: Workspace, experiment: ExperimentConfig, collection: Collection
) -> TrainedPassages | None:
    """The passage encoder that a training starts from, the collection's own; None where it stays frozen."""
    if not experiment.trains_passages:
        return None
    encoder = initial_student(experiment.encoder, collection.tokenizer)
    max_tokens = experiment.encoder.passage_tokens
    return TrainedPassages(encoder, PassageTokens(workspace, collection.tokenizer, max_tokens=max_tokens))


def train_and_keep(training: Training, worker: Worker, progress: Progress) -> Trained:
    """Train an experiment as one of its workers; rank 0 writes the run's checkpoints and curves."""
    started = time.monotonic()
    experiment, collection = training.experiment, training.collection
    student = untrained_student(experiment, collection)
    passages = untrained_passages(training.workspace, experiment, collection)
    index = open_index(training.index) if experiment.sampling.strategy == "student" else None
    curves = train(
        Material(experiment, training.turns, collection, index),
        student,
        worker=worker,
        passages=passages,
        states=States(training.folder),
        progress=progress,
    )
    device = str(worker.device) if experiment.training.workers == 0 else f"{worker.world} x {worker.device.type}"
    counts = {
        "steps": len(curves.rows),
        "training_seconds": round(time.monotonic() - started, 3),
        "device": device,
        "last": {name: round(curves.of(name)[-1], 6) for name in curves.columns},
    }
    if worker.rank:
        return Trained(student, [], counts)
    encoders = [(RUN.checkpoint, student, experiment.encoder.query_tokens)]
    if passages is not None:
        encoders.append((RUN.passage_checkpoint, passages.encoder, experiment.encoder.passage_tokens))
    entries = [training.folder.write_table(RUN.curves, _table(curves))]
    for name, encoder, max_tokens in encoders:
        entries += _checkpoint(training.folder, name, encoder, collection, max_tokens)
    return Trained(student, entries, counts)


def prune(experiment: ExperimentConfig, twin: Folder, folder: Folder, collection: Collection) -> Trained:
    """The student of a run's twin without the terms that are not worth their cost, and its files in the run's folder."""
    student, _ = load_student(twin.local_tree(RUN.checkpoint))
    share = torch.from_numpy(np.asarray(collection.passage_share, dtype=np.float32))
    threshold = experiment.regularization.cost_threshold
    student.limits = replace(student.limits, cost_threshold=threshold, passage_share=share)
    curves = folder.write_table(RUN.curves, twin.read_table(RUN.curves))
    files = _checkpoint(folder, RUN.checkpoint, student, collection, experiment.encoder.query_tokens)
    record = twin.require("it was just distilled")
    counts = {**record.counts, "training_seconds": 0.0, "pruned_from": RUN.label(twin.name)}
    return Trained(student, [curves, *files], counts)


def _table(curves: Curves) -> pa.Table:
    steps = {"step": pa.array(range(len(curves.rows)), pa.int32())}
    return pa.table(steps | {name: pa.array(curves.of(name), pa.float32()) for name in curves.columns})


def _checkpoint(
    folder: Folder, name: str, encoder: QueryEncoder, collection: Collection, max_tokens: int
) -> list[FileEntry]:
    collector = StageWriter(folder, None)
    with tempfile.TemporaryDirectory() as temporary:
        save_student(encoder.cpu(), Path(temporary), tokenizer=collection.tokenizer, max_tokens=max_tokens)
        collector.add_tree(Path(temporary), name)
    return list(collector.entries.values())
