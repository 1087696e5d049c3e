"""A sweep in MLflow: a parent run, a child per trial with configuration, curves, measures and model, the front on the parent.

Only the driver writes, on a thread of its own, so that neither sqlite nor a slow server holds up a trial. A child
is logged when its trial has ended: a killed driver leaves no child RUNNING, and ``--resume`` goes on with the parent.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any

from retort.config import describe, experiment_from
from retort.errors import InputError, RunError
from retort.evaluation.runs import find_run
from retort.measures.registry import figure
from retort.redaction import redacted
from retort.storage import FileEntry, Folder, Workspace
from retort.storage.layout import EXPERIMENT, RUN, SWEEP
from retort.sweeps.listener import Listener
from retort.sweeps.sweep import Sweep, read_trials
from retort.sweeps.trial import TrialPoint
from retort.tracking import TrackedInput, TrackedRun, Tracker, holds_run, recorded_uri, resolved_uri
from retort.tracking.interface import MODEL

__all__ = ["TrackedSweep", "distilled_tags", "log_missing", "log_run", "register"]

CHAMPION = "champion"  # the registered model's alias
SERVED = "retort.deploy.served"  # by name: importing it would load torch and the model's libraries into the driver


@contextmanager
def _tracker_errors(tracker: Tracker) -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise RunError(f"MLflow at {tracker.uri} failed: {redacted(error.message)}") from error


def _logged_at(folder: Folder, tracker: Tracker) -> tuple[str, str]:
    """Where a sweep was logged, as the URI that it is now, and its run there."""
    recorded = folder.read_json(SWEEP.tracking)
    run_id = str(recorded["run_id"])
    uri = resolved_uri(folder.workspace, recorded["uri"], uri=tracker.uri, has_run=lambda file: holds_run(file, run_id))
    return uri, run_id


def log_missing(tracker: Tracker, workspace: Workspace, run: str) -> None:
    """Log a finished run that no earlier call has logged, or that one has logged by half before it was interrupted."""
    with _tracker_errors(tracker):
        logged_before = tracker.find(tags=distilled_tags(workspace, run))
        if any(logged.status == "FINISHED" for logged in logged_before):
            return
        for half in logged_before:
            tracker.discard(half.run_id)
        log_run(tracker, workspace, run, measures={}, tags={"retort.kind": "distill"}).end("FINISHED")


def distilled_tags(workspace: Workspace, run: str) -> dict[str, str]:
    """The tags by which a run that ``retort distill`` logged is found again."""
    fingerprint = find_run(workspace, run).require("the run is not finished").fingerprint
    return {"retort.fingerprint": fingerprint, "retort.kind": "distill"}


def log_run(
    tracker: Tracker,
    workspace: Workspace,
    run: str,
    *,
    measures: Mapping[str, float],
    parent: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> TrackedRun:
    """Log a finished run: its configuration, curves, measures and checkpoint."""
    folder = find_run(workspace, run)
    experiment = folder.read_json(EXPERIMENT)
    described = {
        "retort.run": run,
        "retort.fingerprint": folder.require("the run is not finished").fingerprint,
        "retort.teacher": "+".join(experiment["teacher"]["names"]),
        "retort.encoder": f"{experiment['encoder']['family']} {experiment['encoder']['model']}",
        "retort.seed": str(experiment["training"]["seed"]),
        "retort.corpus": f"{PurePath(workspace.root).name}: {experiment['corpus']['train']}",
        "retort.objective": describe(experiment_from(experiment)).line(),
    }
    tracked = tracker.start(run, parent=parent, tags={**described, **(tags or {})})
    tracked.log_config(experiment)
    tracked.log_curves(_curves(folder))
    tracked.log_measures(measures)
    tracked.log_inputs(_inputs(workspace, folder, experiment))
    tracked.log_model(folder.local_tree(RUN.checkpoint), SERVED)
    tracked.log_artifact(folder.local(EXPERIMENT), MODEL)
    if folder.exists(f"{RUN.passage_checkpoint}/config.json"):
        tracked.log_artifacts(folder.local_tree(RUN.passage_checkpoint), "passage_model")
    return tracked


def _inputs(workspace: Workspace, folder: Folder, experiment: Mapping[str, Any]) -> list[TrackedInput]:
    """The turns, rewrites and passages that a run was made from, as they are now in its workspace."""
    train = experiment["corpus"]["train"]
    names = {f"turns/{train}": "training", "passages": "collection"}
    names |= {f"rewrites/{teacher}/{train}": "training" for teacher in experiment["teacher"]["names"]}
    if split := experiment["corpus"]["evaluate"]:
        names[f"turns/{split}"] = "evaluation"
    inputs = []
    for name, context in names.items():
        record = workspace.folder(name).record()
        if record is not None:  # rankings may have come without rewrites, and a split may not be imported yet
            counts = {key: value for key, value in record.counts.items() if isinstance(value, int)}
            inputs.append(TrackedInput(name, record.fingerprint, workspace.url, context, counts))
    return inputs


def _curves(folder: Folder) -> dict[str, list[tuple[int, float]]]:
    table = folder.read_table(RUN.curves)
    steps = table["step"].to_pylist()
    # The measures of the trained student carry the plain names; a curve is of the training turns.
    return {
        f"train/{name}": list(zip(steps, table[name].to_pylist(), strict=True))
        for name in table.column_names
        if name != "step"
    }


class TrackedSweep(Listener):
    """Logs a sweep as it goes; a context manager, so that what is pending is logged before it is left.

    Args:
        open_tracker: Makes the tracker when the sweep starts: a sweep that is there already needs none.
        workspace: Holds the sweep.
    """

    def __init__(self, open_tracker: Callable[[], Tracker], workspace: Workspace) -> None:
        self._open_tracker = open_tracker
        self.workspace = workspace
        self.parent: TrackedRun | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tracking")
        self._pending: list[Future[None]] = []

    def __enter__(self) -> "TrackedSweep":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What was not logged yet is logged by --resume: each call to a server that is gone would take minutes.
        self._thread.shutdown(wait=True, cancel_futures=kind is not None)
        if error is None or self.parent is None:
            return
        from mlflow.exceptions import MlflowException

        try:
            self.parent.end("KILLED")
        except MlflowException as failure:
            # The error that is under way says more, perhaps of this very server; the next start takes the run up again.
            error.add_note(f"MLflow at {self.tracker.uri} could not be notified: {failure.message}")

    def started(self, folder: Folder, description: Mapping[str, Any]) -> tuple[FileEntry, ...]:
        """Start the parent run, or go on with it where it is still there, and log the trials that it lacks."""
        self.tracker = self._open_tracker()
        with _tracker_errors(self.tracker):
            self.parent = self._resumed(folder)
            if self.parent is None:
                self.parent = self.tracker.start(SWEEP.label(folder.name), tags={"retort.kind": "sweep"})
                content = {"uri": recorded_uri(self.workspace, self.tracker.uri), "run_id": self.parent.run_id}
                folder.write_bytes(SWEEP.tracking, (json.dumps(content) + "\n").encode())
            self.parent.log_config({"sweep": description["settings"], **description["base"]})
            logged = {found.tags.get("retort.trial") for found in self.tracker.find(parent=self.parent.run_id)}
        for point in read_trials(folder):
            if point.trial not in logged:
                self.ended(point)
        # In the sweep's record, so that it is still there when a finished sweep is to have more trials.
        return (folder.entry(SWEEP.tracking),)

    def _resumed(self, folder: Folder) -> TrackedRun | None:
        if not folder.exists(SWEEP.tracking):
            return None
        uri, logged_as = _logged_at(folder, self.tracker)
        if uri != self.tracker.uri:
            return None
        try:
            parent = self.tracker.resume(logged_as)
        except InputError:
            return None  # it was deleted: all that there is of the sweep is logged anew
        for run_id in self.tracker.reconcile(parent.run_id):
            self.tracker.discard(run_id)  # its trial had ended, and the driver was killed while it was being logged
        return parent

    def ended(self, point: TrialPoint) -> None:
        """Log a trial as a child."""
        self._pending.append(self._thread.submit(self._log, point))

    def _log(self, point: TrialPoint) -> None:
        assert self.parent is not None, "a sweep starts before its trials end"
        tags = {"retort.kind": "trial", "retort.trial": point.trial}
        if point.run is None:
            child = self.tracker.start(f"trial {point.trial}", parent=self.parent.run_id, tags=tags)
            child.log_config(dict(point.config))
            child.set_note(f"failed: {point.error}")
            child.end("FAILED")
            return
        seconds = {f"seconds/{name}": value for name, value in point.seconds.items()}
        measures = {**point.validation, **seconds}
        child = log_run(
            self.tracker, self.workspace, point.run, measures=measures, parent=self.parent.run_id, tags=tags
        )
        child.end("FINISHED")

    def concluded(self, sweep: Sweep) -> tuple[FileEntry, ...]:
        """Log the front on the parent and its points' evaluation on the children; waits until all is logged."""
        self.flush()
        with _tracker_errors(self.tracker):
            self._log_front(sweep)
        return ()

    def _log_front(self, sweep: Sweep) -> None:
        assert self.parent is not None, "a sweep starts before it ends"
        children = {
            found.tags.get("retort.trial"): found.run_id for found in self.tracker.find(parent=self.parent.run_id)
        }
        for point in sweep.front:
            child = self.tracker.resume(children[point.trial])
            child.set_tags({"retort.front": "true"})
            if point.evaluation is not None:
                child.log_measures({f"{sweep.split}/{name}": value for name, value in point.evaluation.items()})
            child.end("FINISHED")
        self.parent.log_measures(
            {"hypervolume": sweep.hypervolume or 0.0, "front": len(sweep.front), "failed": len(sweep.failed)}
        )
        if sweep.front:
            # A sweep's row among others has the measures of the student that one would take of it.
            best = sweep.champion()
            self.parent.log_measures(best.validation)
            self.parent.log_measures(
                {f"{sweep.split}/{name}": value for name, value in (best.evaluation or {}).items()}
            )
            self.parent.set_tags({"retort.champion": best.run or ""})
        with tempfile.TemporaryDirectory() as temporary:
            for name in (SWEEP.front, *SWEEP.drawings):
                if sweep.folder.exists(name):
                    path = Path(temporary, name)
                    path.write_bytes(sweep.folder.read_bytes(name))
                    self.parent.log_artifact(path)
        self.parent.set_note(_note(sweep))
        self.parent.end("FINISHED")

    def flush(self) -> None:
        """Wait for what is still to be logged.

        Raises:
            RunError: If the tracker failed; every trial is in the workspace all the same, and ``--resume`` logs it.
        """
        pending, self._pending = self._pending, []
        with _tracker_errors(self.tracker):
            for future in pending:
                future.result()


