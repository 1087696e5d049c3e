"""A sweep's front as figures, and as the files beside ``front.json``: which points and lines, where, in which order."""

import json
import re
import sys
from dataclasses import replace

import pytest

from retort.report.render.figure import BLUE, GREEN, VERMILLION
from retort.report.render.files import picture_of
from retort.report.sweep.drawn import DrawnFront, front_drawings
from retort.report.sweep.front_figures import front_figures
from retort.storage import Workspace
from retort.sweeps.sweep import find_sweep
from retort.sweeps.trial import TrialPoint


def trial(name, recall, flops, *, evaluation=None, on_front=False, **config):
    measures = {"R@100": recall, "FLOPS": flops}
    evaluated = None if evaluation is None else dict(zip(measures, evaluation, strict=True))
    return TrialPoint(f"run-{name}", name, {"w": 0.1, **config}, measures, evaluated, on_front)


POINTS = (
    trial("2", 0.78, 0.5, on_front=True, evaluation=(0.77, 0.55), count=32),
    trial("1", 0.70, 0.05, on_front=True, evaluation=(0.68, 0.06), count=8),
    trial("3", 0.60, 2.0, count=1),
    trial("<b>5", 0.40, 1.0, teacher="<script>"),
    TrialPoint(None, "4", {}, {}, status="failed", error="boom"),
)


@pytest.fixture(scope="module")
def plain(plain_sweep):
    return find_sweep(Workspace(plain_sweep), "plain")


@pytest.fixture(scope="module")
def sweep(plain):
    baselines = {"baseline:context": {"n": 9, "R@100": 0.5, "FLOPS": 13.0}, "baseline:last": {"R@100": 0.3}}
    return replace(plain, name="a <sweep>", points=POINTS, baselines=baselines)


@pytest.fixture(scope="module")
def figure(sweep):
    (only,) = front_figures(sweep)
    return only


@pytest.fixture(scope="module")
def drawings(sweep):
    return front_drawings(sweep)


def values(series):
    return list(zip(series.x, series.y, strict=True))


def test_every_kind_of_point_is_drawn_where_it_was_measured(figure):
    (chart,) = figure.charts
    marked = {series.name: series for series in chart.series if series.marker is not None}
    assert {name: values(series) for name, series in marked.items()} == {
        "dominated trials, validation": [(1.0, 0.40), (2.0, 0.60)],
        "front, validation (chosen on)": [(0.05, 0.70), (0.5, 0.78)],
        "front, dev (reported on)": [(0.06, 0.68), (0.55, 0.77)],
        "raw context, dev": [(13.0, 0.5)],
    }
    front, evaluated = marked["front, validation (chosen on)"], marked["front, dev (reported on)"]
    assert front.labels == evaluated.labels == ["1", "2"]
    assert front.hover[0] == (
        "1: run-1\ntrial 1\nw: 0.1\ncount: 8\nvalidation: R@100 0.700, FLOPS 0.0500\ndev: R@100 0.680, FLOPS 0.0600"
    )
    assert (chart.x.log, chart.y.log, chart.y.title) == (True, False, "R@100")
    assert chart.x.title == "FLOPS: multiplications per query-passage pair (log)"
    assert [text for _, text in chart.x.ticks] == [".1", ".3", "1", "3", "10"]
    assert figure.text == (
        "Better: up and left. Filled: the validation turns, which chose the front. Hollow: the same runs on dev, which they are "
        "reported on. The two sets of turns differ: compare within one of them. Dotted: the baselines on dev."
    )


def test_the_fronts_line_is_flat_up_to_the_next_point_and_ends_at_the_costliest_trial(figure):
    (line,) = [series for series in figure.charts[0].series if series.line == "steps"]
    assert values(line) == [(0.05, 0.70), (0.5, 0.78), (2.0, 0.78)] and line.colour == BLUE


def test_each_run_is_linked_to_itself_on_the_other_turns_and_a_baseline_has_its_height(figure):
    chart = figure.charts[0]
    context, links = [series for series in chart.series if series.line == "dot"]
    assert values(context) == [(end, 0.5) for end in chart.x.range] and context.colour == GREEN
    nothing = (None, None)
    assert values(links) == [(0.05, 0.70), (0.06, 0.68), nothing, (0.5, 0.78), (0.55, 0.77), nothing]


def test_the_key_says_what_the_numbers_stand_for(figure):
    assert [line.split() for line in figure.key] == [
        ["FLOPS", "R@100", "count"],
        ["1", "0.0500", "0.700", "8"],
        ["2", "0.500", "0.780", "32"],
    ]
    assert len({len(line) for line in figure.key}) == 1


def test_no_number_lies_on_another(plain, overlapping):
    for figure in front_figures(plain):
        picture = picture_of(figure)
        assert len(picture.axes[0].texts) == 2 * len(plain.front) and overlapping(picture) == []


