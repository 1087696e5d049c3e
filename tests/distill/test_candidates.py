"""Candidates of a batch by each strategy: where they come from, what the teacher says of them, what is never among them."""

import numpy as np
import pytest
import torch

from retort.config import experiment_from, with_overrides
from retort.distill.batches import epoch_batches
from retort.distill.candidates import draw_candidates
from retort.distill.mining import NO_PASSAGE, student_rankings
from retort.distill.step import build_batch
from retort.shards.index import open_index
from retort.shards.reader import Collection, TrainingTurns
from retort.sparse.encoders.encoder import encode_ids, initial_student
from retort.storage import Workspace

STRATEGIES = ["window", "hardest", "stratified", "geometric", "proportional", "in_batch", "student"]


@pytest.fixture(scope="module")
def opened(prepared_path):
    workspace = Workspace(prepared_path)
    (vectors,), (training,), (index,) = (workspace.stages(name) for name in ("vectors", "training", "indexes"))
    return TrainingTurns(training), Collection(vectors), open_index(index)


@pytest.fixture(scope="module")
def own_rankings(opened, experiment, one_thread):
    turns, collection, index = opened
    student = initial_student(experiment.encoder, collection.tokenizer)
    return student_rankings(student, turns, index, depth=40)


@pytest.fixture(scope="module")
def changed(experiment):
    def call(**changes):
        overrides = {key.replace("__", "."): value for key, value in changes.items()}
        return experiment_from(with_overrides(experiment.model_dump(mode="json"), overrides))

    return call


def first_batch(opened, config):
    turns, _, _ = opened
    settings = config.training
    return epoch_batches(turns.lengths, batch_turns=settings.batch_turns, seed=settings.seed, epoch=0)[0]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_begins_with_a_positive_and_never_samples_an_excluded_passage(
    opened, own_rankings, changed, strategy
):
    turns, collection, _ = opened
    config = changed(sampling__strategy=strategy, sampling__count=8, sampling__window=[0, 40])
    numbers = first_batch(opened, config)
    drawn, again = (
        draw_candidates(turns, collection.vectors, numbers, config=config, epoch=0, student_rankings=own_rankings)
        for _ in range(2)
    )
    for turn, its, same in zip(numbers.tolist(), drawn, again, strict=True):
        assert its.rows[0] in turns.positive_rows(turn)
        assert not set(its.rows[1:].tolist()) & set(turns.excluded_rows(turn).tolist())
        assert 1 < len(its.rows) == len(its.scores) == len(its.log_weights) <= 9
        np.testing.assert_array_equal(its.rows, same.rows)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_teachers_score_is_the_rewrites_dot_product_wherever_a_sample_comes_from(
    opened, own_rankings, changed, strategy
):
    turns, collection, _ = opened
    config = changed(
        sampling__strategy=strategy,
        sampling__count=8,
        sampling__window=[0, 40],
        objective__positive_score="own",
    )
    numbers = first_batch(opened, config)
    drawn = draw_candidates(turns, collection.vectors, numbers, config=config, epoch=0, student_rankings=own_rankings)
    rewrites = turns.mean_rewrites(numbers.tolist(), collection.vectors.vocabulary_size)
    for rewrite, its in zip(rewrites, drawn, strict=True):
        expected = collection.vectors.take(its.rows).to_scipy() @ rewrite
        np.testing.assert_allclose(its.scores, expected, rtol=1e-4)


def test_in_batch_samples_are_other_turns_positives(opened, changed):
    turns, collection, _ = opened
    config = changed(sampling__strategy="in_batch", sampling__count=1000)
    numbers = first_batch(opened, config)
    drawn = draw_candidates(turns, collection.vectors, numbers, config=config, epoch=0)
    positives = {int(its.rows[0]) for its in drawn}
    for turn, its in zip(numbers.tolist(), drawn, strict=True):
        assert set(its.rows[1:].tolist()) == positives - set(turns.excluded_rows(turn).tolist())


