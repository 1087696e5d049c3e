"""A sweep's front: which trials are on it, in which order they are listed, what they dominate, and which one to take.

A front is computed from the finished trials' own measures on the validation turns, never from what a sampler remembers.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from retort.errors import WorkspaceError
from retort.measures.pareto import hypervolume, log_flops_hypervolume, non_dominated
from retort.measures.registry import ACCEPTED_LOSS, Direction
from retort.sweeps.trial import TrialPoint

__all__ = ["OBJECTIVES", "champion", "front_hypervolume", "front_json", "front_rows", "mark_front"]

OBJECTIVES: Final[Mapping[str, Direction]] = {"R@100": "max", "FLOPS": "min"}


def mark_front(points: Sequence[TrialPoint], objectives: Mapping[str, Direction]) -> list[TrialPoint]:
    """The same points, with ``on_front`` set from the finished trials' own measures."""
    finished = [number for number, point in enumerate(points) if point.status == "finished"]
    marked = [replace(point, on_front=False) for point in points]
    if finished:
        values = np.array([[points[number].validation[name] for name in objectives] for number in finished])
        best = non_dominated(values, [direction == "max" for direction in objectives.values()])
        for number, on_front in zip(finished, best, strict=True):
            marked[number] = replace(points[number], on_front=bool(on_front))
    return marked


def front_rows(points: Sequence[TrialPoint]) -> list[TrialPoint]:
    """The front's points, the cheapest first; a point's position here, counted from 1, is its number wherever it is shown."""
    front = [point for point in points if point.on_front and point.status == "finished"]
    return sorted(front, key=lambda point: (point.validation.get("FLOPS", math.inf), point.trial))


def champion(points: Sequence[TrialPoint], objectives: Mapping[str, Direction]) -> TrialPoint:
    """The point of the front that a sweep's first question asks for, on the validation turns.

    With one objective to be maximised and one to be minimised: the least of the latter at no more than 2 % (relative) less
    of the former than the best trial has. With two of a kind: the best of the first.

    Raises:
        WorkspaceError: If no trial finished.
    """
    front = front_rows(points)
    if not front:
        raise WorkspaceError("no trial finished, so that there is no champion")
    maximised = [name for name, direction in objectives.items() if direction == "max"]
    minimised = [name for name, direction in objectives.items() if direction == "min"]
    if len(maximised) != 1:
        first, direction = next(iter(objectives.items()))
        sign = 1 if direction == "max" else -1
        return max(front, key=lambda point: sign * point.validation[first])
    least = (1 - ACCEPTED_LOSS) * max(point.validation[maximised[0]] for point in front)
    within = [point for point in front if point.validation[maximised[0]] >= least]
    return min(within, key=lambda point: point.validation[minimised[0]])


def front_hypervolume(
    points: Sequence[TrialPoint], objectives: Mapping[str, Direction], reference: Mapping[str, float]
) -> float:
    """What the finished trials dominate, on the validation turns.

    With FLOPS as one objective and a measure that lies in [0, 1] as the other, the area lies over log10 FLOPS (a halving
    counts the same everywhere, below 0.05 nothing is won any more); otherwise over the plain values.
    """
    finished = [point for point in points if point.status == "finished"]
    if not finished:
        return 0.0
    others = [name for name in objectives if name != "FLOPS"]
    if len(others) == 1 and others[0] != "L0" and objectives[others[0]] == "max" and objectives["FLOPS"] == "min":
        (measure,) = others
        return log_flops_hypervolume(
            np.array([point.validation[measure] for point in finished]),
            np.array([point.validation["FLOPS"] for point in finished]),
            recall_reference=reference[measure],
            flops_reference=reference["FLOPS"],
        )
    values = np.array([[point.validation[name] for name in objectives] for point in finished])
    maximised = [direction == "max" for direction in objectives.values()]
    return hypervolume(values, [reference[name] for name in objectives], maximised)


def front_json(points: Sequence[TrialPoint]) -> list[dict[str, object]]:
    """The front's points as JSON values, the cheapest first; a measure that is no finite number is null."""
    return [
        {
            "run": point.run,
            "trial": point.trial,
            "config": dict(point.config),
            "validation": _finite(point.validation),
            "evaluation": None if point.evaluation is None else _finite(point.evaluation),
        }
        for point in front_rows(points)
    ]


def _finite(measures: Mapping[str, float]) -> dict[str, float | None]:
    return {measure: float(value) if math.isfinite(value) else None for measure, value in measures.items()}
