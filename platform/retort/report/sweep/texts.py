"""What a sweep's figures have in common: what things are called there, and how a baseline looks."""

from typing import Final

from retort.measures.registry import figure
from retort.report.render.figure import GREEN, ORANGE, PURPLE, SKY, Marker
from retort.storage.layout import BASELINE
from retort.sweeps.trial import TrialPoint, knob_text

__all__ = ["BASELINES", "LOG", "TITLES", "baseline_name", "hover_text"]

TITLES: Final = {
    "FLOPS": "FLOPS: multiplications per query-passage pair (log)",
    "L0": "L0: active terms of a query (log)",
    "latency": "latency: milliseconds per query, median (log)",
}
LOG: Final = ("FLOPS", "L0", "latency")
BASELINES: Final[tuple[tuple[str, Marker], ...]] = (
    (GREEN, "square"),
    (ORANGE, "triangle-up"),
    (PURPLE, "triangle-down"),
    (SKY, "diamond"),
)


def baseline_name(name: str) -> str:
    """A baseline as a reader knows it."""
    kind = BASELINE.kind(name)
    return {"context": "raw context", "last": "last question"}.get(kind, kind.replace("rewrite:", "rewrite: "))


def hover_text(point: TrialPoint, number: int | None, split: str | None) -> str:
    """All that is known of a trial, in lines."""
    lines = [f"{f'{number}: ' if number is not None else ''}{point.run or point.trial}", f"trial {point.trial}"]
    lines += [f"{key}: {knob_text(value)}" for key, value in point.config.items()]
    for turns, measures in (("validation", point.validation), (split or "evaluation", point.evaluation)):
        if measures:
            shown = [f"{name} {figure(name, value)}" for name, value in measures.items() if name != "n"]
            lines.append(f"{turns}: {', '.join(shown)}")
    return "\n".join(lines)
