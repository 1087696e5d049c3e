"""Latency: what is measured adds up, is kept with the run, and stays out of the way of its evaluations."""

import shutil
from pathlib import Path

import pytest

from retort.corpora.turns import read_turns
from retort.deploy.java import find_java
from retort.deploy.latency import Measured, flops_correlations, latest_latency
from retort.errors import ConfigError, WorkspaceError
from retort.evaluation.latest import latest_evaluation
from retort.evaluation.runs import list_runs
from retort.storage import Workspace


def missing() -> str | None:
    try:
        find_java()
    except ConfigError as error:
        return str(error)
    return None


@pytest.fixture(scope="module")
def place(evaluated_path, tmp_path_factory) -> Path:
    return Path(shutil.copytree(evaluated_path, tmp_path_factory.mktemp("latency") / "workspace"))


@pytest.fixture(scope="module")
def told(place, retort):
    (run,) = list_runs(Workspace(place))
    done = retort("latency", run, "-w", place, "--split", "dev", "--rounds", 2, "--streams", 3, "--json")
    assert done.code == 0, done.err
    return run, done.json()


def test_what_is_measured_adds_up(place, told):
    run, document = told
    (one,) = document["runs"]
    turns = read_turns(Workspace(place), "dev")
    assert (one["run"], one["engine"], one["n"], one["rounds"]) == (run, "exact", len(turns), 2)
    numbers = [str(turn.turn_number) for turn in turns]
    assert {number: values["n"] for number, values in one["by_turn"].items()} == {
        n: numbers.count(n) for n in set(numbers)
    }
    for values in (*one["single"].values(), one["concurrent"]["total"], *one["by_turn"].values()):
        assert 0 < values["p50"] <= values["p95"] <= values["p99"]
    steps = sum(one["single"][step]["mean"] for step in ("tokenize", "encode", "search"))
    assert one["single"]["total"]["mean"] == pytest.approx(steps)
    weighted = sum(values["n"] * values["mean"] for values in one["by_turn"].values()) / len(turns)
    assert one["single"]["total"]["mean"] == pytest.approx(weighted)
    assert one["concurrent"]["queries_per_second"] > 0
    assert document["correlation_with_FLOPS"] == {"exact": {"search": None, "total": None}}


def test_it_is_kept_with_the_run_beside_its_evaluations(place, told, retort):
    run, document = told
    workspace = Workspace(place)
    exact = latest_evaluation(workspace, run, split="dev")
    assert document["runs"][0]["FLOPS"] == pytest.approx(exact.read_json("measures.json")["FLOPS"])
    assert document["runs"][0]["L0"] == pytest.approx(exact.read_json("measures.json")["L0"])
    kept = latest_latency(workspace, run, split="dev", engine="exact")
    assert kept.figures == document["runs"][0] and kept.folder.name.startswith(f"runs/{run}/latency/dev-exact-")
    shown = retort("latency", run, "-w", place, "--split", "dev", "--rounds", 1)
    assert shown.code == 0 and "turns/s" in shown.out and "takes three runs" in shown.out
    assert len(workspace.stages(f"runs/{run}/latency")) == 2, "asking again measures again"
    assert latest_latency(workspace, run, split="dev", engine="exact").figures["rounds"] == 1
    with pytest.raises(WorkspaceError, match=r"retort latency .* --engine lucene"):
        latest_latency(workspace, run, split="dev", engine="lucene")


@pytest.mark.skipif(missing() is not None, reason=f"no Lucene: {missing()}")
def test_lucene_is_measured_in_several_threads(place, told, retort):
    done = retort("latency", told[0], "-w", place, "--engine", "lucene", "--rounds", 1, "--streams", 3, "--json")
    assert done.code == 0, done.err
    (one,) = done.json()["runs"]
    assert one["engine"] == "lucene" and one["bits"] == 8 and one["single"]["search"]["p50"] > 0


def test_what_is_wrong_is_told_before_anything_is_measured(place, told, retort, listing):
    before = listing(place)
    for words, message in (
        ([told[0], "--engine", "bm25"], "'bm25' is not one of 'exact', 'lucene'"),
        ([told[0], "nobody"], "no run 'nobody'"),
        ([told[0], "--split", "test"], "no turns/test"),
    ):
        done = retort("latency", *words, "-w", place)
        assert (done.code, done.out) == (2, "") and message in done.err
    assert listing(place) == before


def measured(flops, search, total):
    figures = {"FLOPS": flops, "single": {"search": {"p50": search}, "total": {"p50": total}}}
    return Measured("run", None, figures)


def test_rank_correlation_by_hand():
    runs = [measured(0.1, 1.0, 9.0), measured(0.5, 2.0, 7.0), measured(2.0, 30.0, 8.0)]
    # Ranks 1 2 3 against 3 1 2: 1 - 6 (4 + 1 + 1) / (3 * 8) = -0.5.
    assert flops_correlations(runs) == {"search": pytest.approx(1.0), "total": pytest.approx(-0.5)}
    assert flops_correlations(runs[:2]) == {"search": None, "total": None}
    assert flops_correlations([measured(1.0, 1.0, 1.0)] * 3) == {"search": None, "total": None}
