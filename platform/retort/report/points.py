"""A trial as the reports see it: plain values, without MLflow, Ray or a workspace. And how its figures are written."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

__all__ = [
    "OBJECTIVES",
    "Direction",
    "Scalar",
    "TrialPoint",
    "constant_knobs",
    "figure",
    "front_rows",
    "knob_text",
    "short_knobs",
    "varying_knobs",
]

Scalar = bool | int | float | str | None
Direction = Literal["max", "min"]

OBJECTIVES: Final[Mapping[str, Direction]] = {"R@100": "max", "FLOPS": "min"}


@dataclass(frozen=True, slots=True)
class TrialPoint:
    """One trial of a sweep.

    Attributes:
        run: The run's folder name; None where the trial failed before it had one.
        trial: The trial's id in the sweep.
        config: The searched keys, dotted, with the trial's values.
        validation: Measures on the validation turns, which the sweep optimises; empty where the trial failed.
        evaluation: Measures on the evaluation turns, which are reported; None where the trial wasn't evaluated on them.
        on_front: No finished trial dominates it on the validation turns.
        status: Whether it finished.
        error: What it failed of.
        seconds: Time by part: training, evaluation, overhead.
    """

    run: str | None
    trial: str
    config: Mapping[str, Scalar]
    validation: Mapping[str, float]
    evaluation: Mapping[str, float] | None = None
    on_front: bool = False
    status: Literal["finished", "failed"] = "finished"
    error: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)


def front_rows(points: Sequence[TrialPoint]) -> list[TrialPoint]:
    """The front's points, the cheapest first; a point's place here is its number in the table and in the plots."""
    front = [point for point in points if point.on_front and point.status == "finished"]
    return sorted(front, key=lambda point: (point.validation.get("FLOPS", math.inf), point.trial))


def varying_knobs(points: Sequence[TrialPoint]) -> list[str]:
    """Searched keys that differ between the points, in the order of their first appearance."""
    return [key for key in _keys(points) if len({knob_text(point.config.get(key)) for point in points}) > 1]


def constant_knobs(points: Sequence[TrialPoint]) -> dict[str, Scalar]:
    """Searched keys that have one value in all points."""
    varying = set(varying_knobs(points))
    return {key: points[0].config.get(key) for key in _keys(points) if key not in varying}


def short_knobs(keys: Sequence[str]) -> dict[str, str]:
    """A short name of each key: its last part, or the whole key where two end alike."""
    last = [key.rpartition(".")[2] for key in keys]
    return {key: name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)}


def knob_text(value: Scalar) -> str:
    """A setting as YAML would have it, floats with up to three significant digits."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def figure(measure: str, value: float | None) -> str:
    """A measure as text: FLOPS with three significant digits, L0 with one decimal, what lies in [0, 1] with three."""
    if value is None or math.isnan(value):
        return "-"
    if measure == "L0":
        return f"{value:.1f}"
    if measure != "FLOPS":
        return f"{value:.3f}"
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    if abs(value) < 1e-3:
        return f"{value:.2e}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def _keys(points: Sequence[TrialPoint]) -> list[str]:
    return list(dict.fromkeys(key for point in points for key in point.config))
