"""A process that has imported the package and forks a child for every command, so that a command starts in no time.

    python -m tests.chaos.warm HASTE < requests

A request is a line of JSON with ``words``, ``environment`` and ``log``. Each is answered by two lines: the child's id once it
runs, and its exit status once it has ended. The child is ``retort WORDS``, in a session of its own.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["Warm"]


class Warm:
    """The suite's end of such a process.

    Args:
        environment: Of the process.
        log: Where its commands print.
        haste: How much faster than time the commands' own clock runs.
    """

    def __init__(self, environment: Mapping[str, str], log: Path, *, haste: float = 1.0) -> None:
        self.log = log
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.warm", str(haste)],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        if self._line() != "warm":
            raise RuntimeError("the warm process did not start")

    def begin(self, words: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
        """Start a command; returns its id."""
        assert self.process.stdin is not None
        request = {"words": list(words), "environment": dict(environment or {}), "log": str(self.log)}
        self.log.write_bytes(b"")
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return int(self._line())

    def wait(self) -> int:
        """Wait for the command's end; returns its exit status, negative for a signal."""
        return int(self._line())

    def printed(self) -> str:
        """What the last command has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


def _hurry(haste: float) -> None:
    """Let what measures durations see them longer; who waits for somebody waits as long as before."""
    measured = time.monotonic
    began = measured()
    time.monotonic = lambda: began + haste * (measured() - began)


def _serve(haste: float) -> None:
    import pyarrow.parquet  # noqa: F401
    import s3fs  # noqa: F401
    import torch

    import retort.cli
    import retort.cli.experiments
    import retort.cli.imports
    import retort.distill.students
    import retort.evaluation.evaluate

    torch.set_num_threads(1)
    print("warm", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os.setsid()
            os.environ.update(request["environment"])
            if haste != 1.0:
                _hurry(haste)
            log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            code = retort.cli.main(request["words"])
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _serve(float(sys.argv[1]))
