"""TREC runs and qrels: ``qid Q0 docid rank score tag``, ``qid 0 docid relevance``."""

import io
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from retort.errors import DataError
from retort.formats.lines import read_lines
from retort.measures.ranking import per_turn_measures
from retort.sparse.search.exact import Ranking

__all__ = [
    "MeasuredRun",
    "measure_trec_file",
    "ranked",
    "read_trec_file",
    "read_trec_run",
    "run_scores",
    "trec_qrels",
    "trec_run",
]


def run_scores(
    query_ids: Sequence[str], rankings: Sequence[Ranking], doc_ids: pa.ChunkedArray
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


def read_trec_run(text: str, *, source: str) -> dict[str, dict[str, float]]:
    """Read a TREC run's text, ours or another system's.

    Raises:
        DataError: With file and line, for a row that has no six columns, no number as score, or a passage twice.
    """
    return _read(enumerate(text.split("\n"), start=1), source)


def read_trec_file(path: Path) -> dict[str, dict[str, float]]:
    """Read a TREC run from a file, which may be compressed (.gz, .zst).

    Raises:
        DataError: With file and line, as :func:`read_trec_run`, and if it cannot be read or holds nothing.
    """
    run = _read(read_lines(path), str(path))
    if not run:
        raise DataError("holds no ranking; was the download cut off?", path=path)
    return run


def _read(lines: Iterable[tuple[int, str]], source: str) -> dict[str, dict[str, float]]:
    run: dict[str, dict[str, float]] = {}
    for number, line in lines:
        columns = line.split()
        if not columns:
            continue
        if len(columns) != 6:
            raise DataError(
                f"a run has 6 columns (qid Q0 docid rank score tag), got {len(columns)}: {line.strip()[:60]!r}",
                path=source,
                line=number,
            )
        query_id, _, doc_id, _, score, _ = columns
        try:
            value = float(score)
        except ValueError as error:
            raise DataError(f"the score {score!r} is no number", path=source, line=number) from error
        if math.isnan(value):
            raise DataError(f"the score {score!r} is no number", path=source, line=number)
        scores = run.setdefault(query_id, {})
        if doc_id in scores:
            raise DataError(f"passage {doc_id} is there twice for turn {query_id}", path=source, line=number)
        scores[doc_id] = value
    return run


def ranked(scores: Mapping[str, float]) -> list[str]:
    """A turn's doc_ids in trec_eval's order: by score as float32, equal ones by falling doc_id; ranks in a file do not count."""
    with np.errstate(over="ignore"):  # beyond float32's range is infinity, for trec_eval too
        return sorted(scores, key=lambda doc_id: (np.float32(scores[doc_id]), doc_id), reverse=True)


@dataclass(frozen=True)
class MeasuredRun:
    """Another system's run, measured.

    Attributes:
        per_turn: query_id -> measure -> value, for every judged turn.
        run: query_id -> doc_id -> score.
        notes: What is to be known of it: turns that it lacks, and those that are not there.
    """

    per_turn: dict[str, dict[str, float]]
    run: dict[str, dict[str, float]]
    notes: tuple[str, ...]


def measure_trec_file(
    path: Path,
    judgements: Mapping[str, Mapping[str, int]],
    *,
    split: str,
    known: Collection[str] = frozenset(),
    relevant_from: int = 1,
) -> MeasuredRun:
    """Measure another system's run as ``evaluate`` measures ours: every judged turn counts, one that is missing as 0.

    Args:
        path: The run.
        judgements: query_id -> doc_id -> relevance; what counts.
        split: Their split, for messages.
        known: Turns of the split that may be in the run without being judged.
        relevant_from: Least relevance that counts as relevant in the measures that are not graded.

    Raises:
        DataError: If the file is broken, or none of its turns is judged.
    """
    run = read_trec_file(path)
    if not any(query_id in judgements for query_id in run):
        raise DataError(
            f"none of its {len(run)} query_ids ({_some(list(run))}) is a judged turn of {split} "
            f"(such as {next(iter(judgements))}); is the run of another split?",
            path=path,
        )
    notes = []
    if unknown := [query_id for query_id in run if query_id not in judgements and query_id not in known]:
        notes.append(f"query_ids that {split} does not have, left out: {len(unknown)} ({_some(unknown)})")
    if missing := [query_id for query_id in judgements if query_id not in run]:
        notes.append(f"judged turns that it lacks, counted 0: {len(missing)} of {len(judgements)} ({_some(missing)})")
    if not any(judged.keys() & run.get(query_id, {}).keys() for query_id, judged in judgements.items()):
        notes.append("it retrieves no judged passage at all; are its doc_ids those of the collection?")
    return MeasuredRun(per_turn_measures(judgements, run, relevance_level=relevant_from), run, tuple(notes))


def _some(query_ids: Sequence[str], most: int = 5) -> str:
    return ", ".join(query_ids[:most]) + (", ..." if len(query_ids) > most else "")
