"""What is read is what was written: a file is hashed when it is first opened, and compared with its record.

The sum is kept with the file's size and time of change, in memory and in the machine's cache, so that the same file is hashed
once per machine and again only when it changed. ``RETORT_VERIFY=size`` compares sizes alone, for collections of hundreds of
gigabytes on disks that are trusted; ``retort verify`` always hashes everything.
"""

import contextlib
import json
import os
from pathlib import Path
from typing import Final

from retort.errors import ConfigError, DamagedError
from retort.identity import file_digest, text_digest
from retort.storage.record import FileEntry

__all__ = ["CACHE", "VERIFY", "cache_folder", "check_file", "known_good", "only_sizes"]

CACHE: Final = "RETORT_CACHE"
VERIFY: Final = "RETORT_VERIFY"
_WAYS: Final = ("full", "size")
_MAX_LINES: Final = 20_000  # of a folder's memory, after which it is begun anew


def cache_folder() -> Path:
    """Where this machine keeps what can be made again: ``$RETORT_CACHE``, else below ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    if own := os.environ.get(CACHE):
        return Path(own).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "retort")


def only_sizes() -> bool:
    """Whether files are to be checked by their size alone.

    Raises:
        ConfigError: If RETORT_VERIFY has an unknown value.
    """
    way = os.environ.get(VERIFY) or "full"
    if way not in _WAYS:
        raise ConfigError([f"{VERIFY} is {way!r}; it can be {' or '.join(_WAYS)}"])
    return way == "size"


def check_file(path: Path, entry: FileEntry, *, shown: str) -> None:
    """Compare a local file with what its record says of it.

    Args:
        path: The file.
        entry: What was recorded.
        shown: How to call it in a message.

    Raises:
        DamagedError: If it is missing, or has another size or content.
    """
    try:
        seen = path.stat()
    except FileNotFoundError as error:
        raise DamagedError(f"{shown} is missing, though it was recorded with {entry.bytes:,} bytes") from error
    if seen.st_size != entry.bytes:
        raise DamagedError(f"{shown} has {seen.st_size:,} bytes, and {entry.bytes:,} were recorded")
    if only_sizes():
        return
    memory = _Memory.of(path.parent)
    state = (entry.sha256, seen.st_size, seen.st_mtime_ns, seen.st_ino)
    if memory.known.get(path.name) == state:
        return
    digest = file_digest(path)
    if digest != entry.sha256:
        raise DamagedError(f"{shown} has the checksum {digest[:12]}, and {entry.sha256[:12]} was recorded")
    memory.keep(path.name, state)


def known_good(path: Path, entry: FileEntry) -> None:
    """Remember that this process has just written a file with this content."""
    seen = path.stat()
    _Memory.of(path.parent).keep(path.name, (entry.sha256, seen.st_size, seen.st_mtime_ns, seen.st_ino))


_State = tuple[str, int, int, int]


class _Memory:
    """What is known of the files of one folder: in memory, and as lines that every process of the machine appends to."""

    _opened: dict[Path, "_Memory"] = {}  # noqa: RUF012  # of this process

    def __init__(self, file: Path) -> None:
        self.file = file
        self.known: dict[str, _State] = {}
        lines: list[str] = []
        with contextlib.suppress(OSError):  # without a cache, files are hashed once a process
            lines = file.read_text(encoding="utf-8").splitlines()
        for line in lines:
            with contextlib.suppress(ValueError):  # half a line of a process that was killed
                name, *state = json.loads(line)
                self.known[name] = (str(state[0]), *map(int, state[1:]))  # type: ignore[assignment]
        if len(lines) > _MAX_LINES:
            with contextlib.suppress(OSError):
                file.unlink()

    @classmethod
    def of(cls, folder: Path) -> "_Memory":
        real = Path(os.path.realpath(folder))
        file = cache_folder() / "verified" / f"{text_digest(str(real))[:32]}.jsonl"
        if file not in cls._opened:
            cls._opened[file] = cls(file)
        return cls._opened[file]

    def keep(self, name: str, state: _State) -> None:
        self.known[name] = state
        line = json.dumps([name, *state]) + "\n"
        with contextlib.suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a", encoding="utf-8") as stream:
                stream.write(line)  # one short write: lines of several processes do not mix
