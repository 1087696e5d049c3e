"""A student on another corpus: encoded there as the student knows it, kept with the run, and not taken for its own domain."""

import json
import shutil
from pathlib import Path

import ir_measures
import pytest
from tests.corpora.official import CORPORA

from retort.corpora.turns import read_judgements, read_turns
from retort.errors import ConfigError, WorkspaceError
from retort.evaluation.evaluate import evaluate_elsewhere
from retort.evaluation.latest import latest_evaluation
from retort.evaluation.runs import list_runs
from retort.evaluation.students import open_run
from retort.storage import Workspace


@pytest.fixture(scope="module")
def places(evaluated_path, tmp_path_factory, retort):
    """The run's workspace, and another one with a corpus about towns, in which relevance begins at 2."""
    home = Path(shutil.copytree(evaluated_path, tmp_path_factory.mktemp("home") / "workspace"))
    folder = tmp_path_factory.mktemp("abroad")
    words = [*CORPORA["cast2020"](folder), "--split", "dev", "-w", folder / "towns"]
    assert retort(*words).code == 0
    return home, folder / "towns"


@pytest.fixture(scope="module")
def told(places, retort, ray_session):
    home, abroad = places
    (run,) = list_runs(Workspace(home))
    done = retort("evaluate", run, "-w", home, "--split", "dev", "--on", abroad, "--json")
    assert done.code == 0, done.err
    return run, done.json()


def test_measures_are_those_of_the_written_run_with_its_own_threshold(places, told):
    home, abroad = places
    run, measured = told
    folder = Path(measured["folder"])
    assert folder.parent == home / "runs" / run / "evaluations" and folder.name.startswith("towns-dev-exact-")
    judged = read_judgements(Workspace(abroad), "dev")
    retrieved = ir_measures.read_trec_run((folder / "run.trec").read_text())
    names = {"R@100": "R(rel=2)@100", "RR": "RR(rel=2)", "nDCG@3": "nDCG@3", "Judged@10": "Judged@10"}
    parsed = {name: ir_measures.parse_measure(text) for name, text in names.items()}
    expected = ir_measures.calc_aggregate(list(parsed.values()), judged, retrieved)
    assert measured["n"] == len(read_turns(Workspace(abroad), "dev")) == 36
    assert {n: measured[n] for n in names} == pytest.approx({n: expected[m] for n, m in parsed.items()}, abs=1e-9)


def test_judged_at_10_is_counted_by_hand(places, told):
    _, abroad = places
    judged = read_judgements(Workspace(abroad), "dev")
    lines = [line.split() for line in (Path(told[1]["folder"]) / "run.trec").read_text().splitlines()]
    shares = []
    for query_id in judged:
        best = [doc_id for qid, _, doc_id, rank, _, _ in lines if qid == query_id and int(rank) <= 10]
        # Of those that were retrieved, where they are fewer than ten.
        shares.append(sum(doc_id in judged[query_id] for doc_id in best) / max(len(best), 1))
    assert told[1]["Judged@10"] == pytest.approx(sum(shares) / len(shares))


def test_the_other_collection_is_encoded_once_with_the_students_vocabulary(places, told, retort, listing):
    home, abroad = places
    run, measured = told
    (vectors,) = Workspace(abroad).stages("vectors")
    own = open_run(Workspace(home), run)
    assert vectors.local("tokenizer/tokenizer.json").read_bytes() == (
        own.vectors.local("tokenizer/tokenizer.json").read_bytes()
    )
    before = listing(abroad), listing(home)
    again = retort("evaluate", run, "-w", home, "--split", "dev", "--on", abroad, "--json")
    assert again.code == 0 and again.json() == measured
    assert (listing(abroad), listing(home)) == before


def test_what_is_in_the_domain_stands_beside_and_stays_what_it_was(places, told, retort):
    home, abroad = places
    run, measured = told
    workspace = Workspace(home)
    own = latest_evaluation(workspace, run, split="dev")
    assert own.url() != measured["folder"]
    assert measured["in_domain"]["n"] == own.read_json("measures.json")["n"]
    assert measured["on"] == str(abroad)
    shown = retort("evaluate", run, "-w", home, "--split", "dev", "--on", abroad)
    assert shown.code == 0 and "in domain: dev" in shown.out and "Judged@10" in shown.out
    rows = retort("compare", run, "baseline:last", "-w", home, "--json")
    assert rows.code == 0, rows.err


def test_what_cannot_be_measured_is_told_of_before_anything_is_encoded(places, told, retort, tmp_path):
    home, abroad = places
    run, _ = told
    with pytest.raises(ConfigError, match="'validate' is of a run's own workspace"):
        evaluate_elsewhere(
            Workspace(home),
            run,
            on=Workspace(abroad),
            split="validate",
            settings=open_run(Workspace(home), run).config.evaluation,
        )
    with pytest.raises(WorkspaceError, match="no turns/test"):
        evaluate_elsewhere(
            Workspace(home),
            run,
            on=Workspace(abroad),
            split="test",
            settings=open_run(Workspace(home), run).config.evaluation,
        )
    baseline = retort("evaluate", "baseline:last", "-w", home, "--split", "dev", "--on", abroad)
    assert (baseline.code, baseline.out) == (2, "") and "--on is for runs" in baseline.err
    nowhere = retort("evaluate", run, "-w", home, "--split", "dev", "--on", tmp_path / "none")
    assert nowhere.code == 2 and "no workspace at" in nowhere.err
    assert json.loads((Path(told[1]["folder"]) / "record.json").read_text())["config"]["out_of_domain"] is True
