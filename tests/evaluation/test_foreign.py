"""Another system's run: every judged turn counts, and what does not fit is told of."""

import pytest

from retort.errors import DataError
from retort.evaluation.foreign import measure_trec_file

JUDGED = {"7_1": {"a": 2, "b": 0, "c": 1}, "7_2": {"a": 1}}


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
