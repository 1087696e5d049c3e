"""MLflow through its client alone: no active run and no global tracking URI, so that trackers can stand side by side.

mlflow is imported when a tracker is made (2.6 s), with its telemetry off and its database set-up silent. A local
workspace keeps its runs in ``mlflow.db`` and their files in ``mlartifacts``; MLFLOW_TRACKING_URI names another place.
sqlite takes one writer at a time: where many processes log, use a server.
"""

import contextlib
import getpass
import json
import logging
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import filelock
import yaml

from retort.errors import InputError
from retort.redaction import public_uri, redacted, redacted_json
from retort.tracking.interface import CHANGED, MODEL, NO_TAGS, EndStatus, FoundRun, TrackedInput
from retort.tracking.mlflow_model import write_model_files
from retort.tracking.moved import take_along
from retort.tracking.names import MAX_TAG_CHARACTERS, flat_params, measure_name, metric_name, shortened
from retort.tracking.places import beside_sqlite, check_server, sqlite_file
from retort.tracking.source import source_commit
from retort.tracking.view import VIEW, VIEW_TAG, view_state

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

__all__ = ["MlflowRun", "MlflowTracker", "look_up"]

MAX_METRICS_PER_CALL: Final = 1000  # of mlflow.utils.validation
MAX_PARAMS_PER_CALL: Final = 100
MAX_DIGEST_CHARACTERS: Final = 36
_PARENT: Final = "mlflow.parentRunId"


def look_up(uri: str, run_id: str) -> FoundRun:
    """A run by its id, of whatever experiment; nothing is made where nothing is.

    Raises:
        InputError: If no server answers, there is no database, or it has no such run.
    """
    check_server(uri)
    file = sqlite_file(uri)
    if file is not None and not file.exists():
        raise InputError(f"there is no MLflow database at {public_uri(uri)}, and so no run {run_id}")
    with _alone_at(uri):
        client = _client(uri)
    from mlflow.exceptions import MlflowException

    try:
        return _found(client.get_run(run_id))
    except MlflowException as error:
        raise InputError(f"MLflow at {public_uri(uri)} has no run {run_id}: {redacted(error.message)}") from error


