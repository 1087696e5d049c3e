"""Who writes a folder: one process at a time, on this machine by a lock, on an object store by a lease.

Whoever waits says for whom. A lease is an object beside the stages, made only where none is; its holder renews it every few
seconds, and a lease that was not renewed for ``RETORT_LEASE_SECONDS`` (measured by the clock of whoever waits, so that no two
machines' clocks are compared) is taken over, which is told. Whoever lost its lease while it worked commits nothing.
"""

import contextlib
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import filelock

from retort.errors import ConfigError, RunError, WorkspaceError

__all__ = ["LEASE_SECONDS", "Lease", "Owner", "hold_lease", "hold_lock"]

LEASE_SECONDS: Final = "RETORT_LEASE_SECONDS"
_DEFAULT_LEASE: Final = 30.0
_TOLD_AGAIN: Final = 60.0  # seconds between two lines of somebody who waits
_POLLED: Final = 2.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Owner:
    """A process that writes a folder.

    Attributes:
        host: Its machine's name.
        pid: Its number there.
        since: When it began, in UTC.
        place: Identifies machine and container, so that the number can be looked up there and only there.
        started: When the process started, in the machine's clock ticks: numbers are used again.
    """

    host: str
    pid: int
    since: str
    place: str
    started: int

    @classmethod
    def this(cls) -> "Owner":
        """This process."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(socket.gethostname(), os.getpid(), now, _place(), _started(os.getpid()))

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"

    @property
    def is_dead(self) -> bool:
        """Whether it is certain that the process has ended; of other machines nothing is known."""
        return self.place != "" and self.place == _place() and _started(self.pid) != self.started


def _place() -> str:
    # The same number on another machine, or in another container of this one, is another process.
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return ""


def _started(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        # Behind the program's name in parentheses, which may hold anything; the start is field 22 of the line.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return -1 if fields[0] == "Z" else int(fields[19])
    return -1


def _owner(text: str | bytes) -> Owner | None:
    try:
        data = json.loads(text)
        return Owner(**{name: data[name] for name in Owner.__dataclass_fields__})
    except (ValueError, TypeError, KeyError):
        return None  # nobody yet, or half a file


# -- on this machine, or a file system that several machines share --------------------------------------------------------


@contextlib.contextmanager
def hold_lock(file: Path, what: str) -> Iterator[None]:
    """Hold a local lock while the block runs; waits for whoever holds it, and says so.

    Args:
        file: The lock; ``.owner`` beside it says who holds it.
        what: The folder that it stands for, in messages.

    Raises:
        WorkspaceError: If the workspace cannot be written to.
    """
    try:
        file.parent.mkdir(exist_ok=True)
        lock = filelock.FileLock(str(file))
        owner = file.with_suffix(".owner")
        _acquire(lock, owner, what)
    except OSError as error:
        raise WorkspaceError(f"{what} cannot be written: {error.strerror or error}: {file.parent}") from error
    try:
        owner.write_text(json.dumps(asdict(Owner.this())) + "\n", encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _acquire(lock: filelock.BaseFileLock, owner: Path, what: str) -> None:
    waits = 0.1  # whoever has just taken the lock has not said yet who it is
    while True:
        try:
            lock.acquire(timeout=waits)
            return
        except filelock.Timeout:
            known = None
            with contextlib.suppress(OSError):
                known = _owner(owner.read_bytes())
            logger.warning("waiting for %s, which %s writes", what, known or "another process")
            waits = _TOLD_AGAIN


# -- on an object store ---------------------------------------------------------------------------------------------------


def _lease_seconds() -> float:
    text = os.environ.get(LEASE_SECONDS) or str(_DEFAULT_LEASE)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 3600:
        raise ConfigError([f"{LEASE_SECONDS} is {text[:50]!r}; it is a number of seconds from 1 to 3600"])
    return seconds


class Lease:
    """A lease that this process holds, renewed by a thread until it is released.

    Attributes:
        what: The folder that it stands for, in messages.
    """

    def __init__(self, filesystem: Any, path: str, what: str, token: str) -> None:
        self.what = what
        self._fs, self._path, self._token = filesystem, path, token
        self._seconds = _lease_seconds()
        self._content = asdict(Owner.this()) | {"token": token}
        self._over = threading.Event()
        self._taken_by: Owner | None = None
        self._lost = False
        self._thread = threading.Thread(target=self._renew, name=f"lease of {what}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Check that the lease is still this process's own.

        Raises:
            RunError: If another process took it over.
        """
        if not self._lost:
            self._look()
        if self._lost:
            by = f" by {self._taken_by}" if self._taken_by is not None else ""
            raise RunError(
                f"{self.what} was taken over{by}, since this process did not renew its lease in time; nothing of it was "
                "committed here"
            )

    def release(self) -> None:
        """Give the lease back, unless another process has it."""
        self._over.set()
        self._thread.join()
        if not self._lost:
            self._look()
        if not self._lost:
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(self._path)

    def _look(self) -> None:
        held = _read(self._fs, self._path)
        if held is None or held.get("token") != self._token:
            self._lost = True
            self._taken_by = None if held is None else _owner(json.dumps(held))

    def _renew(self) -> None:
        beat = 0
        while not self._over.wait(self._seconds / 5):
            try:
                self._look()
                if self._lost:
                    return
                beat += 1
                self._fs.pipe_file(self._path, json.dumps(self._content | {"beat": beat}).encode())
            except Exception as error:  # noqa: BLE001  # whatever the store raises: the next beat may go through
                logger.debug("the lease of %s could not be renewed: %s", self.what, error)


