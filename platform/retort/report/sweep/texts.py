"""What a sweep's figures have in common: which objective is which, what a baseline is called, and how it looks."""

from itertools import cycle
from typing import Final

from retort.measures.registry import measure
from retort.report.render.figure import GREEN, ORANGE, PURPLE, SKY, Marker
from retort.storage.layout import BASELINE
from retort.sweeps.sweep import Sweep
from retort.sweeps.trial import TrialPoint, knob_text

__all__ = ["baseline_looks", "baseline_name", "front_numbers", "hover_text", "worth_and_cost"]

_LOOKS: Final[tuple[tuple[str, Marker], ...]] = (
    (GREEN, "square"),
    (ORANGE, "triangle-up"),
    (PURPLE, "triangle-down"),
    (SKY, "diamond"),
)


def worth_and_cost(sweep: Sweep) -> tuple[str, str]:
    """The objective that is to be high and the one that is to be low; of two of a kind, in their order."""
    worth, cost = sorted(sweep.objectives, key=lambda name: sweep.objectives[name] == "min")
    return worth, cost


def front_numbers(sweep: Sweep) -> dict[str, int]:
    """Trial -> its number on the front, by which tables and figures call it."""
    return {point.trial: number for number, point in enumerate(sweep.front, start=1)}


def baseline_name(name: str) -> str:
    """A baseline as a reader knows it."""
    kind = BASELINE.kind(name)
    return {"context": "raw context", "last": "last question"}.get(kind, kind.replace("rewrite:", "rewrite: "))


def baseline_looks(sweep: Sweep) -> dict[str, tuple[str, Marker]]:
    """Baseline -> its colour and marker, the same in every figure of the sweep."""
    return dict(zip(sweep.baselines, cycle(_LOOKS), strict=False))


def hover_text(point: TrialPoint, number: int | None, split: str | None) -> str:
    """All that is known of a trial, in lines."""
    lines = [f"{f'{number}: ' if number is not None else ''}{point.run or point.trial}", f"trial {point.trial}"]
    lines += [f"{key}: {knob_text(value)}" for key, value in point.config.items()]
    for turns, measures in (("validation", point.validation), (split or "evaluation", point.evaluation)):
        if measures:
            shown = [f"{name} {measure(name).text(value)}" for name, value in measures.items() if name != "n"]
            lines.append(f"{turns}: {', '.join(shown)}")
    return "\n".join(lines)
