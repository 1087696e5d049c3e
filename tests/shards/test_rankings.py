"""Teacher rankings against brute force over dense vectors."""

import numpy as np
import pytest

from retort.corpora.turns import read_turns
from retort.shards.reader import Collection
from retort.storage import Workspace
from retort.teachers.imports import read_rewrites


@pytest.fixture(scope="module")
def ranked(prepared_path):
    """Rows of the rankings, the passages as a dense matrix, and doc_ids."""
    workspace = Workspace(prepared_path)
    (folder,) = workspace.stages("rankings/synthetic")
    (vectors,) = workspace.stages("vectors")
    rows = [row for name in folder.record().names(".parquet") for row in folder.read_table(name).to_pylist()]
    collection = Collection(vectors)
    dense = collection.vectors.take(range(len(collection.vectors))).to_scipy().toarray().astype(np.float64)
    return workspace, rows, dense, collection


def test_every_turn_with_a_rewrite_is_ranked_in_the_turns_order(ranked):
    workspace, rows, _, _ = ranked
    rewrites = read_rewrites(workspace, "synthetic", "train")
    assert [row["query_id"] for row in rows] == [
        t.query_id for t in read_turns(workspace, "train") if t.query_id in rewrites
    ]


def test_a_rewrite_is_the_set_of_its_word_pieces(ranked):
    workspace, rows, _, collection = ranked
    rewrites = read_rewrites(workspace, "synthetic", "train")
    for row in rows:
        (pieces,) = collection.tokenizer.pieces([rewrites[row["query_id"]]])
        assert row["rewrite_indices"] == sorted(set(pieces.tolist()))
        assert set(row["rewrite_values"]) == {1.0}


def test_rankings_are_the_best_passages_of_a_full_scan(ranked, experiment):
    _, rows, dense, collection = ranked
    top_k = experiment.teacher.top_k
    doc_ids = collection.doc_ids.to_pylist()
    for row in rows:
        scores = dense[:, row["rewrite_indices"]] @ np.array(row["rewrite_values"])
        found, own = np.array(row["passage_rows"]), np.array(row["scores"])
        assert len(set(found.tolist())) == len(found) == min(top_k, np.count_nonzero(scores))
        np.testing.assert_allclose(own, scores[found], rtol=1e-5)
        np.testing.assert_allclose(own, np.sort(scores)[::-1][: len(found)], rtol=1e-5)
        order = [(-score, [-ord(c) for c in doc_ids[r]]) for score, r in zip(own.tolist(), found.tolist(), strict=True)]
        assert [score for score, _ in order] == sorted(score for score, _ in order)
        ties = [
            (doc_ids[a], doc_ids[b]) for a, b, same in zip(found, found[1:], own[:-1] == own[1:], strict=False) if same
        ]
        assert all(first > second for first, second in ties)
