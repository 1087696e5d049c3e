"""Schedules as pure functions of the step; nothing here counts steps."""

import math
from typing import Literal

__all__ = ["learning_rate_factor", "ramp", "transition"]


def ramp(step: int, *, total_steps: int, fraction: float, kind: Literal["quadratic", "linear", "constant"]) -> float:
    """Factor on a regulariser's weight at a step, in [0, 1].

    It reaches 1 after ``fraction`` of all steps and stays there. Quadratic is SPLADE's (arXiv:2109.10086): the student
    first learns what to match, and is then made sparse.

    Args:
        step: Zero-based step.
        total_steps: Steps of the whole training.
        fraction: Share of them after which the factor is 1.
        kind: Shape of the rise; ``constant`` is 1 throughout.
    """
    if kind == "constant":
        return 1.0
    reached = min(1.0, (step + 1) / max(1.0, fraction * total_steps))
    return reached**2 if kind == "quadratic" else reached


def learning_rate_factor(step: int, *, total_steps: int, warmup_fraction: float) -> float:
    """Factor on the peak learning rate: linear warm-up over a share of all steps, then linear decay towards zero.

    The first step already trains, and so does the last: the factor is above 0 for every step in [0, total_steps).
    """
    warmup = round(warmup_fraction * total_steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return (total_steps - step) / max(1, total_steps - warmup)


def transition(
    step: int, *, total_steps: int, start: float, end: float, kind: Literal["constant", "linear", "cosine"]
) -> float:
    """A weight that goes from ``start`` at step 0 to ``end`` at the last step; ``constant`` is ``end`` throughout.

    Cosine leaves slowly and arrives slowly; both are half-way at the half.
    """
    if kind == "constant" or total_steps <= 1:
        return end
    reached = step / (total_steps - 1)
    if kind == "cosine":
        reached = (1.0 - math.cos(math.pi * reached)) / 2.0
    return start + (end - start) * reached
