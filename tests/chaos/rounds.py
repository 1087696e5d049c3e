"""Rounds: a piece of work, disturbed by a schedule of faults, continued until it is done, and judged.

What happens is drawn from the round's own random numbers; when exactly it meets the work depends on the machine.
"""

import random
import time
from collections import Counter
from collections.abc import Callable

from tests.chaos.commands import disturb_commands
from tests.chaos.jobs import disturb_jobs
from tests.chaos.plans import Done, Plan
from tests.chaos.reference import Reference
from tests.chaos.scene import Scene

__all__ = ["play"]


def play(
    plan: Plan,
    scene: Scene,
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
        disturb_commands(done, scene, reference, rng, name, known, say)
    else:
        disturb_jobs(done, scene, reference, rng, name, known, say)
    done.seconds = round(time.monotonic() - began, 1)
    return done
