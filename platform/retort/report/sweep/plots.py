"""The front as pictures: a PNG for papers and MLflow, and a page that answers to the mouse and needs no network.

Colours are Okabe and Ito's, which the colour-blind tell apart; shapes tell the same. matplotlib and plotly are imported
late. No pyplot: it has global state, and picks a display.
"""

import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from retort.measures.registry import Direction, figure
from retort.sweeps.front import OBJECTIVES, front_rows
from retort.sweeps.trial import TrialPoint, knob_text, short_knobs, varying_knobs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_front_png", "write_front_html"]

BLUE: Final = "#0072B2"
VERMILLION: Final = "#D55E00"
GREY: Final = "#9a9a9a"
_AXIS_TITLES: Final = {
    "FLOPS": "FLOPS: multiplications per query-passage pair (log)",
    "L0": "L0: active terms of a query",
}
_LOG: Final = ("FLOPS",)


class _Layout:
    """Which objective lies on which axis, and where a point is drawn: FLOPS of 0 have no place on a log axis."""

    def __init__(self, points: Sequence[TrialPoint], objectives: Mapping[str, Direction]) -> None:
        # Cost goes across and worth goes up; of two of a kind, the first goes up.
        self.y, self.x = sorted(objectives, key=lambda measure: objectives[measure] == "min")
        self.directions = objectives
        self.log = self.x in _LOG
        self.front = [point for point in front_rows(points) if self._has(point.validation)]
        self.front.sort(key=lambda point: point.validation[self.x])
        self.numbers = {id(point): number for number, point in enumerate(front_rows(points), start=1)}
        self.dominated = [
            point
            for point in points
            if point.status == "finished" and not point.on_front and self._has(point.validation)
        ]
        self.evaluated = [point for point in self.front if point.evaluation and self._has(point.evaluation)]
        self.failed = sum(point.status == "failed" for point in points)
        every = [*self.front, *self.dominated]
        shown = [point.validation for point in every] + [point.evaluation or {} for point in self.evaluated]
        positive = [measures[self.x] for measures in shown if measures[self.x] > 0]
        self.floor = min(positive) / 2 if positive else 0.01
        self.floored = self.log and any(measures[self.x] <= 0 for measures in shown)

    def _has(self, measures: Mapping[str, float]) -> bool:
        return all(math.isfinite(measures.get(measure, math.nan)) for measure in (self.x, self.y))

    def place(self, measures: Mapping[str, float]) -> tuple[float, float]:
        x = measures[self.x]
        return (self.floor if self.log and x <= 0 else x), measures[self.y]

    def places(self, measures: Sequence[Mapping[str, float]]) -> tuple[list[float], list[float]]:
        placed = [self.place(one) for one in measures]
        return [x for x, _ in placed], [y for _, y in placed]

    def x_title(self) -> str:
        floored = f"; 0 is drawn at {self.floor:.2g}" if self.floored else ""
        return f"{_AXIS_TITLES.get(self.x, self.x)}{floored}"

    def y_title(self) -> str:
        return f"{self.y} on the validation turns{' (hollow: on evaluation)' if self.evaluated else ''}"

    def subtitle(self) -> str:
        drawn = len(self.front) + len(self.dominated)
        failed = f"; {self.failed} failed" if self.failed else ""
        upward = "up" if self.directions[self.y] == "max" else "down"
        sideways = "left" if self.directions[self.x] == "min" else "right"
        return f"{drawn} {'trial' if drawn == 1 else 'trials'}{failed}. Better: {upward} and {sideways}"


