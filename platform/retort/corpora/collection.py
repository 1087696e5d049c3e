"""The collection: the workspace's ``passages/`` folder, parquet parts in import order, which gives a passage its row.

Imports extend: a second source adds the passages that are new as parts of their own, so that the rows of those already
there never change. ``record.json`` is the commit; an import that fails leaves the collection as it was. An import
streams its passages and holds, beside one part of them, hashes of each passage's id and content, and its line (about 45
bytes).
"""

import hashlib
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retort.corpora.known import KnownIds
from retort.errors import DataError, WorkspaceError
from retort.records import PASSAGE_SCHEMA, Passage, passage_text
from retort.storage import Folder, Record, StageWriter, Workspace

__all__ = [
    "ImportCounts",
    "PassagePart",
    "import_passages",
    "passage_parts",
    "passage_rows",
    "passages_by_id",
    "read_doc_ids",
    "read_passages",
]

STAGE: Final = "passages"
VERSION: Final = 1
PART_PASSAGES: Final = 8192  # a lexical worker's unit: a second of work, some 10 MB of text
WAY_OUT: Final = "import a corpus first: retort import --help"
_DIGEST_BYTES: Final = 16
_BEGINNING: Final = 60  # characters of a passage that a message shows


@dataclass(frozen=True, slots=True)
class PassagePart:
    """One file of the collection: its name in ``passages/``, the row of its first passage, and how many it has."""

    name: str
    first_row: int
    rows: int


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """The result of importing passages.

    Attributes:
        added: Passages that are new.
        known: Passages of this source that were already there with the same content.
        missing: Required and optional doc_ids that neither the source nor the collection has; of the required ones
            none unless that was allowed.
        skipped: The source had been imported before and was not read again.
    """

    added: int
    known: int
    missing: frozenset[str]
    skipped: bool


class _NothingToCommitError(Exception):
    """Leaves the writing block without a commit."""


def import_passages(
    workspace: Workspace,
    passages: Iterable[tuple[int, Passage]],
    *,
    source: str,
    digest: str,
    required: Mapping[str, str],
    allow_missing: bool = False,
    before_commit: Callable[[frozenset[str]], None] | None = None,
    place: Callable[[int], tuple[str, int]] | None = None,
    optional: Collection[str] = frozenset(),
) -> ImportCounts:
    """Add passages to the collection; all of them, or none.

    Args:
        workspace: The workspace to write to.
        passages: Line in the source and passage, in the order that gives the rows; not touched if ``digest`` is known.
        source: The file, for messages.
        digest: Digest of the source's content; a source whose digest is in the record already is skipped.
        required: doc_ids that must be there in the end, with ``file:line`` of who needs each.
        allow_missing: Report required doc_ids that are missing instead of refusing.
        before_commit: Called with those that are missing; what it raises prevents the commit.
        place: File, and line in it, of a line of ``passages``, where these come from several files; None: ``source``.
        optional: doc_ids of which it is to be known whether they are there; none of them is required.

    Raises:
        DataError: If a doc_id occurs twice in the source, is there already with other content, or a required one is
            missing.
    """
    folder, asked = workspace.folder(STAGE), frozenset(required).union(optional)

    def accept(missing: frozenset[str]) -> frozenset[str]:
        refused = missing.intersection(required)
        if refused and not allow_missing:
            raise _missing_error(required, refused, source)
        if before_commit is not None:
            before_commit(missing)
        return missing

    while True:
        counts = _import_once(folder, passages, digest, place or (lambda line: (source, line)), asked, accept)
        if counts is not None:
            return counts


def _import_once(
    folder: Folder,
    passages: Iterable[tuple[int, Passage]],
    digest: str,
    place: Callable[[int], tuple[str, int]],
    asked: frozenset[str],
    accept: Callable[[frozenset[str]], frozenset[str]],
) -> ImportCounts | None:
    # None: another import was committed between reading the record and getting the lock.
    before = folder.record()
    inputs = {} if before is None else before.inputs
    if before is not None and digest in inputs.values():
        name = next(name for name, known in inputs.items() if known == digest)
        missing = accept(asked - _present(folder, before, asked))
        return ImportCounts(added=0, known=before.counts[name], missing=missing, skipped=True)
    name = f"source-{len(inputs):05d}"
    counts: ImportCounts | None = None
    try:
        with folder.writing(STAGE, VERSION, config={}, inputs={**inputs, name: digest}, extend=True) as writer:
            if folder.record() != before:
                raise _NothingToCommitError
            extension = _Extension(folder, before, writer, place, asked)
            for line, passage in passages:
                extension.take(line, passage)
            extension.finish()
            missing = accept(frozenset(extension.missing))
            counts = ImportCounts(extension.added, extension.known, missing, skipped=False)
            if extension.added == 0:
                raise _NothingToCommitError
            writer.counts = {**({} if before is None else before.counts), "passages": len(extension.ids)}
            writer.counts[name] = extension.added + extension.known
    except _NothingToCommitError:
        pass
    return counts


