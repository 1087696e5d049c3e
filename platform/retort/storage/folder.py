"""One stage's folder: written atomically by one process at a time, and read with the checksums that its record has."""

import contextlib
import io
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from retort.errors import DamagedError, WorkspaceError
from retort.identity import fingerprint as stage_fingerprint
from retort.identity import stream_digest
from retort.redaction import redacted_json
from retort.storage.cache import cached, cached_tree
from retort.storage.files import write_all, write_aside, write_object
from retort.storage.locks import Lease, hold_lease, hold_lock
from retort.storage.record import RECORD, FileEntry, Record, check_inside, library_versions
from retort.storage.uploads import abort_uploads
from retort.storage.verified import check_file, known_good

if TYPE_CHECKING:
    from retort.storage.workspace import Workspace

__all__ = ["Folder", "StageWriter"]

NESTED: Final = "evaluations/"
_SUM: Final = ".sum"  # beside a part of a stage that is not finished: its checksum and size
_Read = TypeVar("_Read")
logger = logging.getLogger(__name__)


class Folder:
    """One stage's folder; cheap to make, safe to send to another process."""

    def __init__(self, workspace: "Workspace", name: str) -> None:
        self.workspace = workspace
        self.name = _inside(name, workspace.url) if name else ""
        self._recorded: dict[str, FileEntry] | None = None
        self._written: dict[str, str] = {}
        self._extended: set[str] = set()  # files of the record that a writing block extends

    def path(self, file: str = "") -> str:
        """Full path of a file in the workspace's own filesystem.

        Raises:
            WorkspaceError: If the name leads out of the folder.
        """
        if file and file != RECORD:
            _inside(file, self.url())
        return "/".join(part for part in (self.workspace.root, self.name, file) if part)

    def url(self, file: str = "") -> str:
        """Where a file is, as a user would name it: with the protocol of a remote workspace."""
        return "/".join(part for part in (self.workspace.url, self.name, file) if part)

    def record(self) -> Record | None:
        """The stage's record, or None where the stage is not finished.

        Raises:
            DamagedError: If it is there and cannot be trusted.
        """
        try:
            text = self.workspace.fs.cat_file(self.path(RECORD))
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return Record.from_json(text)
        except ValueError as error:
            raise self._damaged(f"{self.url(RECORD)} is damaged: {error}") from error

    def require(self, way_out: str) -> Record:
        """The stage's record.

        Raises:
            WorkspaceError: If the stage is not finished; the message ends in ``way_out``.
        """
        record = self.record()
        if record is None:
            raise WorkspaceError(f"workspace {self.workspace.url} has no {self.name}; {way_out}")
        return record

    def exists(self, file: str) -> bool:
        """Whether a complete file of this name is there, recorded or not."""
        return bool(self.workspace.fs.exists(self.path(file)))

    # -- writing ------------------------------------------------------------------------------------------------------

    def write(
        self, file: str, writer: Callable[[BinaryIO], None], *, rows: int | None = None, part: bool = False
    ) -> FileEntry:
        """Write one file atomically.

        Args:
            file: Its name.
            writer: Gets a binary stream, which cannot be sought in.
            rows: How many rows the file has, for its entry.
            part: Keep its checksum beside it, so that it can be trusted (:meth:`part`) though the stage was interrupted.

        Returns:
            Its entry.
        """
        if file in self._extended:
            # From here to the commit the record would name what is not there any more: a kill in between leaves a stage that
            # is not finished, and no damaged one.
            self._extended, self._recorded = set(), None
            self.workspace.fs.rm_file(self.path(RECORD))
        if self.workspace.is_local:
            digest, size = write_aside(Path(self.path(file)), writer)
        else:
            digest, size = write_object(self.workspace.fs, self.path(file), writer)
        entry = FileEntry(file, digest, size, rows)
        self._written[file] = digest
        if part:
            self.write_bytes(_sum_of(file), json.dumps({"sha256": digest, "bytes": size, "rows": rows}).encode())
        return entry

    def write_bytes(self, file: str, content: bytes, *, part: bool = False) -> FileEntry:
        """Write bytes atomically; ``part`` as in :meth:`write`."""
        return self.write(file, lambda stream: write_all(stream, content), part=part)

    def write_json(self, file: str, value: object) -> FileEntry:
        """Write a value as indented JSON, atomically; secrets in it are hidden."""
        return self.write_bytes(file, (json.dumps(redacted_json(value), indent=1) + "\n").encode())

    def write_array(self, file: str, array: np.ndarray, *, part: bool = False) -> FileEntry:
        """Write one numpy array as ``.npy`` (memory-mappable), atomically; ``part`` as in :meth:`write`."""
        return self.write(file, lambda s: np.save(s, array, allow_pickle=False), rows=int(array.shape[0]), part=part)

    def write_table(self, file: str, table: pa.Table, *, part: bool = False) -> FileEntry:
        """Write a table atomically: ``.parquet`` compressed, ``.arrow`` as memory-mappable Arrow IPC; ``part`` as above."""

        def parquet(stream: BinaryIO) -> None:
            pq.write_table(table, stream, compression="zstd")

        def arrow(stream: BinaryIO) -> None:
            with pa.ipc.new_file(stream, table.schema) as sink:
                sink.write_table(table)

        writer = arrow if file.endswith(".arrow") else parquet
        return self.write(file, writer, rows=table.num_rows, part=part)

    def entry(self, file: str, *, rows: int | None = None) -> FileEntry:
        """Entry of a file that is there, by reading it."""
        path = self.path(file)
        with self.workspace.fs.open(path, "rb") as stream:
            digest = stream_digest(stream)
        return FileEntry(file, digest, int(self.workspace.fs.size(path)), rows)

    def part(self, file: str) -> FileEntry | None:
        """Entry of a part that an interrupted run of the stage finished, or None where there is none that can be trusted.

        Its content is compared with the checksum that was written beside it.
        """
        try:
            kept = json.loads(self.workspace.fs.cat_file(self.path(_sum_of(file))))
            expected = FileEntry(file, str(kept["sha256"]), int(kept["bytes"]), kept["rows"])
            found = self.entry(file, rows=expected.rows)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            found = expected = FileEntry(file, "", -1)
        if found != expected or not found.sha256:
            logger.warning("%s is not what was written; it is made again", self.url(file))
            return None
        return found

    @contextlib.contextmanager
    def locked(self) -> Iterator[Lease | None]:
        """Exclude other processes from this folder; waits for whoever writes it, and says for whom."""
        locks, name = f"{self.workspace.root}/.locks", self.name.replace("/", "~")
        if self.workspace.is_local:
            with hold_lock(Path(locks, f"{name}.lock"), self.url()):
                yield None
            return
        with hold_lease(self.workspace.fs, f"{locks}/{name}.lease", self.url()) as lease:
            abort_uploads(self.workspace.fs, self.path())
            yield lease

    @contextlib.contextmanager
    def writing(
        self,
        stage: str,
        version: int,
        *,
        config: Mapping[str, object],
        inputs: Mapping[str, str],
        keep_parts: bool = False,
        extend: bool = False,
    ) -> Iterator["StageWriter"]:
        """Write a stage; leaving the block without an error commits it by writing ``record.json``.

        Inside the block ``writer.finished`` is the record of an equal stage that is already there; then nothing is to be
        done and nothing is written.

        Args:
            stage: The stage's name.
            version: Its version, part of the fingerprint.
            config: What changes the result.
            inputs: Fingerprints of what is read.
            keep_parts: Complete files of an interrupted run are kept for the stage to reuse. Only for folders whose name
                ends in the fingerprint, where they can be of no other run.
            extend: Replace the record of a stage with another fingerprint, keeping its files beside the new ones. From the
                moment that one of its files is replaced until the commit, the stage is not finished.

        Raises:
            WorkspaceError: If the folder holds a stage with another fingerprint, and ``extend`` is not set.
        """
        wanted = stage_fingerprint(stage, version, config=config, inputs=inputs)
        record = self.record()
        if record is not None and record.fingerprint == wanted:
            yield StageWriter(self, record)  # without a lock: a workspace that can only be read can be used
            return
        with self.locked() as lease:
            record = self.record()  # again: whoever was waited for may have done the work
            writer = StageWriter(self, record if record is not None and record.fingerprint == wanted else None)
            if writer.finished is not None:
                yield writer
                return
            if record is not None and not extend:
                raise WorkspaceError(
                    f"{self.path()} already holds other content (fingerprint {record.fingerprint[:8]}, now {wanted[:8]}); "
                    "nothing was overwritten: choose another name, or remove that folder yourself"
                )
            if record is not None:
                writer.entries = {entry.name: entry for entry in record.files}
                self._extended = set(writer.entries)
            if not keep_parts:
                self._remove_unrecorded(set(writer.entries))
            started = time.monotonic()
            try:
                yield writer
            finally:
                self._extended = set()
            finished = Record(
                stage=stage,
                version=version,
                fingerprint=wanted,
                config=dict(config),
                inputs=dict(inputs),
                counts=writer.counts,
                files=tuple(sorted(writer.entries.values(), key=lambda entry: entry.name)),
                seconds=round(time.monotonic() - started, 3),
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                libraries=library_versions(),
            )
            if lease is not None:
                lease.check()
            self._remove_unrecorded(set(writer.entries))
            self.write_bytes(RECORD, finished.to_json().encode())
            writer.committed = finished
            self._recorded = None
            self._know(finished.files)

    def _know(self, entries: Iterable[FileEntry]) -> None:
        # What this process has just written and hashed need not be read once more to be trusted.
        if self.workspace.is_local:
            for entry in entries:
                if self._written.get(entry.name) == entry.sha256:
                    known_good(Path(self.path(entry.name)), entry)

    def _remove_unrecorded(self, keep: set[str]) -> None:
        base = self.path()
        if not self.workspace.fs.exists(base):
            return
        for path in self.workspace.fs.find(base):
            name = path[len(base) :].lstrip("/")
            # Evaluations are stages of their own below a run, and another process may be writing one.
            if name not in keep and name != RECORD and not name.startswith(NESTED):
                self.workspace.fs.rm_file(path)

    # -- reading ------------------------------------------------------------------------------------------------------

    def read_bytes(self, file: str) -> bytes:
        """A file's bytes; where the stage is finished, they are what was recorded.

        Raises:
            DamagedError: If they are not.
            FileNotFoundError: If the file is in no record, and not there.
        """
        entry = self._entry_of(file)
        try:
            content = bytes(self.workspace.fs.cat_file(self.path(file)))
        except FileNotFoundError as error:
            if entry is None:
                raise
            raise self._damaged(f"{self.url(file)} is missing, though it was recorded") from error
        if entry is not None:
            digest = stream_digest(io.BytesIO(content))
            if digest not in (entry.sha256, self._written.get(file)):
                raise self._damaged(
                    f"{self.url(file)} is damaged: its checksum is {digest[:12]}, and {entry.sha256[:12]} was recorded"
                )
        return content

    def read_json(self, file: str) -> Any:
        """A JSON file's value.

        Raises:
            DamagedError: If it is not what was recorded, or no JSON.
        """
        return self.read_as(file, lambda value: value)

    def read_as(self, file: str, make: Callable[[Any], _Read]) -> _Read:
        """What ``make`` makes of a JSON file's value.

        Raises:
            DamagedError: If the file is not what was recorded, no JSON, or not what ``make`` expects.
        """
        content = self.read_bytes(file)
        try:
            return make(json.loads(content))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            reason = f"{type(error).__name__}: {str(error)[:200]}"
            raise self._damaged(f"{self.url(file)} is damaged, or was not written by Retort ({reason})") from error

    def local(self, file: str) -> Path:
        """A local path of a recorded file: itself, or a copy in this node's cache; checked when it is first opened.

        A file of a local stage that is not finished is not checked: it has no record.

        Raises:
            DamagedError: If its content is not what was recorded.
        """
        entry = self._entry_of(file)
        if not self.workspace.is_local:
            if entry is None:
                raise WorkspaceError(f"{self.url()} is not finished, or has no {file}: make it again, or wait for it")
            return self._told(lambda: cached(self.workspace.fs, self.path(file), entry))
        path = Path(self.path(file))
        if entry is not None and self._written.get(file, entry.sha256) == entry.sha256:
            self._told(lambda: check_file(path, entry, shown=str(path)))
        return path

    def local_tree(self, prefix: str) -> Path:
        """A local folder with all recorded files below ``prefix`` (for libraries that want a directory).

        Raises:
            DamagedError: If one of them is not what was recorded.
        """
        record = self.record()
        if record is None:
            if not self.workspace.is_local:
                self.require("the stage is not finished")
            return Path(self.path(prefix))
        entries = [entry for entry in record.files if entry.name.startswith(f"{prefix}/")]
        files = {entry.name.removeprefix(f"{prefix}/"): self.local(entry.name) for entry in entries}
        if self.workspace.is_local:
            return Path(self.path(prefix))
        return self._told(lambda: cached_tree(files, [entry.sha256 for entry in entries]))

    def _entry_of(self, file: str) -> FileEntry | None:
        """What the record says of a file; None where it is in no record."""
        if self._recorded is None or file not in self._recorded:
            record = self.record()
            if record is None:
                return None
            self._recorded = {entry.name: entry for entry in record.files}
        return self._recorded.get(file)

    def _told(self, read: Callable[[], _Read]) -> _Read:
        try:
            return read()
        except DamagedError as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, message: str) -> DamagedError:
        return DamagedError(
            f"{message}. Nothing was computed from it. See what else is damaged, and how it is made again: "
            f"retort verify --workspace {self.workspace.url}"
        )

    def read_array(self, file: str, *, mapped: bool = True) -> np.ndarray:
        """A ``.npy`` file, memory-mapped unless ``mapped`` is False."""
        path = self.local(file)
        try:
            array: np.ndarray = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise self._damaged(f"{self.url(file)} is damaged, or is no array ({str(error)[:200]})") from error
        return array

    def read_table(self, file: str) -> pa.Table:
        """A ``.parquet`` file, or an ``.arrow`` file memory-mapped."""
        path = str(self.local(file))
        try:
            return pa.ipc.open_file(pa.memory_map(path)).read_all() if file.endswith(".arrow") else pq.read_table(path)
        except pa.ArrowException as error:
            raise self._damaged(f"{self.url(file)} is damaged, or is no table ({str(error)[:200]})") from error

    def read_tables(self, files: Iterable[str], schema: pa.Schema) -> pa.Table:
        """Several tables one below the other; an empty one of ``schema`` where there are none."""
        return pa.concat_tables([schema.empty_table(), *(self.read_table(file) for file in files)])


