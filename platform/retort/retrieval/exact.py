"""Exact retrieval over a collection: in this process, or its parts apart as Ray tasks whose top k are merged."""

from collections.abc import Iterator

import numpy as np

from retort.shards.reader import Collection
from retort.sparse.search import ExactIndex, Ranking, merge_rankings
from retort.sparse.vectors import SparseVectors
from retort.storage import Workspace

__all__ = ["search_collection", "search_on_cluster"]

TASK_PASSAGES = 1_000_000  # below so many, one process is done before a task has started


def _part_groups(collection: Collection, passages: int) -> Iterator[range]:
    """Consecutive parts that hold about so many passages together."""
    first = 0
    ends = collection.vectors.first_rows[1:]
    for number, end in enumerate(ends):
        if end - collection.vectors.first_rows[first] >= passages or number == len(ends) - 1:
            yield range(first, number + 1)
            first = number + 1


def search_collection(
    collection: Collection, queries: SparseVectors, k: int, *, index: ExactIndex | None = None
) -> list[Ranking]:
    """The k best passages of each query, exact.

    Args:
        collection: The passages.
        queries: (Q, V).
        k: Passages per query.
        index: One that is open already; it is built where there is none.
    """
    if index is None and len(collection.vectors) > TASK_PASSAGES:
        return search_on_cluster(collection, queries, k, passages_per_task=TASK_PASSAGES)
    if index is None:
        index = ExactIndex(collection.vectors, collection.tie_places)
    return index.search(queries, k)


def search_on_cluster(
    collection: Collection, queries: SparseVectors, k: int, *, passages_per_task: int
) -> list[Ranking]:
    """The same, with groups of parts as Ray tasks; equal to the search in one process, ties included."""
    from retort.shards.session import ensure_ray

    ensure_ray()
    import ray

    task = ray.remote(_search_parts)
    shared = ray.put((queries.indptr, queries.indices, queries.values, queries.vocabulary_size))
    workspace = collection.folder.workspace
    pending = [
        task.remote(workspace.url, collection.folder.name, group.start, group.stop, shared, k)
        for group in _part_groups(collection, passages_per_task)
    ]
    found: list[list[Ranking]] = ray.get(pending)
    places = np.asarray(collection.tie_places)
    return [merge_rankings([part[query] for part in found], places, k) for query in range(len(queries))]


def _search_parts(url: str, folder: str, start: int, stop: int, queries: tuple, k: int) -> list[Ranking]:  # type: ignore[type-arg]
    collection = Collection(Workspace(url).folder(folder))
    index = ExactIndex(collection.vectors, collection.tie_places, parts=range(start, stop))
    return index.search(SparseVectors(*queries), k)
