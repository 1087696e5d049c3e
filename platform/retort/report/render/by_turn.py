"""Measures by turn number: a chart for each measure, a line for each run, the deepest turns as one group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from retort.measures.registry import measure
from retort.report.render.axes import choice_axis, measure_axis
from retort.report.render.figure import Chart, Line, Marker, Series

__all__ = ["TurnLine", "turn_charts"]


@dataclass(frozen=True, slots=True)
class TurnLine:
    """One line of every chart.

    Attributes:
        name: Its name in the legend.
        means: Measure -> mean of each group of turns; None where a group has none.
        colour: Colour of line and points.
        marker: Shape of the points; None: only the line is drawn.
        line: How it is dashed.
        width: Width of the line, in pixels.
    """

    name: str
    means: Mapping[str, Sequence[float | None]]
    colour: str
    marker: Marker | None
    line: Line
    width: float


def turn_charts(measures: Sequence[str], groups: Mapping[str, int], lines: Sequence[TurnLine]) -> list[Chart]:
    """A chart for each measure; ``groups`` has the turn numbers' labels and how many turns have them."""
    x_axis = choice_axis("turn number (turns)", [f"{label}\n({n})" for label, n in groups.items()], margin=0.3)
    charts = []
    for name in measures:
        axis = measure_axis(name, [mean for line in lines for mean in line.means[name] if mean is not None])
        series = [
            Series(
                line.name,
                [float(position) for position in range(len(groups))],
                [None if mean is None else axis.drawn(mean) for mean in line.means[name]],
                line.colour,
                line.marker,
                line.line,
                size=8,
                width=line.width,
                hover=[
                    f"{line.name}\nturn {label}: {name} {measure(name).text(mean)} (n {n})"
                    for (label, n), mean in zip(groups.items(), line.means[name], strict=True)
                ],
            )
            for line in lines
        ]
        charts.append(Chart(x_axis, axis, series, height=380))
    return charts
