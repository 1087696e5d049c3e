"""Tables and texts in LaTeX, which need booktabs and no other package."""

import re
from collections.abc import Sequence
from typing import Final

from retort.report.render.table import Cell, Column, Heading, Table

__all__ = ["MARKS", "latex_table", "latex_text"]

MARKS: Final = {"†": r"$^{\dagger}$", "‡": r"$^{\ddagger}$"}

# What TeX reads as commands, and what the font that it begins with (OT1) has no glyph for.
ESCAPED: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "[": "{[}",  # after the end of a row both would be read as its arguments
    "*": "{*}",
}


def latex_text(text: str) -> str:
    """Text that LaTeX prints as it is: commands escaped, two hyphens kept apart, line ends as blanks."""
    line = " ".join(text.split())
    escaped = "".join(ESCAPED.get(character, character) for character in line)
    return re.sub("-(?=-)", "-{}", escaped)


def latex_table(table: Table, *, caption: str, label: str) -> str:
    """A table environment, without the table's title and notes.

    Args:
        table: The table; a heading spans all columns.
        caption: As LaTeX.
        label: For references; characters that a label should not have become hyphens.
    """
    columns = "".join("r" if column.kind == "number" else "l" for column in table.columns)
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{caption}}}",
        rf"  \label{{{re.sub(r'[^A-Za-z0-9:.-]+', '-', label)}}}",
        rf"  \begin{{tabular}}{{{columns}}}",
        r"    \toprule",
        _line([latex_text(column.name) for column in table.columns]),
        r"    \midrule",
    ]
    for each in table.rows:
        if isinstance(each, Heading):
            lines.append(_line([rf"\multicolumn{{{len(columns)}}}{{l}}{{\emph{{{latex_text(each.text)}}}}}"]))
        else:
            lines.append(_line([_cell(cell, column) for cell, column in zip(each.cells, table.columns, strict=True)]))
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}"])


def _line(cells: Sequence[str]) -> str:
    return f"    {' & '.join(cells)} \\\\"


def _cell(cell: Cell, column: Column) -> str:
    text = latex_text(cell.text)
    if column.kind == "number":  # a sign is a sign in mathematics alone, a hyphen elsewhere
        text = re.sub(r"(?<!\S)((?:\{\[\})?)([+-][0-9.]+)", r"\1$\2$", text)
    return (rf"\textbf{{{text}}}" if cell.bold else text) + MARKS.get(cell.mark, latex_text(cell.mark))
