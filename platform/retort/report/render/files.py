"""Figures as files: PNG for slides, SVG for papers, drawn by matplotlib from the values that the page draws.

No pyplot: it has global state, and picks a display.
"""

import math
import textwrap
from typing import TYPE_CHECKING, Any, Final

from retort.report.paper.plots import figure_files
from retort.report.render.figure import Axis, Chart, Figure, Series, label_positions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["drawn_files"]

_MARKERS: Final = {
    "circle": "o",
    "diamond": "D",
    "square": "s",
    "triangle-up": "^",
    "triangle-down": "v",
    "star": "*",
    "x": "X",
    "line-ew": "_",
}
_LINES: Final = {"solid": "-", "dash": (0, (3.5, 1.8)), "dot": (0, (1.5, 2)), "steps": "-"}
_INK, _GRID = "#222222", "#e4e4e4"
_WIDTH: Final = 9.0  # inches


def drawn_files(figure: Figure, heading: str) -> dict[str, bytes]:
    """The figure as ``png`` and as ``svg``, under a heading and its title; equal figures are equal files."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Picture
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    single = len(figure.charts) == 1
    columns = min(figure.columns, len(figure.charts))
    rows = math.ceil(len(figure.charts) / columns)
    named = figure.legend() if len(figure.legend()) > 1 else []
    text = textwrap.wrap(figure.text, 118)
    legend_rows = _legend_rows(named)
    head = 0.5 + 0.17 * len(text) + 0.24 * len(legend_rows)
    each = (figure.charts[0].height or 440) / 100 if single else 2.9
    height = head + 0.1 + rows * each
    below = (0.005, 0.01, 0.99, 1 - (head + 0.1) / height - 0.01)
    picture = Picture(figsize=(_WIDTH, height), dpi=150, layout=ConstrainedLayoutEngine(rect=below))
    FigureCanvasAgg(picture)
    grid = picture.subplots(rows, columns, squeeze=False)
    for axes, chart in zip(grid.flat, figure.charts, strict=False):
        _draw(axes, chart, small=not single)
    for axes in list(grid.flat)[len(figure.charts) :]:
        axes.set_visible(False)
    picture.text(
        0.015,
        1 - 0.25 / height,
        f"{heading}: {figure.title}",
        fontsize=13,
        weight="bold",
        va="center",
        parse_math=False,
    )
    for number, line in enumerate(text):
        at = 1 - (0.5 + 0.17 * number) / height
        picture.text(0.015, at, line, fontsize=8.5, color="#444444", va="center", parse_math=False)
    for number, row in enumerate(legend_rows):
        top = 1 - (0.42 + 0.17 * len(text) + 0.24 * number) / height
        handles = [_handle(series) for series in row]
        names = [series.name.replace("$", r"\$") for series in row]
        legend = picture.legend(
            handles,
            names,
            loc="upper left",
            bbox_to_anchor=(0.005, top),
            ncols=len(row),
            frameon=False,
            fontsize=8.5,
            borderpad=0.2,
            columnspacing=1.4,
            handletextpad=0.5,
            handlelength=2.3,
        )
        picture.add_artist(legend)
    return figure_files(picture)


def _legend_rows(named: list[Series]) -> list[list[Series]]:
    """As many names a row as fit beside each other."""
    rows: list[list[Series]] = []
    used = 0.0
    for series in named:
        wide = 0.6 + 0.075 * len(series.name)
        if not rows or used + wide > _WIDTH - 0.2:
            rows.append([])
            used = 0.0
        rows[-1].append(series)
        used += wide
    return rows


def _style(series: Series) -> dict[str, Any]:
    style: dict[str, Any] = {"color": series.colour, "alpha": series.opacity, "linestyle": "none"}
    if series.line is not None:
        style |= {"linestyle": _LINES[series.line], "linewidth": series.width * 0.8}
        if series.line == "steps":
            style["drawstyle"] = "steps-post"
    if series.marker is not None:
        hollow = series.marker.endswith("-open")
        style |= {
            "marker": _MARKERS[series.marker.removesuffix("-open")],
            "markersize": series.size * 0.72,
            "markerfacecolor": "white" if hollow else series.colour,
            "markeredgewidth": 1.6 if hollow or series.marker == "line-ew" else 0,
        }
    return style


def _handle(series: Series) -> Any:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return Patch(color=series.colour) if series.bars else Line2D([], [], **_style(series))


def _draw(axes: "Axes", chart: Chart, *, small: bool) -> None:
    size = 8 if small else 9.5
    for series, places in zip(chart.series, label_positions(chart), strict=True):
        x = [math.nan if value is None else value for value in series.x]
        y = [math.nan if value is None else value for value in series.y]
        if series.bars:
            axes.barh(y, x, height=0.35, color=series.colour, alpha=series.opacity)
            continue
        axes.plot(x, y, zorder=2 if series.line and series.marker is None else 3, **_style(series))
        for across, up, label, place in zip(x, y, series.labels, places, strict=False):
            if place is None:
                continue
            vertical, horizontal = place.split()
            away = series.size * 0.36 + 1.5
            axes.annotate(
                label,
                (across, up),
                xytext=(
                    {"left": -1, "center": 0, "right": 1}[horizontal] * away,
                    {"bottom": -1, "middle": 0, "top": 1}[vertical] * away,
                ),
                textcoords="offset points",
                ha={"left": "right", "center": "center", "right": "left"}[horizontal],
                va={"bottom": "top", "middle": "center", "top": "bottom"}[vertical],
                color=series.colour,
                fontsize=9,
                weight="bold",
                zorder=5,
            )
    for note in chart.notes:
        axes.annotate(
            note.text.replace("$", r"\$"),
            (note.x, note.y),
            xytext=(-4, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=7.5,
            color=_INK,
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
            zorder=6,
        )
    _finish(axes, chart.x, "x", size, dark=bool(chart.notes))
    _finish(axes, chart.y, "y", size)
    if chart.title:
        axes.set_title(chart.title.replace("$", r"\$"), fontsize=9, loc="left", weight="bold")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines["left"].set_visible(bool(chart.y.ticks or chart.y.title))


def _finish(axes: "Axes", axis: Axis, which: str, size: float, *, dark: bool = False) -> None:
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator

    one = axes.xaxis if which == "x" else axes.yaxis
    if axis.log:
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    (axes.set_xlim if which == "x" else axes.set_ylim)(*axis.range)
    one.set_major_locator(FixedLocator([value for value, _ in axis.ticks]))
    one.set_major_formatter(FixedFormatter([text.replace("$", r"\$") for _, text in axis.ticks]))
    one.set_minor_locator(NullLocator())
    one.set_minor_formatter(NullFormatter())
    axes.grid(True, axis=which, color=_INK if dark else _GRID, linewidth=0.7)  # type: ignore[arg-type]
    axes.tick_params(axis=which, labelsize=size - 0.5)  # type: ignore[arg-type]
    if axis.slanted:
        axes.tick_params(axis=which, labelrotation=35)  # type: ignore[arg-type]
        for label in one.get_ticklabels():
            label.set(ha="right", rotation_mode="anchor")
    one.set_label_text(axis.title.replace("$", r"\$"), fontsize=size)
