"""A run's identity: its folder and fingerprint. ``evaluation/students.py`` opens a finished run again."""

from retort.config import ExperimentConfig, run_label
from retort.shards.prepare import Prepared
from retort.sparse.encoders.models import model_digest
from retort.storage import Stage, Workspace
from retort.storage.layout import RUN

__all__ = ["run_stage"]

STAGE = "run"
VERSION = 1


def run_stage(workspace: Workspace, experiment: ExperimentConfig, prepared: Prepared) -> Stage:
    """Folder and identity of an experiment's run; the same experiment is the same run."""
    inputs = {
        "training": prepared.training.require("the training shards are prepared first").fingerprint,
        "model": model_digest(experiment.encoder),
    }
    label = f"{RUN.parent}/{run_label(experiment)}"
    return workspace.stage(STAGE, VERSION, label=label, config=experiment.training_identity(), inputs=inputs)
