"""TopiOCQA's files: a golden import, recovered separators, and a table of broken files with what each must say."""

import gzip
import json
import re

import pytest

from retort.corpora.collection import read_doc_ids, read_passages
from retort.corpora.importing import ImportRequest
from retort.corpora.readers.topics import read_topics
from retort.corpora.readers.topiocqa import import_topiocqa
from retort.corpora.turns import read_judgements, read_turns, splits
from retort.errors import ConfigError, DataError, WorkspaceError
from retort.records import Message, Passage, Turn
from retort.storage import Workspace

COLLECTION = (
    'id\ttext\ttitle\n1\tRome is old.\tRome [SEP] History\n2\tIt has "seven hills.\tRome\n3\tNapoli has pizza.\t\n'
)
QRELS = "7_1 0 1 1\n7_1\tQ0\t3\t0\n7_2 0 2 2\n"


def record(conversation=7, turn=1, question="How old is Rome?", positives=("1",), **more):
    contexts = [{"passage_id": p, "title": "t"} for p in positives]
    data = {"conv_id": conversation, "turn_id": turn, "question": question, "answers": ["Old."]}
    return data | {"positive_ctxs": contexts} | more


TWO_TURNS = [record(), record(turn=2, question="How old is Rome? [SEP] Old. [SEP] And hills?", positives=("2",))]


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "workspace", create=True)


def dumped(records):
    return json.dumps(records, indent=1)


def files(folder, topics=None, collection=COLLECTION, qrels=None):
    def write(name, content):
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    content = dumped(TWO_TURNS) if topics is None else topics if isinstance(topics, str | bytes) else dumped(topics)
    paths = [write("topics.json", content), write("collection.tsv", collection)]
    return paths, None if qrels is None else write("qrels.txt", qrels)


def import_files(topics, collection, **request):
    return import_topiocqa(ImportRequest(collection=[collection], **request), topics)


def run(folder, workspace, *, split="dev", allow_missing=False, **contents):
    paths, qrels = files(folder, **contents)
    done = import_files(*paths, split=split, workspace=workspace, qrels=qrels, allow_missing=allow_missing)
    return done.report


def test_golden_import(tmp_path, workspace):
    topics = [record(domain="wiki", score=1.5, nothing=None, negative_ctxs=[{"passage_id": "9"}]), TWO_TURNS[1]]
    report = run(tmp_path, workspace, topics=topics)

    asked, answered = Message("user", "How old is Rome?"), Message("agent", "Old.")
    assert read_turns(workspace, "dev") == [
        Turn("7_1", "7", 1, (), "How old is Rome?", "Old.", ("1",), {"domain": "wiki", "score": "1.5"}),
        Turn("7_2", "7", 2, (asked, answered), "And hills?", "Old.", ("2",), {}),
    ]
    assert read_judgements(workspace, "dev") == {"7_1": {"1": 1}, "7_2": {"2": 1}}
    # Quotation marks, tabs apart, are text like any other; an empty title is allowed.
    assert read_passages(workspace, [0, 1, 2]) == [
        Passage("1", "Rome [SEP] History", "Rome is old."),
        Passage("2", "Rome", 'It has "seven hills.'),
        Passage("3", "", "Napoli has pizza."),
    ]
    assert (report.conversations, report.turns, report.passages_added, report.passages_known) == (1, 2, 3, 0)
    assert (report.judgements, report.positives_per_turn, report.dropped, report.warnings) == (2, 1.0, {}, ())
    assert not report.skipped and run(tmp_path, workspace, topics=topics).skipped


def test_qrels_are_the_judgements_and_the_positives_stay(tmp_path, workspace):
    report = run(tmp_path, workspace, qrels=QRELS)

    assert read_judgements(workspace, "dev") == {"7_1": {"1": 1, "3": 0}, "7_2": {"2": 2}}
    assert [turn.positives for turn in read_turns(workspace, "dev")] == [("1",), ("2",)]
    assert (report.judgements, report.positives_per_turn) == (3, 1.0)


def test_a_second_split_finds_the_passages_there(tmp_path, workspace):
    run(tmp_path, workspace, split="train")
    report = run(tmp_path, workspace, topics=[record(conversation="x")], collection=COLLECTION + "4\tnew\tn\n")

    assert (report.passages_added, report.passages_known) == (1, 3)
    assert splits(workspace) == ["dev", "train"] and len(read_doc_ids(workspace)) == 4


