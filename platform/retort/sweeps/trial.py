"""A trial of a sweep as plain values, without MLflow, Ray or a workspace, and how its searched settings are written."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = [
    "Scalar",
    "TrialPoint",
    "constant_knobs",
    "knob_text",
    "short_knobs",
    "varying_knobs",
]

Scalar = bool | int | float | str | None


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
        retries: The failed trial whose configuration it runs again, and whose place it takes; None where there is none.
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
    retries: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The trial as its file has it; ``retries`` is in it only where the trial retries another."""
        document = asdict(self)
        if self.retries is None:
            del document["retries"]
        return document


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


def _keys(points: Sequence[TrialPoint]) -> list[str]:
    return list(dict.fromkeys(key for point in points for key in point.config))
