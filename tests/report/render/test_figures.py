"""Ticks and labels: round, few, and none on another. What matplotlib and plotly draw is what a figure holds."""

import json
import math

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retort.report.render.axes import Axis, bounds, measure_axis, tick_text, tick_values, value_axis
from retort.report.render.figure import BLUE, GREY, LOOKS, ORANGE, Chart, Figure, Note, Series, label_positions
from retort.report.render.files import drawn_files, picture_of
from retort.report.render.interactive import figure_html, plotly_chart, script_json


@pytest.mark.parametrize(
    ("low", "high", "log", "texts"),
    [
        (0.58, 0.81, False, [".6", ".65", ".7", ".75", ".8"]),
        (0.02, 2, True, [".03", ".1", ".3", "1"]),
        (0.05, 20, True, [".1", ".3", "1", "3", "10"]),
        (0.2, 3, True, [".3", "1", "3"]),
        (0.0009, 12, True, [".001", ".01", ".1", "1", "10"]),
        (5.2, 31, True, ["10", "20", "30"]),
        (11, 29, True, ["15", "20", "25"]),
        (2, 3.2, True, ["2", "2.2", "2.4", "2.6", "2.8", "3", "3.2"]),
        (2.1, 2.2, True, ["2.1", "2.12", "2.14", "2.16", "2.18", "2.2"]),
        (1e-7, 1e7, True, ["1e-07", ".0001", ".1", "100", "100000"]),
        (-3, 0, False, ["-3", "-2.5", "-2", "-1.5", "-1", "-.5", "0"]),
    ],
)
def test_ticks_are_round_and_few(low, high, log, texts):
    ticks = tick_values(low, high, log=log)
    assert [text for _, text in ticks] == texts
    assert [value for value, _ in ticks] == pytest.approx([float(text) for text in texts])


@given(values=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=9), log=st.booleans(), most=st.integers(4, 9))
def test_any_values_have_bounds_around_them_and_ticks_within(values, log, most):
    low, high = bounds(values, log=log)
    ticks = [value for value, _ in tick_values(low, high, log=log, most=most)]

    assert low < min(values) and max(values) < high
    assert 1 <= len(ticks) <= most and ticks == sorted(ticks)
    assert all(low * (1 - 1e-9) - 1e-9 <= tick <= high * (1 + 1e-9) for tick in ticks)


def test_zero_has_a_place_on_a_log_axis_and_the_title_says_where():
    axis = value_axis("cost", [0.0, 0.5, 4.0], log=True)
    assert axis.title == "cost; 0 is drawn at .25" and axis.range[0] < 0.25 < 4 < axis.range[1]
    assert [axis.drawn(value) for value in (0.0, 0.5, 4.0)] == [0.25, 0.5, 4.0]
    assert value_axis("cost", [0.5, 4.0], log=True).title == "cost"
    assert value_axis("cost", [0.0, 0.0], log=True).drawn(0.0) == 0.01
    assert value_axis("gain", [-1.0, 0.0]).drawn(-1.0) == -1.0


@pytest.mark.parametrize(
    ("measure", "title", "short", "log"),
    [
        ("FLOPS", "FLOPS: multiplications per query-passage pair (log)", "FLOPS (log)", True),
        ("L0", "L0: active terms of a query (log)", "L0 (log)", True),
        ("nDCG@3", "nDCG@3", "nDCG@3", False),
    ],
)
def test_a_measures_axis_is_the_registrys(measure, title, short, log):
    axis = measure_axis(measure, [0.1, 0.7])
    assert (axis.title, axis.log) == (title, log)
    assert measure_axis(measure, [0.1, 0.7], short=True).title == short


def chart_of(places, labels, size=10.0):
    axis = Axis("", (0.0, 1.0), ())
    x, y = [x for x, _ in places], [y for _, y in places]
    return Chart(axis, axis, [Series("front", x, y, BLUE, "circle", size=size, labels=labels)])


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=40))
def test_labels_stand_on_no_marker_and_on_no_other_label(places):
    labels = [str(number) for number in range(1, len(places) + 1)]
    (positions,) = label_positions(chart_of(places, labels))

    boxes = []
    for (x, y), label, position in zip(places, labels, positions, strict=True):
        if position is None:
            continue
        vertical, horizontal = position.split()
        across = x * 640 + {"left": -1, "center": 0, "right": 1}[horizontal] * (4 * len(label) + 5)
        up = y * 360 + {"bottom": -1, "middle": 0, "top": 1}[vertical] * 12.5
        boxes.append((across, up, 4 * len(label), 7.5))
    markers = [(x * 640, y * 360, 5.0, 5.0) for x, y in places]
    for number, one in enumerate(boxes):
        for other in (*boxes[:number], *markers):
            apart = (
                abs(one[0] - other[0]) >= one[2] + other[2] - 1e-6 or abs(one[1] - other[1]) >= one[3] + other[3] - 1e-6
            )
            assert apart
        assert one[0] - one[2] >= 0 and one[0] + one[2] <= 640


