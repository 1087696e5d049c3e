"""Workspaces, their folders, and the writing of a stage into one of them."""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final

import filelock
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from retort.errors import WorkspaceError
from retort.identity import fingerprint as stage_fingerprint
from retort.identity import stream_digest
from retort.storage.files import cached, cached_tree, write_all, write_aside, write_object
from retort.storage.record import RECORD, FileEntry, Record, library_versions

__all__ = ["Folder", "Stage", "StageWriter", "Workspace"]

MARKER: Final = "workspace.json"
FORMAT: Final = 1
NESTED: Final = "evaluations/"


class Workspace:
    """A workspace by its URL: a local path, or anything that fsspec opens (``s3://bucket/prefix``, ``gs://...``).

    Args:
        url: Where it is.
        create: Make it when it is not there; otherwise a missing workspace is an error.

    Raises:
        WorkspaceError: If it is missing, is no workspace, or was written by a later format.
    """

    def __init__(self, url: str | Path, *, create: bool = False) -> None:
        if not str(url).strip():
            raise WorkspaceError("the workspace has no name; '.' is the current folder")
        try:
            self.fs, root = fsspec.core.url_to_fs(str(url))
        except (ImportError, ValueError) as error:
            raise WorkspaceError(f"workspace {url} cannot be opened: {error}") from error
        self.is_local = "file" in (self.fs.protocol if isinstance(self.fs.protocol, tuple) else (self.fs.protocol,))
        self.root: str = os.path.realpath(root) if self.is_local else root.rstrip("/")
        self.url: str = self.root if self.is_local else str(url).rstrip("/")
        marker = f"{self.root}/{MARKER}"
        if self.fs.exists(marker):
            try:
                written = int(json.loads(self.fs.cat_file(marker))["format"])
            except (KeyError, TypeError, ValueError) as error:
                raise WorkspaceError(f"{marker} does not say a workspace's format; is {url} a workspace?") from error
            if written > FORMAT:
                raise WorkspaceError(
                    f"workspace {url} has format {written}, this version reads up to {FORMAT}: upgrade"
                )
        elif create:
            if self.is_local and Path(self.root).is_file():
                raise WorkspaceError(f"workspace {url} is a file; name a folder")
            try:
                self.folder("").write_bytes(MARKER, json.dumps({"format": FORMAT}).encode())
            except OSError as error:
                raise WorkspaceError(f"workspace {url} cannot be made: {error}") from error
        else:
            raise WorkspaceError(
                f"no workspace at {url}; an import makes one, such as: retort import synthetic --workspace {url}"
            )

    def __reduce__(self) -> tuple[type["Workspace"], tuple[str]]:
        # Ray tasks get the URL and open their own filesystem.
        return (Workspace, (self.url,))

    def folder(self, name: str) -> "Folder":
        """The stage folder of this name, whether it is there or not."""
        return Folder(self, name)

    def stage(
        self, name: str, version: int, *, label: str, config: Mapping[str, object], inputs: Mapping[str, str]
    ) -> "Stage":
        """A stage whose variants stand side by side, in the folder ``<label>-<beginning of the fingerprint>``."""
        digest = stage_fingerprint(name, version, config=config, inputs=inputs)
        return Stage(self.folder(f"{label}-{digest[:8]}"), name, version, dict(config), dict(inputs))

    def stages(self, parent: str) -> list["Folder"]:
        """Finished stage folders directly below ``parent``, sorted by name."""
        folders = [self.folder(f"{parent}/{name}") for name in self.names(parent)]
        return [folder for folder in folders if folder.record()]

    def names(self, parent: str) -> list[str]:
        """Names of the files and folders directly below ``parent``, sorted; none where it does not exist."""
        path = f"{self.root}/{parent}"
        if not self.fs.exists(path):
            return []
        self.fs.invalidate_cache()
        return sorted(PurePosixPath(child).name for child in self.fs.ls(path, detail=False))


@dataclass(frozen=True)
class Stage:
    """A stage that is to be run: its folder, and all that its fingerprint is made of.

    Attributes:
        folder: Where its output stands; the name ends in the fingerprint's beginning.
        name: Of the stage.
        version: Bumped when its output changes for the same config and inputs.
        config: What changes the result.
        inputs: Fingerprints of what is read.
    """

    folder: "Folder"
    name: str
    version: int
    config: dict[str, object]
    inputs: dict[str, str]

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the stage's output."""
        return stage_fingerprint(self.name, self.version, config=self.config, inputs=self.inputs)

    def writing(self) -> contextlib.AbstractContextManager["StageWriter"]:
        """Write the stage, keeping complete files of an interrupted run; see ``Folder.writing``."""
        return self.folder.writing(self.name, self.version, config=self.config, inputs=self.inputs, keep_parts=True)


