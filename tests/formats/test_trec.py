"""TREC runs and qrels: what is written is read back, comments and packings do not matter, and a broken line is named."""

import ir_measures
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.formats.packings import PACKINGS

from retort.errors import DataError
from retort.formats.trec import (
    ranked,
    read_qrels,
    read_trec_file,
    read_trec_run,
    read_trec_turns,
    run_scores,
    trec_qrels,
    trec_run,
)
from retort.sparse.search.exact import Ranking

IDS = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=8)
SCORES = st.floats(0, 1e6, width=32, exclude_min=True)


@given(st.dictionaries(IDS, st.dictionaries(IDS, SCORES, min_size=1, max_size=5), max_size=5))
def test_a_run_reads_back_as_it_was(run):
    again = read_trec_run(trec_run(run, tag="r"), source="run.trec")
    assert {q: {d: np.float32(s) for d, s in docs.items()} for q, docs in again.items()} == run
    assert [list(docs) for docs in again.values()] == [list(docs) for docs in run.values()]


def test_columns_are_trec_evals():
    assert trec_run({"7_1": {"b": 2.5, "a": 1.0}}, tag="bm25") == "7_1 Q0 b 1 2.5 bm25\n7_1 Q0 a 2 1 bm25\n"


def test_rankings_become_scores_by_id_and_an_empty_one_is_left_out():
    rankings = [
        Ranking(np.array([2, 0]), np.array([2.0, 1.0], np.float32)),
        Ranking(np.array([], np.int64), np.array([], np.float32)),
    ]
    assert run_scores(["q", "nothing"], rankings, pa.chunked_array([["a", "b", "c"]])) == {"q": {"c": 2.0, "a": 1.0}}


def test_any_white_space_separates_and_empty_lines_are_skipped():
    assert read_trec_run("q\tQ0\td\t1\t0.5\tt\n\n  q   Q0 e 2 1e-3 t\r\n", source="x") == {"q": {"d": 0.5, "e": 0.001}}


def packed(tmp_path, content, name):
    packing = next(ending for ending in reversed(PACKINGS) if name.endswith(ending))
    path = tmp_path / name
    path.write_bytes(PACKINGS[packing](content.encode() if isinstance(content, str) else content))
    return path


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_run_is_read_as_trec_eval_10_reads_it(packing, tmp_path):
    content = (
        "\ufeff# made by hand\nb Q0 d1 1 2.5 tag\n  # six words of a comment here\nb\tQ0\td2\t9\t-1e-3\ttag and more words\r\n\n"
        "a Q0 #1 1 7 tag\nb Q0 d3 3 1e39 tag\n#\n"
    )
    path = packed(tmp_path, content, f"run.trec{packing}")
    turns = [(turn.key, turn.line, turn.scores, list(turn.lines)) for turn in read_trec_turns(path)]
    assert turns == [
        ("b", 2, {"d1": 2.5, "d2": -0.001}, [2, 4]),
        ("a", 6, {"#1": 7.0}, [6]),
        ("b", 7, {"d3": 1e39}, [7]),
    ]
    assert read_trec_file(path) == {"b": {"d1": 2.5, "d2": -0.001, "d3": 1e39}, "a": {"#1": 7.0}}


LINES = st.lists(st.sampled_from(["", "  ", "#", "# a b c d e f", "\t#q Q0 d 1 1 t"]), max_size=2)
RUNS = st.dictionaries(
    IDS.filter(lambda name: not name.startswith("#")), st.dictionaries(IDS, SCORES, min_size=1, max_size=5), min_size=1
)


@settings(max_examples=100, deadline=None)  # files are written
@given(RUNS, st.data())
def test_comments_and_more_words_change_nothing(tmp_path_factory, run, data):
    path = tmp_path_factory.mktemp("trec") / "run"
    lines = []
    for line in trec_run(run, tag="r").splitlines():
        lines += [*data.draw(LINES), line + data.draw(st.sampled_from(["", " ", " more", "\tmore # words"]))]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert read_trec_file(path) == read_trec_run(trec_run(run, tag="r"), source="run.trec")


BROKEN_RUNS = {
    "empty": (b"\n \n# nothing\n", None, "holds no ranking"),
    "five columns": (b"a Q0 d 1 2 t\na Q0 d 1 2\n", 2, "got 5 columns: 'a Q0 d 1 2'"),
    "json": (b'{"0": {}}\n', 1, "expected `query_id Q0 doc_id rank score tag`"),
    "no number": (b"a Q0 d 1 high t\n", 1, "the score of a must be a number, got 'high'"),
    "not a number": (b"#\na Q0 d 1 nan t\n", 2, "must be a number, got 'nan'"),
    "twice": (b"a Q0 d 1 2 t\na Q0 e 2 1 t\na Q0 d 3 1 t\n", 3, "a ranks d on line 1 already"),
    "twice and apart": (b"a Q0 d 1 2 t\nb Q0 e 2 1 t\na Q0 d 3 1 t\n", 3, "a ranks d on line 1 already"),
    "latin-1": (b"a Q0 d\xe9 1 2 t\n", 1, "is not UTF-8"),
}


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize(("content", "line", "message"), BROKEN_RUNS.values(), ids=BROKEN_RUNS)
def test_a_broken_run_is_named_with_its_line(content, line, message, packing, tmp_path):
    path = packed(tmp_path, content, f"run{packing}")
    with pytest.raises(DataError, match=message) as caught:
        read_trec_file(path)
    assert (caught.value.path, caught.value.line) == (str(path), line)


