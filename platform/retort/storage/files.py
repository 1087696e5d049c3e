"""Files that appear whole or not at all, here and on object stores, and the node's cache of remote ones.

A local file is written aside and renamed; an object is put when its stream is closed, which it never is after an error.
Remote files are cached by their checksum, and checked against it when they are fetched.
"""

import hashlib
import os
import uuid
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from retort.errors import RunError
from retort.identity import stream_digest
from retort.storage.record import FileEntry

__all__ = ["cached", "cached_tree", "write_all", "write_aside", "write_object"]


def write_aside(target: Path, writer: Callable[[BinaryIO], None]) -> None:
    """Write a local file through ``writer``, aside, and rename it; after an error nothing is left."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with aside.open("wb") as stream:
            writer(stream)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def write_object(filesystem: Any, path: str, writer: Callable[[BinaryIO], None]) -> tuple[str, int]:
    """Write an object through ``writer``; returns its SHA-256 and its size in bytes."""
    # An object appears when its stream is closed. After an error it must not be closed, neither here nor by the
    # garbage collector: half of the file would stand there as if it were whole.
    remote = filesystem.open(path, "wb")
    hashing = _HashingStream(remote)
    try:
        writer(hashing)  # type: ignore[arg-type]
    except BaseException:
        remote.discard()
        remote.closed = True
        raise
    remote.close()
    return hashing.digest.hexdigest(), hashing.size


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "retort")


def cached(filesystem: Any, path: str, entry: FileEntry) -> Path:
    """A local copy of a remote file, fetched once per node.

    Raises:
        RunError: If the remote content does not have the recorded checksum.
    """
    folder = _cache() / entry.sha256[:2] / entry.sha256
    # The name stays visible: tokenisers and models look for files by name.
    target = folder / PurePosixPath(path).name
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder / f".{uuid.uuid4().hex[:8]}.tmp"
        filesystem.get_file(path, str(aside))
        with aside.open("rb") as stream:
            digest = stream_digest(stream)
        if digest != entry.sha256:
            aside.unlink()
            raise RunError(f"{path} has checksum {digest[:12]}, recorded was {entry.sha256[:12]}")
        aside.replace(target)
    return target


def cached_tree(files: dict[str, Path], digests: list[str]) -> Path:
    """A local folder in which cached files stand under their own names.

    Args:
        files: Relative name -> cached file.
        digests: Their checksums, which the folder is named after.
    """
    target = _cache() / "trees" / hashlib.sha256("".join(digests).encode()).hexdigest()
    for name, source in files.items():
        copy = target / name
        if not copy.exists():
            content = source.read_bytes()
            write_aside(copy, lambda stream, content=content: write_all(stream, content))  # type: ignore[misc]
    return target


def write_all(stream: BinaryIO, content: bytes) -> None:
    """Write bytes to a stream."""
    stream.write(content)


class _HashingStream:
    """A write-only stream that hashes and counts what passes through to an object store."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.digest = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, content: bytes) -> int:
        view = memoryview(content).cast("B")
        self.digest.update(view)
        self.size += view.nbytes
        self.stream.write(bytes(view))
        return view.nbytes

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        self.stream.flush()