def plot_front_png(
    points: Sequence[TrialPoint],
    path: str | Path,
    *,
    title: str,
    objectives: Mapping[str, Direction] = OBJECTIVES,
) -> None:
    """Draw the front as a PNG: its points numbered as in the table, with their searched settings below the axes.

    Args:
        points: All trials; failed ones are counted, not drawn.
        path: A local file.
        title: Title of the figure.
        objectives: Two measures and their directions.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    layout = _Layout(points, objectives)
    lines = _descriptions(layout)
    left_edge, axes_inches, line_inches = 0.1, 4.6, 0.17
    height = axes_inches + 1.75 + line_inches * len(lines)
    picture = Figure(figsize=(8.6, height), dpi=150)
    FigureCanvasAgg(picture)
    axes = picture.add_axes((left_edge, 1 - (axes_inches + 1.0) / height, 0.875, axes_inches / height))
    if layout.log:
        axes.set_xscale("log")

    if layout.dominated:
        x, y = layout.places([point.validation for point in layout.dominated])
        axes.scatter(x, y, s=26, color=GREY, alpha=0.6, linewidths=0, label="dominated trials", zorder=2)
    if layout.front:
        x, y = layout.places([point.validation for point in layout.front])
        axes.scatter(x, y, s=46, color=BLUE, label="front, on the validation turns", zorder=4)
    if layout.evaluated:
        for point in layout.evaluated:
            assert point.evaluation is not None, "an evaluated point has measures"
            x, y = layout.places([point.validation, point.evaluation])
            axes.plot(x, y, color=VERMILLION, linewidth=0.7, linestyle=":", zorder=2)
        x, y = layout.places([point.evaluation or {} for point in layout.evaluated])
        axes.scatter(
            x, y, s=42, marker="D", facecolors="white", edgecolors=VERMILLION, label="the same, on evaluation", zorder=3
        )
    axes.margins(0.08, 0.1)
    axes.autoscale_view()
    if layout.front:
        # At a cost between two points the cheaper one is what can be had: the line is flat up to the next point.
        x, y = layout.places([point.validation for point in layout.front])
        left, right = axes.get_xlim()
        axes.plot([*x, right], [*y, y[-1]], drawstyle="steps-post", color=BLUE, linewidth=1.4, alpha=0.8, zorder=3)
        axes.set_xlim(left, right)

    axes.set_xlabel(layout.x_title())
    axes.set_ylabel(layout.y_title())
    if layout.log:
        decades = math.log10(axes.get_xlim()[1] / axes.get_xlim()[0])
        # Between two powers of ten a log axis may have no round number at all: there the ticks are evenly spaced.
        locator = LogLocator(subs=(1, 2, 5) if decades < 3.2 else (1,)) if decades > 0.8 else MaxNLocator(6)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(True, which="major", color="#e4e4e4", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)

    picture.text(left_edge, 1 - 0.28 / height, title, fontsize=13, weight="bold", va="center", parse_math=False)
    picture.text(left_edge, 1 - 0.56 / height, layout.subtitle(), fontsize=9, color="#444444", va="center")
    if axes.get_legend_handles_labels()[0]:
        above = (left_edge - 0.012, 1 - 0.66 / height)
        picture.legend(loc="upper left", bbox_to_anchor=above, ncols=3, frameon=False, fontsize=9, handletextpad=0.2)
    else:
        axes.text(0.5, 0.5, "no trial finished", transform=axes.transAxes, ha="center", color="#444444")
        axes.set(xticks=[], yticks=[])
    for number, line in enumerate(lines):
        y_text = (0.2 + line_inches * (len(lines) - 1 - number)) / height
        picture.text(left_edge, y_text, line, fontsize=8, family="monospace", va="center", parse_math=False)
    _place_labels(axes, layout)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path)


def _descriptions(layout: _Layout) -> list[str]:
    """A line for each point: number, figures, and the settings that differ, in columns."""
    knobs = varying_knobs(layout.front)
    names = short_knobs(knobs)
    header = ["", layout.x, layout.y, *(names[key] for key in knobs)]
    rows = [
        [
            str(layout.numbers[id(point)]),
            *(figure(measure, point.validation[measure]) for measure in (layout.x, layout.y)),
            *(knob_text(point.config.get(key)) for key in knobs),
        ]
        for point in layout.front
    ]
    if not rows:
        return []
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in [header, *rows]]
    most = 113  # characters that the figure's width holds
    return [line if len(line) <= most else f"{line[: most - 1]}…" for line in lines]


def _place_labels(axes: "Axes", layout: _Layout) -> None:
    """Number the front's points, each where it covers no marker and no other number, or else where it covers least."""
    half_width, half_height, distance = 10.0, 9.0, 22.0  # pixels at 150 dpi
    directions = [(-0.9, 0.9), (0, 1), (-1.1, 0), (0.9, 0.9), (0.9, -0.9), (0, -1), (1.1, 0), (-0.9, -0.9)]
    shown = [point.validation for point in [*layout.front, *layout.dominated]]
    shown += [point.evaluation or {} for point in layout.evaluated]
    taken = [tuple(axes.transData.transform(layout.place(measures))) for measures in shown]
    for point in layout.front:
        centre = axes.transData.transform(layout.place(point.validation))
        candidates = [(centre[0] + dx * distance, centre[1] + dy * distance) for dx, dy in directions]

        def covered(place: tuple[float, float]) -> int:
            return sum(abs(place[0] - x) < 2 * half_width and abs(place[1] - y) < 2 * half_height for x, y in taken)

        best = min(candidates, key=covered)  # of equal ones the first
        taken.append(best)
        x, y = axes.transData.inverted().transform(best)
        number = str(layout.numbers[id(point)])
        axes.text(x, y, number, fontsize=9, weight="bold", color=BLUE, ha="center", va="center", zorder=5)


