"""What every tracker keeps, in memory and in MLflow alike."""

import json
import subprocess

import pytest

from retort.errors import InputError
from retort.tracking import TrackedInput
from retort.tracking.source import source_commit


def test_what_was_logged_is_found(tracker):
    sweep = tracker.start("sweep", tags={"kind": "sweep"})
    trial = tracker.start("trial 1", parent=sweep.run_id, tags={"kind": "trial", "quoted": 'it\'s "so"'})
    trial.log_config({"objective": {"contrastive_weight": 0.1}, "sampling": {"window": (10, 950)}})
    trial.log_measures({"R@100": 0.79, "FLOPS": 0.34})
    trial.set_tags({"run": "kld-1f3a"})
    trial.set_note("**front**")
    trial.end()

    (found,) = tracker.find(parent=sweep.run_id)

    assert (found.run_id, found.name, found.status) == (trial.run_id, "trial 1", "FINISHED")
    assert found.parent == sweep.run_id
    assert found.measures == {"R@100": 0.79, "FLOPS": 0.34}
    assert found.params == {"objective.contrastive_weight": "0.1", "sampling.window": "[10, 950]"}
    assert found.tags == {"kind": "trial", "run": "kld-1f3a", "quoted": 'it\'s "so"'}
    assert [run.name for run in tracker.find()] == ["sweep", "trial 1"]
    assert [run.name for run in tracker.find(tags={"kind": "sweep"})] == ["sweep"]
    assert [run.name for run in tracker.find(tags={"quoted": 'it\'s "so"'})] == ["trial 1"]
    assert tracker.find(parent=trial.run_id) == []


def test_a_measure_is_its_value_at_the_last_step(tracker):
    run = tracker.start("run")
    run.log_curves({"loss/kld": [(0, 3.0), (20, 1.0), (10, 2.0)]})
    run.log_measures({"R@100": 0.5}, step=1)
    run.log_measures({"R@100": 0.6}, step=2)

    (found,) = tracker.find()

    assert found.measures == {"loss/kld": 1.0, "R@100": 0.6}


def test_a_run_is_resumed_and_keeps_what_it_has(tracker):
    run = tracker.start("run")
    run.log_config({"trials": 16})
    run.end("FAILED")

    again = tracker.resume(run.run_id)
    again.log_config({"trials": 16, "seed": 0})
    assert [found.status for found in tracker.find()] == ["RUNNING"]
    again.end("FINISHED")

    (found,) = tracker.find()
    assert found.status == "FINISHED"
    assert found.params == {"trials": "16", "seed": "0"}
    assert found.tags == {}


def test_a_parameter_that_changes_is_no_error_and_no_lie(tracker):
    run = tracker.start("sweep")
    run.log_config({"trials": 16, "seed": 0})
    run.log_config({"trials": 24, "seed": 0})

    (found,) = tracker.find()

    assert found.params == {"trials": "16", "seed": "0"}
    assert found.tags == {"retort.changed.trials": "24"}


def test_children_that_a_killed_driver_left_are_ended(tracker):
    sweep = tracker.start("sweep")
    done, left, other = tracker.start("done", parent=sweep.run_id), tracker.start("left", parent=sweep.run_id), None
    other = tracker.start("of another sweep", parent=tracker.start("another").run_id)
    done.end("FINISHED")

    assert tracker.reconcile(sweep.run_id) == [left.run_id]
    assert tracker.reconcile(sweep.run_id) == []

    statuses = {run.run_id: run.status for run in tracker.find()}
    assert statuses[done.run_id] == "FINISHED"
    assert statuses[left.run_id] == "KILLED"
    assert statuses[sweep.run_id] == statuses[other.run_id] == "RUNNING"


def test_what_was_logged_by_half_can_be_taken_back(tracker):
    sweep = tracker.start("sweep")
    half, whole = (tracker.start(name, parent=sweep.run_id) for name in ("half", "whole"))
    tracker.discard(half.run_id)
    assert [run.run_id for run in tracker.find(parent=sweep.run_id)] == [whole.run_id]


def test_an_unknown_run_is_the_callers_mistake(tracker):
    with pytest.raises(InputError, match="no run 0123456789abcdef"):
        tracker.resume("0123456789abcdef")


def test_a_name_that_cannot_be_kept_is_refused(tracker):
    run = tracker.start("run")

    with pytest.raises(ValueError, match="characters"):
        run.log_measures({"": 1.0})


def test_a_model_is_registered_once_and_the_alias_moves(tracker, tmp_path, request):
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "weights").write_bytes(b"1")
    first, second, bare = (tracker.start(name) for name in ("first", "second", "bare"))
    for run in (first, second):
        run.log_model(tmp_path / "checkpoint", "a.loader")
    name = f"model of {request.node.name}"

    def registered(run):
        return tracker.register(run.run_id, name, alias="champion", description="why")

    assert [registered(run) for run in (first, second, first)] == ["1", "2", "1"]
    with pytest.raises(InputError, match="logged no model"):
        registered(bare)


def test_what_a_run_was_made_from_is_kept_once(mlflow_tracker):
    run = mlflow_tracker.start("run")
    one = TrackedInput("turns/train", "ab" * 32, "/w", "training", {"turns": 543})
    run.log_inputs([one])
    run.log_inputs([one])
    (found,) = mlflow_tracker.client.get_run(run.run_id).inputs.dataset_inputs
    assert (found.dataset.name, found.dataset.digest) == ("turns/train", "ab" * 18)
    assert json.loads(found.dataset.profile) == {"turns": 543}
    assert [(tag.key, tag.value) for tag in found.tags] == [("mlflow.data.context", "training")]


def test_a_run_says_which_commit_made_it(mlflow_tracker, tmp_path):
    commit = mlflow_tracker.client.get_run(mlflow_tracker.start("run").run_id).data.tags.get("mlflow.source.git.commit")
    assert commit == source_commit()
    package = tmp_path / "installed"
    package.mkdir()
    (package / "errors.py").write_text("")
    source_commit.cache_clear()
    assert source_commit(package) is None  # no checkout

    def git(*words):
        subprocess.run(["git", "-C", package, "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True)

    git("init", "-q")
    source_commit.cache_clear()
    assert source_commit(package) is None  # somebody else's: the package is not in it
    git("add", "errors.py")
    git("commit", "-qm", "one")
    source_commit.cache_clear()
    clean = source_commit(package)
    assert clean is not None and len(clean) == 40
    (package / "errors.py").write_text("# changed")
    source_commit.cache_clear()
    assert source_commit(package) == f"{clean}-dirty"
    source_commit.cache_clear()
