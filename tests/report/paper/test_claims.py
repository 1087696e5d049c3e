"""Verdicts on made grids whose answer is plain: each direction of each of the four claims, and what keeps one from being told."""

import numpy as np
import pytest

from retort.report.paper.claims import CLAIMS, RULES, verdict
from retort.report.paper.grid import SeededRun, Turns
from retort.report.paper.published import QUESTIONS, question_of
from retort.report.paper.report import grid_of

CONVERSATIONS, DEPTH = 24, 10
N = CONVERSATIONS * DEPTH
TURNS = Turns(
    tuple(f"{number}" for number in range(N)),
    tuple(f"c{number // DEPTH}" for number in range(N)),
    tuple(number % DEPTH + 1 for number in range(N)),
)
DEEP = np.array(TURNS.turn_numbers) >= 8


def grid(space, rows, *, seeds=(0, 1, 2), noise=0.02, base=0.5, sd=None):
    """A grid of ``value -> measure -> gain``: every row the baseline's turns plus its gain, with noise by turn and seed.

    A gain is a number or an array by turn, added to the measure; for FLOPS it is a factor.
    """
    question = question_of(space)
    generator = np.random.default_rng(1)
    shared = {name: base + 0.1 * generator.standard_normal(N) for name in ("RR", "nDCG@3", "R@10", "R@100", "L0")}
    shared["FLOPS"] = np.full(N, 4.0)
    runs = []
    for value, gains in rows.items():
        for seed in seeds:
            values = {}
            for name, turns in shared.items():
                spread = noise if sd is None else sd
                own = turns * gains.get(name, 1.0) if name == "FLOPS" else turns + gains.get(name, 0.0)
                values[name] = own if name == "FLOPS" else own + spread * generator.standard_normal(N)
            runs.append(SeededRun(f"{value}-{seed}", {question.key: value}, seed, values))
    return grid_of(question, runs, TURNS)


def direction(*arguments, **keywords):
    return verdict(grid(*arguments, **keywords)).direction


def test_every_claim_has_a_rule_and_a_question():
    assert set(CLAIMS) == set(RULES) and len(CLAIMS) == 4
    assert set(CLAIMS) <= {question.space for question in QUESTIONS}
    assert verdict(grid("paper_temperature", {0.5: {}, 1.0: {}, 2.0: {}})) is None


def test_a_contrastive_loss_that_raises_precision():
    space = "paper_contrastive"
    better, worse = {"RR": 0.05}, {"nDCG@3": -0.05}
    assert direction(space, {0.0: {}, 0.1: better, 0.2: {}}) == "holds"
    assert direction(space, {0.0: {}, 0.1: worse, 0.2: {}}) == "does not hold"
    assert direction(space, {0.0: {}, 0.1: better, 0.2: worse}) == "can't be told"
    # No difference at all, told from the paper's gains of .012 and .015 where the noise is small, and not where it is large.
    assert direction(space, {0.0: {}, 0.1: {}, 0.2: {}}, noise=0.01) == "does not hold"
    assert direction(space, {0.0: {}, 0.1: {}, 0.2: {}}, noise=0.5) == "can't be told"
    # R@100 is not precision.
    assert direction(space, {0.0: {}, 0.1: {"R@100": 0.3}}, noise=0.5) == "can't be told"


def test_sampling_that_matters():
    space = "paper_sampling_strategy"
    assert direction(space, {"window": {}, "hardest": {"R@100": -0.1}, "stratified": {}}) == "holds"
    assert direction(space, {"window": {}, "hardest": {"RR": 0.1}}) == "holds"
    assert direction(space, {"window": {}, "hardest": {}, "stratified": {}}, noise=0.01) == "does not hold"
    assert direction(space, {"window": {}, "hardest": {}}, noise=1.0) == "can't be told"


def test_samples_that_bring_less_and_less():
    space = "paper_samples"
    few = {"RR": -0.1, "R@100": -0.1}
    assert direction(space, {1: few, 8: {"RR": -0.02}, 16: {}, 32: {}, 70: {}}) == "holds"
    assert direction(space, {1: few, 16: {}, 32: {"RR": 0.15, "R@100": 0.12}}) == "does not hold"
    assert direction(space, {1: {"RR": 0.1}, 16: {}, 32: {}}) == "does not hold"
    # One measure says so, the other says nothing; and two that contradict each other.
    assert direction(space, {1: {"RR": -0.1}, 16: {}, 32: {}}) == "holds"
    assert direction(space, {1: few, 16: {}, 32: {"R@100": 0.2}}) == "can't be told"
    assert direction(space, {1: {}, 16: {}, 32: {}}) == "can't be told"
    assert direction(space, {16: {}, 32: {}}) == "can't be told"


