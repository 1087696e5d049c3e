"""A comparison as LaTeX, for papers: booktabs is all that it needs."""

from collections.abc import Sequence
from itertools import groupby

from retort.measures.registry import figure
from retort.report.comparison.compare import SIGNIFICANT
from retort.report.comparison.groups import GroupRow
from retort.report.comparison.runs import Comparison
from retort.report.comparison.summary import DAGGER, DOUBLE_DAGGER, summarise
from retort.report.render.latex import latex_bold, latex_table, latex_text

__all__ = ["comparison_latex"]


def comparison_latex(comparison: Comparison) -> str:
    """The table of runs, and one for each column and measure by which the effect is told."""
    summary = summarise(comparison)
    marks = {DAGGER: r"$^{\dagger}$", DOUBLE_DAGGER: r"$^{\ddagger}$", "": ""}
    rows = []
    for name, cells in summary.lines:
        figures = [(latex_bold if cell.best else str)(latex_text(cell.text)) + marks[cell.mark] for cell in cells]
        rows.append([latex_text(name), *figures])
    caption = latex_text(summary.legend).replace(f"p {latex_text('<')} {SIGNIFICANT}", f"$p < {SIGNIFICANT}$")
    for mark in (DAGGER, DOUBLE_DAGGER):
        caption = caption.replace(mark, marks[mark])
    header = ["run", *map(latex_text, summary.measures)]
    tables = [latex_table(header, rows, caption=caption, label=f"tab:compare-{comparison.split}")]
    for (by, measure), found in groupby(comparison.groups, key=lambda row: (row.by, row.measure)):
        tables.append(_groups(comparison, by, measure, list(found)))
    notes = [f"% {' '.join(note.split())}" for note in comparison.notes]
    return "\n".join(["% \\usepackage{booktabs}", *notes, *tables]) + "\n"


def _groups(comparison: Comparison, by: str, measure: str, found: Sequence[GroupRow]) -> str:
    groups: dict[str, list[GroupRow]] = {}
    for row in found:
        groups.setdefault(row.group, []).append(row)
    rows = []
    for group, members in groups.items():
        first = members[0]
        about = f"{group}: {first.n} turns of {first.conversations} conversations"
        rows.append([rf"\multicolumn{{4}}{{l}}{{\emph{{{latex_text(about)}}}}}"])
        rows.append([latex_text(f"{comparison.baseline} (baseline)"), figure(measure, first.baseline_mean), "", ""])
        for row in members:
            interval = "-" if row.interval is None else f"[${row.interval[0]:+.3f}$, ${row.interval[1]:+.3f}$]"
            rows.append([latex_text(row.run), figure(measure, row.mean), f"${row.difference:+.3f}$", interval])
    caption = latex_text(f"{measure} by {by} on {comparison.split}; intervals: bootstrap over conversations.")
    label = f"tab:compare-{comparison.split}-{by}-{measure}"
    return latex_table(
        ["run", latex_text(measure), "difference", r"95 \% interval"], rows, caption=caption, label=label
    )
