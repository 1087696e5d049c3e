"""A run's identity, its folder and fingerprint, and what a distilled run is. ``evaluation/students.py`` opens one again.

Nothing here needs torch.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from retort.config import ExperimentConfig, run_label
from retort.shards.prepare import Prepared
from retort.sparse.encoders.models import model_digest
from retort.storage import Folder, Record, Stage, Workspace
from retort.storage.layout import RUN

if TYPE_CHECKING:
    from retort.sparse.encoders.encoder import QueryEncoder

__all__ = ["Distilled", "run_stage"]

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


def run_stage(workspace: Workspace, experiment: ExperimentConfig, prepared: Prepared) -> Stage:
    """Folder and identity of an experiment's run; the same experiment is the same run."""
    inputs = {
        "training": prepared.training.require("the training shards are prepared first").fingerprint,
        "model": model_digest(experiment.encoder),
    }
    label = f"{RUN.parent}/{run_label(experiment)}"
    return workspace.stage(STAGE, VERSION, label=label, config=experiment.training_identity(), inputs=inputs)
