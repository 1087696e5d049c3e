"""What ``retort ui`` starts: MLflow's server and Optuna's dashboard, each a process of its own, ended together."""

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from retort.cli.shared import open_tracker, say

if TYPE_CHECKING:
    from retort.storage import Workspace

__all__ = ["serve"]


def serve(workspace: "Workspace", port: int, *, optuna: bool) -> int:
    """Serve until interrupted; returns MLflow's exit code, or the dashboard's where MLflow has a server already.

    Args:
        workspace: Whose runs and sweeps.
        port: MLflow's; the dashboard has the next.
        optuna: Start the dashboard too.
    """
    from retort.tracking import default_tracking_uri, without_credentials

    uri = default_tracking_uri(workspace)
    page = open_tracker(workspace).page
    with tempfile.TemporaryDirectory() as folder:
        dashboard = _dashboard(workspace, port + 1, Path(folder)) if optuna else None
        try:
            if uri.startswith("http"):
                say(f"MLFLOW_TRACKING_URI names a server: open {without_credentials(uri)}/{page}")
                return 0 if dashboard is None else dashboard.wait()
            say(f"http://127.0.0.1:{port}/{page}\n  shows {without_credentials(uri)} in half a minute (Ctrl-C ends it)")
            # One worker: each takes half a gigabyte and seconds to start, and one person looks.
            command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--workers", "1"]
            command += ["--port", str(port)]
            environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
            return subprocess.run(command, env=environment, check=False).returncode
        finally:
            if dashboard is not None:
                dashboard.terminate()
                dashboard.wait()


def _dashboard(workspace: "Workspace", port: int, folder: Path) -> "subprocess.Popen[bytes] | None":
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
    command = [sys.executable, "-m", "optuna_dashboard._cli", str(path), "--port", str(port)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
