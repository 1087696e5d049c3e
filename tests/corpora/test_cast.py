"""CAsT's choices: whose canonical responses, which duplicates, which grades; and collections named with a prefix."""

from pathlib import Path

import pytest
from tests.corpora.official import dump

from retort.corpora.passages import PassageFile
from retort.corpora.readers.cast import named_sources, read_cast, read_duplicates

TURNS = [
    {"number": 1, "raw_utterance": "Q1", "manual_canonical_result_id": "M", "automatic_canonical_result_id": "A"},
    {"number": 2, "raw_utterance": "Q2", "automatic_rewritten_utterance": "R2"},
]


@pytest.mark.parametrize(
    ("canonical", "wanted", "said"),
    [("manual", {"M"}, ["Q1", "text of M"]), ("automatic", {"A"}, ["Q1", "text of A"]), ("none", set(), ["Q1"])],
)
def test_canonical_responses(tmp_path, canonical, wanted, said):
    read = read_cast(dump(tmp_path / "t.json", [{"number": 81, "turn": TURNS}]), canonical=canonical)
    assert read.responses == wanted
    _, second = read.complete({doc_id: f"text of {doc_id}" for doc_id in wanted})
    assert [message.text for message in second.history] == said
    assert {teacher: [r.query_id for r in own] for teacher, own in read.rewrites.items()} == {"automatic": ["81_2"]}


def test_a_tree_with_two_responses_to_a_question(tmp_path):
    nodes = [
        {"number": "1-1", "participant": "User", "utterance": "Q"},
        {"number": "1-2", "parent": "1-1", "participant": "System", "response": "A", "provenance": ["d1"]},
        {"number": "2-1", "parent": "1-1", "participant": "System", "response": "Which one?"},
        {"number": "2-2", "parent_turn": "2-1", "participant": "User", "utterance": "The first"},
        {"number": "1-3", "parent": "1-2", "participant": "User", "utterance": "And?"},
    ]
    read = read_cast(dump(tmp_path / "t.json", [{"number": 132, "title": "T", "turn": nodes}]))
    turns = {turn.query_id: turn for turn in read.turns}
    assert list(turns) == ["132_1-1", "132_2-2", "132_1-3"]
    assert turns["132_1-1"].answer == "A" and turns["132_1-1"].positives == ("d1",)
    assert [m.text for m in turns["132_2-2"].history] == ["Q", "Which one?"]
    assert [m.text for m in turns["132_1-3"].history] == ["Q", "A"]
    assert {turn.turn_number for turn in turns.values()} == {1, 2}
    assert turns["132_1-3"].attributes == {"title": "T"}


def test_prefixes_and_duplicates(tmp_path):
    assert named_sources(["MARCO_=a=b.tsv", "car.tsv", "x=y"]) == [
        PassageFile(Path("a=b.tsv"), "MARCO_"),
        PassageFile(Path("car.tsv")),
        PassageFile(Path("x=y")),
    ]
    (tmp_path / "duplicates.txt").write_text("M_1:M_2, M_3\n\nC_1:C_2\n")
    assert read_duplicates(tmp_path / "duplicates.txt") == {"M_2", "M_3", "C_2"}
