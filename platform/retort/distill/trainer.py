"""Distil one experiment: prepare what is missing, train, keep the run. torch is imported only where something is to be trained.

``runs/<label>-<fingerprint>/`` holds the checkpoint (and the passage encoder's, where it was trained), the experiment, and the
curves. The same experiment again is the same run, however many workers trained it. An interrupted training goes on from its
last state.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import yaml

from retort.config import ExperimentConfig, experiment_from
from retort.distill.identity import Distilled, run_stage
from retort.distill.infrastructure import RETRIES
from retort.progress import Progress, silent
from retort.shards.prepare import Prepared, check_inputs, prepare
from retort.shards.reader import Collection, TrainingTurns
from retort.shards.session import ensure_ray
from retort.storage import Folder, Workspace
from retort.storage.layout import EXPERIMENT, EXPERIMENT_YAML, RUN

if TYPE_CHECKING:
    import torch

    from retort.sparse.encoders.encoder import QueryEncoder

__all__ = ["check_distillation", "distil", "distil_prepared", "training_device"]


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
    if experiment.training.workers == 0 and experiment.training.precision != "fp32":
        from retort.distill.worker import check_precision

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
    retries: int = RETRIES,
) -> Distilled:
    """Distil an experiment whose shards are there.

    Args:
        workspace: Where they are.
        experiment: What to train.
        prepared: The shards.
        progress: Called after each step.
        open_collection: Opens the passages' vectors; a sweep hands in one that keeps them open between trials.
        open_turns: Opens the training turns; a sweep hands in one that keeps them open, too.
        retries: How often a worker group is started again under which a machine or a process failed.

    Raises:
        RunError: If training failed.
        InfrastructureError: If something failed under it, oftener than it is tried again.
    """
    stage = run_stage(workspace, experiment, prepared)
    folder, name = stage.folder, RUN.label(stage.folder.name)
    student: QueryEncoder | None = None
    with stage.writing() as writer:
        if writer.finished is not None:
            progress("training", 1, 1, f"{name} is there already")
            return Distilled(name, folder, writer.finished, reused=True)
        settings = experiment.model_dump(mode="json")
        inputs = {"vectors": prepared.vectors.name, "training": prepared.training.name}
        writer.add(
            folder.write_json(EXPERIMENT, settings),
            folder.write_bytes(EXPERIMENT_YAML, yaml.safe_dump(settings, sort_keys=False).encode()),
            folder.write_json(RUN.inputs, inputs),
        )
        if experiment.regularization.cost_threshold > 0:
            from retort.distill.students import prune

            twin = distil_prepared(
                workspace,
                _unpruned(experiment),
                prepared,
                progress=progress,
                open_collection=open_collection,
                open_turns=open_turns,
                retries=retries,
            )
            trained = prune(experiment, twin.folder, folder, open_collection(prepared.vectors))
            student, entries, counts = trained.student, trained.entries, trained.counts
        elif experiment.training.workers == 0:
            from retort.distill.students import Training, train_and_keep
            from retort.distill.worker import Worker

            collection, turns = open_collection(prepared.vectors), open_turns(prepared.training)
            training = Training(workspace, experiment, folder, collection, turns, prepared.index)
            trained = train_and_keep(training, Worker(training_device()), progress)
            student, entries, counts = trained.student, trained.entries, trained.counts
        else:
            from retort.distill.group import train_on_group

            entries, counts = train_on_group(workspace, experiment, prepared, folder, progress, retries=retries)
        writer.add(*entries)
        writer.counts |= counts
    # A passage encoder of its own is read again from the run: it encodes the collection for the run's evaluation.
    kept = None if experiment.trains_passages else student
    return Distilled(name, folder, writer.record, reused=False, student=kept)


def _unpruned(experiment: ExperimentConfig) -> ExperimentConfig:
    """The experiment of the twin that a pruned run is pruned from: the same but for that."""
    plain = experiment.model_dump(mode="json", by_alias=True)
    plain["regularization"] |= {"cost_threshold": 0.0}
    return experiment_from(plain)


def training_device() -> "torch.device":
    """Where one process trains: the first GPU, or the processor."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
