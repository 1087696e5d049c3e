"""A workspace is one folder: renamed, copied or read-only, it is what it was, and nothing in it says where it stood."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ASSET = Path(__file__).parent / "assets" / "workspace-0.1" / "workspace"
RUN = sorted(path.name for path in (ASSET / "runs").iterdir())[0]


@pytest.fixture(autouse=True)
def tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/tracking.db")


def test_an_evaluation_is_found_whatever_its_workspace_is_called(retort: Callable, tmp_path: Path) -> None:
    # The folder of version 0.1 begins with the name that its workspace had.
    path = Path(shutil.copytree(ASSET, tmp_path / "renamed"))
    words = ["evaluate", "grid#1", "--split", "dev", "-w", path, "--json"]
    found = retort(*words)
    assert found.code == 0, found.err
    assert "/evaluations/workspace-dev-exact-" in found.json()["folder"]
    assert "is there already" in found.err

    made = retort(*words, "evaluation.top_k=150")
    assert made.code == 0, made.err
    assert f"{path}/runs/" in made.json()["folder"]
    again = retort(
        "evaluate", "grid#1", "--split", "dev", "-w", path.rename(tmp_path / "twice"), "--json", "evaluation.top_k=150"
    )
    assert again.code == 0, again.err
    assert again.json()["folder"] == made.json()["folder"].replace("renamed", "twice")
    assert "is there already" in again.err


def test_nothing_in_a_workspace_says_where_it_stands(evaluated_path: Path) -> None:
    name = os.fsencode(str(evaluated_path))
    naming = [
        str(file.relative_to(evaluated_path))
        for file in evaluated_path.rglob("*")
        if file.is_file() and name in file.read_bytes()
    ]
    # MLflow's database holds where its artifacts are; they are found anew where the workspace is opened.
    assert [file for file in naming if not file.startswith(("mlflow.db", "mlartifacts/"))] == []
    folders = [str(folder.relative_to(evaluated_path)) for folder in evaluated_path.rglob("*") if folder.is_dir()]
    assert [folder for folder in folders if evaluated_path.name in folder] == []


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A workspace on a file system that cannot be written to, as on a snapshot."""
    path = Path(shutil.copytree(ASSET, tmp_path / "workspace"))
    if os.geteuid() != 0:
        pytest.skip("mounting a file system read-only needs root")
    try:
        subprocess.run(["mount", "--bind", path, path], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this machine mounts nothing: {error}")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", path], check=True, capture_output=True)
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def test_a_read_only_workspace_is_used_as_far_as_it_is_finished(
    retort: Callable, read_only: Path, tmp_path: Path
) -> None:
    for words in (
        ["evaluate", "grid#1", "--split", "dev"],
        ["distill", read_only / "runs" / RUN / "experiment.json"],
        ["front", "grid"],
        ["compare", "grid#1", "grid#2"],
        ["verify", "turns"],
    ):
        done = retort(*words, "-w", read_only)
        assert done.code == 0, done.err
    refused = retort("evaluate", "grid#1", "--split", "dev", "-w", read_only, "evaluation.top_k=150")
    assert refused.code == 2
    assert "cannot be written" in refused.err and "Read-only file system" in refused.err
