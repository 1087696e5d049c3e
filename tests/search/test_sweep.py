"""Real sweeps of the smoke space through the command line: what they leave behind, failing trials, a killed driver."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pandas as pd
import pytest
import yaml
from mlflow.exceptions import MlflowException
from tests.waiting import patience, wait_until

from retort.config import describe, experiment_from
from retort.corpora.turns import read_turns
from retort.distill.trainer import distil
from retort.errors import RunError
from retort.evaluation.evaluate import context_input_ids, evaluate_run
from retort.evaluation.students import open_run
from retort.search.resources import trial_resources
from retort.search.space import load_space
from retort.search.study import write_studies
from retort.search.sweep import sweep_folder as folder_of_sweep
from retort.search.tracked import TrackedSweep, log_missing
from retort.sparse.encoders.encoder import encode_ids
from retort.storage import Workspace
from retort.sweeps.sweep import find_sweep, write_trial
from retort.sweeps.trial import TrialPoint
from retort.tracking import MemoryTracker, MlflowTracker, default_tracking_uri

pytestmark = pytest.mark.slow


def sweep_folder(path):
    (folder,) = path.glob("sweeps/*")
    return folder


def trials(path):
    """Every ended trial's file, byte for byte."""
    return {file.name: file.read_bytes() for file in sorted(path.glob("sweeps/*/trials/*.json"))}


def tracked(path):
    """The sweep's parent run in MLflow, its children by trial, and the tracker."""
    tracker = MlflowTracker(default_tracking_uri(Workspace(path)), "retort")
    (parent,) = tracker.find(tags={"retort.kind": "sweep"})
    children = tracker.find(parent=parent.run_id)
    assert len(tracker.find()) == 1 + len(children)
    return parent, {child.tags["retort.trial"]: child for child in children}, tracker


@pytest.fixture(scope="module")
def swept(prepared_path, smoke_space, tmp_path_factory, retort):
    path = tmp_path_factory.mktemp("swept") / "workspace"
    shutil.copytree(prepared_path, path)
    done = retort("sweep", smoke_space, "-w", path, "--trials", 3, "--concurrent", 2, "--json")
    assert done.code == 0, done.err
    return path, done


def test_the_front_is_told_and_drawn(swept, retort):
    path, done = swept
    found = done.json()
    folder = sweep_folder(path)
    assert json.loads((folder / "front.json").read_text()) == found
    assert (folder / "front.png").read_bytes().startswith(b"\x89PNG")
    html = (folder / "front.html").read_text()
    assert "<html" in html.lower() and all(point["run"] in html for point in found["front"])
    assert len(found["trials"]) == 3 and 1 <= len(found["front"]) <= 3
    assert found["hypervolume"] >= 0 and set(found["reference"]) == {"R@100", "FLOPS"}
    assert not list(path.glob(".ray_tune/*"))

    def dominates(a, b):
        pairs = [(a["R@100"], b["R@100"]), (-a["FLOPS"], -b["FLOPS"])]
        return all(x >= y for x, y in pairs) and any(x > y for x, y in pairs)

    for trial in found["trials"]:
        dominated = any(dominates(other["validation"], trial["validation"]) for other in found["trials"])
        assert trial["on_front"] == (not dominated) == (trial["evaluation"] is not None)
    asked = retort("front", folder.name.rpartition("-")[0], "-w", path, "--json")
    assert asked.code == 0 and asked.json() == found


def test_baselines_stand_beside_the_front(swept):
    baselines = swept[1].json()["baselines"]
    assert list(baselines) == ["baseline:context", "baseline:last", "baseline:rewrite:synthetic"]
    assert all(set(values) >= {"n", "R@100", "R@10", "RR", "nDCG@3", "FLOPS", "L0"} for values in baselines.values())


