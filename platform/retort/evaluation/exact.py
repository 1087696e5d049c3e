"""Exact retrieval over a collection: in this process, or groups of index parts as Ray tasks whose top k are merged."""

from collections.abc import Iterator

import numpy as np

from retort.progress import Progress, silent
from retort.shards.index import open_index, part_passages, prepare_index
from retort.shards.reader import Collection
from retort.sparse.search.exact import ExactIndex, Ranking, merge_rankings
from retort.sparse.vectors import SparseVectors
from retort.storage import Folder, Workspace

__all__ = ["search_collection", "search_on_cluster"]

TASK_PASSAGES = 1_000_000  # below so many, one process is done before a task has started


def _part_groups(parts: list[int], passages: int) -> Iterator[range]:
    """Consecutive parts that hold about so many passages together."""
    first = held = 0
    for number, size in enumerate(parts):
        held += size
        if held >= passages or number == len(parts) - 1:
            yield range(first, number + 1)
            first, held = number + 1, 0


def search_collection(
    collection: Collection,
    queries: SparseVectors,
    k: int,
    *,
    index: ExactIndex | None = None,
    progress: Progress = silent,
) -> list[Ranking]:
    """The k best passages of each query, exact.

    Args:
        collection: The passages.
        queries: (Q, V).
        k: Passages per query.
        index: One that is open already; the workspace's is opened where there is none, and built where it is missing.
        progress: Called while the index is built.
    """
    if index is not None:
        return index.search(queries, k)
    folder = prepare_index(collection.folder.workspace, collection.folder, progress)
    from retort.shards.session import holds_processors

    # A trial's tasks would wait for the processors that the trial itself holds.
    if len(collection.vectors) > TASK_PASSAGES and not holds_processors():
        return search_on_cluster(folder, queries, k, passages_per_task=TASK_PASSAGES)
    return open_index(folder).search(queries, k)


def search_on_cluster(folder: Folder, queries: SparseVectors, k: int, *, passages_per_task: int) -> list[Ranking]:
    """Search a finished index with groups of its parts as Ray tasks; equal to the search in one process, ties included."""
    from retort.shards.session import ensure_ray

    ensure_ray()
    import ray

    task = ray.remote(_search_parts)
    shared = ray.put((queries.indptr, queries.indices, queries.values, queries.vocabulary_size))
    pending = [
        task.remote(folder.workspace.url, folder.name, group.start, group.stop, shared, k)
        for group in _part_groups(part_passages(folder), passages_per_task)
    ]
    found: list[list[Ranking]] = ray.get(pending)
    places = np.asarray(folder.read_array("places.npy"))
    return [merge_rankings([part[query] for part in found], places, k) for query in range(len(queries))]


def _search_parts(url: str, folder: str, start: int, stop: int, queries: tuple, k: int) -> list[Ranking]:  # type: ignore[type-arg]
    index = open_index(Workspace(url).folder(folder), parts=range(start, stop))
    return index.search(SparseVectors(*queries), k)
