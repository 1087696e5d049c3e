"""The node's cache of remote files: by checksum, checked when fetched and when opened, and never larger than its limit.

A file that was not used for longest goes first; one that was used in the last minutes stays, since its path may be in
somebody's hands. What is open or mapped stays readable though its name is gone.
"""

import contextlib
import logging
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from retort.errors import ConfigError, DamagedError
from retort.identity import file_digest, text_digest
from retort.storage.record import FileEntry, check_inside
from retort.storage.verified import cache_folder, check_file, known_good

__all__ = ["CACHE_GIB", "CacheState", "cache_state", "cached", "cached_tree", "clear_cache"]

CACHE_GIB: Final = "RETORT_CACHE_GIB"
DEFAULT_GIB: Final = 50.0
SPARED_SECONDS: Final = 900.0  # since its last use
_FILES: Final = "files"
_TREES: Final = "trees"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CacheState:
    """What the cache holds.

    Attributes:
        folder: Where it is.
        files: Number of files.
        bytes: Their size on the disk.
        limit: Bytes that it may have.
        least_recently_used: When the oldest file was last used, in seconds since 1970; None where there is none.
    """

    folder: Path
    files: int
    bytes: int
    limit: int
    least_recently_used: float | None


def cached(filesystem: Any, path: str, entry: FileEntry) -> Path:
    """A local copy of a remote file, fetched once per node.

    Raises:
        DamagedError: If the remote content does not have the recorded checksum.
    """
    # The name stays visible: tokenisers and models look for files by name.
    target = _inside(_FILES, f"{entry.sha256[:2]}/{entry.sha256}/{PurePosixPath(path).name}")
    if target.exists():
        try:
            check_file(target, entry, shown=str(target))
        except DamagedError as error:
            logger.warning("%s; it is fetched again", error)
            target.unlink(missing_ok=True)
        else:
            _used(target)
            return target
    make_room(entry.bytes)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.parent / f".{uuid.uuid4().hex[:8]}.tmp"
    try:
        try:
            filesystem.get_file(path, str(aside))
        except FileNotFoundError as error:
            raise DamagedError(f"{path} is missing, though it was recorded with {entry.bytes:,} bytes") from error
        digest = file_digest(aside)
        if digest != entry.sha256:
            raise DamagedError(f"{path} has the checksum {digest[:12]}, and {entry.sha256[:12]} was recorded")
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    known_good(target, entry)
    return target


def cached_tree(files: Mapping[str, Path], digests: list[str]) -> Path:
    """A local folder in which cached files stand under their own names.

    Args:
        files: Relative name -> cached file.
        digests: Their checksums, which the folder is named after, with the names.
    """
    label = text_digest("".join([*digests, *files]))
    for name, source in files.items():
        copy = _inside(_TREES, f"{label}/{check_inside(name)}")
        if copy.exists() and copy.stat().st_ino == source.stat().st_ino:
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        aside = copy.with_name(f".{uuid.uuid4().hex[:8]}.tmp")
        try:
            try:
                os.link(source, aside)  # no second copy on the disk
            except OSError:
                shutil.copyfile(source, aside)
            aside.replace(copy)
        finally:
            aside.unlink(missing_ok=True)
    return _inside(_TREES, label)


def cache_state() -> CacheState:
    """What the cache holds now.

    Raises:
        ConfigError: If its limit is no number.
    """
    folder, entries = cache_folder(), _entries()
    size = sum(entry.size for entry in entries)
    oldest = min((entry.used for entry in entries), default=None)
    return CacheState(folder, len(entries), size, _limit(), oldest)


def clear_cache() -> int:
    """Remove every file that was not used in the last minutes; returns how many bytes that freed."""
    return _remove_until(0)


def make_room(wanted: int) -> None:
    """Remove what was not used for longest, until so many bytes more fit below the limit."""
    _remove_until(max(0, _limit() - wanted))


@dataclass(frozen=True)
class _Entry:
    path: Path
    inode: int
    size: int
    used: float


def _inside(kind: str, name: str) -> Path:
    root = cache_folder() / kind
    path = root / name
    if not Path(os.path.normpath(path)).is_relative_to(root):
        raise DamagedError(f"{name[:100]!r} does not stay inside the cache {root}")
    return path


def _used(path: Path) -> None:
    # The time of change of the content is what tells whether it is still what was checked; that of access is ours.
    with contextlib.suppress(OSError):
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


def _limit() -> int:
    text = os.environ.get(CACHE_GIB) or str(DEFAULT_GIB)
    try:
        gib = float(text)
    except ValueError:
        gib = -1.0
    if not 0 <= gib < 1e9:
        raise ConfigError([f"{CACHE_GIB} is {text[:50]!r}; it is a number of GiB, such as {DEFAULT_GIB:.0f}"])
    return int(gib * 2**30)


def _entries() -> list[_Entry]:
    """The cached files, the least recently used first; files that the trees name too are one."""
    found: dict[int, _Entry] = {}
    for kind in (_FILES, _TREES):
        for path in (cache_folder() / kind).rglob("*"):
            with contextlib.suppress(OSError):  # another process has just removed it
                seen = path.stat()
                if path.is_file():
                    found.setdefault(seen.st_ino, _Entry(path, seen.st_ino, seen.st_size, seen.st_atime))
    return sorted(found.values(), key=lambda entry: entry.used)


def _remove_until(limit: int) -> int:
    entries = _entries()
    size = sum(entry.size for entry in entries)
    spared_from = time.time() - SPARED_SECONDS
    doomed: set[int] = set()
    freed = 0
    for entry in entries:
        if size - freed <= limit or entry.used > spared_from:
            break
        doomed.add(entry.inode)
        freed += entry.size
    if doomed:
        for kind in (_FILES, _TREES):
            for path in sorted((cache_folder() / kind).rglob("*"), reverse=True):
                with contextlib.suppress(OSError):
                    if path.is_dir():
                        path.rmdir()  # only an empty one goes
                    elif path.stat().st_ino in doomed:
                        path.unlink()
    return freed
