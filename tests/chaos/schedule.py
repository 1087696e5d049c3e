"""When which fault begins and ends while a job runs."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.chaos.faults import Fault
from tests.chaos.plans import Done
from tests.chaos.scene import Scene
from tests.chaos.work import Job

__all__ = ["AT_WORK", "Schedule", "scheduled"]

AT_WORK = (
    "ray::Trial",
    "ray::ResourceTrainable",
    "TrainWorker",
    "ray::MapBatches",
)  # what works for a job on the nodes
PATIENT = 0.7  # of the attempts


class Schedule:
    """Begins and ends the faults of one round.

    Args:
        scene: What is broken.
        kinds: What may happen.
        known: How often each kind has happened in earlier rounds: what was rare is drawn more often.
        budget: How many faults.
        rng: The round's random numbers.
        done: Where the faults are noted.
    """

    def __init__(
        self,
        scene: Scene,
        kinds: tuple[type[Fault], ...],
        known: Counter[str],
        budget: int,
        rng: random.Random,
        done: Done,
    ) -> None:
        self.scene, self.kinds, self.known = scene, kinds, Counter(known)
        self.budget, self.rng, self.done = budget, rng, done
        self.active: list[tuple[float, Fault, dict[str, Any]]] = []
        self.began = time.monotonic()
        self.next, self.patient = self.began, False

    @property
    def spent(self) -> bool:
        """Whether no fault is left."""
        return self.budget <= 0

    def attempt(self) -> None:
        """Tell that the work is started again: mostly, faults wait until it is at work and not still starting."""
        self.patient = self.rng.random() < PATIENT
        self.next = time.monotonic() + self.rng.uniform(0.5, 5)

    def tick(self, job: Job | None) -> None:
        """End what is over, and begin a fault if it is time."""
        now = time.monotonic()
        self._end(lambda until: until <= now)
        if self.scene.cluster is not None:
            self.scene.cluster.mend()
        if now < self.next or self.spent or len(self.active) >= 2:
            return
        if self.patient:
            if self.scene.cluster is not None and not self.scene.cluster.running(*AT_WORK):
                return
            self.patient = False
        self.next = now + self.rng.uniform(0.5, 5)
        broken = {fault.breaks for _, fault, _ in self.active}
        drawn = [kind(self.scene, job, self.rng) for kind in self.kinds if kind.breaks not in broken]
        possible = [fault for fault in drawn if fault.possible()]
        if not possible:
            return
        weights = [1.0 / (1 + self.known[fault.kind]) for fault in possible]
        fault = self.rng.choices(possible, weights)[0]
        noted: dict[str, Any] = {"kind": fault.kind, "at": round(now - self.began, 1), "hit": fault.begin()}
        self.done.faults.append(noted)
        self.known[fault.kind] += 1
        self.budget -= 1
        if fault.seconds:
            self.active.append((time.monotonic() + fault.seconds, fault, noted))
        noted["detail"] = fault.detail

    def settle(self) -> None:
        """Wait until every fault is over, and what it broke is there again."""
        while self.active:
            self.tick_only_ends()
            time.sleep(0.05)
        if self.scene.mlflow is not None:
            self.scene.mlflow.restart()
            self.scene.mlflow.wait()
        if self.scene.cluster is not None:
            self.scene.cluster.wait()

    def tick_only_ends(self) -> None:
        """End what is over."""
        now = time.monotonic()
        self._end(lambda until: until <= now)
        if self.scene.cluster is not None:
            self.scene.cluster.mend()

    def abandon(self) -> None:
        """End every fault at once."""
        self._end(lambda until: True)

    def _end(self, over: Callable[[float], bool]) -> None:
        for entry in [entry for entry in self.active if over(entry[0])]:
            self.active.remove(entry)
            _, fault, noted = entry
            noted["hit"] = fault.end() and noted["hit"]
            noted["detail"] = fault.detail


@contextmanager
def scheduled(schedule: Schedule) -> Iterator[Schedule]:
    """The schedule, whose faults end with the block whatever happens."""
    try:
        yield schedule
    finally:
        schedule.abandon()