@contextlib.contextmanager
def hold_lease(filesystem: Any, path: str, what: str) -> Iterator[Lease]:
    """Hold a lease on an object store while the block runs; waits for whoever holds it, and says so.

    Args:
        filesystem: The store.
        path: The lease's object, without its number.
        what: The folder that it stands for, in messages.
    """
    lease = _take(filesystem, path, what)
    try:
        yield lease
    finally:
        lease.release()


def _take(filesystem: Any, path: str, what: str) -> Lease:
    token, seconds = uuid.uuid4().hex, _lease_seconds()
    told, watched, unchanged_since = 0.0, "", time.monotonic()
    while True:
        # A lease that is taken over is followed by one with the next number: of two that find it stale, one makes that.
        number, held = _latest(filesystem, path)
        if held is None:
            if lease := _make(filesystem, f"{path}.{number + 1}", what, token):
                return lease
            continue
        owner, seen = _owner(json.dumps(held)), f"{number} {json.dumps(held, sort_keys=True)}"
        now = time.monotonic()
        if seen != watched:
            watched, unchanged_since = seen, now
        dead = owner is not None and owner.is_dead
        if dead or now - unchanged_since >= seconds:
            lease = _make(filesystem, f"{path}.{number + 1}", what, token)
            if lease is not None:
                why = "has ended" if dead else f"has not renewed its lease for {seconds:.0f} s"
                logger.warning("%s is taken over from %s, which %s", what, owner or "an unknown process", why)
                with contextlib.suppress(FileNotFoundError):
                    filesystem.rm_file(f"{path}.{number}")
                return lease
            continue
        if now - told >= _TOLD_AGAIN or told == 0.0:
            logger.warning("waiting for %s, which %s writes", what, owner or "another process")
            told = now
        time.sleep(min(_POLLED, seconds / 10))


def _make(filesystem: Any, path: str, what: str, token: str) -> Lease | None:
    content = json.dumps(asdict(Owner.this()) | {"token": token, "beat": 0}).encode()
    try:
        # Atomic where the store has conditional writes (S3, GCS).
        filesystem.pipe_file(path, content, mode="create")
    except FileExistsError:
        return None
    except OSError as error:
        # botocore's "PreconditionFailed" has no Python error of its own in s3fs.
        if "PreconditionFailed" in repr(error) or "ConditionalRequestConflict" in repr(error):
            return None
        raise
    # Where it has none, two may have written: whoever is read back last has it.
    held = _read(filesystem, path)
    return Lease(filesystem, path, what, token) if held is not None and held.get("token") == token else None


def _latest(filesystem: Any, path: str) -> tuple[int, dict[str, Any] | None]:
    """The latest lease's number and content; 0 and None where there is none."""
    filesystem.invalidate_cache()
    folder, _, name = path.rpartition("/")
    try:
        listed = [str(child).rpartition("/")[2] for child in filesystem.ls(folder, detail=False)]
    except FileNotFoundError:
        return 0, None
    numbers = [int(tail) for child in listed if (tail := child.removeprefix(f"{name}.")) != child and tail.isdecimal()]
    if not numbers:
        return 0, None
    latest = max(numbers)
    content = _read(filesystem, f"{path}.{latest}")
    # It was released between the list and the reading, or its holder is just writing it anew.
    return (latest, content) if content is not None else (latest, None)


def _read(filesystem: Any, path: str) -> dict[str, Any] | None:
    try:
        content = json.loads(filesystem.cat_file(path))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
