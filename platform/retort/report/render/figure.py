"""Figures as values: what is drawn, where the ticks are, which number stands where; two modules draw them.

``figures_page`` draws a figure in a browser, ``figures_files`` as PNG and SVG: both from the same values, so that a file shows
what the page shows. Colours are Okabe and Ito's, which the colour-blind tell apart; shapes and dashes tell the same.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

__all__ = [
    "BLACK",
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "PURPLE",
    "SKY",
    "VERMILLION",
    "Axis",
    "Chart",
    "Figure",
    "Note",
    "Position",
    "Series",
    "bounds",
    "label_positions",
    "tick_values",
]

BLUE: Final = "#0072B2"
VERMILLION: Final = "#D55E00"
GREEN: Final = "#009E73"
ORANGE: Final = "#E69F00"
PURPLE: Final = "#CC79A7"
SKY: Final = "#56B4E9"
BLACK: Final = "#000000"
GREY: Final = "#8c8c8c"

Marker = Literal[
    "circle", "circle-open", "diamond", "diamond-open", "square", "triangle-up", "triangle-down", "star", "x", "line-ew"
]
Line = Literal["solid", "dash", "dot", "steps"]
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
_POSITIONS: Final[tuple[Position, ...]] = (
    "top left",
    "top center",
    "middle left",
    "top right",
    "bottom right",
    "bottom center",
    "middle right",
    "bottom left",
)
# The plane in which numbers are placed: no wider than a page of 800 pixels has room for.
_PLANE: Final = (640.0, 360.0)
_TEXT: Final = (8.0, 15.0)  # a character's width, a line's height


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis, with all that is to be drawn of it.

    Attributes:
        title: What it is of; empty: none.
        range: Its ends, in the values' own unit.
        ticks: Value and text of each.
        log: Whether it is logarithmic.
        slanted: Whether its texts are too long to stand side by side.
    """

    title: str
    range: tuple[float, float]
    ticks: tuple[tuple[float, str], ...]
    log: bool = False
    slanted: bool = False

    def at(self, value: float) -> float:
        """Where a value lies: 0 and 1 are the ends."""
        low, high = self.range
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return (value - low) / (high - low)


@dataclass(frozen=True, slots=True)
class Series:
    """Points, lines or bars of one kind.

    Attributes:
        name: In the legend; series of one name are switched together.
        x: Values across; None interrupts the line.
        y: Values upward.
        colour: Of all of it.
        marker: Of each point; None: no points.
        line: Between the points; ``steps`` is flat up to the next point; None: none.
        size: Of the markers, in pixels.
        width: Of the line, in pixels.
        opacity: Of all of it.
        hover: What the mouse finds at each point, in lines; empty: nothing.
        labels: What stands beside each point where there is room; empty: nothing.
        legend: Whether the legend names it.
        bars: Horizontal bars instead: x their lengths, y their places.
    """

    name: str
    x: Sequence[float | None]
    y: Sequence[float | None]
    colour: str
    marker: Marker | None = None
    line: Line | None = None
    size: float = 9
    width: float = 1.6
    opacity: float = 1.0
    hover: Sequence[str] = ()
    labels: Sequence[str] = ()
    legend: bool = True
    bars: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """A text that stands left of a place in a chart."""

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
        name: Of its files and in the page.
        title: Above it.
        text: Below the title: how to read it.
        charts: One, or several small ones.
        columns: How many of them stand side by side where there is room.
    """

    name: str
    title: str
    text: str
    charts: Sequence[Chart]
    columns: int = 1

    def legend(self) -> list[Series]:
        """One series for each name that the legend has."""
        named: dict[str, Series] = {}
        for series in (series for chart in self.charts for series in chart.series):
            if series.legend:
                named.setdefault(series.name, series)
        return list(named.values())


def bounds(values: Sequence[float], *, log: bool = False, margin: float = 0.06) -> tuple[float, float]:
    """Ends of an axis that holds all values, with some room on both sides; of equal values, around them."""
    low, high = (min(values), max(values)) if values else (1.0, 10.0)
    if log:
        low, high = math.log10(low), math.log10(high)
    room = margin * (high - low) or (0.3 if log else 0.05 * abs(high) or 0.5)
    low, high = low - room, high + room
    return (10**low, 10**high) if log else (low, high)


def tick_values(low: float, high: float, *, log: bool = False, most: int = 7) -> tuple[tuple[float, str], ...]:
    """Round values between two bounds with their texts: steps of 1, 2 or 5; on a log axis so many of each power of ten."""
    values: list[float] = []
    if log:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
            values = [step * 10.0**power for power in range(first, last + 1) for step in steps]
            values = [value for value in values if low <= value <= high]
            if len(values) <= most:
                break
        else:
            values = values[:: math.ceil(len(values) / most)]
    if len(values) < 3:  # between two powers of ten a log axis may have hardly a round value
        power = 10.0 ** math.floor(math.log10((high - low) / most))
        for step in (power, 2 * power, 5 * power, 10 * power):
            values = [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
            if len(values) <= most:
                break
    return tuple((value, f"{float(f'{value:.6g}'):g}") for value in values)


def label_positions(chart: Chart) -> list[list[Position | None]]:
    """Where each series' labels stand: beside their points, over no marker and no other label; None where there is no room.

    Greedy, in the order of the points, on a plane as small as the page may be: where there is more room it is right too.
    """
    boxes = [
        (*_place(chart, x, y), series.size / 2, series.size / 2)
        for series in chart.series
        if series.marker is not None
        for x, y in zip(series.x, series.y, strict=True)
        if x is not None and y is not None
    ]
    return [[_free(chart, series, number, boxes) for number in range(len(series.labels))] for series in chart.series]


def _free(chart: Chart, series: Series, number: int, boxes: list[tuple[float, float, float, float]]) -> Position | None:
    x, y, text = series.x[number], series.y[number], series.labels[number]
    if x is None or y is None or not text:
        return None
    across, up = _place(chart, x, y)
    half_width, half_height = _TEXT[0] * len(text) / 2, _TEXT[1] / 2
    for position in _POSITIONS:
        vertical, horizontal = position.split()
        beside = {"left": -1, "center": 0, "right": 1}[horizontal] * (half_width + series.size * 0.5)
        above = {"bottom": -1, "middle": 0, "top": 1}[vertical] * (half_height + series.size * 0.5)
        place = (across + beside, up + above)
        inside = all(
            half <= at <= end - half for at, half, end in zip(place, (half_width, half_height), _PLANE, strict=True)
        )
        covered = any(
            abs(place[0] - other[0]) < half_width + other[2] and abs(place[1] - other[1]) < half_height + other[3]
            for other in boxes
        )
        if inside and not covered:
            boxes.append((*place, half_width, half_height))
            return position
    return None


def _place(chart: Chart, x: float, y: float) -> tuple[float, float]:
    return chart.x.at(x) * _PLANE[0], chart.y.at(y) * _PLANE[1]
