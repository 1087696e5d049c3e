"""Tables in LaTeX that need booktabs and nothing else."""

import re
from collections.abc import Sequence
from typing import Final

__all__ = ["latex_bold", "latex_table", "latex_text"]

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


def latex_bold(text: str) -> str:
    """LaTeX in bold."""
    return rf"\textbf{{{text}}}"


def latex_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str, label: str) -> str:
    """A table environment; the first column is text, the others are figures.

    Args:
        header: One cell for each column, escaped.
        rows: Cells as LaTeX.
        caption: As LaTeX.
        label: For references; characters that a label should not have become hyphens.
    """
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{caption}}}",
        rf"  \label{{{re.sub(r'[^A-Za-z0-9:.-]+', '-', label)}}}",
        rf"  \begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
        r"    \toprule",
        f"    {' & '.join(header)} \\\\",
        r"    \midrule",
        *(f"    {' & '.join(row)} \\\\" for row in rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)
