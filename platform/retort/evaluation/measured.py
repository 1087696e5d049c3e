"""The measures of a run over a split's turns, and what an engine that quantises loses against the exact scores."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from retort.measures.ranking import by_group, mean_measures, per_turn_measures
from retort.measures.registry import COST, RANKING
from retort.measures.sparsity import activation_share, flops, l0_per_row, per_query_flops
from retort.records import Turn
from retort.sparse.vectors import SparseVectors

__all__ = ["loss_measures", "measure"]

JUDGED = "Judged@10"
COMPARED = 100  # best passages of both engines
Run = Mapping[str, Mapping[str, float]]


def measure(
    turns: Sequence[Turn],
    judgements: Mapping[str, Mapping[str, int]],
    run: Mapping[str, Mapping[str, float]],
    queries: SparseVectors,
    passage_share: np.ndarray,
    *,
    relevant_from: int = 1,
) -> tuple[dict[str, Any], pa.Table]:
    """Measures of a run: the means, by turn number, and a table with one row per turn.

    Args:
        turns: The judged turns, in the order of ``queries``.
        judgements: query_id -> doc_id -> relevance.
        run: query_id -> doc_id -> score.
        queries: (Q, V).
        passage_share: (V,), p_d.
        relevant_from: Least relevance that counts as relevant in the measures that are not graded.
    """
    per_turn = per_turn_measures(judgements, run, measures=(*RANKING, JUDGED), relevance_level=relevant_from)
    costs = per_query_flops(queries.indptr, queries.indices, passage_share)
    active = l0_per_row(queries.indptr)
    for turn, cost, entries in zip(turns, costs, active, strict=True):
        per_turn[turn.query_id] |= {"FLOPS": float(cost), "L0": float(entries)}
    share = activation_share(queries.indptr, queries.indices, queries.vocabulary_size)
    means = mean_measures(per_turn)
    means["FLOPS"] = flops(share, passage_share)
    names = (*RANKING, JUDGED, *COST)
    groups = by_group(per_turn, {turn.query_id: turn.turn_number for turn in turns})
    measures: dict[str, Any] = {"n": int(means["n"])} | {name: means[name] for name in names}
    measures["by_turn"] = {str(number): values for number, values in groups.items()}
    table = pa.table(
        {
            "query_id": [turn.query_id for turn in turns],
            "conversation_id": [turn.conversation_id for turn in turns],
            "turn_number": pa.array([turn.turn_number for turn in turns], pa.int32()),
        }
        | {name: [per_turn[turn.query_id][name] for turn in turns] for name in names}
    )
    return measures, table


def loss_measures(
    judgements: Mapping[str, Mapping[str, int]], exact: Run, run: Run, *, relevant_from: int, index_bytes: int
) -> dict[str, float]:
    """How an engine's rankings differ from the exact ones of the same queries.

    ``overlap@k``: mean share of the exact k best passages that are among the engine's k best; queries that nothing is found for
    are left out. ``score_error``: mean relative error of the scores of what both have among their hundred best.

    Args:
        judgements: query_id -> doc_id -> relevance.
        exact: query_id -> doc_id -> score, best first.
        run: The engine's, in units of the exact scores.
        relevant_from: Least relevance that counts as relevant.
        index_bytes: Size of the engine's index.
    """
    shares: dict[int, list[float]] = {10: [], COMPARED: []}
    errors: list[float] = []
    for query_id, scores in exact.items():
        others = run.get(query_id, {})
        for depth, overlaps in shares.items():
            best = list(scores)[:depth]
            overlaps.append(len(set(best) & set(list(others)[:depth])) / len(best))
        both = set(list(scores)[:COMPARED]) & set(list(others)[:COMPARED])
        errors += [abs(others[doc_id] - scores[doc_id]) / scores[doc_id] for doc_id in both]
    recall = mean_measures(per_turn_measures(judgements, exact, measures=("R@100",), relevance_level=relevant_from))
    return {
        "exact_R@100": recall["R@100"],
        **{f"overlap@{depth}": float(np.mean(values)) if values else 0.0 for depth, values in shares.items()},
        "score_error": float(np.mean(errors)) if errors else 0.0,
        "index_bytes": float(index_bytes),
    }
