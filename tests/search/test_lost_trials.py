"""Trials whose processes die, in real sweeps: they are run again, and what they find is what they would have found anyhow."""

import contextlib
import json
import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from retort.distill.trainer import distil
from retort.errors import InputError
from retort.evaluation.evaluate import evaluate_run
from retort.progress import silent
from retort.search.space import load_space
from retort.search.sweep import run_sweep, sweep_folder
from retort.storage import Folder, Workspace
from retort.sweeps.sweep import read_sweep, write_description, write_front, write_trial
from retort.sweeps.trial import TrialPoint

pytestmark = pytest.mark.slow

PATIENCE = 300.0  # seconds in which a trial's process starts, at most, however busy the machine is
EPOCHS = 8  # of 11 steps: long enough for a process to be met while it trains
LONG = f"training.epochs={EPOCHS}"
FAILED = TrialPoint(None, "0000", {"sampling.count": 4}, {}, status="failed", error="RunError: not finite")


def until(found, what):
    """What ``found`` gives, as soon as it gives anything."""
    ended = time.monotonic() + PATIENCE
    while not (value := found()):
        assert time.monotonic() < ended, f"never seen: {what}"
        time.sleep(0.02)
    return value


class Killer(threading.Thread):
    """Sends a signal to the sweep's one actor while it trains; SIGTERM again and again, until it has left a training's state.

    Attributes:
        struck: How many actors were ended.
        step: The step of the state that the last one left.
    """

    def __init__(self, path, *, terminate):
        super().__init__()
        self.path, self.terminate = path, terminate
        self.before = set(path.glob("runs/*"))
        self.struck, self.step = 0, None

    def run(self):
        inputs = until(self._inputs, "a run that is trained")
        self._strike(signal.SIGKILL)
        state, seconds = inputs.parent / "state.pt", 0.5
        assert not state.exists(), "no state was due"
        while self.terminate and not state.exists():
            begun = inputs.stat().st_mtime_ns
            until(lambda begun=begun: inputs.stat().st_mtime_ns != begun, "another attempt")
            (actor,) = self._actors()
            # By its own time and not by the clock: that the machine is busy does not bring a training on.
            needed = sum(actor.cpu_times()[:2]) + seconds
            until(lambda actor=actor, needed=needed: sum(actor.cpu_times()[:2]) >= needed, "progress")
            self._strike(signal.SIGTERM)
            seconds *= 2  # what came too early for the first step
        if self.terminate:
            self.step = torch.load(state, weights_only=True)["step"]

    def _inputs(self):
        runs = set(self.path.glob("runs/*")) - self.before
        return next((run / "inputs.json" for run in runs if (run / "inputs.json").exists()), None)

    def _actors(self):
        children = psutil.Process().children(recursive=True)
        return [one for one in children if _title(one).startswith("ray::ResourceTrainable")]

    def _strike(self, number):
        (actor,) = self._actors()
        actor.send_signal(number)
        until(lambda: not actor.is_running() or actor.status() == psutil.STATUS_ZOMBIE, "the actor's end")
        self.struck += 1


def _title(process):
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def curves(path, run):
    return Workspace(path).folder(f"runs/{run}").read_table("curves.parquet")


def test_a_killed_trial_finds_what_it_would_have_found(prepared_copy, prepared_path, smoke_space, tmp_path, retort):
    label = sweep_folder(Workspace(prepared_copy), load_space(smoke_space, [LONG])).name.removeprefix("sweeps/")
    left, others = prepared_copy / f".ray_tune/{label}-18a", prepared_copy / ".ray_tune/other-12345678-18a"
    for folder in (left, others):  # as killed drivers leave them, one of this sweep and one of another
        folder.mkdir(parents=True)
        (folder / "tuner.pkl").touch()
    killer = Killer(prepared_copy, terminate=True)
    killer.start()
    # Of two at a time, for one thread each; but there is only one.
    words = ["sweep", smoke_space, "-w", prepared_copy, LONG, "retries=9", "--trials", 1, "--concurrent", 2, "--json"]
    done = retort(*words)
    killer.join()
    assert done.code == 0, done.err
    (found,) = done.json()["trials"]

    assert "trial 0000 was lost: its process was killed, or crashed; tried again, 1 of 9" in done.err
    assert "trial 0000 was lost: its process was told to end; tried again, 2 of 9" in done.err
    assert done.err.count("was lost") == killer.struck and 0 < killer.step < EPOCHS * 11
    assert (found["trial"], found["status"]) == ("0000", "finished")
    assert not left.exists() and list(prepared_copy.glob(".ray_tune/*")) == [others]

    undisturbed = Path(shutil.copytree(prepared_path, tmp_path / "undisturbed"))
    workspace, experiment = Workspace(undisturbed), load_space(smoke_space, [LONG]).experiment(found["config"])
    alone = distil(workspace, experiment)
    assert alone.run == found["run"]
    assert curves(undisturbed, alone.run).equals(curves(prepared_copy, found["run"]))
    measures = evaluate_run(workspace, alone.run, split="validate", settings=experiment.evaluation).measures
    assert {name: measures[name] for name in found["validation"]} == found["validation"]


