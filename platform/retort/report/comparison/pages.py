"""A comparison as text to take away: for the terminal, in Markdown, LaTeX, CSV with one line per figure, and JSON."""

import json
from itertools import groupby
from typing import Literal

from retort.measures.paired import SIGNIFICANT
from retort.measures.registry import figure
from retort.report.comparison.groups import GroupRow
from retort.report.comparison.runs import Comparison
from retort.report.comparison.tables import comparison_tables, labelled, summary_table, values_table
from retort.report.render.latex import MARKS, latex_table, latex_text
from retort.report.render.markdown import markdown_section
from retort.report.render.table import Column, Heading, Row, Table, csv_text, interval_text, row
from retort.report.render.terminal import columns_variable, terminal_text

__all__ = ["Form", "comparison_text"]

Form = Literal["terminal", "markdown", "latex", "csv", "json"]


def comparison_text(comparison: Comparison, form: Form) -> str:
    """A comparison in one of the formats; tables of text are as wide as ``COLUMNS`` says, or as they need."""
    match form:
        case "terminal":
            texts = [terminal_text(table, columns_variable()).plain for table in comparison_tables(comparison)]
            return "\n\n".join(texts) + "\n"
        case "markdown":
            tables = [summary_table(comparison), *comparison_tables(comparison)]
            return "\n\n".join("\n".join(markdown_section(table)) for table in tables) + "\n"
        case "latex":
            return _latex(comparison)
        case "csv":
            return csv_text(values_table(comparison))
        case "json":
            return json.dumps(comparison.to_json(), indent=1, ensure_ascii=False) + "\n"


def _latex(comparison: Comparison) -> str:
    """For papers, with booktabs: the table of runs, and one for each column of the turns and each measure of the groups."""
    summary = summary_table(comparison)
    caption = latex_text(summary.notes[0]).replace(f"p {latex_text('<')} {SIGNIFICANT}", f"$p < {SIGNIFICANT}$")
    for mark, command in MARKS.items():
        caption = caption.replace(mark, command)
    tables = [latex_table(summary, caption=caption, label=f"tab:compare-{comparison.split}")]
    for (by, measure), members in groupby(comparison.groups, key=lambda group: (group.by, group.measure)):
        table = _latex_groups(list(members), comparison.baseline)
        caption = latex_text(f"{measure} by {by} on {comparison.split}; intervals: bootstrap over conversations.")
        tables.append(latex_table(table, caption=caption, label=f"tab:compare-{comparison.split}-{by}-{measure}"))
    notes = [f"% {' '.join(note.split())}" for note in comparison.notes]
    return "\n".join(["% \\usepackage{booktabs}", *notes, *tables]) + "\n"


def _latex_groups(groups: list[GroupRow], baseline: str) -> Table:
    """The runs below each group: what is compared in a paper are runs, where the terminal compares groups."""
    measure = groups[0].measure
    by_label: dict[str, list[GroupRow]] = {}
    for group in groups:
        by_label.setdefault(group.group, []).append(group)
    lines: list[Row | Heading] = []
    for label, members in by_label.items():
        first = members[0]
        lines.append(Heading(f"{label}: {first.n} turns of {first.conversations} conversations"))
        lines.append(row(labelled(baseline, baseline), figure(measure, first.baseline_mean), "", ""))
        for own in members:
            lines.append(row(own.run, figure(measure, own.mean), f"{own.difference:+.3f}", interval_text(own.interval)))
    columns = (Column("run", "name"), Column(measure), Column("difference"), Column("95 % interval"))
    return Table("", columns, lines)
