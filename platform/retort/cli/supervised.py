"""Runs one server for ``retort ui``, and ends it with all that it has started when its parent is gone: a program of its own.

    python supervised.py COMMAND...

The parent holds the other end of standard input, and says nothing there. When it is closed, because the parent wants to end
or was killed, the server's whole tree is ended. What the server has started and left behind comes back to this process, since
it is their subreaper: MLflow starts some of its workers in sessions of their own, which no signal to a group reaches.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading

import psutil

GRACE_SECONDS = 5.0  # in which a server that was told to end does so
PR_SET_CHILD_SUBREAPER = 36  # of prctl(2)


def main(command: list[str]) -> int:
    """Run a command until it ends or standard input does; returns its exit code."""
    # Whoever ends this process does it by closing standard input, and Control-C is for the parent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    server = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    )
    signal.signal(signal.SIGTERM, lambda number, frame: server.terminate())

    def watch() -> None:
        # Not sys.stdin: the interpreter could not end while a thread waits in it.
        while os.read(0, 1):
            pass
        with contextlib.suppress(ProcessLookupError):
            server.terminate()
        try:
            server.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()

    threading.Thread(target=watch, daemon=True).start()
    code = server.wait()
    end_all()
    return code


def end_all() -> None:
    """End every process below this one, until there is none: what is told to end may start others."""
    me, told = psutil.Process(), psutil.Process.terminate
    while left := [child for child in me.children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]:
        for child in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                told(child)
        psutil.wait_procs(left, timeout=GRACE_SECONDS)
        told = psutil.Process.kill


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
