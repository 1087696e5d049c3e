"""What ``retort ui`` starts: MLflow's server and Optuna's dashboard, each under a supervisor that ends it with this process.

Neither gets a secret as an argument, which every user of the machine can read; what they print passes through here, where
secrets are taken out.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from retort.cli import supervised
from retort.cli.shared import open_tracker, say

if TYPE_CHECKING:
    from retort.storage import Workspace

__all__ = ["serve", "supervise"]

# Of the supervisor: it tells the server, waits, kills, and does so once more with what the server had started.
END_SECONDS: Final = 4 * supervised.GRACE_SECONDS


def serve(workspace: "Workspace", port: int, *, optuna: bool) -> int:
    """Serve until interrupted; returns MLflow's exit code, or the dashboard's where MLflow has a server already.

    Args:
        workspace: Whose runs and sweeps.
        port: MLflow's; the dashboard has the next.
        optuna: Start the dashboard too.
    """
    from retort.tracking import default_tracking_uri, public_uri

    uri = default_tracking_uri(workspace)
    page = open_tracker(workspace).page
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        dashboard = _dashboard(workspace, port + 1, Path(folder)) if optuna else None
        shown = None if dashboard is None else stack.enter_context(supervise(dashboard, told=False))
        if uri.startswith("http"):
            say(f"MLFLOW_TRACKING_URI names a server: open {public_uri(uri)}/{page}")
            return 0 if shown is None else shown.wait()
        say(f"http://127.0.0.1:{port}/{page}\n  shows {public_uri(uri)} in half a minute (Ctrl-C ends it)")
        sys.stdout.flush()
        # One worker: each takes half a gigabyte and seconds to start, and one person looks.
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
        environment = {"MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_DISABLE_TELEMETRY": "true"}
        return stack.enter_context(supervise(command, environment)).wait()


@contextmanager
def supervise(
    command: Sequence[str], environment: Mapping[str, str] | None = None, *, told: bool = True
) -> Iterator["subprocess.Popen[str]"]:
    """Run a server, and end it with everything that it has started when the block is left, or this process is killed.

    Args:
        command: The server's.
        environment: Variables beside this process's own: where secrets belong.
        told: Pass on what the server prints, on standard error and without secrets.
    """
    process = subprocess.Popen(
        [sys.executable, supervised.__file__, *command],
        env={**os.environ, **(environment or {})},
        stdin=subprocess.PIPE,  # its other end closes when this process ends, however it does
        stdout=subprocess.PIPE if told else subprocess.DEVNULL,
        stderr=subprocess.STDOUT if told else subprocess.DEVNULL,
        text=True,
        errors="replace",
        start_new_session=True,  # Control-C is for this process, which ends the others in order
    )
    teller = threading.Thread(target=_tell, args=(process,), daemon=True)
    teller.start()
    try:
        yield process
    finally:
        assert process.stdin is not None, "it is a pipe"
        process.stdin.close()
        try:
            process.wait(END_SECONDS)
        finally:
            process.kill()
            process.wait()
            teller.join(supervised.GRACE_SECONDS)
            if process.stdout is not None:
                process.stdout.close()


def _tell(process: "subprocess.Popen[str]") -> None:
    for line in process.stdout or ():
        sys.stderr.write(line)


def _dashboard(workspace: "Workspace", port: int, folder: Path) -> list[str] | None:
    if importlib.util.find_spec("optuna_dashboard") is None:
        say("Optuna's dashboard is not installed: pip install optuna-dashboard shows the sweeps there too")
        return None
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    from retort.search.study import write_studies

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # A copy: the workspace's own trials are files, and the dashboard writes notes into what it shows.
    path = folder / "studies.journal"
    studies = write_studies(workspace, JournalStorage(JournalFileBackend(str(path))))
    if not studies:
        say("no sweep has a trial yet: Optuna's dashboard has nothing to show")
        return None
    say(f"http://127.0.0.1:{port} shows Optuna's dashboard of {', '.join(studies)}, as they are now")
    return [sys.executable, "-m", "optuna_dashboard._cli", str(path), "--port", str(port)]