def test_a_point_of_the_front_is_compared_by_its_number(swept, retort):
    path, done = swept
    front = done.json()["front"]
    sweep = sweep_folder(path).name
    compared = retort("compare", f"first={sweep}#1", "baseline:context", "-w", path, "--json")
    assert compared.code == 0, compared.err
    found = compared.json()
    assert found["systems"][0]["source"] == f"runs/{front[0]['run']}"
    means = {row["measure"]: row["mean"] for row in found["rows"] if row["run"] == "first"}
    # The mean of the turns' FLOPS is that of the set, whose p_q is a mean over turns.
    assert means == {name: pytest.approx(front[0]["evaluation"][name]) for name in means}
    beyond = retort("compare", f"{sweep}#{len(front) + 1}", "baseline:context", "-w", path)
    assert beyond.code == 2 and f"has the points 1 to {len(front)}" in beyond.err


def test_mlflow_has_all_of_it(swept):
    path, done = swept
    found = done.json()
    parent, children, tracker = tracked(path)
    assert parent.status == "FINISHED" and parent.parent is None
    assert parent.measures["hypervolume"] == pytest.approx(found["hypervolume"])
    assert parent.measures["front"] == len(found["front"]) and parent.measures["failed"] == 0
    (champion,) = [trial for trial in found["trials"] if trial["run"] == parent.tags["retort.champion"]]
    assert parent.measures["FLOPS"] == pytest.approx(champion["validation"]["FLOPS"])
    assert parent.measures["dev/R@100"] == pytest.approx(champion["evaluation"]["R@100"])
    client = tracker.client
    assert {"front.json", "front.png", "front.html", "config.yaml"} <= {
        f.path for f in client.list_artifacts(parent.run_id)
    }
    note = client.get_run(parent.run_id).data.tags["mlflow.note.content"]
    assert all(point["run"] in note for point in found["front"])

    assert sorted(children) == [trial["trial"] for trial in found["trials"]] == ["0000", "0001", "0002"]
    for trial in found["trials"]:
        child = children[trial["trial"]]
        assert (child.status, child.name) == ("FINISHED", trial["run"])
        for name, value in trial["validation"].items():
            assert child.measures[name] == pytest.approx(value)
        for key, value in trial["config"].items():
            assert float(child.params[key]) == pytest.approx(value)
        assert ("retort.front" in child.tags) == trial["on_front"]
        if trial["on_front"]:
            assert child.measures["dev/R@100"] == pytest.approx(trial["evaluation"]["R@100"])
        steps = [metric.step for metric in client.get_metric_history(child.run_id, "train/loss")]
        assert sorted(steps) == list(range(11))
        assert {f.path for f in client.list_artifacts(child.run_id)} >= {"config.yaml", "model"}
        model = {f.path for f in client.list_artifacts(child.run_id, "model")}
        assert {"model/model.safetensors", "model/MLmodel", "model/experiment.json"} <= model
        assert child.tags["retort.corpus"] == "workspace: train"
        experiment = Workspace(path).folder(f"runs/{trial['run']}").read_json("experiment.json")
        assert child.tags["retort.objective"] == describe(experiment_from(experiment)).line()
        inputs = client.get_run(child.run_id).inputs.dataset_inputs
        used = {one.dataset.name: one.tags[0].value for one in inputs}
        assert used == {
            "turns/train": "training",
            "rewrites/synthetic/train": "training",
            "passages": "collection",
            "turns/dev": "evaluation",
        }
        digests = {one.dataset.name: one.dataset.digest for one in inputs}
        fingerprint = Workspace(path).folder("passages").require("it was imported").fingerprint
        assert fingerprint.startswith(digests["passages"])


