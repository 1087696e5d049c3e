"""A sweep's ended trials as an Optuna study, from which a resumed sampler goes on and which Optuna's dashboard shows."""

import warnings
from collections.abc import Sequence

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from retort.search.space import SearchSpace
from retort.storage import Workspace
from retort.storage.layout import SWEEP
from retort.sweeps.sweep import list_sweeps, read_trials
from retort.sweeps.trial import TrialPoint

__all__ = ["add_study", "write_studies"]


def add_study(storage: BaseStorage, name: str, space: SearchSpace, points: Sequence[TrialPoint]) -> None:
    """Add a study that holds the ended trials; a failed one has no values.

    Args:
        storage: Receives the study.
        name: The study's name.
        space: The search space of the trials.
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


def write_studies(workspace: Workspace, storage: BaseStorage) -> list[str]:
    """Write every sweep of a workspace that has an ended trial into a storage; returns the studies' names."""
    written = []
    for sweep in list_sweeps(workspace):
        if points := read_trials(sweep.folder):
            space = SearchSpace.described(sweep.folder.read_json(SWEEP.description))
            add_study(storage, sweep.label, space, points)
            written.append(sweep.label)
    return written
