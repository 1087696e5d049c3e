"""The workspace's contract, on a local folder and on an S3 of the tests' own: record.json is the commit."""

import contextlib
import gc
import io
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retort.errors import DamagedError, WorkspaceError
from retort.identity import file_digest, fingerprint
from retort.storage import Record, Workspace

BUCKET = "retort"  # of the fixture s3
TABLE = pa.table({"query_id": ["a", "b"], "passage_rows": pa.array([[1, 2], []], pa.list_(pa.int32()))})


def writing(folder, *, version=1, **arguments):
    return folder.writing("vectors", version, config={"k1": 0.9}, inputs={"passages": "ab"}, **arguments)


def files_in(workspace):
    """Everything below the workspace but its locks, as names relative to it."""
    workspace.fs.invalidate_cache()
    found = (path[len(workspace.root) + 1 :] for path in workspace.fs.find(workspace.root))
    return sorted(name for name in found if not name.startswith(".locks/"))


def broken(stream):
    stream.write(b"half of it")
    raise RuntimeError("the disk is full")


# -- the contract, on both ---------------------------------------------------------------------------------------------


def test_a_stage_is_there_once_its_record_is(workspace):
    folder = workspace.folder("vectors/bm25")
    with writing(folder) as writer:
        assert writer.finished is None
        writer.add(folder.write_bytes("a.txt", b"content"), folder.write_array("b.npy", np.arange(3)))
        writer.counts["passages"] = 3
        assert folder.record() is None
    record = folder.record()

    assert record is not None and record == writer.record
    assert (record.stage, record.version, record.counts) == ("vectors", 1, {"passages": 3})
    assert record.fingerprint == fingerprint("vectors", 1, config={"k1": 0.9}, inputs={"passages": "ab"})
    assert [(entry.name, entry.rows) for entry in record.files] == [("a.txt", None), ("b.npy", 3)]
    for entry in record.files:
        assert entry.bytes == len(folder.read_bytes(entry.name)) == folder.local(entry.name).stat().st_size
        assert entry.sha256 == file_digest(folder.local(entry.name))
    assert files_in(workspace) == [
        "vectors/bm25/a.txt",
        "vectors/bm25/b.npy",
        "vectors/bm25/record.json",
        "workspace.json",
    ]
    assert record.libraries["numpy"] == np.__version__


def test_an_equal_stage_is_skipped_and_left_as_it_was(workspace):
    folder = workspace.folder("stage")
    with writing(folder) as writer:
        writer.add(folder.write_bytes("a.txt", b"first"))
    before = folder.read_bytes("record.json")
    with writing(folder) as writer:
        assert writer.finished == folder.record()
        writer.counts["ignored"] = 1

    assert writer.record.names() == ["a.txt"]
    assert folder.read_bytes("record.json") == before


def test_other_content_is_never_overwritten(workspace):
    folder = workspace.folder("stage")
    with writing(folder) as writer:
        writer.add(folder.write_bytes("a.txt", b"first"))
    refused = pytest.raises(WorkspaceError, match=r"already holds other content \(fingerprint .*choose another name")
    with refused, writing(folder, version=2):
        raise AssertionError("the block must not be entered")

    assert folder.read_bytes("a.txt") == b"first" and folder.record().version == 1


def test_extending_a_stage_keeps_its_files_beside_the_new_ones(workspace):
    folder = workspace.folder("passages")
    with writing(folder) as writer:
        writer.add(folder.write_bytes("a.txt", b"first"))
    with writing(folder, version=2, extend=True) as writer:
        writer.add(folder.write_bytes("b.txt", b"second"))

    assert writer.record.names() == ["a.txt", "b.txt"] and writer.record.version == 2
    assert folder.read_bytes("a.txt") == b"first"


