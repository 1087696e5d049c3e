"""The front as tables and JSON: what a reader must find in it, at 80, 100 and 140 columns."""

import json
import math
import re

import pytest

from retort.measures.registry import figure
from retort.report.render.terminal import terminal_text
from retort.report.sweep.front import front_tables
from retort.sweeps.front import front_json, front_rows
from retort.sweeps.trial import TrialPoint, knob_text, short_knobs


def point(trial, recall, flops, **changes):
    config = {
        "objective.contrastive_weight": 0.1,
        "regularization.query": "expected_flops",
        "regularization.query_weight": 0.1,
        "training.learning_rate": 1e-4,
    }
    values = {
        "run": f"lexical-minilm-{trial}-1f3a",
        "trial": trial,
        "config": config,
        "validation": {"R@100": recall, "FLOPS": flops, "nDCG@3": 0.344, "RR": 0.36, "L0": 13.04},
        "seconds": {"training": 41.04, "evaluation": 9.0},
    }
    changes["config"] = {**config, **changes.get("config", {})}
    return TrialPoint(**{**values, **changes})


@pytest.fixture
def points():
    return [
        point("004", 0.795, 2.8, on_front=True, config={"regularization.query": "none"}),
        point("001", 0.789, 0.3412, on_front=True, evaluation={"R@100": 0.772, "FLOPS": 0.3567}),
        point("002", 0.772, 0.0512, on_front=True, config={"regularization.query_weight": 0.31}),
        point("003", 0.5, 3.0),
        TrialPoint(
            run=None,
            trial="005",
            config={**point("x", 0, 0).config, "training.learning_rate": 0.5},
            validation={},
            status="failed",
            error="\nRunError: the loss became NaN at step 12\n  File trainer.py",
        ),
    ]


LONG = "informative-minilm-w0.1-n32-expectedflops0.003-pruned4-s0-1a2b3c4d5e"


def shown(tables, width=100):
    return "\n\n".join(terminal_text(table, width).plain for table in tables)


def test_the_front_is_sorted_by_cost_and_holds_nothing_else(points):
    assert [row.trial for row in front_rows(points)] == ["002", "001", "004"]


def test_the_table_has_knobs_figures_runs_and_failures(points):
    text = shown(
        front_tables(points, hypervolume=1.2345, reference={"R@100": 0.0, "FLOPS": 50}, unregularised={"003", "004"})
    )
    lines = text.splitlines()

    assert max(len(line.rstrip()) for line in lines) <= 100
    assert "Pareto front: 3 of 4 finished trials (R@100 up, FLOPS down)" in text
    validation = [line.split() for line in lines if " validation " in line and "on" not in line.split()]
    assert [row[0] for row in validation] == ["1", "2", "3"]
    assert validation[1] == ["2", "expected_flops", "0.1", "validation", "0.789", "0.341", "0.360", "0.344", "13.0"]
    evaluation = [line.split() for line in lines if line.split()[:1] == ["evaluation"]]
    assert evaluation == [
        ["evaluation", *["-"] * 5],
        ["evaluation", "0.772", "0.357", *["-"] * 3],
        ["evaluation", *["-"] * 5],
    ]
    assert "lexical-minilm-002-1f3a" in text and "41.0" in text
    assert "on the whole front: objective.contrastive_weight 0.1, training.learning_rate 0.0001" in text
    assert "best unregularised on validation: R@100 0.795 at FLOPS 2.80 (trial 004)" in text
    assert "hypervolume on validation 1.234 (reference: R@100 0, FLOPS 50)" in text
    assert "1 failed" in text and "RunError: the loss became NaN at step" in text
    (failed,) = [
        line
        for line in shown(front_tables(points, hypervolume=1.2345, reference={}), 140).splitlines()
        if "NaN" in line
    ]
    assert "learning_rate 0.5  RunError: the loss became NaN at step 12" in failed
    assert "trainer.py" not in text
    assert "003" not in text


def test_without_evaluation_there_is_one_line_for_a_point(points):
    text = shown(front_tables([points[0], points[2]], hypervolume=None, reference={}))

    assert sum(" validation " in line for line in text.splitlines() if "best" not in line) == 2
    assert "hypervolume" not in text
    assert not [line for line in text.splitlines() if line.split()[:1] == ["evaluation"]]


