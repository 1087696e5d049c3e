"""L0 and R@100 by turn number: a figure for each grid, a line for each row."""

from typing import Final

from retort.report.paper.claims import Grid
from retort.report.paper.grid import by_turn, turn_groups
from retort.report.render.by_turn import TurnLine, turn_charts
from retort.report.render.figure import DASHES, LOOKS, Figure

__all__ = ["by_turn_figure"]

_MEASURES: Final = ("L0", "R@100")


def by_turn_figure(grid: Grid, name: str) -> Figure:
    """The figure of a grid's rows: means over seeds and over the turns of a number, the deepest turns in one group."""
    groups = turn_groups(grid.turns.turn_numbers)
    lines = []
    for number, row in enumerate(grid.rows):
        colour, marker = LOOKS[number % len(LOOKS)]
        dash = DASHES[number // len(LOOKS) % len(DASHES)]
        means = {measure: list(by_turn(row, grid.turns, measure).values()) for measure in _MEASURES}
        label, width = (f"{row.label} (baseline)", 3.0) if row is grid.baseline else (row.label, 1.6)
        lines.append(TurnLine(label, means, colour, marker, dash, width))
    counts = {label: len(positions) for label, positions in groups.items()}
    text = (
        f"Lines: {grid.question.title}, each the mean over its seeds. In brackets: how many turns have the number; the deepest "
        "are one group, since few conversations go so far."
    )
    charts = turn_charts(_MEASURES, counts, lines)
    return Figure(name, f"{' and '.join(_MEASURES)} by turn number", text, charts, columns=2)