def test_a_stage_of_which_a_file_is_being_replaced_is_not_finished(workspace):
    folder = workspace.folder("sweeps/one")
    with writing(folder) as writer:
        writer.add(folder.write_bytes("front.json", b"1"), folder.write_bytes("trials.json", b"1"))
    with contextlib.suppress(ZeroDivisionError), writing(folder, version=2, extend=True) as writer:
        writer.add(folder.write_bytes("more.json", b"2"))
        assert folder.record() is not None and folder.read_bytes("trials.json") == b"1"
        writer.add(folder.write_bytes("front.json", b"2"))
        workspace.fs.pipe_file(folder.path("trials.json"), b"2")  # as through another folder of the same name
        assert folder.read_bytes("trials.json") == b"2"
        raise ZeroDivisionError  # as a kill would
    assert workspace.folder("sweeps/one").record() is None
    with writing(folder, version=2, extend=True) as writer:
        writer.add(folder.write_bytes("front.json", b"3"))
    assert workspace.folder("sweeps/one").read_bytes("front.json") == b"3"


def test_a_writer_that_raises_leaves_nothing_and_keeps_what_was_there(workspace):
    folder = workspace.folder("stage")
    folder.write_bytes("a.txt", b"before")
    for name in ("a.txt", "b.txt"):
        with pytest.raises(RuntimeError, match="the disk is full"):
            folder.write(name, broken)

    gc.collect()  # on an object store, a stream that is dropped must not be uploaded either
    assert files_in(workspace) == ["stage/a.txt", "workspace.json"]
    assert folder.read_bytes("a.txt") == b"before"


def test_an_interrupted_stage_has_no_record(workspace):
    folder = workspace.folder("stage")
    with contextlib.suppress(RuntimeError), writing(folder) as writer:
        writer.add(folder.write_bytes("part-0.txt", b"done"))
        folder.write("part-1.txt", broken)
        raise AssertionError("the writer's error must leave the block")

    assert folder.record() is None
    assert files_in(workspace) == ["stage/part-0.txt", "workspace.json"]
    with pytest.raises(WorkspaceError, match=r"has no stage; run retort prepare$"):
        folder.require("run retort prepare")


@pytest.mark.parametrize(("keep_parts", "left"), [(True, True), (False, False)])
def test_parts_of_an_interrupted_stage_are_kept_only_where_that_is_asked_for(workspace, keep_parts, left):
    folder = workspace.folder("stage")
    folder.write_bytes("part-0.txt", b"done")
    with writing(folder, keep_parts=keep_parts) as writer:
        assert folder.exists("part-0.txt") is left
        writer.add(folder.write_bytes("part-1.txt", b"new"))

    # What the record does not name is gone either way once it is written.
    assert files_in(workspace) == ["stage/part-1.txt", "stage/record.json", "workspace.json"]


def test_a_kept_part_is_taken_into_the_record(workspace):
    folder = workspace.folder("stage")
    written = folder.write_bytes("part-0.txt", b"done")
    with writing(folder, keep_parts=True) as writer:
        writer.add(folder.entry("part-0.txt", rows=4))

    (entry,) = writer.record.files
    assert (entry.sha256, entry.bytes, entry.rows) == (written.sha256, 4, 4)


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow"])
def test_tables_come_back(workspace, name):
    folder = workspace.folder("stage")
    with writing(folder) as writer:
        writer.add(folder.write_table(name, TABLE))

    assert folder.read_table(name).equals(TABLE) and folder.read_table(name).schema == TABLE.schema
    assert folder.read_tables([name, name], TABLE.schema).num_rows == 4
    empty = folder.read_tables([], TABLE.schema)
    assert empty.num_rows == 0 and empty.schema == TABLE.schema


def test_arrays_come_back_memory_mapped_unless_told_otherwise(workspace):
    folder = workspace.folder("stage")
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    with writing(folder) as writer:
        writer.add(folder.write_array("a.npy", array), folder.write_array("empty.npy", array[:0]))
    mapped, copied = folder.read_array("a.npy"), folder.read_array("a.npy", mapped=False)

    assert isinstance(mapped, np.memmap) and not isinstance(copied, np.memmap)
    for found in (mapped, copied):
        np.testing.assert_array_equal(found, array)
        assert found.dtype == array.dtype
    assert not mapped.flags.writeable
    assert folder.read_array("empty.npy", mapped=False).shape == (0, 4)