class MlflowTracker:
    """Runs of one MLflow experiment.

    Args:
        uri: The tracking URI; None means MLFLOW_TRACKING_URI.
        experiment: The experiment's name; it is made when it is not there.
        artifact_root: Where the artifacts of a *new* experiment go; None means ``mlartifacts`` beside a sqlite file,
            and otherwise whatever the server says.

    Attributes:
        moved_from: Where the runs' files were said to be, if the workspace was copied or moved since; they are where the
            database is now.

    Raises:
        InputError: If there is no URI, no server answers, or the experiment was deleted.
    """

    def __init__(self, uri: str | None, experiment: str, artifact_root: str | None = None) -> None:
        resolved = uri or os.environ.get("MLFLOW_TRACKING_URI")
        if not resolved:
            raise InputError("there is no tracking URI: pass one, or set MLFLOW_TRACKING_URI")
        self.uri: str = public_uri(resolved)
        self.experiment = experiment
        self.moved_from: Path | None = None
        check_server(resolved)
        with _alone_at(resolved):
            file, beside = sqlite_file(resolved), beside_sqlite(resolved)
            own = beside is not None and (artifact_root is None or Path(artifact_root).absolute() == Path(beside))
            if file is not None and beside is not None and own and os.access(file, os.W_OK):
                self.moved_from = take_along(file, experiment, Path(beside))
            self.client = _client(resolved)  # makes the tables of a new database
            self.experiment_id = self._experiment_id(artifact_root or beside_sqlite(resolved))
            if self.client.get_experiment(self.experiment_id).tags.get(VIEW_TAG) != view_state():
                self.client.set_experiment_tag(self.experiment_id, VIEW_TAG, view_state())

    def _experiment_id(self, artifact_root: str | None) -> str:
        from mlflow.exceptions import MlflowException

        try:
            found = self.client.get_experiment_by_name(self.experiment)
            if found is None:
                try:
                    return self.client.create_experiment(self.experiment, artifact_location=artifact_root)
                except MlflowException as error:
                    if error.error_code != "RESOURCE_ALREADY_EXISTS":
                        raise
                    # Another process made it in between.
                    found = self.client.get_experiment_by_name(self.experiment)
        except MlflowException as error:
            raise InputError(f"MLflow at {self.uri} cannot be used: {redacted(error.message)}") from error
        assert found is not None, "an experiment that exists has been found"
        if found.lifecycle_stage != "active":
            raise InputError(
                f"the MLflow experiment {self.experiment} was deleted; bring it back with: "
                f"MLFLOW_TRACKING_URI={self.uri} mlflow experiments restore --experiment-id {found.experiment_id}"
            )
        return str(found.experiment_id)

    @property
    def page(self) -> str:
        """The page on which a server lists the experiment's runs, with the columns that one compares them by."""
        return f"#/experiments/{self.experiment_id}/runs?viewStateShareKey={VIEW}"

    def start(self, name: str, *, parent: str | None = None, tags: Mapping[str, str] = NO_TAGS) -> "MlflowRun":
        """Start a run; see :class:`retort.tracking.Tracker`."""
        own = {"mlflow.source.name": Path(sys.argv[0]).name or "retort", "mlflow.source.type": "LOCAL"}
        with contextlib.suppress(KeyError, OSError):  # a container's user may have no name: MLflow shows "unknown"
            own["mlflow.user"] = getpass.getuser()
        if commit := source_commit():
            own["mlflow.source.git.commit"] = commit
        if parent is not None:
            own[_PARENT] = parent
        every = {**own, **{key: shortened(value, MAX_TAG_CHARACTERS) for key, value in tags.items()}}
        run = self.client.create_run(self.experiment_id, run_name=redacted(name), tags=redacted_json(every))
        return MlflowRun(self.client, run.info.run_id)

    def resume(self, run_id: str) -> "MlflowRun":
        """Go on with a run; see :class:`retort.tracking.Tracker`."""
        from mlflow.exceptions import MlflowException

        try:
            stage = self.client.get_run(run_id).info.lifecycle_stage
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise InputError(f"MLflow at {self.uri} has no run {run_id}: {redacted(error.message)}") from error
        if stage != "active":
            raise InputError(f"the run {run_id} of MLflow at {self.uri} was deleted")
        self.client.update_run(run_id, status="RUNNING")
        return MlflowRun(self.client, run_id)

    def find(self, *, parent: str | None = None, tags: Mapping[str, str] = NO_TAGS) -> list[FoundRun]:
        """Runs of the experiment, the earliest first; see :class:`retort.tracking.Tracker`."""
        wanted = {**tags, **({} if parent is None else {_PARENT: parent})}
        # The filter's language has no escape for quotes, so that such values are compared below alone.
        plain = {key: value for key, value in wanted.items() if not {"'", '"', "`", "\\"} & set(key + value)}
        conditions = " and ".join(f"tags.`{key}` = '{value}'" for key, value in plain.items())
        found: list[FoundRun] = []
        token: str | None = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id], conditions, max_results=1000, order_by=["start_time ASC"], page_token=token
            )
            found += [_found(run) for run in page if wanted.items() <= run.data.tags.items()]
            token = page.token
            if not token:
                return found

    def discard(self, run_id: str) -> None:
        """Take a run back; MLflow keeps it among those that were deleted."""
        self.client.delete_run(run_id)

    def register(self, run_id: str, name: str, *, alias: str, description: str) -> str:
        """Register a run's model; see :class:`retort.tracking.Tracker`."""
        from mlflow.exceptions import MlflowException

        if not any(file.path == f"{MODEL}/MLmodel" for file in self.client.list_artifacts(run_id, MODEL)):
            raise InputError(f"the run {run_id} at {self.uri} logged no model that could be registered")
        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise InputError(
                    f"MLflow at {self.uri} takes no model called {name!r}: {redacted(error.message)}"
                ) from error
        # The filter's language has no escape for quotes, which a name may hold: a run's own versions are few.
        known = [m for m in self.client.search_model_versions(f"run_id = '{run_id}'") if m.name == name]
        if known:
            version = str(known[0].version)
        else:
            source = f"{self.client.get_run(run_id).info.artifact_uri}/{MODEL}"
            made = self.client.create_model_version(name, source, run_id, description=redacted(description))
            version = str(made.version)
        self.client.set_registered_model_alias(name, alias, version)
        return version

    def reconcile(self, parent_run_id: str, status: EndStatus = "KILLED") -> list[str]:
        """End the children that a killed process left RUNNING; returns their run_ids."""
        left = [run.run_id for run in self.find(parent=parent_run_id) if run.status == "RUNNING"]
        for run_id in left:
            self.client.set_terminated(run_id, status)
        return left


