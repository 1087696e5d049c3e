"""A comparison as text to take away: for the terminal, in Markdown, LaTeX, CSV with one line per figure, and JSON."""

import json
from collections.abc import Callable, Mapping
from typing import Final, Literal

from retort.report.comparison.latex import comparison_latex
from retort.report.comparison.runs import Comparison
from retort.report.comparison.tables import comparison_tables, summary_table, values_table
from retort.report.render.markdown import markdown_section
from retort.report.render.table import csv_text
from retort.report.render.terminal import columns_variable, terminal_text

__all__ = ["Form", "comparison_text"]

Form = Literal["terminal", "markdown", "latex", "csv", "json"]


def comparison_text(comparison: Comparison, form: Form) -> str:
    """A comparison in one of the formats; tables of text are as wide as ``COLUMNS`` says, or as they need."""
    return _FORMS[form](comparison)


def _terminal(comparison: Comparison) -> str:
    tables = comparison_tables(comparison)
    return "\n\n".join(terminal_text(table, columns_variable()).plain for table in tables) + "\n"


def _markdown(comparison: Comparison) -> str:
    tables = [summary_table(comparison), *comparison_tables(comparison)]
    return "\n\n".join("\n".join(markdown_section(table)) for table in tables) + "\n"


def _csv(comparison: Comparison) -> str:
    return csv_text(values_table(comparison))


def _json(comparison: Comparison) -> str:
    return json.dumps(comparison.to_json(), indent=1, ensure_ascii=False) + "\n"


_FORMS: Final[Mapping[Form, Callable[[Comparison], str]]] = {
    "terminal": _terminal,
    "markdown": _markdown,
    "latex": comparison_latex,
    "csv": _csv,
    "json": _json,
}