def test_a_tree_is_written_and_found_again_as_a_directory(workspace, tmp_path):
    source = tmp_path / "model"
    (source / "1_Pooling").mkdir(parents=True)
    (source / "config.json").write_text("{}")
    (source / "1_Pooling" / "config.json").write_text('{"a": 1}')
    folder = workspace.folder("run")
    with writing(folder) as writer:
        writer.add_tree(source, "checkpoint")
        writer.add(folder.write_bytes("curves.txt", b"no part of it"))
    tree = folder.local_tree("checkpoint")

    found = {path.relative_to(tree).as_posix(): path.read_text() for path in tree.rglob("*") if path.is_file()}
    assert found == {"config.json": "{}", "1_Pooling/config.json": '{"a": 1}'}


def test_a_folder_is_the_same_in_another_process(workspace):
    folder = workspace.folder("stage")
    with writing(folder) as writer:
        writer.add(folder.write_bytes("a.txt", b"content"))
    again = pickle.loads(pickle.dumps(folder))

    assert (again.path("a.txt"), again.workspace.url) == (folder.path("a.txt"), workspace.url)
    assert again.record() == folder.record() and again.read_bytes("a.txt") == b"content"


def test_stages_that_stand_side_by_side_are_named_after_their_fingerprints(workspace):
    stages = [
        workspace.stage("vectors", 1, label="vectors/bm25", config={"k1": k1}, inputs={"passages": "ab"})
        for k1 in (0.9, 1.2)
    ]
    for stage in stages:
        with stage.writing() as writer:
            writer.add(stage.folder.write_bytes("a.txt", b"content"))
    workspace.folder("vectors/unfinished").write_bytes("a.txt", b"leftover")

    assert [stage.folder.name for stage in stages] == [f"vectors/bm25-{stage.fingerprint[:8]}" for stage in stages]
    found = workspace.stages("vectors")
    assert [folder.name for folder in found] == sorted(stage.folder.name for stage in stages)
    assert workspace.stages("nothing") == []


def test_a_workspace_opens_where_it_was_made_and_nowhere_else(workspace):
    assert Workspace(workspace.url).root == workspace.root
    missing = f"{workspace.url}-2"
    with pytest.raises(WorkspaceError) as caught:
        Workspace(missing)
    assert str(caught.value) == (
        f"no workspace at {missing}; an import makes one, such as: retort import synthetic --workspace {missing}"
    )


def test_a_workspace_of_a_later_format_is_refused(workspace):
    workspace.folder("").write_bytes("workspace.json", json.dumps({"format": 2}).encode())

    with pytest.raises(WorkspaceError, match="has format 2, this version reads up to 1: upgrade"):
        Workspace(workspace.url)


# -- local -------------------------------------------------------------------------------------------------------------


def test_a_workspace_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(WorkspaceError, match="is a file; name a folder"):
        Workspace(tmp_path / "file", create=True)


def test_a_protocol_that_nobody_knows_is_refused():
    with pytest.raises(WorkspaceError, match="workspace nosuch://a cannot be opened"):
        Workspace("nosuch://a")


def test_a_workspace_is_its_real_path_whatever_led_to_it(local, tmp_path):
    (tmp_path / "link").symlink_to(local.root)

    assert Workspace(tmp_path / "link").root == local.root
    assert Workspace(f"{local.root}/").url == local.root


def test_arrow_tables_are_memory_mapped(local):
    folder = local.folder("stage")
    table = pa.table({"values": np.zeros(1 << 20, dtype=np.float32)})
    folder.write_table("t.arrow", table)
    before = pa.total_allocated_bytes()
    found = folder.read_table("t.arrow")

    assert found.nbytes >= 4 << 20
    assert pa.total_allocated_bytes() - before < 1 << 16


