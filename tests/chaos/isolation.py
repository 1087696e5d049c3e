"""Where the suite runs: process, network, mount and host name spaces of its own where the machine gives them.

All that the suite starts lives inside, so nothing outside can be met by accident, and the kernel removes everything (processes,
interfaces, mounts) when the first process inside ends, however it ended. Only a folder of files is left to be removed.
"""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from tests.chaos.processes import marked, wait_for

__all__ = ["ISOLATED", "SCENE", "become_reaper", "isolated", "run_inside", "why_not_isolated"]

ISOLATED = "RETORT_CHAOS_ISOLATED"  # set to 1 inside namespaces of the suite's own
SCENE = "RETORT_CHAOS_SCENE"  # the folder of all that the suite writes but its results
UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--mount", "--net", "--uts")

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def why_not_isolated() -> str | None:
    """Why this machine gives no namespaces; None where it does."""
    if os.geteuid() != 0:
        return "namespaces need root"
    try:
        tried = subprocess.run(
            [*UNSHARE, "ip", "link", "add", "rc-try", "type", "bridge"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        return f"{error.filename} is not installed"
    return None if tried.returncode == 0 else f"unshare: {tried.stderr.strip() or tried.returncode}"


def isolated() -> bool:
    """Whether this process runs inside namespaces of the suite's own."""
    return os.environ.get(ISOLATED) == "1"


def run_inside(words: Sequence[str], *, namespaces: bool) -> int:
    """Run ``python -m tests.chaos WORDS`` inside, remove what it left, and return its exit status.

    Args:
        words: The command line of the suite inside.
        namespaces: Take namespaces; otherwise the suite runs on this machine's loopback.
    """
    with tempfile.TemporaryDirectory(prefix="rc") as scene:
        Path(scene).chmod(0o755)  # PostgreSQL runs as another user and keeps its data below
        inner = [sys.executable, "-m", "tests.chaos", *words]
        # The first process of a namespace must take over the children of dead parents: bash does, Python does not.
        command = [*UNSHARE, "bash", "-c", '"$@"; exit $?', "bash", *inner] if namespaces else inner
        environment = os.environ | {SCENE: scene, ISOLATED: "1" if namespaces else "0"}
        process = subprocess.Popen(command, env=environment, preexec_fn=_die_with_parent)

        def stop(number: int, frame: FrameType | None) -> None:
            raise SystemExit(128 + number)

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, stop)
        try:
            return process.wait()
        finally:
            if process.poll() is None:
                # With namespaces everything inside ends with the first process; else the suite ends what it started.
                process.send_signal(signal.SIGKILL if namespaces else signal.SIGTERM)
                process.wait()
            # The kernel ends what is inside one after the other; the folder is removed when nobody writes into it any more.
            wait_for("the end of what was started", lambda: not marked(Path(scene).name), seconds=60)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def become_reaper() -> None:
    """Let children of dead parents come to this process, so that it can end them."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
