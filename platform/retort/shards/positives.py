"""A turn's judged positives: which they are, and what a teacher gives them. Training shards and learned weights share it."""

from typing import Any

from retort.records import Turn
from retort.shards.reader import Collection
from retort.sparse.vectors import SparseVectors
from retort.storage import Folder

__all__ = ["positives_of", "ranked_turns", "scores_of_positives"]


def positives_of(turn: Turn, judged: dict[str, int], relevant_from: int) -> list[str]:
    """doc_ids that the corpus gives as relevant, or that are judged at least ``relevant_from``, sorted."""
    relevant = (doc_id for doc_id, relevance in judged.items() if relevance >= relevant_from)
    return sorted({*turn.positives, *relevant})


def ranked_turns(folder: Folder, file: str, top_k: int) -> dict[str, dict[str, Any]]:
    """One part of a teacher's rankings by query_id; turns for which nothing is ranked are left out.

    A ranking that was made here has no more than ``top_k`` passages; one from elsewhere is cut there.
    """
    rows = folder.read_table(file).to_pylist()
    for row in rows:
        row["passage_rows"], row["scores"] = row["passage_rows"][:top_k], row["scores"][:top_k]
    return {row["query_id"]: row for row in rows if row["passage_rows"]}


def scores_of_positives(collection: Collection, rows: list[int], ranking: dict[str, Any]) -> tuple[list[float], int]:
    """A teacher's score of each positive, and how many of them are no more than a bound.

    A positive outside the top K has a score too: the same dot product of rewrite and passage. A ranking that came without
    a rewrite has none for it: it lies below all that is ranked, so that the ranking's lowest score stands in.
    """
    if not ranking["rewrite_indices"]:
        own = dict(zip(ranking["passage_rows"], ranking["scores"], strict=True))
        lowest = min(ranking["scores"])
        return [float(own.get(row, lowest)) for row in rows], sum(row not in own for row in rows)
    rewrite = SparseVectors.from_rows(
        [(ranking["rewrite_indices"], ranking["rewrite_values"])], collection.vectors.vocabulary_size
    )
    product = collection.vectors.take(rows).to_scipy() @ rewrite.to_scipy().T
    return [float(score) for score in product.toarray()[:, 0]], 0
