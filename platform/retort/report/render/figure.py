"""Figures as values: what is drawn, and which number stands where; two modules draw them.

``interactive`` draws a figure in a browser, ``files`` as PNG and SVG: both from the same values, so that a file shows what the
page shows. Colours are Okabe and Ito's, which the colour-blind tell apart; shapes and dashes tell the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from retort.report.render.axes import Axis

__all__ = [
    "BLACK",
    "BLUE",
    "DASHES",
    "GREEN",
    "GREY",
    "LOOKS",
    "ORANGE",
    "PURPLE",
    "SKY",
    "VERMILLION",
    "Chart",
    "Figure",
    "Line",
    "Marker",
    "Note",
    "Position",
    "Series",
    "label_positions",
    "offsets",
]

BLUE: Final = "#0072B2"
VERMILLION: Final = "#D55E00"
GREEN: Final = "#009E73"
ORANGE: Final = "#E69F00"
PURPLE: Final = "#CC79A7"
SKY: Final = "#56B4E9"
BLACK: Final = "#000000"
GREY: Final = "#8c8c8c"

Marker = Literal["circle", "diamond", "square", "triangle-up", "triangle-down", "star", "x", "cross", "line-ew"]
Line = Literal["solid", "dash", "dot", "dashdot", "steps"]
Position = Literal[
    "top left",
    "top center",
    "middle left",
    "top right",
    "bottom right",
    "bottom center",
    "middle right",
    "bottom left",
]
# Colour and marker of the first, second, ... of several alike.
LOOKS: Final[tuple[tuple[str, Marker], ...]] = (
    (BLUE, "circle"),
    (VERMILLION, "square"),
    (GREEN, "triangle-up"),
    (PURPLE, "diamond"),
    (ORANGE, "triangle-down"),
    (SKY, "cross"),
    (BLACK, "x"),
)
DASHES: Final[tuple[Line, ...]] = ("solid", "dash", "dot", "dashdot")
_POSITIONS: Final[tuple[Position, ...]] = get_args(Position)
# The plane on which labels are placed, in pixels: no wider than a page of 800 pixels has room for.
_PLANE: Final = (640.0, 360.0)
_TEXT: Final = (8.0, 15.0)  # width of a character, height of a line


@dataclass(frozen=True, slots=True)
class Series:
    """Points, lines or bars of one kind.

    Attributes:
        name: Its name in the legend; series of one name are shown and hidden together.
        x: Values across; None interrupts the line.
        y: Values upward.
        colour: Colour of points, line and labels.
        marker: Shape of the points; None: none are drawn.
        line: How the points are joined; ``steps``: flat up to the next point; None: they are not.
        hollow: Whether the points are drawn as outlines.
        size: Diameter of a point, in pixels.
        width: Width of the line, in pixels.
        opacity: From 0, not to be seen, to 1.
        hover: Text that the mouse finds at each point, in lines; empty: none.
        labels: Text beside each point, where there is room for it; empty: none.
        legend: Whether the legend names it.
        bars: Whether horizontal bars are drawn instead: x has their lengths, y their positions.
    """

    name: str
    x: Sequence[float | None]
    y: Sequence[float | None]
    colour: str
    marker: Marker | None = None
    line: Line | None = None
    hollow: bool = False
    size: float = 9
    width: float = 1.6
    opacity: float = 1.0
    hover: Sequence[str] = ()
    labels: Sequence[str] = ()
    legend: bool = True
    bars: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """A text in a chart, left of the point (x, y)."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One pair of axes and what is drawn in it; its height is in pixels of the page, None: the usual one."""

    x: Axis
    y: Axis
    series: Sequence[Series]
    title: str = ""
    notes: Sequence[Note] = ()
    height: int | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """What is one file, and one section of a page.

    Attributes:
        name: Name of its files, and of its section in a page.
        title: Stands above it.
        text: How to read it; stands below the title.
        charts: One, or several small ones.
        columns: How many charts stand side by side where there is room.
        key: What the labels stand for, a line each; stands below the charts in a file. In a page the mouse finds it.
    """

    name: str
    title: str
    text: str
    charts: Sequence[Chart]
    columns: int = 1
    key: Sequence[str] = ()

    def legend(self) -> list[Series]:
        """One series for each name that the legend has."""
        by_name: dict[str, Series] = {}
        for series in (series for chart in self.charts for series in chart.series):
            if series.legend:
                by_name.setdefault(series.name, series)
        return list(by_name.values())


def offsets(position: Position) -> tuple[int, int]:
    """In which direction a label stands from its point: across (-1: left) and up (-1: below)."""
    vertical, horizontal = position.split()
    return {"left": -1, "center": 0, "right": 1}[horizontal], {"bottom": -1, "middle": 0, "top": 1}[vertical]


def label_positions(chart: Chart) -> list[list[Position | None]]:
    """Where each series' labels stand: beside their points, over no marker and no other label; None where there is no room.

    Greedy, in the order of the points, on a plane as small as the page may be: where there is more room it is right too.
    """
    boxes = [
        (*_centre(chart, x, y), series.size / 2, series.size / 2)
        for series in chart.series
        if series.marker is not None
        for x, y in zip(series.x, series.y, strict=True)
        if x is not None and y is not None
    ]
    return [[_free(chart, series, number, boxes) for number in range(len(series.labels))] for series in chart.series]


def _free(chart: Chart, series: Series, number: int, boxes: list[tuple[float, float, float, float]]) -> Position | None:
    """The first position that is free, whose box is then taken; a box is its centre and half its width and height."""
    x, y, text = series.x[number], series.y[number], series.labels[number]
    if x is None or y is None or not text:
        return None
    point = _centre(chart, x, y)
    halves = _TEXT[0] * len(text) / 2, _TEXT[1] / 2
    for position in _POSITIONS:
        across, up = (
            at + offset * (half + series.size / 2)
            for at, offset, half in zip(point, offsets(position), halves, strict=True)
        )
        inside = halves[0] <= across <= _PLANE[0] - halves[0] and halves[1] <= up <= _PLANE[1] - halves[1]
        covered = any(
            abs(across - box[0]) < halves[0] + box[2] and abs(up - box[1]) < halves[1] + box[3] for box in boxes
        )
        if inside and not covered:
            boxes.append((across, up, *halves))
            return position
    return None


def _centre(chart: Chart, x: float, y: float) -> tuple[float, float]:
    return chart.x.at(x) * _PLANE[0], chart.y.at(y) * _PLANE[1]