def write_front_html(
    points: Sequence[TrialPoint],
    path: str | Path,
    *,
    title: str,
    objectives: Mapping[str, Direction] = OBJECTIVES,
) -> None:
    """Write the front as one interactive page, with plotly's code in it: it works without a network.

    Args:
        points: All trials; failed ones are counted, not drawn.
        path: A local file.
        title: Title of the figure.
        objectives: Two measures and their directions.
    """
    import plotly.graph_objects as go

    layout = _Layout(points, objectives)
    picture = go.Figure()

    def add(name: str, chosen: Sequence[TrialPoint], measures: Sequence[Mapping[str, float]], **style: object) -> None:
        x, y = layout.places(measures)
        hover = [_hover(point) for point in chosen]
        picture.add_scatter(name=name, x=x, y=y, hovertext=hover, hoverinfo="text", **style)

    grey = {"color": GREY, "size": 8, "opacity": 0.6}
    hollow = {"color": VERMILLION, "size": 10, "symbol": "diamond-open", "line": {"width": 2}}
    numbers = [f"{layout.numbers[id(point)]}" for point in layout.front]
    add("dominated trials", layout.dominated, [p.validation for p in layout.dominated], mode="markers", marker=grey)
    add(
        "the same, on evaluation",
        layout.evaluated,
        [point.evaluation or {} for point in layout.evaluated],
        mode="markers",
        marker=hollow,
    )
    add(
        "front, on the validation turns",
        layout.front,
        [point.validation for point in layout.front],
        mode="lines+markers+text",
        marker={"color": BLUE, "size": 11},
        line={"color": BLUE, "shape": "hv"},
        text=numbers,
        textposition="top left",
    )
    picture.update_layout(
        title={"text": f"{html.escape(title)}<br><sub>{layout.subtitle()}</sub>"},
        xaxis={"title": {"text": layout.x_title()}, "type": "log" if layout.log else "linear"},
        yaxis={"title": {"text": layout.y_title()}},
        template="plotly_white",
        legend={"orientation": "h", "yanchor": "top", "y": -0.15},
        hoverlabel={"align": "left"},
    )
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(picture.to_html(include_plotlyjs=True, full_html=True), encoding="utf-8")


def _hover(point: TrialPoint) -> str:
    lines = [f"<b>{html.escape(point.run or point.trial)}</b>", f"trial {html.escape(point.trial)}"]
    lines += [f"{html.escape(key)}: {html.escape(knob_text(value))}" for key, value in point.config.items()]
    for turns, measures in (("validation", point.validation), ("evaluation", point.evaluation)):
        if measures:
            shown = ", ".join(f"{html.escape(name)} {figure(name, value)}" for name, value in measures.items())
            lines.append(f"{turns}: {shown}")
    return "<br>".join(lines)
