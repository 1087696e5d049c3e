"""Every corpus in its official form: what an import makes of it, and that it is trained and measured on to the end."""

import json
from pathlib import Path

import pytest
import yaml
from tests.corpora.official import CORPORA, TOWNS, passages, turns

from retort.corpora.collection import read_doc_ids
from retort.corpora.turns import read_judgements, read_turns, relevance_threshold
from retort.records import training_schema
from retort.storage import Workspace
from retort.teachers.imports import read_rewrites

# Passages, turns, conversations, judgements; teachers and how many turns each has rewritten.
EXPECTED = {
    "topiocqa": (48, 36, 12, 36, {"human": 36}),
    "topiocqa_original": (48, 36, 12, 36, {"human": 36}),
    "qrecc": (48, 36, 12, 35, {"human": 36}),
    "cast2019": (48, 36, 12, 36, {"human": 36}),
    "cast2020": (48, 36, 12, 72, {"human": 35}),
    "cast2021": (48, 36, 12, 36, {"human": 36, "automatic": 36}),
    "cast2022": (48, 36, 12, 36, {"human": 36}),
    "cast2022_flattened": (48, 36, 12, 36, {"human": 36}),
    "ikat2023": (48, 36, 12, 30, {"human": 35}),
    "ikat2024": (48, 36, 12, 35, {"human": 35}),
    "ikat2025": (48, 36, 12, 36, {"human": 36}),
    "mtrag": (48, 36, 12, 36, {"mixtral": 36}),
    "beir": (48, 32, 32, 32, {}),
    "msmarco": (48, 36, 36, 36, {}),
    "jsonl": (48, 36, 12, 36, {}),
}


