"""A workspace that Retort 0.1.0 wrote, read by this version: nothing is computed again, every figure is shown as recorded.

``assets/workspace-0.1/made.sh`` made it: a sweep of four students, one of them pruned, with its front and baselines; a student
of the splade family; and an evaluation out of the domain.
"""

import hashlib
import json
import math
import re
import shutil
from pathlib import Path

import pytest

from retort.evaluation.latest import evaluations_by_split
from retort.storage import Workspace

ASSET = Path(__file__).parent / "assets" / "workspace-0.1"
DROPPED = "front.html"  # 5 MB of plotly; see made.sh
RUNS = sorted(path.name for path in (ASSET / "workspace" / "runs").iterdir())
EVALUATIONS = sorted(
    str(path.parent.relative_to(ASSET / "workspace"))
    for path in (ASSET / "workspace").glob("*/**/workspace-*-exact-*/record.json")
)
STAGES = ("vectors", "index", "rankings synthetic", "training")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return Path(shutil.copytree(ASSET / "workspace", tmp_path_factory.mktemp("old") / "workspace"))


@pytest.fixture(autouse=True)
def nothing_is_written(path, listing, tmp_path, monkeypatch):
    """The workspace holds the same files before and after, beside what MLflow, whose database is elsewhere, is given."""

    def files():
        return {name: found for name, found in listing(path).items() if not name.startswith("mlartifacts/")}

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/tracking.db")
    before = files()
    yield
    assert files() == before


@pytest.fixture(scope="module")
def front(path):
    (file,) = path.glob("sweeps/grid-*/front.json")
    return json.loads(file.read_text(encoding="utf-8"))


def test_the_asset_is_whole_and_names_no_machine():
    files = [file for file in (ASSET / "workspace").rglob("*") if file.is_file()]
    missing = []
    for record in [file for file in files if file.name == "record.json"]:
        for entry in json.loads(record.read_text(encoding="utf-8"))["files"]:
            named = record.parent / entry["name"]
            if not named.exists():
                missing.append(entry["name"])
            else:
                assert hashlib.sha256(named.read_bytes()).hexdigest() == entry["sha256"], named
    assert missing == [DROPPED]
    assert sum(file.stat().st_size for file in files) < 1.5e6
    assert [file for file in files if re.search(rb"/(tmp|home|root|Users|work)/", file.read_bytes())] == []


@pytest.mark.parametrize("run", RUNS)
def test_a_runs_experiment_is_prepared_and_distilled_already(path, retort, run):
    done = retort("distill", path / "runs" / run / "experiment.json", "-w", path, "--json")
    assert done.code == 0, done.err
    assert done.json()["run"] == run and done.json()["reused"]
    told = [line.split(": ")[0] for line in done.err.splitlines() if line.endswith("is there already")]
    assert told == [*STAGES, "training"] and len(done.err.splitlines()) == len(told)


@pytest.mark.parametrize("evaluation", EVALUATIONS)
def test_an_evaluation_is_there_already(path, retort, evaluation):
    kind, name = evaluation.split("/")[:2]
    recorded = json.loads((path / evaluation / "record.json").read_text(encoding="utf-8"))
    words = ["--split", recorded["config"]["split"], "-w", path, "--json"]
    if kind == "baselines":
        name = "baseline:" + name.replace("rewrite-", "rewrite:")
        # Of the sweep's encoder; the splade student was prepared after it.
        (of_sweep,) = {run for run in RUNS if "-l1" in run}
        words += ["--experiment", path / "runs" / of_sweep / "experiment.json"]
    done = retort("evaluate", name, *words)
    assert done.code == 0, done.err
    assert "is there already" in done.err
    measured = json.loads((path / evaluation / "measures.json").read_text(encoding="utf-8"))
    assert measured["n"] > 0 and {name: done.json()[name] for name in measured} == measured


def test_one_out_of_domain_is_not_taken_for_the_latest(path):
    (elsewhere,) = path.glob("runs/*/evaluations/elsewhere-dev-*")
    latest = evaluations_by_split(Workspace(path), elsewhere.parts[-3])
    assert sorted(latest) == ["dev", "validate"] and "/workspace-dev-exact-" in latest["dev"].name


def test_the_sweep_is_there_already_with_its_front(path, retort, front):
    again = retort("sweep", ASSET / "grid.yaml", "-w", path, "--json")
    assert again.code == 0 and again.json() == front
    assert f"{front['sweep']} is there already" in again.err
    asked = retort("front", "grid", "-w", path, "--json")
    assert asked.code == 0 and asked.json() == front
    shown = retort("front", "grid", "-w", path)
    assert shown.code == 0, shown.err
    assert len(front["front"]) == 2 and front["hypervolume"] > 0.5
    for point in front["front"]:
        for measures in (point["validation"], point["evaluation"]):
            assert f"{measures['R@100']:.3f}" in shown.out and f"{measures['FLOPS']:.2f}" in shown.out
    for baseline, measures in front["baselines"].items():
        assert baseline.removeprefix("baseline:") in shown.out and f"{measures['FLOPS']:.2f}" in shown.out


def test_its_report_shows_the_recorded_figures(path, retort, front, tmp_path):
    done = retort("report", "grid", "-w", path, "--out", tmp_path / "report", "--json")
    assert done.code == 0, done.err
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    for trial in front["trials"]:
        assert trial["run"] in page and f"{trial['validation']['R@100']:.3f}" in page
    for point in front["front"]:
        assert f"{point['evaluation']['R@100']:.3f}" in page
    assert 'id="turns"' in page and (tmp_path / "report" / "figures" / "turns.svg").exists()


def test_its_points_are_compared_with_its_baselines(path, retort, front):
    sweep = front["sweep"]
    done = retort("compare", f"{sweep}#1", f"dense={sweep}#2", "baseline:context", "-w", path, "--json")
    assert done.code == 0, done.err
    means = {(row["run"], row["measure"]): row["mean"] for row in done.json()["rows"]}
    expected = {
        f"{sweep}#1": front["front"][0]["evaluation"],
        "dense": front["front"][1]["evaluation"],
        "baseline:context": front["baselines"]["baseline:context"],
    }
    assert {run for run, _ in means} == set(expected)
    for (run, measure), mean in means.items():
        assert math.isclose(mean, expected[run][measure], rel_tol=1e-9), (run, measure)


@pytest.mark.parametrize("run", [run for run in RUNS if "pruned" in run or "w0.1" in run])
def test_its_students_are_exported_with_a_card(path, retort, tmp_path, run):
    done = retort("export", run, tmp_path / "student", "-w", path)
    assert done.code == 0, done.err
    card = (tmp_path / "student" / "README.md").read_text(encoding="utf-8")
    assert run in card
    (student,) = (tmp_path / "student").rglob("model.safetensors")
    assert student.stat().st_size > 0
