"""Ranking measures against hand arithmetic, their definitions, and pytrec_eval called directly."""

import math

import ir_measures
import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from retort.measures.ranking import by_group, mean_measures, per_turn_measures
from retort.measures.registry import RANKING

JUDGEMENTS = {"c1_1": {"d1": 1, "d2": 0}, "c1_2": {"d1": 2, "d5": 1}, "c2_1": {"d9": 1}}
RUN = {
    "c1_1": {"d2": 3.0, "d1": 2.0},
    "c1_2": {"d5": 9.0, "d7": 8.0, "d1": 7.0},
    "c2_1": {"d1": 1.0},
}

DOC_IDS = st.sampled_from([f"d{number}" for number in range(15)])
# Few distinct scores, so that ties happen; all of them exact in float32, in which trec_eval compares.
SCORES = st.integers(0, 6).map(lambda steps: steps / 4)
TURNS = st.dictionaries(
    st.sampled_from(["q1", "q2", "q3"]), st.dictionaries(DOC_IDS, st.integers(-1, 3), min_size=1), min_size=1
)
RUNS = st.dictionaries(st.sampled_from(["q1", "q2", "q3", "q4"]), st.dictionaries(DOC_IDS, SCORES))


def by_definition(judged: dict[str, int], scored: dict[str, float], cutoff: int, level: int) -> dict[str, float]:
    """R, RR and nDCG written out, with trec_eval's order: by score, then by doc_id, both descending."""
    ranking = sorted(scored, key=lambda doc_id: (scored[doc_id], doc_id), reverse=True)
    relevant = {doc_id for doc_id, relevance in judged.items() if relevance >= level}
    ranks = [rank for rank, doc_id in enumerate(ranking, start=1) if doc_id in relevant]

    def dcg(gains: list[int]) -> float:
        return sum(max(gain, 0) / math.log2(rank + 1) for rank, gain in enumerate(gains[:cutoff], start=1))

    ideal = dcg(sorted(judged.values(), reverse=True))
    return {
        f"R@{cutoff}": sum(rank <= cutoff for rank in ranks) / len(relevant) if relevant else 0.0,
        "RR": 1 / ranks[0] if ranks else 0.0,
        f"nDCG@{cutoff}": dcg([judged.get(doc_id, 0) for doc_id in ranking]) / ideal if ideal else 0.0,
    }


def test_per_turn_measures_match_hand_arithmetic():
    values = per_turn_measures(JUDGEMENTS, RUN)

    assert list(values) == list(JUDGEMENTS) and list(values["c1_1"]) == list(RANKING)
    assert values["c1_1"] == pytest.approx({"R@100": 1, "R@10": 1, "RR": 1 / 2, "nDCG@3": 1 / math.log2(3)})
    # Gains 1, 0, 2 against the ideal 2, 1.
    ndcg = (1 + 2 / 2) / (2 + 1 / math.log2(3))
    assert values["c1_2"] == pytest.approx({"R@100": 1, "R@10": 1, "RR": 1, "nDCG@3": ndcg})
    assert values["c2_1"] == {"R@100": 0, "R@10": 0, "RR": 0, "nDCG@3": 0}


def test_recall_respects_its_cutoff():
    run = {"q": {f"d{rank}": float(-rank) for rank in range(200)}}
    judged = {"q": {"d9": 1, "d10": 1, "d99": 1, "d100": 1}}

    assert per_turn_measures(judged, run)["q"] == {"R@100": 3 / 4, "R@10": 1 / 4, "RR": 1 / 10, "nDCG@3": 0}


def test_relevance_level_moves_recall_and_reciprocal_rank_but_not_ndcg():
    graded = per_turn_measures({"c1_2": JUDGEMENTS["c1_2"]}, RUN)["c1_2"]
    strict = per_turn_measures({"c1_2": JUDGEMENTS["c1_2"]}, RUN, relevance_level=2)["c1_2"]

    assert strict == pytest.approx({"R@100": 1, "R@10": 1, "RR": 1 / 3, "nDCG@3": graded["nDCG@3"]})


def test_a_measure_that_sets_its_own_level_keeps_it():
    values = per_turn_measures(JUDGEMENTS, RUN, measures=["RR", "RR(rel=2)"])

    assert values["c1_2"] == pytest.approx({"RR": 1, "RR(rel=2)": 1 / 3})


def test_two_names_of_one_measure_get_the_same_value():
    assert per_turn_measures(JUDGEMENTS, RUN, measures=["RR", "MRR"])["c1_1"] == {"RR": 0.5, "MRR": 0.5}


def test_a_judged_turn_that_the_run_misses_counts_zero():
    values = per_turn_measures(JUDGEMENTS, {"c1_1": RUN["c1_1"], "c1_2": {}})

    assert set(values) == set(JUDGEMENTS)
    assert values["c1_2"] == values["c2_1"] == dict.fromkeys(RANKING, 0.0)
    assert mean_measures(values)["RR"] == pytest.approx(1 / 2 / 3)


def test_turns_without_judgements_are_ignored_and_those_without_relevance_count_zero():
    values = per_turn_measures(
        {"judged": {"d1": 0}, "empty": {}}, {query_id: {"d1": 1.0} for query_id in ("judged", "empty", "x")}
    )

    assert values == {"judged": dict.fromkeys(RANKING, 0.0)}


