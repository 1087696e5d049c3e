"""Figures for the browser: plotly's own JSON and a legend of buttons, written without plotly's Python, which only checks it.

Titles, texts and legends are the page's own: plotly's would lie over the axes on a narrow screen.
"""

import html
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from retort.report.render.axes import Axis
from retort.report.render.figure import Chart, Figure, Position, Series, label_positions
from retort.report.render.html import filled

__all__ = ["figure_html", "plotly_chart", "script_json"]

_INK, _GRID, _FONT = "#222222", "#e4e4e4", "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"
_BUTTONS: Final = ("zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d")  # none that leaves the page
_LARGE, _SMALL = 460, 280  # a chart's height in pixels, alone and among others


def script_json(data: object) -> str:
    """JSON that may stand inside a script of a page, whatever texts it holds."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return (
        text.replace("<", "\\u003c").replace(">", "\\u003e").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    )


def plotly_chart(chart: Chart, *, small: bool = False) -> dict[str, Any]:
    """``data``, ``layout`` and ``config`` of one chart, as plotly.js takes them."""
    positions = label_positions(chart)
    data = [_trace(series, own) for series, own in zip(chart.series, positions, strict=True)]
    layout: dict[str, Any] = {
        "height": chart.height or (_SMALL if small else _LARGE),
        "margin": {"l": 20, "r": 18, "t": 12 if small else 34, "b": 20},
        "font": {"family": _FONT, "size": 12 if small else 14, "color": _INK},
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "showlegend": False,
        "hovermode": "closest",
        "hoverlabel": {"align": "left", "bgcolor": "#ffffff", "font": {"size": 13, "color": _INK}},
        "xaxis": _axis(chart.x),
        "yaxis": _axis(chart.y),
        "bargap": 0.3,
    }
    if chart.notes:
        layout["annotations"] = [
            {
                "x": note.x,
                "y": note.y,
                "text": html.escape(note.text),
                "showarrow": False,
                "xanchor": "right",
                "xshift": -4,
                "bgcolor": "rgba(255,255,255,0.85)",
                "borderpad": 1,
                "font": {"size": 12},
            }
            for note in chart.notes
        ]
        layout["xaxis"] |= {"gridcolor": _INK, "griddash": "solid"}
    config = {"responsive": True, "displaylogo": False, "displayModeBar": "hover", "modeBarButtons": [_BUTTONS]}
    return {"data": data, "layout": layout, "config": config | ({"displayModeBar": False} if small else {})}


def _axis(axis: Axis) -> dict[str, Any]:
    low, high = axis.range
    return {
        "type": "log" if axis.log else "linear",
        "range": [math.log10(low), math.log10(high)] if axis.log else [low, high],
        "tickmode": "array",
        "tickvals": [value for value, _ in axis.ticks],
        "ticktext": [html.escape(text).replace("\n", "<br>") for _, text in axis.ticks],
        "tickangle": -35 if axis.slanted else 0,
        "title": {"text": html.escape(axis.title), "standoff": 10},
        "automargin": True,
        "gridcolor": _GRID,
        "showline": bool(axis.ticks or axis.title),
        "linecolor": _INK,
        "zeroline": False,
        "ticks": "outside" if axis.ticks else "",
        "ticklen": 4,
    }


def _trace(series: Series, positions: Sequence[Position | None]) -> dict[str, Any]:
    trace: dict[str, Any] = {
        "name": series.name,
        "x": list(series.x),
        "y": list(series.y),
        "opacity": series.opacity,
        "hoverinfo": "text" if series.hover else "skip",
        "hovertext": [_hover(text) for text in series.hover],
    }
    if series.bars:
        return trace | {"type": "bar", "orientation": "h", "width": 0.34, "marker": {"color": series.colour}}
    labels = [label if position else "" for label, position in zip(series.labels, positions, strict=True)]
    parts = {"lines": series.line, "markers": series.marker, "text": any(labels)}
    modes = [mode for mode, drawn in parts.items() if drawn]
    trace |= {"type": "scatter", "mode": "+".join(modes) or "none", "connectgaps": False, "cliponaxis": False}
    if series.line is not None:
        dash, shape = ("solid", "hv") if series.line == "steps" else (series.line, "linear")
        trace["line"] = {"color": series.colour, "width": series.width, "dash": dash, "shape": shape}
    if series.marker is not None:
        outlined = series.hollow or series.marker == "line-ew"
        symbol = f"{series.marker}-open" if outlined else series.marker
        line = {"width": 2, "color": series.colour} if outlined else {"width": 0}
        trace["marker"] = {"color": series.colour, "size": series.size, "symbol": symbol, "line": line}
    if any(labels):
        trace |= {
            "text": labels,
            "textposition": [position or "top center" for position in positions],
            "textfont": {"color": series.colour, "size": 13},
        }
    return trace


def _hover(text: str) -> str:
    first, *rest = html.escape(text).split("\n")
    return "<br>".join([f"<b>{first}</b>", *rest])


def figure_html(figure: Figure, files: Mapping[str, str] | None = None) -> Markup:
    """A figure's section: title, text, legend, and its charts with the script that draws them.

    Args:
        figure: What is drawn.
        files: Name and address of each file of the same figure; None: those that ``drawn_files`` makes, below ``figures/``.
    """
    small = len(figure.charts) > 1
    legend = figure.legend()
    charts = {f"{figure.name}-{n}": plotly_chart(chart, small=small) for n, chart in enumerate(figure.charts)}
    return filled(
        "render/figure.html",
        figure=figure,
        legend=legend if len(legend) > 1 or small else [],
        drawn=Markup(script_json(charts)),
        files={kind.upper(): f"figures/{figure.name}.{kind}" for kind in ("png", "svg")} if files is None else files,
    )
