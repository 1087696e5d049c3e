"""Finished runs by name, and their students."""

from dataclasses import dataclass

from retort.config import ExperimentConfig, experiment_from
from retort.errors import WorkspaceError
from retort.shards.vectors import vectors_stage
from retort.sparse.encoder import CHECKPOINT_FOLDER, QueryEncoder, load_student
from retort.sparse.tokens import Tokenizer
from retort.storage import Folder, Workspace

__all__ = ["FROZEN_VECTORS", "Run", "find_run", "list_runs", "open_run"]

# Among the inputs of an evaluation: what a run was trained against, where it has vectors of its own.
FROZEN_VECTORS = "frozen_vectors"


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


def list_runs(workspace: Workspace) -> list[str]:
    """Names of the finished runs."""
    return [folder.name.removeprefix("runs/") for folder in workspace.stages("runs")]


def find_run(workspace: Workspace, name: str) -> Folder:
    """A run's folder by its name, or by an unambiguous beginning or ending of it.

    Raises:
        WorkspaceError: If there is none, or more than one.
    """
    name = name.removeprefix("runs/").rstrip("/")
    runs = list_runs(workspace)
    found = [run for run in runs if run == name] or [r for r in runs if r.startswith(name) or r.endswith(name)]
    if len(found) == 1 and name:
        return workspace.folder(f"runs/{found[0]}")
    known = ", ".join(runs[:20]) or "none; distil one first: retort distill --help"
    problem = f"{len(found)} runs match {name!r}: {', '.join(found)}" if found else f"no run {name!r}; runs: {known}"
    raise WorkspaceError(f"workspace {workspace.url}: {problem}")


def open_run(workspace: Workspace, name: str) -> Run:
    """Load a finished run's student."""
    folder = find_run(workspace, name)
    config = experiment_from(folder.read_json("experiment.json"), source=folder.path("experiment.json"))
    student, tokenizer = load_student(folder.local_tree(CHECKPOINT_FOLDER))
    vectors = workspace.folder(folder.read_json("inputs.json")["vectors"])
    name = folder.name.removeprefix("runs/")
    if config.trains_passages:
        own = vectors_stage(workspace, config.encoder, run=folder).folder
        return Run(folder, name, config, own, student, tokenizer, frozen_vectors=vectors)
    return Run(folder, name, config, vectors, student, tokenizer)