def test_a_champion_is_registered_and_predicts_what_was_evaluated(swept, retort, tmp_path, monkeypatch):
    path, done = tmp_path / "workspace", swept[1].json()
    shutil.copytree(swept[0], path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", default_tracking_uri(Workspace(swept[0])))  # where it was logged
    told = retort("front", "smoke", "-w", path, "--register", "assistant", "--json")
    assert told.code == 0, told.err
    registered = told.json()["registered"]
    best = max(point["validation"]["R@100"] for point in done["front"])
    within = [point for point in done["front"] if point["validation"]["R@100"] >= 0.98 * best]
    champion = min(within, key=lambda point: point["validation"]["FLOPS"])
    assert registered == {"name": "assistant", "version": "1", "run": champion["run"]}
    again = retort("front", "smoke", "-w", path, "--register", "assistant", "--point", 1)
    assert again.code == 0 and "alias champion: point 1" in again.out
    assert retort("front", "smoke", "-w", path, "--register", "assistant").code == 0  # moves back

    import mlflow

    mlflow.set_tracking_uri(default_tracking_uri(Workspace(swept[0])))
    model = mlflow.pyfunc.load_model("models:/assistant@champion")
    turns = read_turns(Workspace(path), "dev")[:4]
    histories = [[message.text for message in turn.history] for turn in turns]
    frame = pd.DataFrame({"question": [turn.question for turn in turns], "history": histories})
    terms = list(model.predict(frame)["terms"])
    run = open_run(Workspace(path), champion["run"])
    expected = encode_ids(run.student, context_input_ids(turns, run.config, run.tokenizer))
    for row, found in enumerate(terms):
        indices, values = expected.row(row)
        assert found == {
            run.tokenizer.token(int(i)): pytest.approx(float(v)) for i, v in zip(indices, values, strict=True)
        }


def test_what_can_not_be_registered_is_told_of(swept, retort, monkeypatch, tmp_path):
    path = swept[0]
    assert retort("front", "smoke", "-w", path, "--point", 1).code == 2
    beyond = retort("front", "smoke", "-w", path, "--register", "assistant", "--point", 9)
    assert beyond.code == 2 and "the front has" in beyond.err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other.db")
    elsewhere = retort("front", "smoke", "-w", path, "--register", "assistant")
    assert elsewhere.code == 2 and "was logged at" in elsewhere.err


def test_optunas_dashboard_has_the_trials(swept):
    path, done = swept
    storage = optuna.storages.InMemoryStorage()
    (name,) = write_studies(Workspace(path), storage)
    study = optuna.load_study(study_name=name, storage=storage)
    assert sweep_folder(path).name == name and study.metric_names == ["R@100", "FLOPS"]
    trials_of = {trial.user_attrs["trial"]: trial for trial in study.trials}
    for trial in done.json()["trials"]:
        values = [trial["validation"]["R@100"], trial["validation"]["FLOPS"]]
        assert trials_of[trial["trial"]].values == values and trials_of[trial["trial"]].params == trial["config"]


def test_a_sweep_that_is_there_is_not_run_again(swept, smoke_space, retort, listing):
    path, first = swept
    before = listing(path)
    again = retort("sweep", smoke_space, "-w", path, "--trials", 3, "--json")
    assert again.code == 0 and again.json() == first.json()
    assert f"{sweep_folder(path).name} is there already" in again.err
    assert listing(path) == before


def test_a_trial_has_the_measures_that_its_configuration_has_alone(swept, prepared_copy, smoke_space):
    workspace, space = Workspace(prepared_copy), load_space(smoke_space)
    for trial in swept[1].json()["trials"]:
        experiment = space.experiment(trial["config"])
        alone = distil(workspace, experiment)
        assert alone.run == trial["run"] and not alone.reused
        measures = evaluate_run(workspace, alone.run, split="validate", settings=experiment.evaluation).measures
        assert {name: measures[name] for name in trial["validation"]} == trial["validation"]


def changed_space(smoke_space, folder, **keys):
    path = folder / "smoke.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(smoke_space.read_text()) | keys, sort_keys=False))
    return path


def test_a_failing_trial_is_told_of_and_does_not_end_the_sweep(prepared_copy, smoke_space, tmp_path, retort):
    keys = {"search": {"training.learning_rate": [1.0e-3, 1.0e30]}, "trials": 2}
    space = changed_space(
        smoke_space, tmp_path, **keys, start=[{"training.learning_rate": rate} for rate in (1.0e30, 1.0e-3)]
    )
    done = retort("sweep", space, "-w", prepared_copy, "--json", "training.epochs=2", "concurrent=1")
    assert done.code == 1
    found = done.json()
    failed, finished = found["trials"]
    assert failed["config"] == {"training.learning_rate": 1e30} and failed["run"] is None
    assert failed["status"] == "failed" and finished["status"] == "finished" and len(found["front"]) == 1
    assert "not finite" in failed["error"] and "lower training.learning_rate" in failed["error"]
    assert "trial 0000 failed: " in done.err
    parent, children, _ = tracked(prepared_copy)
    assert parent.status == "FINISHED" and parent.measures["failed"] == 1
    assert {number: child.status for number, child in children.items()} == {"0000": "FAILED", "0001": "FINISHED"}
    # The failure is told in one line: no tracebacks, no second report by Tune.
    assert [
        line
        for line in done.err.splitlines()
        if not re.match(r"(vectors|index|rankings synthetic|training|sweep|evaluation): ", line)
    ] == []
    shown = retort("front", "smoke", "-w", prepared_copy)
    assert shown.code == 0 and "0000" in shown.out


def test_a_sweep_of_which_every_trial_fails_is_an_error(prepared_copy, smoke_space, retort):
    workspace, error = Workspace(prepared_copy), "RunError: not finite: lower training.learning_rate"
    folder = folder_of_sweep(workspace, load_space(smoke_space))
    failed = TrialPoint(None, "0000", {"sampling.count": 4}, {}, status="failed", error=error)
    write_trial(folder, failed)  # its only trial has failed before this start of the sweep
    done = retort("sweep", smoke_space, "-w", prepared_copy, "--trials", 1, "--resume")
    assert done.code == 1 and done.out == ""
    assert f"failed: all 1 trials failed: {error}" in done.err and "1 trials are kept" in done.err


def test_a_killed_sweep_goes_on_with_all_it_had(prepared_copy, smoke_space, retort, kill_when, listing):
    def a_trial_is_there():
        return bool(trials(prepared_copy))

    # One at a time: every actor costs ten seconds. TPE learns from the trials that a resumed sweep has on disk.
    sweep = ["sweep", smoke_space, "-w", prepared_copy, "--concurrent", 1, "sampler=tpe"]
    words = [*sweep, "--trials", 3]
    kill_when(words, a_trial_is_there)
    kept = trials(prepared_copy)
    assert 1 <= len(kept) < 3
    assert not (sweep_folder(prepared_copy) / "record.json").exists()

    before = listing(prepared_copy)
    refused = retort(*words)
    assert refused.code == 2 and refused.out == ""
    (line,) = refused.err.splitlines()
    assert line.startswith("error: ") and "was interrupted; nothing was started: go on with --resume" in line
    assert listing(prepared_copy) == before

    resumed = retort(*words, "--resume", "--json")
    assert resumed.code == 0, resumed.err
    assert f"{len(kept)} trials are kept" in resumed.err
    after = trials(prepared_copy)
    assert sorted(after) == [f"{number:04d}.json" for number in range(3)]
    assert {name: after[name] for name in kept} == kept
    configurations = [json.dumps(trial["config"], sort_keys=True) for trial in resumed.json()["trials"]]
    assert len(set(configurations)) == 3
    parent, children, _ = tracked(prepared_copy)
    assert parent.status == "FINISHED" and {c.status for c in children.values()} == {"FINISHED"} and len(children) == 3

    more = retort(*sweep, "--trials", 5)
    assert more.code == 2 and "has 3 trials, and 5 are asked for; nothing was started: go on with --resume" in more.err
    extended = retort(*sweep, "--trials", 5, "--resume", "--json")
    assert extended.code == 0, extended.err
    assert len(extended.json()["trials"]) == 5
    assert {name: trials(prepared_copy)[name] for name in after} == after
    assert len(tracked(prepared_copy)[1]) == 5
    for trial in extended.json()["trials"]:
        assert trial["config"]["sampling.count"] in (4, 8)
        assert 1e-4 <= trial["config"]["regularization.query_weight"] <= 1e-2
    # Fewer than there are: nothing is left to do.
    assert retort(*sweep, "--trials", 2, "--json").json() == extended.json()


def test_a_trial_that_was_logged_by_half_is_logged_again(swept, smoke_space, tmp_path):
    path = Path(shutil.copytree(swept[0], tmp_path / "workspace"))
    tracker = MemoryTracker()
    parent = tracker.start("sweep", tags={"retort.kind": "sweep"})
    tags = {"retort.kind": "trial", "retort.trial": "0001"}
    half = tracker.start("half", parent=parent.run_id, tags=tags)  # and then the driver was killed
    folder = Workspace(path).folder(f"sweeps/{sweep_folder(path).name}")
    folder.write_bytes("tracking.json", json.dumps({"uri": tracker.uri, "run_id": parent.run_id}).encode())
    with TrackedSweep(lambda: tracker, Workspace(path)) as listener:
        listener.started(folder, load_space(smoke_space).description())
        listener.flush()
    children = tracker.find(parent=parent.run_id)
    assert sorted(child.tags["retort.trial"] for child in children) == ["0000", "0001", "0002"]
    assert half.run_id not in [child.run_id for child in children]
    assert all(child.status == "FINISHED" and "R@100" in child.measures for child in children)


def test_a_sweep_whose_run_was_deleted_in_mlflow_is_logged_anew(swept, smoke_space, tmp_path):
    path = Path(shutil.copytree(swept[0], tmp_path / "workspace"))
    folder = Workspace(path).folder(f"sweeps/{sweep_folder(path).name}")
    tracker = MlflowTracker(f"sqlite:///{tmp_path}/mlflow.db", "retort")
    gone = tracker.start("sweep", tags={"retort.kind": "sweep"}).run_id
    tracker.discard(gone)
    folder.write_bytes("tracking.json", json.dumps({"uri": tracker.uri, "run_id": gone}).encode())
    with TrackedSweep(lambda: tracker, Workspace(path)) as listener:
        listener.started(folder, load_space(smoke_space).description())
        listener.flush()
    parent = folder.read_json("tracking.json")["run_id"]
    assert parent != gone and len(tracker.find(parent=parent)) == 3


def test_a_distilled_run_that_was_logged_by_half_is_logged_again(swept):
    workspace = Workspace(swept[0])
    run = next(point.run for point in find_sweep(workspace, "smoke").points if point.run)
    tracker = MemoryTracker()
    fingerprint = workspace.folder(f"runs/{run}").require("").fingerprint
    half = tracker.start(run, tags={"retort.kind": "distill", "retort.fingerprint": fingerprint})
    for _ in range(2):  # the second time there is nothing to do
        log_missing(tracker, workspace, run)
        (found,) = tracker.find(tags={"retort.kind": "distill"})
        assert found.run_id != half.run_id and found.status == "FINISHED"


class Unreachable(MemoryTracker):
    """A server that goes away after the sweep's run was started: every later call fails, as MLflow's client does."""

    def find(self, **words):
        raise MlflowException("gone")


def test_a_tracker_that_goes_away_is_told_of_and_hides_nothing(swept, smoke_space, tmp_path):
    path = Path(shutil.copytree(swept[0], tmp_path / "workspace"))
    folder = Workspace(path).folder(f"sweeps/{sweep_folder(path).name}")
    tracker = Unreachable()
    with (
        pytest.raises(RunError, match=r"MLflow at .* failed: gone"),
        TrackedSweep(lambda: tracker, Workspace(path)) as listener,
    ):
        listener.started(folder, load_space(smoke_space).description())


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ({"concurrent": 2, "cpus": 2, "smallest": 2}, {"cpu": 1}),
        ({"concurrent": 2, "cpus": 40, "smallest": 8, "grows": True}, {"cpu": 8}),  # no machine has 20
        ({"concurrent": 16, "cpus": 8, "smallest": 8, "grows": True}, {"cpu": 1}),
        ({"concurrent": 2, "cpus": 40, "smallest": 8, "grows": True, "gpus": 1}, {"cpu": 4, "gpu": 1}),
        ({"concurrent": 2, "cpus": 8, "smallest": 8, "grows": True, "needs_gpu": True}, {"cpu": 4, "gpu": 1}),
        ({"concurrent": 3, "cpus": 12, "smallest": 12, "gpus": 1}, {"cpu": 4, "gpu": 0.3333}),
        ({"concurrent": 2, "cpus": 16, "smallest": 16, "gpus": 8}, {"cpu": 8, "gpu": 1}),
    ],
)
def test_a_trial_asks_for_what_one_machine_can_give(asked, given):
    assert trial_resources(**({"gpus": 0, "grows": False, "needs_gpu": False} | asked)) == given