def test_many_knobs_still_fit(points):
    many = [
        point(
            str(number),
            0.5 + number / 10,
            1.0 + number,
            on_front=True,
            config={f"a.some_long_setting_{k}": number / 7 for k in range(9)},
        )
        for number in range(3)
    ]
    text = shown(front_tables(many, hypervolume=None, reference={}))

    assert max(len(line.rstrip()) for line in text.splitlines()) <= 100
    assert "0.700" in text and "3.00" in text and "…" not in text
    # Seven settings fit, in headers of several lines; the last two and further measures are named.
    left = re.search(r"not shown at 100 columns: (.*) \(all fit into (\d+)\)", " ".join(text.split()))
    assert left[1].split(", ")[0] == "some_long_setting_7" and {"RR", "L0"} <= set(left[1].split(", "))
    assert "not shown" not in shown(front_tables(many, hypervolume=None, reference={}), int(left[2]))


@pytest.mark.parametrize("width", [80, 140, None])
def test_long_names_of_runs_and_all_figures_are_whole(points, width):
    long = [*points[1:], point("006", 0.9, 9.0, on_front=True, run=LONG)]
    lines = shown(front_tables(long, hypervolume=1.0, reference={}), width).splitlines()

    assert any(LONG in line.split() for line in lines) and all(line == line.rstrip() for line in lines)
    assert width is None or max(map(len, lines)) <= width
    assert [line.split()[-5:] for line in lines if " validation " in line and "0.900" in line] == [
        ["0.900", "9.00", "0.360", "0.344", "13.0"]
    ]
    left = [line for line in lines if line.startswith("not shown")]
    assert left == (["not shown at 80 columns: training s, evaluation s (all fit into 100)"] if width == 80 else [])


def test_names_and_errors_are_not_markup(points):
    odd = [
        point("[red]1[/]", 0.7, 1.0, on_front=True, run="run[bold]"),
        TrialPoint(None, "2", {}, {}, status="failed", error="[/x]"),
    ]
    text = shown(front_tables(odd, hypervolume=None, reference={}))

    assert "[red]1[/]" in text and "run[bold]" in text and "[/x]" in text


def test_a_sweep_without_a_finished_trial_says_so(points):
    text = shown(front_tables(points[-1:], hypervolume=None, reference={}))

    assert "no trial finished" in text and "1 failed" in text


def test_json_has_both_figures_of_every_point(points):
    document = json.loads(json.dumps(front_json(points), allow_nan=False))

    assert [one["run"] for one in document] == [f"lexical-minilm-{trial}-1f3a" for trial in ("002", "001", "004")]
    assert document[1]["validation"]["R@100"] == 0.789
    assert document[1]["evaluation"] == {"R@100": 0.772, "FLOPS": 0.3567}
    assert document[0]["evaluation"] is None
    assert document[0]["config"]["regularization.query_weight"] == 0.31


def test_json_has_null_for_what_is_no_number():
    (one,) = front_json([point("1", 0.5, math.inf, on_front=True)])

    assert one["validation"]["FLOPS"] is None


@pytest.mark.parametrize(
    ("measure", "value", "text"),
    [
        ("FLOPS", 0.05123, "0.0512"),
        ("FLOPS", 0.3412, "0.341"),
        ("FLOPS", 2.8, "2.80"),
        ("FLOPS", 13.94, "13.9"),
        ("FLOPS", 1394.0, "1394"),
        ("FLOPS", 0.0, "0"),
        ("FLOPS", 0.000123, "1.23e-04"),
        ("R@100", 0.7874, "0.787"),
        ("L0", 13.04, "13.0"),
        ("RR", None, "-"),
        ("RR", math.nan, "-"),
    ],
)
def test_figures(measure, value, text):
    assert figure(measure, value) == text


def test_knobs_read_as_in_yaml_and_keep_apart():
    assert [knob_text(value) for value in (True, None, 16, 1.0, 2e-5, "l1")] == [
        "true",
        "null",
        "16",
        "1",
        "2e-05",
        "l1",
    ]
    assert short_knobs(["a.weight", "b.weight", "b.count"]) == {
        "a.weight": "a.weight",
        "b.weight": "b.weight",
        "b.count": "count",
    }
