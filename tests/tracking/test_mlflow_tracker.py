"""What a user sees in MLflow: values, files, nesting; and a terminal that stays quiet."""

import contextlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from tests.waiting import patience

import retort
from retort.errors import InputError, WorkspaceError
from retort.tracking import (
    MlflowTracker,
    default_artifact_root,
    default_tracking_uri,
    look_up,
    public_uri,
)


@dataclass
class Place:
    """Stands for a workspace: it has its root and whether it is local, nothing else."""

    root: str
    is_local: bool = True


def test_search_runs_shows_what_was_logged(mlflow_tracker, tracking_uri):
    import mlflow

    run = mlflow_tracker.start("kld-1f3a", tags={"long": "x" * 9000})
    run.log_config({"objective": {"contrastive_weight": 0.1}, "notes": "y" * 10_000})
    run.log_measures({"R@100": 0.787, "nDCG@3": 0.344})
    run.set_note("# What this run asks\n" + "z" * 9000)
    run.end()

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(tracking_uri)
    try:
        seen = mlflow.search_runs(experiment_names=[mlflow_tracker.experiment]).iloc[0]
    finally:
        mlflow.set_tracking_uri(before)

    assert seen["run_id"] == run.run_id
    assert seen["status"] == "FINISHED"
    assert seen["metrics.R_at_100"] == 0.787
    assert seen["metrics.nDCG_at_3"] == 0.344
    assert seen["params.objective.contrastive_weight"] == "0.1"
    assert seen["params.notes"].startswith("yyy")
    assert seen["tags.mlflow.runName"] == "kld-1f3a"
    assert seen["tags.mlflow.note.content"].startswith("# What this run asks\n")
    assert len(seen["tags.long"]) == 5000


def test_a_run_is_looked_up_by_its_id_in_whatever_experiment(mlflow_tracker, tracking_uri):
    run = mlflow_tracker.start("kld-1f3a", tags={"retort.run": "kld-1f3a"})
    run.end()

    found = look_up(tracking_uri, run.run_id)
    assert (found.run_id, found.name, found.tags) == (run.run_id, "kld-1f3a", {"retort.run": "kld-1f3a"})
    with pytest.raises(InputError, match="has no run 0000"):
        look_up(tracking_uri, "0" * 32)


def test_looking_for_a_run_makes_no_database(tmp_path):
    with pytest.raises(InputError, match="there is no MLflow database"):
        look_up(f"sqlite:///{tmp_path}/mlflow.db", "0" * 32)
    assert list(tmp_path.iterdir()) == []


def test_the_global_state_of_mlflow_is_left_alone(mlflow_tracker):
    import mlflow

    before = mlflow.get_tracking_uri()
    run = mlflow_tracker.start("run")
    run.log_measures({"RR": 0.4})

    assert mlflow.active_run() is None
    assert mlflow.get_tracking_uri() == before


def test_the_whole_configuration_and_files_are_artifacts(mlflow_tracker, tmp_path):
    (tmp_path / "plots" / "deep").mkdir(parents=True)
    (tmp_path / "plots" / "deep" / "front.html").write_text("<html>")
    (tmp_path / "run.trec").write_text("trec")
    config = {"sampling": {"window": (10, 950)}, "teacher": {"names": ["informative"]}, "notes": "y" * 10_000}

    run = mlflow_tracker.start("run")
    run.log_config(config)
    run.log_artifact(tmp_path / "run.trec", "evaluations/dev")
    run.log_artifacts(tmp_path / "plots", "plots")

    root = Path(mlflow_tracker.client.get_run(run.run_id).info.artifact_uri)
    assert root.is_relative_to(tmp_path / "art ifacts")
    assert yaml.safe_load((root / "config.yaml").read_text()) == {**config, "sampling": {"window": [10, 950]}}
    assert (root / "evaluations/dev/run.trec").read_text() == "trec"
    assert (root / "plots/deep/front.html").read_text() == "<html>"


def test_curves_arrive_whole_in_few_calls(mlflow_tracker, monkeypatch):
    calls = []
    log_batch = mlflow_tracker.client.log_batch

    def counted(*args, **kwargs):
        calls.append(len(kwargs["metrics"]))
        return log_batch(*args, **kwargs)

    monkeypatch.setattr(mlflow_tracker.client, "log_batch", counted)
    run = mlflow_tracker.start("run")
    curve = [(step, 1 / (step + 1)) for step in range(1500)]
    run.log_curves({"loss/kld": curve, "R@100": [(0, 0.5), (1499, 0.7)]})

    assert calls == [1000, 502]
    history = mlflow_tracker.client.get_metric_history(run.run_id, "loss/kld")
    assert sorted((metric.step, metric.value) for metric in history) == curve
    assert mlflow_tracker.client.get_run(run.run_id).data.metrics["R_at_100"] == 0.7


def test_more_parameters_than_one_call_takes(mlflow_tracker):
    run = mlflow_tracker.start("run")
    run.log_config({f"key{number}": number for number in range(250)})

    assert len(mlflow_tracker.client.get_run(run.run_id).data.params) == 250


def test_the_same_experiment_is_found_again(mlflow_tracker, tracking_uri):
    run = mlflow_tracker.start("run")
    again = MlflowTracker(tracking_uri, mlflow_tracker.experiment)

    assert [found.run_id for found in again.find()] == [run.run_id]


