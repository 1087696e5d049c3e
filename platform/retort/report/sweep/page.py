"""A sweep's report as one page that needs no network, with its figures and the files to run it again beside it."""

import math
from itertools import chain

from retort.measures.registry import SHOWN, figure
from retort.report.render.figure import Figure
from retort.report.render.files import drawn_files
from retort.report.render.html import html_table
from retort.report.render.interactive import figure_html
from retort.report.render.table import Cell, Column, Table, measure_cells, measure_columns, row
from retort.report.sweep.drawn import filled_page
from retort.report.sweep.front import knob_cell, knob_columns
from retort.report.sweep.front_figures import front_figures
from retort.report.sweep.knobs import importance_figure, parallel_figure, slice_figure
from retort.report.sweep.report import SweepReport
from retort.report.sweep.texts import baseline_name, front_numbers
from retort.report.sweep.turns import turn_figure
from retort.storage.layout import SWEEP
from retort.sweeps.trial import constant_knobs, knob_text, varying_knobs

__all__ = ["report_page", "report_pages"]


def report_pages(report: SweepReport) -> dict[str, bytes]:
    """File name -> content: the page, ``figures/`` as PNG and SVG, ``reproduce/`` with the YAMLs that its commands name."""
    pages = {SWEEP.page: report_page(report).encode()}
    for drawn in chain(*_figures(report).values()):
        files = drawn_files(drawn, report.sweep.name)
        pages |= {f"figures/{drawn.name}.{kind}": content for kind, content in files.items()}
    return pages | {f"reproduce/{name}": text.encode() for name, text in report.reproduction.files.items()}


def _figures(report: SweepReport) -> dict[str, list[Figure]]:
    """The figures by part of the page: fronts, what each setting did, by turn number."""
    figures: dict[str, list[Figure | None]] = {
        "fronts": [*front_figures(report.sweep, report.latencies, report.published)],
        "knobs": [slice_figure(report), parallel_figure(report), importance_figure(report)],
        "turns": [turn_figure(report)],
    }
    return {part: [each for each in own if each is not None] for part, own in figures.items()}


def report_page(report: SweepReport) -> str:
    """The page alone, without the files beside it."""
    return filled_page(
        "sweep/page.html",
        f"Sweep {report.sweep.name}",
        report=report,
        summary=_summary(report),
        finished=html_table(_finished_table(report)) if report.sweep.finished else None,
        failed=html_table(_failed_table(report)) if report.sweep.failed else None,
        commands=[f"{command}   # {run}" for run, command in report.reproduction.runs.items()],
        **{part: [figure_html(each) for each in own] for part, own in _figures(report).items()},
    )


def _summary(report: SweepReport) -> list[tuple[str, str]]:
    """What the page begins with: names and texts."""
    sweep = report.sweep
    trials = (
        str(len(sweep.points)) if sweep.ended else f"{len(sweep.points)} of {sweep.trials} (the sweep has not ended)"
    )
    aims = ", ".join(f"{measure} {'up' if way == 'max' else 'down'}" for measure, way in sweep.objectives.items())
    rows = [
        ("folder", sweep.folder.name),
        ("objectives", f"{aims}, on the validation turns; sampler {sweep.settings.get('sampler', '-')}"),
        ("trials", f"{trials}, {len(sweep.failed)} failed"),
        ("front", f"{len(sweep.front)} runs" + (f", evaluated on {sweep.split}" if sweep.split else "")),
    ]
    if sweep.hypervolume is not None:
        corner = ", ".join(f"{measure} {figure(measure, value)}" for measure, value in sweep.reference.items())
        rows.append(("hypervolume", f"{sweep.hypervolume:.4g} on the validation turns (reference: {corner})"))
    if sweep.baselines:
        shown = [
            f"{baseline_name(name)}: " + ", ".join(f"{key} {figure(key, own.get(key))}" for key in sweep.objectives)
            for name, own in sweep.baselines.items()
        ]
        rows.append((f"baselines on {sweep.split}", "; ".join(shown)))
    if fixed := constant_knobs(sweep.points) if sweep.points else {}:
        rows.append(("the same in all", ", ".join(f"{key} {knob_text(value)}" for key, value in fixed.items())))
    return rows


def _finished_table(report: SweepReport) -> Table:
    """Every finished trial with all that was measured, the front's first."""
    finished, keys = report.sweep.finished, varying_knobs(report.sweep.points)
    split = report.sweep.split or "evaluation"
    measures = [name for name in SHOWN if any(name in point.validation for point in finished)]
    evaluated = [name for name in measures if any(name in (point.evaluation or {}) for point in finished)]
    latency = [Column(f"latency ms\n{split}")] if report.latencies else []
    columns = (
        Column("#"),
        *knob_columns(report.sweep.points, keys),
        *measure_columns(measures, "\nvalidation"),
        *measure_columns(evaluated, f"\n{split}"),
        *latency,
        Column("training\ns"),
        Column("trial", "name"),
        Column("run", "name"),
    )
    numbers = front_numbers(report.sweep)
    rows = []
    for point in sorted(finished, key=lambda each: (numbers.get(each.trial, math.inf), each.trial)):
        milliseconds = report.latencies.get(point.run or "")
        seconds = point.seconds.get("training")
        cells = [
            Cell(str(numbers.get(point.trial, ""))),
            *(knob_cell(point, key) for key in keys),
            *measure_cells(measures, point.validation),
            *measure_cells(evaluated, point.evaluation or {}),
            *(Cell("-" if milliseconds is None else f"{milliseconds:.1f}") for _ in latency),
            Cell("-" if seconds is None else f"{seconds:.0f}"),
            Cell(point.trial),
            Cell(point.run or "-"),
        ]
        rows.append(row(*cells, style="bold" if point.trial in numbers else "dim"))
    return Table("Finished trials", columns, rows)


def _failed_table(report: SweepReport) -> Table:
    keys = varying_knobs(report.sweep.points)
    columns = (Column("trial", "name"), *knob_columns(report.sweep.points, keys), Column("reason", "text"))
    rows = [
        row(point.trial, *(knob_cell(point, key) for key in keys), (point.error or "unknown").strip())
        for point in report.sweep.failed
    ]
    return Table("Failed trials", columns, rows)
