"""BM25 impacts against one passage worked out by hand, and against a BM25 over plain dictionaries."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retort.sparse.encoders.bm25 import bm25_impacts, query_terms, term_counts

VOCABULARY = 5
COLLECTIONS = st.lists(st.lists(st.integers(0, VOCABULARY - 1), max_size=8), min_size=1, max_size=6).filter(any)


def pieces(texts):
    return [np.array(text, dtype=np.int32) for text in texts]


def impacts(texts, *, k1=0.9, b=0.4):
    counts = term_counts(pieces(texts), VOCABULARY)
    return bm25_impacts(
        counts,
        document_frequency=np.bincount(counts.indices, minlength=VOCABULARY).astype(np.int64),
        passages=len(texts),
        mean_length=sum(map(len, texts)) / len(texts),
        k1=k1,
        b=b,
    )


def test_one_passage_by_hand():
    # Term 2 twice and term 4 once, length 3; 10 passages of mean length 6; term 2 is in 1 of them, term 4 in 4.
    counts = term_counts(pieces([[2, 4, 2]]), VOCABULARY)
    found = bm25_impacts(
        counts, document_frequency=np.array([0, 0, 1, 0, 4]), passages=10, mean_length=6.0, k1=1.0, b=0.5
    )

    # k1 (1 - b + b |d| / mean) = 0.75; idf = log(1 + 9.5 / 1.5) and log(1 + 6.5 / 4.5).
    expected = [math.log(22 / 3) * 2 * 2 / 2.75, math.log(22 / 9) * 1 * 2 / 1.75]
    assert found.indices.tolist() == [2, 4]
    np.testing.assert_allclose(found.values, expected, rtol=1e-6)


@settings(deadline=None)
@given(texts=COLLECTIONS, k1=st.floats(0, 3), b=st.floats(0, 1))
def test_a_score_is_that_of_a_plain_bm25(texts, k1, b):
    frequency = Counter(term for text in texts for term in set(text))
    mean = sum(len(text) for text in texts) / len(texts)
    found = impacts(texts, k1=k1, b=b).to_scipy().toarray()

    for row, text in enumerate(texts):
        occurrences = Counter(text)
        for term in range(VOCABULARY):
            tf = occurrences[term]
            idf = math.log((len(texts) - frequency[term] + 0.5) / (frequency[term] + 0.5) + 1)
            score = idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * len(text) / mean)) if tf else 0.0
            assert found[row, term] == pytest.approx(score, rel=1e-5, abs=1e-7)


def test_an_empty_passage_between_others_has_no_weight_and_changes_none():
    # The row sums go through reduceat, which reads the next row's value for an empty row.
    counts = term_counts(pieces([[1, 1, 3], [], [3], []]), VOCABULARY)
    given_statistics = {"document_frequency": np.array([0, 1, 0, 2, 0]), "passages": 4, "mean_length": 1.0}
    together = bm25_impacts(counts, **given_statistics, k1=0.9, b=0.4)
    apart = [bm25_impacts(counts.take([row]), **given_statistics, k1=0.9, b=0.4) for row in range(4)]

    assert np.diff(together.indptr).tolist() == [2, 0, 1, 0]
    np.testing.assert_array_equal(together.values, np.concatenate([part.values for part in apart]))


def test_query_terms_weigh_one_or_their_count():
    text = pieces([[3, 1, 3, 3], []])

    assert query_terms(text, VOCABULARY, counted=False).to_scipy().toarray().tolist() == [[0, 1, 0, 1, 0], [0] * 5]
    assert query_terms(text, VOCABULARY, counted=True).to_scipy().toarray().tolist() == [[0, 1, 0, 3, 0], [0] * 5]
