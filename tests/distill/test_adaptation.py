"""Weights that are scheduled, learned or balanced, and a penalty that keeps a budget: by hand, at equilibrium, resumed."""

import pytest

from retort.config import ExperimentConfig, experiment_from
from retort.distill.adaptation import TERMS, Adaptation, fixed_weights

STEPS = 200


def config(**changes) -> ExperimentConfig:
    data: dict[str, dict[str, object]] = {}
    for key, value in changes.items():
        section, _, name = key.partition("__")
        data.setdefault(section, {})[name] = value
    return experiment_from(data)


def measured(**values):
    return dict.fromkeys(TERMS, 0.0) | {f"gradient_{name}": 0.0 for name in TERMS} | values


def test_fixed_weights_by_hand():
    def weights(**objective):
        return fixed_weights(config(**objective).objective, step=50, total_steps=101)

    assert weights(objective__contrastive_weight=0.2) == {
        "kld": 0.8,
        "margin_mse": 0.0,
        "contrastive": 0.2,
        "representation": 0.0,
    }
    assert weights(objective__divergence="margin_mse", objective__representation_weight=0.5) == {
        "kld": 0.0,
        "margin_mse": 1.0,
        "contrastive": 0.0,
        "representation": 0.5,
    }
    half_way = weights(
        objective__contrastive_weight=0.4, objective__contrastive_schedule="linear", objective__margin_mse_weight=2.0
    )
    assert half_way == pytest.approx({"kld": 0.8, "margin_mse": 2.0, "contrastive": 0.2, "representation": 0.0})
    alone = weights(objective__divergence="none", objective__contrastive_weight=0.3)
    assert alone == {"kld": 0.0, "margin_mse": 0.0, "contrastive": 0.3, "representation": 0.0}


def test_uncertainty_ends_at_weights_that_are_inverse_to_the_losses():
    adaptation = Adaptation(config(objective__contrastive_weight=0.5, objective__weighting="uncertainty"), STEPS)
    assert adaptation.weights(0) == pytest.approx(
        {"kld": 0.5, "contrastive": 0.5, "margin_mse": 0, "representation": 0}
    )
    for step in range(STEPS):
        adaptation.observe(step, measured(kld=0.5, contrastive=2.0))

    # At the minimum of e^-s L + s / 2 the weight e^-s is 1 / (2 L); scaled to a sum of 1.
    found = adaptation.weights(STEPS)
    assert found["kld"] == pytest.approx(0.8, rel=0.01) and found["contrastive"] == pytest.approx(0.2, rel=0.01)
    assert found["margin_mse"] == found["representation"] == 0


def test_balanced_weights_give_each_term_its_share_of_the_gradient():
    adaptation = Adaptation(config(objective__contrastive_weight=0.25, objective__weighting="gradient_norm"), STEPS)
    assert adaptation.weights(0)["contrastive"] == 0.25
    for step in range(STEPS):
        adaptation.observe(step, measured(gradient_kld=4.0, gradient_contrastive=0.5))

    found = adaptation.weights(STEPS)
    assert found["kld"] + found["contrastive"] == pytest.approx(1.0)
    assert found["contrastive"] * 0.5 / (found["kld"] * 4.0) == pytest.approx(0.25 / 0.75)


def test_a_term_that_is_off_stays_off_and_needs_no_gradient():
    for weighting in ("uncertainty", "gradient_norm"):
        adaptation = Adaptation(config(objective__weighting=weighting), STEPS)
        for step in range(5):
            adaptation.observe(step, measured(kld=1.0, contrastive=3.0, gradient_kld=1.0))
        assert adaptation.weights(5) == pytest.approx(dict.fromkeys(TERMS, 0.0) | {"kld": 1.0})


def test_without_a_budget_the_penalty_is_ramped():
    adaptation = Adaptation(
        config(
            regularization__query="l1",
            regularization__query_weight=0.4,
            regularization__ramp="linear",
            regularization__ramp_fraction=0.5,
        ),
        8,
    )
    assert [adaptation.strength(step) for step in range(8)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.4, 0.4])


@pytest.mark.parametrize(("budget", "start"), [(1.5, 0.01), (0.3, 0.001), (0.3, 10.0)])
def test_a_budget_is_reached_from_above_whatever_weight_it_begins_with(budget, start):
    # A student whose FLOPS follow the weight with a lag, as a trained one's do, and never rise again by much.
    adaptation = Adaptation(
        config(
            regularization__query="expected_flops",
            regularization__query_weight=start,
            regularization__flops_budget=budget,
        ),
        STEPS,
    )
    flops = 8.0
    for step in range(STEPS):
        if adaptation.wants_flops(step):
            adaptation.observe_flops(step, flops)
        settles_at = 3.0 / (1.0 + 20 * adaptation.strength(step))
        flops += (0.1 if settles_at < flops else 0.02) * (settles_at - flops)

    assert budget < flops < 1.25 * budget


def test_flops_are_measured_only_where_a_budget_is_kept():
    kept = config(regularization__query="l1", regularization__query_weight=0.1, regularization__flops_budget=1.0)
    assert not any(Adaptation(config(), STEPS).wants_flops(step) for step in range(STEPS))
    assert sum(Adaptation(kept, STEPS).wants_flops(step) for step in range(STEPS)) == 34
    assert sum(Adaptation(kept, 20_000).wants_flops(step) for step in range(20_000)) == 34


@pytest.mark.parametrize(
    "settings",
    [
        {"objective__weighting": "uncertainty"},
        {"objective__weighting": "gradient_norm"},
        {
            "regularization__query": "l1",
            "regularization__query_weight": 0.1,
            "regularization__flops_budget": 2.0,
        },
    ],
)
def test_a_restored_state_goes_on_alike(settings):
    experiment = config(objective__contrastive_weight=0.2, **settings)
    first, second = Adaptation(experiment, STEPS), Adaptation(experiment, STEPS)
    for step in range(10):
        first.observe(step, measured(kld=1 + step, contrastive=2.0, gradient_kld=1.5, gradient_contrastive=step + 1))
        if first.wants_flops(step):
            first.observe_flops(step, 9.0 - step)
    second.load(first.state())

    assert second.weights(10) == first.weights(10) and second.strength(10) == first.strength(10)
    untouched = Adaptation(experiment, STEPS)
    assert (first.weights(10), first.strength(10)) != (untouched.weights(10), untouched.strength(10))
