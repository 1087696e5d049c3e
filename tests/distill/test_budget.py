"""A threshold that keeps a budget: by hand, as the least one that does, and at the end of a training."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retort.config import experiment_from, with_overrides
from retort.distill.budget import probe_turns, student_flops, threshold_for_budget
from retort.distill.students import untrained_student
from retort.distill.worker import Material, Worker, train
from retort.measures.sparsity import activation_share, flops
from retort.progress import silent
from retort.shards.reader import Collection, TrainingTurns
from retort.sparse.encoders.encoder import encode_ids
from retort.sparse.vectors import SparseVectors
from retort.storage import Workspace

QUERIES = SparseVectors.from_dense(np.array([[0.5, 2.0, 0.0], [0.1, 0.0, 1.0]], dtype=np.float32))
SHARE = np.array([0.4, 0.2, 0.6])


@pytest.fixture(scope="module")
def opened(prepared_path):
    workspace = Workspace(prepared_path)
    (vectors,), (training,) = workspace.stages("vectors"), workspace.stages("training")
    return TrainingTurns(training), Collection(vectors)


@pytest.mark.parametrize(
    # Costs .4 + .2 and .4 + .6, halved: .8. Without .1's entry .6, without .5's too .4, without 1.0's too .1.
    ("budget", "threshold"),
    [(0.9, 0.0), (0.8, 0.0), (0.7, 0.1), (0.65, 0.1), (0.55, 0.5), (0.3, 1.0), (0.05, 2.0)],
)
def test_thresholds_by_hand(budget, threshold):
    assert threshold_for_budget(QUERIES, SHARE, budget) == pytest.approx(threshold)


@settings(deadline=None)
@given(seed=st.integers(0, 1000), budget=st.floats(0.01, 3))
def test_the_threshold_keeps_the_budget_and_no_lower_one_does(seed, budget):
    generator = np.random.default_rng(seed)
    dense = np.maximum(generator.normal(size=(6, 8)), 0).astype(np.float32)
    share = generator.random(8)
    threshold = threshold_for_budget(SparseVectors.from_dense(dense), share, budget)

    def cost(least):
        return float(((dense > least) * share).sum() / len(dense))

    assert cost(threshold) <= budget + 1e-9
    if threshold > 0:
        assert cost(np.nextafter(np.float32(threshold), np.float32(0))) > budget - 1e-9


def test_student_flops_are_the_measure_that_evaluation_reports(opened, experiment):
    turns, collection = opened
    student = untrained_student(experiment, collection).eval()
    numbers = probe_turns(turns, seed=0, count=20)
    queries = encode_ids(student, [turns.input_ids(turn) for turn in numbers])
    query_share = activation_share(queries.indptr, queries.indices, queries.vocabulary_size)
    expected = flops(query_share, collection.passage_share)
    assert student_flops(student, turns, numbers, collection.passage_share) == pytest.approx(expected, rel=1e-6)


def test_the_probe_is_a_fixed_sample_of_distinct_turns(opened):
    turns, _ = opened
    assert probe_turns(turns, seed=0) == probe_turns(turns, seed=0) != probe_turns(turns, seed=1)
    assert len(set(probe_turns(turns, seed=0, count=30))) == 30
    assert probe_turns(turns, seed=0, count=10**6) == list(range(len(turns)))


@pytest.mark.parametrize("budget", [0.5, 0.25])
def test_a_training_ends_within_five_percent_of_its_budget(opened, experiment, one_thread, budget):
    turns, collection = opened
    config = experiment_from(
        with_overrides(
            experiment.model_dump(mode="json"),
            {
                "training.epochs": 6,
                "regularization.query": "expected_flops",
                "regularization.query_weight": 0.01,
                "regularization.flops_budget": budget,
            },
        )
    )
    student = untrained_student(config, collection)
    train(Material(config, turns, collection), student, worker=Worker(torch.device("cpu")), progress=silent)
    found = student_flops(student, turns, list(range(len(turns))), collection.passage_share)

    assert found == pytest.approx(budget, rel=0.05)