def saving(deep, early):
    return np.where(DEEP, deep, early)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ({"high": {"FLOPS": saving(0.2, 0.5)}}, "holds"),
        ({"splade": {"FLOPS": 0.9}, "high": {"FLOPS": saving(0.2, 0.5), "R@100": 0.01}}, "holds"),
        ({"high": {"FLOPS": saving(0.5, 0.2)}}, "does not hold"),  # most of all in short conversations
        ({"high": {"FLOPS": saving(0.2, 0.5), "R@100": -0.1}}, "does not hold"),  # a fifth of R@100
        ({"splade": {"FLOPS": 0.9}, "high": {"FLOPS": 0.6}}, "does not hold"),  # not halved
        ({"high": {"FLOPS": saving(0.2, 0.5), "R@100": -0.01}}, "can't be told"),  # 2 %, give or take
        ({}, "can't be told"),
    ],
)
def test_sparsity_that_is_nearly_free_and_most_in_long_conversations(rows, expected):
    assert direction("paper_regularization", {"disco": {}} | rows) == expected


def test_our_own_regularisers_decide_nothing_about_the_papers():
    made = grid("paper_regularization", {"disco": {}, "splade": {"FLOPS": 0.9}, "ours": {"FLOPS": saving(0.1, 0.3)}})
    said = verdict(made)
    assert said.direction == "does not hold" and not any("ours" in reason for reason in said.reasons)


def test_fewer_than_three_seeds_tell_nothing():
    rows = {0.0: {}, 0.1: {"RR": 0.3}}
    said = verdict(grid("paper_contrastive", rows, seeds=(0, 1)))
    assert said.direction == "can't be told"
    assert said.reasons[-1] == "left out, with fewer than 3 seeds beside the baseline's: 0, 0.1"
    assert verdict(grid("paper_contrastive", rows, seeds=(0, 1, 2))).direction == "holds"


def test_the_figures_that_decide_are_told():
    said = verdict(grid("paper_contrastive", {0.0: {}, 0.1: {"RR": 0.05}}))
    first = said.reasons[0]
    assert first.startswith("0.1: RR +0.0") and "95 % [+0.0" in first and "(3 seeds)" in first and ", p " in first
    told = "\n".join(verdict(grid("paper_regularization", {"disco": {}, "high": {"FLOPS": saving(0.25, 0.5)}})).reasons)
    # Deep turns are 3 of 10: (.3 * .25 + .7 * .5) * 4 = 1.70; 75 % saved there, 50 % at the first three.
    assert "high: FLOPS 1.70 (0.42 of 4.00)" in told and "cost: holds" in told
    assert "FLOPS saved 75 % at turns from 8 on, 50 % up to 3: +25.0 points" in told.replace("%", " %").replace(
        "  ", " "
    )


def test_a_baseline_that_retrieves_nothing_tells_nothing():
    made = grid("paper_regularization", {"disco": {"FLOPS": 0.0}, "high": {}})
    assert verdict(made).direction == "can't be told" and "retrieves nothing" in verdict(made).reasons[0]


def test_a_grid_without_the_claims_baseline_tells_nothing():
    for space, rows, missing in (
        ("paper_contrastive", {0.05: {}, 0.1: {"RR": 0.1}}, "objective.contrastive_weight 0.0"),
        ("paper_regularization", {"splade": {}, "high": {"FLOPS": 0.3}}, "variant disco"),
    ):
        said = verdict(grid(space, rows))
        assert said.direction == "can't be told"
        assert said.reasons == (f"the grid has no row {missing}, from which the claim counts",)


def test_a_seed_that_the_baseline_lacks_does_not_count():
    made = grid("paper_regularization", {"disco": {}, "high": {"FLOPS": 0.45 + 0.0 * DEEP}})
    run = made.rows[1].runs[0]
    dense = SeededRun("high-9", run.setting, 9, run.values | {"FLOPS": run.values["FLOPS"] * 10})
    runs = [one for row in made.rows for one in row.runs]
    told = verdict(grid_of(made.question, [*runs, dense], TURNS)).reasons
    assert told[0] == verdict(made).reasons[0] and "(0.45 of 4.00)" in told[0]


def test_the_baselines_row_is_the_questions_or_the_first():
    assert grid("paper_samples", {1: {}, 16: {}}).baseline.label == "16"
    assert grid("paper_samples", {8: {}, 32: {}}).baseline.label == "8"
    assert grid("paper_samples", {1: {}, 16: {}}).published("16")["RR"] == 0.409
    assert grid("paper_samples", {1: {}, 256: {}}).published("256") is None