def test_gzip_byte_order_marks_and_carriage_returns_are_read(tmp_path, workspace):
    bom = b"\xef\xbb\xbf"
    paths, qrels = files(
        tmp_path,
        topics=bom + dumped(TWO_TURNS).encode(),
        collection=COLLECTION.replace("\n", "\r\n"),
        qrels=bom + QRELS.encode(),
    )
    compressed = tmp_path / "collection.tsv.gz"
    compressed.write_bytes(gzip.compress(bom + paths[1].read_bytes()))
    import_files(paths[0], compressed, split="dev", workspace=workspace, qrels=qrels)

    assert read_passages(workspace, [0])[0] == Passage("1", "Rome [SEP] History", "Rome is old.")
    compressed.write_bytes(compressed.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"collection\.tsv\.gz:\d+: is no whole gzip file .*cut off"):
        import_files(paths[0], compressed, split="other", workspace=workspace)


def test_line_separators_of_unicode_do_not_end_a_line(tmp_path, workspace):
    run(tmp_path, workspace, collection="id\ttext\ttitle\n1\ta\u2028b\x0cc\x85d\rf\tt\n2\tx\tt\n")
    assert read_passages(workspace, [0])[0].text == "a\u2028b\x0cc\x85d\rf"


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        # Turn 1 has no history: all of it is the question.
        ([record(question="What is [SEP] for?")], [(), "What is for?"]),
        # The question that holds the separator is known from its own turn; answer and question remain.
        (
            [record(question="Is [SEP] a token?"), record(turn=2, question="Is [SEP] a token? [SEP] Yes. [SEP] Why?")],
            [("Is a token?", "Yes."), "Why?"],
        ),
        # The answer that holds it is known from the turn that it answers.
        (
            [record(question="Q", answers=["a [SEP] b"]), record(turn=2, question="Q [SEP] a [SEP]  b [SEP] Why?")],
            [("Q", "a b"), "Why?"],
        ),
        # Earlier turns may be missing, as long as what follows the last known one can be counted.
        (
            [record(question="x [SEP] y"), record(turn=3, question="x [SEP] y [SEP] a [SEP] q [SEP] b [SEP] z")],
            [("x y", "a", "q", "b"), "z"],
        ),
    ],
    ids=["first-turn", "known-question", "known-answer", "gap"],
)
def test_a_separator_inside_an_utterance_is_recovered_where_earlier_turns_say_how(tmp_path, records, expected):
    (path, _), _ = files(tmp_path, topics=records)
    topics = read_topics(path)
    turn = topics.turns[-1]

    assert [tuple(m.text for m in turn.history), turn.question] == expected
    assert [m.role for m in turn.history] == ["user", "agent"] * (len(turn.history) // 2)
    assert turn.query_id in topics.recovered


AMBIGUOUS = [record(question="Q", answers=["a", "a [SEP] b"]), record(turn=2, question="Q [SEP] a [SEP] b [SEP] c")]
BROKEN_TOPICS = {
    "empty": ("", None, "is empty"),
    "no turns": (" [ ]\n", None, "the array is empty"),
    "json lines": ('\n{"conv_id": 1}\n', 2, "must hold one JSON array .*convert JSON lines"),
    "cut off": (dumped(TWO_TURNS)[:-60], 23, "is no valid JSON: .*cut off"),
    "cut off between": (dumped(TWO_TURNS)[:-2], None, "expected ',' or ']' after a record, the file ends"),
    "no comma": ('[\n{"a": 1}\n{"b": 2}]', 2, "has no conv_id"),
    "text after it": (dumped(TWO_TURNS) + "\n\nmore", 32, "nothing after the array, got 'more'"),
    "broken value": ('[\n\n{"conv_id": 7,\n "turn_id": }\n]', 4, "is no valid JSON"),
    "no object": ("[\n1]", 2, "the turn must be an object, got 1"),
    "invalid utf-8": (b'[\n{"conv_id":\n"\xff"}]', 3, r"is not UTF-8 \(bytes ff"),
    "utf-16": (dumped(TWO_TURNS).encode("utf-16"), 1, "is not UTF-8"),
    "conv_id a list": ([record(conversation=[1])], 2, r"conv_id must be a number or text, got \[1\]"),
    "conv_id with blanks": ([record(conversation="a b")], 2, "conv_id must be text without blanks"),
    "turn_id zero": ([TWO_TURNS[0], record(turn=0)], 16, "turn_id must be a whole number from 1, got 0"),
    "turn_id text": ([record(turn="1")], 2, 'turn_id must be a whole number from 1, got "1"'),
    "turn_id true": ([record(turn=True)], 2, "turn_id must be a whole number"),
    "question a number": ([record(question=3)], 2, "question must be valid text, got 3"),
    "half a surrogate": ([record(question="\ud83d")], 2, "question must be valid text"),
    "empty question": ([TWO_TURNS[0], record(turn=2, question="Q [SEP] A [SEP]  ")], 16, "question is empty"),
    "answers text": ([record(answers="yes")], 2, 'answers must be a list of valid texts, got "yes"'),
    "positives no list": ([record(positive_ctxs={})], 2, "positive_ctxs must be a list"),
    "positive without id": (
        [record(positive_ctxs=[{"title": "t"}])],
        2,
        "a passage of positive_ctxs has no passage_id",
    ),
    "positive id null": ([record(positive_ctxs=[{"passage_id": None}])], 2, "passage_id must be a number or text"),
    "duplicate turn": ([TWO_TURNS[0], record(conversation="7")], 16, "turn 1 of conversation 7 is on line 2 already"),
    "too few segments": ([record(turn=2, question="Q [SEP] B")], 2, "must hold 3 utterances .* got 2"),
    "too many segments": ([record(turn=2, question="Q [SEP] a [SEP] b [SEP] c")], 2, "must hold 3 utterances .* got 4"),
    "ambiguous": (AMBIGUOUS, 17, "turns before it do not say which belong together"),
} | {
    f"no {key}": ([{k: v for k, v in record().items() if k != key}], 2, f"the turn has no {key}; it has ")
    for key in ("conv_id", "turn_id", "question", "answers", "positive_ctxs")
}
BROKEN_COLLECTIONS = {
    "empty": ("", 1, "must be the header id/text/title"),
    "other order": ("id\ttitle\ttext\n1\tt\tx\n", 1, "the header id/text/title, .* got id/title/text; reorder"),
    "no header": ("1\tx\tt\n2\ty\tt\n", 1, "must be the header id/text/title, .* got 1/x/t; add that"),
    "four columns": (COLLECTION + "4\ta\tb\tc\n", 5, r"expected 3 columns \(id/text/title\), got 4"),
    "two columns": (COLLECTION.replace("2\tIt", "2 It"), 3, "expected 3 columns .* got 2"),
    "id with blanks": (COLLECTION + "4 5\ta\tb\n", 5, "the id must be text without blanks"),
    "no id": (COLLECTION + "\ta\tb\n", 5, "the id must be text"),
    "invalid utf-8": (COLLECTION.encode() + b"4\ta\xe9\tb\n", 5, "is not UTF-8"),
    "duplicate": (COLLECTION + "2\tx\tb\n", 5, "doc_id '2' is on line 3 already"),
    "empty positive": (COLLECTION.replace("Rome is old.", " "), 2, "passage '1' has no text, but is a positive at"),
}
BROKEN_QRELS = {
    "empty": ("\n", None, "holds no judgement"),
    "three columns": (QRELS + "7_1 1 1\n", 4, "expected `query_id 0 doc_id relevance`, got 3 columns"),
    "unknown turn": (QRELS + "\n8_1 0 1 1\n", 5, "judges the turn '8_1', which .*topics.json does not have"),
    "no number": ("7_1 0 1 yes\n", 1, "relevance must be a whole number, got 'yes'"),
    "too large": ("7_1 0 1 99999999999\n", 1, "must fit into 32 bits"),
    "contradiction": (QRELS + "7_1 0 1 0\n", 4, "1 has relevance 0 for 7_1, but 1 on line 1; remove"),
    "missing passage": (QRELS + "7_1 0 44 1\n", 4, "passage '44' is needed here"),
}


@pytest.mark.parametrize(
    ("role", "content", "line", "message"),
    [
        pytest.param(role, *case, id=f"{role}-{name}")
        for role, cases in (("topics", BROKEN_TOPICS), ("collection", BROKEN_COLLECTIONS), ("qrels", BROKEN_QRELS))
        for name, case in cases.items()
    ],
)
def test_a_broken_file_is_named_with_its_line_and_nothing_is_imported(
    tmp_path, workspace, role, content, line, message
):
    with pytest.raises(DataError, match=message) as caught:
        run(tmp_path, workspace, **{role: content})

    suffix = {"topics": "topics.json", "collection": "collection.tsv", "qrels": "qrels.txt"}[role]
    assert caught.value.path == str(tmp_path / suffix)
    assert line is None or caught.value.line == line
    assert str(caught.value).startswith(f"{tmp_path / suffix}:")
    assert splits(workspace) == [] and workspace.folder("passages").record() is None


@pytest.mark.parametrize("role", ["topics.json", "collection.tsv", "qrels.txt"])
def test_a_missing_file_is_named(tmp_path, workspace, role):
    paths, qrels = files(tmp_path, qrels=QRELS)
    (tmp_path / role).unlink()
    with pytest.raises(DataError, match=rf"{re.escape(role)}: cannot be read: No such file"):
        import_files(*paths, split="dev", workspace=workspace, qrels=qrels)


def test_missing_positives_are_refused_or_dropped_and_counted(tmp_path, workspace):
    topics = [record(positives=("1", "9")), TWO_TURNS[1]]
    with pytest.raises(DataError, match=r"topics\.json:2: passage '9' .*\(1 of 3 needed passages are missing\)"):
        run(tmp_path, workspace, topics=topics)
    empty = COLLECTION.replace("Napoli has pizza.", "").replace('It has "seven hills.', "")
    report = run(tmp_path, workspace, topics=topics, collection=empty, allow_missing=True)

    assert [turn.positives for turn in read_turns(workspace, "dev")] == [("1",), ()]
    assert read_judgements(workspace, "dev") == {"7_1": {"1": 1}}
    assert report.dropped == {"passages without text": 2, "positives that the collection lacks": 2}
    assert report.warnings[0].startswith("1 turn(s) have no judgement")
    assert run(tmp_path, workspace, topics=topics, collection=empty, allow_missing=True).skipped
    with pytest.raises(WorkspaceError, match="already holds other"):
        run(tmp_path, workspace, topics=TWO_TURNS[:1], collection=COLLECTION + "5\tx\ty\n", allow_missing=True)
    assert len(read_doc_ids(workspace)) == 1


def test_allowing_what_does_not_happen_changes_nothing(tmp_path, workspace):
    run(tmp_path, workspace)
    assert run(tmp_path, workspace, allow_missing=True).skipped


def test_other_topics_under_the_same_split_are_refused_before_the_collection_is_read(tmp_path, workspace):
    run(tmp_path, workspace)
    with pytest.raises(WorkspaceError, match="already holds other judgements under the split 'dev'"):
        run(tmp_path, workspace, topics=TWO_TURNS[:1], collection="no collection at all")
    with pytest.raises(ConfigError, match=r"split: 'de/v' is no name"):
        run(tmp_path, workspace, split="de/v")


def test_shifted_ids_are_noticed(tmp_path, workspace):
    quoted = [{"passage_id": 2, "text": "Rome  is old."}, {"passage_id": 3, "text": "Napoli has pizza. "}]
    report = run(tmp_path, workspace, topics=[record(positive_ctxs=quoted)])

    assert read_turns(workspace, "dev")[0].positives == ("2", "3")
    assert report.warnings == (
        "1 of 2 positives have another text in the collection than in the topics; if it is most of them, the ids of the two "
        "files are shifted (by one, often) or of different editions",
    )


def test_progress_is_told(tmp_path, workspace):
    told = []

    def progress(stage, done, total, note=""):
        told.append((stage, done, total, note))

    paths, _ = files(tmp_path, collection=COLLECTION + "".join(f"p{i}\tx\ty\n" for i in range(9000)))
    import_files(*paths, split="dev", workspace=workspace, progress=progress)
    assert told == [("passages", 8192, None, ""), ("passages", 9003, 9003, "imported")]
