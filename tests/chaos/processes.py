"""Processes of the suite: started with a marker in their environment, found by it or by their namespace, ended by their ids."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import psutil

__all__ = ["MARKER", "command_of", "end", "ended", "free_port", "kill", "marked", "net_inode", "start", "wait_for"]

MARKER = "RETORT_CHAOS_ID"


def start(command: Sequence[str], environment: Mapping[str, str], log: Path, **more: object) -> subprocess.Popen[bytes]:
    """Start a process whose output goes to the end of a log; in a session of its own."""
    with log.open("ab") as output:
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            list(command),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **more,
        )


def wait_for(what: str, seen: Callable[[], bool], *, seconds: float, every: float = 0.1) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: If it is not after ``seconds``.
    """
    until = time.monotonic() + seconds
    while not seen():
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not after {seconds:.0f} s")
        time.sleep(every)


def free_port() -> int:
    """A port of the loopback that nothing listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def net_inode(pid: int) -> int | None:
    """Which network namespace a process is in; None where it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/ns/net").stat().st_ino
    return None


def marked(value: str, marker: str = MARKER) -> list[int]:
    """Ids of the processes whose environment has this marker."""
    wanted = f"{marker}={value}".encode()
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") and pid != os.getpid():
                found.append(pid)
    return found


def command_of(pid: int) -> str:
    """A process's command line, or the title that it gave itself; empty where it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def ended(pid: int) -> bool:
    """Whether a process has ended; one that waits for its parent to notice has."""
    try:
        return psutil.Process(pid).status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return True


def kill(pids: Iterable[int], number: int = signal.SIGKILL) -> int:
    """Send a signal to processes; returns to how many that were alive."""
    reached = 0
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            reached += 1
    return reached


def end(process: subprocess.Popen[bytes], *, seconds: float = 10.0) -> None:
    """End a process and its descendants, by SIGTERM and then by SIGKILL."""
    descendants: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        descendants = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in descendants:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(descendants, timeout=seconds)
