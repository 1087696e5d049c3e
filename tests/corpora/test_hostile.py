"""Input that only looks valid: it is refused at once, with its place and in a few words, and nothing of it is kept."""

import gzip
import json
import random
import re
import time

import pyarrow as pa
import pytest
from tests.corpora.official import CORPORA
from tests.waiting import patience

from retort.errors import DataError
from retort.formats import lines
from retort.formats.disco import read_disco
from retort.formats.json_files import read_json_lines, read_records
from retort.formats.lines import MAX_ID_CHARACTERS, MAX_LINE_BYTES, id_problem, is_blank, read_lines, read_text

LONGEST_MESSAGE = 1200  # characters of an error, the path included
TURN = {"query_id": "q1", "conversation_id": "c", "turn_number": 1, "question": "hi", "positives": ["p0"]}


def turn(**changed):
    return json.dumps(TURN | changed) + "\n"


TURNS = {
    "a line of 20 MB": (turn(question="x" * (20 << 20)), r":1: is longer than 16 MiB"),
    "an id of 3 MB": (
        turn(query_id="i" * (3 << 20)),
        r":1: query_id must have at most 2,048 characters, has 3,145,728",
    ),
    "an id of 3 MB with blanks": (turn(query_id="i " * (3 << 19)), r":1: query_id must be text without blanks"),
    "a key of 3 MB": (turn(**{"k" * (3 << 20): 1}), r":1: unknown key \"kkk"),
    "a key twice": (
        turn().replace('"question"', '"query_id": "q2", "question"'),
        ':1: the key "query_id" is there twice',
    ),
    "a key twice, with a blank": (
        turn().replace('"question"', '"query_id" :"q2", "question"'),
        '"query_id" is there twice',
    ),
    "a key twice inside": (
        turn(history=[{"role": "user", "text": "a"}]).replace('"role"', '"text": "b", "role"'),
        '"text" is',
    ),
    "a question of no width": (
        turn(question="\u200b \ufeff\u00ad\u2060"),
        ":1: question is empty, but for characters that show",
    ),
    "a question of controls": (turn(question="\x00\x1f \x7f"), ":1: question is empty, but for characters that show"),
    "a message of no width": (turn(history=[{"role": "user", "text": "\u3164"}]), r":1: history\[0\] has no text"),
    "NaN": (turn().replace('"turn_number": 1', '"turn_number": NaN'), ":1: NaN is no number of JSON"),
    "-Infinity": (turn().replace('"turn_number": 1', '"turn_number": -Infinity'), ":1: -Infinity is no number of JSON"),
    "half a pair": (turn(question="\ud800"), r":1: question must be valid text"),
    "NUL in an id": (turn(query_id="a\x00b"), ":1: query_id must be text without control characters"),
    "escape in an id": (turn(query_id="a\x1b[2Jb"), ":1: query_id must be text without control characters"),
    "a mark in an id": (turn() + turn(query_id="\ufeffq2"), ":2: query_id must be text without control characters"),
    "a tab in an id": (turn(query_id="a\tb"), ":1: query_id must be text without blanks"),
    "a line break in an id": (turn(query_id="a\n"), ":1: query_id must be text without blanks"),
    "a number of 5,000 digits": (turn().replace('"q1"', "1" * 5000), ":1: holds a number that is too long"),
    "200,000 keys": (turn(**{f"k{n}": n for n in range(200_000)}), ':1: unknown key "k0"'),
    "line breaks alone": ("\n" * 200_000 + turn(), ":100001: has 100,000 lines in a row that hold next to nothing"),
    "900 levels": (
        turn(history=0).replace(": 0}", f": {'[' * 900}{']' * 900}}}"),
        r":1: history\[0\] must be an object",
    ),
}


def refused(done, began, path):
    """What holds of every refusal."""
    assert done.code == 2 and done.out == "", done.err[:LONGEST_MESSAGE]
    assert len(done.err) < LONGEST_MESSAGE and done.err.startswith("error: ") and str(path) in done.err
    assert time.monotonic() - began < patience(5)


