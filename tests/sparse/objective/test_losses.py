"""Losses against hand arithmetic, the properties that define them, and sentence-transformers' own."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers.sparse_encoder.losses import (
    SparseDistillKLDivLoss,
    SparseMarginMSELoss,
    SparseMultipleNegativesRankingLoss,
)
from torch import nn

from retort.sparse.objective.losses import candidate_kl, info_nce, margin_mse, representation_mse

SEEDS = st.integers(0, 10_000)
TEMPERATURES = st.floats(0.5, 4)


def normal(*shape, seed=0, scale=1.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def gradient_of(loss, tensor):
    (gradient,) = torch.autograd.grad(loss, tensor)
    return gradient


# -- KLD ---------------------------------------------------------------------------------------------------------------


def test_candidate_kl_matches_hand_computation():
    student = torch.tensor([[0.0, 0.0], [0.0, math.log(3.0)]])  # p_S = (1/2, 1/2) and (1/4, 3/4)
    teacher = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])  # p_T = (3/4, 1/4) and (1/2, 1/2)
    expected = [0.75 * math.log(1.5) + 0.25 * math.log(0.5), 0.5 * math.log(2) + 0.5 * math.log(2 / 3)]

    torch.testing.assert_close(candidate_kl(student, teacher), torch.tensor(expected))


def test_candidate_kl_divides_scores_by_the_temperature_and_multiplies_by_its_square_only_when_asked():
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[2 * math.log(3.0), 0.0]])
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)

    torch.testing.assert_close(candidate_kl(student, teacher, temperature=2.0), torch.tensor([expected]))
    squared = candidate_kl(student, teacher, temperature=2.0, temperature_squared=True)
    torch.testing.assert_close(squared, torch.tensor([4 * expected]))


@settings(deadline=None)
@given(offset=st.floats(-20, 20), temperature=TEMPERATURES, seed=SEEDS)
def test_candidate_kl_ignores_where_the_scores_have_their_zero(offset, temperature, seed):
    student, teacher = normal(2, 3, 5, seed=seed)
    divergence = candidate_kl(student, teacher, temperature=temperature)

    for shifted in ((student, teacher + offset), (student + offset, teacher)):
        torch.testing.assert_close(candidate_kl(*shifted, temperature=temperature), divergence, atol=1e-4, rtol=1e-4)
    assert (divergence > 0).all()


@settings(deadline=None)
@given(temperature=TEMPERATURES, seed=SEEDS)
def test_candidate_kl_is_zero_where_the_distributions_agree(temperature, seed):
    scores = normal(3, 5, seed=seed, scale=5)

    assert candidate_kl(scores, scores + 3.0, temperature=temperature).abs().max() < 1e-5


@settings(deadline=None)
@given(temperature=TEMPERATURES, seed=SEEDS)
def test_candidate_kl_is_scipys_relative_entropy_of_teacher_and_student(temperature, seed):
    student, teacher = normal(2, 3, 5, seed=seed, scale=2)
    p_student, p_teacher = (np.exp(s.double().numpy() / temperature) for s in (student, teacher))
    expected = scipy.stats.entropy(p_teacher, p_student, axis=1)

    found = candidate_kl(student, teacher, temperature=temperature)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_candidate_kl_is_sentence_transformers_loss_where_it_defines_the_same(temperature):
    query, passages, teacher = normal(4, 6, seed=1), normal(4, 3, 6, seed=2), normal(4, 3, seed=3, scale=2)
    query.requires_grad_()
    theirs = SparseDistillKLDivLoss(nn.Identity(), temperature=temperature)
    expected = theirs.compute_loss_from_embeddings([query, *passages.unbind(dim=1)], teacher)
    scores = torch.einsum("bv,bkv->bk", query, passages)
    found = candidate_kl(scores, teacher, temperature=temperature, temperature_squared=True).mean()

    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradient_of(found, query), gradient_of(expected, query), atol=1e-5, rtol=1e-5)


def test_candidate_kl_does_not_train_the_teacher():
    student, teacher = normal(2, 4, 3).unbind()
    student.requires_grad_(), teacher.requires_grad_()
    candidate_kl(student, teacher).sum().backward()

    assert student.grad is not None and teacher.grad is None
    p_student, p_teacher = (torch.softmax(scores.detach(), dim=1) for scores in (student, teacher))
    torch.testing.assert_close(student.grad, p_student - p_teacher)


@settings(deadline=None)
@given(seed=SEEDS, filler=st.sampled_from([0.0, 1e4, -1e4, math.inf, math.nan]), temperature=TEMPERATURES)
def test_absent_candidates_have_no_effect_at_all(seed, filler, temperature):
    student, teacher = normal(2, 3, 6, seed=seed)
    present = torch.tensor([[True] * 6, [True, False, True, True, False, True], [True, True] + [False] * 4])
    student, teacher = (scores.masked_fill(~present, filler).requires_grad_() for scores in (student, teacher))
    found = candidate_kl(student, teacher, present=present, temperature=temperature)
    gradient = gradient_of(found.sum(), student)

    assert (gradient[~present] == 0).all() and gradient.isfinite().all()
    for turn, mask in enumerate(present):
        alone = student[turn : turn + 1, mask].detach().requires_grad_()
        expected = candidate_kl(alone, teacher[turn : turn + 1, mask], temperature=temperature)
        torch.testing.assert_close(found[turn : turn + 1], expected, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(gradient[turn : turn + 1, mask], gradient_of(expected, alone), atol=1e-6, rtol=1e-5)


def test_candidate_kl_of_half_precision_scores_is_computed_in_float32():
    student, teacher = normal(2, 3, 5).bfloat16()

    assert candidate_kl(student, teacher).dtype == torch.float32
    torch.testing.assert_close(candidate_kl(student, teacher), candidate_kl(student.float(), teacher.float()))


def test_candidate_kl_names_both_shapes_when_they_differ():
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2, 4\)"):
        candidate_kl(torch.zeros(2, 3), torch.zeros(2, 4))


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_temperatures_must_be_positive(temperature):
    with pytest.raises(ValueError, match=f"temperature must be positive, got {temperature}"):
        candidate_kl(torch.zeros(2, 3), torch.zeros(2, 3), temperature=temperature)
    with pytest.raises(ValueError, match=f"temperature must be positive, got {temperature}"):
        info_nce(
            torch.zeros(2, 3),
            torch.zeros(2, dtype=torch.long),
            negatives=torch.ones(2, 3, dtype=torch.bool),
            temperature=temperature,
        )


# -- InfoNCE -----------------------------------------------------------------------------------------------------------


def test_info_nce_matches_hand_computation():
    scores = torch.tensor([[math.log(2.0), math.log(3.0), math.log(5.0), 7.0]])
    negatives = torch.tensor([[True, False, True, False]])

    # The positive (3) against 2 and 5: -log(3 / 10); the fourth passage is no negative.
    found = info_nce(scores, torch.tensor([1]), negatives=negatives)
    torch.testing.assert_close(found, torch.tensor([math.log(10 / 3)]))
    # Half the temperature squares what is under the logarithm: -log(9 / (4 + 9 + 25)).
    cold = info_nce(scores, torch.tensor([1]), negatives=negatives, temperature=0.5)
    torch.testing.assert_close(cold, torch.tensor([math.log(38 / 9)]))


def test_info_nce_of_a_turn_without_negatives_is_zero_and_so_is_its_gradient():
    scores = normal(1, 3).requires_grad_()
    loss = info_nce(scores, torch.tensor([2]), negatives=torch.zeros(1, 3, dtype=torch.bool))

    assert loss.tolist() == [0.0]
    assert gradient_of(loss.sum(), scores).tolist() == [[0.0, 0.0, 0.0]]


@settings(deadline=None)
@given(seed=SEEDS, temperature=TEMPERATURES)
def test_info_nce_is_the_cross_entropy_over_positive_and_negatives_alone(seed, temperature):
    scores, negatives = normal(4, 7, seed=seed, scale=3).requires_grad_(), normal(4, 7, seed=seed + 1) > 0
    positives = torch.tensor([0, 3, 6, 3])
    found = info_nce(scores, positives, negatives=negatives, temperature=temperature)
    gradient = gradient_of(found.sum(), scores)

    for turn, positive in enumerate(positives.tolist()):
        kept = [column for column in range(7) if negatives[turn, column] and column != positive]
        logits = scores.detach()[turn, [positive, *kept]] / temperature
        expected = logits.exp().sum().log() - logits[0]
        torch.testing.assert_close(found[turn], expected, atol=1e-5, rtol=1e-5)
        probabilities = torch.zeros(7)
        probabilities[[positive, *kept]] = torch.softmax(logits, dim=0)
        probabilities[positive] -= 1
        torch.testing.assert_close(gradient[turn], probabilities / temperature, atol=1e-5, rtol=1e-5)


@settings(deadline=None)
@given(seed=SEEDS, other=st.floats(-50, 50))
def test_passages_that_are_no_negatives_never_count(seed, other):
    scores = normal(2, 5, seed=seed)
    negatives = torch.tensor([[False, True, True, False, True], [True, False, False, True, True]])
    positives = torch.tensor([0, 1])
    changed = scores.clone()
    changed[0, 3] = changed[1, 2] = other  # a second judged positive of each turn
    found = info_nce(changed.requires_grad_(), positives, negatives=negatives)

    torch.testing.assert_close(found, info_nce(scores, positives, negatives=negatives), atol=0, rtol=0)
    gradient = gradient_of(found.sum(), changed)
    assert gradient[0, 3] == 0 and gradient[1, 2] == 0


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_info_nce_is_sentence_transformers_ranking_loss_over_a_batch(temperature):
    query, positive, negative = normal(3, 4, 6, seed=5).unbind()
    query.requires_grad_()
    theirs = SparseMultipleNegativesRankingLoss(nn.Identity(), scale=1 / temperature)
    expected = theirs.compute_loss_from_embeddings([query, positive, negative], None)
    pool = torch.cat([positive, negative])
    everything = torch.ones(4, 8, dtype=torch.bool)
    found = info_nce(query @ pool.T, torch.arange(4), negatives=everything, temperature=temperature).mean()

    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradient_of(found, query), gradient_of(expected, query), atol=1e-5, rtol=1e-5)


def test_info_nce_names_the_shapes_when_they_do_not_fit():
    with pytest.raises(ValueError, match=r"got \(2, 3\), \(2, 4\) and \(2,\)"):
        info_nce(torch.zeros(2, 3), torch.zeros(2, dtype=torch.long), negatives=torch.zeros(2, 4, dtype=torch.bool))


# -- weights and normalizers of the KLD ----------------------------------------------------------------------------------


@settings(deadline=None)
@given(seed=SEEDS, temperature=TEMPERATURES, times=st.integers(1, 6))
def test_a_candidate_that_counts_several_times_is_that_many_candidates(seed, temperature, times):
    student, teacher = normal(2, 3, 4, seed=seed).requires_grad_(), normal(3, 4, seed=seed + 1)
    log_weights = torch.tensor([math.log(times), 0.0, 0.0, 0.0]).expand(3, 4)
    repeated = [0] * times + [1, 2, 3]

    found = candidate_kl(student[0], teacher, log_weights=log_weights, temperature=temperature)
    expected = candidate_kl(student[0][:, repeated], teacher[:, repeated], temperature=temperature)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        gradient_of(found.sum(), student), gradient_of(expected.sum(), student), atol=1e-5, rtol=1e-4
    )


@settings(deadline=None)
@given(seed=SEEDS, temperature=TEMPERATURES)
def test_the_candidates_own_normalizer_changes_nothing_when_it_is_given(seed, temperature):
    student, teacher, log_weights = normal(3, 3, 5, seed=seed).unbind()
    student.requires_grad_()
    present = torch.tensor([[True] * 5, [True, True, False, True, False], [True, False, False, False, True]])
    logits = (student / temperature + log_weights).masked_fill(~present, -torch.inf)
    arguments = {"present": present, "log_weights": log_weights, "temperature": temperature}
    found = candidate_kl(student, teacher, student_log_normalizer=logits.logsumexp(dim=1), **arguments)
    expected = candidate_kl(student, teacher, **arguments)

    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        gradient_of(found.sum(), student), gradient_of(expected.sum(), student), atol=1e-5, rtol=1e-5
    )


# -- MarginMSE -----------------------------------------------------------------------------------------------------------


def test_margin_mse_matches_hand_computation():
    student, teacher = torch.tensor([[5.0, 3.0, 1.0]]), torch.tensor([[4.0, 3.0, 2.0]])
    # Margins 2 and 4 against 1 and 2.
    assert margin_mse(student, teacher).tolist() == [(1.0 + 4.0) / 2]
    assert margin_mse(student, teacher, present=torch.tensor([[True, True, False]])).tolist() == [1.0]
    assert margin_mse(student, teacher, present=torch.tensor([[True, False, False]])).tolist() == [0.0]


@settings(deadline=None)
@given(seed=SEEDS)
def test_margin_mse_is_sentence_transformers_loss(seed):
    query, positive, negatives = normal(4, 6, seed=seed), normal(4, 6, seed=seed + 1), normal(4, 3, 6, seed=seed + 2)
    teacher = normal(4, 4, seed=seed + 3, scale=2)
    query.requires_grad_()
    margins = teacher[:, :1] - teacher[:, 1:]
    theirs = SparseMarginMSELoss(nn.Identity())
    expected = theirs.compute_loss_from_embeddings([query, positive, *negatives.unbind(dim=1)], margins)
    passages = torch.cat([positive.unsqueeze(1), negatives], dim=1)
    found = margin_mse(torch.einsum("bv,bkv->bk", query, passages), teacher).mean()

    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradient_of(found, query), gradient_of(expected, query), atol=1e-5, rtol=1e-5)


@settings(deadline=None)
@given(seed=SEEDS, offset=st.floats(-20, 20))
def test_margin_mse_asks_for_margins_and_not_for_scores(seed, offset):
    student, teacher = normal(2, 3, 5, seed=seed)

    torch.testing.assert_close(
        margin_mse(student + offset, teacher), margin_mse(student, teacher), atol=1e-4, rtol=1e-4
    )
    assert margin_mse(teacher + offset, teacher).abs().max() < 1e-8
    assert (margin_mse(2 * student, teacher) != margin_mse(student, teacher)).all()


def test_margin_mse_does_not_train_the_teacher_and_names_both_shapes():
    student, teacher = normal(2, 4, 3).unbind()
    margin_mse(student.requires_grad_(), teacher.requires_grad_()).sum().backward()

    assert student.grad is not None and teacher.grad is None
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2, 4\)"):
        margin_mse(torch.zeros(2, 3), torch.zeros(2, 4))


# -- representations -----------------------------------------------------------------------------------------------------


def test_representation_mse_matches_hand_computation():
    assert representation_mse(torch.tensor([[1.0, 0.0, 2.0]]), torch.tensor([[0.0, 0.0, 4.0]])).tolist() == [5.0]


@settings(deadline=None)
@given(seed=SEEDS)
def test_representation_mse_is_torchs_mean_times_the_vocabulary(seed):
    queries, rewrites = normal(2, 4, 9, seed=seed).unbind()
    queries.requires_grad_()
    found = representation_mse(queries, rewrites.requires_grad_()).mean()
    expected = nn.functional.mse_loss(queries, rewrites.detach()) * 9

    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient_of(found, queries), gradient_of(expected, queries))
    with pytest.raises(RuntimeError, match="not have been used in the graph"):
        gradient_of(representation_mse(queries, rewrites).sum(), rewrites)  # the teacher is not trained