def test_a_deleted_experiment_names_the_way_back(mlflow_tracker, tracking_uri):
    mlflow_tracker.client.delete_experiment(mlflow_tracker.experiment_id)

    with pytest.raises(InputError, match=f"restore --experiment-id {mlflow_tracker.experiment_id}"):
        MlflowTracker(tracking_uri, mlflow_tracker.experiment)


def test_a_database_of_another_version_says_so(tracking_uri, tmp_path):
    shutil.copy(tracking_uri.removeprefix("sqlite:///"), tmp_path / "old.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "old.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '90e64c465722'")

    with pytest.raises(InputError, match="out-of-date database schema"):
        MlflowTracker(f"sqlite:///{tmp_path}/old.db", "experiment")


def test_a_missing_server_is_said_at_once():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        uri = f"http://127.0.0.1:{taken.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(InputError, match=f"no MLflow server answers at {uri}"):
            MlflowTracker(uri, "experiment")

    assert time.monotonic() - started < patience(10)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://user:pa55@host:5000/path?token=s", "https://host:5000/path"),
        ("postgresql+psycopg2://user:pa@55@host/mlflow", "postgresql+psycopg2://host/mlflow"),
        ("sqlite:////data/w/mlflow.db", "sqlite:////data/w/mlflow.db"),
        ("file:///data/mlruns", "file:///data/mlruns"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    ],
)
def test_credentials_are_not_shown(uri, shown):
    assert public_uri(uri) == shown


def test_credentials_are_not_in_an_error():
    with pytest.raises(InputError) as failed:
        MlflowTracker("http://user:pa55@127.0.0.1:9", "experiment")
    assert "pa55" not in str(failed.value) and "no MLflow server answers at http://127.0.0.1:9" in str(failed.value)


def test_without_any_uri_nothing_is_written_anywhere(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    with pytest.raises(InputError, match="MLFLOW_TRACKING_URI"):
        MlflowTracker(None, "experiment")


def test_the_default_is_a_database_in_the_workspace_or_the_environments_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert default_tracking_uri(Place("/data/w")) == "sqlite:////data/w/mlflow.db"
    assert default_artifact_root(Place("/data/w"), "sqlite:////data/w/mlflow.db") == "/data/w/mlartifacts"
    with pytest.raises(WorkspaceError, match="MLFLOW_TRACKING_URI"):
        default_tracking_uri(Place("bucket/w", is_local=False))

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert default_tracking_uri(Place("bucket/w", is_local=False)) == "http://tracking:5000"
    assert default_artifact_root(Place("/data/w"), "http://tracking:5000") is None


@pytest.mark.slow
def test_processes_that_start_at_once_share_a_new_database_without_a_word(tmp_path):
    code = (
        "import sys, retort.tracking\n"
        "assert 'mlflow' not in sys.modules\n"
        f"tracker = retort.tracking.MlflowTracker('sqlite:///{tmp_path}/mlflow.db', 'shared')\n"
        "run = tracker.start('run')\n"
        "run.log_config({'a': 1})\n"
        "run.log_curves({'loss': [(step, step) for step in range(500)]})\n"
        "run.end()\n"
        "import os; assert os.environ['MLFLOW_DISABLE_TELEMETRY'] == 'true'\n"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    environment["PYTHONPATH"] = str(Path(retort.__file__).parents[1])
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=environment, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True
        )
        for _ in range(2)
    ]
    told = [process.communicate() for process in started]

    assert [(process.returncode, *words) for process, words in zip(started, told, strict=True)] == [(0, "", "")] * 2
    assert {path.name for path in tmp_path.iterdir()} - {".mlflow.db.lock"} == {"mlartifacts", "mlflow.db"}
    found = MlflowTracker(f"sqlite:///{tmp_path}/mlflow.db", "shared").find()
    assert [(run.status, run.measures) for run in found] == [("FINISHED", {"loss": 499.0})] * 2


def test_the_page_opens_with_the_columns_that_one_compares_by(mlflow_tracker):
    experiment = mlflow_tracker.client.get_experiment(mlflow_tracker.experiment_id)
    view = json.loads(experiment.tags["mlflow.sharedViewState.retort"])
    assert view["selectedColumns"][1:3] == ["metrics.`R_at_100`", "metrics.`FLOPS`"]
    assert mlflow_tracker.page == f"#/experiments/{experiment.experiment_id}/runs?viewStateShareKey=retort"


def test_a_database_that_could_not_be_made_whole_is_not_there_the_next_time(tmp_path, monkeypatch):
    # As on a full disk: MLflow makes its tables by dozens of migrations, and stops in the middle of them.
    from mlflow.store.db import utils

    def half(engine):
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE metrics (key VARCHAR(250))")
        raise OSError(28, "No space left on device")

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with monkeypatch.context() as patch:
        patch.setattr("mlflow.store.tracking.sqlalchemy_store.mlflow.store.db.utils._initialize_tables", half)
        assert utils._initialize_tables is half
        with pytest.raises((InputError, OSError), match="No space left on device"):
            MlflowTracker(uri, "retort")
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []

    run = MlflowTracker(uri, "retort").start("kld")
    run.end()
    assert (tmp_path / "mlflow.db").exists()
