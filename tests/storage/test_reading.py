"""What is read is what was written: every damage is found at the first opening, and told with the way out."""

import json
import os

import numpy as np
import pyarrow as pa
import pytest

from retort.errors import ConfigError, DamagedError, WorkspaceError
from retort.storage import Record, Workspace, verified
from retort.storage.record import check_inside
from retort.storage.verified import cache_folder


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """A finished stage with a file of every kind."""
    monkeypatch.setenv("RETORT_CACHE", str(tmp_path / "cache"))
    folder = Workspace(tmp_path / "workspace", create=True).folder("vectors/tiny-0123")
    table = pa.table({"doc_id": [f"p{number}" for number in range(500)]})
    with folder.writing("vectors", 1, config={}, inputs={}) as writer:
        writer.add(
            folder.write_array("values.npy", np.arange(1000, dtype=np.float32)),
            folder.write_table("doc_ids.arrow", table),
            folder.write_table("terms.parquet", table),
            folder.write_json("weights.json", {"weights": {"human": 0.25}, "notes": ["a"] * 50}),
            folder.write_bytes("tokenizer/vocab.txt", b"[PAD]\n[UNK]\nword\n" * 9),
        )
    return folder


READERS = {
    "values.npy": lambda folder: folder.read_array("values.npy"),
    "doc_ids.arrow": lambda folder: folder.read_table("doc_ids.arrow"),
    "terms.parquet": lambda folder: folder.read_table("terms.parquet"),
    "weights.json": lambda folder: folder.read_json("weights.json"),
    "tokenizer/vocab.txt": lambda folder: folder.local_tree("tokenizer"),
}


def zero_a_quarter(path):
    content = bytearray(path.read_bytes())
    start = len(content) // 2
    content[start : start + len(content) // 4] = bytes(len(content) // 4)
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-3])


def anew(folder):
    """The folder as another process finds it: nothing is remembered."""
    verified._Memory._opened.clear()
    return Workspace(folder.workspace.url).folder(folder.name)


@pytest.mark.parametrize("damage", [zero_a_quarter, cut, os.unlink])
@pytest.mark.parametrize("file", READERS)
def test_no_damaged_file_is_read(stage, file, damage, tmp_path):
    path = tmp_path / "workspace" / stage.name / file
    READERS[file](anew(stage))  # it is whole
    damage(path)

    with pytest.raises(DamagedError) as caught:
        READERS[file](anew(stage))
    message = str(caught.value)
    assert str(path) in message
    assert f"retort verify --workspace {tmp_path / 'workspace'}" in message


def test_damage_is_found_by_the_process_that_wrote_the_file_too(stage, tmp_path):
    zero_a_quarter(tmp_path / "workspace" / stage.name / "values.npy")
    with pytest.raises(DamagedError, match="checksum"):
        stage.read_array("values.npy")


def test_a_file_is_hashed_once_a_machine_and_again_when_it_changed(stage, monkeypatch, tmp_path):
    hashed = []
    digest = verified.file_digest
    monkeypatch.setattr(verified, "file_digest", lambda path: hashed.append(path.name) or digest(path))
    for path in (cache_folder() / "verified").iterdir():
        path.unlink()  # as after a copy to another machine

    anew(stage).read_array("values.npy")
    anew(stage).read_array("values.npy")
    assert hashed == ["values.npy"]

    os.utime(tmp_path / "workspace" / stage.name / "values.npy", ns=(1, 1))
    anew(stage).read_array("values.npy")
    assert hashed == ["values.npy"] * 2


def test_without_a_cache_that_can_be_written_files_are_hashed_all_the_same(stage, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RETORT_CACHE", str(tmp_path / "file" / "below"))
    assert len(anew(stage).read_array("values.npy")) == 1000
    zero_a_quarter(tmp_path / "workspace" / stage.name / "values.npy")
    with pytest.raises(DamagedError, match="checksum"):
        anew(stage).read_array("values.npy")


def test_sizes_alone_are_compared_where_that_is_asked_for(stage, monkeypatch, tmp_path):
    monkeypatch.setenv("RETORT_VERIFY", "size")
    path = tmp_path / "workspace" / stage.name / "values.npy"
    zero_a_quarter(path)
    assert anew(stage).read_array("values.npy")[600] == 0
    monkeypatch.setenv("RETORT_VERIFY", "never")
    with pytest.raises(ConfigError, match="RETORT_VERIFY is 'never'; it can be full or size"):
        anew(stage).read_array("values.npy")

    monkeypatch.setenv("RETORT_VERIFY", "size")
    cut(path)
    with pytest.raises(DamagedError, match="4,125 bytes, and 4,128 were recorded"):
        anew(stage).read_array("values.npy")


@pytest.mark.parametrize(
    "break_it",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "\0" * len(text),
        lambda text: text.replace('"version": 1', '"version": 2'),
        lambda text: "[]",
        lambda text: '{"files": []}',
    ],
    ids=["empty", "half", "zeros", "changed", "a list", "no record"],
)
def test_a_damaged_record_is_no_unfinished_stage(stage, tmp_path, break_it):
    path = tmp_path / "workspace" / stage.name / "record.json"
    path.write_text(break_it(path.read_text()))
    with pytest.raises(DamagedError, match=r"record\.json is damaged: .*retort verify"):
        anew(stage).record()


