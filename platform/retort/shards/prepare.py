"""All stages that an experiment trains from, in order; those that are there already are skipped and say so."""

from dataclasses import dataclass

from retort.config import ExperimentConfig
from retort.corpora.turns import read_turns
from retort.errors import ConfigError
from retort.progress import Progress
from retort.shards.imported import imported_rankings
from retort.shards.index import prepare_index
from retort.shards.rankings import prepare_rankings
from retort.shards.training import prepare_training
from retort.shards.vectors import prepare_vectors, vectors_stage
from retort.sparse.encoders.models import check_model
from retort.storage import Folder, Workspace
from retort.teachers.imports import read_rewrites

__all__ = ["Prepared", "check_inputs", "prepare"]


@dataclass(frozen=True)
class Prepared:
    """The finished stages that training and evaluation read."""

    vectors: Folder
    index: Folder
    rankings: dict[str, Folder]
    training: Folder


def check_inputs(workspace: Workspace, experiment: ExperimentConfig) -> None:
    """Find out, before anything long starts, whether all that an experiment reads is there.

    Raises:
        WorkspaceError: If passages, turns or rewrites are missing.
        ConfigError: If the model cannot be had.
    """
    check_model(experiment.encoder)
    vectors_stage(workspace, experiment.encoder)
    read_turns(workspace, experiment.corpus.train)
    for teacher in experiment.teacher.names:
        if imported_rankings(workspace, teacher, experiment.corpus.train) is None:
            read_rewrites(workspace, teacher, experiment.corpus.train)
    for split in (experiment.corpus.validation, experiment.corpus.evaluate):
        if isinstance(split, str):
            read_turns(workspace, split)
    if experiment.corpus.validation == experiment.corpus.train:
        raise ConfigError(["corpus.validate: names the training split; hold out a share of it, or name another split"])


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
