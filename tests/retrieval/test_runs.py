"""TREC runs: what is written reads back as it was, and a broken line is named."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retort.errors import DataError
from retort.retrieval.runs import read_trec_run, run_scores, trec_run
from retort.sparse.search import Ranking

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