def test_a_grid_is_run_once_and_in_parts(prepared_copy, smoke_space, tmp_path, retort):
    variants = {"plain": {"regularization.query": "none"}, "few": {"sampling.count": 2, "sampling.window": [0, 20]}}
    data = yaml.safe_load(smoke_space.read_text(encoding="utf-8"))
    data |= {"search": {"training.seed": [0, 1]}, "variants": variants, "sampler": "grid", "concurrent": 1}
    del data["trials"]
    path, profile = tmp_path / "grid.yaml", tmp_path / "brief.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    profile.write_text("training: {batch_turns: 8}\n", encoding="utf-8")
    words = ("sweep", path, "-w", prepared_copy, "--profile", profile, "--json")
    first = retort(*words, "--trials", 2)
    assert first.code == 0, first.err
    whole = retort(*words, "--resume")
    assert whole.code == 0, whole.err

    def configurations(done):
        return sorted((trial["config"]["training.seed"], trial["config"]["variant"]) for trial in done.json()["trials"])

    assert configurations(first) == [(0, "few"), (0, "plain")]
    assert configurations(whole) == [(0, "few"), (0, "plain"), (1, "few"), (1, "plain")]
    assert whole.json()["trials"][:2] == [
        trial | {"on_front": now["on_front"], "evaluation": now["evaluation"]}
        for trial, now in zip(first.json()["trials"], whole.json()["trials"][:2], strict=True)
    ]
    assert whole.json()["sweep"].startswith("grid+brief-")
    for trial in whole.json()["trials"]:
        experiment = json.loads((prepared_copy / "runs" / trial["run"] / "experiment.json").read_text())
        assert experiment["training"]["seed"] == trial["config"]["training.seed"]
        assert experiment["training"]["batch_turns"] == 8
        assert experiment["sampling"]["count"] == {"few": 2, "plain": 8}[trial["config"]["variant"]]
    again = retort(*words)
    assert again.code == 0 and again.json() == whole.json()


