"""Rounds: a piece of work, disturbed by a schedule of faults, continued until it is done, and judged.

What happens is drawn from the round's own random numbers; when exactly it meets the work depends on the machine.
"""

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.faults import STORE_KINDS, DiskFull, Fault, kinds_for
from tests.chaos.processes import command_of, ended, kill, wait_for
from tests.chaos.reference import CORPUS, DISTIL, EVALUATE, Reference, command, job_words, place
from tests.chaos.scene import Scene
from tests.chaos.services import BUCKET
from tests.chaos.verdict import Trials, Verdict, half_written, read
from tests.chaos.warm import Warm
from tests.chaos.work import CLOCK, Job, submit

__all__ = ["KINDS_OF_ROUNDS", "SMALL_ROUNDS", "Done", "Plan", "play"]

COMMAND_KILLED = "command killed"
WORKING = ("ray::Trial", "ray::ResourceTrainable", "TrainWorker", "ray::MapBatches", "python jobs/")
ATTEMPT_SECONDS = 300.0
CALM_ATTEMPTS = 4
LONG = 10.0  # seconds
LASTING = {"import": 0.5, "distill": 5.0, "evaluate": 1.0}  # seconds of a command, until one was measured


@dataclass(frozen=True)
class Plan:
    """What a round does.

    Attributes:
        work: ``commands``, ``prepare`` or ``sweep``.
        remote: On the object store, or on the shared disk.
        workers: Train workers of a trial; 0: a trial trains in its actor.
        faults: How many to inject, at most.
        brief: Leave out faults that last for long.
    """

    work: str
    remote: bool
    workers: int = 0
    faults: int = 12
    brief: bool = False

    @property
    def name(self) -> str:
        """In words."""
        where = "on S3" if self.remote else "on a shared folder"
        return f"{self.work}{' on two Train workers' if self.workers else ''} {where}"


KINDS_OF_ROUNDS = (
    Plan("commands", remote=False, faults=24),
    Plan("sweep", remote=True),
    Plan("commands", remote=True, faults=16),
    Plan("sweep", remote=False),
    Plan("prepare", remote=True, faults=8),
    Plan("sweep", remote=True, workers=2),
    Plan("prepare", remote=False, faults=8),
    Plan("sweep", remote=False, workers=2),
)
SMALL_ROUNDS = (
    Plan("commands", remote=False, faults=6),
    Plan("sweep", remote=True, faults=5, brief=True),
    Plan("commands", remote=True, faults=4),
)


@dataclass
class Done:
    """A round that was played; one line of the results.

    Attributes:
        plan: What it did.
        seed: Of its random numbers.
        faults: Kind, second, detail and whether something was met, for each.
        attempts: How often the work was started.
        verdict: What it came to.
        seconds: How long it took.
        log: The ends of what failing attempts printed.
    """

    plan: Plan
    seed: str
    faults: list[dict[str, Any]] = field(default_factory=list)
    attempts: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    seconds: float = 0.0
    log: list[str] = field(default_factory=list)

    def counts(self) -> Counter[str]:
        """Faults that met something, by kind."""
        return Counter(fault["kind"] for fault in self.faults if fault["hit"])

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


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
        self.next = self.began + rng.uniform(0.5, 4)

    @property
    def spent(self) -> bool:
        """Whether no fault is left."""
        return self.budget <= 0

    def tick(self, job: Job | None) -> None:
        """End what is over, and begin a fault if it is time."""
        now = time.monotonic()
        self._end(lambda until: until <= now)
        if self.scene.cluster is not None:
            self.scene.cluster.mend()
        if now < self.next or self.spent or len(self.active) >= 2:
            return
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
def _scheduled(schedule: Schedule) -> Iterator[Schedule]:
    try:
        yield schedule
    finally:
        schedule.abandon()


