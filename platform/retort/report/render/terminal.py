"""Tables as lines of text: as wide as the terminal, in a pipe as wide as ``COLUMNS`` says or the table needs.

Numbers and names are never broken, and no line ends in blanks. Where a table is too wide, in this order:

1. headers break at blanks, underscores, dots and strokes;
2. columns of text wrap at blanks;
3. a name in the first column stands on a line of its own above its row, where that keeps more columns;
4. the least important columns are left out, and a line below the table names them.
"""

import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

from retort.report.render.table import Cell, Column, Row, Table

__all__ = ["TableConsole", "columns_variable", "output_width", "table_console", "terminal_text"]

GAP = 2  # blanks between columns
NARROWEST = 20  # of a column of text, in which only longer words are broken
NOTES = 100  # the least width to which notes wrap where nothing says how wide the output is
UNLIMITED = 100_000

Line = list[tuple[str, str]]  # parts of a line, with their styles


def columns_variable() -> int | None:
    """The width that the environment's ``COLUMNS`` says; None where it says none."""
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdecimal() and int(columns) > 0 else None


def output_width(stream: TextIO) -> int | None:
    """Columns of a terminal, or else what ``COLUMNS`` says; None: as many as it takes."""
    return shutil.get_terminal_size().columns if stream.isatty() else columns_variable()


class TableConsole:
    """Prints tables and texts, set apart by a blank line, to a stream."""

    def __init__(self, stream: TextIO, width: int | None) -> None:
        self.width = width
        self._console = Console(file=stream, width=width or UNLIMITED, highlight=False, markup=False, emoji=False)
        self._empty = True

    def print(self, *parts: Table | RenderableType) -> None:
        """Print each part below the last."""
        for part in parts:
            text = terminal_text(part, self.width) if isinstance(part, Table) else self._rendered(part)
            if not self._empty:
                self._console.print()
            self._console.print(text, soft_wrap=True)
            self._empty = False

    def _rendered(self, part: RenderableType) -> Text:
        lines = self._console.render_lines(part, pad=False)
        return _joined([[(segment.text, str(segment.style or "")) for segment in line] for line in lines])


def table_console(*, to_stderr: bool = False) -> TableConsole:
    """What prints tables to the program's output, as wide as that is."""
    stream = sys.stderr if to_stderr else sys.stdout
    return TableConsole(stream, output_width(stream))


@dataclass(frozen=True)
class _Layout:
    """How a table is laid out.

    Attributes:
        shown: Positions of the columns that are shown.
        widths: Of each of them.
        headers: The lines of each header.
        fillers: What follows a figure without a mark: a blank where other figures of the column have one.
        stacked: Whether the first column stands on lines of its own above the others.
    """

    shown: tuple[int, ...]
    widths: tuple[int, ...]
    headers: tuple[tuple[str, ...], ...]
    fillers: tuple[str, ...]
    stacked: bool

    @property
    def room(self) -> int:
        """What the columns beside each other take, with the indentation of those below a name."""
        beside = self.widths[1:] if self.stacked else self.widths
        return sum(beside) + GAP * (len(beside) - (not self.stacked))

    @property
    def width(self) -> int:
        """What the longest row takes."""
        return max(self.room, self.widths[0])


def terminal_text(table: Table, width: int | None = None) -> Text:
    """A table with its title above it and its notes below; None: as wide as it needs.

    Returns:
        Lines without a last line end, none of which ends in blanks.
    """
    most = width or UNLIMITED
    layout = _layout(table, most)
    lines: list[Line] = [[(line, "bold")] for line in wrapped(table.title, most)]
    if not table.headless:
        lines += _header(table.columns, layout)
        lines.append([("-" * min(layout.width, most), "dim")])
    for number, each in enumerate(table.rows):
        if isinstance(each, Row):
            lines += _row(table.columns, each, layout)
        else:
            lines += [[]] if number else []
            lines += [[(line, "bold")] for line in wrapped(each.text, most)]
    notes = list(table.notes)
    every = range(len(table.columns))
    if left := [table.columns[index].name for index in every if index not in layout.shown]:
        least = min(_measured(table, tuple(every), 0, compact=True, stacked=stacked).room for stacked in _ways(table))
        notes.insert(0, f"not shown at {width} columns: {', '.join(left)} (all fit into {least})")
    for note in notes:
        lines += [[(line, "dim")] for line in wrapped(note, width or max(layout.width, NOTES))]
    return _joined(lines)


def wrapped(text: str, width: int, *, fold: bool = False) -> list[str]:
    """Lines of words of at most ``width`` columns each; a longer word stands alone, or is broken with ``fold``."""
    lines = []
    for paragraph in text.splitlines():
        line = ""
        for word in re.findall(r"\s*\S+", paragraph):
            if not line or cell_len(line + word) <= width:
                line += word
            else:
                lines.append(line)
                line = word.lstrip()
            while fold and cell_len(line) > width:
                cut = next(
                    end for end in range(min(len(line), width), 0, -1) if cell_len(line[:end]) <= width or end == 1
                )
                lines.append(line[:cut])
                line = line[cut:]
        lines.append(line)
    return lines


def _joined(lines: Sequence[Line]) -> Text:
    texts = [Text.assemble(*line) for line in lines]
    for text in texts:
        text.rstrip()
    return Text("\n").join(texts)


def _ways(table: Table) -> tuple[bool, ...]:
    """Whether the first column may stand above the others."""
    return (False, True) if len(table.columns) > 1 and table.columns[0].kind == "name" else (False,)