class Folder:
    """One stage's folder; cheap to make, safe to send to another process."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        self.workspace = workspace
        self.name = name

    def path(self, file: str = "") -> str:
        """Full path of a file in the workspace's own filesystem."""
        return "/".join(part for part in (self.workspace.root, self.name, file) if part)

    def url(self, file: str = "") -> str:
        """Where a file is, as a user would name it: with the protocol of a remote workspace."""
        return "/".join(part for part in (self.workspace.url, self.name, file) if part)

    def record(self) -> Record | None:
        """The stage's record, or None where the stage is not finished."""
        try:
            text = self.workspace.fs.cat_file(self.path(RECORD))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Record.from_json(text)

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

    def write(self, file: str, writer: Callable[[BinaryIO], None], *, rows: int | None = None) -> FileEntry:
        """Write one file atomically through ``writer``, which gets a binary stream; returns its entry."""
        if not self.workspace.is_local:
            digest, size = write_object(self.workspace.fs, self.path(file), writer)
            return FileEntry(file, digest, size, rows)
        write_aside(Path(self.path(file)), writer)
        return self.entry(file, rows=rows)

    def write_bytes(self, file: str, content: bytes) -> FileEntry:
        """Write bytes atomically."""
        return self.write(file, lambda stream: write_all(stream, content))

    def write_json(self, file: str, value: object) -> FileEntry:
        """Write a value as indented JSON, atomically."""
        return self.write_bytes(file, (json.dumps(value, indent=1) + "\n").encode())

    def write_array(self, file: str, array: np.ndarray) -> FileEntry:
        """Write one numpy array as ``.npy`` (memory-mappable), atomically."""
        return self.write(file, lambda s: np.save(s, array, allow_pickle=False), rows=int(array.shape[0]))

    def write_table(self, file: str, table: pa.Table) -> FileEntry:
        """Write a table atomically: ``.parquet`` compressed, ``.arrow`` as memory-mappable Arrow IPC."""

        def parquet(stream: BinaryIO) -> None:
            pq.write_table(table, stream, compression="zstd")

        def arrow(stream: BinaryIO) -> None:
            with pa.ipc.new_file(stream, table.schema) as sink:
                sink.write_table(table)

        return self.write(file, arrow if file.endswith(".arrow") else parquet, rows=table.num_rows)

    def entry(self, file: str, *, rows: int | None = None) -> FileEntry:
        """Entry of a file that is there, by reading it."""
        path = self.path(file)
        with self.workspace.fs.open(path, "rb") as stream:
            digest = stream_digest(stream)
        return FileEntry(file, digest, int(self.workspace.fs.size(path)), rows)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Exclude other processes from this folder; on an object store nothing does, and equal stages are written twice."""
        if not self.workspace.is_local:
            yield
            return
        locks = Path(self.workspace.root, ".locks")
        locks.mkdir(exist_ok=True)
        with filelock.FileLock(str(locks / f"{self.name.replace('/', '~')}.lock")):
            yield

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
            extend: Replace the record of a stage with another fingerprint, keeping its files beside the new ones.

        Raises:
            WorkspaceError: If the folder holds a stage with another fingerprint, and ``extend`` is not set.
        """
        wanted = stage_fingerprint(stage, version, config=config, inputs=inputs)
        with self.locked():
            record = self.record()
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
            if not keep_parts:
                self._remove_unrecorded(set(writer.entries))
            started = time.monotonic()
            yield writer
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
            # Other stages are the same whoever writes them; one that is extended is not, and nothing locks on an object store.
            if extend and not self.workspace.is_local and self.record() != record:
                raise WorkspaceError(
                    f"{self.path()} was written by another process at the same time; nothing of this one was committed. "
                    "On an object store run imports, and the drivers of a sweep, one at a time"
                )
            self._remove_unrecorded(set(writer.entries))
            self.write_bytes(RECORD, finished.to_json().encode())
            writer.committed = finished

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
        """A file's bytes."""
        return bytes(self.workspace.fs.cat_file(self.path(file)))

    def read_json(self, file: str) -> Any:
        """A JSON file's value."""
        return json.loads(self.read_bytes(file))

    def local(self, file: str) -> Path:
        """A local path of a recorded file: itself, or a copy in this node's cache, checked against its checksum.

        Raises:
            RunError: If the remote content does not have the recorded checksum.
        """
        if self.workspace.is_local:
            return Path(self.path(file))
        record = self.require("the stage is not finished")
        return cached(self.workspace.fs, self.path(file), next(e for e in record.files if e.name == file))

    def local_tree(self, prefix: str) -> Path:
        """A local folder with all recorded files below ``prefix`` (for libraries that want a directory)."""
        if self.workspace.is_local:
            return Path(self.path(prefix))
        entries = [e for e in self.require("the stage is not finished").files if e.name.startswith(f"{prefix}/")]
        files = {e.name.removeprefix(f"{prefix}/"): self.local(e.name) for e in entries}
        return cached_tree(files, [e.sha256 for e in entries])

    def read_array(self, file: str, *, mapped: bool = True) -> np.ndarray:
        """A ``.npy`` file, memory-mapped unless ``mapped`` is False."""
        array: np.ndarray = np.load(self.local(file), mmap_mode="r" if mapped else None, allow_pickle=False)
        return array

    def read_table(self, file: str) -> pa.Table:
        """A ``.parquet`` file, or an ``.arrow`` file memory-mapped."""
        if file.endswith(".arrow"):
            return pa.ipc.open_file(pa.memory_map(str(self.local(file)))).read_all()
        return pq.read_table(self.local(file))

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
