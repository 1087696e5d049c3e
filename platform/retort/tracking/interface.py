"""What the platform needs of a tracker, and no more: no active run, no global state.

A run is opened by ``start`` or ``resume`` and stays RUNNING until somebody ends it. Whoever starts children ends those
that a killed process left behind, through ``reconcile``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, Protocol

__all__ = ["CHANGED", "MODEL", "NO_TAGS", "EndStatus", "FoundRun", "TrackedInput", "TrackedRun", "Tracker"]

EndStatus = Literal["FINISHED", "FAILED", "KILLED"]
NO_TAGS: Final[Mapping[str, str]] = MappingProxyType({})
CHANGED: Final = "retort.changed."
MODEL: Final = "model"  # the folder of a run's artifacts that holds its student


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A run as the tracker knows it.

    Attributes:
        run_id: The tracker's own id.
        name: The readable name.
        status: RUNNING, FINISHED, FAILED or KILLED.
        parent: The parent's run_id.
        tags: Tags that Retort or a user set, those of MLflow itself left out.
        params: Flattened parameters, by configuration key.
        measures: The last value of each measure, spelled as in the paper.
    """

    run_id: str
    name: str
    status: str
    parent: str | None
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrackedInput:
    """Data that a run was made from.

    Attributes:
        name: What it is called in its workspace, such as ``turns/train``.
        digest: Beginning of its fingerprint.
        source: Where it is.
        context: What it was for: ``training``, ``collection``, ``evaluation``.
        counts: How much of it there is.
    """

    name: str
    digest: str
    source: str
    context: str
    counts: Mapping[str, int] = field(default_factory=dict)


class TrackedRun(Protocol):
    """One run that is being logged."""

    @property
    def run_id(self) -> str:
        """The tracker's own id of the run."""

    def log_config(self, config: Mapping[str, object]) -> None:
        """Log a nested configuration: whole as the artifact ``config.yaml``, flattened as short parameters.

        A parameter that was logged before with another value keeps its first value, as MLflow demands; the new value
        goes into the tag ``retort.changed.<key>``, and ``config.yaml`` is replaced.
        """

    def log_measures(self, measures: Mapping[str, float], step: int | None = None) -> None:
        """Log one value of each measure (``R@100``, ``FLOPS``...), at a step where there are steps.

        A measure's value is that at its last step, and no step is step 0: a measure that has a curve needs a step here.
        """

    def log_curves(self, curves: Mapping[str, Sequence[tuple[int, float]]]) -> None:
        """Log whole curves of (step, value), in as few calls as the tracker allows."""

    def log_artifact(self, path: str | Path, folder: str | None = None) -> None:
        """Copy a local file to the run, below ``folder`` where one is given."""

    def log_artifacts(self, path: str | Path, folder: str | None = None) -> None:
        """Copy a local directory's content to the run, below ``folder`` where one is given."""

    def log_inputs(self, inputs: Sequence[TrackedInput]) -> None:
        """Log what the run was made from; what is there already stays once."""

    def log_model(self, path: str | Path, loader_module: str) -> None:
        """Log a student's checkpoint as a model, below ``model``.

        Args:
            path: A local directory.
            loader_module: Its ``_load_pyfunc`` makes of the directory what predicts terms from questions and histories.
        """

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags; an earlier value is replaced."""

    def set_note(self, markdown: str) -> None:
        """Set the run's description, as markdown."""

    def end(self, status: EndStatus = "FINISHED") -> None:
        """End the run."""


class Tracker(Protocol):
    """Where runs are logged."""

    @property
    def uri(self) -> str:
        """Where the runs can be looked at."""

    def start(self, name: str, *, parent: str | None = None, tags: Mapping[str, str] = NO_TAGS) -> TrackedRun:
        """Start a run; ``parent`` is the run_id of the run that it is nested in."""

    def resume(self, run_id: str) -> TrackedRun:
        """Go on with a run, which is RUNNING again.

        Raises:
            InputError: If there is no such run, or it was deleted.
        """

    def find(self, *, parent: str | None = None, tags: Mapping[str, str] = NO_TAGS) -> list[FoundRun]:
        """Runs of the experiment with these tags, below ``parent`` where one is given; the earliest first."""

    def discard(self, run_id: str) -> None:
        """Delete a run that was logged only in part, so that ``find`` does not return it again."""

    def register(self, run_id: str, name: str, *, alias: str, description: str) -> str:
        """Register a run's model as the next version of ``name``, which the alias names from now on.

        A run whose model is a version already is not registered twice: the alias moves to that version.

        Returns:
            The version.

        Raises:
            InputError: If the run logged no model.
        """

    def reconcile(self, parent_run_id: str, status: EndStatus = "KILLED") -> list[str]:
        """End the children that a killed process left RUNNING; returns their run_ids."""
