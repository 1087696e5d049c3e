"""A sweep as its folder has it, whether it has ended or not; the only way to find one and to read its files.

``sweeps/<name>-<fingerprint>/`` holds ``sweep.json`` (the search space), ``proposed/<number>.json`` for every trial that was
begun (``proposals.py``), ``trials/<number>.json`` for every one that has ended, and, once the sweep has ended, ``front.json``
with the trials again, the front's with their evaluation.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from retort.config import ExperimentConfig, did_you_mean, experiment_from, point_settings, with_overrides
from retort.errors import WorkspaceError
from retort.measures.registry import Direction
from retort.storage import FileEntry, Folder, Workspace
from retort.storage.layout import SWEEP
from retort.sweeps.front import champion, front_json, front_rows, mark_front
from retort.sweeps.proposals import trial_numbers, write_once
from retort.sweeps.trial import Scalar, TrialPoint

__all__ = [
    "Sweep",
    "find_sweep",
    "find_sweeps",
    "list_sweeps",
    "read_sweep",
    "read_trials",
    "write_description",
    "write_front",
    "write_trial",
]


@dataclass(frozen=True)
class Sweep:
    """A sweep on disk.

    Attributes:
        folder: ``sweeps/<name>-<fingerprint>``.
        name: The name of the search space, with its profiles.
        points: The trials that have ended, by number, those on the front marked; the front's are evaluated once the
            sweep has ended. A failed trial that another one has run again is not among them.
        trials: How many trials are asked for.
        ended: Whether the sweep has ended.
        base: The experiment's settings, from which every trial starts.
        settings: The sweep's own settings, as the search space has them.
        hypervolume: What the front dominates on the validation turns; None until the sweep has ended.
        reference: The hypervolume's reference point, by measure.
        split: The split that the front was evaluated on; None where it was not evaluated.
        baselines: Measures of the baselines on that split.
    """

    folder: Folder
    name: str
    points: tuple[TrialPoint, ...]
    trials: int
    ended: bool
    base: Mapping[str, Any]
    settings: Mapping[str, Any]
    hypervolume: float | None = None
    reference: Mapping[str, float] = field(default_factory=dict)
    split: str | None = None
    baselines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The folder's own name."""
        return SWEEP.label(self.folder.name)

    @property
    def objectives(self) -> Mapping[str, Direction]:
        """The two measures that are searched for, and their directions."""
        return dict(self.settings["objectives"])

    @property
    def searched(self) -> Mapping[str, Sequence[Scalar] | None]:
        """The searched keys, in their order, with their choices; None where a range is searched."""
        return {key: found if isinstance(found, list) else None for key, found in self.settings["search"].items()}

    @property
    def front(self) -> list[TrialPoint]:
        """The trials that no other dominates, the cheapest first."""
        return front_rows(self.points)

    @property
    def failed(self) -> list[TrialPoint]:
        """The trials that failed."""
        return [point for point in self.points if point.status == "failed"]

    @property
    def finished(self) -> list[TrialPoint]:
        """The trials that have a run, sorted by their searched settings: trials end in any order."""
        return sorted((point for point in self.points if point.status == "finished"), key=self._searched_position)

    @property
    def unregularised(self) -> set[str]:
        """The finished trials whose queries nothing keeps sparse, whatever of that is searched, a variant's or the base's."""
        return {point.trial for point in self.finished if not self.experiment(point).regularization.is_regularized}

    def champion(self) -> TrialPoint:
        """The point of the front that one would take, see :func:`retort.sweeps.front.champion`."""
        try:
            return champion(self.points, self.objectives)
        except WorkspaceError as error:
            raise WorkspaceError(f"{self.folder.name}: {error}") from error

    def settings_of(self, point: TrialPoint) -> dict[str, Any]:
        """The settings that a trial lays over the base, by dotted key; a variant's name is replaced by its settings."""
        return point_settings(self.settings.get("variants", {}), point.config)

    def experiment(self, point: TrialPoint) -> ExperimentConfig:
        """The experiment that a trial trains."""
        return experiment_from(
            with_overrides(self.base, self.settings_of(point)), source=self.folder.path(SWEEP.description)
        )

    def to_json(self) -> dict[str, Any]:
        """The sweep as one JSON document; ``front`` has the points that the front consists of."""
        return {
            "sweep": self.label,
            "objectives": dict(self.objectives),
            "hypervolume": self.hypervolume,
            "reference": dict(self.reference),
            "split": self.split,
            "front": front_json(self.points),
            "baselines": dict(self.baselines),
            "trials": [point.to_json() for point in self.points],
        }

    def _searched_position(self, point: TrialPoint) -> list[float]:
        positions = []
        for key, choices in self.searched.items():
            value = point.config.get(key)
            if choices is not None:
                positions.append(float(choices.index(value)) if value in choices else math.inf)
            else:
                positions.append(float(value) if isinstance(value, int | float) else math.inf)
        return positions