def test_records_of_version_0_1_have_no_checksum_of_themselves(stage, tmp_path):
    path = tmp_path / "workspace" / stage.name / "record.json"
    data = json.loads(path.read_text())
    del data["sha256"]
    path.write_text(json.dumps(data))
    assert anew(stage).record() == stage.record()


def test_json_that_no_record_names_is_damaged_too(stage, tmp_path):
    folder = stage.workspace.folder("sweeps/one")
    folder.write_bytes("trials/0001.json", b'{"run": ')
    with pytest.raises(DamagedError, match=r"0001\.json is damaged, or was not written by Retort"):
        folder.read_json("trials/0001.json")
    folder.write_json("trials/0002.json", {"other": 1})
    with pytest.raises(DamagedError, match=r"0002\.json is damaged.*KeyError: 'run'"):
        folder.read_as("trials/0002.json", lambda value: value["run"])


def test_a_part_that_was_damaged_after_an_interruption_is_made_again(stage, tmp_path, caplog):
    folder = stage.workspace.folder("vectors/tiny-4567")
    entry = folder.write_array("part.npy", np.arange(50), part=True)
    assert folder.part("part.npy") == entry
    zero_a_quarter(tmp_path / "workspace" / folder.name / "part.npy")
    assert folder.part("part.npy") is None
    assert "is not what was written; it is made again" in caplog.text
    folder.write_array("other.npy", np.arange(5))
    assert folder.part("other.npy") is None  # nothing says what it should be


OUTSIDE = ["../../../../pwned.txt", "/etc/passwd", "a/../../b", "C:/x", "a\\b", "", "nul", "x/COM1.txt", "a//b", "a\nb"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_record_that_names_a_place_outside_its_folder_is_refused(name):
    with pytest.raises(ValueError, match=r"folder|relative|device"):
        check_inside(name)
    known = Record("vectors", 1, "ab" * 32, {}, {}, {}, (), 1.5, "2026-01-01T00:00:00+00:00")
    crafted = json.loads(known.to_json()) | {"files": [{"name": name, "sha256": "ab" * 32, "bytes": 1, "rows": None}]}
    del crafted["sha256"]
    with pytest.raises(ValueError, match=r"folder|relative|device"):
        Record.from_json(json.dumps(crafted))


def test_a_checksum_in_a_record_is_no_path(tmp_path):
    known = Record("vectors", 1, "ab" * 32, {}, {}, {}, (), 1.5, "2026-01-01T00:00:00+00:00")
    crafted = json.loads(known.to_json()) | {"files": [{"name": "a", "sha256": "../" * 20, "bytes": 1, "rows": None}]}
    del crafted["sha256"]
    with pytest.raises(ValueError, match="no checksum"):
        Record.from_json(json.dumps(crafted))


def test_a_crafted_record_on_an_object_store_writes_nothing_outside_the_cache(remote, tmp_path):
    text = remote.workspace.fs.cat_file(remote.path("record.json"))
    crafted = json.loads(text)
    del crafted["sha256"]
    crafted["files"][0]["name"] = "checkpoint/../../../../../pwned.txt"
    remote.workspace.fs.pipe_file(remote.path("record.json"), json.dumps(crafted).encode())
    with pytest.raises(DamagedError, match="does not stay inside its folder"):
        Workspace(remote.workspace.url).folder("stage").local_tree("checkpoint")
    assert not list(tmp_path.rglob("pwned.txt"))


@pytest.mark.parametrize("name", ["../other", "/etc", "runs/../../x"])
def test_a_folder_cannot_lie_outside_its_workspace(stage, name):
    with pytest.raises(WorkspaceError, match=r"folder|relative"):
        stage.workspace.folder(name)
    with pytest.raises(WorkspaceError, match=r"folder|relative"):
        stage.path(name)
