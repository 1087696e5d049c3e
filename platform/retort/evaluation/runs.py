"""Finished runs by name: found in a moment, without loading a student."""

from retort.config import ExperimentConfig, did_you_mean, experiment_from
from retort.errors import WorkspaceError
from retort.storage import Folder, Workspace
from retort.storage.layout import EXPERIMENT, RUN

__all__ = ["find_run", "list_runs", "run_experiment"]


def list_runs(workspace: Workspace) -> list[str]:
    """Names of the finished runs."""
    return [RUN.label(folder.name) for folder in workspace.stages(RUN.parent)]


def find_run(workspace: Workspace, name: str) -> Folder:
    """A run's folder by its name, or by an unambiguous beginning or ending of it.

    Raises:
        WorkspaceError: If there is none, or more than one.
    """
    name = RUN.label(name)
    runs = list_runs(workspace)
    found = [run for run in runs if run == name] or [r for r in runs if r.startswith(name) or r.endswith(name)]
    if len(found) == 1 and name:
        return workspace.folder(RUN.folder(found[0]))
    known = ", ".join(runs[:20]) or "none; distil one first: retort distill --help"
    problem = f"no run {name!r}; {did_you_mean(name, runs)}runs: {known}"
    if found:
        problem = f"{len(found)} runs match {name!r}: {', '.join(found)}"
    raise WorkspaceError(f"workspace {workspace.url}: {problem}")


def run_experiment(folder: Folder) -> ExperimentConfig:
    """What a run was trained with.

    Args:
        folder: The run's.
    """
    return experiment_from(folder.read_json(EXPERIMENT), source=folder.path(EXPERIMENT))
