"""A pruned run: its twin's student without the terms that are not worth their cost, at the price of no training."""

import shutil

import numpy as np
import pytest

from retort.config import experiment_from, with_overrides
from retort.corpora.turns import read_turns
from retort.deploy.card import model_card
from retort.distill.trainer import distil
from retort.errors import ConfigError
from retort.evaluation.evaluate import context_input_ids, evaluate_run
from retort.evaluation.runs import list_runs
from retort.evaluation.students import open_run
from retort.shards.reader import Collection
from retort.sparse.encoders.encoder import encode_ids
from retort.storage import Workspace

COST = 3.0


@pytest.fixture(scope="module")
def changed(experiment):
    def config(**settings):
        overrides = {
            "regularization.query": "none",
            **{key.replace("__", "."): value for key, value in settings.items()},
        }
        return experiment_from(with_overrides(experiment.model_dump(mode="json", by_alias=True), overrides))

    return config


@pytest.fixture(scope="module")
def workspace(prepared_path, tmp_path_factory):
    path = tmp_path_factory.mktemp("pruned") / "workspace"
    return Workspace(shutil.copytree(prepared_path, path))


def test_a_pruned_run_is_its_twin_without_what_is_not_worth_its_cost(workspace, changed):
    assert list_runs(workspace) == []
    pruned = distil(workspace, changed(regularization__cost_threshold=COST))
    twin = distil(workspace, changed())
    assert twin.reused and set(list_runs(workspace)) == {pruned.run, twin.run}  # the twin was distilled on the way
    assert f"-pruned{COST:g}-" in pruned.run and pruned.record.counts["pruned_from"] == twin.run
    assert pruned.record.counts["training_seconds"] == 0 < twin.record.counts["training_seconds"]
    assert distil(workspace, changed(regularization__cost_threshold=COST)).reused

    ours, whole = open_run(workspace, pruned.run), open_run(workspace, twin.run)
    words = f"| limits | pruned after training: weights up to {COST:g} times the share of passages with the term |"
    assert words in model_card(workspace, ours, {}, name="pruned")
    assert "| limits |" not in model_card(workspace, whole, {}, name="whole")
    ids = context_input_ids(read_turns(workspace, "dev"), ours.config, ours.tokenizer)
    found = encode_ids(ours.student, ids).to_scipy().toarray()
    expected = encode_ids(whole.student, ids).to_scipy().toarray()
    least = COST * np.asarray(Collection(ours.vectors).passage_share, dtype=np.float32)
    kept = expected > least
    np.testing.assert_array_equal(found, np.where(kept, expected, 0.0))
    assert (~kept & (expected > 0)).any() and kept.any()

    settings = ours.config.evaluation
    costs = [
        evaluate_run(workspace, run, split="dev", settings=settings).measures["FLOPS"] for run in (pruned.run, twin.run)
    ]
    share = np.asarray(Collection(ours.vectors).passage_share)
    assert costs[0] == pytest.approx(((found > 0) @ share).mean(), rel=1e-6) and costs[0] < costs[1]
    assert pruned.student is not None
    np.testing.assert_array_equal(encode_ids(pruned.student, ids).to_scipy().toarray(), found)


def test_a_second_strength_trains_nothing(workspace, changed):
    told = []
    done = distil(
        workspace,
        changed(regularization__cost_threshold=2 * COST),
        progress=lambda stage, step, total, note="": told.append((stage, note)),
    )
    assert not done.reused and [note for stage, note in told if stage == "training" and "runs" not in note] != []
    assert all("is there already" in note for stage, note in told if stage == "training")


def test_it_goes_with_hard_limits_and_not_with_trained_passages(changed):
    limited = changed(regularization__cost_threshold=COST, regularization__max_terms=8)
    assert limited.regularization.is_regularized
    assert changed(regularization__cost_threshold=COST).regularization.is_regularized
    assert "cost_threshold" not in changed().training_identity()["regularization"]
    assert changed(regularization__cost_threshold=COST).training_identity()["regularization"]["cost_threshold"] == COST
    with pytest.raises(ConfigError, match="cost_threshold prunes by the collection's own share"):
        changed(regularization__cost_threshold=COST, encoder__family="splade", training__passage_encoder="trained")