def test_a_lonely_point_has_its_label_and_a_crowd_leaves_some_out():
    assert label_positions(chart_of([(0.5, 0.5)], ["1"])) == [["top left"]]
    # A neighbour to the upper left is in the way of the first position, and one above of the second and third.
    assert label_positions(chart_of([(0.5, 0.5), (0.485, 0.53)], ["1", ""])) == [["top center", None]]
    neighbours = [(0.5, 0.5), (0.485, 0.53), (0.5, 0.54)]
    assert label_positions(chart_of(neighbours, ["1", "", ""])) == [["top right", None, None]]
    crowd = [(0.5 + number / 2000, 0.5) for number in range(30)]
    (positions,) = label_positions(chart_of(crowd, ["1"] * 30))
    assert positions.count(None) > 15 and positions[0] is not None


def test_what_matplotlib_writes_beside_points_does_not_overlap(overlapping):
    places = [(0.1 + 0.8 * (n % 7) / 6, 0.1 + 0.8 * (n * n % 11) / 10) for n in range(14)]
    places += [(x + 0.012, y + 0.02) for x, y in places]
    picture = picture_of(Figure("crowd", "Crowd", "", [chart_of(places, [str(n) for n in range(10, 38)])]))

    assert len(picture.axes[0].texts) > 20 and overlapping(picture) == []


@pytest.fixture(scope="module")
def figure():
    log = Axis("cost <log>", (0.01, 10.0), ((0.1, ".1"), (1.0, "1")), log=True)
    chart = Chart(
        log,
        Axis("worth", (0.0, 1.0), ((0.5, "a rather long text"),), slanted=True),
        [
            Series(
                "front",
                [0.1, 1.0, 3.0],
                [0.2, 0.7, 0.8],
                BLUE,
                "circle",
                "steps",
                hover=["1: $run_{\nR@100 <b>", "2", "3"],
                labels=["1", "2", "$3"],
            ),
            Series("dominated", [0.5, None, 1.0], [0.1, None, 0.2], GREY, "diamond", "dot", hollow=True),
            Series("median", [0.5], [0.5], ORANGE, "line-ew", legend=False),
        ],
        title="$ worth",
        notes=[Note(0.1, 0.4, "$note")],
    )
    y_axis = Axis("", (-0.5, 1.5), ((0.0, "low"), (1.0, "high")))
    bars = Chart(Axis("share", (0.0, 1.0), ()), y_axis, [Series("bars", [0.5, 0.9], [0.0, 1.0], BLUE, bars=True)])
    return Figure("one", "A <figure>", "How to read $it$", [chart, bars], columns=2, key=["1  a $setting", "2  b"])


@pytest.fixture(scope="module")
def picture(figure):
    return picture_of(figure, "sweep $")


@pytest.fixture(scope="module")
def traces(figure):
    """Each chart as plotly's own classes take it, which refuse what plotly.js does not know."""
    drawn = [plotly_chart(chart) for chart in figure.charts]
    return [go.Figure({"data": chart["data"], "layout": chart["layout"]}) for chart in drawn]


def test_matplotlib_draws_the_figures_points_and_steps(figure, picture):
    chart, _ = figure.charts
    lines = picture.axes[0].lines
    assert len(lines) == len(chart.series)
    for line, series in zip(lines, chart.series, strict=True):
        values = [
            [math.nan if value is None else value for value in pair] for pair in zip(series.x, series.y, strict=True)
        ]
        np.testing.assert_array_equal(line.get_xydata(), values)
        assert line.get_color() == series.colour
    # Flat up to the next point: what lies between two costs is what the cheaper one has.
    assert [line.get_drawstyle() for line in lines] == ["steps-post", "default", "default"]
    assert [line.get_marker() for line in lines] == ["o", "D", "_"]
    assert [line.get_markerfacecolor() for line in lines] == [BLUE, "white", ORANGE]
    assert [line.get_linestyle() for line in lines] == ["-", "--", "None"]


