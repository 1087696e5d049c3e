"""Runs by name."""

import pytest

from retort.errors import WorkspaceError
from retort.evaluation.runs import find_run, list_runs
from retort.storage import Workspace


@pytest.fixture
def workspace(tmp_path):
    """Two finished runs whose names begin alike, and one that was never finished."""
    made = Workspace(tmp_path / "workspace", create=True)
    for name in ("mistral-w0-s0-aaaa1111", "mistral-w0-s1-bbbb2222"):
        with made.folder(f"runs/{name}").writing("run", 1, config={"name": name}, inputs={}):
            pass
    made.folder("runs/mistral-w0-s2-cccc3333").write_bytes("curves.parquet", b"")
    return made


def test_finished_runs_are_listed(workspace):
    assert list_runs(workspace) == ["mistral-w0-s0-aaaa1111", "mistral-w0-s1-bbbb2222"]


@pytest.mark.parametrize(
    "name", ["mistral-w0-s1-bbbb2222", "runs/mistral-w0-s1-bbbb2222/", "mistral-w0-s1", "bbbb2222"]
)
def test_a_run_is_found_by_name_beginning_or_ending(workspace, name):
    assert find_run(workspace, name).name == "runs/mistral-w0-s1-bbbb2222"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mistral", "2 runs match 'mistral': mistral-w0-s0-aaaa1111, mistral-w0-s1-bbbb2222"),
        ("llama", "no run 'llama'; runs: mistral-w0-s0-aaaa1111, "),
        ("mistral-w0-s2", "no run 'mistral-w0-s2'"),
        ("", "runs"),
    ],
)
def test_what_names_no_one_run_is_an_error(workspace, name, message):
    with pytest.raises(WorkspaceError, match=message):
        find_run(workspace, name)


def test_without_runs_the_way_out_is_told(tmp_path):
    with pytest.raises(WorkspaceError, match="runs: none; distil one first: retort distill --help"):
        find_run(Workspace(tmp_path / "workspace", create=True), "any")
