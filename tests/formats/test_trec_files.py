"""run.trec and qrels.trec of an evaluation, as others read them: the figures are those of measures.parquet."""

import json
import shutil

import ir_measures
import pytest
from ir_measures import RR, R, nDCG

from retort.evaluation.evaluate import evaluate_run
from retort.evaluation.runs import list_runs
from retort.storage import Workspace

EVALUATIONS = ["runs/*/evaluations/*dev-*", "runs/*/evaluations/*validate-*", "baselines/last/*dev-*"]


@pytest.fixture(params=EVALUATIONS)
def folder(request, evaluated_path):
    (found,) = evaluated_path.glob(request.param)
    return found


def kept(folder, evaluated_path):
    """query_id -> measure -> value, as the evaluation has it."""
    workspace = Workspace(evaluated_path)
    rows = workspace.folder(str(folder.relative_to(evaluated_path))).read_table("measures.parquet").to_pylist()
    return {row["query_id"]: row for row in rows}


def test_ir_measures_has_the_same_figures_from_both_files(folder, evaluated_path):
    measures = {"R@100": R @ 100, "R@10": R @ 10, "RR": RR, "nDCG@3": nDCG @ 3}
    qrels = list(ir_measures.read_trec_qrels(str(folder / "qrels.trec")))
    run = list(ir_measures.read_trec_run(str(folder / "run.trec")))
    rows = kept(folder, evaluated_path)

    found = {
        (one.query_id, str(one.measure)): one.value for one in ir_measures.iter_calc(measures.values(), qrels, run)
    }

    assert len(found) == len(rows) * len(measures) > 0
    for query_id, row in rows.items():
        for name, measure in measures.items():
            assert found[query_id, str(measure)] == pytest.approx(row[name], abs=1e-12), (query_id, name)


def test_trec_eval_has_the_same_figures_from_both_files(folder, evaluated_path):
    pytrec_eval = pytest.importorskip("pytrec_eval", reason="pytrec_eval is not installed")
    names = {"R@100": "recall_100", "R@10": "recall_10", "RR": "recip_rank", "nDCG@3": "ndcg_cut_3"}
    with (folder / "qrels.trec").open() as qrels, (folder / "run.trec").open() as run:
        judged, retrieved = pytrec_eval.parse_qrel(qrels), pytrec_eval.parse_run(run)
    rows = kept(folder, evaluated_path)

    found = pytrec_eval.RelevanceEvaluator(judged, {"recall.10,100", "recip_rank", "ndcg_cut.3"}).evaluate(retrieved)

    assert set(judged) == set(rows) and set(found) <= set(rows)
    for query_id, row in rows.items():
        for name, theirs in names.items():
            # trec_eval leaves out what the run misses, unless it is called with -c: 0 then, as here.
            assert found.get(query_id, {theirs: 0.0})[theirs] == pytest.approx(row[name], abs=1e-12), (query_id, name)


def test_show_qrels_prints_what_an_evaluation_measured_with(folder, evaluated_path, retort):
    split = "validate" if folder.name.startswith("validate-") else "dev"
    (run,) = list_runs(Workspace(evaluated_path))
    told = retort("show", "qrels", split, "-w", evaluated_path, "--run", run)
    assert told.code == 0 and told.out == (folder / "qrels.trec").read_text()
    document = retort("show", "qrels", split, "-w", evaluated_path, "--json").json()
    assert document["relevant_from"] == 1
    assert sum(map(len, document["judgements"].values())) == len(told.out.splitlines())


def test_an_evaluation_from_before_qrels_were_kept_is_as_good(evaluated_path, experiment, tmp_path, listing):
    path = shutil.copytree(evaluated_path, tmp_path / "workspace")
    (folder,) = path.glob(EVALUATIONS[0])
    (folder / "qrels.trec").unlink()
    record = json.loads((folder / "record.json").read_text())
    record["files"] = [entry for entry in record["files"] if entry["name"] != "qrels.trec"]
    del record["sha256"]  # of the record itself, which those from before had not either
    (folder / "record.json").write_text(json.dumps(record))
    before = listing(path)

    workspace = Workspace(path)
    (run,) = list_runs(workspace)
    assert evaluate_run(workspace, run, split="dev", settings=experiment.evaluation).reused
    assert listing(path) == before
