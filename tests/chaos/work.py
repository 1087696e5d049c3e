"""Work for a round to disturb: jobs that are submitted to the cluster, and commands as processes of this machine."""

import time
from dataclasses import dataclass
from typing import Any

from tests.chaos.processes import command_of
from tests.chaos.scene import Scene

__all__ = ["Job", "submit"]


@dataclass
class Job:
    """A submitted job.

    Attributes:
        scene: Where it runs.
        id: Ray's name of it.
        script: Its entry point, by which its process is found.
    """

    scene: Scene
    id: str
    script: str
    client: Any

    def driver(self) -> list[int]:
        """The driver's own process, without the shell before it."""
        assert self.scene.cluster is not None
        pids = self.scene.cluster.head.running(self.script)
        return [pid for pid in pids if "python" in command_of(pid).split(" ", 1)[0]]

    def status(self) -> str:
        """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED; empty where the cluster does not answer."""
        try:
            return str(self.client.get_job_status(self.id).value)
        except (RuntimeError, OSError):
            return ""

    def ended(self) -> bool:
        """Whether it has ended."""
        return self.status() in ("SUCCEEDED", "FAILED", "STOPPED")

    def succeeded(self) -> bool:
        """Whether it has ended well."""
        return self.status() == "SUCCEEDED"

    def log(self) -> str:
        """What it has printed."""
        return str(self.client.get_job_logs(self.id))

    def stop(self) -> None:
        """Stop it and wait until it has ended."""
        self.client.stop_job(self.id)
        until = time.monotonic() + 30
        while not self.ended() and time.monotonic() < until:
            time.sleep(0.2)


def submit(scene: Scene, script: str, words: list[str], *, before: str = "") -> Job:
    """Submit a job as ``ray job submit`` does.

    Args:
        scene: Where.
        script: The entry point, ``jobs/run_sweep.py``.
        words: Its arguments.
        before: Put before the entry point: variables of the driver alone.
    """
    from ray.job_submission import JobSubmissionClient

    assert scene.cluster is not None and scene.mlflow is not None
    client = JobSubmissionClient(scene.cluster.dashboard)
    # One path on all nodes, as where Retort is installed on them: what numba compiles is found by its source's path and time.
    variables = {"PYTHONPATH": str(scene.package), "MLFLOW_TRACKING_URI": scene.mlflow.url}
    entry = " ".join(part for part in (before, "python", script, *words) if part)
    found = client.submit_job(entrypoint=entry, runtime_env={"working_dir": str(scene.job), "env_vars": variables})
    return Job(scene, found, script, client)
