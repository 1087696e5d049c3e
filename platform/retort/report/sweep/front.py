"""The front of a sweep, for reading and for programs: a table of at most 100 columns, and JSON.

Both show two figures of every point: on the validation turns, which chose it, and on the evaluation turns.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from retort.measures.registry import Direction, figure
from retort.sweeps.front import OBJECTIVES, front_rows
from retort.sweeps.trial import TrialPoint, constant_knobs, knob_text, short_knobs, varying_knobs

__all__ = ["TrialPoint", "front_json", "front_rows", "front_table"]

WIDTH: Final = 100
HEADER_WIDTH: Final = 11
# Beside the objectives, the first that fit.
FURTHER_MEASURES: Final = ("nDCG@3", "RR", "R@10", "L0", "R@100", "FLOPS")


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


def front_table(
    points: Sequence[TrialPoint],
    objectives: Mapping[str, Direction] = OBJECTIVES,
    *,
    hypervolume: float | None,
    reference: Mapping[str, float],
    unregularised: Collection[str] = (),
) -> Table:
    """The front as a table, with its runs, the failed trials, and what all points share below it.

    Args:
        points: All trials of the sweep.
        objectives: Two measures and their directions.
        hypervolume: What the front dominates; None where there is none.
        reference: The reference point of the hypervolume, by measure.
        unregularised: The trials without penalty or hard limit, see ``sweeps.unregularised_trials``; the best is told of.

    Returns:
        One renderable, readable at 100 columns: searched knobs that differ on the front are columns.
    """
    front = front_rows(points)
    failed = [point for point in points if point.status == "failed"]
    finished = [point for point in points if point.status == "finished"]
    aims = ", ".join(f"{measure} {'up' if way == 'max' else 'down'}" for measure, way in objectives.items())
    grid = Table.grid()
    grid.add_row(Text(f"Pareto front: {len(front)} of {len(finished)} finished trials ({aims})", style="bold"))
    if front:
        grid.add_row(_figures_table(front, objectives))
        grid.add_row(_runs_table(front))
    else:
        grid.add_row(Text("no trial finished: there is no front"))
    for line in _notes(front, finished, hypervolume, reference, unregularised):
        grid.add_row(Text(line, style="dim"))
    if failed:
        grid.add_row(Text(f"\n{len(failed)} failed", style="bold red"))
        grid.add_row(_failed_table(failed, varying_knobs(points)))
    return grid


def _figures_table(front: Sequence[TrialPoint], objectives: Mapping[str, Direction]) -> Table:
    """Two lines for each point: what it was chosen on, and what it is reported on."""
    knobs = varying_knobs(front)
    names = short_knobs(knobs)
    evaluated = any(point.evaluation is not None for point in front)
    headers = {key: _broken(names[key]) for key in knobs}
    texts = {key: [knob_text(point.config.get(key)) for point in front] for key in knobs}
    widths = [max(len(line) for line in [*headers[key].split("\n"), *texts[key]]) for key in knobs]
    left = WIDTH - sum(width + 2 for width in [len(str(len(front))), len("validation"), *widths])
    measures = _measures(front, objectives, room=left // 8)

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("#", justify="right", no_wrap=True)
    for key in knobs:
        numeric = all(isinstance(point.config.get(key), int | float) for point in front)
        table.add_column(Text(headers[key]), justify="right" if numeric else "left", overflow="fold")
    table.add_column("turns", no_wrap=True)
    for measure in measures:
        table.add_column(Text(measure), justify="right", no_wrap=True)
    for number, point in enumerate(front, start=1):
        cells = [Text(texts[key][number - 1]) for key in knobs]
        table.add_row(
            str(number), *cells, "validation", *(figure(measure, point.validation.get(measure)) for measure in measures)
        )
        if evaluated:
            reported = point.evaluation or {}
            table.add_row(
                "",
                *("" for _ in knobs),
                "evaluation",
                *(figure(measure, reported.get(measure)) for measure in measures),
            )
    return table


def _measures(front: Sequence[TrialPoint], objectives: Mapping[str, Direction], *, room: int) -> list[str]:
    known = {measure for point in front for measure in (*point.validation, *(point.evaluation or {}))}
    further = [measure for measure in FURTHER_MEASURES if measure in known and measure not in objectives]
    return [*objectives, *further[: max(0, room - len(objectives))]]


def _runs_table(front: Sequence[TrialPoint]) -> Table:
    parts = list(dict.fromkeys(part for point in front for part in point.seconds))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("run", overflow="fold")
    table.add_column("trial", overflow="fold")
    for part in parts:
        table.add_column(Text(f"{part} s"), justify="right", no_wrap=True)
    for number, point in enumerate(front, start=1):
        seconds = [f"{point.seconds[part]:.1f}" if part in point.seconds else "-" for part in parts]
        table.add_row(str(number), Text(point.run or "-"), Text(point.trial), *seconds)
    return table


def _failed_table(failed: Sequence[TrialPoint], knobs: Sequence[str]) -> Table:
    names = short_knobs(knobs)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("trial", overflow="fold")
    table.add_column("configuration", overflow="fold", ratio=1)
    table.add_column("error", overflow="fold", ratio=1)
    for point in failed:
        config = ", ".join(f"{names[key]} {knob_text(point.config.get(key))}" for key in knobs)
        first_line = next((line.strip() for line in (point.error or "").splitlines() if line.strip()), "unknown")
        table.add_row(Text(point.trial), Text(config or "-"), Text(first_line))
    return table


def _notes(
    front: Sequence[TrialPoint],
    finished: Sequence[TrialPoint],
    hypervolume: float | None,
    reference: Mapping[str, float],
    unregularised: Collection[str],
) -> list[str]:
    notes = []
    if front and (shared := constant_knobs(front)):
        notes.append("on the whole front: " + ", ".join(f"{key} {knob_text(value)}" for key, value in shared.items()))
    plain = [p for p in finished if p.trial in unregularised and {"R@100", "FLOPS"} <= p.validation.keys()]
    if plain:
        best = max(plain, key=lambda point: point.validation["R@100"])
        notes.append(
            f"best unregularised on validation: R@100 {figure('R@100', best.validation['R@100'])} "
            f"at FLOPS {figure('FLOPS', best.validation['FLOPS'])} (trial {best.trial})"
        )
    if hypervolume is not None:
        corner = ", ".join(f"{measure} {value:g}" for measure, value in reference.items())
        notes.append(f"hypervolume on validation {hypervolume:.4g}" + (f" (reference: {corner})" if corner else ""))
    return notes


def _broken(name: str) -> str:
    """A header in lines of up to 11 characters, broken at underscores and dots where that is possible."""
    lines = [""]
    for part in name.replace(".", "._").split("_"):
        joined = f"{lines[-1]}_{part}" if lines[-1] else part
        if lines[-1].endswith("."):
            joined = f"{lines[-1]}{part}"
        if len(joined) <= HEADER_WIDTH or not lines[-1]:
            lines[-1] = joined
        else:
            lines.append(part)
    return "\n".join(lines)


def _finite(measures: Mapping[str, float]) -> dict[str, float | None]:
    return {measure: float(value) if math.isfinite(value) else None for measure, value in measures.items()}
