"""A sweep's ended trials as an Optuna study: what a sampler goes on from, and what Optuna's dashboard shows."""

import warnings
from collections.abc import Sequence

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from retort.config import SearchSpaceConfig
from retort.report.points import TrialPoint
from retort.report.sweeps import DESCRIPTION
from retort.storage import Folder, Workspace
from retort.sweep.results import read_trials
from retort.sweep.space import SearchSpace

__all__ = ["add_study", "space_of", "write_studies"]


def add_study(storage: BaseStorage, name: str, space: SearchSpace, points: Sequence[TrialPoint]) -> None:
    """Add a study that knows the ended trials; a failed one has no values.

    Args:
        storage: Where to.
        name: The study's.
        space: What was searched.
        points: The ended trials.
    """
    ways = space.settings.objectives
    directions = [StudyDirection.MAXIMIZE if way == "max" else StudyDirection.MINIMIZE for way in ways.values()]
    study = optuna.create_study(storage=storage, study_name=name, directions=directions)
    with warnings.catch_warnings():
        # The names are what the dashboard calls the objectives by; nothing depends on them.
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names(list(ways))
    distributions = space.distributions()
    for point in points:
        failed = point.status == "failed"
        study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.FAIL if failed else TrialState.COMPLETE,
                values=None if failed else [point.validation[measure] for measure in ways],
                params=dict(point.config),
                distributions=distributions,
                user_attrs={"trial": point.trial, "run": point.run, **point.validation},
            )
        )


def space_of(folder: Folder) -> SearchSpace:
    """The search space that a sweep was begun with."""
    data = folder.read_json(DESCRIPTION)
    return SearchSpace(data["name"], data["base"], SearchSpaceConfig.model_validate(data["settings"]))


def write_studies(workspace: Workspace, storage: BaseStorage) -> list[str]:
    """Write every sweep of a workspace that has an ended trial into a storage; returns the studies' names."""
    written = []
    for path in sorted(workspace.fs.glob(f"{workspace.root}/sweeps/*/{DESCRIPTION}")):
        folder = workspace.folder(f"sweeps/{path.split('/')[-2]}")
        if points := read_trials(folder):
            name = folder.name.removeprefix("sweeps/")
            add_study(storage, name, space_of(folder), points)
            written.append(name)
    return written
