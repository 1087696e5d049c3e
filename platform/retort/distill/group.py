"""Training on a Ray Train worker group: rank 0 writes the run's files into the workspace, and the driver records them."""

import os
from dataclasses import asdict
from typing import Any

import torch

from retort.config import ExperimentConfig
from retort.distill.students import Training, train_and_keep
from retort.distill.worker import Worker
from retort.errors import RetortError, RunError
from retort.progress import Progress, silent
from retort.shards.prepare import Prepared
from retort.shards.reader import Collection, TrainingTurns
from retort.shards.session import cluster_cpus, cluster_gpus, ensure_ray
from retort.storage import FileEntry, Folder, Workspace

__all__ = ["train_on_group"]

WORKER_RESULT = "worker.json"


def train_on_group(
    workspace: Workspace, experiment: ExperimentConfig, prepared: Prepared, folder: Folder, progress: Progress
) -> tuple[list[FileEntry], dict[str, Any]]:
    """Train on ``training.workers`` workers; returns the entries and the counts of the run's record.

    Raises:
        RunError: If the cluster has too few processors, or a worker failed.
    """
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
    workspace.fs.rm(f"{workspace.root}/.ray_train/{folder.name.replace('/', '-')}", recursive=True)
    progress("training", result["counts"]["steps"], result["counts"]["steps"])
    return [FileEntry(**entry) for entry in result["entries"]], result["counts"]


def _group_worker(arguments: dict[str, Any]) -> None:
    """What each worker of the group runs."""
    import ray.train
    from ray.train.torch import get_device

    context = ray.train.get_context()
    workspace = Workspace(arguments["url"])
    worker = Worker(get_device(), context.get_world_rank(), context.get_world_size())
    if worker.device.type == "cpu":
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // worker.world))
    training = Training(
        workspace,
        ExperimentConfig.model_validate(arguments["experiment"]),
        workspace.folder(arguments["folder"]),
        Collection(workspace.folder(arguments["vectors"])),
        TrainingTurns(workspace.folder(arguments["training"])),
        workspace.folder(arguments["index"]),
    )
    trained = train_and_keep(training, worker, silent)
    if worker.rank == 0:
        result = {"entries": [asdict(entry) for entry in trained.entries], "counts": trained.counts}
        training.folder.write_json(WORKER_RESULT, result)
    ray.train.report({"steps": trained.counts["steps"]})
