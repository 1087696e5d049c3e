"""Sweeps as their files say: also those that have not ended."""

import json
from dataclasses import asdict

import pytest

from retort.errors import WorkspaceError
from retort.report.points import TrialPoint
from retort.report.sweeps import find_sweeps, list_sweeps, read_sweep, read_trials, unregularised_trials
from retort.storage import Workspace

POINTS = [
    TrialPoint("run-b", "0000", {"seed": 0, "variant": "b", "n": 2.5}, {"R@100": 0.5}),
    TrialPoint(None, "0001", {"seed": 0, "variant": "a", "n": 1.0}, {}, status="failed", error="not finite"),
    TrialPoint("run-a", "0002", {"seed": 0, "variant": "a", "n": 3.0}, {"R@100": 0.6}),
    TrialPoint("run-c", "0003", {"seed": 0, "variant": "a", "n": 1.5}, {"R@100": 0.7}),
]


@pytest.fixture
def workspace(tmp_path):
    place = Workspace(tmp_path / "workspace", create=True)
    search = {"seed": [0, 1], "variant": ["a", "b"], "n": {"low": 1, "high": 4, "log": False, "step": None}}
    for label, name in (
        ("grid-01", "grid"),
        ("grid-02", "grid"),
        ("grid+small-03", "grid+small"),
        ("grids-04", "grids"),
    ):
        folder = place.folder(f"sweeps/{label}")
        described = {"name": name, "base": {}, "settings": {"search": search, "trials": 8}}
        folder.write_bytes("sweep.json", json.dumps(described).encode())
    for point in POINTS:
        place.folder("sweeps/grid-01").write_bytes(f"trials/{point.trial}.json", json.dumps(asdict(point)).encode())
    place.folder("sweeps/left-over").write_bytes("something", b"")
    return place


def test_a_sweep_that_has_not_ended_has_the_trials_that_have(workspace):
    grid = next(sweep for sweep in list_sweeps(workspace) if sweep.label == "grid-01")

    assert (grid.name, grid.trials, grid.ended) == ("grid", 8, False)
    assert list(grid.points) == POINTS == read_trials(grid.folder)
    # By choice, then by value where a range is searched, whenever they ended.
    assert [point.run for point in grid.finished] == ["run-c", "run-a", "run-b"]


def test_a_folder_that_is_no_sweep_is_none(workspace):
    assert [sweep.label for sweep in list_sweeps(workspace)] == ["grid+small-03", "grid-01", "grid-02", "grids-04"]


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("grid-02", ["grid-02"]),
        ("sweeps/grid-02/", ["grid-02"]),
        ("grid", ["grid-01", "grid-02"]),
        ("grid+small", ["grid+small-03"]),
        ("gri", ["grid+small-03", "grid-01", "grid-02", "grids-04"]),
    ],
)
def test_a_name_stands_for_a_folder_a_space_or_a_beginning(workspace, name, labels):
    assert [sweep.label for sweep in find_sweeps(workspace, name)] == labels


@pytest.mark.parametrize("name", ["other", ""])
def test_a_sweep_that_is_not_there_is_told_of_with_those_that_are(workspace, name):
    with pytest.raises(WorkspaceError, match=r"no sweep '.*': grid\+small-03, grid-01, grid-02, grids-04"):
        find_sweeps(workspace, name)


def test_a_workspace_without_sweeps_has_none(tmp_path):
    place = Workspace(tmp_path / "empty", create=True)
    assert list_sweeps(place) == []
    with pytest.raises(WorkspaceError, match="none; run one first: retort sweep --help"):
        find_sweeps(place, "grid")


def test_what_nothing_keeps_sparse_is_told_by_all_of_a_trials_settings(tmp_path):
    # By a searched key, by a variant's, and by the base's; a penalty without weight is none, a hard limit is one.
    place = Workspace(tmp_path / "workspace", create=True)
    folder = place.folder("sweeps/limits-05")
    variants = {
        "plain": {"regularization.query": "none"},
        "penalty": {"regularization.query": "l1"},
        "preset": {"regularization.query_weight": 0, "regularization.query": "l1"},
        "limit": {"regularization.max_terms": 8},
        "threshold": {"regularization.query": "none", "regularization.threshold": 0.1},
    }
    settings = {"search": {"variant": list(variants)}, "variants": variants, "trials": 5}
    base = {"regularization": {"query": "none", "query_weight": 0.1}}
    folder.write_bytes("sweep.json", json.dumps({"name": "limits", "base": base, "settings": settings}).encode())
    for number, name in enumerate(variants):
        point = TrialPoint(f"run-{name}", f"{number:04d}", {"variant": name}, {"R@100": 0.5})
        folder.write_bytes(f"trials/{point.trial}.json", json.dumps(asdict(point)).encode())

    sweep = read_sweep(folder)
    assert unregularised_trials(sweep) == {"0000", "0002"}
    assert sweep.experiment(sweep.finished[1]).regularization.query == "l1"
    assert sweep.settings_of(sweep.finished[3]) == {"regularization.max_terms": 8}