def test_what_the_encoder_reads_can_be_searched(prepared_copy, smoke_space, tmp_path, retort):
    data = yaml.safe_load(smoke_space.read_text(encoding="utf-8"))
    # 64 is the base's own, which is prepared; 48 is prepared by the sweep, before its first trial.
    data["search"] = {"sampling.count": [4, 8], "encoder.passage_tokens": [48, 64]}
    start = [{"sampling.count": 4, "encoder.passage_tokens": 48}, {"sampling.count": 8, "encoder.passage_tokens": 64}]
    data |= {"sampler": "nsga2", "trials": 3, "concurrent": 1, "start": start}  # the third is NSGA-II's
    path = tmp_path / "encoder.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    before = {folder.name for folder in Workspace(prepared_copy).stages("vectors")}
    done = retort("sweep", path, "-w", prepared_copy, "--json")

    assert done.code == 0, done.err
    found = done.json()
    assert [trial["status"] for trial in found["trials"]] == ["finished"] * 3
    read = {}
    for trial in found["trials"]:
        run = open_run(Workspace(prepared_copy), trial["run"])
        assert trial["config"]["sampling.count"] == run.config.sampling.count
        read.setdefault(trial["config"]["encoder.passage_tokens"], set()).add(run.vectors.name)
    assert read.keys() == {48, 64} and read[64] == before and len(read[48]) == 1 and not read[48] & before
    # The baselines are those of the base's own encoder.
    assert set(found["baselines"]) >= {"baseline:context", "baseline:last"}


def test_an_interrupted_sweep_is_not_taken_for_a_finished_one(prepared_copy, smoke_space, environment, retort, started):
    # A process of its own: interrupted in this one, Tune would leave its loggers' files open.
    words = ["sweep", smoke_space, "-w", prepared_copy, "--trials", 40, "--concurrent", 1]
    command = [sys.executable, "-m", "retort.cli", *words]
    process = started.start(command, env=environment, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: trials(prepared_copy), "the first trial", seconds=120, process=process)
    process.send_signal(signal.SIGINT)  # as Control-C does
    _, err = process.communicate(timeout=patience(120))

    assert process.returncode in (1, 130) and "kept" in err.splitlines()[-1]
    assert trials(prepared_copy) and not list(prepared_copy.glob("sweeps/*/record.json"))
    again = retort("sweep", smoke_space, "-w", prepared_copy, "--trials", 40)
    assert again.code == 2 and "go on with --resume" in again.err
