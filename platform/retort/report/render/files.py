"""Figures as files: PNG for slides, SVG for papers, drawn by matplotlib from the values that the page draws.

No pyplot: it has global state, and picks a display.
"""

import io
import math
import textwrap
from typing import TYPE_CHECKING, Any, Final

from retort.report.render.axes import Axis
from retort.report.render.figure import Chart, Figure, Series, label_positions, offsets

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture

__all__ = ["drawn_files", "picture_of"]

_MARKERS: Final = {
    "circle": "o",
    "diamond": "D",
    "square": "s",
    "triangle-up": "^",
    "triangle-down": "v",
    "star": "*",
    "x": "X",
    "cross": "P",
    "line-ew": "_",
}
_LINES: Final = {
    "solid": "-",
    "dash": (0, (3.5, 1.8)),
    "dot": (0, (1.5, 2)),
    "dashdot": (0, (3.5, 1.6, 1, 1.6)),
    "steps": "-",
}
_INK, _GRID = "#222222", "#e4e4e4"
_WIDTH: Final = 9.0  # inches
_TEXT_LINE, _KEY_LINE, _LEGEND_ROW = 0.17, 0.16, 0.24  # inches
_TEXT_LETTERS, _KEY_LETTERS = 125, 126  # characters that a line of either holds


def drawn_files(figure: Figure, heading: str = "") -> dict[str, bytes]:
    """The figure as ``png`` and as ``svg``; the SVG holds no date and no random ids, so that equal figures are equal files."""
    import matplotlib as mpl

    picture = picture_of(figure, heading)
    files = {}
    with mpl.rc_context({"svg.hashsalt": "retort"}):
        for kind in ("png", "svg"):
            buffer = io.BytesIO()
            picture.savefig(buffer, format=kind, metadata={"Date": None} if kind == "svg" else None)
            files[kind] = buffer.getvalue()
    return files


