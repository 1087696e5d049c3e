"""Search on the cluster, group by group of index parts, equals the search in one process."""

import numpy as np
import pytest

from retort.evaluation.exact import search_collection, search_on_cluster
from retort.progress import silent
from retort.shards.index import prepare_index
from retort.shards.reader import Collection
from retort.sparse.search.exact import ExactIndex
from retort.sparse.vectors import SparseVectors
from retort.storage import Workspace


@pytest.mark.parametrize("k", [1, 10, 1000])
@pytest.mark.parametrize("passages_per_task", [1, 10**6])
def test_search_on_the_cluster_equals_the_search_in_one_process(prepared_copy, ray_session, k, passages_per_task):
    workspace = Workspace(prepared_copy)
    (vectors,) = workspace.stages("vectors")
    collection = Collection(vectors)
    vocabulary = collection.vectors.vocabulary_size
    common = np.argsort(-collection.passage_share)[:60]
    generator = np.random.default_rng(0)
    queries = SparseVectors.from_rows(
        # Whole weights give ties; the last query retrieves nothing.
        [(generator.choice(common, 5, replace=False), generator.integers(1, 3, 5)) for _ in range(20)] + [([], [])],
        vocabulary,
    )
    alone = search_collection(collection, queries, k)
    given = search_collection(collection, queries, k, index=ExactIndex.of(collection.vectors, collection.tie_places))
    folder = prepare_index(workspace, vectors, silent, part_passages=256)
    apart = search_on_cluster(folder, queries, k, passages_per_task=passages_per_task)
    assert len(alone) == len(apart) == len(queries) and len(alone[-1].rows) == 0
    for one, other, third in zip(alone, apart, given, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_array_equal(one.rows, third.rows)
