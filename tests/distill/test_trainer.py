"""Whole runs: kept, found again, and the same from one process and from a group of workers."""

import shutil
import threading
import time

import numpy as np
import psutil
import pytest
import torch

from retort.config import experiment_from, with_overrides
from retort.distill.trainer import distil
from retort.errors import RunError
from retort.evaluation.runs import list_runs
from retort.evaluation.students import open_run
from retort.storage import Workspace


def changed(experiment, **overrides):
    return experiment_from(
        with_overrides(experiment.model_dump(mode="json"), {k.replace("__", "."): v for k, v in overrides.items()})
    )


def test_a_run_holds_what_it_was_and_what_it_became(prepared_copy, experiment):
    workspace = Workspace(prepared_copy)
    done = distil(workspace, experiment)
    assert not done.reused and list_runs(workspace) == [done.run]

    run = open_run(workspace, done.run)
    assert run.config == experiment
    trained = done.student.state_dict()
    assert run.student.state_dict().keys() == trained.keys()
    assert [name for name, value in run.student.state_dict().items() if not torch.equal(value, trained[name])] == []
    curves = run.folder.read_table("curves.parquet")
    assert curves["step"].to_pylist() == list(range(done.record.counts["steps"]))
    assert done.record.counts["last"]["loss"] == pytest.approx(curves["loss"][-1].as_py(), abs=1e-6)


def test_the_same_experiment_again_is_the_same_run(prepared_copy, experiment, listing):
    workspace = Workspace(prepared_copy)
    first = distil(workspace, experiment)
    before = listing(prepared_copy)
    hardware = {"training__accumulation": 2, "training__workers": 4, "evaluation__top_k": 200, "corpus__evaluate": None}
    for same in (experiment, changed(experiment, **hardware)):
        again = distil(workspace, same)
        assert again.reused and again.run == first.run and again.record == first.record
    assert listing(prepared_copy) == before
    assert distil(workspace, changed(experiment, training__seed=1)).run != first.run


def test_a_diverging_run_is_not_kept(prepared_copy, experiment):
    workspace = Workspace(prepared_copy)
    with pytest.raises(RunError, match="not finite"):
        distil(workspace, changed(experiment, training__learning_rate=1e30, training__epochs=2))
    assert list_runs(workspace) == []


def reads(process, folder):
    """Whether a process is a worker of a group that has opened the vectors of a workspace, which it does to train."""
    try:
        words = " ".join(process.cmdline())
        return "RayTrainWorker" in words and any(str(folder) in mapped.path for mapped in process.memory_maps())
    except psutil.Error:
        return False


class Killer(threading.Thread):
    """Kills one worker of a group as soon as it trains from a workspace."""

    def __init__(self, place):
        super().__init__()
        self.place, self.killed = place, None

    def run(self):
        ended = time.monotonic() + 300
        while self.killed is None:
            assert time.monotonic() < ended, "no worker was seen to train"
            workers = [one for one in psutil.Process().children(recursive=True) if reads(one, self.place / "vectors")]
            if workers:
                workers[0].kill()
                self.killed = workers[0].pid
            time.sleep(0.02)


@pytest.mark.slow
def test_two_workers_of_which_one_is_killed_give_the_losses_of_one(prepared_path, experiment, tmp_path):
    # FLOPS is the penalty of which the workers need each other's queries; with it everything else is the same as without.
    told = []

    def curves(workers):
        place = tmp_path / str(workers) / "workspace"
        shutil.copytree(prepared_path, place)
        config = changed(
            experiment,
            training__workers=workers,
            training__dropout=0.0,
            objective__contrastive_weight=0.1,
            regularization__query="flops",
            regularization__query_weight=0.05,
        )
        killer = Killer(place)
        if workers:
            killer.start()
        done = distil(Workspace(place), config, progress=lambda *words: told.append(words[-1]))
        assert not done.reused and bool(killer.killed) == bool(workers)
        student = open_run(Workspace(place), done.run).student
        assert not (place / ".ray_train").exists() or not list((place / ".ray_train").iterdir())
        table = done.folder.read_table("curves.parquet")
        return done.run, np.array([table[name].to_pylist() for name in table.column_names]), student.state_dict()

    alone, expected, weights = curves(0)
    group, found, parallel = curves(2)
    assert group == alone
    assert "the workers were lost: its process was killed, or crashed; tried again, 1 of 3" in told
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    for name, value in weights.items():
        torch.testing.assert_close(parallel[name], value, rtol=1e-4, atol=1e-4)
