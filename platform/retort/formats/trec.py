"""TREC runs (``query_id Q0 doc_id rank score tag``) and qrels (``query_id 0 doc_id relevance``), read and written.

Files are read as trec_eval 10 reads them: columns are separated by blanks or tabs, a line that begins with ``#`` is a
comment, the ranks of a run count for nothing, and so does what stands behind its tag. Files may be compressed.
"""

import io
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from retort.errors import DataError
from retort.formats.lines import read_lines
from retort.records import Judgement

if TYPE_CHECKING:
    from retort.sparse.search.exact import Ranking

__all__ = [
    "RankedTurn",
    "ranked",
    "read_qrels",
    "read_trec_file",
    "read_trec_run",
    "read_trec_turns",
    "run_scores",
    "trec_qrels",
    "trec_run",
]

COMMENT: Final = "#"
BEIR_HEADER: Final = ["query-id", "corpus-id", "score"]
SHOWN_CHARACTERS: Final = 60  # of a broken line, in a message


@dataclass(frozen=True, slots=True)
class RankedTurn:
    """Passages that a file ranks for one turn.

    Attributes:
        key: The turn's query_id; in DiSCo's files, its row in the topics file.
        line: The line on which the ranking begins, from 1.
        scores: doc_id -> score, in the file's order.
        lines: The line of each passage.
    """

    key: str
    line: int
    scores: dict[str, float]
    lines: "array[int]" = field(default_factory=lambda: array("q"))

    def extend(self, later: "RankedTurn", source: Path | str) -> None:
        """Add passages of the same turn that stand further down in the file.

        Raises:
            DataError: With source and line, if one of them is there already.
        """
        for (doc_id, score), line in zip(later.scores.items(), later.lines, strict=True):
            if doc_id in self.scores:
                raise _twice(self, doc_id, line, source)
            self.scores[doc_id] = score
            self.lines.append(line)


def _twice(turn: RankedTurn, doc_id: str, line: int, source: Path | str) -> DataError:
    first = turn.lines[list(turn.scores).index(doc_id)]
    return DataError(
        f"{turn.key} ranks {doc_id} on line {first} already; remove one of the two", path=source, line=line
    )


def read_trec_turns(path: Path) -> Iterator[RankedTurn]:
    """Read a TREC run turn by turn, in the file's order, with one turn's ranking in memory at a time.

    A turn whose lines do not all stand together comes as several rankings.

    Raises:
        DataError: With file and line, if the file cannot be read, holds no ranking, or a line is broken.
    """
    empty = True
    for turn in _turns(read_lines(path), path):
        empty = False
        yield turn
    if empty:
        raise DataError("holds no ranking; was the download cut off?", path=path)


def read_trec_file(path: Path) -> dict[str, dict[str, float]]:
    """Read a whole TREC run: query_id -> doc_id -> score.

    Raises:
        DataError: As :func:`read_trec_turns`, and if a turn ranks a passage twice.
    """
    return _run(read_trec_turns(path), path)


def read_trec_run(text: str, *, source: str) -> dict[str, dict[str, float]]:
    """Read the text of a run that :func:`trec_run` wrote: query_id -> doc_id -> score.

    It may be empty, and holds no comments: a query_id may begin with ``#``.

    Raises:
        DataError: With source and line, as :func:`read_trec_file`.
    """
    return _run(_turns(enumerate(text.split("\n"), start=1), source, comments=False), source)


def _run(turns: Iterable[RankedTurn], source: Path | str) -> dict[str, dict[str, float]]:
    by_id: dict[str, RankedTurn] = {}
    for turn in turns:
        first = by_id.setdefault(turn.key, turn)
        if first is not turn:
            first.extend(turn, source)
    return {query_id: turn.scores for query_id, turn in by_id.items()}