def test_our_own_run_is_named_by_its_source(tmp_path):
    with pytest.raises(DataError, match=r"^s3://there/run\.trec:2: the score of q must be a number"):
        read_trec_run("q Q0 a 1 1.0 t\nq Q0 b 2 x t\n", source="s3://there/run.trec")


@pytest.mark.parametrize("packing", [".gz", ".zst"])
@pytest.mark.parametrize(
    ("read", "content"),
    [(read_trec_file, "a Q0 d 1 2 t\n"), (lambda path: list(read_qrels(path)), "a 0 d 1\n")],
    ids=["run", "qrels"],
)
def test_a_missing_and_a_cut_file_say_so(read, content, packing, tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read(tmp_path / f"nowhere{packing}")
    path = packed(tmp_path, content, f"run{packing}")
    path.write_bytes(path.read_bytes()[:-6])
    kind = {".gz": "gzip", ".zst": "zstd"}[packing]
    with pytest.raises(DataError, match=f"is no whole {kind} file"):
        read(path)
    path.write_bytes(b"plain")
    with pytest.raises(DataError, match=f"is no whole {kind} file"):
        read(path)


QRELS = {
    "trec": "# graded\n7_1 0 a 2\n7_1\t0\tb\t0\r\n\n  # more\n7_1 0 c 1.0\n7_2 Q0 a -1\n",
    "beir": "\ufeff# graded\nquery-id\tcorpus-id\tscore\n7_1\ta\t2\n\n7_1\tb\t0.0\n7_1\tc\t1.00\n7_2 a -1\n",
}


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("form", QRELS)
def test_qrels_are_read_with_their_lines(form, packing, tmp_path):
    rows = [
        (line, (j.query_id, j.doc_id, j.relevance))
        for line, j in read_qrels(packed(tmp_path, QRELS[form], f"qrels{packing}"))
    ]
    assert [row for _, row in rows] == [("7_1", "a", 2), ("7_1", "b", 0), ("7_1", "c", 1), ("7_2", "a", -1)]
    assert [line for line, _ in rows] == ([2, 3, 6, 7] if form == "trec" else [3, 5, 6, 7])
    assert all(type(relevance) is int for _, (_, _, relevance) in rows)


BROKEN_QRELS = {
    "a half": (b"#\nq 0 d 1.5\n", 2, "relevance must be a whole number, got '1.5'"),
    "a word": (b"q 0 d high\n", 1, "relevance must be a whole number, got 'high'"),
    "not a number": (b"q 0 d nan\n", 1, "relevance must be a whole number, got 'nan'"),
    "infinite": (b"q 0 d inf\n", 1, "relevance must be a whole number, got 'inf'"),
    "too large": (b"q 0 d 2147483648\n", 1, "relevance must fit into 32 bits, got 2147483648"),
    "five columns": (b"q 0 d 1 x\n", 1, "expected `query_id 0 doc_id relevance`, got 5 columns: 'q 0 d 1 x'"),
    "below a header": (b"query-id corpus-id score\nq 0 d 1\n", 2, "expected `query-id corpus-id score` as its header"),
    "latin-1": (b"q 0 d\xe9 1\n", 1, "is not UTF-8"),
}


@pytest.mark.parametrize(("content", "line", "message"), BROKEN_QRELS.values(), ids=BROKEN_QRELS)
def test_broken_qrels_are_named_with_their_line(content, line, message, tmp_path):
    path = packed(tmp_path, content, "qrels")
    with pytest.raises(DataError, match=message) as caught:
        list(read_qrels(path))
    assert (caught.value.path, caught.value.line) == (str(path), line)


JUDGED = {"7_1": {"a": 2, "b": 0, "c": 1}, "7_2": {"a": 1}}


@given(st.dictionaries(IDS, st.sampled_from([1.0, 1.0 + 1e-9, 2.0, -1.0, 0.5]), min_size=1, max_size=12))
def test_ranks_are_those_that_measures_count(scores):
    # RR of a ranking whose passage at rank r alone is relevant is 1 / r: trec_eval's own order, one passage at a time.
    for rank, doc_id in enumerate(ranked(scores), start=1):
        found = ir_measures.calc_aggregate([ir_measures.RR], {"q": {doc_id: 1}}, {"q": scores})
        assert found[ir_measures.RR] == pytest.approx(1 / rank)


def test_qrels_are_graded_and_read_back():
    assert trec_qrels(JUDGED) == "7_1 0 a 2\n7_1 0 b 0\n7_1 0 c 1\n7_2 0 a 1\n"
    read = [(one.query_id, one.doc_id, one.relevance) for one in ir_measures.read_trec_qrels(trec_qrels(JUDGED))]
    assert read == [(query_id, doc_id, grade) for query_id, docs in JUDGED.items() for doc_id, grade in docs.items()]
