"""Distil one experiment: prepare what is missing, train in this process or on a Ray Train worker group, keep the run.

``runs/<name>-<fingerprint>/`` holds the checkpoint (and the passage encoder's, where it was trained), the experiment, and the
curves. The same experiment again is the same
run, however many workers trained it. An interrupted training goes on from its last state.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
import yaml

from retort.config import ExperimentConfig, experiment_from
from retort.distill.identity import run_stage
from retort.distill.towers import TrainedPassages
from retort.distill.worker import Curves, check_precision, train
from retort.errors import RetortError, RunError
from retort.progress import Progress, silent
from retort.shards.index import open_index
from retort.shards.prepare import Prepared, check_inputs, prepare
from retort.shards.reader import Collection, TrainingTurns
from retort.shards.session import cluster_cpus, cluster_gpus, ensure_ray
from retort.shards.texts import PassageTokens
from retort.sparse.encoders.encoder import QueryEncoder, initial_student, load_student, save_student
from retort.sparse.objective.regularizers import Limits
from retort.storage import FileEntry, Folder, Record, StageWriter, Workspace
from retort.storage.layout import EXPERIMENT, RUN

__all__ = ["Distilled", "check_distillation", "distil", "distil_prepared", "training_device", "untrained_student"]

WORKER_RESULT = "worker.json"


@dataclass(frozen=True)
class Distilled:
    """What distilling came to.

    Attributes:
        run: The folder's name below ``runs/``.
        folder: The run.
        record: Its record; counts hold steps, seconds of training and the last losses.
        reused: Whether the run was there already.
        student: The trained student, where it was trained in this process and its passages stayed as they were.
    """

    run: str
    folder: Folder
    record: Record
    reused: bool
    student: QueryEncoder | None = None


def distil(workspace: Workspace, experiment: ExperimentConfig, *, progress: Progress = silent) -> Distilled:
    """Distil an experiment, running the stages that are missing.

    Raises:
        InputError: If the configuration or something that it needs is wrong; nothing was started.
        RunError: If training failed.
    """
    check_distillation(workspace, experiment)
    workers = experiment.training.workers
    if workers:
        ensure_ray(cpus=max(workers, os.cpu_count() or 1))
    return distil_prepared(workspace, experiment, prepare(workspace, experiment, progress), progress=progress)


def check_distillation(workspace: Workspace, experiment: ExperimentConfig) -> None:
    """Find out, before anything is started or written, whether an experiment can be distilled here.

    Raises:
        InputError: If not.
    """
    if experiment.training.workers == 0:
        check_precision(experiment, training_device())
    check_inputs(workspace, experiment)


def distil_prepared(
    workspace: Workspace,
    experiment: ExperimentConfig,
    prepared: Prepared,
    *,
    progress: Progress = silent,
    open_collection: Callable[[Folder], Collection] = Collection,
    open_turns: Callable[[Folder], TrainingTurns] = TrainingTurns,
) -> Distilled:
    """Distil an experiment whose shards are there.

    Args:
        workspace: Where they are.
        experiment: What to train.
        prepared: The shards.
        progress: Told of every step.
        open_collection: Opens the passages' vectors; a sweep hands in one that keeps them open between trials.
        open_turns: Likewise for the training turns.
    """
    stage = run_stage(workspace, experiment, prepared)
    name = RUN.label(stage.folder.name)
    student: QueryEncoder | None = None
    with stage.writing() as writer:
        if writer.finished is not None:
            progress("training", 1, 1, f"{name} is there already")
            return Distilled(name, stage.folder, writer.finished, reused=True)
        writer.add(
            stage.folder.write_bytes(EXPERIMENT, _json(experiment.model_dump(mode="json"))),
            stage.folder.write_bytes(
                "experiment.yaml", yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False).encode()
            ),
            stage.folder.write_bytes(
                RUN.inputs, _json({"vectors": prepared.vectors.name, "training": prepared.training.name})
            ),
        )
        if experiment.regularization.cost_threshold > 0:
            twin = _twin(workspace, experiment, prepared, progress, open_collection, open_turns)
            collection = open_collection(prepared.vectors)
            student, entries = _pruned(experiment, twin, stage.folder, collection)
            writer.add(*entries)
            writer.counts |= {**twin.record.counts, "training_seconds": 0.0, "pruned_from": twin.run}
        elif experiment.training.workers == 0:
            started = time.monotonic()
            collection, turns = open_collection(prepared.vectors), open_turns(prepared.training)
            device = training_device()
            student = untrained_student(experiment, collection)
            passages = untrained_passages(workspace, experiment, collection)
            curves = train(
                experiment,
                turns,
                collection,
                student,
                device=device,
                state_folder=stage.folder,
                index=open_index(prepared.index) if experiment.sampling.strategy == "student" else None,
                passages=passages,
                progress=progress,
            )
            seconds = time.monotonic() - started
            entries = _keep(stage.folder, student, passages, collection, experiment, curves)
            writer.add(*entries)
            writer.counts |= _counts(curves, seconds, str(device))
        else:
            _train_on_group(workspace, experiment, prepared, stage.folder, writer, progress)
    # A passage encoder of its own is read again from the run: it encodes the collection for the run's evaluation.
    kept = None if experiment.trains_passages else student
    return Distilled(name, stage.folder, writer.record, reused=False, student=kept)


def _twin(
    workspace: Workspace,
    experiment: ExperimentConfig,
    prepared: Prepared,
    progress: Progress,
    open_collection: Callable[[Folder], Collection],
    open_turns: Callable[[Folder], TrainingTurns],
) -> Distilled:
    """The run that a pruned one is pruned from: the same but for that; distilled where it is not there yet."""
    plain = experiment.model_dump(mode="json", by_alias=True)
    plain["regularization"] |= {"cost_threshold": 0.0}
    return distil_prepared(
        workspace,
        experiment_from(plain),
        prepared,
        progress=progress,
        open_collection=open_collection,
        open_turns=open_turns,
    )


def _pruned(
    experiment: ExperimentConfig, twin: Distilled, folder: Folder, collection: Collection
) -> tuple[QueryEncoder, list[FileEntry]]:
    """The twin's student without the terms that are not worth their cost, and its files in a run's own folder."""
    student, _ = load_student(twin.folder.local_tree(RUN.checkpoint))
    share = torch.from_numpy(np.asarray(collection.passage_share, dtype=np.float32))
    threshold = experiment.regularization.cost_threshold
    student.limits = replace(student.limits, cost_threshold=threshold, passage_share=share)
    collector = StageWriter(folder, None)
    with tempfile.TemporaryDirectory() as temporary:
        tokens = experiment.encoder.query_tokens
        save_student(student, Path(temporary), tokenizer=collection.tokenizer, max_tokens=tokens)
        collector.add_tree(Path(temporary), RUN.checkpoint)
    curves = folder.write_table(RUN.curves, twin.folder.read_table(RUN.curves))
    return student, [curves, *collector.entries.values()]


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


def training_device() -> torch.device:
    """Where one process trains: the first GPU, or the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


