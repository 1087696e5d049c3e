"""A sweep's files, as reports read them, whether it has ended or not: what it searches, and its ended trials."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from retort.config import ExperimentConfig, experiment_from, point_settings, with_overrides
from retort.errors import WorkspaceError
from retort.measures.pareto import non_dominated
from retort.report.points import Direction, Scalar, TrialPoint
from retort.storage import Folder, Workspace

__all__ = [
    "DESCRIPTION",
    "FRONT",
    "SweepFiles",
    "find_sweeps",
    "list_sweeps",
    "mark_front",
    "read_sweep",
    "read_trials",
    "trial_file",
    "unregularised_trials",
]

DESCRIPTION = "sweep.json"  # name, base and settings of the search space
FRONT = "front.json"  # of a sweep that has ended: its trials with the front's evaluation, hypervolume, baselines


@dataclass(frozen=True)
class SweepFiles:
    """A sweep on disk.

    Attributes:
        folder: ``sweeps/<name>-<fingerprint>``.
        name: The search space's, with its profiles.
        searched: The searched keys, in their order, with their choices; None where a range is searched.
        trials: How many there shall be.
        points: Those that have ended, in that order.
        ended: Whether the sweep has.
        base: The experiment's settings, from which every trial starts.
        settings: The sweep's own, as the search space has them.
    """

    folder: Folder
    name: str
    searched: Mapping[str, Sequence[Scalar] | None]
    trials: int
    points: tuple[TrialPoint, ...]
    ended: bool
    base: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The folder's own name."""
        return self.folder.name.removeprefix("sweeps/")

    @property
    def finished(self) -> list[TrialPoint]:
        """The trials that have a run, in the order of what is searched: trials end in any order."""
        return sorted((point for point in self.points if point.status == "finished"), key=self._place)

    def settings_of(self, point: TrialPoint) -> dict[str, Any]:
        """What a trial sets beside the base, by dotted key; a variant's settings stand for its name."""
        return point_settings(self.settings.get("variants", {}), point.config)

    def experiment(self, point: TrialPoint) -> ExperimentConfig:
        """What a trial trains with."""
        return experiment_from(with_overrides(self.base, self.settings_of(point)), source=self.folder.path(DESCRIPTION))

    def _place(self, point: TrialPoint) -> list[float]:
        places = []
        for key, choices in self.searched.items():
            value = point.config.get(key)
            if choices is not None:
                places.append(float(choices.index(value)) if value in choices else math.inf)
            else:
                places.append(float(value) if isinstance(value, int | float) else math.inf)
        return places


def unregularised_trials(sweep: SweepFiles) -> set[str]:
    """The finished trials whose queries nothing keeps sparse, whatever of that is searched, a variant's or the base's."""
    return {point.trial for point in sweep.finished if not sweep.experiment(point).regularization.is_regularized}


def mark_front(points: Sequence[TrialPoint], objectives: Mapping[str, Direction]) -> list[TrialPoint]:
    """The same points, with ``on_front`` set from the finished trials' own measures."""
    finished = [number for number, point in enumerate(points) if point.status == "finished"]
    marked = [replace(point, on_front=False) for point in points]
    if finished:
        values = np.array([[points[number].validation[name] for name in objectives] for number in finished])
        for number, best in zip(
            finished, non_dominated(values, [w == "max" for w in objectives.values()]), strict=True
        ):
            marked[number] = replace(points[number], on_front=bool(best))
    return marked


def trial_file(trial: str) -> str:
    """Name of an ended trial's file."""
    return f"trials/{trial}.json"


def read_trials(folder: Folder) -> list[TrialPoint]:
    """The trials that have ended so far, in that order, whether the sweep has ended or not."""
    base = folder.path("trials")
    if not folder.workspace.fs.exists(base):
        return []
    folder.workspace.fs.invalidate_cache()
    names = sorted(path.rsplit("/", 1)[-1] for path in folder.workspace.fs.ls(base, detail=False))
    return [TrialPoint(**folder.read_json(f"trials/{name}")) for name in names if name.endswith(".json")]


def list_sweeps(workspace: Workspace) -> list[SweepFiles]:
    """Every sweep that has begun, sorted by name."""
    base = f"{workspace.root}/sweeps"
    if not workspace.fs.exists(base):
        return []
    workspace.fs.invalidate_cache()
    folders = [workspace.folder(f"sweeps/{path.rsplit('/', 1)[-1]}") for path in workspace.fs.ls(base, detail=False)]
    return [read_sweep(folder) for folder in sorted(folders, key=lambda f: f.name) if folder.exists(DESCRIPTION)]


def read_sweep(folder: Folder) -> SweepFiles:
    """A sweep by its folder."""
    described: dict[str, Any] = folder.read_json(DESCRIPTION)
    settings = described["settings"]
    record = folder.record()
    return SweepFiles(
        folder=folder,
        name=described["name"],
        searched={key: found if isinstance(found, list) else None for key, found in settings["search"].items()},
        trials=int(settings["trials"]),
        points=tuple(read_trials(folder)),
        ended=record is not None,
        base=described["base"],
        settings=settings,
    )


def find_sweeps(workspace: Workspace, name: str) -> list[SweepFiles]:
    """The sweeps of a name: the one whose folder it is, else all of a search space with its profiles, else of a beginning.

    Raises:
        WorkspaceError: If there is none.
    """
    name = name.removeprefix("sweeps/").rstrip("/")
    known = list_sweeps(workspace)
    found = [sweep for sweep in known if sweep.label == name] or [sweep for sweep in known if sweep.name == name]
    found = found or [sweep for sweep in known if sweep.label.startswith(name)]
    if not found or not name:
        listed = ", ".join(sweep.label for sweep in known) or "none; run one first: retort sweep --help"
        raise WorkspaceError(f"workspace {workspace.url}: no sweep {name!r}: {listed}")
    return found
