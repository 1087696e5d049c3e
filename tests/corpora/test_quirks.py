"""What official files hold that no description of them says, and mistakes that are easily made with one's own."""

import json

import pytest

from retort.corpora.official.published import published_counts, year_part
from retort.corpora.passages import PassageFile, PassageFiles
from retort.corpora.readers.cast import read_cast
from retort.corpora.readers.mtrag import read_mtrag
from retort.corpora.readers.plain import read_plain
from retort.errors import DataError
from retort.records import Passage


def lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_training_part_has_counts_of_its_own(tmp_path):
    assert published_counts("cast", year_part(2019, tmp_path / "train_topics_v1.0.json"))["turns"] == 269
    assert published_counts("cast", year_part(2019, tmp_path / "evaluation_topics_v1.0.json"))["turns"] == 479
    assert published_counts("ikat", year_part(2023, tmp_path / "2023_train_topics.json"))["turns"] == 95
    assert published_counts("cast", year_part(2020, tmp_path / "2020_train.json")) == {}


def test_a_blank_inside_an_id_of_cast_2022_is_removed(tmp_path):
    said = {"number": "1-2", "parent": "1-1", "participant": "System", "response": "A machine."}
    topic = [
        {"number": "1-1", "participant": "User", "utterance": "What is a lathe?"},
        said | {"provenance": ["MARCO_50_12 -3", "MARCO_50_12-4", "MARCO_50_12-3"]},
    ]
    path = tmp_path / "topics.json"
    path.write_text(json.dumps([{"number": 7, "turn": topic}]))
    (turn,) = read_cast(path).turns
    assert turn.positives == ("MARCO_50_12-3", "MARCO_50_12-4")


def test_ikats_own_passages_are_named_by_document_and_number(tmp_path):
    path = lines(tmp_path / "psg_text.jsonl", {"doc_id": "cw-en0", "passage_id": 4, "passage_text": "some text"})
    assert [p for _, p in PassageFiles([PassageFile(path)]).passages()] == [Passage("cw-en0:4", "", "some text")]


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_message_is_named_by_its_number(text, tmp_path):
    history = [{"role": "user", "text": "hi"}, {"role": "agent", "text": text}]
    row = {"query_id": "q", "conversation_id": "c", "turn_number": 2, "question": "x", "history": history}
    with pytest.raises(DataError, match=r"t\.jsonl:1: history\[1\] has no text; leave the message out"):
        read_plain(lines(tmp_path / "t.jsonl", row))


def test_conversations_of_another_release_are_refused(tmp_path):
    questions = lines(tmp_path / "q.jsonl", {"_id": "c1<::>1", "text": "|user|: how tall is the tower"})
    said = [{"speaker": "user", "text": "o"}, {"speaker": "agent", "text": "a"}, {"speaker": "user", "text": "m"}]
    other = lines(tmp_path / "other.jsonl", {"task_id": "zz<::>2", "input": said})
    with pytest.raises(DataError, match=r"other\.jsonl: none of its 1 tasks belongs to a question of .*q\.jsonl"):
        read_mtrag(questions, conversations=other)


def test_turns_without_judgement_and_judged_ones_without_positive_are_told_apart(tmp_path, retort):
    names = ("a_1", "a_2", "a_3")
    turns = [{"query_id": q, "conversation_id": "a", "turn_number": int(q[-1]), "question": q} for q in names]
    qrels = tmp_path / "qrels"
    qrels.write_text("a_1 0 d1 1\na_2 0 d1 0\n")
    words = [lines(tmp_path / "t.jsonl", *turns), lines(tmp_path / "p.jsonl", {"doc_id": "d1", "text": "one"})]
    done = retort("import", "jsonl", *words, "--qrels", qrels, "--split", "dev", "-w", tmp_path / "w", "--json")
    assert done.code == 0, done.err
    assert done.json()["warnings"] == [
        "1 turn(s) have no judgement: they count neither in training nor in a measure",
        "1 judged turn(s) have no positive passage: they do not count in training, and every measure counts them as 0",
    ]