def _counts(curves: Curves, seconds: float, device: str) -> dict[str, Any]:
    last = dict(zip(curves.columns, curves.rows[-1], strict=True))
    return {
        "steps": len(curves.rows),
        "training_seconds": round(seconds, 3),
        "device": device,
        "last": {name: round(value, 6) for name, value in last.items()},
    }


def _keep(
    folder: Folder,
    student: QueryEncoder,
    passages: TrainedPassages | None,
    collection: Collection,
    experiment: ExperimentConfig,
    curves: Curves,
) -> list[FileEntry]:
    """Write checkpoints and curves into the run's folder."""
    table = pa.table(
        {"step": pa.array(range(len(curves.rows)), pa.int32())}
        | {name: pa.array(curves.of(name), pa.float32()) for name in curves.columns}
    )
    entries = [folder.write_table(RUN.curves, table)]
    encoders = [(RUN.checkpoint, student, experiment.encoder.query_tokens)]
    if passages is not None:
        encoders.append((RUN.passage_checkpoint, passages.encoder, experiment.encoder.passage_tokens))
    collector = StageWriter(folder, None)
    for name, encoder, max_tokens in encoders:
        with tempfile.TemporaryDirectory() as temporary:
            save_student(encoder.cpu(), Path(temporary), tokenizer=collection.tokenizer, max_tokens=max_tokens)
            collector.add_tree(Path(temporary), name)
    return entries + list(collector.entries.values())


