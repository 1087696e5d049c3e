"""The effect by groups of turns: which turn is in which group, and a group's figures by hand."""

import pytest

from retort.errors import InputError
from retort.records import Turn
from retort.report.comparison.groups import compare_groups, turns_by


def turn(query_id, number, **attributes):
    return Turn(query_id, query_id[0], number, (), "?", attributes=attributes)


TURNS = [
    turn("a1", 1, domain="law", topic="dogs"),
    turn("a2", 2, domain="law", topic="dogs"),
    turn("a3", 3, domain="art", topic="cats"),
    turn("b1", 1, topic="cats"),
    turn("b2", 2, domain="law", topic="dogs"),
]


def test_turns_stand_under_their_value_and_those_without_one_come_last():
    assert turns_by(TURNS, "domain") == {"art": ["a3"], "law": ["a1", "a2", "b2"], "(none)": ["b1"]}


def test_numbers_ascend_as_numbers():
    turns = [turn(f"{name}1", 1, year=year) for name, year in (("a", "10"), ("b", "9"), ("c", "old"))]
    assert list(turns_by(turns, "year")) == ["9", "10", "old"]


def test_the_deepest_turns_are_one_group():
    turns = [turn(f"{name}{number}", number) for name in "abcdefghijk" for number in (1, 2)] + [turn("a3", 3)]
    groups = turns_by(turns, "turn_number")
    assert {label: len(found) for label, found in groups.items()} == {"1": 11, "2+": 12}


def test_a_topic_switch_is_told_from_the_turn_before_judged_or_not():
    judged = [found for found in TURNS if found.query_id != "a2"]
    assert turns_by(judged, "topic_switch", of_split=TURNS) == {
        "first turn": ["a1", "b1"],
        "topic switch": ["a3", "b2"],
    }
    assert turns_by(TURNS, "topic_switch")["same topic"] == ["a2"]


def test_the_corpus_own_column_goes_before_what_is_told_from_topics():
    assert turns_by([turn("a1", 1, topic_switch="yes", topic="x")], "topic_switch") == {"yes": ["a1"]}


def test_an_unknown_column_names_those_that_are_there():
    with pytest.raises(InputError, match=r"no turn has a column 'dommain'; there are: turn_number, domain, topic$"):
        turns_by(TURNS, "dommain")
    with pytest.raises(InputError, match="topic_switch needs a column topic"):
        turns_by([turn("a1", 1)], "topic_switch")


def test_a_text_is_no_grouping():
    with pytest.raises(InputError, match="'said' has 41 values; at most 40"):
        turns_by([turn(f"{n}", 1, said=f"text {n}") for n in range(41)], "said")


def test_a_groups_figures_by_hand():
    conversations = {found.query_id: found.conversation_id for found in TURNS}
    base = {"a1": 0.0, "a2": 0.5, "a3": 1.0, "b1": 0.0, "b2": 0.5}
    own = {"a1": 1.0, "a2": 0.5, "a3": 0.0, "b1": 0.0, "b2": 0.75}
    per_turn = {
        name: {q: {"RR": value} for q, value in values.items()} for name, values in (("base", base), ("own", own))
    }
    art, law, _ = compare_groups(per_turn, conversations, "base", "RR", turns_by(TURNS, "domain"), by="domain")

    assert (law.run, law.by, law.group, law.n, law.conversations) == ("own", "domain", "law", 3, 2)
    assert (law.baseline_mean, law.mean) == (pytest.approx(1 / 3), 0.75)
    assert law.difference == pytest.approx(1.25 / 3)
    # Conversation a gains .5 a turn over two turns, b .25 over one: every resample lies between those.
    assert law.interval == (pytest.approx(0.25), pytest.approx(0.5))
    assert (art.n, art.difference, art.interval) == (1, -1.0, None)


def test_what_a_run_does_not_have_cannot_be_grouped():
    per_turn = {"base": {"a1": {"FLOPS": 1.0}}, "theirs": {"a1": {"RR": 1.0}}}
    with pytest.raises(InputError, match="theirs has no FLOPS"):
        compare_groups(per_turn, {"a1": "a"}, "base", "FLOPS", {"x": ["a1"]}, by="domain")