def play(
    plan: Plan,
    scene: Scene,
    warm: Warm,
    reference: Reference,
    seed: str,
    known: Counter[str],
    say: Callable[[str], None],
) -> Done:
    """Play one round and judge it."""
    began = time.monotonic()
    done = Done(plan, seed)
    rng = random.Random(seed)
    name = "round-" + "".join(character if character.isalnum() else "-" for character in seed)
    if plan.work == "commands":
        _commands(done, scene, warm, reference, rng, name, known, say)
    else:
        _jobs(done, scene, reference, rng, name, known, say)
    done.seconds = round(time.monotonic() - began, 1)
    return done


# -- jobs on the cluster ------------------------------------------------------------------------------------------------


def _jobs(
    done: Done,
    scene: Scene,
    reference: Reference,
    rng: random.Random,
    name: str,
    known: Counter[str],
    say: Callable[[str], None],
) -> None:
    plan, verdict = done.plan, done.verdict
    target = place(scene, name, remote=plan.remote)
    what = "prepared" if plan.work == "prepare" else "swept2" if plan.workers else "swept"
    reference.copy("imported" if plan.work == "prepare" else "prepared", target, scene)
    script, words = job_words(what, target)
    before = _own_clock(scene, name) if plan.work == "sweep" and Path(CLOCK).exists() else ""
    finished: Trials = {}
    calm = 0
    kinds = tuple(kind for kind in kinds_for(remote=plan.remote) if not (plan.brief and kind.seconds >= LONG))
    with _scheduled(Schedule(scene, kinds, known, plan.faults, rng, done)) as schedule:
        while True:
            calm += schedule.spent
            again = ["--resume"] if done.attempts and plan.work == "sweep" else []
            job = submit(scene, script, [*words, *again], before=before)
            done.attempts += 1
            ended_well = _attempt(job, schedule)
            schedule.settle()
            verdict.orphans += _orphans(scene, name)
            finished = verdict.watch(read(target, scene.store.client()), finished)
            say(f"attempt {done.attempts}: {job.status()}; {len(done.faults)} faults, {len(finished)} trials finished")
            if ended_well:
                break
            done.log.append(job.log()[-1500:])
            if calm >= CALM_ATTEMPTS:
                verdict.unfinished.append(f"after {calm} undisturbed attempts: {job.log()[-1500:]}")
                break
    scene.clocks.clear()
    verdict.conclude(reference.contents(what), read(target, scene.store.client()))
    _remove(scene, target)


def _attempt(job: Job, schedule: Schedule) -> bool:
    """Disturb a job until it has ended; returns whether it ended well."""
    until = time.monotonic() + ATTEMPT_SECONDS
    while not job.ended():
        schedule.tick(job)
        time.sleep(0.2)
        if time.monotonic() > until:
            schedule.done.verdict.unfinished.append(f"stopped after {ATTEMPT_SECONDS:.0f} s: {job.log()[-500:]}")
            job.stop()
            return False
    return job.succeeded()


