"""A split's judgements, read from a qrels file and checked against the turns that they judge."""

from collections.abc import Mapping
from pathlib import Path

from retort.errors import DataError
from retort.formats.trec import read_qrels
from retort.records import Judgement

__all__ = ["read_judged"]


def read_judged(path: Path, turns: Mapping[str, object], topics: Path) -> tuple[list[Judgement], dict[str, str]]:
    """Read a qrels file and check it against the turns that it judges.

    Args:
        path: The file.
        turns: The turns of the split, by query_id.
        topics: The file that the turns come from, for messages.

    Returns:
        The judgements of any relevance, in the file's order, each pair of turn and passage once; and the doc_ids with
        relevance above 0, each with the ``file:line`` that names it first.

    Raises:
        DataError: With the line of the first row that is broken, contradicts another, or judges an unknown turn.
    """
    needed: dict[str, str] = {}
    judged: dict[tuple[str, str], tuple[int, Judgement]] = {}
    for line, judgement in read_qrels(path):
        if judgement.query_id not in turns:
            message = (
                f"judges the turn {judgement.query_id!r}, which {topics} does not have; are both of the same split?"
            )
            raise DataError(message, path=path, line=line)
        key = (judgement.query_id, judgement.doc_id)
        first, there = judged.setdefault(key, (line, judgement))
        if there.relevance != judgement.relevance:
            raise DataError(
                f"{judgement.doc_id} has relevance {judgement.relevance} for {judgement.query_id}, but "
                f"{there.relevance} on line {first}; remove one of the two",
                path=path,
                line=line,
            )
        if judgement.relevance > 0:
            needed.setdefault(judgement.doc_id, f"{path}:{line}")
    if not judged:
        raise DataError("holds no judgement; was the download cut off?", path=path)
    return [judgement for _, judgement in judged.values()], needed