def picture_of(figure: Figure, heading: str = "") -> "Picture":
    """The figure as matplotlib draws it: heading, title, text and legend above its charts, its key below them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Picture
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    single = len(figure.charts) == 1
    columns = min(figure.columns, len(figure.charts))
    rows = math.ceil(len(figure.charts) / columns)
    text = textwrap.wrap(figure.text, _TEXT_LETTERS)
    legend = _legend_rows(figure.legend() if len(figure.legend()) > 1 else [])
    head = 0.6 + _TEXT_LINE * len(text) + _LEGEND_ROW * len(legend)
    foot = 0.15 + _KEY_LINE * len(figure.key) if figure.key else 0.0
    height = head + rows * ((figure.charts[0].height or 440) / 100 if single else 2.9) + foot
    charts = (0.005, foot / height + 0.01, 0.99, 1 - (head + foot) / height - 0.01)
    picture = Picture(figsize=(_WIDTH, height), dpi=150, layout=ConstrainedLayoutEngine(rect=charts))
    FigureCanvasAgg(picture)
    grid = list(picture.subplots(rows, columns, squeeze=False).flat)
    for axes, chart in zip(grid, figure.charts, strict=False):
        _draw(axes, chart, small=not single)
    for axes in grid[len(figure.charts) :]:
        axes.set_visible(False)

    def write(line: str, inches: float, **style: Any) -> None:
        picture.text(0.015, 1 - inches / height, line, va="center", parse_math=False, **style)

    write(f"{heading}: {figure.title}" if heading else figure.title, 0.25, fontsize=13, weight="bold")
    for number, line in enumerate(text):
        write(line, 0.5 + _TEXT_LINE * number, fontsize=8.5, color="#444444")
    for number, line in enumerate(figure.key):
        cut = line if len(line) <= _KEY_LETTERS else f"{line[: _KEY_LETTERS - 1]}…"
        write(cut, height - foot + 0.1 + _KEY_LINE * number, fontsize=8, family="monospace")
    for number, row in enumerate(legend):
        top = 1 - (0.42 + _TEXT_LINE * len(text) + _LEGEND_ROW * number) / height
        drawn = picture.legend(
            [_handle(series) for series in row],
            [_plain(series.name) for series in row],
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
        picture.add_artist(drawn)
    return picture


def _plain(text: str) -> str:
    """A text of which matplotlib reads nothing as mathematics."""
    return text.replace("$", r"\$")


def _legend_rows(legend: list[Series]) -> list[list[Series]]:
    """The legend in rows, each of as many names as fit beside each other."""
    rows: list[list[Series]] = []
    used = 0.0
    for series in legend:
        inches = 0.6 + 0.075 * len(series.name)
        if not rows or used + inches > _WIDTH - 0.2:
            rows.append([])
            used = 0.0
        rows[-1].append(series)
        used += inches
    return rows


def _style(series: Series) -> dict[str, Any]:
    style: dict[str, Any] = {"color": series.colour, "alpha": series.opacity, "linestyle": "none"}
    if series.line is not None:
        style |= {"linestyle": _LINES[series.line], "linewidth": series.width * 0.8}
        if series.line == "steps":
            style["drawstyle"] = "steps-post"
    if series.marker is not None:
        outlined = series.hollow or series.marker == "line-ew"
        style |= {
            "marker": _MARKERS[series.marker],
            "markersize": series.size * 0.72,
            "markerfacecolor": "white" if series.hollow else series.colour,
            "markeredgewidth": 1.6 if outlined else 0,
        }
    return style


def _handle(series: Series) -> Any:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return Patch(color=series.colour) if series.bars else Line2D([], [], **_style(series))


def _draw(axes: "Axes", chart: Chart, *, small: bool) -> None:
    size = 8 if small else 9.5
    for series, positions in zip(chart.series, label_positions(chart), strict=True):
        x = [math.nan if value is None else value for value in series.x]
        y = [math.nan if value is None else value for value in series.y]
        if series.bars:
            axes.barh(y, x, height=0.35, color=series.colour, alpha=series.opacity)
            continue
        axes.plot(x, y, zorder=2 if series.line and series.marker is None else 3, **_style(series))
        for point_x, point_y, label, position in zip(x, y, series.labels, positions, strict=False):
            if position is None:
                continue
            across, up = offsets(position)
            away = series.size * 0.36 + 1.5
            axes.annotate(
                _plain(label),
                (point_x, point_y),
                xytext=(across * away, up * away),
                textcoords="offset points",
                ha=("center", "left", "right")[across],
                va=("center", "bottom", "top")[up],
                color=series.colour,
                fontsize=9,
                weight="bold",
                zorder=5,
            )
    for note in chart.notes:
        axes.annotate(
            _plain(note.text),
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
        axes.set_title(_plain(chart.title), fontsize=9, loc="left", weight="bold")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines["left"].set_visible(bool(chart.y.ticks or chart.y.title))


def _finish(axes: "Axes", axis: Axis, which: str, size: float, *, dark: bool = False) -> None:
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator

    drawn = axes.xaxis if which == "x" else axes.yaxis
    if axis.log:
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    (axes.set_xlim if which == "x" else axes.set_ylim)(*axis.range)
    drawn.set_major_locator(FixedLocator([value for value, _ in axis.ticks]))
    drawn.set_major_formatter(FixedFormatter([_plain(text) for _, text in axis.ticks]))
    drawn.set_minor_locator(NullLocator())
    drawn.set_minor_formatter(NullFormatter())
    axes.grid(True, axis=which, color=_INK if dark else _GRID, linewidth=0.7)  # type: ignore[arg-type]
    axes.tick_params(axis=which, labelsize=size - 0.5)  # type: ignore[arg-type]
    if axis.slanted:
        axes.tick_params(axis=which, labelrotation=35)  # type: ignore[arg-type]
        for label in drawn.get_ticklabels():
            label.set(ha="right", rotation_mode="anchor")
    drawn.set_label_text(_plain(axis.title), fontsize=size)