def test_matplotlib_draws_the_figures_axes_labels_and_bars(figure, picture):
    axes, bars = picture.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")
    assert (axes.get_xlim(), axes.get_ylim()) == ((0.01, 10.0), (0.0, 1.0))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("cost <log>", "worth")
    assert list(axes.get_xticks()) == [0.1, 1.0] and [t.get_text() for t in axes.get_xticklabels()] == [".1", "1"]
    assert [(text.get_text(), text.xy) for text in axes.texts] == [
        ("1", (0.1, 0.2)),
        ("2", (1.0, 0.7)),
        (r"\$3", (3.0, 0.8)),
        (r"\$note", (0.1, 0.4)),
    ]
    shown = [(bar.get_width(), bar.get_y() + bar.get_height() / 2) for bar in bars.patches]
    assert shown == [(0.5, pytest.approx(0.0)), (0.9, pytest.approx(1.0))]
    texts = [text.get_text() for text in picture.texts]
    assert texts == ["sweep $: A <figure>", "How to read $it$", "1  a $setting", "2  b"]
    names = [text.get_text() for legend in picture.legends for text in legend.get_texts()]
    assert list(dict.fromkeys(names)) == ["front", "dominated", "bars"]


def test_plotly_draws_the_figures_points_and_steps(figure, traces):
    for series, trace in zip(figure.charts[0].series, traces[0].data, strict=True):
        assert (trace.name, list(trace.x), list(trace.y)) == (series.name, list(series.x), list(series.y))
    front, dominated, median = traces[0].data
    assert front.mode == "lines+markers+text" and front.text == ("1", "2", "$3")
    assert front.textposition == ("top left", "top left", "top left")
    assert (front.line.shape, dominated.line.shape) == ("hv", "linear")
    assert front.hovertext[0] == "<b>1: $run_{</b><br>R@100 &lt;b&gt;"
    assert dominated.marker.symbol == "diamond-open" and dominated.line.dash == "dot" and not dominated.connectgaps
    assert median.marker.symbol == "line-ew-open" and median.mode == "markers"
    (bars,) = traces[1].data
    assert (bars.orientation, bars.x, bars.y) == ("h", (0.5, 0.9), (0.0, 1.0))


def test_plotly_has_the_axes_that_matplotlib_has(traces, picture):
    for drawn, axes in zip(traces, picture.axes, strict=True):
        for own, other in ((drawn.layout.xaxis, axes.xaxis), (drawn.layout.yaxis, axes.yaxis)):
            assert own.type == other.get_scale()
            ends = [10**end for end in own.range] if own.type == "log" else own.range
            assert list(ends) == pytest.approx(list(other.get_view_interval()))
            assert list(own.tickvals) == list(other.get_majorticklocs())
            assert list(own.ticktext) == [label.get_text() for label in other.get_ticklabels()]
    assert traces[0].layout.xaxis.title.text == "cost &lt;log&gt;"


def test_every_look_is_known_to_both(figure):
    series = [Series(str(n), [n], [n], colour, marker) for n, (colour, marker) in enumerate(LOOKS)]
    chart = Chart(Axis("", (0.0, 9.0), ()), Axis("", (0.0, 9.0), ()), series)
    markers = [line.get_marker() for line in picture_of(Figure("looks", "", "", [chart])).axes[0].lines]
    symbols = [trace.marker.symbol for trace in go.Figure(plotly_chart(chart)["data"]).data]
    assert len(set(markers)) == len(set(symbols)) == len({colour for colour, _ in LOOKS}) == len(LOOKS)


def test_a_figure_is_a_section_with_a_legend_and_its_files(figure):
    section = figure_html(figure)
    assert "<h3>A &lt;figure&gt;</h3>" in section and section.count('class="chart"') == 2
    assert section.count("<button") == 3
    assert 'data-series="dominated"' in section and 'data-series="median"' not in section
    assert 'href="figures/one.png"' in section and 'href="figures/one.svg"' in section
    assert 'href="front.png"' in figure_html(figure, {"PNG": "front.png"})


def test_json_in_a_script_cannot_end_it():
    text = script_json({"a": "</script><!--\u2028", "b": [None, 1.5]})
    assert "<" not in text and ">" not in text and "\u2028" not in text
    assert json.loads(text) == {"a": "</script><!--\u2028", "b": [None, 1.5]}


def test_files_show_the_figure_and_are_the_same_for_the_same_figure(figure, picture, pixels):
    first, second = drawn_files(figure, "sweep $"), drawn_files(figure, "sweep $")
    assert first == second and set(first) == {"png", "svg"}
    width, height, colours = pixels(first["png"])
    assert [width, height] == [round(150 * inches) for inches in picture.get_size_inches()]
    assert {BLUE, ORANGE} <= colours
    assert f"stroke: {BLUE.lower()}".encode() in first["svg"]


def test_a_number_on_an_axis_has_no_zero_before_its_point():
    assert [tick_text(value) for value in (0.03, -0.5, 10.05, 0, 100.0)] == [".03", "-.5", "10.05", "0", "100"]
