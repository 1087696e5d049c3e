"""Importances: of objectives whose settings' shares are known, and of too little to tell."""

import itertools
import math
import warnings

import pytest

from retort.report.sweep.importance import importance
from retort.sweeps.trial import TrialPoint

OBJECTIVES = {"R@100": "max", "FLOPS": "min"}
SEARCH = {
    "weight": {"low": 1e-4, "high": 1.0, "log": True, "step": None},
    "variant": ["a", "b", "c"],
    "flag": [True, 1],
}


def trial(number, weight, variant, flag, recall, cost):
    config = {"weight": weight, "variant": variant, "flag": flag}
    return TrialPoint(f"run-{number}", f"{number:04d}", config, {"R@100": recall, "FLOPS": cost})


@pytest.fixture
def points():
    """FLOPS are the weight's, recall is the variant's; the flag changes nothing."""
    grid = itertools.product(range(5), enumerate("abc"), (True, 1))
    return [
        trial(number, 10.0 ** (power - 4), name, flag, 0.5 + 0.1 * place, 10.0 ** (2 - power))
        for number, (power, (place, name), flag) in enumerate(grid)
    ]


def test_each_objective_goes_back_to_the_setting_that_makes_it(points):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = importance(points, OBJECTIVES, SEARCH)

    assert found.why is None and found.trials == 30
    assert found.shares["R@100"]["variant"] > 0.95 and found.shares["FLOPS"]["weight"] > 0.95
    for shares in found.shares.values():
        assert set(shares) == {"weight", "variant", "flag"} and math.isclose(sum(shares.values()), 1.0)
    assert importance(points, OBJECTIVES, SEARCH) == found


def test_failed_trials_and_costs_without_a_logarithm_do_not_count(points):
    failed = TrialPoint(None, "0099", {"weight": 0.5, "variant": "z", "flag": True}, {}, status="failed")
    free = trial(98, 1e-4, "a", True, 0.5, 0.0)
    found = importance([*points, failed, free], OBJECTIVES, SEARCH)

    assert found.trials == 31 and found.shares["FLOPS"] == importance(points, OBJECTIVES, SEARCH).shares["FLOPS"]


@pytest.mark.parametrize(
    ("chosen", "why"),
    [
        (lambda one: one.config["flag"] is True and one.config["variant"] == "a", "only weight differs between"),
        (lambda one: one.trial < "0007", "7 finished trials are too few to tell 3 settings apart; it takes 9"),
        (lambda one: False, "no searched setting differs between the finished trials"),
    ],
)
def test_what_cannot_be_told_is_said(points, chosen, why):
    found = importance([one for one in points if chosen(one)], OBJECTIVES, SEARCH)
    assert found.shares == {} and found.why is not None and why in found.why


def test_an_objective_that_never_changes_has_no_shares(points):
    flat = [trial(number, *one.config.values(), 0.5, one.validation["FLOPS"]) for number, one in enumerate(points)]
    found = importance(flat, OBJECTIVES, SEARCH)
    assert set(found.shares) == {"FLOPS"} and found.why == "R@100 hardly differs between the trials"
