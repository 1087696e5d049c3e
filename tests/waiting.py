"""The one way in which tests wait for another process, thread or file, and end what they started.

A test waits for a condition. The limit, after which the condition is taken for broken, grows with what this machine needs: with
the time that starting Python takes here, and with how many processes share a processor at the moment. It is generous, since it
costs time only where something is broken.
"""

import contextlib
import functools
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import psutil
import pytest

Value = TypeVar("Value")
UNIT_SECONDS = 1.0  # starting Python and importing Ray, on an idle processor of 2020
MARK = "RETORT_TESTS_STARTED"  # an environment variable that whatever a process starts inherits, Ray's workers too


@functools.cache
def _unit() -> float:
    """How many times as long as on that processor it takes here; measured once, while whatever else runs here does."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import ray"], check=True, capture_output=True)
    return max(1.0, (time.monotonic() - began) / UNIT_SECONDS)


def patience(seconds: float) -> float:
    """The limit, in seconds, of what takes at most so many on a good and idle machine; for ``timeout=`` and the like."""
    crowd = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    return seconds * _unit() * crowd


def wait_until(
    condition: Callable[[], Value],
    what: str,
    *,
    seconds: float = 60.0,
    process: "subprocess.Popen[Any] | None" = None,
) -> Value:
    """Wait until a condition is true, and return what it gave.

    Args:
        condition: Asked again and again.
        what: What is waited for, in words, for the message: "the first trial".
        seconds: How long it takes on a good and idle machine, at most.
        process: Whose work the condition is about; that it has ended is told at once.
    """
    began = time.monotonic()
    limit = seconds
    while not (found := condition()):
        if process is not None and process.poll() is not None:
            if found := condition():
                break
            pytest.fail(f"{what}: the process ended before, with exit code {process.returncode}")
        if time.monotonic() - began > limit:
            # Measured when it matters: most waits end long before.
            limit = max(limit, patience(seconds))
            if time.monotonic() - began > limit:
                pytest.fail(f"{what}: not within {limit:.0f} s, which is generous on this machine as it is now")
        time.sleep(0.02)
    return found


HEARING = """
import os, signal, sys
for number in (signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def hearing_signals(command: Sequence[object]) -> list[str]:
    """A command that hears the signals which ``nohup``, or a shell's background, has this process and its children ignore.

    By way of a program that becomes the command: subprocess's ``preexec_fn`` would fork this process with the threads of Ray
    and gRPC, which Python warns of; one run of these tests that did so hung in ``ray.shutdown()``.
    """
    return [sys.executable, "-c", HEARING, *map(str, command)]


class Started:
    """Processes that a test started, and whatever these started; a context manager, which ends them all."""

    def __init__(self) -> None:
        self._mark = uuid.uuid4().hex
        self._processes: list[subprocess.Popen[Any]] = []

    def __enter__(self) -> "Started":
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def start(
        self, command: Sequence[object], *, env: Mapping[str, str] | None = None, **options: Any
    ) -> "subprocess.Popen[Any]":
        """Start a process, in a session of its own, so that no signal of a terminal or of this process reaches it."""
        environment = {**(os.environ if env is None else env), MARK: self._mark}
        process = subprocess.Popen(hearing_signals(command), env=environment, start_new_session=True, **options)
        self._processes.append(process)
        return process

    def finish(
        self, command: Sequence[object], *, env: Mapping[str, str] | None = None, seconds: float = 120.0
    ) -> "subprocess.CompletedProcess[str]":
        """Start a process and wait for its end; what it wrote is taken, and what it left behind is ended.

        Args:
            command: The program and its words.
            env: Its environment; None: this process's.
            seconds: How long it takes on a good and idle machine, at most.
        """
        process = self.start(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, err = process.communicate(timeout=patience(seconds))
        finally:
            self.end()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def end(self) -> None:
        """End everything that was started here and still runs, each by its process id."""
        for process in self._processes:
            process.kill()
        while found := self._running():
            for one in found:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            _, left = psutil.wait_procs(found, timeout=patience(30))
            assert not left, f"cannot be ended: {left}"
        for process in self._processes:
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        self._processes = []

    def _running(self) -> list[psutil.Process]:
        # By the mark, not by parentage: Ray's processes outlive their driver, and have no parent then.
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(MARK) == self._mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found