def register(tracker: Tracker, sweep: Sweep, point: TrialPoint, name: str) -> str:
    """Register a trial's student as the champion of its sweep.

    Args:
        tracker: Where the sweep was logged.
        sweep: One that has ended.
        point: A finished trial of it.
        name: The registered model's name.

    Returns:
        The version.

    Raises:
        InputError: If the sweep was logged elsewhere, or the trial is not there.
    """
    with _tracker_errors(tracker):
        logged = sweep.folder.exists(SWEEP.tracking)
        uri, logged_as = _logged_at(sweep.folder, tracker) if logged else ("nowhere", "")
        if uri != tracker.uri:
            raise InputError(
                f"{sweep.folder.name} was logged at {uri}, not at {tracker.uri}: set "
                "MLFLOW_TRACKING_URI to where it was logged"
            )
        found = tracker.find(parent=logged_as, tags={"retort.trial": point.trial, "retort.kind": "trial"})
        if not found:
            raise InputError(
                f"MLflow at {tracker.uri} does not hold trial {point.trial} of {sweep.folder.name} any more"
            )
        figures = ", ".join(f"{measure} {figure(measure, point.validation[measure])}" for measure in sweep.objectives)
        described = f"Trial {point.trial} of {sweep.label}: {figures} on the validation turns."
        version = tracker.register(found[-1].run_id, name, alias=CHAMPION, description=described)
        child = tracker.resume(found[-1].run_id)
        child.set_tags({"retort.registered": f"{name} {version}"})
        child.end("FINISHED")
    return version


def _note(sweep: Sweep) -> str:
    """The front as a Markdown table."""
    names = list(sweep.objectives)
    head = ["run", *(f"{name} (validation)" for name in names)]
    if sweep.split is not None:
        head += [f"{name} ({sweep.split})" for name in names]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for point in sorted(sweep.front, key=lambda p: p.validation[names[-1]]):
        cells: list[Any] = [point.run, *(figure(name, point.validation[name]) for name in names)]
        if sweep.split is not None:
            cells += [figure(name, (point.evaluation or {}).get(name)) for name in names]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    volume = f"hypervolume {sweep.hypervolume:.4f}, reference {dict(sweep.reference)}"
    return "\n".join([f"Front of {len(sweep.points)} trials, {volume}", "", *lines])