def _turns(lines: Iterable[tuple[int, str]], source: Path | str, *, comments: bool = True) -> Iterator[RankedTurn]:
    turn: RankedTurn | None = None
    for number, line in lines:
        columns = line.split(None, 6)
        if not columns or (comments and columns[0][0] == COMMENT):
            continue
        if len(columns) < 6:
            message = f"expected `query_id Q0 doc_id rank score tag`, got {len(columns)} columns: {_shown(line)}"
            raise DataError(message, path=source, line=number)
        query_id, doc_id = columns[0], columns[2]
        try:
            score = float(columns[4])
        except ValueError:
            score = math.nan
        if math.isnan(score):
            message = f"the score of {query_id} must be a number, got {columns[4][:40]!r}"
            raise DataError(message, path=source, line=number)
        if turn is None or query_id != turn.key:
            if turn is not None:
                yield turn
            turn = RankedTurn(query_id, number, {})
            scores, numbers = turn.scores, turn.lines
        if doc_id in scores:
            raise _twice(turn, doc_id, number, source)
        scores[doc_id] = score
        numbers.append(number)
    if turn is not None:
        yield turn


def read_qrels(path: Path) -> Iterator[tuple[int, Judgement]]:
    """Read a qrels file row by row, each with its line: TREC's four columns, or BEIR's three below their header.

    A relevance of ``1.0`` is 1.

    Raises:
        DataError: With file and line, if the file cannot be read or a row is broken.
    """
    width = 4
    for line, text in read_lines(path):
        columns = text.split()
        if not columns or columns[0][0] == COMMENT:
            continue
        if columns == BEIR_HEADER:
            width = 3
            continue
        if len(columns) != width:
            shape = "`query_id 0 doc_id relevance`" if width == 4 else f"`{' '.join(BEIR_HEADER)}` as its header says"
            raise DataError(f"expected {shape}, got {len(columns)} columns: {_shown(text)}", path=path, line=line)
        query_id, doc_id, written = columns[0], columns[-2], columns[-1]
        try:
            relevance = float(written)
        except ValueError:
            relevance = math.nan
        if not relevance.is_integer():
            raise DataError(f"relevance must be a whole number, got {written!r}", path=path, line=line)
        if not -(2**31) < relevance < 2**31:
            raise DataError(f"relevance must fit into 32 bits, got {written}", path=path, line=line)
        yield line, Judgement(query_id, doc_id, int(relevance))


def _shown(line: str) -> str:
    return repr(line.strip()[:SHOWN_CHARACTERS])


def run_scores(
    query_ids: Sequence[str], rankings: "Sequence[Ranking]", doc_ids: pa.ChunkedArray
) -> dict[str, dict[str, float]]:
    """Rankings as query_id -> doc_id -> score, best first; a query that retrieved nothing is left out."""
    run: dict[str, dict[str, float]] = {}
    for query_id, ranking in zip(query_ids, rankings, strict=True):
        if len(ranking.rows):
            names = doc_ids.take(pa.array(ranking.rows)).to_pylist()
            run[query_id] = dict(zip(names, ranking.scores.tolist(), strict=True))
    return run


def trec_run(run: Mapping[str, Mapping[str, float]], *, tag: str) -> str:
    """A run's text; nine significant digits hold a float32 exactly, so that ties and order read back as they were."""
    text = io.StringIO()
    for query_id, scores in run.items():
        for rank, (doc_id, score) in enumerate(scores.items(), start=1):
            text.write(f"{query_id} Q0 {doc_id} {rank} {score:.9g} {tag}\n")
    return text.getvalue()


def trec_qrels(judgements: Mapping[str, Mapping[str, int]]) -> str:
    """Judgements as the text of a qrels file, graded, in the order given."""
    return "".join(
        f"{query_id} 0 {doc_id} {relevance}\n"
        for query_id, judged in judgements.items()
        for doc_id, relevance in judged.items()
    )


def ranked(scores: Mapping[str, float]) -> list[str]:
    """A turn's doc_ids in trec_eval's order: by score as float32, equal ones by falling doc_id; ranks in a file do not count."""
    with np.errstate(over="ignore"):  # beyond float32's range is infinity, for trec_eval too
        return sorted(scores, key=lambda doc_id: (np.float32(scores[doc_id]), doc_id), reverse=True)
