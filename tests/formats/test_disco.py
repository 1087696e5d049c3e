"""DiSCo's run.json: what was written is read back, in small pieces too, and each broken file is named."""

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retort.errors import DataError
from retort.formats.disco import read_disco

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


def file(tmp_path, content, name="run"):
    path = tmp_path / name
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def told(read):
    return {turn.key: list(turn.scores.items()) for turn in read}


def test_a_missing_and_a_cut_file_say_so(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        list(read_disco(tmp_path / "nowhere"))
    whole = file(tmp_path, '{"0": {"d": 1}}', "x.gz")
    assert told(read_disco(whole)) == {"0": [("d", 1.0)]}
    whole.write_bytes(whole.read_bytes()[:-6])
    with pytest.raises(DataError, match="is no whole gzip file"):
        list(read_disco(whole))
    plain = tmp_path / "y.gz"
    plain.write_bytes(b"plain")
    with pytest.raises(DataError, match="is no whole gzip file"):
        list(read_disco(plain))


@settings(max_examples=100, deadline=None)  # files are written
@given(
    rankings=st.dictionaries(
        st.integers(0, 60).map(str), st.dictionaries(NAMES, st.floats(-1e3, 1e3, width=32), max_size=5), min_size=1
    ),
    indent=st.sampled_from([None, 1]),
    ascii=st.booleans(),
    block=st.integers(1, 40),
)
def test_run_json_is_what_json_says_it_is(tmp_path_factory, rankings, indent, ascii, block):
    path = tmp_path_factory.mktemp("disco") / "run.json"
    path.write_text(json.dumps(rankings, indent=indent, ensure_ascii=ascii), encoding="utf-8")
    turns = list(read_disco(path, block_bytes=block))
    assert list(told(turns).items()) == [(key, list(ranking.items())) for key, ranking in rankings.items()]
    assert all(list(turn.lines) == [turn.line] * len(turn.scores) for turn in turns)


def test_braces_and_quotes_in_a_doc_id_are_text(tmp_path):
    path = file(tmp_path, '\ufeff{ "0": {"a}\\"{": 1, "}": 2.5},\n "1" : {} }\n')
    turns = list(read_disco(path))
    assert told(turns) == {"0": [('a}"{', 1.0), ("}", 2.5)], "1": []}
    assert [turn.line for turn in turns] == [1, 2]


BROKEN_OBJECTS = {
    "empty": (b"", 1, "ends in the middle"),
    "nothing": (b"{}", 1, "holds no ranking"),
    "array": (b"[1]", 1, "expected an object of rankings by row, got '\\['"),
    "trec": (b"a Q0 d 1 2 t\n", 1, "expected an object of rankings by row, got 'a'"),
    "cut in a ranking": (b'{"0": {"d": 1},\n"1": {"d": 1', 2, "ends in the middle"),
    "cut behind one": (b'{"0": {"d": 1}', 1, "ends in the middle"),
    "cut behind a comma": (b'{"0": {"d": 1},\n', 2, "ends in the middle"),
    "no row": (b'{"c_1": {"d": 1}}', 1, "expected a row number of the topics file in quotes, got 'c_1'"),
    "a negative row": (b'{"-1": {"d": 1}}', 1, "expected a row number"),
    "no quotes": (b"{0: {}}", 1, "expected a row number in quotes, got '0'"),
    "a row twice": (b'{"0": {"d": 1},\n"0": {"d": 1}}', 2, "row 0 is there on line 1 already"),
    "the same row": (b'{"1": {"d": 1},\n"01": {"d": 1}}', 2, "row 01 is there on line 1 already"),
    "a list of doc_ids": (b'{"0": ["d"]}', 1, "expected the ranking of row 0 as an object, got '\\['"),
    "a passage twice": (b'{"0": {"d": 1, "d": 2}}', 1, "row 0 ranks 'd' twice"),
    "a score of text": (b'{"0": {"d": "high"}}', 1, "the score of row 0 must be a number, got 'high'"),
    "no score": (b'{"0": {"d": null}}', 1, "must be a number, got 'None'"),
    "true": (b'{"0": {"d": true}}', 1, "must be a number, got 'True'"),
    "not a number": (b'{"0": {"d": NaN}}', 1, "must be a number, got 'nan'"),
    "nested": (b'{"0": {"d": {"e": 1}}}', 1, "must be a number"),
    "no colon": (b'{"0" {"d": 1}}', 1, "expected a colon"),
    "no comma": (b'{"0": {"d": 1} "1": {}}', 1, "expected a comma or the end of the object"),
    "no json": (b'{"0": {d: 1}}', 1, "is no JSON: Expecting property name"),
    "two objects": (b'{"0": {"d": 1}}\n{"1": {}}', 2, "goes on behind the object's end"),
    "latin-1": (b'{"0": {"d\xe9": 1}}', 1, "is not UTF-8"),
    "deep": (b'{"0": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, 1, "is nested too deeply|is no JSON|ends in the"),
}


@pytest.mark.parametrize(("content", "line", "message"), BROKEN_OBJECTS.values(), ids=BROKEN_OBJECTS)
def test_a_broken_run_json_is_named_with_its_line(tmp_path, content, line, message):
    with pytest.raises(DataError, match=message) as caught:
        list(read_disco(file(tmp_path, content)))
    assert caught.value.line == line and str(caught.value).startswith(str(tmp_path))