@pytest.mark.parametrize(
    ("flops", "drawn", "title"),
    [
        ([0.0, 0.5], [0.25, 0.5], "; 0 is drawn at .25"),
        ([0.0, 0.0], [0.01, 0.01], "; 0 is drawn at .01"),
        ([2.1, 2.2], [2.1, 2.2], "(log)"),
        ([1e-6, 1e4], [1e-6, 1e4], "(log)"),
    ],
)
def test_any_cost_has_a_place_on_the_log_axis(plain, flops, drawn, title):
    points = tuple(trial(str(n), 0.1 + n / 10, cost, on_front=True) for n, cost in enumerate(flops))
    (figure,) = front_figures(replace(plain, points=points, baselines={}))
    axis = figure.charts[0].x
    assert [list(series.x)[:2] for series in figure.charts[0].series] == [drawn, drawn]
    assert axis.title.endswith(title) and axis.range[0] < min(drawn) and max(drawn) < axis.range[1]


def test_other_objectives_have_their_own_axes_and_other_directions_no_stairs(plain):
    def only(objectives, **measures):
        points = [
            TrialPoint(None, str(n), {"k": n}, {name: value + n for name, value in measures.items()}, on_front=True)
            for n in range(3)
        ]
        settings = {**plain.settings, "objectives": objectives}
        return front_figures(replace(plain, points=tuple(points), baselines={}, settings=settings))[0]

    figure = only({"L0": "min", "RR": "max"}, L0=10.0, RR=0.25)
    assert (figure.name, figure.charts[0].x.title) == ("front-l0", "L0: active terms of a query (log)")
    assert values(figure.charts[0].series[-1]) == [(10.0, 0.25), (11.0, 1.25), (12.0, 2.25)]
    assert figure.charts[0].series[0].line == "steps"
    both = only({"RR": "max", "R@10": "max"}, RR=0.25, **{"R@10": 0.5})
    assert values(both.charts[0].series[-1]) == [(0.5, 0.25), (1.5, 1.25), (2.5, 2.25)]
    assert "Better: up and right." in both.text and [series.line for series in both.charts[0].series] == [None]


def test_a_trial_without_a_measure_is_not_drawn(plain):
    points = (trial("$a_{", float("nan"), 1.0), trial("1", 0.5, 1.0, on_front=True))
    (figure,) = front_figures(replace(plain, points=points, baselines={}))
    assert {series.name for series in figure.charts[0].series} == {"front, validation (chosen on)"}


def test_the_page_holds_what_the_figure_holds_and_needs_no_network(sweep, figure, drawings):
    page = drawings["front.html"].decode()
    (charts,) = [json.loads(text) for text in re.findall(r"<script>draw\((.*)\);</script>", page)]
    (chart,) = charts.values()
    assert [(trace["name"], trace["x"], trace["y"]) for trace in chart["data"]] == [
        (series.name, list(series.x), list(series.y)) for series in figure.charts[0].series
    ]
    shapes = [trace["line"]["shape"] for trace in chart["data"] if "lines" in trace["mode"]]
    assert shapes == ["linear", "linear", "hv"]
    assert chart["layout"]["xaxis"]["ticktext"] == [".1", ".3", "1", "3", "10"]
    assert all(point.run in page for point in sweep.front) and "raw context, dev" in page and figure.text in page
    assert "a &lt;sweep&gt; (2 of 5 trials on the front, 1 failed)" in page
    assert "<sweep>" not in page and "teacher: <script>" not in page
    assert not re.search(r"<script[^>]+src=", page) and not re.search(r"<link[^>]+href=\"(?!data:)", page)
    assert len(page) > 1_000_000  # plotly's own code is in it


def test_the_picture_has_every_kind_of_point(drawings, pixels):
    width, height, colours = pixels(drawings["front.png"])
    assert width == 1350 and 800 < height < 1100 and {BLUE, VERMILLION, GREEN} <= colours


def test_a_sweep_of_which_nothing_finished_has_a_picture_and_a_page_that_say_so(plain, pixels):
    drawings = front_drawings(replace(plain, name="$x^", points=POINTS[-1:], baselines={}))
    assert "No trial has finished: there is no front." in drawings["front.html"].decode()
    assert pixels(drawings["front.png"])[0] == 1350


def test_a_concluded_sweep_has_both_files_in_its_folder(sweep, drawings, tmp_path):
    before = "matplotlib.pyplot" in sys.modules
    folder = Workspace(tmp_path / "workspace", create=True).folder("sweeps/plain-02")
    entries = DrawnFront().concluded(replace(sweep, folder=folder))

    assert [entry.name for entry in entries] == ["front.png", "front.html"] == list(drawings)
    assert {name: (tmp_path / "workspace/sweeps/plain-02" / name).read_bytes() for name in drawings} == drawings
    assert ("matplotlib.pyplot" in sys.modules) == before  # its state is global
