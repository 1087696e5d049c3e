"""The kinds of faults: what each breaks, for how long, and when it can be told that it hit something.

A fault begins at a moment that the schedule draws, and ends after :attr:`Fault.seconds`, when whatever it broke is mended:
a killed node is started again, a link joined, a disk emptied.
"""

import random
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from tests.chaos.nodes import Node
from tests.chaos.processes import kill
from tests.chaos.proxy import Mode
from tests.chaos.scene import Scene
from tests.chaos.work import Job

__all__ = ["ALL_KINDS", "STORE_KINDS", "ClockJumped", "DiskFull", "Fault", "kinds_for"]


class Fault(ABC):
    """One injected fault.

    Attributes:
        kind: Its name in the report.
        breaks: What it breaks; of that, one fault at a time.
        seconds: How long it lasts; 0 where killing is all of it.
        detail: What it met.
    """

    kind: ClassVar[str]
    breaks: ClassVar[str]
    seconds: float = 0.0
    detail: str = ""

    def __init__(self, scene: Scene, job: Job | None, rng: random.Random) -> None:
        self.scene, self.job, self.rng = scene, job, rng

    def possible(self) -> bool:
        """Whether there is something to break now."""
        return True

    @abstractmethod
    def begin(self) -> bool:
        """Break it; returns whether anything was there to break."""

    def end(self) -> bool:
        """Mend it; returns whether the fault has met anything."""
        return True


class _Kill(Fault):
    """Kills one process on a node."""

    breaks = "process"
    titles: ClassVar[tuple[str, ...]]

    def _found(self) -> list[int]:
        assert self.scene.cluster is not None
        return self.scene.cluster.running(*self.titles)

    def possible(self) -> bool:
        return bool(self._found())

    def begin(self) -> bool:
        found = self._found()
        return bool(found) and kill([self.rng.choice(found)]) == 1


class DriverKilled(_Kill):
    """SIGKILL of the job's own process."""

    kind = "driver killed"

    def _found(self) -> list[int]:
        return self.job.driver()[:1] if self.job is not None else []


class ActorKilled(_Kill):
    """SIGKILL of an actor that trains and evaluates trials."""

    kind = "trial actor killed"
    titles = ("ray::ResourceTrainable", "ray::Trial")


class TrainWorkerKilled(_Kill):
    """SIGKILL of a worker of a Ray Train group."""

    kind = "Train worker killed"
    titles = ("ray::RayTrainWorker", "ray::_RayTrainWorker", "ray::TrainWorker")


class TaskKilled(_Kill):
    """SIGKILL of a process that runs a part of a stage for Ray Data."""

    kind = "stage worker killed"
    titles = ("ray::MapBatches", "ray::ReadRange")


class RayletKilled(Fault):
    """SIGKILL of a node's raylet: its workers die with it, and Ray is started again on the node."""

    kind = "raylet killed"
    breaks = "node"

    def _nodes(self) -> list[tuple[Node, int]]:
        assert self.scene.cluster is not None
        found = [(node, node.running("raylet/raylet")) for node in self.scene.cluster.workers]
        return [(node, pids[0]) for node, pids in found if pids]

    def possible(self) -> bool:
        return len(self._nodes()) == 2

    def begin(self) -> bool:
        node, pid = self.rng.choice(self._nodes())
        self.detail = node.name
        return kill([pid]) == 1


class NodeKilled(RayletKilled):
    """SIGKILL of everything on a node, which stays away for some seconds and comes back empty."""

    kind = "node killed"

    def __init__(self, scene: Scene, job: Job | None, rng: random.Random) -> None:
        super().__init__(scene, job, rng)
        self.seconds = rng.uniform(1, 6)

    def begin(self) -> bool:
        assert self.scene.cluster is not None
        self.node, _ = self.rng.choice(self._nodes())
        self.detail = self.node.name
        self.scene.cluster.held.add(self.node.name)
        return self.node.kill() > 0

    def end(self) -> bool:
        assert self.scene.cluster is not None
        self.scene.cluster.held.discard(self.node.name)
        return True


class Partitioned(RayletKilled):
    """A node's link is down for some seconds: shorter or longer than the cluster's patience with it."""

    kind = "node partitioned"

    def __init__(self, scene: Scene, job: Job | None, rng: random.Random) -> None:
        super().__init__(scene, job, rng)
        self.seconds = rng.uniform(2, 16)

    def possible(self) -> bool:
        assert self.scene.cluster is not None
        return self.scene.cluster.namespaces and super().possible()

    def begin(self) -> bool:
        self.node, _ = self.rng.choice(self._nodes())
        self.detail = f"{self.node.name} for {self.seconds:.0f} s"
        self.node.link(up=False)
        return True

    def end(self) -> bool:
        self.node.link(up=True)
        return True


class MlflowKilled(Fault):
    """SIGKILL of the MLflow server, which is started again some seconds later."""

    kind = "MLflow killed"
    breaks = "tracking"

    def possible(self) -> bool:
        return self.scene.mlflow is not None and self.scene.mlflow.answers()

    def __init__(self, scene: Scene, job: Job | None, rng: random.Random) -> None:
        super().__init__(scene, job, rng)
        self.seconds = rng.uniform(0, 4)

    def begin(self) -> bool:
        assert self.scene.mlflow is not None
        self.scene.mlflow.crash()
        return True

    def end(self) -> bool:
        assert self.scene.mlflow is not None
        self.scene.mlflow.restart()
        return True


