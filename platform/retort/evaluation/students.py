"""Finished runs with their students, which are loaded when they are first asked for: that takes torch, and seconds."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from retort.config import ExperimentConfig
from retort.evaluation.runs import find_run, run_experiment
from retort.progress import Progress, silent
from retort.shards.vectors import prepare_vectors, vectors_stage
from retort.storage import Folder, Workspace
from retort.storage.layout import RUN

if TYPE_CHECKING:
    from retort.sparse.encoders.encoder import QueryEncoder
    from retort.sparse.tokens import Tokenizer

__all__ = ["Run", "open_run", "prepare_run_vectors"]


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: ``runs/<name>``.
        name: Readable, ending in the fingerprint's beginning.
        config: The experiment that it was trained by.
        vectors: Folder of the passages' vectors that the student's queries are for: those that it was trained against, or,
            where the run trained the passage encoder, the run's own, which :func:`prepare_run_vectors` encodes.
        load: Makes the student and the tokeniser ready.
        frozen_vectors: The vectors that it was trained against, where ``vectors`` are the run's own.
    """

    folder: Folder
    name: str
    config: ExperimentConfig
    vectors: Folder
    load: "Callable[[], tuple[QueryEncoder, Tokenizer]]"
    frozen_vectors: Folder | None = None

    @cached_property
    def _loaded(self) -> "tuple[QueryEncoder, Tokenizer]":
        return self.load()

    @property
    def student(self) -> "QueryEncoder":
        """Ready to encode."""
        return self._loaded[0]

    @property
    def tokenizer(self) -> "Tokenizer":
        """The checkpoint's."""
        return self._loaded[1]


def open_run(workspace: Workspace, name: str) -> Run:
    """A finished run, by its name or an unambiguous part of it.

    Raises:
        WorkspaceError: If there is no such run.
    """
    folder = find_run(workspace, name)
    config = run_experiment(folder)
    vectors = workspace.folder(folder.read_json(RUN.inputs)["vectors"])

    def load() -> "tuple[QueryEncoder, Tokenizer]":
        from retort.sparse.encoders.encoder import load_student

        return load_student(folder.local_tree(RUN.checkpoint))

    name = RUN.label(folder.name)
    if config.trains_passages:
        own = vectors_stage(workspace, config.encoder, run=folder).folder
        return Run(folder, name, config, own, load, frozen_vectors=vectors)
    return Run(folder, name, config, vectors, load)


def prepare_run_vectors(workspace: Workspace, run: Run, progress: Progress = silent) -> Folder:
    """The passages' vectors that a run's queries are for; the run's own are encoded, unless that is done already."""
    if run.frozen_vectors is None:
        return run.vectors
    return prepare_vectors(workspace, run.config.encoder, progress, run=run.folder)
