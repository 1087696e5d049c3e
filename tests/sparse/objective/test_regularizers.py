"""Penalties against hand arithmetic, sentence-transformers' FLOPS, and any split of a batch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers.sparse_encoder.losses import FlopsLoss
from torch import nn

from retort.sparse.objective.regularizers import (
    Limits,
    active_share,
    anti_zero,
    expected_flops,
    flops,
    l1,
    mean_activation,
    saturated,
    turn_factors,
)

QUERIES = torch.tensor([[1.0, 0.0, 2.0], [3.0, 0.5, 0.0]])
# How eight queries are dealt out: every number is the part that the query falls into.
SPLITS = st.lists(st.integers(0, 3), min_size=8, max_size=8)


def weights(seed):
    return torch.relu(torch.randn(8, 5, generator=torch.Generator().manual_seed(seed)))


def whole_flops(queries):
    return flops(queries, mean_activation(queries, len(queries)), len(queries))


def test_penalties_by_hand():
    # Means over the two queries: 2, 1/4 and 1.
    assert l1(QUERIES).tolist() == [3.0, 3.5]
    assert whole_flops(QUERIES).item() == 4 + 0.0625 + 1
    assert expected_flops(QUERIES, torch.tensor([0.5, 1.0, 0.25])).tolist() == [1.0, 2.0]
    assert mean_activation(QUERIES, 2).tolist() == [2.0, 0.25, 1.0]
    assert active_share(QUERIES, 2).tolist() == [1.0, 0.5, 0.5]


def test_flops_prefers_disjoint_terms_at_equal_mass():
    shared = torch.tensor([[1.0, 0.0], [1.0, 0.0]])

    assert whole_flops(torch.eye(2)) == 0.5 < whole_flops(shared) == 1.0


@settings(deadline=None)
@given(seed=st.integers(0, 10_000))
def test_flops_is_sentence_transformers_flops_with_its_gradient(seed):
    # Through the ReLU: at a weight of exactly 0 theirs, without the absolute value, has a gradient that the ReLU stops.
    logits = torch.randn(8, 5, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    expected = FlopsLoss(nn.Identity()).compute_loss_from_embeddings(torch.relu(logits))
    found = whole_flops(torch.relu(logits))

    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        torch.autograd.grad(found, logits)[0], torch.autograd.grad(expected, logits)[0], atol=1e-6, rtol=1e-5
    )


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), split=SPLITS)
def test_the_parts_gradients_are_the_wholes_for_any_split(seed, split):
    queries = weights(seed)
    leaf = queries.clone().requires_grad_()
    leaf.abs().mean(dim=0).square().sum().backward()

    parts = [[row for row, part in enumerate(split) if part == number] for number in range(4)]
    batch_mean = torch.stack([mean_activation(queries[rows], 8) for rows in parts]).sum(dim=0)
    pieces = queries.clone().requires_grad_()
    for rows in parts:
        value = flops(pieces[rows], batch_mean, 8)
        torch.testing.assert_close(value.detach(), queries.mean(dim=0).square().sum(), atol=1e-5, rtol=1e-5)
        value.backward()

    torch.testing.assert_close(pieces.grad, leaf.grad, atol=1e-6, rtol=1e-5)


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), split=SPLITS)
def test_active_share_adds_up_over_parts(seed, split):
    queries = weights(seed)
    parts = [[row for row, part in enumerate(split) if part == number] for number in range(4)]
    added = torch.stack([active_share(queries[rows], 8) for rows in parts]).sum(dim=0)

    torch.testing.assert_close(added, (queries > 0).float().mean(dim=0))


@settings(deadline=None)
@given(seed=st.integers(0, 10_000))
def test_expected_flops_of_zeros_and_ones_is_the_number_of_multiplications(seed):
    # Where every active weight is 1, the relaxation and the cost that it relaxes are the same number.
    queries, passages = (weights(seed) > 0).float(), weights(seed + 1) > 0
    multiplications = torch.stack([((query > 0) & passages).sum(dim=1).float().mean() for query in queries])

    torch.testing.assert_close(expected_flops(queries, passages.float().mean(dim=0)), multiplications)


def test_expected_flops_with_every_entry_in_every_passage_is_l1():
    torch.testing.assert_close(expected_flops(weights(0), torch.ones(5)), l1(weights(0)))


def test_what_a_part_contributes_is_no_part_of_the_graph():
    queries = weights(0).requires_grad_()

    assert not mean_activation(queries, 8).requires_grad
    assert not active_share(queries, 8).requires_grad


def test_anti_zero_by_hand():
    # L1 norms of 3, 0 and 1.
    found = anti_zero(torch.tensor([[1.0, 2.0], [0.0, 0.0], [0.5, 0.5]]))
    assert found.tolist() == [1 / 16, 1.0, 1 / 4]


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 100))
def test_anti_zero_falls_as_a_query_grows_and_pushes_most_where_little_is_left(seed, scale):
    queries = (weights(seed) + 0.01).requires_grad_()
    larger = (scale + 1.0) * queries.detach()

    assert (anti_zero(larger) < anti_zero(queries)).all() and (anti_zero(queries) <= 1).all()
    (gradient,) = torch.autograd.grad(anti_zero(queries).sum(), queries)
    assert (gradient < 0).all()
    by_norm = l1(queries).argsort()
    assert (gradient[by_norm, 0].diff() >= 0).all()


def test_saturated_by_hand():
    assert saturated(torch.tensor([0.0, 0.5, 1.5]), 0.5).tolist() == [0.0, 0.25, 0.375]


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), level=st.floats(0.05, 5))
def test_saturated_has_slope_one_at_zero_is_concave_and_stays_below_its_level(seed, level):
    queries = weights(seed).sort(dim=1).values.requires_grad_()
    found = saturated(queries, level)
    (slope,) = torch.autograd.grad(found.sum(), queries)

    assert (found <= queries).all() and (found < level).all()
    torch.testing.assert_close(slope[queries == 0], torch.ones_like(slope[queries == 0]))
    assert (slope.diff(dim=1) <= 1e-6).all() and (slope > 0).all()
    torch.testing.assert_close(saturated(queries, 1e6), queries, atol=1e-4, rtol=1e-4)


def test_a_level_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="level must be positive, got 0"):
        saturated(QUERIES, 0)


def test_turn_factors_by_hand():
    turns = torch.tensor([1, 2, 4])
    assert turn_factors(turns, 0.0).tolist() == [1.0, 1.0, 1.0]
    assert turn_factors(turns, 1.0).tolist() == [1.0, 2.0, 4.0]
    assert turn_factors(turns, 0.5).tolist() == pytest.approx([1.0, 2**0.5, 2.0])


# -- hard limits -------------------------------------------------------------------------------------------------------


def test_limits_by_hand():
    queries = torch.tensor([[0.5, 2.0, 1.0, 1.0], [0.0, 0.2, 0.0, 0.0]])
    assert Limits().apply(queries) is queries
    assert Limits(max_terms=2).apply(queries).tolist() == [[0, 2.0, 1.0, 0], [0, queries[1, 1].item(), 0, 0]]
    assert Limits(threshold=0.5).apply(queries).tolist() == [[0, 2.0, 1.0, 1.0], [0, 0, 0, 0]]


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), max_terms=st.none() | st.integers(1, 6), threshold=st.floats(0, 1.5))
def test_limits_keep_the_largest_entries_unchanged_and_let_no_gradient_through_what_they_cut(
    seed, max_terms, threshold
):
    queries = weights(seed).requires_grad_()
    found = Limits(max_terms, threshold).apply(queries)
    (gradient,) = torch.autograd.grad(found.sum(), queries, allow_unused=True)
    for row, kept, passed in zip(queries.detach(), found.detach(), gradient, strict=True):
        largest = sorted((value for value in row.tolist() if value > threshold), reverse=True)[:max_terms]
        assert sorted((value for value in kept.tolist() if value > 0), reverse=True) == largest
        assert ((kept == row) | (kept == 0)).all()
        assert (passed[(kept == 0) & (row > 0)] == 0).all() and (passed[kept > 0] == 1).all()


def test_what_an_entry_costs_decides_what_it_must_be_worth():
    share = torch.tensor([0.5, 0.1, 0.01, 0.0])
    queries = torch.tensor([[2.0, 0.4, 0.03, 1e-6], [2.1, 0.41, 0.05, 0.0]], requires_grad=True)
    limits = Limits(cost_threshold=4.0, passage_share=share)  # entries must exceed 2, .4, .04 and 0
    found = limits.apply(queries)
    assert found.tolist() == [
        [0, 0, 0, pytest.approx(1e-6)],
        [pytest.approx(2.1), pytest.approx(0.41), pytest.approx(0.05), 0],
    ]
    (gradient,) = torch.autograd.grad(found.sum(), queries)
    assert gradient.tolist() == [[0, 0, 0, 1], [1, 1, 1, 0]]
    # With the other limits: what is cut leaves room among the largest.
    both = Limits(max_terms=1, cost_threshold=4.0, passage_share=share)
    assert (both.apply(queries) > 0).tolist() == [[False, False, False, True], [True, False, False, False]]
    assert limits != Limits() and limits.settings() == {"max_terms": None, "threshold": 0.0, "cost_threshold": 4.0}
    assert Limits(3, 0.1).settings() == {"max_terms": 3, "threshold": 0.1}
    for arguments in ({"cost_threshold": 1.0}, {"cost_threshold": -1.0, "passage_share": share}):
        with pytest.raises(ValueError, match="cost_threshold must be at least 0, and above it needs passage_share"):
            Limits(**arguments)


@given(seed=st.integers(0, 10_000), threshold=st.floats(0, 20))
def test_pruning_by_cost_never_costs_more_and_keeps_what_is_worth_most_a_unit_of_cost(seed, threshold):
    generator = torch.Generator().manual_seed(seed)
    share, queries = torch.rand(9, generator=generator), torch.randn(4, 9, generator=generator).relu()
    found = Limits(cost_threshold=threshold, passage_share=share).apply(queries)
    kept, cut = found > 0, (queries > 0) & (found == 0)
    assert torch.equal(found[kept], queries[kept])
    worth = queries / share
    for row in range(4):
        if kept[row].any() and cut[row].any():
            assert worth[row][kept[row]].min() >= worth[row][cut[row]].max()


@pytest.mark.parametrize("arguments", [{"max_terms": 0}, {"threshold": -0.1}])
def test_limits_that_make_no_sense_are_refused(arguments):
    with pytest.raises(ValueError, match=r"max_terms must be at least 1 and threshold at least 0, got"):
        Limits(**arguments)
