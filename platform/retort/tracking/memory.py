"""A tracker without MLflow, for the tests of whatever logs."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from retort.errors import InputError
from retort.tracking.interface import CHANGED, MODEL, NO_TAGS, EndStatus, FoundRun, TrackedInput
from retort.tracking.names import flat_params, measure_name, metric_name

__all__ = ["MemoryRun", "MemoryTracker"]


@dataclass
class MemoryRun:
    """A run in memory: it takes whatever an MLflow run takes, and keeps it as it was given.

    Attributes:
        run_id: Its id, ``run-0`` for the first of a tracker.
        name: Its name.
        parent: run_id of its parent.
        status: RUNNING until it is ended.
        config: The configuration that was logged last.
        curves: Every logged value by measure, as (step, value), in the order of logging.
        artifacts: Content of every artifact by its path in the run.
        tags: Tags.
        note: The description.
        params: Flattened parameters, by configuration key.
        inputs: What it was made from, in the order of logging.
        loader_module: Of its model, where it logged one.
    """

    run_id: str
    name: str
    parent: str | None = None
    status: str = "RUNNING"
    config: dict[str, object] = field(default_factory=dict)
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    note: str = ""
    params: dict[str, str] = field(default_factory=dict)
    inputs: list[TrackedInput] = field(default_factory=list)
    loader_module: str | None = None

    @property
    def measures(self) -> dict[str, float]:
        """The value of each measure at its last step."""
        return {
            measure: max(enumerate(curve), key=lambda numbered: (numbered[1][0], numbered[0]))[1][1]
            for measure, curve in self.curves.items()
            if curve
        }

    def log_config(self, config: Mapping[str, object]) -> None:
        """Keep the configuration; parameters keep their first value, as in MLflow."""
        self.config = dict(config)
        for key, value in flat_params(config).items():
            if self.params.setdefault(measure_name(key), value) != value:
                self.tags[f"{CHANGED}{key}"] = value

    def log_measures(self, measures: Mapping[str, float], step: int | None = None) -> None:
        """Keep one value of each measure; without a step it stands at step 0, as in MLflow."""
        self.log_curves({measure: [(step or 0, value)] for measure, value in measures.items()})

    def log_curves(self, curves: Mapping[str, Sequence[tuple[int, float]]]) -> None:
        """Keep the curves; a name that MLflow could not keep is refused here too."""
        for measure, curve in curves.items():
            kept = self.curves.setdefault(measure_name(metric_name(measure)), [])
            kept.extend((int(step), float(value)) for step, value in curve)

    def log_artifact(self, path: str | Path, folder: str | None = None) -> None:
        """Keep a file's content."""
        self.artifacts["/".join(part for part in (folder, Path(path).name) if part)] = Path(path).read_bytes()

    def log_artifacts(self, path: str | Path, folder: str | None = None) -> None:
        """Keep the content of a directory's files."""
        for file in sorted(file for file in Path(path).rglob("*") if file.is_file()):
            inside = file.relative_to(path).as_posix()
            self.artifacts["/".join(part for part in (folder, inside) if part)] = file.read_bytes()

    def log_inputs(self, inputs: Sequence[TrackedInput]) -> None:
        """Keep what the run was made from."""
        self.inputs += [one for one in inputs if one not in self.inputs]

    def log_model(self, path: str | Path, loader_module: str) -> None:
        """Keep a checkpoint's files, and what would load them."""
        self.log_artifacts(path, MODEL)
        self.loader_module = loader_module

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Keep the tags."""
        self.tags.update(tags)

    def set_note(self, markdown: str) -> None:
        """Keep the description."""
        self.note = markdown

    def end(self, status: EndStatus = "FINISHED") -> None:
        """Set the status."""
        self.status = status


class MemoryTracker:
    """A tracker whose runs live as long as it does, in ``runs`` by run_id; two of them share nothing."""

    uri = "memory"

    def __init__(self) -> None:
        self.runs: dict[str, MemoryRun] = {}
        self._numbers = itertools.count()
        self.versions: dict[str, list[str]] = {}
        self.aliases: dict[tuple[str, str], str] = {}

    def start(self, name: str, *, parent: str | None = None, tags: Mapping[str, str] = NO_TAGS) -> MemoryRun:
        """Start a run."""
        run = MemoryRun(run_id=f"run-{next(self._numbers)}", name=name, parent=parent, tags=dict(tags))
        self.runs[run.run_id] = run
        return run

    def resume(self, run_id: str) -> MemoryRun:
        """The same run again, RUNNING."""
        if run_id not in self.runs:
            raise InputError(f"the tracker in memory has no run {run_id}; known: {', '.join(self.runs) or 'none'}")
        run = self.runs[run_id]
        run.status = "RUNNING"
        return run

    def find(self, *, parent: str | None = None, tags: Mapping[str, str] = NO_TAGS) -> list[FoundRun]:
        """Runs in the order of their start."""
        return [
            FoundRun(run.run_id, run.name, run.status, run.parent, dict(run.tags), dict(run.params), run.measures)
            for run in self.runs.values()
            if (parent is None or run.parent == parent) and tags.items() <= run.tags.items()
        ]

    def discard(self, run_id: str) -> None:
        """Forget a run."""
        del self.runs[run_id]

    def register(self, run_id: str, name: str, *, alias: str, description: str) -> str:
        """Keep the run as a version of ``name``; versions count from 1."""
        if run_id not in self.runs or self.runs[run_id].loader_module is None:
            raise InputError(f"the run {run_id} logged no model that could be registered")
        versions = self.versions.setdefault(name, [])
        if run_id not in versions:
            versions.append(run_id)
        version = str(1 + versions.index(run_id))
        self.aliases[name, alias] = version
        return version

    def reconcile(self, parent_run_id: str, status: EndStatus = "KILLED") -> list[str]:
        """End the children that are RUNNING."""
        left = [run.run_id for run in self.find(parent=parent_run_id) if run.status == "RUNNING"]
        for run_id in left:
            self.runs[run_id].end(status)
        return left
