"""Ticks and labels: round, few, and none on another. What plotly and matplotlib make of a figure."""

import json

import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retort.report.render.figure import (
    BLUE,
    GREY,
    Axis,
    Chart,
    Figure,
    Note,
    Series,
    bounds,
    label_positions,
    tick_values,
)
from retort.report.render.files import drawn_files
from retort.report.render.interactive import figure_html, plotly_chart, script_json


@pytest.mark.parametrize(
    ("low", "high", "log", "texts"),
    [
        (0.58, 0.81, False, ["0.6", "0.65", "0.7", "0.75", "0.8"]),
        (0.05, 20, True, ["0.1", "0.3", "1", "3", "10"]),
        (0.2, 3, True, ["0.2", "0.5", "1", "2"]),
        (5.2, 31, True, ["7", "10", "15", "20", "30"]),
        (2, 3.2, True, ["2", "2.2", "2.4", "2.6", "2.8", "3", "3.2"]),
        (2.1, 2.2, True, ["2.1", "2.12", "2.14", "2.16", "2.18", "2.2"]),
        (1e-7, 1e7, True, ["1e-07", "0.0001", "0.1", "100", "100000"]),
        (-3, 0, False, ["-3", "-2.5", "-2", "-1.5", "-1", "-0.5", "0"]),
    ],
)
def test_ticks_are_round_and_few(low, high, log, texts):
    assert [text for _, text in tick_values(low, high, log=log)] == texts


@given(values=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=9), log=st.booleans(), most=st.integers(4, 9))
def test_any_values_have_bounds_around_them_and_ticks_within(values, log, most):
    low, high = bounds(values, log=log)
    ticks = [value for value, _ in tick_values(low, high, log=log, most=most)]

    assert low < min(values) and max(values) < high
    assert 1 <= len(ticks) <= most and ticks == sorted(ticks)
    assert all(low * (1 - 1e-9) - 1e-9 <= tick <= high * (1 + 1e-9) for tick in ticks)


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
    crowd = [(0.5 + number / 2000, 0.5) for number in range(30)]
    (positions,) = label_positions(chart_of(crowd, ["1"] * 30))
    assert positions.count(None) > 15 and positions[0] is not None


@pytest.fixture
def figure():
    log = Axis("cost <log>", (0.01, 10.0), ((0.1, "0.1"), (1.0, "1")), log=True)
    chart = Chart(
        log,
        Axis("worth", (0.0, 1.0), ((0.5, "a rather long text"),), slanted=True),
        [
            Series(
                "front",
                [0.1, 1.0],
                [0.2, 0.7],
                BLUE,
                "circle",
                "steps",
                hover=["1: $run_{\nR@100 <b>", "2"],
                labels=["1", "2"],
            ),
            Series("dominated", [0.5, None, 1.0], [0.1, None, 0.2], GREY, "diamond-open", "dot"),
            Series("median", [0.5], [0.5], GREY, "line-ew", legend=False),
        ],
        title="$ worth",
        notes=[Note(0.1, 0.5, "$note")],
    )
    bars = Chart(
        Axis("share", (0.0, 1.0), ()), Axis("", (0.0, 1.0), ()), [Series("bars", [0.5], [0.0], BLUE, bars=True)]
    )
    return Figure("one", "A <figure>", "How to read $it$", [chart, bars], columns=2)


def test_plotly_takes_every_chart(figure):
    # plotly's own classes refuse what plotly.js does not know.
    drawn = [plotly_chart(chart) for chart in figure.charts]
    front, dominated, median = go.Figure({"data": drawn[0]["data"], "layout": drawn[0]["layout"]}).data
    assert front.mode == "lines+markers+text" and front.line.shape == "hv" and front.text == ("1", "2")
    assert front.hovertext[0] == "<b>1: $run_{</b><br>R@100 &lt;b&gt;"
    assert dominated.marker.symbol == "diamond-open" and dominated.x == (0.5, None, 1.0) and not dominated.connectgaps
    assert median.marker.symbol == "line-ew-open"
    assert drawn[0]["layout"]["xaxis"]["range"] == [-2.0, 1.0]
    assert go.Figure({"data": drawn[1]["data"], "layout": drawn[1]["layout"]}).data[0].orientation == "h"


def test_a_figure_is_a_section_with_a_legend_and_its_files(figure):
    section = figure_html(figure)
    assert "<h3>A &lt;figure&gt;</h3>" in section and section.count('class="chart"') == 2
    assert (
        section.count("<button") == 3 and 'data-series="dominated"' in section and 'data-series="median"' not in section
    )
    assert 'href="figures/one.png"' in section and 'href="figures/one.svg"' in section


def test_json_in_a_script_cannot_end_it():
    text = script_json({"a": "</script><!--\u2028", "b": [None, 1.5]})
    assert "<" not in text and ">" not in text and "\u2028" not in text
    assert json.loads(text) == {"a": "</script><!--\u2028", "b": [None, 1.5]}


def test_files_are_the_same_for_the_same_figure(figure):
    first, second = drawn_files(figure, "sweep $"), drawn_files(figure, "sweep $")
    assert first["png"].startswith(b"\x89PNG") and b"<svg" in first["svg"]
    assert first["svg"] == second["svg"]