@pytest.mark.parametrize("case", TURNS)
def test_turns_that_only_look_valid_are_refused_at_once(case, tmp_path, retort):
    content, message = TURNS[case]
    path = tmp_path / "turns.jsonl"
    path.write_text(content, encoding="utf-8")
    (tmp_path / "p.jsonl").write_text('{"doc_id": "p0", "text": "one"}\n')
    began = time.monotonic()
    done = retort("import", "jsonl", path, tmp_path / "p.jsonl", "--split", "dev", "-w", tmp_path / "w")

    refused(done, began, path)
    assert re.search(message, done.err), done.err
    assert list((tmp_path / "w").rglob("record.json")) == []


PASSAGES = {
    "a line of 20 MB": (b"9\t" + b"x" * (20 << 20) + b"\n", ":1: is longer than 16 MiB"),
    "tabs alone": (b"\t" * (15 << 20), ":1: expected 2 columns"),
    "an id of 3 MB": (b"i" * (3 << 20) + b"\ttext\n", ":1: the id must have at most 2,048 characters"),
    "a control character in an id": (b"a\x07b\ttext\n", ":1: the id must be text without control characters"),
}


@pytest.mark.parametrize("case", PASSAGES)
def test_passages_that_only_look_valid_are_refused_at_once(case, tmp_path, retort):
    content, message = PASSAGES[case]
    path = tmp_path / "collection.tsv"
    path.write_bytes(content)
    began = time.monotonic()
    done = retort("import", "msmarco", path, "-w", tmp_path / "w")
    refused(done, began, path)
    assert message in done.err


def test_long_lines_that_are_no_error_are_read(tmp_path):
    path = tmp_path / "turns.jsonl"
    path.write_text(turn(question="word " * (2 << 20)) + turn(), encoding="utf-8")
    assert [len(record["question"]) for _, record in read_json_lines(path)] == [10 << 20, 2]
    # The whole array may stand on one line, of any length.
    array = tmp_path / "turns.json"
    array.write_text(" " * (1 << 20) + json.dumps([TURN | {"question": "x" * (6 << 20)}] * 3), encoding="utf-8")
    assert array.stat().st_size > MAX_LINE_BYTES and len(list(read_records(array))) == 3


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_a_file_that_grows_without_end_when_decompressed_is_refused(ending, tmp_path):
    content = b"[" + b" " * (lines.FREE_EXPANSION_BYTES + (48 << 20))
    packed = gzip.compress(content) if ending == "gz" else pa.compress(content, codec="zstd", asbytes=True)
    path = tmp_path / f"topics.json.{ending}"
    path.write_bytes(packed)
    with pytest.raises(DataError, match=r"becomes more than 300 times as large when it is decompressed"):
        read_text(path)
    with pytest.raises(DataError, match="is longer than 16 MiB"):
        list(read_lines(path))


def test_what_is_blank_shows_nothing():
    for text in ("", " \n\t", "\u200b", "\u2800\u3164", "\ufeff", "\x00", "\u00a0\u2003", "\U000e0020"):
        assert is_blank(text), text
    for text in ("a", " \u200ba", "?", "한", "\u0301a", "👍", "\u200d\u0646"):
        assert not is_blank(text), text


def test_ids_that_corpora_have_are_ids():
    for value in (
        "1",
        "MARCO_7",
        "clueweb22-en0035-25-01897:1",
        "a1b2<::>3",
        "https://a.org/b?c=d_p12",
        "Ж_1",
        "می‌خواهم",
        "#1",
    ):
        assert id_problem(value) == "", value
    assert id_problem("x" * MAX_ID_CHARACTERS) == "" != id_problem("x" * (MAX_ID_CHARACTERS + 1))


BRACES = "}" * 20_000


