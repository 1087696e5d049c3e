"""All stages that an experiment trains from, in order; those that are there already are skipped and say so."""

from dataclasses import dataclass

from retort.config import ExperimentConfig
from retort.corpora.turns import require_turns
from retort.errors import ConfigError
from retort.progress import Progress
from retort.shards.imported import imported_rankings
from retort.shards.index import index_stage, prepare_index
from retort.shards.rankings import prepare_rankings, rankings_stage
from retort.shards.training import prepare_training, training_stage
from retort.shards.vectors import prepare_vectors, vectors_stage
from retort.sparse.encoders.models import check_model
from retort.storage import Folder, Workspace
from retort.teachers.imports import require_rewrites

__all__ = ["Prepared", "check_inputs", "find_prepared", "prepare"]


@dataclass(frozen=True)
class Prepared:
    """The finished stages that training and evaluation read."""

    vectors: Folder
    index: Folder
    rankings: dict[str, Folder]
    training: Folder

    def reported(self, progress: Progress) -> None:
        """Say of each stage that it is there already, as :func:`prepare` does."""
        rankings = {f"rankings {teacher}": folder for teacher, folder in self.rankings.items()}
        stages = {"vectors": self.vectors, "index": self.index, **rankings, "training": self.training}
        for stage, folder in stages.items():
            progress(stage, 1, 1, f"{folder.name} is there already")


def check_inputs(workspace: Workspace, experiment: ExperimentConfig) -> None:
    """Find out, before anything long starts, whether all that an experiment reads is there.

    Raises:
        WorkspaceError: If passages, turns or rewrites are missing.
        ConfigError: If the model cannot be had.
    """
    check_model(experiment.encoder)
    vectors_stage(workspace, experiment.encoder)
    require_turns(workspace, experiment.corpus.train)
    for teacher in experiment.teacher.names:
        if imported_rankings(workspace, teacher, experiment.corpus.train) is None:
            require_rewrites(workspace, teacher, experiment.corpus.train)
    for split in (experiment.corpus.validation, experiment.corpus.evaluate):
        if isinstance(split, str):
            require_turns(workspace, split)
    if experiment.corpus.validation == experiment.corpus.train:
        raise ConfigError(["corpus.validate: names the training split; hold out a share of it, or name another split"])


def find_prepared(workspace: Workspace, experiment: ExperimentConfig) -> Prepared | None:
    """The stages that an experiment trains from, if all of them are there; found by fingerprints, so that nothing is started.

    Raises:
        InputError: If something that they read is missing.
    """
    check_inputs(workspace, experiment)
    split, encoder = experiment.corpus.train, experiment.encoder
    vectors = vectors_stage(workspace, encoder).folder
    if vectors.record() is None:
        return None
    index = index_stage(workspace, vectors).folder
    rankings = {
        teacher: imported_rankings(workspace, teacher, split)
        or rankings_stage(workspace, vectors, encoder, experiment.teacher, teacher=teacher, split=split).folder
        for teacher in experiment.teacher.names
    }
    if any(folder.record() is None for folder in (index, *rankings.values())):
        return None
    training = training_stage(workspace, experiment, vectors, rankings).folder
    return None if training.record() is None else Prepared(vectors, index, rankings, training)


def prepare(workspace: Workspace, experiment: ExperimentConfig, progress: Progress) -> Prepared:
    """Run the stages that are missing: vectors, their index, each teacher's rankings, training shards.

    Raises:
        InputError: If something that they read is missing; nothing was started then.
    """
    check_inputs(workspace, experiment)
    vectors = prepare_vectors(workspace, experiment.encoder, progress)
    index = prepare_index(workspace, vectors, progress)
    split = experiment.corpus.train
    rankings = {
        teacher: imported_rankings(workspace, teacher, split)
        or prepare_rankings(
            workspace,
            vectors,
            index,
            experiment.encoder,
            experiment.teacher,
            teacher=teacher,
            split=split,
            progress=progress,
        )
        for teacher in experiment.teacher.names
    }
    training = prepare_training(workspace, experiment, vectors, rankings, progress)
    return Prepared(vectors, index, rankings, training)
