"""Broken files: an error with file and line, or a counted drop; never a traceback, never half of a stage.

Cases come from three sides: a table of mistakes that people and downloads make, a generator that damages every file of
every corpus in the same dozen ways, and hypothesis, which changes arbitrary values and bytes.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.corpora.official import CORPORA

from retort.corpora.turns import read_turns
from retort.storage import Workspace

# Ways to damage a file's bytes, whatever it holds.
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut off": lambda content: content[: len(content) * 2 // 3 - 1],
    "no utf-8": lambda content: content[: len(content) // 2] + b"\xff\xfe" + content[len(content) // 2 :],
    "a web page": lambda content: b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n",
    "twice": lambda content: content + b"\n" + content,
    "nested": lambda content: b"[" * 50_000 + b"]" * 50_000,
}
# Damages that leave some files valid: the same judgements, rewrites or duplicates twice say nothing new, and so on.
HARMLESS = {"twice", "cut off"}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Each corpus's files, written once, and the words of its import."""
    written = {}
    for name, writer in CORPORA.items():
        folder = tmp_path_factory.mktemp(name)
        written[name] = (folder, [str(word) for word in writer(folder)])
    return written


def copied(source, target):
    folder, words = source
    shutil.copytree(folder, target)
    return [word.replace(str(folder), str(target)) for word in words]


def check(done, workspace, folder, *, named):
    """What holds after every import, whatever it was given."""
    assert "Traceback" not in done.err
    if done.code == 0:
        record = Workspace(workspace).folder("turns/train").require("it was imported")
        assert done.json()["turns"] == record.counts["turns"]
        return
    assert done.code == 2 and done.out == "", done.err
    lines = done.err.splitlines()
    assert lines and all(line.startswith("error: ") for line in lines)
    if named:
        assert str(folder) in lines[0], lines[0]
    # No stage was committed; files without a record are leftovers, which the next import clears away.
    assert list(workspace.rglob("record.json")) == []


FILES = [
    (corpus, file)
    for corpus, files in {
        "topiocqa": ["all_history.json", "full_wiki_segments.tsv", "rewrites_t5_qrecc.json"],
        "topiocqa_original": ["original.json", "full_wiki_segments.tsv.zst"],
        "qrecc": ["scai-qrecc21-training-turns.json", "wayback/part-0.jsonl.gz"],
        "cast2019": [
            "evaluation_topics_v1.0.json",
            "resolved.tsv",
            "2019qrels.txt",
            "collection.tsv",
            "duplicates.txt",
        ],
        "cast2020": ["2020_manual_evaluation_topics_v1.0.json", "car.jsonl", "2020qrels.txt"],
        "cast2021": ["2021_manual_evaluation_topics_v1.0.json"],
        "cast2022": ["2022_evaluation_topics_tree_v1.0.json", "passages.jsonl"],
        "cast2022_flattened": ["2022_evaluation_topics_flattened_duplicated_v1.0.json"],
        "ikat2023": ["2023_test_topics.json", "passages.parquet.gz", "2023-qrels.all-turns.txt"],
        "ikat2025": ["2025_test_topics.json"],
        "mtrag": ["towns_questions.jsonl", "towns.jsonl", "dev.tsv", "reference.jsonl", "towns_rewrite.jsonl"],
        "beir": ["corpus.jsonl.gz", "queries.jsonl", "qrels/train.tsv"],
        "msmarco": ["collection.tsv", "queries.train.tsv", "qrels.train.tsv"],
        "jsonl": ["turns.jsonl", "passages.jsonl"],
    }.items()
    for file in files
]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(("corpus", "file"), FILES)
def test_a_damaged_file_is_named(corpus, file, damage, sources, tmp_path, retort):
    words = copied(sources[corpus], tmp_path / "files")
    path = tmp_path / "files" / file
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    workspace = tmp_path / "workspace"
    done = retort(*words, "--split", "train", "-w", workspace, "--json")

    if damage not in HARMLESS:
        assert done.code == 2, "it was imported as if nothing had happened"
    check(done, workspace, tmp_path / "files", named=True)


@pytest.mark.parametrize(("corpus", "file"), FILES)
def test_a_missing_file_is_named(corpus, file, sources, tmp_path, retort):
    words = copied(sources[corpus], tmp_path / "files")
    (tmp_path / "files" / file).unlink()
    done = retort(*words, "--split", "train", "-w", tmp_path / "workspace", "--json")

    assert done.code == 2
    check(done, tmp_path / "workspace", tmp_path / "files", named=True)


