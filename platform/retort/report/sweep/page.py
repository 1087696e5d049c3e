"""A sweep's report as one page that needs no network, with its figures and the files to run it again beside it."""

import html
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Final

from retort.measures.registry import figure
from retort.report.render.figure import Figure
from retort.report.render.files import drawn_files
from retort.report.render.interactive import figure_html
from retort.report.sweep.front_figures import front_figures
from retort.report.sweep.knobs import importance_figure, parallel_figure, slice_figure
from retort.report.sweep.report import SweepReport
from retort.report.sweep.texts import baseline_name, front_numbers
from retort.report.sweep.turns import turn_figure
from retort.sweeps.trial import TrialPoint, constant_knobs, knob_text, short_knobs, varying_knobs

__all__ = ["PAGE", "report_page", "report_pages"]

PAGE: Final = "report.html"
_MEASURES: Final = ("R@100", "R@10", "RR", "nDCG@3", "FLOPS", "L0")

Cell = tuple[str, float | None, str]  # text, what it is sorted by (None: its text), class


def report_pages(report: SweepReport) -> dict[str, bytes]:
    """File name -> content: the page, ``figures/`` as PNG and SVG, ``reproduce/`` with the YAMLs that its commands name."""
    fronts, knobs, turns = _figures(report)
    pages = {PAGE: _page(report, fronts, knobs, turns).encode()}
    for drawn in (*fronts, *knobs, *([turns] if turns is not None else [])):
        pages |= {
            f"figures/{drawn.name}.{kind}": content for kind, content in drawn_files(drawn, report.sweep.name).items()
        }
    return pages | {f"reproduce/{name}": text.encode() for name, text in report.reproduction.files.items()}


def report_page(report: SweepReport) -> str:
    """The page alone, without the files beside it."""
    return _page(report, *_figures(report))


def _figures(report: SweepReport) -> tuple[list[Figure], list[Figure], Figure | None]:
    """The figures of the page: fronts, what each setting did, by turn number."""
    knobs = [slice_figure(report), parallel_figure(report), importance_figure(report)]
    fronts = front_figures(report.sweep, report.latencies, report.published)
    return fronts, [figure for figure in knobs if figure is not None], turn_figure(report)


def _page(report: SweepReport, fronts: Sequence[Figure], knobs: Sequence[Figure], turns: Figure | None) -> str:
    from plotly.offline import get_plotlyjs

    own = files("retort.report.sweep")
    title = html.escape(f"Sweep {report.sweep.name}")
    sections = [
        (
            "front",
            "The front",
            [str(figure_html(one)) for one in fronts] or ["<p>No trial has finished: there is no front.</p>"],
        ),
        ("settings", "What each setting did", [str(figure_html(one)) for one in knobs] + _untold(report)),
        (
            "depth",
            "By turn number",
            [str(figure_html(turns))] if turns else ["<p>No run of the front was measured by turn.</p>"],
        ),
        ("runs", "Runs", _runs(report)),
        ("reproduce", "To run it again", _reproduce(report)),
    ]
    body = [f"<header><h1>{title}</h1>", _summary(report), "<nav>"]
    body += [f'<a href="#{name}">{heading}</a>' for name, heading, _ in sections]
    body.append("</nav></header><main>")
    for name, heading, parts in sections:
        body += [f'<h2 id="{name}">{heading}</h2>', *parts]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light">',
            '<link rel="icon" href="data:,">',
            f"<title>{title}</title>",
            f"<style>{own.joinpath('page.css').read_text(encoding='utf-8')}</style>",
            f"<script>{get_plotlyjs()}</script>",
            f"<script>{own.joinpath('page.js').read_text(encoding='utf-8')}</script>",
            "</head><body>",
            *body,
            "</main></body></html>",
            "",
        ]
    )