@given(judgements=TURNS, run=RUNS, level=st.integers(1, 3))
def test_per_turn_measures_match_their_definitions(judgements, run, level):
    values = per_turn_measures(judgements, run, measures=["R@4", "RR", "nDCG@4"], relevance_level=level)

    assert values.keys() == judgements.keys()
    for query_id, judged in judgements.items():
        # abs: pytrec_eval's ties between equal scores are exact, its arithmetic is double precision.
        assert values[query_id] == pytest.approx(by_definition(judged, run.get(query_id, {}), 4, level), abs=1e-12)


@given(judgements=TURNS, run=RUNS)
def test_per_turn_measures_match_pytrec_eval_and_means_match_ir_measures(judgements, run):
    values = per_turn_measures(judgements, run)

    direct = pytrec_eval.RelevanceEvaluator(judgements, ["recall_100", "recall_10", "recip_rank", "ndcg_cut_3"])
    for query_id, expected in direct.evaluate(run).items():
        assert list(values[query_id].values()) == [
            expected[name] for name in ("recall_100", "recall_10", "recip_rank", "ndcg_cut_3")
        ]
    parsed = {name: ir_measures.parse_measure(name) for name in RANKING}
    aggregate = ir_measures.calc_aggregate(list(parsed.values()), judgements, run)
    expected_means = {name: aggregate[measure] for name, measure in parsed.items()}
    assert mean_measures(values) == pytest.approx({**expected_means, "n": len(judgements)})


def test_numpy_numbers_are_read_like_python_ones():
    judgements = {"q": {"d1": np.int32(1), "d2": np.int64(0)}}
    run = {"q": dict(zip(["d1", "d2"], np.array([1, 2], dtype=np.float32), strict=True))}

    assert per_turn_measures(judgements, run, measures=["RR"]) == {"q": {"RR": 0.5}}


def test_infinite_scores_have_a_rank_but_nan_has_none():
    run = {"q": {"d1": -math.inf, "d2": math.inf, "d3": 0.0}}
    assert per_turn_measures({"q": {"d1": 1}}, run, measures=["RR"])["q"]["RR"] == pytest.approx(1 / 3)

    with pytest.raises(ValueError, match=r"score of 'd2' for turn 'q' is NaN"):
        per_turn_measures({"q": {"d1": 1}}, {"q": {"d1": 1.0, "d2": math.nan}})


@pytest.mark.parametrize("name", ["Hits@10", "R", "R@x", "R(depth=3)@10", ""])
def test_an_unknown_measure_is_refused_by_name(name):
    with pytest.raises(ValueError, match=r"unknown measure .* use for example R@100"):
        per_turn_measures(JUDGEMENTS, RUN, measures=[name])


def test_other_mistakes_are_refused():
    with pytest.raises(ValueError, match="cutoff of 'R@0'"):
        per_turn_measures(JUDGEMENTS, RUN, measures=["R@0"])
    with pytest.raises(ValueError, match="measures is empty"):
        per_turn_measures(JUDGEMENTS, RUN, measures=[])
    with pytest.raises(ValueError, match="relevance_level must be at least 1, got 0"):
        per_turn_measures(JUDGEMENTS, RUN, relevance_level=0)
    with pytest.raises(ValueError, match="relevance of turn 'q' is no integer"):
        per_turn_measures({"q": {"d1": 0.5}}, RUN)


def test_mean_measures_match_hand_arithmetic_in_any_order():
    per_turn = {"a": {"RR": 0.1}, "b": {"RR": 0.2}, "c": {"RR": 0.3}}

    assert mean_measures(per_turn) == {"RR": pytest.approx(0.2), "n": 3}
    assert mean_measures(per_turn) == mean_measures(dict(reversed(per_turn.items())))


def test_mean_measures_refuses_what_has_no_mean():
    with pytest.raises(ValueError, match="no turn to average"):
        mean_measures({})
    with pytest.raises(ValueError, match="turn 'b' has the measures"):
        mean_measures({"a": {"RR": 1.0}, "b": {"R@10": 1.0}})
    with pytest.raises(ValueError, match="called 'n'"):
        mean_measures({"a": {"n": 1.0}})


def test_by_group_matches_hand_arithmetic():
    per_turn = {"c1_2": {"RR": 1.0}, "c1_1": {"RR": 0.5}, "c2_1": {"RR": 0.25}}
    groups = by_group(per_turn, {"c1_1": 1, "c2_1": 1, "c1_2": 2, "c9_9": 9})

    assert list(groups) == [1, 2]
    assert groups == {1: {"RR": 0.375, "n": 2}, 2: {"RR": 1.0, "n": 1}}


@given(st.dictionaries(st.text(max_size=3), st.tuples(st.floats(0, 1), st.integers(1, 4)), min_size=1))
def test_the_groups_means_weighted_by_their_turns_are_the_mean(turns):
    per_turn = {query_id: {"RR": value} for query_id, (value, _) in turns.items()}
    groups = by_group(per_turn, {query_id: number for query_id, (_, number) in turns.items()})

    assert sum(means["n"] for means in groups.values()) == len(turns)
    weighted = sum(means["RR"] * means["n"] for means in groups.values()) / len(turns)
    assert weighted == pytest.approx(mean_measures(per_turn)["RR"])


def test_by_group_names_a_turn_without_a_group():
    with pytest.raises(ValueError, match="1 of 2 turns have no group, the first is 'b'"):
        by_group({"a": {"RR": 1.0}, "b": {"RR": 1.0}}, {"a": 1})
