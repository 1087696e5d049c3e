"""The collection: extension, refusals, and that a failed import loses nothing."""

import re
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.waiting import patience, wait_until

from retort.corpora.collection import import_passages, passage_parts, passage_rows, read_doc_ids, read_passages
from retort.errors import DataError, WorkspaceError
from retort.records import Passage
from retort.storage import Workspace


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "workspace", create=True)


FULL = [f"p{i}" for i in range(8192)]  # doc_ids of one whole part


def numbered(*doc_ids, text="text of {}", first_line=2):
    return [(first_line + i, Passage(d, f"title {d}", text.format(d))) for i, d in enumerate(doc_ids)]


def add(workspace, passages, digest, required=(), **options):
    needed = {doc_id: f"topics.json:{line}" for doc_id, line in dict(required).items()}
    return import_passages(workspace, passages, source="c.tsv", digest=digest, required=needed, **options)


def test_rows_are_places_in_import_order_across_parts(workspace):
    counts = add(workspace, numbered(*FULL, "b", "a"), "one")

    assert (counts.added, counts.known, counts.skipped, counts.missing) == (8194, 0, False, frozenset())
    assert read_doc_ids(workspace).to_pylist() == [*FULL, "b", "a"]
    assert [(p.name, p.first_row, p.rows) for p in passage_parts(workspace)] == [
        ("part-00000.parquet", 0, 8192),
        ("part-00001.parquet", 8192, 2),
    ]
    assert list(passage_rows(workspace, ["a", "p7", "b", "a"]).items()) == [("a", 8193), ("p7", 7), ("b", 8192)]
    assert [p.doc_id for p in read_passages(workspace, [8193, 0, 8191, 8193])] == ["a", "p0", "p8191", "a"]
    assert read_passages(workspace, [8192]) == [Passage("b", "title b", "text of b")]
    assert read_passages(workspace, []) == []


def test_a_second_source_adds_what_is_new_and_leaves_old_parts_alone(workspace):
    add(workspace, numbered("a", "b", "c"), "one")
    folder = workspace.folder("passages")
    before = {e.name: e for e in folder.record().files}
    counts = add(workspace, numbered("c", "d", "a", "e"), "two", required={"a": 3, "e": 4})

    assert (counts.added, counts.known) == (2, 2)
    assert read_doc_ids(workspace).to_pylist() == ["a", "b", "c", "d", "e"]
    after = {e.name: e for e in folder.record().files}
    assert before == {name: after[name] for name in before} and len(after) == 2
    assert list(folder.record().inputs.values()) == ["one", "two"]
    assert folder.record().counts == {"passages": 5, "source-00000": 3, "source-00001": 4}


def test_a_known_source_is_not_read_again_but_what_is_required_is_checked(workspace):
    add(workspace, numbered("a", "b"), "one")

    def untouchable():
        raise AssertionError("the source was read")
        yield

    counts = add(workspace, untouchable(), "one", required={"b": 7})
    assert (counts.added, counts.known, counts.skipped) == (0, 2, True)
    with pytest.raises(DataError, match=r"^topics\.json:9: passage 'x' is needed here"):
        add(workspace, untouchable(), "one", required={"b": 7, "x": 9})


def test_nothing_new_leaves_the_record_as_it_is(workspace):
    add(workspace, numbered("a", "b"), "one")
    before = workspace.folder("passages").read_bytes("record.json")
    counts = add(workspace, numbered("b"), "part of one")

    assert (counts.added, counts.known, counts.skipped) == (0, 1, False)
    assert workspace.folder("passages").read_bytes("record.json") == before