def test_two_processes_exclude_each_other_from_a_folder(local, tmp_path):
    released = tmp_path / "released"
    code = """
import sys
from pathlib import Path
from retort.storage import Workspace
workspace = Workspace(sys.argv[1])
with workspace.folder("elsewhere").locked():
    print("ready", flush=True)
with workspace.folder("a/stage").locked():
    print(Path(sys.argv[2]).exists(), flush=True)
"""
    command = [sys.executable, "-c", code, local.root, str(released)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        with local.folder("a/stage").locked():
            assert other.stdout.readline() == "ready\n"  # the lock of another folder is free
            with pytest.raises(subprocess.TimeoutExpired):
                other.wait(timeout=0.4)
            released.touch()
        assert other.stdout.readline() == "True\n"
    assert other.returncode == 0


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.sampled_from("abcdef"), unique=True), interrupted=st.booleans())
def test_a_folder_holds_what_its_record_names_and_nothing_else(tmp_path_factory, names, interrupted):
    workspace = Workspace(tmp_path_factory.mktemp("workspace"), create=True)
    folder = workspace.folder("stage")
    with contextlib.suppress(RuntimeError), writing(folder) as writer:
        for name in names:
            writer.add(folder.write_bytes(f"{name}.txt", name.encode()))
        if interrupted:
            raise RuntimeError
    with writing(folder, keep_parts=True) as writer:
        if interrupted:
            assert writer.finished is None
            writer.add(*(folder.entry(f"{name}.txt") for name in names))

    assert writer.record.names() == sorted(f"{name}.txt" for name in names)
    assert files_in(workspace) == sorted(
        [*(f"stage/{name}.txt" for name in names), "stage/record.json", "workspace.json"]
    )


def test_a_record_written_by_a_later_version_still_loads():
    known = Record("vectors", 1, "ab" * 32, {"k1": 0.9}, {}, {"passages": 3}, (), 1.5, "2026-01-01T00:00:00+00:00")
    data = json.loads(known.to_json())

    assert Record.from_json(json.dumps(data)) == known
    later = {name: value for name, value in data.items() if name != "sha256"} | {"hostname": "later"}
    assert Record.from_json(json.dumps(later)) == known


def test_a_records_names_are_chosen_by_beginning_and_ending(local):
    folder = local.folder("stage")
    with writing(folder) as writer:
        writer.add(*(folder.write_bytes(name, b"") for name in ("b.npy", "a.npy", "a.txt", "part/a.npy")))

    assert writer.record.names(".npy") == ["a.npy", "b.npy", "part/a.npy"]
    assert writer.record.names(".npy", prefix="part/") == ["part/a.npy"]


# -- an object store ---------------------------------------------------------------------------------------------------


def test_a_remote_file_is_fetched_once_under_its_own_name(remote, tmp_path):
    first = remote.local("a.npy")
    written = first.stat().st_mtime_ns
    again = remote.local("a.npy")

    assert first == again and first.name == "a.npy" and first.is_relative_to(tmp_path / "cache")
    assert again.stat().st_mtime_ns == written
    assert [path.name for path in first.parent.iterdir()] == ["a.npy"]


def test_a_remote_file_that_is_not_what_was_recorded_is_refused(remote, s3, tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, np.arange(6))
    key = remote.path("a.npy").removeprefix(f"{BUCKET}/")
    s3.put_object(Bucket=BUCKET, Key=key, Body=buffer.getvalue())

    for _ in range(2):
        with pytest.raises(DamagedError, match=r"a\.npy has the checksum [0-9a-f]{12}, and [0-9a-f]{12} was recorded"):
            remote.read_array("a.npy")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_an_object_is_hashed_and_counted_as_it_passes(remote):
    content = os.urandom(3 << 20)
    entry = remote.write("big.bin", lambda stream: stream.write(content))

    assert (entry.bytes, entry.sha256) == (len(content), remote.entry("big.bin").sha256)


def test_a_remote_tree_stands_in_the_cache_under_its_own_names(remote, tmp_path):
    folder = remote.workspace.folder("run")
    (tmp_path / "model" / "1_Pooling").mkdir(parents=True)
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "model" / "1_Pooling" / "config.json").write_text("[]")
    with writing(folder) as writer:
        writer.add_tree(tmp_path / "model", "checkpoint")
    tree = folder.local_tree("checkpoint")

    assert {path.relative_to(tree).as_posix(): path.read_text() for path in tree.rglob("*.json")} == {
        "config.json": "{}",
        "1_Pooling/config.json": "[]",
    }
