"""Rewrites: selection, order, and a table of broken files with what each must say."""

import json

import pytest
from tests.formats.packings import PACKINGS

from retort.errors import ConfigError, DataError, WorkspaceError
from retort.records import TURN_SCHEMA, Rewrite
from retort.storage import Workspace
from retort.teachers.imports import RewriteCounts, add_rewrites, read_rewrites, write_rewrites


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace(tmp_path / "workspace", create=True)
    folder = workspace.folder("turns/dev")
    with folder.writing("turns", 1, config={}, inputs={}) as writer:
        rows = [{"query_id": q} for q in ("b_1", "b_2", "a_1")]
        writer.add(folder.write_table("part-00000.parquet", TURN_SCHEMA.empty_table().from_pylist(rows, TURN_SCHEMA)))
    return workspace


def jsonl(tmp_path, rows):
    path = tmp_path / "rewrites.jsonl"
    lines = rows if isinstance(rows, bytes) else "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(lines)
    return path


def row(query_id, rewrite="Who is it?", **more):
    return {"id": query_id, "rewrite": rewrite} | more


def test_rewrites_are_in_the_order_of_the_turns_and_missing_ones_are_counted(tmp_path, workspace):
    path = jsonl(tmp_path, [row("a_1", "x\u2028y"), {"query_id": "b_1", "rewrite": "z", "id": "other", "score": 1}])
    counts = add_rewrites(workspace, path, teacher="t5", split="dev")

    assert counts == RewriteCounts(rewrites=2, turns=3, without=1, skipped=False)
    assert list(read_rewrites(workspace, "t5", "dev").items()) == [("b_1", "z"), ("a_1", "x\u2028y")]
    assert workspace.folder("rewrites/t5/dev").record().counts == {"rewrites": 2, "turns": 3, "without": 1}
    assert add_rewrites(workspace, path, teacher="t5", split="dev").skipped


def test_select_keeps_one_teacher(tmp_path, workspace):
    rows = [row(q, f"{t} {q}", teacher=t) for q in ("a_1", "b_1") for t in ("one:x", "two")]
    path = jsonl(tmp_path, [*rows, row("b_2", "three", teacher="two")])
    add_rewrites(workspace, path, teacher="first", split="dev", select="one:x")
    counts = add_rewrites(workspace, path, teacher="second", split="dev", select="two")

    assert read_rewrites(workspace, "first", "dev") == {"b_1": "one:x b_1", "a_1": "one:x a_1"}
    assert (counts.rewrites, counts.without) == (3, 0)
    with pytest.raises(
        DataError, match=r"holds several teachers: 'one:x' \(2\), 'two' \(3\); choose one with --select"
    ):
        add_rewrites(workspace, path, teacher="both", split="dev")
    with pytest.raises(DataError, match=r"no rewrite whose teacher is 'three'; teachers there: 'one:x' \(2\), 'two'"):
        add_rewrites(workspace, path, teacher="both", split="dev", select="three")
    with pytest.raises(WorkspaceError, match="already holds other content"):
        add_rewrites(workspace, path, teacher="first", split="dev", select="two")


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_compressed_file_is_read(packing, tmp_path, workspace):
    path = tmp_path / f"rewrites.jsonl{packing}"
    path.write_bytes(PACKINGS[packing](json.dumps(row("a_1")).encode() + b"\n"))
    add_rewrites(workspace, path, teacher="t", split="dev")
    assert read_rewrites(workspace, "t", "dev") == {"a_1": "Who is it?"}


def test_one_teacher_in_the_file_needs_no_selection_and_a_byte_order_mark_is_no_matter(tmp_path, workspace):
    path = jsonl(tmp_path, b"\xef\xbb\xbf" + json.dumps(row("a_1", teacher="any: words")).encode() + b"\r\n\n")
    assert add_rewrites(workspace, path, teacher="t", split="dev").rewrites == 1


BROKEN = {
    "empty": (b"\n", None, "holds no rewrite"),
    "no json": (b'{"id": "a_1", "rewrite": "x"}\nid: b_1\n', 2, "is no JSON line: .*got 'id: b_1'"),
    "array": (b"[1]\n", 1, r"the row must be an object, got \[1\]"),
    "invalid utf-8": (b'\n{"id": "\xff"}\n', 2, "is not UTF-8"),
    "no id": ([{"rewrite": "x"}], 1, "has no query_id or id; it has rewrite"),
    "nothing": ([{"text": "x"}], 1, "has no query_id or id; it has text"),
    "no rewrite": ([row("a_1"), {"query_id": "b_1"}], 2, "has no rewrite"),
    "id a number": ([{"id": 1, "rewrite": "x"}], 1, "id must be valid text, got 1"),
    "rewrite null": ([row("a_1", None)], 1, "rewrite must be valid text, got null"),
    "teacher a number": ([row("a_1", teacher=3)], 1, "teacher must be valid text, got 3"),
    "half a surrogate": ([row("a_1", "\ud83d")], 1, "rewrite must be valid text"),
    "unknown turn": ([row("a_1"), row("c_9")], 2, "the split 'dev' has no turn 'c_9'; is the file of another split"),
    "empty rewrite": ([row("a_1"), row("b_1", "  ")], 2, "the rewrite of b_1 is empty"),
    "twice": ([row("a_1"), row("b_1"), row("a_1")], 3, "a_1 has a rewrite on line 1 already; remove one, or name"),
}


@pytest.mark.parametrize(("rows", "line", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_named_with_its_line_and_nothing_is_written(tmp_path, workspace, rows, line, message):
    path = jsonl(tmp_path, rows)
    with pytest.raises(DataError, match=message) as caught:
        add_rewrites(workspace, path, teacher="t", split="dev")

    assert (caught.value.path, caught.value.line) == (str(path), line)
    assert str(caught.value).startswith(f"{path}:")
    assert workspace.folder("rewrites/t/dev").record() is None


def test_a_missing_file_split_or_name_says_so(tmp_path, workspace):
    path = jsonl(tmp_path, [row("a_1")])
    with pytest.raises(DataError, match=r"nowhere\.jsonl: cannot be read: No such file"):
        add_rewrites(workspace, tmp_path / "nowhere.jsonl", teacher="t", split="dev")
    with pytest.raises(WorkspaceError, match=r"has no turns/test; splits there: dev; import it first"):
        add_rewrites(workspace, path, teacher="t", split="test")
    for name in ("", "a/b", "llm: x", "-t"):
        with pytest.raises(ConfigError, match=r"teacher: .* is no name; use letters"):
            add_rewrites(workspace, path, teacher=name, split="dev")


def test_a_missing_teacher_names_those_there(tmp_path, workspace):
    with pytest.raises(
        WorkspaceError, match=r"teachers of 'dev' there: none; add them first: retort rewrites add FILE"
    ):
        read_rewrites(workspace, "t", "dev")
    for teacher in ("two", "one"):
        write_rewrites(workspace, [Rewrite("a_1", "x")], teacher=teacher, split="dev", inputs={"synthetic": "digest"})
    with pytest.raises(
        WorkspaceError, match=r"has no rewrites/t/dev; teachers of 'dev' there: one, two; .*--teacher t"
    ):
        read_rewrites(workspace, "t", "dev")


def test_written_rewrites_belong_to_turns_once(workspace):
    for rewrites in ([Rewrite("c_1", "x")], [Rewrite("a_1", "x"), Rewrite("a_1", "y")]):
        with pytest.raises(ValueError, match="the turn is not in 'dev', or has a rewrite already"):
            write_rewrites(workspace, rewrites, teacher="t", split="dev", inputs={})
