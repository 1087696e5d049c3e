"""One process writes a folder at a time; whoever waits says for whom, and looks again before working."""

import json
import subprocess
import sys
import threading

import pytest

from retort.errors import RetortError, RunError, WorkspaceError
from retort.storage import Workspace, locks

LIMIT = 60.0  # of every wait below; only a fault needs it


def held_elsewhere(workspace, name):
    """Another process that holds the folder until its standard input ends."""
    code = (
        "import sys; from retort.storage import Workspace\n"
        f"with Workspace({workspace.url!r}).folder({name!r}).locked():\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def wait_until(condition):
    ready = threading.Event()
    ended = threading.Event()
    timer = threading.Timer(LIMIT, ended.set)
    timer.start()
    while not condition():
        assert not ended.is_set(), "it never happened"
        ready.wait(0.01)
    timer.cancel()


def write(folder, outcome):
    try:
        with folder.writing("vectors", 1, config={}, inputs={}) as writer:
            outcome.append("found" if writer.finished else "made")
            if not writer.finished:
                writer.add(folder.write_bytes("a.txt", b"a"))
    except RetortError as error:
        outcome.append(error)


@pytest.fixture(params=["local", "s3"])
def workspace(request, tmp_path, monkeypatch):
    monkeypatch.setenv("RETORT_LEASE_SECONDS", "1")
    url = str(tmp_path / "workspace") if request.param == "local" else request.getfixturevalue("s3_url")
    return Workspace(url, create=True)


def test_whoever_waits_says_for_whom_and_does_not_work_twice(workspace, caplog):
    folder = workspace.folder("stage")
    other = held_elsewhere(workspace, "stage")
    outcome = []
    thread = threading.Thread(target=write, args=(folder, outcome))
    try:
        thread.start()
        wait_until(lambda: f"which process {other.pid} on " in caplog.text)
        assert outcome == []
        # While this one waits, the stage is finished by somebody else.
        with workspace.folder("stage-b").writing("vectors", 1, config={}, inputs={}) as writer:
            writer.add(workspace.folder("stage-b").write_bytes("a.txt", b"a"))
        record = workspace.folder("stage-b").read_bytes("record.json")
        workspace.fs.makedirs(folder.path(), exist_ok=True)
        workspace.fs.pipe_file(folder.path("a.txt"), b"a")
        workspace.fs.pipe_file(folder.path("record.json"), record)
    finally:
        other.communicate(timeout=LIMIT)
        thread.join(timeout=LIMIT)
    assert outcome == ["found"]
    assert caplog.text.count("waiting for") == 1
    assert f"waiting for {folder.url()}, which process {other.pid} on " in caplog.text
    assert ", since 20" in caplog.text


def test_a_process_that_was_killed_holds_nothing(workspace, caplog):
    other = held_elsewhere(workspace, "stage")
    other.kill()
    other.wait(timeout=LIMIT)
    other.stdin.close()
    other.stdout.close()
    outcome = []
    write(workspace.folder("stage"), outcome)
    assert outcome == ["made"]
    if not workspace.is_local:
        assert f"is taken over from process {other.pid} on " in caplog.text
        assert "which has ended" in caplog.text


def test_a_finished_stage_is_used_without_a_lock(workspace):
    folder = workspace.folder("stage")
    write(folder, [])
    other = held_elsewhere(workspace, "stage")
    try:
        outcome = []
        write(folder, outcome)
        assert outcome == ["found"]
    finally:
        other.communicate(timeout=LIMIT)


@pytest.fixture
def remote_workspace(s3_url, monkeypatch):
    monkeypatch.setenv("RETORT_LEASE_SECONDS", "1")
    return Workspace(s3_url, create=True)


def test_a_lease_of_another_machine_is_taken_over_when_it_is_not_renewed(remote_workspace, caplog):
    fs, path = remote_workspace.fs, f"{remote_workspace.root}/.locks/stage.lease"
    gone = {"host": "spot-7", "pid": 11, "since": "2026-01-01T00:00:00+00:00", "place": "elsewhere", "started": 5}
    fs.pipe_file(f"{path}.1", json.dumps(gone | {"token": "x", "beat": 3}).encode())
    outcome = []
    write(remote_workspace.folder("stage"), outcome)
    assert outcome == ["made"]
    assert (
        "is taken over from process 11 on spot-7, since 2026-01-01T00:00:00+00:00, which has not renewed" in caplog.text
    )
    fs.invalidate_cache()
    assert not fs.exists(f"{remote_workspace.root}/.locks") or not fs.find(f"{remote_workspace.root}/.locks")


def test_a_lease_is_renewed_while_its_holder_works(remote_workspace):
    folder, outcome = remote_workspace.folder("stage"), []
    path = f"{folder.workspace.root}/.locks/stage.lease.1"
    with folder.locked():
        wait_until(
            lambda: json.loads(folder.workspace.fs.cat_file(path))["beat"] >= 12
        )  # twice the time it is good for
        thread = threading.Thread(target=write, args=(folder, outcome))
        thread.start()
        thread.join(timeout=2.5)
        assert outcome == []
    thread.join(timeout=LIMIT)
    assert outcome == ["made"]


def test_whoever_lost_its_lease_commits_nothing(remote_workspace):
    folder = remote_workspace.folder("stage")
    fs, path = remote_workspace.fs, f"{remote_workspace.root}/.locks/stage.lease"

    def work_while_another_takes_over():
        with folder.writing("vectors", 1, config={}, inputs={}) as writer:
            writer.add(folder.write_bytes("a.txt", b"a"))
            fs.pipe_file(f"{path}.2", b"{}")
            fs.rm_file(f"{path}.1")

    with pytest.raises(RunError, match=r"was taken over.*nothing of it was committed here"):
        work_while_another_takes_over()
    assert folder.record() is None


def test_of_two_that_find_a_lease_stale_one_gets_it(remote_workspace):
    fs, path = remote_workspace.fs, f"{remote_workspace.root}/.locks/stage.lease.4"
    first = locks._make(fs, path, "stage", "one")
    second = locks._make(fs, path, "stage", "two")
    assert first is not None
    assert second is None
    first.release()
    assert locks._read(fs, path) is None


def test_unfinished_uploads_of_a_killed_process_are_aborted(remote_workspace, s3, caplog):
    folder = remote_workspace.folder("stage")
    bucket, _, key = folder.path("big.bin").partition("/")
    s3.create_multipart_upload(Bucket=bucket, Key=key)
    elsewhere = s3.create_multipart_upload(Bucket=bucket, Key=f"{key.rpartition('/')[0]}-2/big.bin")
    write(folder, outcome := [])
    assert outcome == ["made"]
    assert [upload["UploadId"] for upload in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [
        elsewhere["UploadId"]
    ]
    assert "1 unfinished uploads of a process that was killed were removed" in caplog.text
    s3.abort_multipart_upload(Bucket=bucket, Key=elsewhere["Key"], UploadId=elsewhere["UploadId"])


def test_a_workspace_that_cannot_be_written_says_so(tmp_path):
    workspace = Workspace(tmp_path / "workspace", create=True)
    (tmp_path / "workspace" / ".locks").write_text("in the way")
    outcome = []
    write(workspace.folder("stage"), outcome)
    assert isinstance(outcome[0], WorkspaceError)
    assert "cannot be written" in str(outcome[0])