def _layout(table: Table, width: int) -> _Layout:
    """The layout that shows the most columns; of those that show as many, the one that changes the least."""
    every = tuple(range(len(table.columns)))
    layouts = [
        _fitted(table, every, width, compact=compact, stacked=stacked)
        for stacked in _ways(table)
        for compact in (False, True)
    ]
    return max(layouts, key=lambda layout: len(layout.shown))


def _fitted(table: Table, shown: tuple[int, ...], width: int, *, compact: bool, stacked: bool) -> _Layout:
    """Leave out the least important columns until the others fit; the last one, and a name above its row, always stay."""
    while True:
        layout = _measured(table, shown, width, compact=compact, stacked=stacked)
        free = shown[1:] if stacked else shown
        if layout.room <= width or len(free) == 1:
            return layout
        least = min(free, key=lambda index: (table.columns[index].importance, -index))
        shown = tuple(index for index in shown if index != least)


def _measured(table: Table, shown: tuple[int, ...], width: int, *, compact: bool, stacked: bool) -> _Layout:
    """Widths of columns and lines of their headers; columns of text share what room the others leave."""
    rows = [each for each in table.rows if isinstance(each, Row)]
    columns = [table.columns[index] for index in shown]
    widths, headers, fillers, texts = [], [], [], {}
    for position, (index, column) in enumerate(zip(shown, columns, strict=True)):
        filler = " " if any(each.cells[index].mark for each in rows) else ""
        lines = [line for each in rows for line in _lines(each.cells[index], column, filler)]
        natural = max(map(cell_len, lines), default=0)
        header: tuple[str, ...] = () if table.headless else tuple(column.header.split("\n"))
        if compact and header:
            header = _broken(column.name, 0 if column.kind == "text" else natural)
        head = max(map(cell_len, header), default=0)
        if column.kind == "text":
            longest = max((cell_len(word) for line in lines for word in line.split()), default=0)
            texts[position] = (max(head, min(longest, NARROWEST)), max(head, longest), max(head, natural))
        widths.append(max(head, natural))
        headers.append(header)
        fillers.append(filler)
    layout = _Layout(shown, tuple(widths), tuple(headers), tuple(fillers), stacked)
    if layout.room > width and texts:
        for position, share in _shared(
            texts, width - layout.room + sum(widths[position] for position in texts)
        ).items():
            widths[position] = share
    return replace(layout, widths=tuple(widths))


def _shared(bounds: dict[int, tuple[int, int, int]], room: int) -> dict[int, int]:
    """Room divided between columns of text: at least their longest words if those fit, the rest by what each has more."""
    whole = sum(longest for _, longest, _ in bounds.values()) <= room
    least = {position: longest if whole else narrowest for position, (narrowest, longest, _) in bounds.items()}
    wanted = {position: bounds[position][2] - own for position, own in least.items()}
    rest = max(0, room - sum(least.values()))
    return {position: own + rest * wanted[position] // max(1, sum(wanted.values())) for position, own in least.items()}


def _broken(name: str, width: int) -> tuple[str, ...]:
    """A header in lines of at most ``width`` columns, or of its longest part."""
    parts = re.findall(r"[^\s_./]*[\s_./]*", name)[:-1]
    width = max([width, *(cell_len(part.rstrip()) for part in parts)])
    lines = [""]
    for part in parts:
        if lines[-1] and cell_len((lines[-1] + part).rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return tuple(line.rstrip() for line in lines)


def _lines(cell: Cell, column: Column, filler: str) -> list[str]:
    """A cell's lines before any wrapping, with its mark; a name or number has one."""
    if column.kind == "text":
        return (cell.text + cell.mark).splitlines()
    return [" ".join(cell.text.splitlines()) + (cell.mark or filler)]


def _header(columns: Sequence[Column], layout: _Layout) -> list[Line]:
    lines: list[Line] = [[(line, "bold")] for line in layout.headers[0]] if layout.stacked else []
    first = int(layout.stacked)
    deepest = max(map(len, layout.headers[first:]))
    blocks = [["" for _ in range(deepest - len(header))] + list(header) for header in layout.headers]
    return lines + _beside(columns, layout, blocks, ["bold"] * len(blocks))


def _row(columns: Sequence[Column], own: Row, layout: _Layout) -> list[Line]:
    blocks, styles = [], []
    for index, width, filler in zip(layout.shown, layout.widths, layout.fillers, strict=True):
        cell = own.cells[index]
        lines = _lines(cell, columns[index], filler)
        if columns[index].kind == "text":
            lines = [part for line in lines for part in wrapped(line, width, fold=True)]
        blocks.append(lines)
        styles.append(f"{own.style} {cell.style}".strip())
    above: list[Line] = [[(line, styles[0])] for line in blocks[0] if line.strip()] if layout.stacked else []
    return above + _beside(columns, layout, blocks, styles)


def _beside(
    columns: Sequence[Column], layout: _Layout, blocks: Sequence[Sequence[str]], styles: Sequence[str]
) -> list[Line]:
    """Lines of the columns beside each other, all but the first where that stands above them."""
    first = int(layout.stacked)
    lines: list[Line] = []
    for number in range(max(len(block) for block in blocks[first:])):
        line: Line = [(" " * GAP, "")] if layout.stacked else []
        for position in range(first, len(blocks)):
            text = blocks[position][number] if number < len(blocks[position]) else ""
            blanks = " " * (layout.widths[position] - cell_len(text))
            right = columns[layout.shown[position]].kind == "number"
            line += [(blanks + text if right else text + blanks, styles[position]), (" " * GAP, "")]
        lines.append(line)
    return lines