@pytest.mark.parametrize(
    ("passages", "required", "message", "line"),
    [
        (numbered("c", "d", "c"), {}, r"c\.tsv:4: doc_id 'c' is on line 2 already", 4),
        (numbered("c", "a", "a"), {}, r"c\.tsv:4: doc_id 'a' is on line 3 already", 4),
        (
            numbered("c", "d", "b", text="other words on {}"),
            {},
            r"c\.tsv:4: doc_id 'b' is in the workspace with other content, 'title b\. text of b', here "
            r"'title b\. other words on b'; use another workspace",
            4,
        ),
        (numbered("c", "d"), {"a": 1, "z": 12}, r"topics\.json:12: passage 'z' .* neither c\.tsv nor .*import the", 12),
        (numbered(*FULL, "p0"), {}, r"c\.tsv:8194: doc_id 'p0' is on line 2 already", 8194),
    ],
    ids=["twice", "twice-and-known", "other-content", "missing", "after-a-part-was-written"],
)
def test_a_failed_import_says_where_and_loses_nothing(workspace, passages, required, message, line):
    add(workspace, numbered("a", "b"), "one")
    before = workspace.folder("passages").read_bytes("record.json")
    with pytest.raises(DataError, match=message) as caught:
        add(workspace, passages, "two", required)

    assert caught.value.line == line
    assert workspace.folder("passages").read_bytes("record.json") == before
    assert read_passages(workspace, [0, 1]) == [p for _, p in numbered("a", "b")]
    # What the failed import had written is no obstacle to the next one, nor part of it.
    assert add(workspace, numbered("q", "r", "s"), "three").added == 3
    assert read_doc_ids(workspace).to_pylist() == ["a", "b", "q", "r", "s"]


def test_a_first_import_that_fails_leaves_no_collection(workspace):
    with pytest.raises(DataError, match="already"):
        add(workspace, numbered(*FULL, "p0"), "one")
    with pytest.raises(WorkspaceError, match=r"has no passages; import a corpus first: retort import"):
        passage_parts(workspace)


def test_missing_passages_can_be_allowed_and_are_told_before_the_commit(workspace):
    told = []
    counts = add(workspace, numbered("a"), "one", {"a": 1, "z": 2}, allow_missing=True, before_commit=told.append)
    assert counts.missing == frozenset({"z"}) == told[0]

    def refuse(missing):
        raise WorkspaceError("no")

    with pytest.raises(WorkspaceError, match="no"):
        add(workspace, numbered("b"), "two", before_commit=refuse)
    assert read_doc_ids(workspace).to_pylist() == ["a"]


def waits_for_a_lock():
    """Whether a thread of this process is inside ``Folder.locked``; who has the lock has left it."""
    inside = [frame for top in sys._current_frames().values() for frame, _ in traceback.walk_stack(top)]
    return any(frame.f_code.co_name == "locked" for frame in inside)


def test_imports_at_the_same_time_keep_both(workspace):
    reading, waiting = threading.Event(), threading.Event()

    def slow():
        reading.set()
        assert waiting.wait(patience(20))
        yield from numbered("a")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(add, workspace, slow(), "one")
        assert reading.wait(patience(20))
        second = pool.submit(add, workspace, numbered("b"), "two")
        # The second has seen the workspace without the first's passages by then.
        wait_until(waits_for_a_lock, "that the second import waits for the first")
        waiting.set()
        assert first.result(patience(20)).added == second.result(patience(20)).added == 1

    assert read_doc_ids(workspace).to_pylist() == ["a", "b"]
    assert list(workspace.folder("passages").record().inputs.values()) == ["one", "two"]


def test_unknown_ids_and_rows_are_refused(workspace):
    add(workspace, numbered("a", "b"), "one")
    with pytest.raises(
        WorkspaceError, match=re.escape("has no passage 'y' (2 of 3 are missing); import the collection")
    ):
        passage_rows(workspace, ["a", "y", "x"])
    with pytest.raises(ValueError, match=r"\[0, 2\), got 1 to 2"):
        read_passages(workspace, [1, 2])


def test_titles_and_texts_are_kept_apart_and_unchanged(workspace):
    odd = Passage("a", 'quoted "t', 'line\u2028sep\x0c "quotes"" and\ttabs')
    add(workspace, [(1, odd)], "one")
    assert read_passages(workspace, [0]) == [odd]
    with pytest.raises(DataError, match="other content"):
        add(workspace, [(1, Passage("a", odd.title + odd.text[0], odd.text[1:]))], "two")
