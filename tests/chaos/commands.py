"""Rounds of commands without Ray: import, distil and evaluate, interrupted at any moment and started again."""

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.chaos.faults import STORE_KINDS, DiskFull, Fault
from tests.chaos.plans import Done
from tests.chaos.processes import ended, kill
from tests.chaos.reference import CORPUS, DISTIL, EVALUATE, Reference, command, place, remove
from tests.chaos.scene import Scene
from tests.chaos.verdict import half_written, read

__all__ = ["disturb_commands"]

COMMAND_KILLED = "command killed"
STAYS_FULL = 60.0  # seconds
LASTING = {"import": 0.5, "distill": 5.0, "evaluate": 1.0}  # seconds of a command, until one was measured


def disturb_commands(
    done: Done,
    scene: Scene,
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
        (DISTIL, "prepared", "distilled"),
    )
    number = 0
    while len(done.faults) < done.plan.faults:
        words, before, after = stages[number % len(stages)]
        target = place(scene, f"{name}-{number}", remote=done.plan.remote)
        reference.copy(before, target, scene)
        for _ in range(min(rng.randint(2, 5), done.plan.faults - len(done.faults))):
            if _interrupted(done, scene, rng, command(words, scene, target), counts, lasting) == 0:
                break
            found = read(target, scene.store.client())
            done.verdict.half_written += half_written(found)
            if any(name.endswith("/state.pt") for name in found):
                done.faults[-1]["detail"] += "; a training state is there"
        began, warm = time.monotonic(), scene.runner(words[0])
        warm.begin(command(words, scene, target), scene.tracking(remote=done.plan.remote))
        done.attempts += 1
        code = warm.wait()
        lasting[words[0]] = max(0.3, time.monotonic() - began)
        if code:
            done.verdict.unfinished.append(f"{after}: exit status {code}: {warm.printed()[-800:]}")
        else:
            done.verdict.conclude(reference.contents(after), read(target, scene.store.client()))
        remove(scene, target)
        number += 1
    say(f"{number} commands, {len(done.faults)} faults")


def _interrupted(
    done: Done,
    scene: Scene,
    rng: random.Random,
    words: list[str],
    counts: Counter[str],
    lasting: dict[str, float],
) -> int:
    """Run a command and break something; returns its exit status."""
    began, warm = time.monotonic(), scene.runner(words[0])
    pid = warm.begin(words, scene.tracking(remote=done.plan.remote))
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
        # A full disk is rarely emptied while a command still runs.
        _sleep_while(pid, rng.choice([fault.seconds, STAYS_FULL]) if chosen == DiskFull.kind else fault.seconds)
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
