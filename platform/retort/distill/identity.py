"""A run's identity, its folder and fingerprint, and the run of an experiment that is there already.

``evaluation/students.py`` opens a run again. Nothing here needs torch.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from retort.config import ExperimentConfig, run_label
from retort.progress import Progress
from retort.shards.prepare import Prepared, find_prepared
from retort.sparse.encoders.models import model_digest
from retort.storage import Folder, Record, Stage, Workspace
from retort.storage.layout import RUN

if TYPE_CHECKING:
    from retort.sparse.encoders.encoder import QueryEncoder

__all__ = ["Distilled", "find_distilled", "run_stage"]

STAGE = "run"
VERSION = 1


@dataclass(frozen=True)
class Distilled:
    """A distilled run.

    Attributes:
        run: The folder's name below ``runs/``.
        folder: The run.
        record: The folder's record; counts hold steps, seconds of training and the last losses.
        reused: Whether the run was there already.
        student: The trained student, where it was trained in this process and its passages stayed as they were.
    """

    run: str
    folder: Folder
    record: Record
    reused: bool
    student: "QueryEncoder | None" = None


def find_distilled(workspace: Workspace, experiment: ExperimentConfig, progress: Progress) -> Distilled | None:
    """An experiment's run, if that and all that it was trained from is there; nothing is loaded to find out.

    Args:
        workspace: Where the run would be.
        experiment: What it would be trained with.
        progress: Called for each stage, if all of them are there.
    """
    prepared = find_prepared(workspace, experiment)
    if prepared is None:
        return None
    folder = run_stage(workspace, experiment, prepared).folder
    record, name = folder.record(), RUN.label(folder.name)
    if record is None:
        return None
    prepared.reported(progress)
    progress("training", 1, 1, f"{name} is there already")
    return Distilled(name, folder, record, reused=True)


def run_stage(workspace: Workspace, experiment: ExperimentConfig, prepared: Prepared) -> Stage:
    """Folder and identity of an experiment's run; the same experiment is the same run."""
    inputs = {
        "training": prepared.training.require("the training shards are prepared first").fingerprint,
        "model": model_digest(experiment.encoder),
    }
    label = f"{RUN.parent}/{run_label(experiment)}"
    return workspace.stage(STAGE, VERSION, label=label, config=experiment.training_identity(), inputs=inputs)
