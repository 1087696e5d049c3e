"""Rounds of jobs on the cluster: submitted, disturbed, and submitted again until they end well."""

import random
import time
from collections import Counter
from collections.abc import Callable

from tests.chaos.clock import Clock
from tests.chaos.faults import kinds_for
from tests.chaos.plans import Done
from tests.chaos.processes import command_of, kill, wait_for
from tests.chaos.reference import Reference, job_words, place, remove
from tests.chaos.scene import Scene
from tests.chaos.schedule import AT_WORK, Schedule, scheduled
from tests.chaos.verdict import Trials, read
from tests.chaos.work import Job, submit

__all__ = ["disturb_jobs"]

WORKING = (*AT_WORK, "python jobs/")
ATTEMPT_SECONDS = 300.0  # a job that takes longer hangs
ATTEMPT_STARTS = 8  # or as many times what starting the cluster took, on a busy machine
CALM_ATTEMPTS = 4
LONG = 10.0  # seconds


def disturb_jobs(
    done: Done,
    scene: Scene,
    reference: Reference,
    rng: random.Random,
    name: str,
    known: Counter[str],
    say: Callable[[str], None],
) -> None:
    """Play a round of ``prepare`` or ``sweep``."""
    plan, verdict = done.plan, done.verdict
    target = place(scene, name, remote=plan.remote)
    what = "prepared" if plan.work == "prepare" else "swept2" if plan.workers else "swept"
    reference.copy("imported" if plan.work == "prepare" else "prepared", target, scene)
    script, words = job_words(what, target)
    before = ""
    if plan.work == "sweep" and scene.clock_library is not None:
        scene.clock = Clock(scene.clock_library, scene.folder / f"clock-{name}")
        before = " ".join(["env", *(f"{key}={value}" for key, value in scene.clock.variables.items())])
    finished: Trials = {}
    calm = 0
    kinds = tuple(kind for kind in kinds_for(remote=plan.remote) if not (plan.brief and kind.seconds >= LONG))
    with scheduled(Schedule(scene, kinds, known, plan.faults, rng, done)) as schedule:
        while True:
            calm += schedule.spent
            again = ["--resume"] if done.attempts and plan.work == "sweep" else []
            job = submit(scene, script, [*words, *again], before=before)
            done.attempts += 1
            ended_well = _attempt(job, schedule)
            schedule.settle()
            verdict.orphans += _orphans(scene)
            finished = verdict.watch(read(target, scene.store.client()), finished)
            say(f"attempt {done.attempts}: {job.status()}; {len(done.faults)} faults, {len(finished)} trials finished")
            if ended_well:
                break
            done.log.append(job.log()[-1500:])
            if calm >= CALM_ATTEMPTS:
                verdict.unfinished.append(f"after {calm} undisturbed attempts: {job.log()[-1500:]}")
                break
    scene.clock = None
    verdict.conclude(reference.contents(what), read(target, scene.store.client()))
    remove(scene, target)


def _attempt(job: Job, schedule: Schedule) -> bool:
    """Disturb a job until it has ended; returns whether it ended well."""
    limit = max(ATTEMPT_SECONDS, ATTEMPT_STARTS * schedule.scene.pace)
    until = time.monotonic() + limit
    schedule.attempt()
    while not job.ended():
        schedule.tick(job)
        time.sleep(0.2)
        if time.monotonic() > until:
            schedule.done.verdict.unfinished.append(f"stopped after {limit:.0f} s: {job.log()[-500:]}")
            job.stop()
            return False
    return job.succeeded()


def _orphans(scene: Scene) -> list[str]:
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
