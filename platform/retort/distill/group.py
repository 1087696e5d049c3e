"""Training on a Ray Train worker group: rank 0 writes the run's files into the workspace, and the driver records them.

A group under which a machine or a process failed is started again, and goes on from the training's last state. Ray Train would
start it again for a worker's own exception, too, which comes again; so it is told to retry nothing but preemptions.
"""

import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from retort.config import ExperimentConfig
from retort.distill.infrastructure import InfrastructureError, infrastructure_failure
from retort.distill.students import Training, train_and_keep
from retort.distill.worker import Worker
from retort.errors import RetortError, RunError
from retort.progress import Progress, silent
from retort.shards.prepare import Prepared
from retort.shards.reader import Collection, TrainingTurns
from retort.shards.session import cluster_cpus, cluster_gpus, ensure_ray, on_cluster
from retort.storage import FileEntry, Folder, Workspace

__all__ = ["train_on_group"]

WORKER_RESULT = "worker.json"
TRAIN = ".ray_train"


def train_on_group(
    workspace: Workspace,
    experiment: ExperimentConfig,
    prepared: Prepared,
    folder: Folder,
    progress: Progress,
    *,
    retries: int,
) -> tuple[list[FileEntry], dict[str, Any]]:
    """Train on ``training.workers`` workers; returns the entries and the counts of the run's record.

    Raises:
        RunError: If the cluster has too few processors, or a worker failed by itself.
        InfrastructureError: If something failed under the workers, oftener than ``retries``.
    """
    workers = experiment.training.workers
    ensure_ray(cpus=max(workers, os.cpu_count() or 1))
    import ray.train
    from ray.train.torch import TorchConfig, TorchTrainer

    gpus = cluster_gpus()
    if workers > max(cluster_cpus(), gpus):
        short = f"training.workers={workers}, but the cluster has {cluster_cpus()} CPUs and {gpus} GPUs"
        raise InfrastructureError(short) if on_cluster() else RunError(short)  # a cluster may just have lost a machine
    use_gpu = gpus >= workers
    # The run's name is unique by its fingerprint, so that a restarted driver continues this run and no other.
    name = folder.name.replace("/", "-")
    storage = f"{workspace.root}/{TRAIN}" if workspace.is_local else f"{workspace.url}/{TRAIN}"

    def fit() -> None:
        TorchTrainer(
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
            run_config=ray.train.RunConfig(name=name, storage_path=storage),
        ).fit()

    progress("training", 0, None, f"starting {workers} Ray Train workers")
    try:
        _fit_in_spite_of_losses(fit, retries, progress)
    finally:
        if name in workspace.names(TRAIN):
            workspace.fs.rm(f"{workspace.root}/{TRAIN}/{name}", recursive=True)
    result = folder.read_json(WORKER_RESULT)
    progress("training", result["counts"]["steps"], result["counts"]["steps"])
    return [FileEntry(**entry) for entry in result["entries"]], result["counts"]


def _fit_in_spite_of_losses(fit: Callable[[], None], retries: int, progress: Progress) -> None:
    """Train, and again where something failed under the workers."""
    from ray.train import TrainingFailedError

    for attempt in range(1, retries + 2):
        try:
            fit()
            return
        except TrainingFailedError as error:
            words = infrastructure_failure(error)
            if words is None:
                causes = [*getattr(error, "worker_failures", {}).values(), error.__cause__]
                own = next((cause for cause in causes if isinstance(cause, RetortError)), None)
                raise own if own is not None else RunError(f"training failed: {error}") from error
            if attempt > retries:
                again = f"{attempt} times; the next start goes on from its last state"
                raise InfrastructureError(f"{words} ({again})" if retries else words) from error
            progress("training", 0, None, f"the workers were lost: {words}; tried again, {attempt} of {retries}")


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