def write_description(folder: Folder, description: Mapping[str, Any]) -> FileEntry:
    """Write what is searched: ``name``, ``base`` and ``settings``; returns the file's entry for a record."""
    return folder.write_json(SWEEP.description, description)


def write_trial(folder: Folder, point: TrialPoint) -> FileEntry:
    """Write an ended trial's file; returns its entry for a record.

    Raises:
        WorkspaceError: If the number has a result already, which stays as it is.
    """
    return write_once(folder, SWEEP.trial(point.trial), point.to_json())


def write_front(sweep: Sweep) -> FileEntry:
    """Write what a sweep that has ended found; returns the file's entry for a record."""
    return sweep.folder.write_json(SWEEP.front, sweep.to_json())


def read_trials(folder: Folder) -> list[TrialPoint]:
    """The trials that have ended so far, by number, whether the sweep has ended or not.

    A failed trial that another one has run again is left out: its file stays, its place is taken.
    """
    numbers = trial_numbers(folder, SWEEP.trials)
    points = [folder.read_as(SWEEP.trial(number), lambda found: TrialPoint(**found)) for number in numbers]
    replaced = {point.retries for point in points}
    return [point for point in points if point.trial not in replaced]


def read_sweep(folder: Folder) -> Sweep:
    """Read a sweep from its folder."""
    described: dict[str, Any] = folder.read_json(SWEEP.description)
    settings = described["settings"]
    ended = folder.record() is not None
    found: dict[str, Any] = folder.read_json(SWEEP.front) if ended else {}
    if ended:
        points = folder.read_as(SWEEP.front, lambda front: [TrialPoint(**point) for point in front["trials"]])
    else:
        points = mark_front(read_trials(folder), settings["objectives"])
    return Sweep(
        folder=folder,
        name=described["name"],
        points=tuple(points),
        trials=int(settings["trials"]),
        ended=ended,
        base=described["base"],
        settings=settings,
        hypervolume=found.get("hypervolume"),
        reference=found.get("reference") or {},
        split=found.get("split"),
        baselines=found.get("baselines") or {},
    )


def list_sweeps(workspace: Workspace) -> list[Sweep]:
    """Every sweep that has begun, sorted by name."""
    folders = [workspace.folder(f"{SWEEP.parent}/{name}") for name in workspace.names(SWEEP.parent)]
    return [read_sweep(folder) for folder in folders if folder.exists(SWEEP.description)]


def find_sweeps(workspace: Workspace, name: str) -> list[Sweep]:
    """The sweeps of a name: the one whose folder it is, else all of a search space with its profiles, else of a beginning.

    Raises:
        WorkspaceError: If there is none.
    """
    name = SWEEP.label(name)
    known = list_sweeps(workspace)
    found = [sweep for sweep in known if sweep.label == name] or [sweep for sweep in known if sweep.name == name]
    found = found or [sweep for sweep in known if sweep.label.startswith(name)]
    if not found or not name:
        listed = ", ".join(sweep.label for sweep in known) or "none; run one first: retort sweep --help"
        hint = did_you_mean(name, [label for sweep in known for label in (sweep.name, sweep.label)])
        raise WorkspaceError(f"workspace {workspace.url}: no sweep {name!r}: {hint}{listed}")
    return found


def find_sweep(workspace: Workspace, name: str, *, ended: bool = True) -> Sweep:
    """The one sweep of a name, as :func:`find_sweeps` takes it.

    Args:
        workspace: Holds the sweep.
        name: The sweep's name, or a beginning of it.
        ended: Consider only sweeps that have ended: one that has not has no front to choose from.

    Raises:
        WorkspaceError: If there is none, or more than one, or the one has not ended.
    """
    found = find_sweeps(workspace, name)
    meant = [sweep for sweep in found if sweep.ended] if ended else found
    if len(meant) == 1:
        return meant[0]
    if not meant:
        listed = ", ".join(sweep.label for sweep in found)
        raise WorkspaceError(f"workspace {workspace.url}: {listed} has not ended; go on with retort sweep --resume")
    listed = ", ".join(sweep.label for sweep in meant)
    raise WorkspaceError(f"workspace {workspace.url}: {len(meant)} sweeps match {name!r}: {listed}")