class StageWriter:
    """Collects what a stage writes until its record is committed.

    Attributes:
        finished: Record of an equal stage that was already there, or None.
        counts: What the stage counted; goes into the record.
        entries: Files so far, by name.
    """

    def __init__(self, folder: Folder, finished: Record | None) -> None:
        self.folder = folder
        self.finished = finished
        self.committed: Record | None = finished
        self.counts: dict[str, Any] = {}
        self.entries: dict[str, FileEntry] = {}

    def add(self, *entries: FileEntry) -> None:
        """Take files into the record that this or another process wrote into the folder."""
        for entry in entries:
            self.entries[entry.name] = entry

    def add_tree(self, source: Path, prefix: str) -> None:
        """Copy a local directory's files into the folder below ``prefix``."""
        for path in sorted(p for p in source.rglob("*") if p.is_file()):
            name = f"{prefix}/{path.relative_to(source).as_posix()}"
            with path.open("rb") as stream:
                self.add(self.folder.write(name, lambda out, s=stream: shutil.copyfileobj(s, out)))  # type: ignore[misc]

    @property
    def record(self) -> Record:
        """The committed record; only after the writing block has ended."""
        assert self.committed is not None, "the stage is not committed yet"
        return self.committed


def _sum_of(file: str) -> str:
    folder, slash, name = file.rpartition("/")
    return f"{folder}{slash}.{name}{_SUM}"


def _inside(name: str, where: str) -> str:
    try:
        return check_inside(name.rstrip("/"))
    except ValueError as error:
        raise WorkspaceError(f"{where}: {error}") from error
