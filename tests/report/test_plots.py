"""The pictures: that they are there, show what they should, and survive what sweeps bring."""

import json
import re
import sys

import numpy as np
import pytest
from matplotlib.image import imread

from retort.report.sweep.plots import BLUE, GREY, VERMILLION, plot_front_png, write_front_html
from retort.sweeps.trial import TrialPoint


def trial(name, recall, flops, *, evaluation=None, on_front=False, **config):
    measures = {"R@100": recall, "FLOPS": flops}
    return TrialPoint(
        f"run-{name}", name, {"regularization.query_weight": 0.1, **config}, measures, evaluation, on_front
    )


@pytest.fixture
def points():
    return [
        trial("1", 0.70, 0.05, on_front=True, evaluation={"R@100": 0.68, "FLOPS": 0.06}, **{"sampling.count": 8}),
        trial("2", 0.78, 0.5, on_front=True, evaluation={"R@100": 0.77, "FLOPS": 0.55}, **{"sampling.count": 32}),
        trial("3", 0.60, 2.0, **{"sampling.count": 1}),
        TrialPoint(None, "4", {}, {}, status="failed", error="boom"),
    ]


def pixels(path):
    """Height, width and the colours that occur."""
    image = (imread(path)[..., :3] * 255).round().astype(np.int64)
    colours = {f"#{colour:06X}" for colour in np.unique(image @ [1 << 16, 1 << 8, 1])}
    return image.shape[0], image.shape[1], colours


def test_the_png_is_large_enough_and_has_every_kind_of_point(points, tmp_path):
    path = tmp_path / "plots" / "front.png"
    plot_front_png(points, path, title="sweep")

    height, width, colours = pixels(path)
    assert width == 1290 and 900 < height < 1300
    assert path.stat().st_size > 20_000
    assert BLUE in colours and VERMILLION in colours
    assert len(colours) > 50


def test_more_points_make_a_longer_legend_below(points, tmp_path):
    many = [trial(str(n), 0.5 + n / 100, 0.1 + n, on_front=True, **{"sampling.count": n}) for n in range(1, 20)]
    plot_front_png(points, tmp_path / "few.png", title="few")
    plot_front_png(many, tmp_path / "many.png", title="many")

    assert pixels(tmp_path / "many.png")[0] > pixels(tmp_path / "few.png")[0]


@pytest.mark.parametrize("flops", [[0.0, 0.5], [0.0, 0.0], [2.1, 2.2], [1e-6, 1e4]])
def test_any_cost_has_a_place_on_the_log_axis(flops, tmp_path):
    some = [trial(str(n), 0.1 + n / 10, cost, on_front=True) for n, cost in enumerate(flops)]
    plot_front_png(some, tmp_path / "front.png", title="odd costs")
    write_front_html(some, tmp_path / "front.html", title="odd costs")

    assert BLUE in pixels(tmp_path / "front.png")[2]
    assert all(x > 0 for x in figure_of(tmp_path / "front.html")["front, on the validation turns"]["x"])


def test_nothing_to_draw_and_dollar_signs_are_no_error(points, tmp_path):
    plot_front_png(points[3:], tmp_path / "none.png", title="$x^")
    plot_front_png([trial("$a_{", float("nan"), 1.0, on_front=True)], tmp_path / "nan.png", title="a")
    plot_front_png([trial("1", 0.5, 1.0, on_front=True, **{"m": "$x^"}), points[0]], tmp_path / "one.png", title="a")

    assert all(pixels(tmp_path / name)[1] == 1290 for name in ("none.png", "nan.png", "one.png"))


def test_other_objectives_have_other_axes(tmp_path):
    some = [TrialPoint(None, str(n), {"k": n}, {"RR": 0.3 + n / 10, "L0": 10.0 + n}, on_front=True) for n in range(3)]
    plot_front_png(some, tmp_path / "front.png", title="L0", objectives={"L0": "min", "RR": "max"})
    write_front_html(some, tmp_path / "front.html", title="L0", objectives={"L0": "min", "RR": "max"})

    assert BLUE in pixels(tmp_path / "front.png")[2]
    assert figure_of(tmp_path / "front.html")["front, on the validation turns"]["x"] == [10.0, 11.0, 12.0]


def test_no_global_state_of_pyplot_is_used(points, tmp_path):
    before = "matplotlib.pyplot" in sys.modules
    plot_front_png(points, tmp_path / "front.png", title="sweep")

    assert ("matplotlib.pyplot" in sys.modules) == before


def figure_of(path):
    """Traces of the page's figure, by name."""
    page = path.read_text(encoding="utf-8")
    start = page.index("[", page.rindex("Plotly.newPlot("))
    traces, _ = json.JSONDecoder().raw_decode(page[start:])
    return {trace["name"]: trace for trace in traces}


def test_the_page_holds_every_point_and_needs_no_network(points, tmp_path):
    path = tmp_path / "front.html"
    write_front_html([*points, trial("<b>5", 0.4, 3.0, **{"teacher": "<script>"})], path, title="a <sweep>")

    page = path.read_text(encoding="utf-8")
    traces = figure_of(path)
    front, dominated = traces["front, on the validation turns"], traces["dominated trials"]
    assert front["x"] == [0.05, 0.5] and front["y"] == [0.70, 0.78]
    assert front["line"]["shape"] == "hv" and front["text"] == ["1", "2"]
    assert "run-1" in front["hovertext"][0] and "sampling.count: 8" in front["hovertext"][0]
    assert "validation: R@100 0.700, FLOPS 0.0500" in front["hovertext"][0]
    assert "evaluation: R@100 0.680, FLOPS 0.0600" in front["hovertext"][0]
    assert dominated["marker"]["color"] == GREY and dominated["x"] == [2.0, 3.0]
    assert traces["the same, on evaluation"]["x"] == [0.06, 0.55]
    assert "&lt;script&gt;" in dominated["hovertext"][1]
    assert '"type":"log"' in page and "3 failed" not in page and "4 trials; 1 failed" in page
    assert not re.search(r"<script[^>]+src=", page) and not re.search(r"<link[^>]+href=", page)
    assert path.stat().st_size > 1_000_000  # plotly's own code is in it