class _Extension:
    """The collection while passages are added: what is there by doc_id, and the part that is being filled.

    Passages are compared with what is there a batch at a time.
    """

    def __init__(
        self,
        folder: Folder,
        before: Record | None,
        writer: StageWriter,
        place: Callable[[int], tuple[str, int]],
        asked: frozenset[str],
    ) -> None:
        self.folder = folder
        self.writer = writer
        self.place = place
        self.missing = set(asked)
        self.ids = KnownIds()
        self.digests = bytearray()
        self.batch: list[tuple[int, Passage]] = []
        self.part: list[Passage] = []
        self.parts = 0
        self.added = self.known = 0
        if before is not None:
            for part in _parts(before):
                passages = list(_stored_passages(folder, part))
                self.ids.add([passage.doc_id for passage in passages])
                self.missing.difference_update(passage.doc_id for passage in passages)
                self.digests += b"".join(map(_digest, passages))
            self.parts = len(before.files)
        self.lines = array("q", bytes(8 * len(self.ids)))  # line in this source by row; 0: not in it so far

    def take(self, line: int, passage: Passage) -> None:
        self.batch.append((line, passage))
        if len(self.batch) == PART_PASSAGES:
            self._compare()

    def finish(self) -> None:
        """Compare and write what is left."""
        self._compare()
        self._write(at_least=1)

    def _compare(self) -> None:
        rows = self.ids.rows([passage.doc_id for _, passage in self.batch])
        new: dict[str, int] = {}
        for (line, passage), known in zip(self.batch, rows.tolist(), strict=True):
            row = known if known >= 0 else new.setdefault(passage.doc_id, len(self.lines))
            if row == len(self.lines):
                self.digests += _digest(passage)
                self.lines.append(line)
                self.added += 1
                self.part.append(passage)
            else:
                self._check_known(line, passage, row)
        self.ids.add(list(new))
        self.missing.difference_update(passage.doc_id for _, passage in self.batch)
        self.batch = []
        self._write(at_least=PART_PASSAGES)

    def _check_known(self, line: int, passage: Passage, row: int) -> None:
        path, own_line = self.place(line)
        if self.lines[row]:
            first_path, first_line = self.place(self.lines[row])
            there = f"on line {first_line}" if first_path == path else f"in {first_path}:{first_line}"
            message = f"doc_id {passage.doc_id!r} is {there} already; remove one of the two"
            raise DataError(message, path=path, line=own_line)
        if self.digests[row * _DIGEST_BYTES : (row + 1) * _DIGEST_BYTES] != _digest(passage):
            stored = read_passages(self.folder.workspace, [row])[0]
            raise DataError(
                f"doc_id {passage.doc_id!r} is in the workspace with other content, {_beginning(stored)}, here "
                f"{_beginning(passage)}; use another workspace, or give the two passages different ids",
                path=path,
                line=own_line,
            )
        self.lines[row] = line
        self.known += 1

    def _write(self, *, at_least: int) -> None:
        while len(self.part) >= at_least:
            passages, self.part = self.part[:PART_PASSAGES], self.part[PART_PASSAGES:]
            columns = [[getattr(passage, name) for passage in passages] for name in PASSAGE_SCHEMA.names]
            table = pa.table([pa.array(c, pa.string()) for c in columns], schema=PASSAGE_SCHEMA)
            self.writer.add(self.folder.write_table(f"part-{self.parts:05d}.parquet", table))
            self.parts += 1


def _digest(passage: Passage) -> bytes:
    # A title's length keeps "a" + "bc" and "ab" + "c" apart.
    content = f"{len(passage.title)}\n{passage.title}{passage.text}".encode()
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()


def _beginning(passage: Passage) -> str:
    text = passage_text(passage.title, passage.text)
    return repr(text if len(text) <= _BEGINNING else f"{text[:_BEGINNING]}...")


def _missing_error(required: Mapping[str, str], missing: Collection[str], source: str) -> DataError:
    first = next(doc_id for doc_id in required if doc_id in missing)
    path, _, line = required[first].rpartition(":")
    message = (
        f"passage {first!r} is needed here, but neither {source} nor the workspace has it ({len(missing)} of "
        f"{len(required)} needed passages are missing); import the collection that holds them, or allow missing "
        "passages"
    )
    return DataError(message, path=path, line=int(line))


