"""Import rewrites that others made: JSON lines become ``rewrites/<teacher>/<split>/``, in the order of the split's turns.

A row has ``id`` or ``query_id``, ``rewrite``, and may have ``teacher``: published files hold several teachers' rewrites
of the same turns, of which an import selects one. Turns without a rewrite are allowed and counted.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from retort.config import checked_name, did_you_mean
from retort.errors import DataError, shown
from retort.formats.json_files import Fields, read_json_lines
from retort.formats.lines import digest_of, is_blank
from retort.records import REWRITE_SCHEMA, TURN_SCHEMA, Rewrite
from retort.storage import Record, Workspace

__all__ = ["RewriteCounts", "add_rewrites", "read_rewrites", "require_rewrites", "teachers_of", "write_rewrites"]

STAGE: Final = "rewrites"
VERSION: Final = 1
PART: Final = "part-00000.parquet"
LISTED: Final = 10  # teachers of a file, in a message


@dataclass(frozen=True, slots=True)
class RewriteCounts:
    """How many rewrites were written, or were there already.

    Attributes:
        rewrites: Turns with a rewrite.
        turns: Turns of the split.
        without: Turns without a rewrite.
        skipped: Whether the same rewrites were there already.
    """

    rewrites: int
    turns: int
    without: int
    skipped: bool


def add_rewrites(
    workspace: Workspace, file: Path, *, teacher: str, split: str, select: str | None = None
) -> RewriteCounts:
    """Add a teacher's rewrites of a split from a file of JSON lines.

    Args:
        workspace: Holds the split.
        file: The rewrites.
        teacher: The teacher's name in the workspace.
        split: The split that the rewrites are of.
        select: Keep the rows whose ``teacher`` equals this; None: the file has one teacher.

    Raises:
        ConfigError: If teacher or split is no name.
        DataError: If a row is broken, of an unknown turn, or the second of its turn; if teachers must be selected.
        WorkspaceError: If the split is missing, or the teacher has other rewrites of it already.
    """
    checked_name(teacher, "teacher")
    known = set(_query_ids(workspace, split))
    digest = digest_of(file)
    first_lines: dict[str, int] = {}
    rewrites: list[Rewrite] = []
    rows = [(line, *_row(Fields(row, file, line, what="the row"))) for line, row in read_json_lines(file)]
    if not rows:
        raise DataError("holds no rewrite; was the download cut off?", path=file)
    sources = Counter(source for _, _, source in rows)
    if select is not None and select not in sources:
        raise DataError(
            f"has no rewrite whose teacher is {shown(select)}; teachers there: {_listed(sources)}", path=file
        )
    if select is None and len(sources) > 1:
        raise DataError(f"holds several teachers: {_listed(sources)}; choose one with --select", path=file)
    for line, rewrite, source in rows:
        if select is not None and source != select:
            continue
        if rewrite.query_id not in known:
            message = f"the split {split!r} has no turn {shown(rewrite.query_id)}; is the file of another split?"
            raise DataError(message, path=file, line=line)
        if is_blank(rewrite.rewrite):
            message = f"the rewrite of {rewrite.query_id} is empty; leave the row out where there is none"
            raise DataError(message, path=file, line=line)
        first = first_lines.setdefault(rewrite.query_id, line)
        if first != line:
            way_out = "remove one" if select is not None else "remove one, or name their teachers and use --select"
            message = f"{rewrite.query_id} has a rewrite on line {first} already; {way_out}"
            raise DataError(message, path=file, line=line)
        rewrites.append(rewrite)
    inputs = {"file": digest} if select is None else {"file": digest, "select": select}
    return write_rewrites(workspace, rewrites, teacher=teacher, split=split, inputs=inputs)


def write_rewrites(
    workspace: Workspace,
    rewrites: Iterable[Rewrite],
    *,
    teacher: str,
    split: str,
    inputs: Mapping[str, str],
    config: Mapping[str, object] | None = None,
    counts: Mapping[str, object] | None = None,
    replace: bool = False,
) -> RewriteCounts:
    """Write a teacher's rewrites of a split, at most one a turn, in the order of its turns.

    Args:
        workspace: Holds the split.
        rewrites: The rewrites, in any order.
        teacher: The teacher's name.
        split: The split's name.
        inputs: Digests of what the rewrites came from; they identify the rewrites.
        config: The settings of the generation, where Retort generated them.
        counts: More counts for the record.
        replace: Replace the teacher's rewrites that are there; a generation that completes them does so.

    Raises:
        ConfigError: If teacher or split is no name.
        ValueError: If a turn is unknown, or has two rewrites.
        WorkspaceError: If the split is missing, or the teacher has other rewrites of it already.
    """
    checked_name(teacher, "teacher")
    order = {query_id: number for number, query_id in enumerate(_query_ids(workspace, split))}
    by_turn: dict[int, Rewrite] = {}
    for rewrite in rewrites:
        if rewrite.query_id not in order or order[rewrite.query_id] in by_turn:
            raise ValueError(f"rewrite of {rewrite.query_id!r}: the turn is not in {split!r}, or has a rewrite already")
        by_turn[order[rewrite.query_id]] = rewrite
    ordered = [by_turn[number] for number in sorted(by_turn)]
    turns = workspace.folder(f"turns/{split}").require("import it first").fingerprint
    folder = workspace.folder(f"{STAGE}/{teacher}/{split}")
    inputs = {"turns": turns, **inputs}
    with folder.writing(STAGE, VERSION, config=config or {}, inputs=inputs, extend=replace) as writer:
        skipped = writer.finished is not None
        if not skipped:
            columns = [[r.query_id for r in ordered], [r.rewrite for r in ordered]]
            table = pa.table([pa.array(c, pa.string()) for c in columns], schema=REWRITE_SCHEMA)
            writer.add(folder.write_table(PART, table))
            without = len(order) - len(ordered)
            writer.counts = {"rewrites": len(ordered), "turns": len(order), "without": without, **(counts or {})}
    return RewriteCounts(len(ordered), len(order), len(order) - len(ordered), skipped)


def read_rewrites(workspace: Workspace, teacher: str, split: str) -> dict[str, str]:
    """A teacher's rewrites of a split by query_id, in the order of its turns.

    Raises:
        WorkspaceError: If there are none; the message names the teachers that the split has.
    """
    record = require_rewrites(workspace, teacher, split)
    folder = workspace.folder(f"{STAGE}/{teacher}/{split}")
    columns = folder.read_tables(record.names(".parquet"), REWRITE_SCHEMA).to_pydict()
    return dict(zip(columns["query_id"], columns["rewrite"], strict=True))


def require_rewrites(workspace: Workspace, teacher: str, split: str) -> Record:
    """The record of a teacher's rewrites of a split, none of which is read.

    Raises:
        WorkspaceError: If there are none; the message names the teachers that the split has.
    """
    folder = workspace.folder(f"{STAGE}/{checked_name(teacher, 'teacher')}/{checked_name(split, 'split')}")
    record = folder.record()
    if record is None:
        there = teachers_of(workspace, split)
        record = folder.require(
            f"{did_you_mean(teacher, there)}teachers of {split!r} there: {', '.join(there) or 'none'}; add them first: "
            f"retort rewrites add FILE --teacher {teacher} --split {split} --workspace {workspace.url}"
        )
    return record


def teachers_of(workspace: Workspace, split: str) -> list[str]:
    """Names of the teachers that have rewrites of a split, sorted."""
    return [name for name in workspace.names(STAGE) if workspace.folder(f"{STAGE}/{name}/{split}").record() is not None]


def _query_ids(workspace: Workspace, split: str) -> list[str]:
    folder = workspace.folder(f"turns/{checked_name(split, 'split')}")
    there = ", ".join(f.name.removeprefix("turns/") for f in workspace.stages("turns")) or "none"
    record = folder.require(f"splits there: {there}; import it first: retort import --help")
    query_ids: list[str] = folder.read_tables(record.names(".parquet"), TURN_SCHEMA)["query_id"].to_pylist()
    return query_ids


def _row(row: Fields) -> tuple[Rewrite, str | None]:
    query_id = row.text("query_id", "id")
    return Rewrite(query_id, row.text("rewrite", empty=True)), row.text("teacher", empty=True) if row.has(
        "teacher"
    ) else None


def _listed(sources: Mapping[str | None, int]) -> str:
    told = [f"{'(none)' if name is None else shown(name)} ({count})" for name, count in list(sources.items())[:LISTED]]
    return ", ".join([*told, *([f"{len(sources) - LISTED:,} more"] if len(sources) > LISTED else [])])
