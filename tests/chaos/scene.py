"""Everything that a round needs, started once and kept over the rounds: store, database, MLflow, cluster, and a small disk."""

import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.chaos.clock import Clock, build
from tests.chaos.isolation import isolated
from tests.chaos.nodes import Cluster, make_bridge
from tests.chaos.processes import MARKER
from tests.chaos.services import KEYS, Mlflow, ObjectStore, Postgres, in_parallel
from tests.chaos.warm import Warm

__all__ = ["EXPERIMENT", "GROUPS", "ROOT", "SPACE", "Scene", "base_environment", "opened"]

ROOT = Path(__file__).parents[2]
DISK_BYTES = 64 << 20
HASTE = 30.0  # how much faster than time a training's clock runs: it saves its state about once a minute
# Small enough that trials take seconds, and long enough that a fault can hit one between two steps.
EXPERIMENT: dict[str, dict[str, Any]] = {
    "corpus": {"train": "train", "validate": {"share": 0.2, "seed": 0}, "evaluate": "dev"},
    "encoder": {
        "family": "lexical",
        "model": "tiny",
        "layers": 1,
        "hidden_size": 32,
        "query_tokens": 48,
        "passage_tokens": 64,
    },
    "teacher": {"names": ["synthetic"], "top_k": 100},
    "sampling": {"count": 8, "window": [0, 50]},
    "objective": {"positive_score": "pool_max"},
    "regularization": {"query": "l1", "query_weight": 0.001},
    "training": {"epochs": 4, "batch_turns": 16, "learning_rate": 1.0e-3, "head_learning_rate_factor": 40.0},
    "evaluation": {"top_k": 100},
}
# A grid: whatever is interrupted, the same configurations are tried, and trials compare by their configuration.
SPACE: dict[str, Any] = EXPERIMENT | {
    "search": {"objective.contrastive_weight": [0.0, 0.1, 0.2], "sampling.count": [4, 8]},
    "objectives": {"R@100": "max", "FLOPS": "min"},
    "sampler": "grid",
}
# Fewer: every trial starts a group of its own.
GROUPS: dict[str, Any] = SPACE | {
    "search": {"objective.contrastive_weight": [0.1], "sampling.count": [4, 8]},
    "training": {**EXPERIMENT["training"], "workers": 2},
}


@dataclass
class Scene:
    """What the rounds play on.

    Attributes:
        folder: Of everything that is written here; removed at the end.
        environment: Of every process that the suite starts.
        host: The suite's own address, where the services listen.
        store: The object store.
        package: The source root of the package, at one path on all nodes.
        job: The working directory of the jobs: the entry points and the search spaces.
        warm: Runs commands.
        hasty: Runs commands for which time passes faster.
        disk: The shared folder of local workspaces; a small file system of its own where namespaces are.
        disk_is_small: Whether :attr:`disk` can be filled.
        postgres: None until the scene is opened with a cluster; so are the next two.
        pace: Seconds that starting all of it took: what this machine needs today.
        clock_library: What lets a driver's clock jump; None where it cannot be compiled.
        clock: That of the driver that runs.
    """

    folder: Path
    environment: dict[str, str]
    host: str
    store: ObjectStore
    package: Path
    job: Path
    warm: Warm
    hasty: Warm
    disk: Path
    disk_is_small: bool
    postgres: Postgres | None = None
    mlflow: Mlflow | None = None
    cluster: Cluster | None = None
    pace: float = 0.0
    clock_library: Path | None = None
    clock: Clock | None = None

    def tracking(self, *, remote: bool) -> dict[str, str]:
        """Where MLflow is for a command: a workspace on the object store cannot hold its database."""
        return {"MLFLOW_TRACKING_URI": self.mlflow.url} if remote and self.mlflow is not None else {}

    def runner(self, command: str) -> Warm:
        """What runs a command: a training saves its state once a minute, and would have ended before."""
        return self.hasty if command == "distill" else self.warm


def base_environment(folder: Path) -> dict[str, str]:
    """What every process gets, whatever the caller's shell has set."""
    dropped = ("RAY_", "MLFLOW_", "AWS_", "RETORT_CHAOS_NODE", "PYTHONPATH", "COVERAGE_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    token = folder / "auth_token"
    token.write_text(uuid.uuid4().hex, encoding="utf-8")
    token.chmod(0o600)
    return environment | {
        MARKER: folder.name,
        "HOME": str(folder / "home"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "NUMBA_CACHE_DIR": str(folder / "numba"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "RAY_TMPDIR": str(folder / "ray"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",  # by default workers yield to all else on a machine, and stand still on a busy one
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        # A node counts as dead after 3 unanswered questions, 10 s, where Ray's own patience is half a minute.
        "RAY_health_check_initial_delay_ms": "2000",
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_timeout_ms": "3000",
        "RAY_health_check_failure_threshold": "3",
        "RAY_agent_register_timeout_ms": "120000",  # a raylet ends itself if its agents start more slowly
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **KEYS,
    }


@contextmanager
def opened(folder: Path, *, seed: int, with_cluster: bool) -> Iterator[Scene]:
    """Open the scene, and close it whatever happens.

    Args:
        folder: An empty folder with a short path: Ray's sockets are below.
        seed: Of the proxy's cuts.
        with_cluster: Start PostgreSQL, MLflow and the cluster too.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        environment = base_environment(folder)
        os.environ.update({name: value for name, value in environment.items() if name.startswith("RAY_")})
        (folder / "home").mkdir()
        host = make_bridge(folder) if isolated() else "127.0.0.1"
        store = ObjectStore(folder, environment, host, seed)
        stack.callback(store.close)
        environment |= {"AWS_ENDPOINT_URL": store.endpoint}
        disk = folder / "disk"
        disk.mkdir()
        if isolated():
            mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "chaos", str(disk)]
            subprocess.run(mount, check=True)
        package = _package(folder)
        of_commands = environment | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(package)])}
        warm = Warm(of_commands, folder / "command.log")
        stack.callback(warm.close)
        hasty = Warm(of_commands, folder / "hasty.log", haste=HASTE)
        stack.callback(hasty.close)
        scene = Scene(folder, environment, host, store, package, _job(folder), warm, hasty, disk, isolated())
        scene.clock_library = build(folder)
        if scene.clock_library is None:
            print("no C compiler: no clock jumps", flush=True)
        if with_cluster:
            _start_cluster(scene, stack)
        scene.pace = time.monotonic() - began
        yield scene


def _package(folder: Path) -> Path:
    """A copy of the package, so that a run is of one state of it."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    return Path(shutil.copytree(ROOT / "platform", folder / "platform", ignore=ignore))


def _job(folder: Path) -> Path:
    job = folder / "job"
    shutil.copytree(ROOT / "jobs", job / "jobs", ignore=shutil.ignore_patterns("__pycache__"))
    for name, settings in (("space", SPACE), ("groups", GROUPS), ("experiment", EXPERIMENT)):
        (job / f"{name}.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return job


def _start_cluster(scene: Scene, stack: ExitStack) -> None:
    environment = scene.environment
    scene.postgres = postgres = Postgres(scene.folder, environment)
    stack.callback(postgres.close)

    def mlflow() -> None:
        scene.mlflow = Mlflow(scene.folder, environment, scene.host, postgres, scene.store)
        stack.callback(scene.mlflow.close)

    def cluster() -> None:
        # A sweep's driver reads where MLflow is from the environment of its job, as docs/cluster.md has it.
        scene.cluster = Cluster(scene.folder, environment, namespaces=isolated())
        stack.callback(scene.cluster.close)
        scene.cluster.start()

    in_parallel(mlflow, cluster)
