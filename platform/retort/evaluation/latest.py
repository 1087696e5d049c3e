"""What was done last in a workspace: the evaluations of a run or a baseline, and the experiment that was prepared.

"The latest evaluation" is defined here and nowhere else: finished, exact, on a split of the workspace's own corpus.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from retort.config import ExperimentConfig, did_you_mean, experiment_from, parse_overrides, with_overrides
from retort.errors import WorkspaceError
from retort.evaluation.runs import find_run
from retort.storage import Folder, Record, Workspace
from retort.storage.layout import BASELINE, EXPERIMENT, RUN

__all__ = [
    "FROZEN_VECTORS",
    "OUT_OF_DOMAIN",
    "evaluations_by_split",
    "latest_evaluation",
    "latest_experiment",
    "latest_with_measures",
]

OUT_OF_DOMAIN: Final = "out_of_domain"  # in a record's config, where turns and passages are another workspace's
# Among the inputs of an evaluation: what a run was trained against, where it has vectors of its own.
FROZEN_VECTORS: Final = "frozen_vectors"


def evaluations_by_split(workspace: Workspace, name: str) -> dict[str, Folder]:
    """Split -> the latest exact evaluation of a run or a baseline on it, in its own workspace."""
    latest = {
        str(record.config["split"]): folder
        for record, folder in _exact_evaluations(workspace, _parent(workspace, name))
    }
    return dict(sorted(latest.items()))


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
    vectors = None if like is None else like.inputs.get(FROZEN_VECTORS, like.inputs["vectors"])
    found: Folder | None = None
    evaluations = _exact_evaluations(workspace, _parent(workspace, name))
    for record, folder in evaluations:
        comparable = (
            like is None
            or not BASELINE.is_name(name)
            or (record.inputs["vectors"] == vectors and record.config["top_k"] == like.config["top_k"])
        )
        if record.config["split"] == split and comparable:
            found = folder
    if found is None:
        splits = {str(record.config["split"]) for record, _ in evaluations}
        raise WorkspaceError(
            f"{name} was not evaluated on {split}{'' if like is None else ', or not with the same vectors and top_k'}: "
            f"{did_you_mean(split, sorted(splits - {split}))}retort evaluate {name} --split {split} --workspace {workspace.url}"
        )
    return found


def latest_with_measures(
    workspace: Workspace, name: str, *, split: str, measures: Mapping[str, float] | None
) -> Folder | None:
    """The latest exact evaluation of a run or a baseline on a split that measured these values; None where there is none.

    Args:
        workspace: Where it is.
        name: A run's whole name, or a baseline as ``baseline:last``.
        split: What it was evaluated on.
        measures: R@100 and FLOPS that it must have: a baseline may have been measured with several encoders. None: any.
    """
    found: Folder | None = None
    # The run is named in full, and may have been removed since.
    parent = BASELINE.evaluations(name) if BASELINE.is_name(name) else RUN.evaluations(name)
    for record, folder in _exact_evaluations(workspace, parent):
        same = measures is None or all(
            math.isclose(record.counts.get(measure, math.nan), measures[measure]) for measure in ("R@100", "FLOPS")
        )
        if record.config["split"] == split and same:
            found = folder
    return found


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
    data = with_overrides(folder.read_json(EXPERIMENT), parse_overrides(overrides))
    return experiment_from(data, source=folder.path(EXPERIMENT))


def _parent(workspace: Workspace, name: str) -> str:
    return BASELINE.evaluations(name) if BASELINE.is_name(name) else RUN.evaluations(find_run(workspace, name).name)


def _exact_evaluations(workspace: Workspace, parent: str) -> list[tuple[Record, Folder]]:
    """The finished exact evaluations on the workspace's own corpus, the latest last."""
    found = [(folder.require("it is listed"), folder) for folder in workspace.stages(parent)]
    own = [
        (record, folder)
        for record, folder in found
        if record.config["engine"] == "exact" and OUT_OF_DOMAIN not in record.config
    ]
    return sorted(own, key=lambda pair: (pair[0].created, pair[1].name))
