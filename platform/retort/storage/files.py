"""Files that appear whole or not at all, here and on object stores.

A local file is written aside and renamed; an object is put when its stream is closed, which it never is after an error.
Both are hashed while they are written.
"""

import contextlib
import hashlib
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["write_all", "write_aside", "write_object"]


def write_aside(target: Path, writer: Callable[[BinaryIO], None]) -> tuple[str, int]:
    """Write a local file through ``writer``, aside, and rename it; after an error nothing is left.

    Returns:
        Its SHA-256 and its size in bytes.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with aside.open("wb") as stream:
            hashing = _HashingStream(stream)
            writer(hashing)  # type: ignore[arg-type]
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    _sync_folder(target.parent)
    return hashing.digest.hexdigest(), hashing.size


def _sync_folder(folder: Path) -> None:
    # The name of a file is its folder's content: without this a power cut may take the file away again.
    with contextlib.suppress(PermissionError):  # a folder that may be written to but not listed
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


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


def write_all(stream: BinaryIO, content: bytes) -> None:
    """Write bytes to a stream."""
    stream.write(content)


class _HashingStream:
    """A write-only stream that hashes and counts what passes through to a file or an object store."""

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
