"""A sweep's report: what stands in it, from plain files; and that a real browser draws it, without a network."""

import json
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml
from tests.stages import replace_file

from retort.config import SearchSpaceConfig
from retort.errors import WorkspaceError
from retort.evaluation.latest import OUT_OF_DOMAIN
from retort.report.render.figure import BLUE, Figure
from retort.report.sweep.front_figures import front_figures
from retort.report.sweep.knobs import importance_figure, parallel_figure, slice_figure
from retort.report.sweep.page import report_page, report_pages
from retort.report.sweep.report import sweep_report
from retort.report.sweep.texts import front_numbers
from retort.report.sweep.turns import turn_figure
from retort.storage import Workspace
from retort.storage.layout import BASELINE, RUN

FIGURES = ("front-flops", "front-l0", "slices", "parallel", "importance", "turns")
CHARTS = 1 + 1 + 3 * 2 + 1 + 1 + 2


@pytest.fixture(scope="module")
def report(plain_sweep):
    return sweep_report(Workspace(plain_sweep), "plain")


@pytest.fixture(scope="module")
def pages(report):
    return report_pages(report)


@pytest.fixture(scope="module")
def page(pages, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_bytes(pages["report.html"])
    return path


@pytest.fixture
def changed(plain_sweep, tmp_path):
    return Path(shutil.copytree(plain_sweep, tmp_path / "workspace"))


def named(figure: Figure) -> dict:
    """Series with points, by name."""
    return {one.name: one for one in figure.charts[0].series if one.marker is not None}


def test_the_front_is_drawn_over_each_cost_with_what_it_is_compared_with(report):
    flops, sparsity = front_figures(report.sweep)
    assert [flops.name, sparsity.name] == ["front-flops", "front-l0"]
    assert list(named(flops)) == [
        "dominated trials, validation",
        "front, validation (chosen on)",
        "front, dev (reported on)",
        "raw context, dev",
        "rewrite: mistral, dev",
    ]
    front, evaluated = named(flops)["front, validation (chosen on)"], named(flops)["front, dev (reported on)"]
    numbers = front_numbers(report.sweep)
    assert list(front.labels) == [str(number) for number in range(1, len(report.sweep.front) + 1)]
    # FLOPS of 0 have no place on a log axis: it is drawn at half the least, and the axis says so.
    assert report.sweep.front[0].validation["FLOPS"] == 0 and front.x[0] == 4 / 2**10 / 2
    assert "0 is drawn at" in flops.charts[0].x.title and flops.charts[0].x.log
    assert list(evaluated.y) == pytest.approx([point.evaluation["R@100"] for point in report.sweep.front])
    hover = front.hover[1]
    best = report.sweep.front[1]
    assert hover.startswith(f"{numbers[best.trial]}: {best.run}\ntrial {best.trial}\nvariant: ")
    assert "validation: R@100 " in hover and "\ndev: R@100 " in hover
    lines = [one for one in flops.charts[0].series if one.line == "dot" and one.marker is None]
    assert {one.y[0] for one in lines} >= {0.5, 0.85}
    # Its line is a front's, flat up to the next point; over L0 it need not be one.
    assert [one.line for one in flops.charts[0].series].count("steps") == 1
    assert "steps" not in [one.line for one in sparsity.charts[0].series] and "has no line" in sparsity.text
    assert "(73)" in flops.text and "(234)" in flops.text and "published" not in flops.text


def test_published_figures_stand_where_the_turns_are_topiocqas(changed):
    place = Workspace(changed)
    sizes = {"turns/dev": {"turns": 2514, "conversations": 205}, "passages": {"passages": 25_700_592}}
    assert sweep_report(place, "plain").published == {}
    for name, counts in sizes.items():
        with place.folder(name).writing("import", 1, config={}, inputs={}) as writer:
            writer.counts |= counts
    report = sweep_report(place, "plain")

    assert report.published["DiSCo"]["R@100"] == 0.879 and len(report.published) == 7
    figure, over_l0 = front_figures(report.sweep, published=report.published)
    published = named(figure)["published"]
    assert "published" not in named(over_l0) and "published" not in over_l0.text
    assert sorted(published.x) == [0.47, 1.37, 1.84, 3.14, 3.79] and "arXiv:2606.04650" in figure.text


def test_latency_is_drawn_where_it_was_measured(changed):
    place = Workspace(changed)
    for number, run in enumerate(point.run for point in sweep_report(place, "plain").sweep.front[:3]):
        for at, seconds in (("2026-01-01", 1.0), ("2026-01-02", 0.0)):  # the later one counts
            config = {"split": "dev", "engine": "exact", "at": at}
            folder = place.folder(f"runs/{run}/latency/{at}")
            with folder.writing("latency", 1, config=config, inputs={}) as writer:
                told = {"single": {"total": {"p50": 10.0 + number + 1000 * seconds}}}
                writer.add(folder.write_bytes("latency.json", json.dumps(told).encode()))
    report = sweep_report(place, "plain")
    figure = front_figures(report.sweep, report.latencies)[-1]

    assert sorted(report.latencies.values()) == [10.0, 11.0, 12.0] and figure.name == "front-latency"
    assert list(named(figure)) == ["front, dev (reported on)"]
    assert sorted(named(figure)["front, dev (reported on)"].x) == [10.0, 11.0, 12.0]
    costs = [point.evaluation["FLOPS"] for point in report.sweep.front[:3]]
    assert (
        costs == sorted(costs) and "a rank correlation of +1.00" in figure.text
    )  # the cheapest are first, and the fastest
    assert "latency ms" in report_page(report)


def test_many_settings_have_slanted_names_and_room_for_the_first(report):
    search = {f"section.setting_number_{number}": [0, 1] for number in range(9)}
    points = [
        replace(point, config={key: (place + number) % 2 for number, key in enumerate(search)})
        for place, point in enumerate(report.sweep.points)
    ]
    sweep = replace(report.sweep, points=tuple(points), settings={**report.sweep.settings, "search": search})
    (chart,) = parallel_figure(replace(report, sweep=sweep)).charts
    few = parallel_figure(report).charts[0]

    assert chart.x.slanted and chart.x.ticks[0][1] == "setting_number_0"
    assert not few.x.slanted and few.x.ticks[1][1] == "contrastive_\nweight"
    assert chart.x.range[0] < -1


def test_settings_are_shown_for_both_objectives(report):
    slices, together, shares = slice_figure(report), parallel_figure(report), importance_figure(report)
    assert [(chart.x.title, chart.y.title) for chart in slices.charts] == [
        (key, measure)
        for key in ("variant", "objective.contrastive_weight", "training.seed")
        for measure in ("R@100", "FLOPS (log); 0 is drawn at .002")
    ]
    assert slices.charts[2].x.log and not slices.charts[0].x.log
    assert [text for _, text in slices.charts[0].x.ticks] == [
        "no penalty at all",
        "expected FLOPS .03",
        "expected FLOPS .3…",
    ]
    front = next(one for one in slices.charts[3].series if one.name == "front")
    assert sorted(zip(front.x, front.y, strict=True)) == sorted(
        (point.config["objective.contrastive_weight"], point.validation["FLOPS"] or 4 / 2**10 / 2)
        for point in report.sweep.front
    )
    (medians,) = [one for one in slices.charts[0].series if one.name == "median"]
    variants = [
        point for point in report.sweep.points if point.status == "finished" and point.config["variant"][:2] == "no"
    ]
    values = sorted(point.validation["R@100"] for point in variants)
    assert medians.y[0] == pytest.approx((values[1] + values[2]) / 2)
    front = next(one for one in together.charts[0].series if one.name == "front")
    assert front.x.count(None) == len(report.sweep.front) and front.x[:6] == [0.0, 1.0, 2.0, 3.0, 4.0, None]
    # Better is further up for both: the cheapest trial ends at the top, and begins where recall is least.
    assert front.y[4::6].index(max(front.y[4::6])) == front.y[3::6].index(min(front.y[3::6]))
    assert {one.name for one in shares.charts[0].series} == {"R@100", "FLOPS (its logarithm)"}
    assert all(sum(one.x) == pytest.approx(1.0) for one in shares.charts[0].series)


def test_measures_by_turn_number_have_their_counts(report):
    figure = turn_figure(report)
    sparsity, recall = figure.charts
    # Turns 5 to 7 have 4 each: it takes all of them to have ten.
    assert [text for _, text in recall.x.ticks] == ["1\n(30)", "2\n(30)", "3\n(30)", "4\n(30)", "5+\n(12)"]
    assert [one.name for one in recall.series][-2:] == ["raw context", "rewrite: mistral"]
    raw = recall.series[-2]
    assert raw.y[:4] == pytest.approx([0.5, 0.25, 0.5 / 3, 0.125]) and raw.y[4] == pytest.approx(
        (0.1 + 0.5 / 6 + 0.5 / 7) / 3
    )
    assert sparsity.series[-1].y[0] == 41.0 and "(n 30)" in raw.hover[0]
    runs = {int(series.name.split(":")[0]): series for series in sparsity.series[:-2]}
    for number, series in runs.items():
        own = report.sweep.front[number - 1].evaluation["L0"]
        assert list(series.y) == pytest.approx([own + turn for turn in (1, 2, 3, 4, 6)])
    assert list(runs) == [1, 2, 3, 4, 6, 7, 8, 9] and "8 of the front's 9 runs" in figure.text
    assert len(recall.series) - 2 == min(8, len(report.sweep.front))


def test_the_page_holds_all_of_it_and_needs_nothing_else(report, pages, pixels):
    page = pages["report.html"].decode()
    assert set(pages) == {
        "report.html",
        *(f"figures/{name}.{kind}" for name in FIGURES for kind in ("png", "svg")),
        "reproduce/plain.yaml",
        "reproduce/experiment.yaml",
    }
    assert not re.search(r"<(script|img|iframe)[^>]+src=", page) and not re.search(r"<link[^>]+href=\"(?!data:)", page)
    assert page.count("Plotly.newPlot(name") == 1 and len(re.findall(r"<script>draw\(", page)) == len(FIGURES)
    assert all(point.run in page for point in report.sweep.points if point.run)
    # What came from elsewhere is text.
    assert "&lt;script&gt;alert(1)&lt;/script&gt; not finite" in page and "<script>alert" not in page
    assert "expected FLOPS .3 &lt;b&gt;" in page and ".3 <b>" not in page
    assert "1 failed" in page and "hypervolume" in page and "reference: R@100 0.400, FLOPS 13.5" in page
    assert "ab12" in page and "numpy" in page
    drawn = {name: pixels(pages[f"figures/{name}.png"]) for name in FIGURES}
    assert {width for width, _, _ in drawn.values()} == {1350}
    assert all(BLUE in drawn[name][2] for name in ("front-flops", "front-l0", "importance"))


def test_what_runs_it_again_is_the_space_and_the_runs_settings(report, pages):
    space = yaml.safe_load(pages["reproduce/plain.yaml"])
    own = set(SearchSpaceConfig.model_fields)
    settings = SearchSpaceConfig.model_validate({key: value for key, value in space.items() if key in own})
    assert settings.model_dump(mode="json") == {"retries": 3, **report.sweep.settings}  # older sweeps say nothing of it
    assert yaml.safe_load(pages["reproduce/experiment.yaml"]) == {"corpus": {"evaluate": "dev"}}
    point = next(one for one in report.sweep.front if one.config["variant"] == "expected FLOPS .03")
    command = report.reproduction.runs[point.run]
    assert command.startswith("retort distill experiment.yaml --workspace w regularization.query=expected_flops ")
    assert "regularization.query_weight=0.03" in command and f"training.seed={point.config['training.seed']}" in command
    assert report.reproduction.sweep[0] == "retort sweep plain.yaml --workspace w"


def test_a_sweep_that_has_not_ended_has_the_trials_that_have(changed):
    folder = changed / "sweeps" / "plain-01"
    for name in ("record.json", "front.json"):
        (folder / name).unlink()
    for path in sorted(folder.glob("trials/*.json"))[5:]:
        path.unlink()
    report = sweep_report(Workspace(changed), "plain-01")
    page = report_page(report)

    assert (
        len(report.sweep.points) == 5
        and report.sweep.front
        and report.sweep.split is None
        and report.sweep.hypervolume is None
    )
    assert "5 of 13 (the sweep has not ended), 0 failed" in page and "5 finished trials are too few" in page
    assert turn_figure(report) is None and "No run of the front was measured by turn" in page
    assert "raw context" not in page


def test_a_sweep_of_which_nothing_finished_has_a_page_that_says_so(changed):
    folder = changed / "sweeps" / "plain-01"
    (folder / "record.json").unlink()
    for path in sorted(folder.glob("trials/*.json"))[:12]:
        path.unlink()
    page = report_page(sweep_report(Workspace(changed), "plain"))

    assert "No trial has finished: there is no front." in page and "no searched setting differs" in page


def test_other_objectives_have_their_own_front(changed):
    described = json.loads((changed / "sweeps/plain-01/sweep.json").read_text())
    described["settings"]["objectives"] = {"L0": "min", "RR": "max"}
    (changed / "sweeps/plain-01/sweep.json").write_text(json.dumps(described))
    (changed / "sweeps/plain-01/record.json").unlink()
    figures = front_figures(sweep_report(Workspace(changed), "plain").sweep)

    assert [figure.title for figure in figures] == ["RR against L0", "RR against FLOPS"]


def test_a_name_that_is_no_sweep_or_several_is_told(changed):
    place = Workspace(changed)
    with pytest.raises(WorkspaceError, match="no sweep 'other': plain-01"):
        sweep_report(place, "other")
    shutil.copytree(changed / "sweeps/plain-01", changed / "sweeps/plain-02")
    with pytest.raises(WorkspaceError, match="2 sweeps match 'plain': plain-01, plain-02"):
        sweep_report(place, "plain")


def test_the_command_writes_beside_the_sweep(changed, retort):
    folder = changed / "sweeps" / "plain-01"
    front = json.loads((folder / "front.json").read_text())
    replace_file(folder, "front.json", json.dumps({**front, "trials": front["trials"][:1]}))  # few figures
    done = retort("report", "plain", "-w", changed, "--json")
    assert done.code == 0, done.err
    assert done.json()["page"] == str(folder / "report.html") and (folder / "figures" / "front-flops.svg").exists()
    # The sweep itself is as it was.
    assert Workspace(changed).folder("sweeps/plain-01").record() is not None
    shown = retort("front", "plain", "-w", changed)
    assert shown.code == 0 and f"report: {folder / 'report.html'}" in shown.out


def test_the_command_writes_where_it_is_told(changed, retort, tmp_path):
    folder = changed / "sweeps" / "plain-01"
    (folder / "record.json").unlink()
    for path in sorted(folder.glob("trials/*.json"))[1:]:
        path.unlink()
    before = sorted(folder.rglob("*"))
    done = retort("report", "sweep", "plain-01", "-w", changed, "--out", tmp_path / "out")
    assert done.code == 0 and str(tmp_path / "out" / "report.html") in done.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["figures", "report.html", "reproduce"]
    assert sorted(folder.rglob("*")) == before


def test_the_front_says_how_to_get_the_report(plain_sweep, retort):
    shown = retort("front", "plain", "-w", plain_sweep)
    assert shown.code == 0 and f"report plain-01 --workspace {plain_sweep}" in shown.out


LOOK = """
const seen = { charts: [], overlaps: [], cut: [] };
for (const plot of document.querySelectorAll(".js-plotly-plot")) {
  const own = plot.getBoundingClientRect();
  const slanted = (text) => /rotate\\((?!-90|0)/.test(text.getAttribute("transform"));
  const texts = [...plot.querySelectorAll("text")]
    .filter((text) => text.textContent && text.getBoundingClientRect().width && !slanted(text))
    .map((text) => [text.textContent, text.getBoundingClientRect()]);
  seen.charts.push({ id: plot.id, drawn: plot.querySelectorAll("svg .trace, svg .bars .point").length, texts: texts.length });
  for (const which of ["x", "y"]) {
    const shown = plot.querySelectorAll(`.${which}tick text`).length;
    if (shown !== plot.layout[`${which}axis`].tickvals.length) seen.cut.push([plot.id, `a tick of ${which}`]);
  }
  for (const [text, box] of texts) {
    if (box.left < own.left - 1 || box.right > own.right + 1 || box.bottom > own.bottom + 1) seen.cut.push([plot.id, text]);
    for (const [other, around] of texts) {
      if (box === around) break;
      const across = Math.min(box.right, around.right) - Math.max(box.left, around.left);
      const up = Math.min(box.bottom, around.bottom) - Math.max(box.top, around.top);
      if (across > 1 && up > 3) seen.overlaps.push([plot.id, text, other]);
    }
  }
}
seen.width = document.documentElement.scrollWidth;
seen.inner = innerWidth;
return seen;
"""

USE = """
const button = document.querySelector('#front-flops .legend button[data-series^="dominated"]');
const traces = () => document.querySelectorAll("#front-flops-0 .scatterlayer .trace").length;
const body = document.querySelector("table.sortable").tBodies[0];
const column = (number) => [...body.rows].map((row) => row.cells[number].textContent);
const before = traces();
button.click();
await new Promise((done) => setTimeout(done, 300));
const hidden = traces();
const headers = document.querySelectorAll("table.sortable")[0].querySelectorAll("th");
const recall = [...headers].findIndex((one) => one.textContent === "R@100dev");
headers[recall].querySelector("button").click();
const upward = column(recall);
headers[recall].querySelector("button").click();
return { before, hidden, upward, downward: column(recall), sorted: headers[recall].getAttribute("aria-sort") };
"""


@pytest.mark.parametrize("width", [1280, 800])
def test_a_browser_draws_every_figure_and_no_text_lies_on_another(page, browse, width, tmp_path):
    seen, complaints = browse(page, LOOK, width=width, folder=tmp_path)

    assert complaints == []
    assert len(seen["charts"]) == CHARTS and all(
        chart["drawn"] >= 1 and chart["texts"] >= 2 for chart in seen["charts"]
    )
    assert seen["overlaps"] == [] and seen["cut"] == []
    assert seen["width"] <= seen["inner"]


def test_the_legend_switches_series_and_the_table_sorts(page, browse, tmp_path, report):
    seen, complaints = browse(page, USE, width=1280, folder=tmp_path)

    assert complaints == [] and seen["hidden"] == seen["before"] - 1
    values = [f"{value:.3f}" for value in sorted(point.evaluation["R@100"] for point in report.sweep.front)]
    missing = ["-"] * (12 - len(values))
    assert seen["upward"] == [*values, *missing] and seen["downward"] == [*reversed(values), *missing]
    assert seen["sorted"] == "descending"


def test_what_would_need_a_network_or_fails_would_be_seen(browse, tmp_path):
    page = tmp_path / "broken.html"
    page.write_text('<html><body><img src="http://example.org/a.png"><script>undefined.b</script></body></html>')
    seen, complaints = browse(page, "return 1;", width=800, folder=tmp_path)

    assert seen == 1 and len(complaints) == 2
    assert "TypeError" in complaints[0] and complaints[1] == "asked for http://example.org/a.png"


def test_evaluations_of_other_corpora_encoders_and_engines_are_not_taken(changed, write_plain_evaluation):
    # Each is later than the one of the sweep, and has other figures by turn.
    workspace = Workspace(changed)
    report = sweep_report(workspace, "plain")
    point = report.sweep.front[0]
    evaluations, of_context = RUN.evaluations(point.run), BASELINE.evaluations("baseline:context")
    by_turn = {"1": {**point.evaluation, "n": 30, "R@100": 0.123}}
    write_plain_evaluation(workspace, evaluations, "later-1", point.evaluation, by_turn, **{OUT_OF_DOMAIN: True})
    quantised = {"engine": "lucene", "quantization_bits": 8}
    write_plain_evaluation(workspace, evaluations, "later-2", point.evaluation, by_turn, **quantised)
    write_plain_evaluation(workspace, evaluations, "later-3", point.evaluation, by_turn, split="train")
    of_encoder = {**report.sweep.baselines["baseline:context"], "R@100": 0.9, "FLOPS": 1.0}
    write_plain_evaluation(workspace, of_context, "later-4", of_encoder, by_turn)
    again = sweep_report(workspace, "plain")
    assert again.by_turn == report.by_turn and len(report.by_turn) > 2
    assert [asdict(one) for one in again.sweep.front] == [asdict(one) for one in report.sweep.front]

    # One that does count is taken, so that those above could have been.
    write_plain_evaluation(workspace, evaluations, "later-5", point.evaluation, by_turn)
    assert sweep_report(workspace, "plain").by_turn != report.by_turn
