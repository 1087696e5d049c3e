"""Training the passage encoder too: the penalty's parts by hand, both encoders together, and a run with its own vectors."""

import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retort.config import SearchSpaceConfig, experiment_from, with_overrides
from retort.corpora.turns import read_turns
from retort.distill.adaptation import Adaptation
from retort.distill.state import Curves
from retort.distill.step import passage_penalty
from retort.distill.students import untrained_passages, untrained_student
from retort.distill.trainer import distil
from retort.distill.worker import Material, States, Worker, train
from retort.evaluation.evaluate import (
    context_input_ids,
    evaluate_baseline,
    evaluate_elsewhere,
    evaluate_run,
)
from retort.evaluation.students import open_run, prepare_run_vectors
from retort.naming import name_all
from retort.progress import silent
from retort.report.comparison.runs import compare_runs
from retort.search.space import SearchSpace
from retort.search.trial import Opened, run_trial
from retort.shards.reader import Collection, TrainingTurns
from retort.shards.texts import PassageTokens
from retort.sparse.encoders.encoder import encode_ids, initial_student, load_student
from retort.storage import Workspace

TRAINED = {
    "encoder.family": "splade",
    "encoder.score_scale": 0.05,
    "encoder.passage_tokens": 24,
    "sampling.count": 2,
    "objective.contrastive_weight": 0.1,
    "regularization.query": "flops",
    "regularization.query_weight": 0.01,
    "regularization.passage_weight": 0.02,
    "training.passage_encoder": "trained",
    "training.batch_turns": 32,
    "training.learning_rate": 1.0e-3,
    "training.dropout": 0.0,
}


# -- the penalty -------------------------------------------------------------------------------------------------------


def test_the_passages_penalty_by_hand():
    passages = torch.tensor([[1.0, 0.0], [3.0, 2.0]])  # mean activations 2 and 1: 4 + 1
    assert passage_penalty(passages, 4, 4) == pytest.approx(5.0)
    assert passage_penalty(passages, 1, 4) == pytest.approx(1.25)


