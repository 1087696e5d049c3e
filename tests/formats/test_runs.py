"""TREC runs: what is written reads back as it was, and a broken line is named."""

import gzip

import ir_measures
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retort.errors import DataError
from retort.formats.trec import (
    measure_trec_file,
    ranked,
    read_trec_file,
    read_trec_run,
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


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q Q0 d 1 0.5", "a run has 6 columns"),
        ("q Q0 d 1 0.5 t u", "got 7"),
        ("q Q0 d 1 high t", "the score 'high' is no number"),
        ("q Q0 a 2 0.5 t", "passage a is there twice for turn q"),
        ("q Q0 d 2 nan t", "the score 'nan' is no number"),
    ],
)
def test_a_broken_line_is_named(line, message):
    with pytest.raises(DataError, match=rf"^other/run\.txt:2: .*{message}"):
        read_trec_run(f"q Q0 a 1 1.0 t\n{line}\n", source="other/run.txt")


JUDGED = {"7_1": {"a": 2, "b": 0, "c": 1}, "7_2": {"a": 1}}


@pytest.mark.parametrize("name", ["theirs.trec", "theirs.trec.gz"])
def test_another_systems_file_is_read_compressed_or_not(name, tmp_path):
    content = b"\xef\xbb\xbf7_1 Q0 a 1 2.5 x\r\n7_1 Q0 doc-id 2 1 x\n"
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert read_trec_file(path) == {"7_1": {"a": 2.5, "doc-id": 1.0}}


def test_a_broken_file_is_named_with_its_line(tmp_path):
    path = tmp_path / "theirs.trec.gz"
    path.write_bytes(gzip.compress(b"7_1 Q0 a 1 2.5 x\n7_1 Q0 b 2 x\n"))
    with pytest.raises(DataError, match=r"theirs\.trec\.gz:2: a run has 6 columns .* got 5: '7_1 Q0 b 2 x'"):
        read_trec_file(path)
    path.write_bytes(gzip.compress(b"7_1 Q0 a 1 2.5 x\n")[:-6])
    with pytest.raises(DataError, match="no whole gzip file"):
        read_trec_file(path)
    empty = tmp_path / "empty.trec"
    empty.write_text("\n")
    with pytest.raises(DataError, match="holds no ranking"):
        read_trec_file(empty)


def test_a_missing_turn_counts_0_and_others_are_told_of(tmp_path):
    path = tmp_path / "theirs.trec"
    path.write_text("7_1 Q0 c 1 3 x\n7_1 Q0 a 2 2 x\n9_9 Q0 a 1 1 x\n7_0 Q0 a 1 1 x\n")
    found = measure_trec_file(path, JUDGED, split="dev", known={"7_0", "7_1", "7_2"})
    assert found.per_turn["7_1"]["RR"] == found.per_turn["7_1"]["R@100"] == 1
    assert set(found.per_turn["7_2"].values()) == {0.0} and set(found.per_turn) == set(JUDGED)
    assert found.notes == (
        "query_ids that dev does not have, left out: 1 (9_9)",
        "judged turns that it lacks, counted 0: 1 of 2 (7_2)",
    )
    # What counts as relevant follows the judgements' threshold: only a is, on rank 2.
    strict = measure_trec_file(path, JUDGED, split="dev", relevant_from=2)
    assert strict.per_turn["7_1"]["RR"] == 0.5


def test_a_run_of_another_split_or_collection_is_told_of(tmp_path):
    path = tmp_path / "theirs.trec"
    path.write_text("8_1 Q0 a 1 3 x\n")
    with pytest.raises(DataError, match=r"none of its 1 query_ids \(8_1\) is a judged turn of dev \(such as 7_1\)"):
        measure_trec_file(path, JUDGED, split="dev")
    path.write_text("7_1 Q0 msmarco-1 1 3 x\n7_2 Q0 msmarco-2 1 3 x\n")
    assert "are its doc_ids those of the collection?" in measure_trec_file(path, JUDGED, split="dev").notes[-1]


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