def _own_clock(scene: Scene, name: str) -> str:
    """What gives a driver a clock that can be moved; other processes keep the machine's."""
    clock = scene.folder / f"clock-{name}"
    clock.write_text("+0\n", encoding="utf-8")
    scene.clocks.append(clock)
    variables = {
        "LD_PRELOAD": CLOCK,
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    return "env " + " ".join(f"{key}={value}" for key, value in variables.items())


def _orphans(scene: Scene, name: str) -> list[str]:
    """What still works for a job that has ended, after a while; it is ended here."""
    assert scene.cluster is not None
    cluster = scene.cluster
    try:
        wait_for("an end", lambda: not cluster.running(*WORKING), seconds=30, every=0.5)
    except TimeoutError:
        found = cluster.running(*WORKING)
        told = [command_of(pid)[:120] for pid in found]
        kill(found)
        return told
    return []


# -- commands on this machine -------------------------------------------------------------------------------------------


def _commands(
    done: Done,
    scene: Scene,
    warm: Warm,
    reference: Reference,
    rng: random.Random,
    name: str,
    known: Counter[str],
    say: Callable[[str], None],
) -> None:
    """Import, distil and evaluate by turns, each interrupted a few times and then continued to its end."""
    counts, lasting = Counter(known), dict(LASTING)
    stages: tuple[tuple[tuple[str, ...], str | None, str], ...] = (
        (CORPUS, None, "imported"),
        (DISTIL, "prepared", "distilled"),
        (EVALUATE, "prepared", "evaluated"),
    )
    number = 0
    while len(done.faults) < done.plan.faults:
        words, before, after = stages[number % len(stages)]
        target = place(scene, f"{name}-{number}", remote=done.plan.remote)
        reference.copy(before, target, scene)
        for _ in range(min(rng.randint(2, 5), done.plan.faults - len(done.faults))):
            if _interrupted(done, scene, warm, rng, command(words, scene, target), counts, lasting) == 0:
                break
            _look(done, target, scene)
        began = time.monotonic()
        warm.begin(command(words, scene, target))
        done.attempts += 1
        code = warm.wait()
        lasting[words[0]] = max(0.3, time.monotonic() - began)
        if code:
            done.verdict.unfinished.append(f"{after}: exit status {code}: {warm.printed()[-800:]}")
        else:
            done.verdict.conclude(reference.contents(after), read(target, scene.store.client()))
        _remove(scene, target)
        number += 1
    say(f"{number} commands, {len(done.faults)} faults")


def _interrupted(
    done: Done,
    scene: Scene,
    warm: Warm,
    rng: random.Random,
    words: list[str],
    counts: Counter[str],
    lasting: dict[str, float],
) -> int:
    """Run a command and break something; returns its exit status."""
    began = time.monotonic()
    pid = warm.begin(words)
    done.attempts += 1
    kinds: tuple[type[Fault], ...] = STORE_KINDS if done.plan.remote else (DiskFull,) if scene.disk_is_small else ()
    names = [COMMAND_KILLED, *(kind.kind for kind in kinds)]
    chosen = rng.choices(names, [1.0 / (1 + counts[name]) for name in names])[0]
    _sleep_while(pid, rng.uniform(0, lasting[words[0]]))
    noted: dict[str, Any] = {"kind": chosen, "at": round(time.monotonic() - began, 2), "detail": words[0]}
    if chosen == COMMAND_KILLED:
        noted["hit"] = not ended(pid) and kill([pid]) == 1
        code = warm.wait()
    else:
        fault = next(kind for kind in kinds if kind.kind == chosen)(scene, None, rng)
        begun = fault.begin()
        _sleep_while(pid, fault.seconds)
        met = fault.end() and begun
        code = warm.wait()
        # A command that ended well wrote nothing while its disk was full.
        noted["hit"] = met and (chosen != DiskFull.kind or code != 0)
        noted["detail"] = f"{words[0]}: {fault.detail}"
    noted["code"] = code
    done.faults.append(noted)
    counts[chosen] += 1
    printed = warm.printed()
    if "Traceback (most recent call last)" in printed:
        done.verdict.tracebacks.append(f"{words[0]}, {chosen}: {printed.strip().splitlines()[-1][:300]}")
        done.log.append(printed[-3000:])
    return code


def _sleep_while(pid: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not ended(pid):
        time.sleep(0.01)


def _look(done: Done, target: str, scene: Scene) -> None:
    done.verdict.half_written += half_written(read(target, scene.store.client()))


def _remove(scene: Scene, target: str) -> None:
    if not target.startswith("s3://"):
        shutil.rmtree(Path(target).parent, ignore_errors=True)
        return
    client, prefix = scene.store.client(), target.removeprefix(f"s3://{BUCKET}/")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
        for entry in page.get("Contents", ()):
            client.delete_object(Bucket=BUCKET, Key=entry["Key"])
