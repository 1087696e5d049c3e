"""The front of a sweep as tables: its measures, its runs, and the trials that failed.

Every point has two rows of measures: on the validation turns, which chose it, and on the evaluation turns, which are reported.
"""

from collections.abc import Collection, Mapping, Sequence

from retort.measures.registry import SHOWN, Direction, figure
from retort.report.render.table import Cell, Column, Row, Table, measure_cells, measure_columns, row
from retort.sweeps.front import OBJECTIVES, front_rows
from retort.sweeps.trial import TrialPoint, constant_knobs, knob_text, short_knobs, varying_knobs

__all__ = ["first_line", "front_tables", "knob_cell", "knob_columns"]


def front_tables(
    points: Sequence[TrialPoint],
    objectives: Mapping[str, Direction] = OBJECTIVES,
    *,
    hypervolume: float | None,
    reference: Mapping[str, float],
    unregularised: Collection[str] = (),
) -> list[Table]:
    """The front's measures, its runs, and the failed trials, where there are any.

    Args:
        points: All trials of the sweep.
        objectives: Two measures and their directions.
        hypervolume: What the front dominates; None where there is none.
        reference: The reference point of the hypervolume, by measure.
        unregularised: The trials without penalty or hard limit, see ``sweeps.unregularised_trials``; a note names the best.
    """
    front = front_rows(points)
    failed = [point for point in points if point.status == "failed"]
    finished = [point for point in points if point.status == "finished"]
    aims = ", ".join(f"{measure} {'up' if way == 'max' else 'down'}" for measure, way in objectives.items())
    title = f"Pareto front: {len(front)} of {len(finished)} finished trials ({aims})"
    notes = _notes(front, finished, hypervolume, reference, unregularised)
    tables = [_measures_table(front, objectives, title, notes), _runs_table(front)] if front else []
    if not front:
        columns = (Column("", "text"),)
        tables.append(Table(title, columns, [row("no trial finished: there is no front")], notes, headless=True))
    return [*tables, *([_failed_table(failed, varying_knobs(points))] if failed else [])]


def knob_columns(points: Sequence[TrialPoint], keys: Sequence[str], importance: int = 100) -> list[Column]:
    """A column for each searched key; numbers where every trial has one."""
    names = short_knobs(keys)
    numeric = {key: all(isinstance(point.config.get(key), int | float) for point in points) for key in keys}
    return [Column(names[key], "number" if numeric[key] else "name", importance) for key in keys]


def knob_cell(point: TrialPoint, key: str) -> Cell:
    """A trial's value of a searched key."""
    value = point.config.get(key)
    return Cell(knob_text(value), float(value) if isinstance(value, int | float) else None)


def first_line(point: TrialPoint) -> str:
    """What a trial failed of, on one line."""
    return next((line.strip() for line in (point.error or "").splitlines() if line.strip()), "unknown")


def _measures_table(
    front: Sequence[TrialPoint], objectives: Mapping[str, Direction], title: str, notes: Sequence[str]
) -> Table:
    """The settings that differ on the front, both objectives, and every further measure."""
    keys = varying_knobs(front)
    evaluated = any(point.evaluation is not None for point in front)
    known = {measure for point in front for measure in (*point.validation, *(point.evaluation or {}))}
    measures = [*objectives, *(name for name in SHOWN if name in known and name not in objectives)]
    columns = (
        Column("#"),
        *knob_columns(front, keys, importance=90),
        Column("turns", "name", 95),
        *(Column(name, importance=110) for name in objectives),
        *measure_columns(measures[len(objectives) :]),
    )
    rows: list[Row] = []
    for number, point in enumerate(front, start=1):
        cells = [knob_cell(point, key) for key in keys]
        rows.append(row(str(number), *cells, "validation", *measure_cells(measures, point.validation)))
        if evaluated:
            reported = measure_cells(measures, point.evaluation or {})
            rows.append(row("", *("" for _ in keys), "evaluation", *reported))
    return Table(title, columns, rows, notes)


def _runs_table(front: Sequence[TrialPoint]) -> Table:
    parts = list(dict.fromkeys(part for point in front for part in point.seconds))
    seconds = [[f"{point.seconds[part]:.1f}" if part in point.seconds else "-" for part in parts] for point in front]
    rows = [
        row(str(number), point.run or "-", point.trial, *own)
        for number, (point, own) in enumerate(zip(front, seconds, strict=True), start=1)
    ]
    columns = (Column("#"), Column("run", "name"), Column("trial", "name", 90))
    return Table("", (*columns, *(Column(f"{part} s", importance=80) for part in parts)), rows)


def _failed_table(failed: Sequence[TrialPoint], keys: Sequence[str]) -> Table:
    names = short_knobs(keys)
    rows = []
    for point in failed:
        settings = ", ".join(f"{names[key]} {knob_text(point.config.get(key))}" for key in keys)
        rows.append(row(point.trial, settings or "-", first_line(point)))
    columns = (Column("trial", "name"), Column("configuration", "text", 90), Column("error", "text"))
    return Table(f"{len(failed)} failed", columns, rows)


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