def _parts(record: Record) -> Iterator[PassagePart]:
    first = 0
    for entry in sorted(record.files, key=lambda entry: entry.name):
        assert entry.rows is not None, "a part of the collection is recorded without its rows"
        yield PassagePart(entry.name, first, entry.rows)
        first += entry.rows


def _read(folder: Folder, part: PassagePart, columns: list[str]) -> pa.Table:
    return pq.read_table(folder.local(part.name), columns=columns)


def _stored_passages(folder: Folder, part: PassagePart) -> Iterator[Passage]:
    columns = _read(folder, part, PASSAGE_SCHEMA.names).to_pydict()
    for doc_id, title, text in zip(*(columns[name] for name in PASSAGE_SCHEMA.names), strict=True):
        yield Passage(doc_id, title, text)


def _found(folder: Folder, record: Record, doc_ids: Collection[str]) -> Iterator[tuple[str, int]]:
    wanted = pa.array(doc_ids, pa.string())
    for part in _parts(record) if len(wanted) else ():
        column = _read(folder, part, ["doc_id"])["doc_id"]
        places = np.flatnonzero(pc.is_in(column, value_set=wanted).to_numpy())
        for place, doc_id in zip(places.tolist(), column.take(pa.array(places)).to_pylist(), strict=True):
            yield doc_id, part.first_row + place


def _present(folder: Folder, record: Record, doc_ids: Collection[str]) -> set[str]:
    return {doc_id for doc_id, _ in _found(folder, record, list(doc_ids))}


def passage_parts(workspace: Workspace) -> list[PassagePart]:
    """The collection's files in row order; raises ``WorkspaceError`` if there is no collection."""
    return list(_parts(workspace.folder(STAGE).require(WAY_OUT)))


def read_doc_ids(workspace: Workspace) -> pa.ChunkedArray:
    """Every passage's doc_id, by row."""
    folder = workspace.folder(STAGE)
    empty = PASSAGE_SCHEMA.empty_table().select(["doc_id"])
    return pa.concat_tables([empty, *(_read(folder, p, ["doc_id"]) for p in passage_parts(workspace))])["doc_id"]


def passage_rows(workspace: Workspace, doc_ids: Iterable[str]) -> dict[str, int]:
    """Rows of some passages by doc_id, in the order asked for.

    Raises:
        WorkspaceError: If there is no collection, or it lacks one of them.
    """
    folder = workspace.folder(STAGE)
    wanted = list(dict.fromkeys(doc_ids))
    found = dict(_found(folder, folder.require(WAY_OUT), wanted))
    if len(found) < len(wanted):
        first = next(doc_id for doc_id in wanted if doc_id not in found)
        raise WorkspaceError(
            f"workspace {workspace.url} has no passage {first!r} ({len(wanted) - len(found)} of {len(wanted)} are "
            "missing); import the collection that holds them"
        )
    return {doc_id: found[doc_id] for doc_id in wanted}


def passages_by_id(workspace: Workspace, doc_ids: Iterable[str]) -> dict[str, Passage]:
    """Those of some passages that the collection has, by doc_id."""
    folder = workspace.folder(STAGE)
    rows = dict(_found(folder, folder.require(WAY_OUT), list(dict.fromkeys(doc_ids))))
    return dict(zip(rows, read_passages(workspace, list(rows.values())), strict=True))


def read_passages(workspace: Workspace, rows: Sequence[int]) -> list[Passage]:
    """Passages by row, in the order asked for; only the parts that hold one are read."""
    folder = workspace.folder(STAGE)
    wanted = np.asarray(rows, dtype=np.int64)
    parts = passage_parts(workspace)
    total = sum(part.rows for part in parts)
    if len(wanted) and not 0 <= wanted.min() <= wanted.max() < total:
        raise ValueError(f"rows must lie in [0, {total}), got {wanted.min()} to {wanted.max()}")
    passages: dict[int, Passage] = {}
    for part in parts:
        inside = np.unique(wanted[(wanted >= part.first_row) & (wanted < part.first_row + part.rows)])
        if len(inside):
            table = _read(folder, part, PASSAGE_SCHEMA.names).take(pa.array(inside - part.first_row))
            passages |= {row: Passage(**p) for row, p in zip(inside.tolist(), table.to_pylist(), strict=True)}
    return [passages[row] for row in wanted.tolist()]