def test_braces_and_quotes_in_a_doc_id_take_no_longer_than_the_file(tmp_path):
    path = tmp_path / "run.json"
    rows = {"0": {f'a"{BRACES}{n}': float(n) for n in range(60)}, "1": {'\\"}{': 1.0}, "2": {"d": 2.0}}
    path.write_text(json.dumps(rows, indent=1))
    began = time.monotonic()
    assert {ranked.key: ranked.scores for ranked in read_disco(path, block_bytes=1000)} == rows
    assert time.monotonic() - began < patience(3)
    path.write_text('{"' + "1" * 5000 + '": {"d": 1}}')
    with pytest.raises(DataError, match="expected a row number of the topics file in quotes, got '1111"):
        list(read_disco(path))
    path.write_text('{"0": {"d": ' + "1" * 5000 + "}}")
    with pytest.raises(DataError, match="holds a number that is too long"):
        list(read_disco(path))


def test_a_task_that_is_there_twice_and_turns_without_one_are_told(tmp_path, retort):
    (tmp_path / "files").mkdir()
    words = CORPORA["mtrag"](tmp_path / "files")
    tasks = tmp_path / "files" / "reference.jsonl"
    first, *others = tasks.read_text().splitlines()
    changed = json.loads(first) | {"input": [{"speaker": s, "text": "another"} for s in ("user", "agent", "user")]}
    tasks.write_text("\n".join([first, *others, json.dumps(changed)]) + "\n")
    done = retort(*words, "--split", "dev", "-w", tmp_path / "w")
    assert done.code == 2 and f"reference.jsonl:{len(others) + 2}: the task" in done.err and "another input" in done.err
    kept = [row for row in [first, *others] if not json.loads(row)["task_id"].endswith("3")]
    tasks.write_text("\n".join(kept) + "\n")
    (told,) = [
        w for w in retort(*words, "--split", "dev", "-w", tmp_path / "w", "--json").json()["warnings"] if "answers" in w
    ]
    assert told.endswith(f"{tasks} has no task of theirs, though it has {len(kept)} of other turns")


MUTATIONS = 4  # of every file of every corpus
PIECES = [
    piece.encode()
    for piece in ("\0", "\ufeff", "\u200b", "NaN", "1e999", "-1", "null", "9" * 30, "<::>", "[SEP]", "|user|:")
]
PIECES += [b'"_id":1,', b"\\ud800", *(bytes([byte]) for byte in b'"\\{}[]\t\n\r #')]


def mutated(content, chance):
    """The content with a piece put in, a part cut out, doubled or moved."""
    low = chance.randrange(len(content) + 1)
    high = min(len(content), low + chance.choice((1, 2, 8, 60)))
    how = chance.randrange(4)
    if how == 0:
        return content[:low] + chance.choice(PIECES) + content[low:]
    if how == 1:
        return content[:low] + content[high:]
    if how == 2:
        return content[:high] + content[low:high] * chance.choice((1, 3)) + content[high:]
    other = chance.randrange(len(content) + 1)
    return content[:other] + content[low:high] + content[other:]


@pytest.mark.parametrize("corpus", CORPORA)
def test_mutated_files_are_imported_or_refused_in_a_few_words_and_at_once(corpus, tmp_path, retort):
    chance = random.Random(corpus)  # the same files on every machine
    (tmp_path / "files").mkdir()
    words = CORPORA[corpus](tmp_path / "files")
    workspace = tmp_path / "w"
    for file in sorted(path for path in (tmp_path / "files").rglob("*") if path.is_file()):
        content = file.read_bytes()
        for number in range(MUTATIONS):
            file.write_bytes(mutated(content, chance))
            began = time.monotonic()
            done = retort(*words, "--split", "train", "-w", workspace / f"{file.name}-{number}")
            assert time.monotonic() - began < patience(5), (file, number)
            assert done.code in (0, 2) and "Traceback" not in done.err, (file, number, done.err)
            assert len(done.err) < LONGEST_MESSAGE, (file, number, done.err)
            if done.code:
                assert list((workspace / f"{file.name}-{number}").rglob("record.json")) == [], (file, number)
        file.write_bytes(content)
