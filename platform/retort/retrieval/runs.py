"""TREC runs and qrels: ``qid Q0 docid rank score tag``, ``qid 0 docid relevance``."""

import io
import math
from collections.abc import Mapping, Sequence

import pyarrow as pa

from retort.errors import DataError
from retort.sparse.search import Ranking

__all__ = ["read_trec_run", "run_scores", "trec_run"]


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


def read_trec_run(text: str, *, source: str) -> dict[str, dict[str, float]]:
    """Read a TREC run, ours or another system's.

    Raises:
        DataError: With file and line, for a row that has no six columns, no number as score, or a passage twice.
    """
    run: dict[str, dict[str, float]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        columns = line.split()
        if len(columns) != 6:
            raise DataError(
                f"a run has 6 columns (qid Q0 docid rank score tag), got {len(columns)}", path=source, line=number
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
