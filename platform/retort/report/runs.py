"""Runs of a workspace, compared on what they were evaluated on."""

from collections.abc import Sequence

from retort.errors import InputError
from retort.report.compare import ComparisonRow, compare
from retort.retrieval.latest import latest_evaluation
from retort.storage import Workspace

__all__ = ["compare_runs"]

MEASURES = ("R@100", "R@10", "RR", "nDCG@3", "FLOPS", "L0")


def compare_runs(
    workspace: Workspace, runs: Sequence[str], *, split: str, baseline: str | None = None
) -> list[ComparisonRow]:
    """Compare finished evaluations of one split.

    Args:
        workspace: Where they are.
        runs: Runs, or baselines as ``baseline:last``.
        split: What they were evaluated on.
        baseline: One of them; None: the first.

    Raises:
        InputError: If one was not evaluated on the split, or fewer than two are given.
    """
    names = [*runs] if baseline is None or baseline in runs else [baseline, *runs]
    if len(names) < 2:
        raise InputError(f"a comparison needs two runs, got {', '.join(names) or 'none'}")
    per_turn: dict[str, dict[str, dict[str, float]]] = {}
    conversations: dict[str, str] = {}
    # Runs first: a baseline may have been evaluated with several encoders, and is compared on the runs' footing.
    order = sorted(names, key=lambda name: name.startswith("baseline:"))
    first = latest_evaluation(workspace, order[0], split=split).require("it was just found")
    for name in names:
        folder = latest_evaluation(workspace, name, split=split, like=first)
        rows = folder.read_table("measures.parquet").to_pylist()
        conversations |= {row["query_id"]: row["conversation_id"] for row in rows}
        per_turn[name] = {row["query_id"]: {key: row[key] for key in MEASURES} for row in rows}
    return compare(per_turn, conversations, baseline or names[0], MEASURES)