@given(seed=st.integers(0, 1000), turns=st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_parts_of_the_passages_penalty_add_up_in_value_and_gradient(seed, turns):
    passages = torch.randn(7, 5, generator=torch.Generator().manual_seed(seed)).relu().double().requires_grad_()
    whole = passages.mean(dim=0).square().sum()  # as the formula has it; passages are not negative
    (expected,) = torch.autograd.grad(whole, passages)
    parts = [passage_penalty(passages, own, sum(turns)) for own in turns]
    (found,) = torch.autograd.grad(sum(parts), passages)

    torch.testing.assert_close(sum(part.double() for part in parts), whole, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found, expected * (passages > 0), rtol=1e-5, atol=1e-6)


def test_the_passages_penalty_is_ramped_as_the_queries_is():
    changes = TRAINED | {"regularization.ramp": "linear", "regularization.ramp_fraction": 1.0}
    adaptation = Adaptation(experiment_from(with_overrides({}, changes)), 11)
    ratios = [adaptation.passage_strength(step) / 0.02 for step in (1, 5, 10)]
    assert ratios == pytest.approx([adaptation.strength(step) / 0.01 for step in (1, 5, 10)])
    assert 0 < ratios[0] < ratios[1] < ratios[2] <= 1


# -- training ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def config(experiment):
    def changed(**changes):
        overrides = TRAINED | {key.replace("__", "."): value for key, value in changes.items()}
        return experiment_from(with_overrides(experiment.model_dump(mode="json"), overrides))

    return changed


@pytest.fixture(scope="module")
def workspace(imported_path, experiment_file, retort, ray_session, tmp_path_factory):
    """The corpus, prepared for a tiny splade; what is distilled in it stays."""
    path = tmp_path_factory.mktemp("passages") / "workspace"
    shutil.copytree(imported_path, path)
    overrides = [f"{key}={value}" for key, value in TRAINED.items()]
    done = retort("prepare", experiment_file, "-w", path, *overrides)
    assert done.code == 0, done.err
    return Workspace(path)


@pytest.fixture(scope="module")
def trained(workspace, config):
    """Trains some steps with some settings changed; returns the curves, both encoders' weights, and the experiment."""
    (vectors,), (shard,) = workspace.stages("vectors"), workspace.stages("training")
    collection, turns = Collection(vectors), TrainingTurns(shard)

    def call(*, progress=silent, changes=None, **arguments):
        own = config(**(changes or {}))
        student, passages = untrained_student(own, collection), untrained_passages(workspace, own, collection)
        arguments = {"worker": Worker(torch.device("cpu")), "passages": passages, "progress": progress, **arguments}
        curves = train(Material(own, turns, collection), student, **arguments)
        encoders = [student] if passages is None else [student, passages.encoder]
        return curves, [e.state_dict() for e in encoders], own

    return call


@pytest.fixture(scope="module")
def whole(trained):
    return trained()


def close(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, rtol=1e-4, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


def test_the_first_step_is_the_frozen_ones(trained, whole):
    frozen, _, _ = trained(changes={"training__passage_encoder": "frozen", "regularization__passage_weight": 0.0})
    curves, _, config = whole
    assert curves.columns == Curves.of_experiment(config).columns
    for name in ("kld", "contrastive", "L0"):
        assert curves.of(name)[0] == pytest.approx(frozen.of(name)[0], rel=1e-4)
        assert curves.of(name)[-1] != pytest.approx(frozen.of(name)[-1], rel=1e-4)


def test_both_encoders_are_trained(workspace, whole, config):
    curves, (query, passage), _ = whole
    assert np.isfinite(curves.rows).all()
    (vectors,) = workspace.stages("vectors")
    before = initial_student(config().encoder, Collection(vectors).tokenizer).state_dict()
    for after in (query, passage):
        assert sum(not torch.equal(after[name], value) for name, value in before.items()) > len(before) / 2
    assert any(not torch.equal(query[name], passage[name]) for name in before)


def test_passages_get_sparser_the_more_they_are_penalized(trained):
    longer = {"training__epochs": 4}
    least, most = (trained(changes=longer | {"regularization__passage_weight": weight})[0] for weight in (0.0, 5.0))
    assert most.of("passage_L0")[-1] < 0.9 * least.of("passage_L0")[-1]
    assert least.of("passage_penalty_weight")[-1] == 0 and most.of("passage_penalty_weight")[-1] == 5.0


@pytest.mark.parametrize("accumulation", [2, 4])
def test_accumulation_changes_nothing(trained, whole, accumulation):
    curves, found, _ = trained(changes={"training__accumulation": accumulation})
    np.testing.assert_allclose(curves.rows, whole[0].rows, rtol=2e-4, atol=2e-4)
    close(found, whole[1])


class Interrupted(Exception):
    """Raised by a test in the middle of a training."""


def test_a_resumed_training_ends_in_the_same_weights_to_the_last_bit(trained, tmp_path):
    changes = {"training__dropout": 0.1}
    curves, expected, _ = trained(changes=changes)
    folder = Workspace(tmp_path / "workspace", create=True).folder("state")

    def interrupt(stage, step, total, note=""):
        if step == 4:
            raise Interrupted

    with pytest.raises(Interrupted):
        trained(changes=changes, progress=interrupt, states=States(folder, seconds=0.0))
    resumed, found, _ = trained(changes=changes, states=States(folder))

    assert resumed.rows == curves.rows
    for ours, theirs in zip(found, expected, strict=True):
        assert all(torch.equal(value, ours[name]) for name, value in theirs.items())


def test_that_the_cache_is_off_is_said_once(trained, caplog):
    trained()
    (record,) = [r for r in caplog.records if "passage cache is off" in r.getMessage()]
    assert "every step encodes the passages of its batch" in record.getMessage()


def test_passages_are_read_as_the_collection_was_encoded(workspace, config):
    (vectors,) = workspace.stages("vectors")
    collection, encoder = Collection(vectors), config().encoder
    last = len(collection.vectors) - 1  # of the second source, a part of its own
    rows = [last, 3, 0, 3]
    tokens = PassageTokens(workspace, collection.tokenizer, max_tokens=encoder.passage_tokens)
    encoded = encode_ids(initial_student(encoder, collection.tokenizer).eval(), tokens.input_ids(rows))
    np.testing.assert_allclose(
        encoded.to_scipy().toarray(), collection.vectors.take(rows).to_scipy().toarray(), atol=1e-5
    )


# -- a run -------------------------------------------------------------------------------------------------------------


def test_a_run_is_evaluated_over_its_own_vectors(workspace, config, tmp_path):
    own = config()
    done = distil(workspace, own)
    assert done.run.split("-")[-3] == "passages0.02"
    measured = evaluate_run(workspace, done.run, split="dev", settings=own.evaluation)
    run = open_run(workspace, done.run)
    assert run.frozen_vectors.name != run.vectors.name == prepare_run_vectors(workspace, run).name

    # Dense, and from the checkpoint: every judged turn against every passage.
    encoder, tokenizer = load_student(run.folder.local_tree("passage_checkpoint"))
    frozen, collection = Collection(run.frozen_vectors), Collection(run.vectors)
    tokens = PassageTokens(workspace, tokenizer, max_tokens=own.encoder.passage_tokens)
    passages = encode_ids(encoder, tokens.input_ids(range(len(frozen.vectors)))).to_scipy().toarray()
    turns = read_turns(workspace, "dev")
    queries = encode_ids(run.student, context_input_ids(turns, own, run.tokenizer)).to_scipy().toarray()
    scores = {turn.query_id: row for turn, row in zip(turns, queries @ passages.T, strict=True)}
    doc_ids = {doc_id: row for row, doc_id in enumerate(collection.doc_ids.to_pylist())}
    lines = [line.split() for line in measured.folder.read_bytes("run.trec").decode().splitlines()]
    assert len({line[0] for line in lines}) == measured.measures["n"]
    for query_id, _, doc_id, _, score, _ in lines:
        assert float(score) == pytest.approx(scores[query_id][doc_ids[doc_id]], rel=1e-4)
    for query_id in scores:
        best = max(float(line[4]) for line in lines if line[0] == query_id)
        assert best == pytest.approx(scores[query_id].max(), rel=1e-4)
    share = (passages > 0).mean(axis=0)
    np.testing.assert_allclose(collection.passage_share, share)
    assert measured.measures["FLOPS"] == pytest.approx(((queries > 0) @ share).mean(), rel=1e-6)

    # Nothing is encoded again, on this split or another; a trial finds the run, and the baseline stands beside it.
    before = [folder.record() for folder in workspace.stages("vectors")]
    assert len(before) == 2
    assert evaluate_run(workspace, done.run, split="dev", settings=own.evaluation).reused
    settings = {"search": {"training.seed": [0]}, "objectives": {"R@100": "max", "FLOPS": "min"}}
    space = SearchSpace("passages", own.model_dump(mode="json"), SearchSpaceConfig.model_validate(settings))
    trial = run_trial(Opened(workspace), space, {"training.seed": own.training.seed})
    assert trial["run"] == done.run and 0 < trial["measures"]["R@100"] <= 1
    evaluate_baseline(workspace, "baseline:context", own, split="dev")
    named, _ = name_all(workspace, [done.run, "baseline:context"])
    names = {row.run for row in compare_runs(workspace, named, split="dev").rows}
    assert names == {done.run, "baseline:context"}
    assert [folder.record() for folder in workspace.stages("vectors")] == before

    # On the same corpus in another workspace, where nothing is encoded yet, it has the same measures.
    place = tmp_path / "elsewhere"
    shutil.copytree(workspace.root, place, ignore=shutil.ignore_patterns("runs", "vectors", "indexes", "training"))
    elsewhere = evaluate_elsewhere(workspace, done.run, on=Workspace(place), split="dev", settings=own.evaluation)
    assert not elsewhere.reused and elsewhere.measures["by_turn"].keys() == measured.measures["by_turn"].keys()
    for name in ("R@100", "RR", "FLOPS", "L0"):
        assert elsewhere.measures[name] == pytest.approx(measured.measures[name], rel=1e-6)


@pytest.mark.slow
def test_two_workers_train_what_one_does(workspace, config, tmp_path):
    def distilled(workers):
        place = tmp_path / str(workers) / "workspace"
        shutil.copytree(workspace.root, place, ignore=shutil.ignore_patterns("runs"))
        own = Workspace(place)
        run = open_run(own, distil(own, config(training__workers=workers)).run)
        table = run.folder.read_table("curves.parquet")
        encoders = [load_student(run.folder.local_tree(name))[0] for name in ("checkpoint", "passage_checkpoint")]
        return np.array([table[n].to_pylist() for n in table.column_names]), [e.state_dict() for e in encoders]

    (expected, alone), (found, group) = distilled(0), distilled(2)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)
    close(group, alone)