def _summary(report: SweepReport) -> str:
    finished = sum(point.status == "finished" for point in report.sweep.points)
    failed = len(report.sweep.points) - finished
    trials = (
        f"{len(report.sweep.points)} of {report.sweep.trials}"
        if not report.sweep.ended
        else str(len(report.sweep.points))
    )
    aims = ", ".join(
        f"{measure} {'up' if way == 'max' else 'down'}" for measure, way in report.sweep.objectives.items()
    )
    rows = [
        ("folder", f"sweeps/{report.sweep.label}"),
        ("objectives", f"{aims}, on the validation turns; sampler {report.sweep.settings.get('sampler', '-')}"),
        ("trials", f"{trials}{'' if report.sweep.ended else ' (the sweep has not ended)'}, {failed} failed"),
        (
            "front",
            f"{len(report.sweep.front)} runs" + (f", evaluated on {report.sweep.split}" if report.sweep.split else ""),
        ),
    ]
    if report.sweep.hypervolume is not None:
        corner = ", ".join(f"{measure} {figure(measure, value)}" for measure, value in report.sweep.reference.items())
        rows.append(("hypervolume", f"{report.sweep.hypervolume:.4g} on the validation turns (reference: {corner})"))
    if report.sweep.baselines:
        shown = [
            f"{baseline_name(name)}: "
            + ", ".join(f"{key} {figure(key, own.get(key))}" for key in report.sweep.objectives)
            for name, own in report.sweep.baselines.items()
        ]
        rows.append((f"baselines on {report.sweep.split}", "; ".join(shown)))
    if fixed := constant_knobs(report.sweep.points) if report.sweep.points else {}:
        rows.append(("the same in all", ", ".join(f"{key} {knob_text(value)}" for key, value in fixed.items())))
    cells = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in rows)
    return f'<dl class="summary">{cells}</dl>'


def _untold(report: SweepReport) -> list[str]:
    if report.importance.shares:
        return []
    return [f"<h3>Which setting decides</h3><p>Not told: {html.escape(report.importance.why or '')}.</p>"]


def _table(headers: Sequence[tuple[str, str]], rows: Sequence[tuple[str, Sequence[Cell]]], *, caption: str) -> str:
    head = "".join(
        f'<th scope="col" class="{kind}"><button type="button">{html.escape(name).replace(chr(10), "<br>")}</button></th>'
        for name, kind in headers
    )
    lines = [
        f'<div class="wide"><table class="sortable" aria-label="{html.escape(caption)}"><thead><tr>{head}</tr></thead><tbody>'
    ]
    for kind, cells in rows:
        shown = "".join(
            f'<td class="{own}"{"" if key is None else f" data-value={_quoted(key)}"}>{html.escape(text)}</td>'
            for text, key, own in cells
        )
        lines.append(f'<tr class="{kind}">{shown}</tr>')
    return "\n".join([*lines, "</tbody></table></div>"])


def _quoted(key: float) -> str:
    return f'"{key:.9g}"' if math.isfinite(key) else '""'


def _knob_cell(point: TrialPoint, key: str) -> Cell:
    value = point.config.get(key)
    number = float(value) if isinstance(value, int | float) else None
    return knob_text(value), number, "" if number is not None else "left"


