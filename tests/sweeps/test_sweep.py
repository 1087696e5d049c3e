"""Sweeps as their files say: also those that have not ended."""

from dataclasses import replace

import pytest

from retort.config import SearchSpaceConfig
from retort.errors import WorkspaceError
from retort.storage import Workspace
from retort.sweeps.sweep import find_sweeps, list_sweeps, read_sweep, read_trials, write_description, write_trial
from retort.sweeps.trial import TrialPoint

LETTERS = {"a": {"sampling.count": 1}, "b": {"sampling.count": 2}}


def trial(number, variant, temperature, run=None, recall=0.0):
    config = {"training.seed": 0, "variant": variant, "objective.temperature": temperature}
    if run is None:
        return TrialPoint(None, number, config, {}, status="failed", error="not finite")
    return TrialPoint(run, number, config, {"R@100": recall, "FLOPS": 1.0})


POINTS = [
    trial("0000", "b", 2.5, "run-b", 0.5),
    trial("0001", "a", 1.0),
    trial("0002", "a", 3.0, "run-a", 0.6),
    trial("0003", "a", 1.5, "run-c", 0.7),
]


def begin(folder, name, base, **settings):
    """A sweep's folder as the search writes it."""
    settings = {"objectives": {"R@100": "max", "FLOPS": "min"}, **settings}
    dumped = SearchSpaceConfig.model_validate(settings).model_dump(mode="json")
    write_description(folder, {"name": name, "base": base, "settings": dumped})


@pytest.fixture
def workspace(tmp_path):
    place = Workspace(tmp_path / "workspace", create=True)
    search = {"training.seed": [0, 1], "variant": ["a", "b"], "objective.temperature": {"low": 1, "high": 4}}
    for label, name in (
        ("grid-01", "grid"),
        ("grid-02", "grid"),
        ("grid+small-03", "grid+small"),
        ("grids-04", "grids"),
    ):
        begin(place.folder(f"sweeps/{label}"), name, {}, search=search, variants=LETTERS, trials=8)
    for point in POINTS:
        write_trial(place.folder("sweeps/grid-01"), point)
    place.folder("sweeps/left-over").write_bytes("something", b"")
    return place


def test_a_sweep_that_has_not_ended_has_the_trials_that_have(workspace):
    grid = next(sweep for sweep in list_sweeps(workspace) if sweep.label == "grid-01")

    assert (grid.name, grid.trials, grid.ended) == ("grid", 8, False)
    assert read_trials(grid.folder) == POINTS
    assert [replace(point, on_front=False) for point in grid.points] == POINTS
    assert [point.run for point in grid.front] == ["run-c"]
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
    base = {"regularization": {"query": "none", "query_weight": 0.1}}
    begin(folder, "limits", base, search={"variant": list(variants)}, variants=variants, trials=5)
    for number, name in enumerate(variants):
        point = TrialPoint(f"run-{name}", f"{number:04d}", {"variant": name}, {"R@100": 0.5, "FLOPS": 1.0})
        write_trial(folder, point)

    sweep = read_sweep(folder)
    assert sweep.unregularised == {"0000", "0002"}
    assert sweep.experiment(sweep.finished[1]).regularization.query == "l1"
    assert sweep.settings_of(sweep.finished[3]) == {"regularization.max_terms": 8}
