"""Finished runs with their students loaded."""

from dataclasses import dataclass

from retort.config import ExperimentConfig
from retort.evaluation.runs import find_run, run_experiment
from retort.shards.vectors import vectors_stage
from retort.sparse.encoders.encoder import QueryEncoder, load_student
from retort.sparse.tokens import Tokenizer
from retort.storage import Folder, Workspace
from retort.storage.layout import RUN

__all__ = ["Run", "open_run"]


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: ``runs/<name>``.
        name: Readable, ending in the fingerprint's beginning.
        config: Its experiment.
        vectors: Folder of the passages' vectors that its queries are for: those that it was trained against, or, where it
            trained the passage encoder, its own, which ``evaluate.prepare_run_vectors`` encodes.
        student: Ready to encode.
        tokenizer: The checkpoint's.
        frozen_vectors: Those that it was trained against, where ``vectors`` are its own.
    """

    folder: Folder
    name: str
    config: ExperimentConfig
    vectors: Folder
    student: QueryEncoder
    tokenizer: Tokenizer
    frozen_vectors: Folder | None = None


def open_run(workspace: Workspace, name: str) -> Run:
    """Load a finished run's student."""
    folder = find_run(workspace, name)
    config = run_experiment(folder)
    student, tokenizer = load_student(folder.local_tree(RUN.checkpoint))
    vectors = workspace.folder(folder.read_json(RUN.inputs)["vectors"])
    name = RUN.label(folder.name)
    if config.trains_passages:
        own = vectors_stage(workspace, config.encoder, run=folder).folder
        return Run(folder, name, config, own, student, tokenizer, frozen_vectors=vectors)
    return Run(folder, name, config, vectors, student, tokenizer)