def change(path: Path, edit: Callable[[list], object]) -> None:
    """Edit the records of a JSON array or of JSON lines in place."""
    text = path.read_text(encoding="utf-8")
    lines = not text.startswith("[")
    records = [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)
    edit(records)
    dumped = "".join(json.dumps(r) + "\n" for r in records) if lines else json.dumps(records, indent=1)
    path.write_text(dumped, encoding="utf-8")


def setter(place: int, *keys: object) -> Callable[..., Callable[[list], None]]:
    """``setter(3, "turn", 1, "number")(value)``: an edit that sets one value deep inside a record."""

    def with_value(value: object) -> Callable[[list], None]:
        def edit(records: list) -> None:
            node = records[place]
            for key in keys[:-1]:
                node = node[key]
            if value is ...:
                del node[keys[-1]]
            else:
                node[keys[-1]] = value

        return edit

    return with_value


def repeat(place: int) -> Callable[[list], None]:
    return lambda records: records.insert(place, records[place])


CAST = "evaluation_topics_v1.0.json"
TREE = "2022_evaluation_topics_tree_v1.0.json"
IKAT = "2023_test_topics.json"
QRECC = "scai-qrecc21-training-turns.json"
MISTAKES: dict[str, tuple[str, str, Callable[[list], object], str]] = {
    "qrecc: no number": ("qrecc", QRECC, setter(4, "Turn_no")(...), r":\d+: the turn has no Turn_no; it has Context, "),
    "qrecc: turn zero": ("qrecc", QRECC, setter(4, "Turn_no")(0), "Turn_no must be a whole number from 1, got 0"),
    "qrecc: turn twice": ("qrecc", QRECC, repeat(3), r"turn 1 of conversation 2 is on line \d+ already"),
    "qrecc: context of numbers": (
        "qrecc",
        QRECC,
        setter(4, "Context")([1, 2]),
        "Context must be a list of valid texts",
    ),
    "qrecc: no question": ("qrecc", QRECC, setter(4, "Question")(" "), "Question is empty"),
    "qrecc: gold is text": ("qrecc", QRECC, setter(4, "Truth_passages")("x"), "Truth_passages must be a list"),
    "qrecc: id with blanks": ("qrecc", QRECC, setter(4, "Truth_passages")(["a b"]), "text without blanks"),
    "qrecc: gold missing": ("qrecc", QRECC, setter(4, "Truth_passages")(["u_p9"]), r"passage 'u_p9' is needed here"),
    "qrecc: half a surrogate": ("qrecc", QRECC, setter(4, "Question")("\ud83d"), "Question must be valid text"),
    "cast: no topic number": ("cast2019", CAST, setter(2, "number")(...), "the topic has no number"),
    "cast: topic twice": ("cast2019", CAST, repeat(2), "the topic 33 is there twice"),
    "cast: turn is text": ("cast2019", CAST, setter(2, "turn", 1)("hi"), "a turn of topic 33 must be an object"),
    "cast: no turn list": ("cast2019", CAST, setter(2, "turn")({}), "turn must be a list"),
    "cast: no utterance": ("cast2019", CAST, setter(2, "turn", 1, "raw_utterance")(...), "has no raw_utterance or utt"),
    "cast: unknown turn judged": ("cast2019", CAST, setter(2, "turn", 1, "number")(9), "which .* do(es)? not have"),
    "cast: number a list": ("cast2019", CAST, setter(2, "turn", 1, "number")([1]), "number must be a number or text"),
    "tree: unknown parent": (
        "cast2022",
        TREE,
        setter(2, "turn", 1, "parent")("7-7"),
        "follows 7-7, which is not before",
    ),
    "tree: node twice": (
        "cast2022",
        TREE,
        lambda r: r[2]["turn"].append(r[2]["turn"][0] | {"utterance": "Else?"}),
        "is there twice, with different utterances",
    ),
    "tree: speaker": (
        "cast2022",
        TREE,
        setter(2, "turn", 0, "participant")("Bot"),
        "must be User or System, got 'Bot'",
    ),
    "tree: no response": ("cast2022", TREE, setter(2, "turn", 1, "response")(...), "has no response or utterance"),
    "tree: provenance": (
        "cast2022",
        TREE,
        setter(2, "turn", 1, "provenance")([None]),
        "provenance must be a list of ids",
    ),
    "ikat: no number": ("ikat2023", IKAT, setter(2, "number")(...), "the conversation has no number"),
    "ikat: no turns": ("ikat2023", IKAT, setter(2, "turns")(...), "has no turns or responses"),
    "ikat: ptkb is text": ("ikat2023", IKAT, setter(2, "ptkb")("I ski"), "ptkb must hold statements by number"),
    "ikat: ptkb of numbers": ("ikat2023", IKAT, setter(2, "ptkb")({"1": 2}), "ptkb must hold statements"),
    "ikat: unknown statement": (
        "ikat2023",
        IKAT,
        setter(2, "turns", 1, "ptkb_provenance")([7]),
        "names the statement 7, which the ptkb does not have",
    ),
    "ikat: turn twice": ("ikat2023", IKAT, lambda r: r[2]["turns"].append(r[2]["turns"][0]), "3-1_1 is there twice"),
    "ikat: utterance null": (
        "ikat2023",
        IKAT,
        setter(2, "turns", 1, "utterance")(None),
        "utterance must be valid text",
    ),
    "mtrag: no speaker": (
        "mtrag",
        "towns_questions.jsonl",
        setter(4, "text")("x |user|: y\n|user|: z"),
        "must begin with",
    ),
    "mtrag: no turn": (
        "mtrag",
        "towns_questions.jsonl",
        setter(4, "_id")("a<::>b"),
        "_id must end in the turn's number",
    ),
    "mtrag: turn twice": ("mtrag", "towns_questions.jsonl", repeat(4), r"is at .*:5 already"),
    "mtrag: task's speaker": (
        "mtrag",
        "reference.jsonl",
        setter(4, "input", 0, "speaker")("me"),
        "must be user or agent",
    ),
    "mtrag: task's end": ("mtrag", "reference.jsonl", setter(4, "input")([]), "must end with the user's question"),
    "mtrag: stray rewrite": ("mtrag", "towns_rewrite.jsonl", setter(4, "_id")("a<::>1"), "rewrites the turn 'a<::>1'"),
    "mtrag: passage twice": ("mtrag", "towns.jsonl", repeat(4), "is on line 5 already"),
    "beir: query twice": ("beir", "queries.jsonl", repeat(4), r"the query q4 is at .*:5 already"),
    "beir: no id": ("beir", "queries.jsonl", setter(4, "_id")(...), "the query has no _id or id"),
    "jsonl: unknown key": ("jsonl", "turns.jsonl", setter(4, "questoin")("?"), 'unknown key "questoin"; known are'),
    "jsonl: role": ("jsonl", "turns.jsonl", setter(4, "history", 0, "role")("bot"), "role must be user or agent"),
    "jsonl: history": ("jsonl", "turns.jsonl", setter(4, "history")("x"), "history must be a list"),
    "jsonl: attributes": ("jsonl", "turns.jsonl", setter(4, "attributes")({"a": 1}), "attributes must hold valid text"),
    "jsonl: positive missing": (
        "jsonl",
        "turns.jsonl",
        setter(4, "positives")(["p99"]),
        "passage 'p99' is needed here",
    ),
    "jsonl: passage without text": ("jsonl", "passages.jsonl", setter(0, "text")(""), "has no text, but is a positive"),
    "jsonl: passage id": ("jsonl", "passages.jsonl", setter(4, "doc_id")("a b"), "doc_id must be text without blanks"),
    "jsonl: number too long": (
        "jsonl",
        "turns.jsonl",
        setter(4, "turn_number")(2**40),
        "must be a whole number from 1",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_file_and_line(mistake, sources, tmp_path, retort):
    corpus, file, edit, message = MISTAKES[mistake]
    words = copied(sources[corpus], tmp_path / "files")
    change(tmp_path / "files" / file, edit)
    done = retort(*words, "--split", "train", "-w", tmp_path / "workspace", "--json")

    assert done.code == 2
    (line,) = done.err.splitlines()
    assert re.search(message, line), line
    assert re.match(rf"error: {re.escape(str(tmp_path / 'files'))}/[^:]+:\d+: ", line), line
    check(done, tmp_path / "workspace", tmp_path / "files", named=True)


def test_a_context_of_another_length_is_read_from_its_end_and_told_of(sources, tmp_path, retort):
    words = copied(sources["qrecc"], tmp_path / "files")
    change(tmp_path / "files" / QRECC, setter(5, "Context")(["Who built it?", "a mason", "And then?", "", "nobody"]))
    told = retort(*words, "--split", "train", "-w", tmp_path / "workspace", "--json").json()
    assert any("1 turn(s), first 2_3, do not have two utterances" in warning for warning in told["warnings"])
    turn = next(t for t in read_turns(Workspace(tmp_path / "workspace"), "train") if t.query_id == "2_3")
    assert [(m.role, m.text) for m in turn.history] == [
        ("agent", "Who built it?"),
        ("user", "a mason"),
        ("agent", "And then?"),
        ("agent", "nobody"),
    ]


def test_rewrites_of_a_turn_that_is_not_there_are_refused(sources, tmp_path, retort):
    words = copied(sources["topiocqa"], tmp_path / "files")
    change(tmp_path / "files" / "rewrites_t5_qrecc.json", setter(4, "conv_id")(99))
    done = retort(*words, "--split", "train", "-w", tmp_path / "workspace", "--json")
    assert done.code == 2 and "the rewrites of human hold the turn '99_2', which" in done.err
    check(done, tmp_path / "workspace", tmp_path / "files", named=True)


@pytest.mark.parametrize("split", ["validate", "a/b", ""])
@pytest.mark.parametrize("corpus", ["cast2020", "jsonl"])
def test_a_splits_name_is_checked_before_the_collection_is_read(corpus, split, sources, tmp_path, retort):
    words = [*copied(sources[corpus], tmp_path / "files"), "--allow-missing"]
    for path in (tmp_path / "files").glob("*.jsonl"):
        if path.name != "turns.jsonl":
            path.write_text("not to be read")
    done = retort(*words, "--split", split, "-w", tmp_path / "workspace")
    assert done.code == 2 and "split" in done.err and "jsonl:" not in done.err


@pytest.mark.parametrize("corpus", ["ikat2025", "jsonl"])
def test_a_threshold_needs_grades(corpus, sources, tmp_path, retort):
    words = copied(sources[corpus], tmp_path / "files")
    done = retort(*words, "--relevant-from", 2, "--split", "train", "-w", tmp_path / "workspace")
    assert done.code == 2 and "relevant from 2 on is for graded judgements" in done.err
    check(done, tmp_path / "workspace", tmp_path / "files", named=False)


def test_at_least_sixty_files_are_broken():
    assert len(MISTAKES) + len(FILES) * (len(DAMAGES) + 1) > 200


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.just([]),
    st.just({}),
    st.lists(st.integers(), max_size=2),
    st.sampled_from(["1", "1_1", "\ud800", "[SEP]", "a\tb", "\n"]),
)
TOPICS = {
    "topiocqa": "all_history.json",
    "topiocqa_original": "original.json",
    "qrecc": QRECC,
    "cast2019": CAST,
    "cast2020": "2020_manual_evaluation_topics_v1.0.json",
    "cast2021": "2021_manual_evaluation_topics_v1.0.json",
    "cast2022": TREE,
    "cast2022_flattened": "2022_evaluation_topics_flattened_duplicated_v1.0.json",
    "ikat2023": IKAT,
    "ikat2024": "2024_test_topics.json",
    "ikat2025": "2025_test_topics.json",
    "mtrag": "towns_questions.jsonl",
    "beir": "queries.jsonl",
    "jsonl": "turns.jsonl",
}


def paths_of(node, path=()):
    """Every place inside a JSON value."""
    yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in items:
        yield from paths_of(child, (*path, key))


@pytest.mark.parametrize("corpus", TOPICS)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_value_is_an_error_or_harmless(corpus, sources, tmp_path_factory, retort, data):
    folder = tmp_path_factory.mktemp("changed")
    words = copied(sources[corpus], folder / "files")

    def edit(records):
        place = data.draw(st.sampled_from([path for path in paths_of(records) if path]))
        value = data.draw(values)
        node = records
        for key in place[:-1]:
            node = node[key]
        node[place[-1]] = value

    change(folder / "files" / TOPICS[corpus], edit)
    done = retort(*words, "--split", "train", "-w", folder / "workspace", "--json")
    check(done, folder / "workspace", folder / "files", named=True)


@pytest.mark.parametrize(("corpus", "file"), [(c, f) for c, f in FILES if f.endswith((".tsv", ".txt", ".gz", ".zst"))])
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_bytes_are_an_error_or_harmless(corpus, file, sources, tmp_path_factory, retort, data):
    folder = tmp_path_factory.mktemp("bytes")
    words = copied(sources[corpus], folder / "files")
    path = folder / "files" / file
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    done = retort(*words, "--split", "train", "-w", folder / "workspace", "--json")
    check(done, folder / "workspace", folder / "files", named=True)