def test_student_rankings_are_what_the_student_retrieves(opened, own_rankings, experiment):
    turns, collection, index = opened
    student = initial_student(experiment.encoder, collection.tokenizer).eval()
    queries = encode_ids(student, [turns.input_ids(3)])
    (ranking,) = index.search(queries, 40)
    found = own_rankings[3]

    assert found[found != NO_PASSAGE].tolist() == ranking.rows.tolist()
    assert own_rankings.shape == (len(turns), 40)


def test_mining_leaves_the_student_in_the_mode_in_which_it_was(opened, experiment, one_thread):
    turns, collection, index = opened
    student = initial_student(experiment.encoder, collection.tokenizer)
    for mode in (True, False):
        student.train(mode)
        first, second = (student_rankings(student, turns, index, depth=5) for _ in range(2))
        assert student.training is mode
        np.testing.assert_array_equal(first, second)  # no dropout


def batch_of(opened, config, own=slice(None)):
    turns, collection, _ = opened
    numbers = first_batch(opened, config)
    return numbers, build_batch(
        turns, collection.vectors, numbers, own, config=config, epoch=0, device=torch.device("cpu")
    )


@pytest.mark.parametrize(("weight", "counted"), [(3.0, [3.0] * 4), ("balanced", [6.0] * 4), (1.0, None)])
def test_the_positive_counts_as_often_as_it_is_told_to(opened, changed, weight, counted):
    config = changed(sampling__count=6, objective__positive_weight=weight)
    _, batch = batch_of(opened, config, slice(0, 4))
    if counted is None:
        assert batch.log_weights is None
    else:
        assert batch.log_weights[:, 0].exp().tolist() == pytest.approx(counted)
        assert (batch.log_weights[:, 1:] == 0).all()


def test_a_full_normalizer_has_the_whole_window_and_no_excluded_passage(opened, changed):
    turns, _, _ = opened
    config = changed(
        sampling__strategy="proportional", sampling__normalizer="full", sampling__count=4, sampling__window=[0, 30]
    )
    numbers, batch = batch_of(opened, config)
    rows = np.unique(np.concatenate([turns.ranking(int(turn))[0][:30] for turn in numbers]))
    assert batch.window.shape == batch.negatives.shape
    for place, turn in enumerate(numbers.tolist()):
        eligible = set(turns.ranking(turn)[0][:30].tolist()) - set(turns.excluded_rows(turn).tolist())
        assert int(batch.window[place].sum()) == len(eligible)
        # The window is there for the normalizer; only what was drawn is a negative.
        assert int(batch.negatives[place].sum()) < int(batch.window.any(dim=0).sum()) <= len(rows)


@pytest.mark.parametrize("kind", ["all", "samples", "positives", "samples_and_positives"])
def test_negatives_are_those_that_were_asked_for(opened, changed, kind):
    turns, collection, _ = opened
    config = changed(objective__contrastive_negatives=kind, sampling__count=5)
    numbers = first_batch(opened, config)
    drawn = draw_candidates(turns, collection.vectors, numbers, config=config, epoch=0)
    _, batch = batch_of(opened, config)
    pool_rows = np.unique(np.concatenate([its.rows for its in drawn]))
    for place, turn in enumerate(numbers.tolist()):
        samples = set(drawn[place].rows[1:].tolist())
        positives = {int(its.rows[0]) for number, its in enumerate(drawn) if number != place}
        everything = set(pool_rows.tolist())
        wanted = {
            "all": everything,
            "samples": samples,
            "positives": positives,
            "samples_and_positives": samples | positives,
        }[kind] - set(turns.excluded_rows(turn).tolist())
        assert set(pool_rows[batch.negatives[place].numpy()].tolist()) == wanted


def test_rewrite_vectors_are_read_only_where_they_are_asked_for(opened, changed):
    turns, collection, _ = opened
    _, without = batch_of(opened, changed())
    numbers, batch = batch_of(opened, changed(objective__representation_weight=0.1))
    assert without.rewrites is None
    (teacher,) = turns.teachers
    expected = turns.rewrite_vectors(teacher, numbers.tolist(), collection.vectors.vocabulary_size)
    np.testing.assert_allclose(batch.rewrites.numpy(), expected.to_scipy().toarray())
    assert batch.turn_numbers.tolist() == turns.turn_numbers[numbers].tolist()
