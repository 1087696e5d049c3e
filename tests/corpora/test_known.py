"""Known ids against a dict, whatever is asked and added."""

from hypothesis import given
from hypothesis import strategies as st

from retort.corpora.known import KnownIds


@given(batches=st.lists(st.lists(st.text(max_size=3), max_size=20, unique=True), max_size=12))
def test_rows_are_those_of_a_dict(batches):
    known, expected = KnownIds(), {}
    for batch in batches:
        assert known.rows(batch).tolist() == [expected.get(doc_id, -1) for doc_id in batch]
        new = [doc_id for doc_id in batch if doc_id not in expected]
        known.add(new)
        for doc_id in new:
            expected[doc_id] = len(expected)
        assert len(known) == len(expected)
    assert known.rows(list(expected)).tolist() == list(expected.values())
    assert known.rows([]).tolist() == []


def test_runs_stay_few():
    known = KnownIds()
    for start in range(0, 10_000, 10):
        known.add([str(number) for number in range(start, start + 10)])
    assert len(known) == 10_000 and len(known._runs) <= 11
    assert known.rows(["0", "9999", "5000", "x"]).tolist() == [0, 9999, 5000, -1]