def test_a_lost_trial_is_no_result_and_a_failed_one_can_be_run_again(prepared_copy, smoke_space, retort):
    workspace = Workspace(prepared_copy)
    folder = sweep_folder(workspace, load_space(smoke_space))
    write_trial(folder, FAILED_THERE)  # before this start, by a version that wrote no proposals
    words = ["sweep", smoke_space, "-w", prepared_copy, "retries=0", "--trials", 2, "--concurrent", 2]
    killer = Killer(prepared_copy, terminate=False)
    killer.start()
    lost = retort(*words, "--resume")
    killer.join()
    here = prepared_copy / folder.name

    def results():
        return {file.name: file.read_bytes() for file in sorted((here / "trials").iterdir())}

    def proposals():
        return {file.stem: json.loads(file.read_text()) for file in sorted((here / "proposed").iterdir())}

    assert lost.code == 1 and lost.out == ""
    assert "1 of 2 trials were lost 1 times each" in lost.err and "--resume runs them" in lost.err
    assert "(0001: its process was killed, or crashed)" in lost.err
    assert list(results()) == ["0000.json"] and list(proposals()) == ["0001"]
    assert not (here / "record.json").exists() and not (here / "front.json").exists()
    failed, proposed = results()["0000.json"], proposals()["0001"]
    refused = retort(*words)
    assert refused.code == 2 and "go on with --resume" in refused.err

    done = retort(*words, "--retry-failed", "--json")
    assert done.code == 0, done.err
    after = results()
    assert sorted(after) == ["0000.json", "0001.json", "0002.json"] and after["0000.json"] == failed
    found = {trial["trial"]: trial for trial in done.json()["trials"]}
    assert found.keys() == {"0001", "0002"} and {trial["status"] for trial in found.values()} == {"finished"}
    assert found["0001"]["config"] == proposed["config"] and "retries" not in found["0001"]
    assert found["0002"]["config"] == json.loads(failed)["config"] and found["0002"]["retries"] == "0000"
    record = json.loads((here / "record.json").read_text())
    assert {entry["name"] for entry in record["files"]} >= {
        *(f"trials/{number}.json" for number in ("0000", "0001", "0002")),
        *(f"proposed/{number}.json" for number in ("0001", "0002")),
    }
    again = retort(*words, "--retry-failed", "--json")  # none has failed now
    assert again.code == 0 and again.json() == done.json() and "is there already" in again.err

    # A result that is removed is found again, under its number; the others stay as they are.
    (here / "trials" / "0001.json").unlink()
    lacking = retort(*words)
    assert lacking.code == 2 and "lacks the files of 1 of its 2 trials" in lacking.err
    for _ in range(2):
        mended = retort(*words, "--resume", "--json")
        assert mended.code == 0, mended.err
        now = results()
        assert {name: now[name] for name in ("0000.json", "0002.json")} == {
            name: after[name] for name in ("0000.json", "0002.json")
        }
        (one,) = [trial for trial in mended.json()["trials"] if trial["trial"] == "0001"]
        timed = {"seconds": one["seconds"]}
        assert one == found["0001"] | timed and sorted(now) == sorted(after)


FAILED_THERE = replace(
    FAILED,
    config={"objective.contrastive_weight": 0.1, "sampling.count": 4, "regularization.query_weight": 0.001},
)


class MeanwhileFolder(Folder):
    """A sweep's folder that another driver holds, and finishes the sweep in, whenever one waits for it."""

    @contextlib.contextmanager
    def locked(self):
        if self.record() is None:
            _finish(Folder(self.workspace, self.name), load_space(self.workspace.space, trials=1))
        with super().locked():
            yield


class MeanwhileWorkspace(Workspace):
    """A workspace whose sweeps are finished by another driver while one waits for them."""

    def folder(self, name):
        return MeanwhileFolder(self, name) if name.startswith("sweeps/") else super().folder(name)


def _finish(folder, space):
    point = TrialPoint("run", "0000", {"sampling.count": 8}, {"R@100": 0.5, "FLOPS": 2.0}, on_front=True)
    config = space.identity() | {"trials": 1, "reference": None}
    with folder.writing("sweep", 1, config=config, inputs={}, keep_parts=True) as writer:
        writer.add(write_description(folder, space.description()), write_trial(folder, point))
        writer.add(write_front(replace(read_sweep(folder), points=(point,), ended=True)))
        writer.counts |= {"trials": 1}


@pytest.fixture
def meanwhile(prepared_copy, smoke_space):
    workspace = MeanwhileWorkspace(prepared_copy)
    workspace.space = smoke_space
    return workspace


def test_a_driver_that_waited_for_another_does_not_do_its_work_again(meanwhile, smoke_space, prepared_copy, listing):
    told = []
    done = run_sweep(meanwhile, load_space(smoke_space, trials=1), progress=lambda *words: told.append(words[-1]))

    assert [point.run for point in done.points] == ["run"] and done.ended
    assert told == [f"{done.folder.name} is there already"]
    record = done.folder.record()
    assert {entry.name: done.folder.entry(entry.name).sha256 for entry in record.files} == {
        entry.name: entry.sha256 for entry in record.files
    }


def test_a_driver_that_waited_for_one_with_fewer_trials_asks_first(meanwhile, smoke_space):
    with pytest.raises(
        InputError, match=r"has 1 trials, and 2 are asked for; nothing was started: go on with --resume"
    ):
        run_sweep(meanwhile, load_space(smoke_space, trials=2), progress=silent)
