"""Batches: functions of seed and epoch alone, every turn at most once, never an excluded passage."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retort.distill.batches import epoch_batches
from retort.distill.step import build_batch
from retort.shards.reader import Collection, TrainingTurns
from retort.storage import Workspace

LENGTHS = st.lists(st.integers(1, 64), min_size=1, max_size=200)


@pytest.fixture(scope="module")
def opened(prepared_path):
    workspace = Workspace(prepared_path)
    (vectors,), (training,) = workspace.stages("vectors"), workspace.stages("training")
    return TrainingTurns(training), Collection(vectors)


@given(lengths=LENGTHS, batch_turns=st.integers(1, 20), seed=st.integers(0, 5), epoch=st.integers(0, 5))
def test_every_turn_is_at_most_once_in_an_epoch(lengths, batch_turns, seed, epoch):
    batches = epoch_batches(lengths, batch_turns=batch_turns, seed=seed, epoch=epoch)
    size = min(batch_turns, len(lengths))
    turns = np.concatenate(batches)

    assert [len(batch) for batch in batches] == [size] * (len(lengths) // size)
    assert len(set(turns.tolist())) == len(turns) and set(turns.tolist()) <= set(range(len(lengths)))


@given(lengths=LENGTHS, seed=st.integers(0, 5), epoch=st.integers(0, 5))
def test_batches_are_a_function_of_seed_and_epoch(lengths, seed, epoch):
    first, again = (epoch_batches(lengths, batch_turns=4, seed=seed, epoch=epoch) for _ in range(2))
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in again]


def test_other_seeds_and_epochs_give_other_batches():
    def drawn(seed, epoch):
        return [batch.tolist() for batch in epoch_batches([5] * 100, batch_turns=10, seed=seed, epoch=epoch)]

    assert drawn(0, 0) != drawn(0, 1) and drawn(0, 0) != drawn(1, 0) and drawn(0, 1) != drawn(1, 0)


def test_turns_of_like_length_share_a_batch():
    lengths = np.random.default_rng(0).integers(5, 200, size=640)

    def padding(batches):
        return sum(int(lengths[batch].max() * len(batch) - lengths[batch].sum()) for batch in batches)

    bucketed = epoch_batches(lengths, batch_turns=16, seed=0, epoch=0)
    plain = np.split(np.random.default_rng(1).permutation(640), 40)
    assert padding(bucketed) < padding(plain) / 5


def batches_of(opened, experiment, epoch, own=slice(None)):
    turns, collection = opened
    settings = experiment.training
    for numbers in epoch_batches(turns.lengths, batch_turns=settings.batch_turns, seed=settings.seed, epoch=epoch):
        yield (
            numbers,
            build_batch(
                turns,
                collection.vectors,
                numbers,
                own,
                config=experiment,
                epoch=epoch,
                device=torch.device("cpu"),
            ),
        )


@pytest.mark.parametrize("window", [(0, 50), (0, 8), (2, 20)])
def test_no_sample_and_no_negative_is_ever_an_excluded_passage(opened, experiment, window):
    turns, _ = opened
    config = experiment.model_copy(update={"sampling": experiment.sampling.model_copy(update={"window": window})})
    excluded_ones_met = 0
    for epoch in range(3):
        for numbers, batch in batches_of(opened, config, epoch):
            pool_rows = pool_rows_of(opened, batch)
            for place, turn in enumerate(numbers.tolist()):
                excluded = set(turns.excluded_rows(turn).tolist())
                rows, _, _ = turns.ranking(turn)
                assert len(pool_rows) == batch.negatives.shape[1]
                drawn = pool_rows[batch.candidates[place][batch.present[place]].numpy()].tolist()
                positive, samples = drawn[0], drawn[1:]
                assert positive in set(turns.positive_rows(turn).tolist())
                assert not excluded & set(samples) and len(set(samples)) == len(samples)
                assert set(samples) <= set(rows[window[0] : window[1]].tolist())
                eligible = [r for r in rows[window[0] : window[1]].tolist() if r not in excluded]
                assert len(samples) == min(config.sampling.count, len(eligible))
                negatives = set(pool_rows[batch.negatives[place].numpy()].tolist())
                assert negatives == set(pool_rows.tolist()) - excluded
                excluded_ones_met += len(excluded & set(pool_rows.tolist()))
    assert excluded_ones_met > 0


def pool_rows_of(opened, batch):
    """Which passages the pool holds, told by their vectors."""
    _, collection = opened
    n = len(collection.vectors)
    vectors = collection.vectors.take(range(n))
    by_vector = {(vectors.row(row)[0].tobytes(), vectors.row(row)[1].tobytes()): row for row in range(n)}
    assert len(by_vector) == n, "no two passages have the same vector"
    pool = batch.pool.passages
    starts, terms, values = (
        pool.crow_indices().numpy(),
        pool.col_indices().numpy().astype(np.int32),
        pool.values().numpy(),
    )
    spans = list(zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True))
    return np.array([by_vector[terms[a:b].tobytes(), values[a:b].tobytes()] for a, b in spans])


def test_teacher_scores_are_the_rankings_scaled(opened, experiment):
    turns, _ = opened
    own = experiment.model_copy(update={"objective": experiment.objective.model_copy(update={"positive_score": "own"})})
    scale = experiment.encoder.score_scale
    for (numbers, maximum), (_, plain) in zip(
        batches_of(opened, experiment, 0), batches_of(opened, own, 0), strict=True
    ):
        assert torch.equal(maximum.candidates, plain.candidates)
        pool_rows = pool_rows_of(opened, plain)
        for place, turn in enumerate(numbers.tolist()):
            rows, scores, positive_scores = turns.ranking(turn)
            at = dict(zip(rows.tolist(), scores.tolist(), strict=True))
            at |= dict(zip(turns.positive_rows(turn).tolist(), positive_scores.tolist(), strict=True))
            drawn = pool_rows[plain.candidates[place][plain.present[place]].numpy()].tolist()
            expected = torch.tensor([at[row] * scale for row in drawn])
            torch.testing.assert_close(plain.teacher_scores[place][plain.present[place]], expected)
            expected[0] = expected.max()
            torch.testing.assert_close(maximum.teacher_scores[place][maximum.present[place]], expected)


def test_parts_of_a_batch_share_the_whole_batchs_pool(opened, experiment):
    wholes = batches_of(opened, experiment, 0)
    parts = [batches_of(opened, experiment, 0, slice(rank, None, 2)) for rank in range(2)]
    for (numbers, whole), (_, first), (_, second) in zip(wholes, *parts, strict=True):
        assert first.turns == second.turns == whole.turns == len(numbers)
        for part, places in ((first, slice(0, None, 2)), (second, slice(1, None, 2))):
            assert torch.equal(part.candidates, whole.candidates[places])
            assert torch.equal(part.negatives, whole.negatives[places])
            assert torch.equal(part.teacher_scores, whole.teacher_scores[places])
