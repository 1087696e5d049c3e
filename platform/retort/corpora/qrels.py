"""Judgements from qrels files, TREC's (``query_id 0 doc_id relevance``) and BEIR's (a header, then three columns)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from retort.errors import DataError
from retort.formats.lines import read_lines
from retort.records import Judgement

__all__ = ["Judged", "read_judged", "read_qrels"]

BEIR_HEADER: Final = ("query-id", "corpus-id", "score")


@dataclass(frozen=True, slots=True)
class Judged:
    """The judgements of a split, and where each passage that is needed for them is named.

    Attributes:
        judgements: Of any relevance, in the file's order, each pair once.
        needed: doc_ids with relevance above 0 -> ``file:line``.
        unknown: Judgements of turns that the split does not have.
    """

    judgements: tuple[Judgement, ...]
    needed: dict[str, str]
    unknown: int


def read_judged(path: Path, turns: Mapping[str, object], topics: Path, *, others: bool = False) -> Judged:
    """Read a qrels file and check it against the turns that it judges.

    Args:
        path: The file.
        turns: Keyed by query_id.
        topics: Where those come from, for messages.
        others: Count judgements of other turns instead of refusing the file.

    Raises:
        DataError: With the line of the first row that is broken, contradicts another, or judges an unknown turn.
    """
    needed: dict[str, str] = {}
    judged: dict[tuple[str, str], tuple[int, Judgement]] = {}
    unknown = 0
    for line, judgement in read_qrels(path):
        if judgement.query_id not in turns:
            if others:
                unknown += 1
                continue
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
        about = f" of the turns of {topics}" if unknown else "; was the download cut off?"
        raise DataError(f"holds no judgement{about}", path=path)
    return Judged(tuple(judgement for _, judgement in judged.values()), needed, unknown)


def read_qrels(path: Path) -> Iterator[tuple[int, Judgement]]:
    """The rows of a qrels file with their lines; columns are separated by tabs or blanks.

    Raises:
        DataError: With the line of a row that is none.
    """
    width = 4
    for line, text in read_lines(path):
        columns = text.split()
        if not columns:
            continue
        if tuple(columns) == BEIR_HEADER:
            width = 3
            continue
        if len(columns) != width:
            shape = "'query_id 0 doc_id relevance'" if width == 4 else f"'{' '.join(BEIR_HEADER)}' as its header says"
            message = f"expected {width} columns, {shape}, got {len(columns)}: {text[:60]!r}"
            raise DataError(message, path=path, line=line)
        try:
            relevance = int(columns[-1])
        except ValueError as error:
            message = f"relevance must be a whole number, got {columns[-1]!r}"
            raise DataError(message, path=path, line=line) from error
        if abs(relevance) >= 2**31:
            raise DataError(f"relevance must fit into 32 bits, got {relevance}", path=path, line=line)
        yield line, Judgement(columns[0], columns[-2], relevance)
