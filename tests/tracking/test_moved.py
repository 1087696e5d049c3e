"""A workspace that was copied or moved: its MLflow runs go along, and what it was copied from is left alone."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import retort
from retort.tracking import MlflowTracker, default_tracking_uri, recorded_uri, resolved_uri


@dataclass
class Place:
    """Stands for a workspace: it has its root and whether it is local, nothing else."""

    root: str
    is_local: bool = True


# MLflow remembers in a process where a run's files are: each step is a process of its own, as a command is.
OPENED = """
import sys
from pathlib import Path
from retort.tracking import MlflowTracker
folder = Path(sys.argv[1])
tracker = MlflowTracker(f"sqlite:///{folder}/mlflow.db", "retort", f"{folder}/mlartifacts")
print(tracker.moved_from)
"""
MADE = """
run = tracker.start("run", tags={"retort.kind": "trial"})
(folder / "weights").mkdir()
(folder / "weights" / "weights.bin").write_bytes(b"weights")
run.log_model(folder / "weights", "retort.deploy.served")
run.end()
print(tracker.register(run.run_id, "assistant", alias="champion", description="first"))
"""
USED = """
(run,) = tracker.find()
note = folder / "note.txt"
note.write_text("of the copy")
again, new = tracker.resume(run.run_id), tracker.start("another")
for one in (again, new):
    one.log_artifact(note)
    root = Path(tracker.client.get_run(one.run_id).info.artifact_uri)
    assert root.is_relative_to(folder / "mlartifacts"), root
    assert (root / "note.txt").read_text() == "of the copy"
    one.end()
assert tracker.register(run.run_id, "assistant", alias="champion", description="again") == "1"
assert tracker.register(run.run_id, "other", alias="champion", description="new") == "1"
for name in ("assistant", "other"):
    version = tracker.client.get_model_version_by_alias(name, "champion")
    assert version.source.startswith(f"{folder}/mlartifacts/"), version.source
assert Path(tracker.client.download_artifacts(run.run_id, "model/weights.bin")).read_bytes() == b"weights"
"""


def told(code, folder):
    """What a process of its own prints that opens a workspace's MLflow and goes on with some code."""
    environment = os.environ | {"PYTHONPATH": str(Path(retort.__file__).parents[1])}
    command = [sys.executable, "-c", OPENED + code, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A workspace's own MLflow with a registered model, made as the command line makes it; never written again."""
    folder = tmp_path_factory.mktemp("original") / "w"
    folder.mkdir()
    assert told(MADE, folder) == ["None", "1"]
    return folder


def test_a_copy_writes_into_itself_alone(original, tmp_path, listing):
    shutil.copytree(original, tmp_path / "w2")
    before = listing(original)

    assert told(USED, tmp_path / "w2") == [f"{original}/mlartifacts"]
    assert listing(original) == before
    assert told("", tmp_path / "w2") == ["None"]  # once


def test_a_moved_one_has_its_files_and_registers_them(original, tmp_path):
    shutil.copytree(original, tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    with contextlib.closing(sqlite3.connect(tmp_path / "there" / "mlflow.db")) as database, database:
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(original), "/gone/w"))
        database.execute("UPDATE model_versions SET source = replace(source, ?, ?)", (str(original), "/gone/w"))

    assert told(USED, tmp_path / "there") == ["/gone/w/mlartifacts"]


def test_places_that_somebody_chose_are_left(original, tmp_path):
    shutil.copy(original / "mlflow.db", tmp_path / "mlflow.db")
    elsewhere = MlflowTracker(f"sqlite:///{tmp_path}/mlflow.db", "chosen", f"{tmp_path}/elsewhere")
    assert elsewhere.moved_from is None
    again = MlflowTracker(f"sqlite:///{tmp_path}/mlflow.db", "chosen")
    location = again.client.get_experiment(again.experiment_id).artifact_location
    assert again.moved_from is None and location == f"{tmp_path}/elsewhere"


def test_a_sweep_records_its_workspaces_own_database_without_its_place(tmp_path):
    place, moved = Place(str(tmp_path / "w")), Place(str(tmp_path / "v"))
    uri = f"sqlite:///{tmp_path}/w/mlflow.db"
    recorded = recorded_uri(place, uri)
    assert str(tmp_path) not in recorded
    assert resolved(moved, recorded) == f"sqlite:///{tmp_path}/v/mlflow.db"
    assert recorded_uri(place, "postgresql://u:s3cr@h/db?password=x") == "postgresql://h/db"


def resolved(place, recorded, *, uri=None, has=False):
    return resolved_uri(place, recorded, uri=uri or f"sqlite:///{place.root}/mlflow.db", has_run=lambda file: has)


def test_what_version_0_1_recorded_is_understood(tmp_path):
    old, place = tmp_path / "w" / "mlflow.db", Place(str(tmp_path / "v"))
    own = f"sqlite:///{tmp_path}/v/mlflow.db"
    assert resolved(place, f"sqlite:///{old}") == own  # it is gone: the workspace was moved
    old.parent.mkdir()
    old.touch()
    assert resolved(place, f"sqlite:///{old}", has=True) == own  # copied
    assert resolved(place, f"sqlite:///{old}") == f"sqlite:///{old}"  # logged there on purpose
    assert resolved(place, "sqlite:///tracking.db") == "sqlite:///tracking.db"
    server = "postgresql://u:p@h/db?sslmode=require"
    assert resolved(place, "postgresql://h/db", uri=server) == "postgresql://h/db?sslmode=require"


def test_a_workspace_on_an_object_store_has_no_database_of_its_own(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://u:p@tracking:5000")
    place = Place("bucket/w", is_local=False)
    assert recorded_uri(place, default_tracking_uri(place)) == "http://tracking:5000"