class PostgresStopped(Fault):
    """PostgreSQL stands still for 20 s, while its connections stay open."""

    kind = "PostgreSQL stopped 20 s"
    breaks = "tracking"
    seconds = 20.0

    def begin(self) -> bool:
        assert self.scene.postgres is not None
        self.scene.postgres.pause()
        return True

    def end(self) -> bool:
        assert self.scene.postgres is not None
        self.scene.postgres.go_on()
        return True


class PostgresKilled(Fault):
    """SIGKILL of PostgreSQL, which recovers from its log when it is started again."""

    kind = "PostgreSQL killed"
    breaks = "tracking"
    seconds = 2.0

    def begin(self) -> bool:
        assert self.scene.postgres is not None
        self.scene.postgres.crash()
        return True

    def end(self) -> bool:
        assert self.scene.postgres is not None
        self.scene.postgres.restart()
        return True


class ObjectStoreFails(Fault):
    """The object store fails for some seconds, in one of the proxy's ways."""

    breaks = "store"
    mode: ClassVar[Mode]
    shortest: ClassVar[float] = 1.0
    longest: ClassVar[float] = 5.0

    def __init__(self, scene: Scene, job: Job | None, rng: random.Random) -> None:
        super().__init__(scene, job, rng)
        self.seconds = rng.uniform(self.shortest, self.longest)

    def begin(self) -> bool:
        proxy = self.scene.store.proxy
        self.before, proxy.mode = proxy.hits, self.mode
        return True

    def end(self) -> bool:
        proxy = self.scene.store.proxy
        proxy.mode = "through"
        self.detail = f"{self.seconds:.1f} s, {proxy.hits - self.before} requests met"
        return proxy.hits > self.before


class ObjectStoreRefuses(ObjectStoreFails):
    """Every request is answered with 503."""

    kind = "S3 answers 503"
    mode = "503"


class ObjectStoreSilent(ObjectStoreFails):
    """No request is answered, and its connection is closed at the end."""

    kind = "S3 is silent"
    mode = "silence"


class ObjectStoreCut(ObjectStoreFails):
    """Every answer ends somewhere in its middle."""

    kind = "S3 cuts answers"
    mode = "cut"


class ObjectStoreSlow(ObjectStoreFails):
    """Every answer comes late."""

    kind = "S3 is slow"
    mode = "slow"
    shortest, longest = 3.0, 8.0


class DiskFull(Fault):
    """The disk of the workspace is full for some seconds, but for some bytes."""

    kind = "disk full"
    breaks = "disk"

    def __init__(self, scene: Scene, job: Job | None, rng: random.Random) -> None:
        super().__init__(scene, job, rng)
        self.seconds = rng.uniform(0.5, 5)
        self.ballast = scene.disk / "ballast"

    def possible(self) -> bool:
        return self.scene.disk_is_small and not self.ballast.exists()

    def begin(self) -> bool:
        free = self.rng.choice([0, 0, 4096, self.rng.randrange(1 << 18)])
        self.detail = f"{self.seconds:.1f} s, {free} bytes left"
        fill(self.ballast, free)
        return True

    def end(self) -> bool:
        self.ballast.unlink(missing_ok=True)
        return True


def fill(ballast: Path, free: int) -> None:
    """Write a file that leaves so many bytes of its disk."""
    block = b"\0" * (1 << 20)
    with ballast.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(block)
        except OSError:  # the disk is full: that is what it is for
            pass
        size = stream.tell()
        stream.truncate(max(0, size - free))


class ClockJumped(Fault):
    """The driver's clock jumps by up to a month, forth or back."""

    kind = "clock jumped"
    breaks = "clock"

    def possible(self) -> bool:
        return self.scene.clock is not None and self.job is not None and bool(self.job.driver())

    def begin(self) -> bool:
        offset = self.rng.choice([-1, 1]) * self.rng.choice([90, 3600, 86400, 30 * 86400])
        self.detail = f"{offset:+d} s"
        if self.scene.clock is None:
            return False
        self.scene.clock.move(offset)
        return True


STORE_KINDS: tuple[type[ObjectStoreFails], ...] = (
    ObjectStoreRefuses,
    ObjectStoreSilent,
    ObjectStoreCut,
    ObjectStoreSlow,
)
PROCESS_KINDS: tuple[type[Fault], ...] = (DriverKilled, ActorKilled, TrainWorkerKilled, TaskKilled)
NODE_KINDS: tuple[type[Fault], ...] = (RayletKilled, NodeKilled, Partitioned)
SERVICE_KINDS: tuple[type[Fault], ...] = (MlflowKilled, PostgresStopped, PostgresKilled)
CLUSTER_KINDS: tuple[type[Fault], ...] = (*PROCESS_KINDS, *NODE_KINDS, *SERVICE_KINDS, ClockJumped)


def kinds_for(*, remote: bool) -> tuple[type[Fault], ...]:
    """What can befall a job whose workspace is on the object store, or on the disk."""
    return (*CLUSTER_KINDS, *(STORE_KINDS if remote else (DiskFull,)))


ALL_KINDS = tuple(dict.fromkeys(kind.kind for remote in (True, False) for kind in kinds_for(remote=remote)))
