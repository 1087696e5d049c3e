"""Evaluations against an independent reading of what they wrote: ir_measures over run.trec, FLOPS by counting pairs."""

import json

import ir_measures
import numpy as np
import pytest
from ir_measures import RR, R, nDCG

from retort.corpora.holdout import validation_conversations
from retort.corpora.turns import read_judgements, read_turns
from retort.errors import ConfigError, WorkspaceError
from retort.evaluation.evaluate import context_input_ids, evaluate_baseline, evaluate_run
from retort.evaluation.measured import measure
from retort.evaluation.questions import judged_turns
from retort.evaluation.runs import list_runs
from retort.shards.reader import Collection
from retort.sparse.vectors import SparseVectors
from retort.storage import Workspace
from retort.teachers.imports import read_rewrites

NAMES = {"R@100": R @ 100, "R@10": R @ 10, "RR": RR, "nDCG@3": nDCG @ 3}
EVALUATED = ["run", "baseline:context", "baseline:last", "baseline:rewrite:synthetic"]


@pytest.fixture(scope="module")
def workspace(evaluated_path):
    return Workspace(evaluated_path)


@pytest.fixture(scope="module")
def collection(workspace):
    return Collection(workspace.stages("vectors")[0])


@pytest.fixture(
    scope="module", params=[(name, split) for name in EVALUATED for split in ("dev", "validate")], ids="-".join
)
def evaluation(request, workspace, experiment):
    """An evaluation that is there already, its turns and their judgements as the corpus has them."""
    name, split = request.param
    turns = read_turns(workspace, "dev" if split == "dev" else "train")
    if split == "validate":
        kept = validation_conversations({turn.conversation_id for turn in turns}, experiment.corpus.validation)
        turns = [turn for turn in turns if turn.conversation_id in kept]
    judged = read_judgements(workspace, "dev" if split == "dev" else "train")
    turns = [turn for turn in turns if judged.get(turn.query_id)]
    if name == "run":
        (run,) = list_runs(workspace)
        done = evaluate_run(workspace, run, split=split, settings=experiment.evaluation)
    else:
        done = evaluate_baseline(workspace, name, experiment, split=split)
    assert done.reused
    return name, done, turns, {turn.query_id: judged[turn.query_id] for turn in turns}


def queries_of(done, vocabulary):
    with np.load(done.folder.local("queries.npz")) as stored:
        return SparseVectors(stored["indptr"], stored["indices"], stored["values"], vocabulary)


def test_measures_are_those_of_the_written_run(evaluation):
    _, done, turns, judged = evaluation
    run = ir_measures.read_trec_run(done.folder.read_bytes("run.trec").decode())
    expected = ir_measures.calc_aggregate(list(NAMES.values()), judged, run)
    measures = json.loads(done.folder.read_bytes("measures.json"))
    assert measures == done.measures and measures["n"] == len(turns)
    assert {name: measures[name] for name in NAMES} == pytest.approx(
        {n: expected[m] for n, m in NAMES.items()}, abs=1e-9
    )


def test_flops_is_the_mean_number_of_multiplications_of_a_pair(evaluation, collection):
    _, done, turns, _ = evaluation
    queries = queries_of(done, collection.vectors.vocabulary_size)
    passages = collection.vectors.take(range(len(collection.vectors))).to_scipy()
    shared = (queries.to_scipy() > 0).astype(np.int64) @ (passages > 0).astype(np.int64).T  # (Q, N) multiplications
    assert shared.shape == (len(turns), len(collection.vectors))
    assert done.measures["FLOPS"] == pytest.approx(shared.mean(), rel=1e-6)
    table = done.folder.read_table("measures.parquet")
    np.testing.assert_allclose(table["FLOPS"].to_numpy(), np.asarray(shared.mean(axis=1)).ravel(), rtol=1e-6)
    np.testing.assert_array_equal(table["L0"].to_numpy(), np.diff(queries.indptr))
    assert done.measures["L0"] == pytest.approx(np.diff(queries.indptr).mean())