def _runs(report: SweepReport) -> list[str]:
    finished = [point for point in report.sweep.points if point.status == "finished"]
    failed = [point for point in report.sweep.points if point.status == "failed"]
    knobs = varying_knobs(report.sweep.points)
    names = short_knobs(knobs)
    texts = {
        key: "left" if any(_knob_cell(point, key)[1] is None for point in report.sweep.points) else "" for key in knobs
    }
    numbers = front_numbers(report.sweep)
    split = report.sweep.split or "evaluation"
    measures = [name for name in _MEASURES if any(name in point.validation for point in finished)]
    evaluated = [name for name in measures if any(name in (point.evaluation or {}) for point in finished)]
    parts = []
    if finished:
        headers = [
            ("#", ""),
            *((names[key], texts[key]) for key in knobs),
            *((f"{name}\nvalidation", "") for name in measures),
        ]
        headers += [(f"{name}\n{split}", "") for name in evaluated]
        headers += [(f"latency ms\n{split}", "")] * bool(report.latencies)
        headers += [("training\ns", ""), ("trial", "left"), ("run", "left")]
        rows = []
        order = {point.trial: place for place, point in enumerate(report.sweep.front)}
        for point in sorted(finished, key=lambda one: (order.get(one.trial, math.inf), one.trial)):
            number = numbers.get(point.trial)
            cells: list[Cell] = [(str(number or ""), None, "")]
            cells += [_knob_cell(point, key) for key in knobs]
            cells += [_measure_cell(name, point.validation) for name in measures]
            cells += [_measure_cell(name, point.evaluation or {}) for name in evaluated]
            if report.latencies:
                told = report.latencies.get(point.run or "")
                cells.append(("-" if told is None else f"{told:.1f}", None, ""))
            seconds = point.seconds.get("training")
            cells.append(("-" if seconds is None else f"{seconds:.0f}", None, ""))
            cells += [(point.trial, None, "left"), (point.run or "-", None, "left")]
            rows.append(("front" if number else "dominated", cells))
        parts += ["<p>The front's runs first, numbered as in the figures. A column's name sorts by it.</p>"]
        parts.append(_table(headers, rows, caption="Finished trials"))
    parts.append(f"<h3>Failed trials</h3>{'' if failed else '<p>None.</p>'}")
    if failed:
        headers = [("trial", "left"), *((names[key], texts[key]) for key in knobs), ("reason", "left")]
        rows = [
            (
                "failed",
                [
                    (point.trial, None, "left"),
                    *(_knob_cell(point, key) for key in knobs),
                    ((point.error or "unknown").strip(), None, "left any"),
                ],
            )
            for point in failed
        ]
        parts.append(_table(headers, rows, caption="Failed trials"))
    return parts


def _measure_cell(name: str, measures: Mapping[str, float]) -> Cell:
    value = measures.get(name)
    return figure(name, value), math.nan if value is None else value, ""


def _reproduce(report: SweepReport) -> list[str]:
    again = report.reproduction
    parts = [
        "<p>In a workspace with the same corpus and rewrites (their fingerprints stand below), with the files of "
        "<code>reproduce/</code> beside this page. The search space holds whatever was laid over it: profiles, overrides, the "
        "number of trials. On the same machine and library versions a configuration has the same measures; the order in which "
        "an optimiser proposes them depends on which trials end first.</p>",
        f"<pre>{html.escape(chr(10).join(again.sweep))}</pre>",
    ]
    if again.runs:
        commands = [f"{command}   # {run}" for run, command in again.runs.items()]
        parts += ["<h3>Each run of the front alone</h3>", f"<pre>{html.escape(chr(10).join(commands))}</pre>"]
    for name, text in again.files.items():
        link = html.escape(f"reproduce/{name}")
        parts.append(
            f'<details><summary>{html.escape(name)}</summary><p class="files"><a href="{link}">the file</a></p>'
            f"<pre>{html.escape(text)}</pre></details>"
        )
    if again.created is not None:
        parts.append(f"<p>Ended {html.escape(again.created)}.</p>")
    if again.versions:
        versions = ", ".join(f"{name} {version}" for name, version in again.versions.items())
        parts.append(f"<h3>Versions</h3><p>{html.escape(versions)}</p>")
    if again.inputs:
        rows = "".join(
            f'<tr><td class="left">{html.escape(name)}</td><td class="left"><code>{html.escape(value)}</code></td></tr>'
            for name, value in again.inputs.items()
        )
        parts.append(
            "<details><summary>What it read</summary>"
            f'<div class="wide"><table><tbody>{rows}</tbody></table></div></details>'
        )
    return parts
