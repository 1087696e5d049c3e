"""A table of a report as one value, which the modules beside this one write as text for the terminal, Markdown, LaTeX and HTML.

The value says what its columns hold and which of them matter most. How wide a table may be, and what is left out where it does
not fit, is decided where it is written.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from retort.measures.registry import figure

__all__ = [
    "Cell",
    "Column",
    "Heading",
    "Row",
    "Table",
    "csv_text",
    "interval_text",
    "measure_cells",
    "measure_columns",
    "one_line",
    "p_text",
    "records",
    "row",
]

Kind = Literal["number", "name", "text"]

# Both objectives of a sweep go last, which is another order than that in which tables show measures.
_MEASURES_BY_IMPORTANCE: Final = ("R@100", "FLOPS", "nDCG@3", "RR", "R@10", "L0")


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        header: Its name; a line end in it stays one in the terminal and in HTML.
        kind: A ``number`` stands right and a ``name`` left, and neither is ever broken; a ``text`` may wrap at blanks.
        importance: Where the table is too wide, columns of the least importance are left out first, of equal ones the last.
    """

    header: str
    kind: Kind = "number"
    importance: int = 100

    @property
    def name(self) -> str:
        """The header on one line."""
        return one_line(self.header)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell.

    Attributes:
        text: What is read.
        value: What CSV and JSON hold and what a page sorts by; None: the text.
        style: Of the terminal, such as ``bold green``; the other formats know ``bold`` alone.
        mark: What follows the figure, such as a star.
    """

    text: str
    value: float | str | None = None
    style: str = ""
    mark: str = ""

    @property
    def bold(self) -> bool:
        """Whether the text is bold."""
        return "bold" in self.style.split()


@dataclass(frozen=True, slots=True)
class Row:
    """A row: one cell for each column, and the style of all of them, ``bold`` or ``dim``."""

    cells: tuple[Cell, ...]
    style: str = ""


@dataclass(frozen=True, slots=True)
class Heading:
    """A line of its own above the rows that it is about; without a text it only sets them apart."""

    text: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        title: What it shows; may be empty.
        columns: At least one. Where the first is a name too long to stand beside the others, the terminal puts it above them.
        rows: Rows, and headings above those that belong together.
        notes: Sentences below it.
        headless: Whether the terminal writes no header.
    """

    title: str
    columns: tuple[Column, ...]
    rows: Sequence[Row | Heading]
    notes: Sequence[str] = ()
    headless: bool = False

    def __post_init__(self) -> None:
        for each in self.rows:
            if isinstance(each, Row):
                assert len(each.cells) == len(self.columns), f"{len(each.cells)} cells, {len(self.columns)} columns"


def row(*cells: Cell | str, style: str = "") -> Row:
    """A row of cells or of their texts."""
    return Row(tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in cells), style)


def measure_columns(names: Sequence[str], suffix: str = "") -> tuple[Column, ...]:
    """A column for each measure, as important as the measure is."""
    last = len(_MEASURES_BY_IMPORTANCE)
    order = {name: 50 + last - position for position, name in enumerate(_MEASURES_BY_IMPORTANCE)}
    return tuple(Column(name + suffix, importance=order.get(name, 50)) for name in names)


def measure_cells(names: Sequence[str], measures: Mapping[str, float | None]) -> list[Cell]:
    """A cell for each measure; ``-`` where it was not measured."""
    return [Cell(figure(name, measures.get(name)), measures.get(name)) for name in names]


def interval_text(interval: tuple[float, float] | None) -> str:
    """An interval of a difference; ``-`` where there is none."""
    return "-" if interval is None else f"[{interval[0]:+.3f}, {interval[1]:+.3f}]"


def p_text(value: float | None) -> str:
    """A p as papers write it."""
    if value is None:
        return "-"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def one_line(text: str) -> str:
    """A text with its line ends as blanks."""
    return " ".join(text.split())


def records(table: Table) -> list[dict[str, float | str | None]]:
    """The rows as JSON values: column -> a cell's value, or else its text; a number that is not finite is null.

    Headings stand under ``section``, which tables without headings do not have.
    """
    sectioned = any(isinstance(each, Heading) for each in table.rows)
    section = ""
    rows: list[dict[str, float | str | None]] = []
    for each in table.rows:
        if isinstance(each, Heading):
            section = each.text
            continue
        own: dict[str, float | str | None] = {"section": section} if sectioned else {}
        for column, cell in zip(table.columns, each.cells, strict=True):
            value = cell.text if cell.value is None else cell.value
            own[column.name] = None if isinstance(value, float) and not math.isfinite(value) else value
        rows.append(own)
    return rows


def csv_text(table: Table) -> str:
    """The rows as CSV, with a header."""
    stream = io.StringIO()
    rows = records(table)
    writer = csv.DictWriter(
        stream, list(rows[0]) if rows else [column.name for column in table.columns], lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