def test_means_and_by_turn_are_those_of_the_per_turn_table(evaluation):
    _, done, turns, _ = evaluation
    table = done.folder.read_table("measures.parquet")
    assert table["query_id"].to_pylist() == [turn.query_id for turn in turns]
    assert table["conversation_id"].to_pylist() == [turn.conversation_id for turn in turns]
    numbers = table["turn_number"].to_numpy()
    assert numbers.tolist() == [turn.turn_number for turn in turns]
    by_turn = done.measures["by_turn"]
    assert list(by_turn) == [str(number) for number in sorted(set(numbers.tolist()))]
    for name in (*NAMES, "FLOPS", "L0"):
        values = table[name].to_numpy()
        assert done.measures[name] == pytest.approx(values.mean(), rel=1e-6)
        for number, group in by_turn.items():
            assert group[name] == pytest.approx(values[numbers == int(number)].mean(), rel=1e-9)
            assert group["n"] == (numbers == int(number)).sum()


def test_what_is_asked(evaluation, workspace, collection, experiment):
    name, done, turns, _ = evaluation
    tokenizer = collection.tokenizer
    if name == "baseline:rewrite:synthetic":
        rewrites = {**read_rewrites(workspace, "synthetic", "train"), **read_rewrites(workspace, "synthetic", "dev")}
        pieces = tokenizer.pieces([rewrites[turn.query_id] for turn in turns])
    elif name == "baseline:last":
        pieces = tokenizer.pieces([turn.question for turn in turns])
    else:
        pieces = [tokenizer.without_special(ids) for ids in context_input_ids(turns, experiment, tokenizer)]
    queries = queries_of(done, collection.vectors.vocabulary_size)
    asked = [set(queries.row(number)[0].tolist()) for number in range(len(turns))]
    whole = [set(ids.tolist()) for ids in pieces]
    if name == "run":
        assert all(own <= words for own, words in zip(asked, whole, strict=True)) and asked != whole
    else:
        assert asked == whole and set(queries.values.tolist()) == {1.0}


def test_the_baselines_stand_in_their_order(workspace, experiment):
    context, last, rewrite = (
        evaluate_baseline(workspace, name, experiment, split="dev").measures for name in EVALUATED[1:]
    )
    assert rewrite["RR"] > last["RR"] > context["RR"]
    assert last["L0"] < context["L0"] and last["FLOPS"] < context["FLOPS"]
    assert context["by_turn"]["1"] == pytest.approx(last["by_turn"]["1"])


def test_a_turn_that_the_run_misses_counts_zero(workspace, experiment, collection):
    questions = judged_turns(workspace, experiment, "dev")
    positives = {
        q: {next(d for d, grade in docs.items() if grade > 0): 1.0} for q, docs in questions.judgements.items()
    }
    queries = SparseVectors.from_rows([([7], [1.0])] * len(questions.turns), collection.vectors.vocabulary_size)
    found, _ = measure(questions.turns, questions.judgements, positives, queries, collection.passage_share)
    assert found["RR"] == 1.0
    missed = questions.turns[0].query_id
    without = {query_id: docs for query_id, docs in positives.items() if query_id != missed}
    measured, table = measure(questions.turns, questions.judgements, without, queries, collection.passage_share)
    assert measured["n"] == len(questions.turns)
    assert measured["RR"] == pytest.approx(1 - 1 / len(questions.turns))
    assert [table[name][0].as_py() for name in NAMES] == [0.0] * 4


def test_the_same_evaluation_again_writes_nothing(evaluated_path, workspace, experiment, listing):
    before = listing(evaluated_path)
    (run,) = list_runs(workspace)
    assert evaluate_run(workspace, run, split="dev", settings=experiment.evaluation).reused
    assert listing(evaluated_path) == before


@pytest.mark.parametrize(
    ("baseline", "split", "error", "message"),
    [
        ("baseline:best", "dev", ConfigError, "'baseline:best' is no baseline; there are baseline:context"),
        ("baseline:rewrite", "dev", ConfigError, "no baseline"),
        ("baseline:last:synthetic", "dev", ConfigError, "no baseline"),
        ("baseline:rewrite:nobody", "dev", WorkspaceError, "nobody"),
        ("baseline:last", "july", WorkspaceError, "july"),
    ],
)
def test_what_is_no_baseline_is_refused(workspace, experiment, baseline, split, error, message):
    with pytest.raises(error, match=message):
        evaluate_baseline(workspace, baseline, experiment, split=split)


def test_without_held_out_turns_there_is_no_validate(workspace, experiment):
    corpus = experiment.corpus.model_copy(update={"validation": None})
    with pytest.raises(ConfigError, match=r"corpus\.validate is null"):
        judged_turns(workspace, experiment.model_copy(update={"corpus": corpus}), "validate")
