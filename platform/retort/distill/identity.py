"""A run's identity and its readable name. How a finished run is read again stands in ``retrieval/students.py``."""

import re

from retort.config import ExperimentConfig
from retort.shards.prepare import Prepared
from retort.sparse.encoders.models import model_digest
from retort.storage import Stage, Workspace

__all__ = ["run_stage"]

STAGE = "run"
VERSION = 1


def run_stage(workspace: Workspace, experiment: ExperimentConfig, prepared: Prepared) -> Stage:
    """Folder and identity of an experiment's run; the same experiment is the same run."""
    inputs = {
        "training": prepared.training.require("the training shards are prepared first").fingerprint,
        "model": model_digest(experiment.encoder),
    }
    label = f"runs/{_label(experiment)}"
    return workspace.stage(STAGE, VERSION, label=label, config=experiment.training_identity(), inputs=inputs)


def _label(experiment: ExperimentConfig) -> str:
    objective, penalty = experiment.objective, experiment.regularization
    words = [
        "+".join(experiment.teacher.names),
        experiment.encoder.model.rstrip("/").rsplit("/", 1)[-1],
        f"w{objective.contrastive_weight:.3g}",
        f"n{experiment.sampling.count}",
    ]
    if penalty.query != "none":
        words.append(f"{penalty.query.replace('_', '')}{penalty.query_weight:.3g}")
    if penalty.cost_threshold:
        words.append(f"pruned{penalty.cost_threshold:.3g}")
    if experiment.trains_passages:
        words.append(f"passages{penalty.passage_weight:.3g}")
    words.append(f"s{experiment.training.seed}")
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", "-".join(words))[:80]
