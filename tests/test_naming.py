"""Points of a front, as ``retort front`` numbers them."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from retort.errors import InputError
from retort.naming import front_point, name_one, run_named, runs_named
from retort.search.space import load_space
from retort.storage import Workspace
from retort.sweeps.front import front_rows
from retort.sweeps.sweep import find_sweep, read_sweep, write_description, write_front, write_trial
from retort.sweeps.trial import TrialPoint


@pytest.fixture(scope="module")
def workspace(imported_path, smoke_space, tmp_path_factory):
    """A workspace with a sweep that has ended: four trials, three on the front, the cheapest ended last."""
    path = Path(shutil.copytree(imported_path, tmp_path_factory.mktemp("named") / "workspace"))
    place = Workspace(path)
    points = [
        TrialPoint(f"run-{name}", f"000{n}", {}, {"R@100": recall, "FLOPS": cost}, on_front=on_front)
        for n, (name, recall, cost, on_front) in enumerate(
            [("rich", 0.9, 3.0, True), ("bad", 0.1, 4.0, False), ("fair", 0.7, 2.0, True), ("cheap", 0.5, 1.0, True)]
        )
    ]
    folder = place.folder("sweeps/pareto-1f3a9c2d")
    with folder.writing("sweep", 1, config={}, inputs={}) as writer:
        writer.add(write_description(folder, load_space(smoke_space).description() | {"name": "pareto"}))
        writer.add(*(write_trial(folder, point) for point in points))
        ended = replace(read_sweep(folder), points=tuple(points), ended=True, hypervolume=0.5)
        writer.add(write_front(ended))
    assert [point.run for point in front_rows(points)] == ["run-cheap", "run-fair", "run-rich"]
    return place


def test_the_cheapest_point_is_the_first(workspace):
    assert [front_point(workspace, f"pareto#{n}") for n in (1, 2, 3)] == ["run-cheap", "run-fair", "run-rich"]
    named = name_one(workspace, "student=pareto-1f#3")
    assert (named.label, named.kind, named.target) == ("student", "run", "run-rich")
    assert name_one(workspace, "pareto#1").label == "pareto#1"


def test_the_champion_is_the_cheapest_within_two_percent_of_the_best(workspace):
    points = find_sweep(workspace, "pareto").front
    best = max(point.validation["R@100"] for point in points)
    within = [point for point in points if point.validation["R@100"] >= 0.98 * best]
    cheapest = min(within, key=lambda point: point.validation["FLOPS"])
    assert front_point(workspace, "pareto#champion") == cheapest.run


@pytest.mark.parametrize("number", ["0", "4", "", "-1", "best", "1.0"])
def test_a_point_that_is_not_there_is_refused_with_those_that_are(number, workspace):
    with pytest.raises(
        InputError, match=r"the front of pareto-1f3a9c2d has the points 1 to 3 and a champion, got 'pareto#"
    ):
        front_point(workspace, f"pareto#{number}")


def test_a_front_is_all_of_its_runs_once(workspace):
    assert runs_named(workspace, ["pareto#front"]) == ["run-cheap", "run-fair", "run-rich"]
    assert runs_named(workspace, ["pareto#3", "pareto#front"]) == ["run-rich", "run-cheap", "run-fair"]
    with pytest.raises(InputError, match="baseline:last is no run of the workspace, but a baseline"):
        run_named(workspace, "baseline:last")


@pytest.mark.parametrize(
    "word", ["baseline:../../x", "baseline:rewrite:../../x", "baseline:rewrite:", "baseline:", "baseline:last/.."]
)
def test_a_baselines_name_does_not_lead_out_of_the_workspace(word, workspace):
    with pytest.raises(
        InputError, match="is no baseline; there are baseline:context, baseline:last, baseline:rewrite:TEACHER"
    ):
        name_one(workspace, word)
    assert name_one(workspace, "baseline:rewrite:synthetic").kind == "baseline"


@pytest.mark.parametrize("word", ["../../x", "runs/../../x", "../..", "x" * 5000, "x" * 100_000 + "/"])
def test_a_run_is_one_of_those_that_are_there(word, workspace):
    with pytest.raises(InputError) as caught:
        name_one(workspace, word)
    assert len(str(caught.value)) < 1500
