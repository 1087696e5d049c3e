"""Figures for the browser: plotly's own JSON and a legend of buttons, written without plotly's Python, which only checks it.

Titles, texts and legends are the page's own: plotly's would lie over the axes on a narrow screen.
"""

import html
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from retort.report.render.figure import Axis, Chart, Figure, Series, label_positions

__all__ = ["figure_html", "plotly_chart", "script_json"]

_DASHES: Final = {"solid": "solid", "dash": "dash", "dot": "dot", "steps": "solid"}
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
    data = [_trace(series, places) for series, places in zip(chart.series, positions, strict=True)]
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


def _trace(series: Series, places: Sequence[str | None]) -> dict[str, Any]:
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
    shown = [label if place is not None else "" for label, place in zip(series.labels, places, strict=True)]
    modes = [
        name for name, there in (("lines", series.line), ("markers", series.marker), ("text", any(shown))) if there
    ]
    trace |= {"type": "scatter", "mode": "+".join(modes) or "none", "connectgaps": False, "cliponaxis": False}
    if series.line is not None:
        shape = "hv" if series.line == "steps" else "linear"
        trace["line"] = {"color": series.colour, "width": series.width, "dash": _DASHES[series.line], "shape": shape}
    if series.marker is not None:
        hollow = series.marker.endswith("-open") or series.marker == "line-ew"
        symbol = "line-ew-open" if series.marker == "line-ew" else series.marker
        line = {"width": 2, "color": series.colour} if hollow else {"width": 0}
        trace["marker"] = {"color": series.colour, "size": series.size, "symbol": symbol, "line": line}
    if any(shown):
        trace |= {
            "text": shown,
            "textposition": [place or "top center" for place in places],
            "textfont": {"color": series.colour, "size": 13},
        }
    return trace


def _hover(text: str) -> str:
    first, *rest = html.escape(text).split("\n")
    return "<br>".join([f"<b>{first}</b>", *rest])


def figure_html(figure: Figure) -> str:
    """A figure's section: title, text, legend, and its charts with the script that draws them."""
    small = len(figure.charts) > 1
    lines = [
        f'<section class="figure" id="{figure.name}">',
        f"<h3>{html.escape(figure.title)}</h3>",
        f'<p class="text">{html.escape(figure.text)}</p>',
    ]
    legend = figure.legend()
    if len(legend) > 1 or small:
        lines.append('<div class="legend">')
        lines += [
            f'<button type="button" aria-pressed="true" data-series="{html.escape(series.name)}">'
            f"{_swatch(series)}{html.escape(series.name)}</button>"
            for series in legend
        ]
        lines.append("</div>")
    lines.append(f'<div class="charts" style="--columns: {figure.columns}">')
    drawn: dict[str, Mapping[str, Any]] = {}
    for number, chart in enumerate(figure.charts):
        name = f"{figure.name}-{number}"
        drawn[name] = plotly_chart(chart, small=small)
        title = f"<h4>{html.escape(chart.title)}</h4>" if chart.title else ""
        label = html.escape(f"{figure.title}: {chart.title or f'{chart.y.title} by {chart.x.title}'}")
        lines.append(f'<div class="chart">{title}<div id="{name}" role="img" aria-label="{label}"></div></div>')
    files = " · ".join(f'<a href="figures/{figure.name}.{kind}">{kind.upper()}</a>' for kind in ("png", "svg"))
    lines += ["</div>", f'<p class="files">{files}</p>', f"<script>draw({script_json(drawn)});</script>", "</section>"]
    return "\n".join(lines)


def _swatch(series: Series) -> str:
    """A little picture of a series, as it is drawn."""
    parts = []
    if series.bars:
        parts.append(f'<rect x="2" y="4" width="24" height="8" fill="{series.colour}"/>')
    if series.line is not None:
        dash = {"dash": ' stroke-dasharray="6 3"', "dot": ' stroke-dasharray="2 3"'}.get(series.line, "")
        parts.append(f'<path d="M1 8H27" stroke="{series.colour}" stroke-width="{series.width}"{dash}/>')
    if series.marker is not None:
        style = f'fill="{series.colour}"'
        if series.marker.endswith("-open"):
            style = f'fill="#fff" stroke="{series.colour}" stroke-width="2"'
        parts.append(
            {
                "circle": f'<circle cx="14" cy="8" r="4.5" {style}/>',
                "diamond": f'<path d="M14 2.5 19.5 8 14 13.5 8.5 8Z" {style}/>',
                "square": f'<rect x="9.5" y="3.5" width="9" height="9" {style}/>',
                "triangle-up": f'<path d="M14 3 19.5 12.5H8.5Z" {style}/>',
                "triangle-down": f'<path d="M14 13 19.5 3.5H8.5Z" {style}/>',
                "star": f'<path d="M14 1.5l1.9 4.4 4.8.4-3.6 3.1 1.1 4.7L14 11.6l-4.2 2.5 1.1-4.7L7.3 6.3l4.8-.4Z" {style}/>',
                "x": f'<path d="M9.5 3.5l9 9m0-9l-9 9" stroke="{series.colour}" stroke-width="3"/>',
                "line-ew": f'<path d="M7 8H21" stroke="{series.colour}" stroke-width="2.5"/>',
            }[series.marker.removesuffix("-open")]
        )
    opacity = f' opacity="{series.opacity}"' if series.opacity < 1 else ""
    return f'<svg width="28" height="16" aria-hidden="true"{opacity}>{"".join(parts)}</svg>'
