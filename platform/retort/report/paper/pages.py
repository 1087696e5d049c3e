"""The paper's report as a directory: ``paper.md`` for reading, ``paper.json`` for programs, a figure for each grid."""

import json
from typing import Final

from retort.report.paper.claims import RULES, Grid
from retort.report.paper.grid import by_turn, turn_groups
from retort.report.paper.published import SOURCE
from retort.report.paper.report import PaperReport
from retort.report.paper.tables import differences_table, references_table, rows_table
from retort.report.render.by_turn import TurnLine, turn_charts
from retort.report.render.figure import DASHES, LOOKS, Figure
from retort.report.render.files import drawn_files
from retort.report.render.markdown import markdown_table, markdown_text

__all__ = ["by_turn_figure", "paper_pages"]

BY_TURN: Final = ("L0", "R@100")


def paper_pages(report: PaperReport) -> dict[str, bytes]:
    """File name -> content."""
    pages = {"paper.json": (json.dumps(report.to_json(), indent=1, ensure_ascii=False) + "\n").encode()}
    for one in report.sweeps:
        for kind, content in drawn_files(by_turn_figure(one.grid, one.sweep), f"{one.sweep} on {report.split}").items():
            pages[f"{one.sweep}.{kind}"] = content
    pages["paper.md"] = _markdown(report).encode()
    return pages


def _markdown(report: PaperReport) -> str:
    lines = [f"# The paper's questions on {markdown_text(report.split)}", ""]
    lines += [
        f"Ours beside the published figures ({SOURCE}): another corpus, so that directions compare, levels do not.",
        "",
    ]
    lines += ["## Claims", ""]
    for sweep, space, verdict in report.verdicts():
        whose = f" ({markdown_text(sweep)})" if sweep else ""
        lines += [f"**{verdict.claim}: {verdict.direction}**{whose}", ""]
        lines += [f"- {markdown_text(reason)}" for reason in verdict.reasons]
        lines += ["", f"Rule: {RULES[space]}", ""]
    lines += [
        "A row counts with three seeds beside the baseline's. Significant: the larger p of the paired t test and the paired "
        "randomisation test, turns averaged over seeds, is below .05 after Holm's correction over the rows and measures that the "
        "claim looks at. Intervals: 95 %, bootstrap over conversations.",
        "",
    ]
    for one in report.sweeps:
        rows, differences = rows_table(one, report.split), differences_table(one.grid)
        lines += [f"## {markdown_text(rows.title)}", ""]
        lines += [f"{markdown_text(note)}\n" for note in rows.notes]
        lines += [*markdown_table(rows), "", *markdown_table(differences), ""]
        lines += [f"{markdown_text(note)}\n" for note in differences.notes]
        lines += [f"![{' and '.join(BY_TURN)} by turn number]({one.sweep}.png)", ""]
    lines += ["## Published baselines", "", *markdown_table(references_table()), ""]
    return "\n".join(lines)


def by_turn_figure(grid: Grid, name: str) -> Figure:
    """The figure of a grid's rows: means over seeds and over the turns of a number, the deepest turns in one group."""
    groups = turn_groups(grid.turns.turn_numbers)
    lines = []
    for number, row in enumerate(grid.rows):
        colour, marker = LOOKS[number % len(LOOKS)]
        dash = DASHES[number // len(LOOKS) % len(DASHES)]
        means = {measure: list(by_turn(row, grid.turns, measure).values()) for measure in BY_TURN}
        label, width = (f"{row.label} (baseline)", 3.0) if row is grid.baseline else (row.label, 1.6)
        lines.append(TurnLine(label, means, colour, marker, dash, width))
    counts = {label: len(positions) for label, positions in groups.items()}
    text = (
        f"Lines: {grid.question.title}, each the mean over its seeds. In brackets: how many turns have the number; the deepest "
        "are one group, since few conversations go so far."
    )
    charts = turn_charts(BY_TURN, counts, lines)
    return Figure(name, f"{' and '.join(BY_TURN)} by turn number", text, charts, columns=2)
