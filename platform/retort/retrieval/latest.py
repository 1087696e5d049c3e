"""What was done last in a workspace: a run's or a baseline's evaluation, and the experiment that was prepared."""

from collections.abc import Sequence

from retort.config import ExperimentConfig, experiment_from, parse_overrides, with_overrides
from retort.errors import WorkspaceError
from retort.retrieval.evaluate import OUT_OF_DOMAIN
from retort.retrieval.students import FROZEN_VECTORS, find_run
from retort.storage import Folder, Record, Workspace

__all__ = ["evaluations_by_split", "latest_evaluation", "latest_experiment"]


def evaluations_by_split(workspace: Workspace, run: str) -> dict[str, Folder]:
    """Split -> a run's latest exact evaluation on it in its own workspace."""
    found: dict[str, tuple[str, str]] = {}
    for folder in workspace.stages(f"{find_run(workspace, run).name}/evaluations"):
        record = folder.require("it is listed")
        if OUT_OF_DOMAIN not in record.config and record.config["engine"] == "exact":
            split = str(record.config["split"])
            found[split] = max(found.get(split, ("", "")), (record.created, folder.name))
    return {split: workspace.folder(name) for split, (_, name) in sorted(found.items())}


def latest_evaluation(workspace: Workspace, name: str, *, split: str, like: Record | None = None) -> Folder:
    """The latest finished exact evaluation of a run or a baseline on a split of its own workspace.

    Args:
        workspace: Where it is.
        name: A run, or a baseline as ``baseline:last``.
        split: What it was evaluated on.
        like: What a baseline must be comparable with: an evaluation of the same vectors, and as deep. For a run that trained
            its passage encoder, which has vectors of its own, those that it was trained against are meant.

    Raises:
        WorkspaceError: If there is none; the message says how to get one.
    """
    if name.startswith("baseline:"):
        parent = f"baselines/{name.removeprefix('baseline:').replace(':', '-')}"
    else:
        parent = f"{find_run(workspace, name).name}/evaluations"
    found = []
    vectors = None if like is None else like.inputs.get(FROZEN_VECTORS, like.inputs["vectors"])
    for folder in workspace.stages(parent):
        record = folder.require("it is listed")
        comparable = (
            like is None
            or not name.startswith("baseline:")
            or (record.inputs["vectors"] == vectors and record.config["top_k"] == like.config["top_k"])
        )
        own = OUT_OF_DOMAIN not in record.config and record.config["engine"] == "exact"
        if record.config["split"] == split and comparable and own:
            found.append((record.created, folder.name))
    if not found:
        raise WorkspaceError(
            f"{name} was not evaluated on {split}{'' if like is None else ', or not with the same vectors and top_k'}: "
            f"retort evaluate {name} --split {split} --workspace {workspace.url}"
        )
    return workspace.folder(max(found)[1])


def latest_experiment(workspace: Workspace, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """The experiment that the workspace's latest training shards were prepared for, with overrides.

    Raises:
        WorkspaceError: If none was prepared.
    """
    stages = [(folder.require("it is listed").created, folder.name) for folder in workspace.stages("training")]
    if not stages:
        raise WorkspaceError(
            f"workspace {workspace.url} has no prepared experiment whose encoder a baseline could use; "
            "prepare one first: retort prepare --help, or name one with --experiment"
        )
    folder = workspace.folder(max(stages)[1])
    data = with_overrides(folder.read_json("experiment.json"), parse_overrides(overrides))
    return experiment_from(data, source=folder.path("experiment.json"))