@pytest.fixture(scope="module", params=CORPORA)
def imported(request, tmp_path_factory, retort):
    """Name, workspace, and what the import told of itself; imported once per corpus."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "files").mkdir()
    words = [*CORPORA[request.param](folder / "files"), "--split", "train", "-w", folder / "workspace"]
    done = retort(*words, "--json")
    assert done.code == 0, done.err
    return request.param, Workspace(folder / "workspace"), done.json(), words


def test_everything_is_there_and_counted(imported):
    name, workspace, told, _ = imported
    n_passages, n_turns, n_conversations, n_judgements, teachers = EXPECTED[name]

    assert len(read_doc_ids(workspace)) == told["passages_added"] == n_passages == len(passages())
    own = read_turns(workspace, "train")
    assert len(own) == told["turns"] == n_turns
    assert len({turn.conversation_id for turn in own}) == told["conversations"] == n_conversations
    assert sum(map(len, read_judgements(workspace, "train").values())) == told["judgements"] == n_judgements
    assert {t: c["rewrites"] for t, c in told["rewrites"].items()} == teachers
    for teacher, count in teachers.items():
        assert len(read_rewrites(workspace, teacher, "train")) == count
    shape = told["shape"]
    assert shape["turns_per_conversation"] == n_turns / n_conversations
    assert shape["longest_conversation"] == max(1, n_turns // n_conversations)


def test_the_same_again_is_there_already(imported, retort, listing):
    _, workspace, told, words = imported
    before = listing(Path(workspace.root))
    again = retort(*words, "--json")

    assert again.code == 0, again.err
    assert again.json()["skipped"] and not told["skipped"]
    assert all(counts["skipped"] for counts in again.json()["rewrites"].values())
    assert listing(Path(workspace.root)) == before


def test_the_third_question_follows_what_was_said(imported):
    name, workspace, _, _ = imported
    own = read_turns(workspace, "train")
    if name in ("beir", "msmarco"):
        assert all(turn.turn_number == 1 and turn.history == () for turn in own)
        return
    number, _, question, _, _, _ = turns()[5]  # the second conversation's third turn
    turn = next(t for t in own if t.question == question and TOWNS[number - 1] in t.history[0].text)
    first, second = turns()[3], turns()[4]
    answers = {t[5]: t[4] for t in turns()}
    if name == "cast2020":
        answers = {place: text for place, (_, text, _) in enumerate(passages())}
    roles = [m.role for m in turn.history]
    said = [m.text for m in turn.history]
    if name == "cast2019":
        assert (said, roles) == ([first[2], second[2]], ["user", "user"])
    elif name.startswith("cast2022"):
        assert (said, roles) == ([first[2], first[4]], ["user", "agent"])  # a branch of the first response
    elif name == "cast2021":
        repeated = [second[2], second[4], "Is that true?", second[4]]
        assert (said, roles) == ([first[2], first[4], *repeated], ["user", "agent"] * 3)
    else:
        expected = [first[2], answers[first[5]], second[2], answers[second[5]]]
        assert (said, roles) == (expected, ["user", "agent"] * 2)
    assert turn.turn_number == (2 if name.startswith("cast2022") else 4 if name == "cast2021" else 3)


def test_quirks(imported):
    name, workspace, told, _ = imported
    own = {turn.query_id: turn for turn in read_turns(workspace, "train")}
    if name == "cast2019":
        assert told["dropped"] == {"passages that are listed as duplicates": 1}
        assert told["shape"]["turns_without_positive"] == 1
    elif name == "cast2020":
        assert relevance_threshold(workspace, "train") == 2
        assert all(len(turn.positives) == 1 for turn in own.values())
        assert told["dropped"]["responses that the collection lacks"] == 1
        assert [m.role for m in own["83_2"].history] == ["user"] and own["83_1"].answer is None
        assert told["positives_per_turn"] == 1.0
    elif name == "cast2021":
        assert told["dropped"] == {"utterances whose number another turn of the topic has": 1}
    elif name == "cast2022_flattened":
        assert told["dropped"] == {"repetitions of a turn in another path of its tree": 12}
    elif name == "qrecc":
        assert own["1_1"].question == turns()[0][3] == own["1_2"].history[0].text
        assert told["shape"]["turns_without_positive"] == 1
    elif name.startswith("ikat"):
        turn = next(t for t in own.values() if t.turn_number == 2)
        assert turn.attributes["ptkb"] == f"I live in {TOWNS[0]}.\nI do not drive."
        assert turn.attributes["ptkb_relevant"] == f"I live in {TOWNS[0]}."
    elif name == "beir":
        assert told["dropped"] == {"queries that the split does not judge": 4}
    if name.startswith(("cast", "ikat")):
        assert told["published"] and any("published are" in warning for warning in told["warnings"])


def test_trees_and_their_paths_are_the_same_turns(tmp_path, retort):
    found = []
    for name in ("cast2022", "cast2022_flattened"):
        folder = tmp_path / name
        folder.mkdir()
        words = CORPORA[name](folder)
        assert retort(*words, "--split", "train", "-w", folder / "w").code == 0
        found.append(read_turns(Workspace(folder / "w"), "train"))
    assert sorted(map(repr, found[0])) == sorted(map(repr, found[1]))


@pytest.mark.slow
def test_a_student_is_distilled_and_evaluated(imported, retort, ray_session, own_tracking, tmp_path):
    name, workspace, told, _ = imported
    teacher = next(iter(told["rewrites"]), None)
    if teacher is None:
        # Corpora without rewrites get them from a file.
        own = read_turns(workspace, "train")
        lines = [json.dumps({"query_id": t.query_id, "rewrite": t.question}) + "\n" for t in own]
        (tmp_path / "rewrites.jsonl").write_text("".join(lines), encoding="utf-8")
        teacher = "own"
        added = retort(
            "rewrites", "add", tmp_path / "rewrites.jsonl", "--teacher", "own", "--split", "train", "-w", workspace.root
        )
        assert added.code == 0, added.err
    settings = {
        "corpus": {"train": "train", "validate": {"share": 0.25}, "evaluate": None},
        "encoder": {"family": "lexical", "model": "tiny", "query_tokens": 48},
        "teacher": {"names": [teacher], "top_k": 20},
        "sampling": {"count": 4, "window": [0, 20]},
        "training": {"epochs": 1, "batch_turns": 8, "learning_rate": 1e-3},
        "evaluation": {"top_k": 100},
    }
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    done = retort("distill", tmp_path / "experiment.yaml", "-w", workspace.root, "--json")
    assert done.code == 0, done.err
    measured = retort("evaluate", done.json()["run"], "-w", workspace.root, "--split", "validate", "--json")
    assert measured.code == 0, measured.err
    assert measured.json()["n"] > 0 and 0 < measured.json()["R@100"] <= 1
    if name == "cast2020":
        # Trained on what is relevant from 2 on: each turn has one such passage, and another of grade 1.
        (training,) = workspace.stages("training")
        table = training.read_tables(training.record().names(".arrow"), training_schema(("human",)))
        assert {len(rows) for rows in table["positive_rows"].to_pylist()} == {1}
