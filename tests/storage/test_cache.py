"""The node's cache: within its limit, the least recently used first, and never trusted unread."""

import os
import time

import numpy as np
import pytest

from retort.errors import ConfigError, DamagedError
from retort.storage import Workspace, cache, verified
from retort.storage.cache import cache_state, clear_cache

MIB = 2**20


@pytest.fixture
def files(s3_url, monkeypatch):
    """A remote stage of four files of a MiB each, and a cache of three MiB."""
    monkeypatch.setenv("RETORT_CACHE_GIB", str(3.1 / 1024))
    folder = Workspace(s3_url, create=True).folder("stage")
    with folder.writing("vectors", 1, config={}, inputs={}) as writer:
        for number in range(4):
            writer.add(folder.write(f"{number}.bin", lambda stream, n=number: stream.write(bytes([n]) * MIB)))
    return folder


def used_long_ago(path, minutes):
    then = time.time_ns() - int(minutes * 60e9)
    os.utime(path, ns=(then, path.stat().st_mtime_ns))


def test_what_was_not_used_for_longest_goes_first(files):
    first, second, third = (files.local(f"{number}.bin") for number in range(3))
    used_long_ago(first, 30)
    used_long_ago(second, 50)
    used_long_ago(third, 40)
    files.local("0.bin")  # used again

    files.local("3.bin")
    assert [path.exists() for path in (first, second, third)] == [True, False, True]
    assert cache_state().bytes == 3 * MIB
    assert not second.parent.exists()


def test_what_was_used_a_moment_ago_stays_though_the_limit_is_passed(files):
    for number in range(4):
        files.local(f"{number}.bin")
    state = cache_state()
    assert (state.files, state.bytes, state.limit) == (4, 4 * MIB, int(3.1 / 1024 * 2**30))
    assert clear_cache() == 0


def test_a_file_that_is_mapped_stays_readable_when_its_name_is_gone(remote):
    array = remote.read_array("a.npy")
    used_long_ago(remote.local("a.npy"), 60)
    assert clear_cache() > 0
    assert array.tolist() == list(range(5))
    assert np.array_equal(remote.read_array("a.npy"), array)  # fetched again


def test_a_cached_file_that_was_damaged_is_fetched_again(remote, caplog):
    path = remote.local("a.npy")
    content = path.read_bytes()
    path.write_bytes(content[:-8] + bytes(8))
    verified._Memory._opened.clear()
    assert remote.read_array("a.npy").tolist() == list(range(5))
    assert "it is fetched again" in caplog.text


def test_a_tree_takes_no_second_copy_on_the_disk(remote, tmp_path):
    folder = remote.workspace.folder("run")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(b"w" * MIB)
    with folder.writing("run", 1, config={}, inputs={}) as writer:
        writer.add_tree(tmp_path / "model", "checkpoint")
    tree = folder.local_tree("checkpoint")
    assert (tree / "weights.bin").read_bytes() == b"w" * MIB
    assert cache_state().bytes == MIB
    for path in (tree / "weights.bin", folder.local("checkpoint/weights.bin")):
        used_long_ago(path, 60)
    assert clear_cache() == MIB
    assert not (tree / "weights.bin").exists()
    assert (folder.local_tree("checkpoint") / "weights.bin").exists()


def test_a_file_that_is_gone_from_the_store_is_told(remote):
    remote.workspace.fs.rm_file(remote.path("a.npy"))
    with pytest.raises(DamagedError, match=r"a\.npy is missing, though it was recorded"):
        remote.read_array("a.npy")


@pytest.mark.parametrize("limit", ["many", "-1", "nan"])
def test_a_limit_that_is_no_number_is_refused(monkeypatch, limit):
    monkeypatch.setenv("RETORT_CACHE_GIB", limit)
    with pytest.raises(ConfigError, match=r"RETORT_CACHE_GIB is .*; it is a number of GiB"):
        cache.make_room(1)