class MlflowRun:
    """One MLflow run; see :class:`retort.tracking.TrackedRun`."""

    def __init__(self, client: "MlflowClient", run_id: str) -> None:
        self.client = client
        self._run_id = run_id

    @property
    def run_id(self) -> str:
        """MLflow's id of the run."""
        return self._run_id

    def log_config(self, config: Mapping[str, object]) -> None:
        """Log the configuration as ``config.yaml`` and as short parameters."""
        from mlflow.entities import Param

        shown = redacted_json(_plain(config))
        text = yaml.safe_dump(shown, sort_keys=False, allow_unicode=True)
        self.client.log_text(self.run_id, text, "config.yaml")
        params = flat_params(shown)
        known = self.client.get_run(self.run_id).data.params
        new = [Param(key, value) for key, value in params.items() if key not in known]
        for start in range(0, len(new), MAX_PARAMS_PER_CALL):
            self.client.log_batch(self.run_id, params=new[start : start + MAX_PARAMS_PER_CALL], synchronous=True)
        self.set_tags({f"{CHANGED}{key}": value for key, value in params.items() if known.get(key, value) != value})

    def log_measures(self, measures: Mapping[str, float], step: int | None = None) -> None:
        """Log one value of each measure."""
        self.log_curves({measure: [(step or 0, value)] for measure, value in measures.items()})

    def log_curves(self, curves: Mapping[str, Sequence[tuple[int, float]]]) -> None:
        """Log whole curves, at most 1000 values a call."""
        for batch in _batches(curves):
            self.client.log_batch(self.run_id, metrics=batch, synchronous=True)

    def log_artifact(self, path: str | Path, folder: str | None = None) -> None:
        """Copy a file to the run."""
        self.client.log_artifact(self.run_id, str(path), folder)

    def log_artifacts(self, path: str | Path, folder: str | None = None) -> None:
        """Copy a directory's content to the run."""
        self.client.log_artifacts(self.run_id, str(path), folder)

    def log_inputs(self, inputs: Sequence[TrackedInput]) -> None:
        """Log what the run was made from, as MLflow's datasets."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        datasets = [
            DatasetInput(
                Dataset(
                    name=one.name,
                    digest=one.digest[:MAX_DIGEST_CHARACTERS],
                    source_type="retort",
                    source=json.dumps({"uri": redacted(one.source)}),
                    profile=json.dumps(dict(one.counts)),
                ),
                [InputTag("mlflow.data.context", one.context)],
            )
            for one in inputs
        ]
        self.client.log_inputs(self.run_id, datasets=datasets)

    def log_model(self, path: str | Path, loader_module: str) -> None:
        """Copy a checkpoint to the run, with what makes it a model of MLflow's."""
        self.log_artifacts(path, MODEL)
        with tempfile.TemporaryDirectory() as temporary:
            write_model_files(Path(temporary), run_id=self.run_id, loader_module=loader_module)
            self.log_artifacts(temporary, MODEL)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags, cut at 5000 characters."""
        from mlflow.entities import RunTag

        shown = {key: redacted(value) for key, value in tags.items()}
        every = [RunTag(key, shortened(value, MAX_TAG_CHARACTERS)) for key, value in shown.items()]
        for start in range(0, len(every), MAX_PARAMS_PER_CALL):
            self.client.log_batch(self.run_id, tags=every[start : start + MAX_PARAMS_PER_CALL], synchronous=True)

    def set_note(self, markdown: str) -> None:
        """Set the description that MLflow's page of the run shows."""
        self.set_tags({"mlflow.note.content": markdown})

    def end(self, status: EndStatus = "FINISHED") -> None:
        """End the run."""
        self.client.set_terminated(self.run_id, status)


def _client(uri: str) -> "MlflowClient":
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # At a run's end MLflow prints the run's address on standard output, where a --json document belongs.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    if "MLFLOW_LOGGING_LEVEL" not in os.environ:
        # "Creating initial MLflow database tables..." and its like are no news to whoever trains.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    try:
        file = sqlite_file(uri)
        if file is not None and not file.exists():
            _make_database(file)
        # Without a registry URI of its own the client would open a second store for models that nobody registers.
        return MlflowClient(tracking_uri=uri, registry_uri=uri)
    except MlflowException as error:
        raise InputError(f"MLflow at {public_uri(uri)} cannot be used: {redacted(error.message)}") from error
    except SQLAlchemyError as error:
        raise InputError(f"MLflow at {public_uri(uri)} cannot be used: {redacted(str(error))}") from error


def _make_database(file: Path) -> None:
    """Make MLflow's tables aside and rename them as a whole: half of them, as a full disk leaves, could not be opened again."""
    from mlflow import MlflowClient

    for left in file.parent.glob(f".{file.name}.*.new*"):
        left.unlink()  # of a process that was killed: this one is alone here
    aside = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}.new")
    try:
        address = f"sqlite:///{aside}"
        MlflowClient(tracking_uri=address, registry_uri=address)._tracking_client.store.engine.dispose()
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)


def _alone_at(uri: str) -> contextlib.AbstractContextManager[object]:
    # Two processes that make the same sqlite file at once leave it without tables (mlflow 3.17: 2 of 3 failed).
    file = sqlite_file(uri)
    if file is None:
        return contextlib.nullcontext()
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and not os.access(file.parent, os.W_OK):
        return contextlib.nullcontext()  # nobody makes anything in a folder that is only read
    return filelock.FileLock(str(file.with_name(f".{file.name}.lock")))


def _found(run: "Run") -> FoundRun:
    tags = run.data.tags
    return FoundRun(
        run_id=run.info.run_id,
        name=run.info.run_name or "",
        status=run.info.status,
        parent=tags.get(_PARENT),
        tags={key: value for key, value in tags.items() if not key.startswith("mlflow.")},
        params={measure_name(key): value for key, value in run.data.params.items()},
        measures={measure_name(key): value for key, value in run.data.metrics.items()},
    )


def _batches(curves: Mapping[str, Sequence[tuple[int, float]]]) -> Iterator[list["Metric"]]:
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1000)
    metrics = [
        Metric(metric_name(measure), float(value), now_ms, int(step))
        for measure, curve in curves.items()
        for step, value in curve
    ]
    for start in range(0, len(metrics), MAX_METRICS_PER_CALL):
        yield metrics[start : start + MAX_METRICS_PER_CALL]


def _plain(value: object) -> object:
    """What YAML can hold: tuples as lists, anything unknown as its text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