def _train_on_group(
    workspace: Workspace,
    experiment: ExperimentConfig,
    prepared: Prepared,
    folder: Folder,
    writer: StageWriter,
    progress: Progress,
) -> None:
    """Train on a Ray Train group of ``training.workers``; rank 0 writes the run's files into the workspace."""
    workers = experiment.training.workers
    ensure_ray(cpus=max(workers, os.cpu_count() or 1))
    import ray.train
    from ray.train.torch import TorchConfig, TorchTrainer

    gpus = cluster_gpus()
    if workers > max(cluster_cpus(), gpus):
        raise RunError(f"training.workers={workers}, but the cluster has {cluster_cpus()} CPUs and {gpus} GPUs")
    use_gpu = gpus >= workers
    storage = f"{workspace.root}/.ray_train" if workspace.is_local else f"{workspace.url}/.ray_train"
    progress("training", 0, None, f"starting {workers} Ray Train workers")
    trainer = TorchTrainer(
        _group_worker,
        train_loop_config={
            "url": workspace.url,
            "experiment": experiment.model_dump(mode="json"),
            "folder": folder.name,
            "vectors": prepared.vectors.name,
            "training": prepared.training.name,
            "index": prepared.index.name,
        },
        scaling_config=ray.train.ScalingConfig(num_workers=workers, use_gpu=use_gpu),
        torch_config=TorchConfig(backend="nccl" if use_gpu else "gloo"),
        # The run's name is unique by its fingerprint, so that a restarted driver continues this run and no other.
        run_config=ray.train.RunConfig(name=folder.name.replace("/", "-"), storage_path=storage),
    )
    try:
        trainer.fit()
    except ray.train.TrainingFailedError as error:
        causes = [*getattr(error, "worker_failures", {}).values(), error.__cause__]
        own = next((cause for cause in causes if isinstance(cause, RetortError)), None)
        raise own if own is not None else RunError(f"training failed: {error}") from error
    result = folder.read_json(WORKER_RESULT)
    writer.add(*(FileEntry(**entry) for entry in result["entries"]))
    writer.counts |= result["counts"]
    workspace.fs.rm(f"{workspace.root}/.ray_train/{folder.name.replace('/', '-')}", recursive=True)
    progress("training", result["counts"]["steps"], result["counts"]["steps"])


def _group_worker(arguments: dict[str, Any]) -> None:
    """What each worker of the group runs."""
    import ray.train
    from ray.train.torch import get_device

    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    experiment = ExperimentConfig.model_validate(arguments["experiment"])
    workspace = Workspace(arguments["url"])
    folder = workspace.folder(arguments["folder"])
    collection = Collection(workspace.folder(arguments["vectors"]))
    turns = TrainingTurns(workspace.folder(arguments["training"]))
    student = untrained_student(experiment, collection)
    passages = untrained_passages(workspace, experiment, collection)
    device = get_device()
    if device.type == "cpu":
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // world))
    started = time.monotonic()
    curves = train(
        experiment,
        turns,
        collection,
        student,
        device=device,
        rank=rank,
        world=world,
        state_folder=folder,
        index=open_index(workspace.folder(arguments["index"])) if experiment.sampling.strategy == "student" else None,
        passages=passages,
        progress=silent,
    )
    if rank == 0:
        counts = _counts(curves, time.monotonic() - started, f"{world} x {device.type}")
        entries = _keep(folder, student, passages, collection, experiment, curves)
        folder.write_bytes(WORKER_RESULT, _json({"entries": [asdict(e) for e in entries], "counts": counts}))
    ray.train.report({"steps": len(curves.rows)})
