"""The paper's report: the published figures as they are given, tables, JSON and pages from a made grid."""

import json

import numpy as np
import pytest

from retort.errors import InputError
from retort.report.paper.claims import Grid
from retort.report.paper.grid import SeededRun, Turns, grid_rows
from retort.report.paper.pages import by_turn_figure, paper_pages
from retort.report.paper.published import DISCO, QUESTIONS, REFERENCES, question_of
from retort.report.paper.report import PaperReport, SweepGrid, grid_of
from retort.report.paper.tables import claims_table, differences_table, rows_table
from retort.report.render.figure import BLUE, GREEN, VERMILLION
from retort.report.render.files import picture_of
from retort.report.render.pages import write_pages
from retort.storage import Workspace

N = 60
TURNS = Turns(
    tuple(map(str, range(N))), tuple(str(turn // 10) for turn in range(N)), tuple(turn % 10 + 1 for turn in range(N))
)
NAMES = ("RR", "R@10", "R@100", "nDCG@3", "FLOPS", "L0")


def made_report(*, ended=True, failed=0):
    generator = np.random.default_rng(0)
    runs = [
        SeededRun(f"run-{count}-{seed}", {"sampling.count": count}, seed, {m: generator.random(N) for m in NAMES})
        for count in (1, 16, 256)
        for seed in (0, 1, 2)
    ]
    grid = grid_of(question_of("paper_samples+mtrag"), runs, TURNS)
    return PaperReport("dev", (SweepGrid("paper_samples+mtrag-0a1b", 9 + failed, failed, grid, ended),))


def test_the_published_figures_are_the_papers():
    rows = {question.space: question.rows for question in QUESTIONS}
    assert [question.space for question in QUESTIONS] == [
        "paper_contrastive",
        "paper_samples",
        "paper_sampling_strategy",
        "paper_regularization",
        "paper_temperature",
        "paper_teachers",
    ]
    assert DISCO == {"RR": 0.409, "R@10": 0.676, "R@100": 0.879, "nDCG@3": 0.396, "FLOPS": 3.79}
    flops = {name: row["FLOPS"] for name, row in rows["paper_regularization"].items()}
    assert flops == {"disco": 3.79, "splade": 3.14, "high": 1.84, "higher": 1.37, "highest": 0.47}
    assert [row["RR"] for row in rows["paper_samples"].values()] == [0.348, 0.394, 0.409, 0.410, 0.395]
    assert [row["nDCG@3"] for row in rows["paper_contrastive"].values()] == [0.396, 0.400, 0.408, 0.412]
    assert [row["R@100"] for row in rows["paper_temperature"].values()] == [0.870, 0.879, 0.873]
    assert [row["RR"] for row in REFERENCES.values()] == [0.372, 0.151]
    for question in QUESTIONS:
        # The run without anything special is the same run in every grid.
        assert question.baseline not in question.rows or question.rows[question.baseline] is DISCO


def test_the_published_rows_are_rows_of_the_delivered_grids(smoke_space):
    from retort.search.space import load_space

    for question in QUESTIONS:
        space = load_space(smoke_space.with_name(f"{question.space}.yaml"))
        searched = space.settings.search[question.key]
        assert set(question.rows) | {question.baseline} <= set(searched)


def test_a_question_is_found_by_its_spaces_name():
    assert question_of("paper_teachers+mtrag+mtrag_teachers").space == "paper_teachers"
    assert question_of("mtrag") is None and question_of("paper_samples_of_mine") is None


def test_ours_and_the_papers_stand_in_one_table(terminal):
    (one,) = made_report().sweeps
    table = terminal(rows_table(one, "dev"))
    lines = table.splitlines()

    assert max(map(len, lines)) <= 100
    assert [line.split()[0] for line in lines if "ours, 3 seeds" in line] == ["1", "16", "256"]
    # n 1 and n 16 are published, n 256 is not.
    papers = [line.split()[1:] for line in lines if line.split()[:1] == ["paper"]]
    assert papers == [["0.348", "0.613", "0.859", "0.326", "-", "-"], ["0.409", "0.676", "0.879", "0.396", "3.79", "-"]]
    assert table.count("s.d.") == 3 and "16 (baseline)" in table and "arXiv:2606.04650" in table
    compared = terminal(differences_table(one.grid))
    assert max(map(len, compared.splitlines())) <= 100
    assert "less 16" in compared and all(measure in compared for measure in NAMES)


def test_every_claim_has_a_verdict_also_without_a_sweep(terminal):
    report = made_report()
    verdicts = report.verdicts()
    assert [(sweep, space) for sweep, space, _ in verdicts] == [
        (None, "paper_contrastive"),
        (None, "paper_sampling_strategy"),
        ("paper_samples+mtrag-0a1b", "paper_samples"),
        (None, "paper_regularization"),
    ]
    shown = terminal(claims_table(report))
    assert shown.count("can't be told") >= 3 and "no sweep of paper_contrastive" in " ".join(shown.split())


def test_what_is_not_all_there_is_said():
    assert made_report().sweeps[0].progress == ""
    assert made_report(failed=1).sweeps[0].progress == "9 of 10 trials finished, 1 failed"
    assert made_report(ended=False).sweeps[0].progress == "9 of 9 trials finished; the sweep has not ended"


def test_pages_hold_the_tables_the_json_and_the_figures(tmp_path, pixels):
    report = made_report()
    pages = paper_pages(report)
    name = "paper_samples+mtrag-0a1b"

    assert set(pages) == {"paper.md", "paper.json", f"{name}.png", f"{name}.svg"}
    assert {BLUE, VERMILLION, GREEN} <= pixels(pages[f"{name}.png"])[2] and b"<svg" in pages[f"{name}.svg"]
    data = json.loads(pages["paper.json"])
    (sweep,) = data["sweeps"]
    assert [row["row"] for row in sweep["rows"]] == ["1", "16", "256"] and sweep["baseline"] == "16"
    assert sweep["rows"][1]["published"] == DISCO and sweep["rows"][2]["published"] is None
    assert set(sweep["rows"][0]["by_turn"]) == {"L0", "R@100", "FLOPS"}
    assert len(sweep["differences"]) == 2 * 6
    assert set(sweep["differences"][0]["t_test"]) == {"p", "p_holm", "p_bonferroni"}
    assert len(data["claims"]) == 4 and all(claim["rule"] for claim in data["claims"])
    text = pages["paper.md"].decode()
    assert f"![L0 and R@100 by turn number]({name}.png)" in text and "Rule: " in text
    assert "|  | paper | 0.409 | 0.676 | 0.879 | 0.396 | 3.79 | - |" in text

    workspace = Workspace(tmp_path / "workspace", create=True)
    where = write_pages(pages, workspace, "reports/paper-dev", None)
    assert where == f"{workspace.url}/reports/paper-dev"
    out = tmp_path / "out"
    assert write_pages(pages, workspace, "paper-dev", out) == str(out)
    for file, content in pages.items():
        assert (out / file).read_bytes() == (tmp_path / "workspace/reports/paper-dev" / file).read_bytes() == content
    with pytest.raises(InputError, match="is a file; name a directory"):
        write_pages(pages, workspace, "paper-dev", out / "paper.md")


def test_every_row_has_its_own_line_by_turn_number():
    # Turn number t of the row with count c has L0 c + t with one seed and c + t + 2 with the other; turns 9 and 10 are one group.
    numbers = np.array(TURNS.turn_numbers)
    runs = [
        SeededRun(
            f"{count}-{seed}",
            {"sampling.count": count},
            seed,
            {name: count + numbers + 2.0 * seed if name == "L0" else numbers / (10.0 * count) for name in NAMES},
        )
        for count in (1, 16, 256)
        for seed in (0, 1)
    ]
    rows = grid_rows(runs)
    figure = by_turn_figure(Grid(question_of("paper_samples"), rows, rows[1], [], TURNS), "samples")

    assert [chart.y.title for chart in figure.charts] == ["L0: active terms of a query (log)", "R@100"]
    picture = picture_of(figure)
    assert [(axes.get_yscale(), axes.get_ylabel()) for axes in picture.axes] == [
        ("log", "L0: active terms of a query (log)"),
        ("linear", "R@100"),
    ]
    shown = [*range(1, 9), 9.5]
    for chart, axes, value in zip(
        figure.charts, picture.axes, (lambda count, t: count + t + 1, lambda count, t: t / (10 * count)), strict=True
    ):
        assert [text for _, text in chart.x.ticks] == [*(f"{turn}\n(6)" for turn in range(1, 9)), "9+\n(12)"]
        assert [series.name for series in chart.series] == ["1", "16 (baseline)", "256"]
        assert len({(series.colour, series.marker) for series in chart.series}) == 3
        assert [series.width for series in chart.series] == [1.6, 3.0, 1.6]
        for line, series, count in zip(axes.lines, chart.series, (1, 16, 256), strict=True):
            assert list(series.x) == list(range(9))
            assert list(series.y) == pytest.approx([value(count, turn) for turn in shown])
            np.testing.assert_array_equal(line.get_xydata(), list(zip(series.x, series.y, strict=True)))
