"""A comparison as LaTeX, for papers: booktabs is all that it needs."""

from itertools import groupby

from retort.measures.paired import SIGNIFICANT
from retort.measures.registry import figure
from retort.report.comparison.groups import GroupRow
from retort.report.comparison.runs import Comparison
from retort.report.comparison.tables import labelled, summary_table
from retort.report.render.latex import MARKS, latex_table, latex_text
from retort.report.render.table import Column, Heading, Row, Table, interval_text, row

__all__ = ["comparison_latex"]


def comparison_latex(comparison: Comparison) -> str:
    """The table of runs, and one for each column of the turns and each measure by which the effect was computed."""
    summary = summary_table(comparison)
    caption = latex_text(summary.notes[0]).replace(f"p {latex_text('<')} {SIGNIFICANT}", f"$p < {SIGNIFICANT}$")
    for mark, command in MARKS.items():
        caption = caption.replace(mark, command)
    tables = [latex_table(summary, caption=caption, label=f"tab:compare-{comparison.split}")]
    for (by, measure), members in groupby(comparison.groups, key=lambda group: (group.by, group.measure)):
        table = _groups(list(members), comparison.baseline)
        caption = latex_text(f"{measure} by {by} on {comparison.split}; intervals: bootstrap over conversations.")
        tables.append(latex_table(table, caption=caption, label=f"tab:compare-{comparison.split}-{by}-{measure}"))
    notes = [f"% {' '.join(note.split())}" for note in comparison.notes]
    return "\n".join(["% \\usepackage{booktabs}", *notes, *tables]) + "\n"


def _groups(groups: list[GroupRow], baseline: str) -> Table:
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
