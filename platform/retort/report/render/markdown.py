"""Tables and texts in Markdown."""

from collections.abc import Sequence
from typing import Final

from retort.report.render.table import Cell, Heading, Table, one_line

__all__ = ["markdown_section", "markdown_table", "markdown_text"]

_MARKUP: Final = "\\`*_[]<>#~|"


def markdown_text(text: str) -> str:
    """Text on one line in which Markdown sees no markup."""
    return "".join(f"\\{character}" if character in _MARKUP else character for character in one_line(text))


def markdown_table(table: Table) -> list[str]:
    """Lines of a table without its title and notes; a heading is a row with nothing but its text."""
    names = [markdown_text(column.name) for column in table.columns]
    lines = [names, ["---:" if column.kind == "number" else "---" for column in table.columns]]
    for each in table.rows:
        if not isinstance(each, Heading):
            lines.append([_cell(cell, bold=each.style == "bold") for cell in each.cells])
        elif each.text:
            lines.append([f"**{markdown_text(each.text)}**", *[""] * (len(names) - 1)])
    return [_line(cells) for cells in lines]


def markdown_section(table: Table) -> list[str]:
    """Lines of a table below its title, with its notes as a list."""
    title = [f"### {markdown_text(table.title)}", ""] if table.title else []
    notes = ["", *(f"- {markdown_text(note)}" for note in table.notes)] if table.notes else []
    return [*title, *markdown_table(table), *notes]


def _cell(cell: Cell, *, bold: bool) -> str:
    text = markdown_text(cell.text)
    return (f"**{text}**" if text and (bold or cell.bold) else text) + markdown_text(cell.mark)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
