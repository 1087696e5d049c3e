"""An experiment's objective in words: everything that shapes a student is told, and card, tag and label tell the same."""

import pytest

from retort.config import describe, experiment_from, run_label, with_overrides


def described(**settings):
    return describe(experiment_from(with_overrides({}, {key.replace("__", "."): v for key, v in settings.items()})))


SAMPLES = "16 a turn: window, ranks 10 to 950"


def test_by_default_there_is_a_divergence_alone():
    assert described().rows() == {"objective": "kld", "samples": SAMPLES, "regularisation": "none"}
    assert described().line() == f"kld; samples: {SAMPLES}"


@pytest.mark.parametrize(
    ("settings", "objective"),
    [
        ({"contrastive_weight": 0.1}, "0.9 kld + 0.1 contrastive"),
        ({"contrastive_weight": 1}, "contrastive"),
        ({"divergence": "none", "contrastive_weight": 0.3}, "0.3 contrastive"),
        ({"divergence": "none", "representation_weight": 0.5}, "0.5 representation"),
        ({"divergence": "margin_mse"}, "margin_mse"),
        ({"margin_mse_weight": 0.05}, "kld + 0.05 margin_mse"),
        (
            {"contrastive_weight": 0.3, "contrastive_schedule": "linear", "contrastive_start": 1},
            "0 to 0.7 kld (linear) + 1 to 0.3 contrastive (linear)",
        ),
        (
            {"contrastive_schedule": "cosine", "contrastive_start": 0.5},
            "0.5 to 1 kld (cosine) + 0.5 to 0 contrastive (cosine)",
        ),
        ({"contrastive_start": 0.5}, "kld"),
        ({"temperature": 2, "temperature_squared": True}, "kld (temperature 2, times its square)"),
        ({"positive_score": "pool_max"}, "kld (positive scored as its pool's maximum)"),
        ({"positive_weight": "balanced"}, "kld (positive weight balanced)"),
        (
            {"contrastive_weight": 0.5, "contrastive_temperature": 0.1, "contrastive_negatives": "samples"},
            "0.5 kld + 0.5 contrastive (temperature 0.1, negatives: samples)",
        ),
        (
            {"contrastive_weight": 0.5, "weighting": "uncertainty"},
            "0.5 kld + 0.5 contrastive, weights learned from there",
        ),
        (
            {"representation_weight": 1, "weighting": "gradient_norm"},
            "kld + representation, weights as shares of the gradient's norm",
        ),
    ],
)
def test_every_term_is_told_with_its_weight(settings, objective):
    assert described(**{f"objective__{key}": value for key, value in settings.items()}).rows()["objective"] == objective


RAMP = "quadratic ramp over 33% of the steps"


@pytest.mark.parametrize(
    ("settings", "rows"),
    [
        ({"query": "l1", "query_weight": 0.01}, {"regularisation": f"0.01 l1 ({RAMP})"}),
        ({"query": "l1"}, {"regularisation": "none"}),
        (
            {"query": "flops", "query_weight": 1, "ramp": "constant", "saturation": 0.5, "turn_exponent": -1},
            {"regularisation": "flops (no ramp, saturated at 0.5, times the turn number to the power -1)"},
        ),
        (
            {"query": "expected_flops", "query_weight": 0.02, "flops_budget": 2.5},
            {
                "regularisation": f"0.02 expected_flops ({RAMP})",
                "budget": "2.5 FLOPS, to which the penalty's weight is adapted",
            },
        ),
        ({"anti_zero_weight": 0.1}, {"regularisation": "0.1 anti_zero"}),
        (
            {"cost_threshold": 3},
            {
                "regularisation": "none",
                "limits": "pruned after training: weights up to 3 times the share of passages with the term",
            },
        ),
        (
            {"max_terms": 32, "threshold": 0.1},
            {"regularisation": "none", "limits": "at most 32 terms; no weights up to 0.1"},
        ),
    ],
)
def test_penalties_budgets_and_limits_are_told(settings, rows):
    description = described(**{f"regularization__{key}": value for key, value in settings.items()})
    assert description.rows() == {"objective": "kld", "samples": SAMPLES} | rows
    for heading, words in rows.items():
        assert (f"{heading}: {words}" in description.line()) == (words != "none")


def test_trained_passages_have_a_penalty_of_their_own():
    splade = {"encoder__family": "splade", "training__passage_encoder": "trained"}
    found = described(**splade, regularization__passage_weight=0.001, regularization__ramp="constant")
    assert found.rows()["regularisation"] == "0.001 flops on passages (no ramp)"


@pytest.mark.parametrize(
    ("settings", "samples"),
    [
        ({"strategy": "in_batch", "count": 4}, "4 a turn: in_batch"),
        ({"strategy": "student"}, "16 a turn: student, ranks 10 to 950, retrieved anew every 50 steps"),
        (
            {"strategy": "proportional", "temperature": 2, "normalizer": "full"},
            "16 a turn: proportional, ranks 10 to 950, temperature 2, the whole window normalises",
        ),
        (
            {"filter_score_ratio": 0.9, "filter_overlap": 0.5},
            f"{SAMPLES}, none scored 0.9 times as high as the best positive, "
            "none that shares 0.5 of its word pieces with a positive",
        ),
    ],
)
def test_samples_are_told_with_their_strategy(settings, samples):
    assert described(**{f"sampling__{key}": value for key, value in settings.items()}).rows()["samples"] == samples


def test_the_label_has_the_numbers_of_the_description():
    settings = {
        "objective": {"contrastive_weight": 0.1},
        "regularization": {"query": "expected_flops", "query_weight": 0.25},
    }
    experiment = experiment_from(settings | {"sampling": {"count": 4}})
    assert run_label(experiment) == "synthetic-tiny-w0.1-n4-expectedflops0.25-s0"
    assert "0.1 contrastive" in describe(experiment).line() and "0.25 expected_flops" in describe(experiment).line()
