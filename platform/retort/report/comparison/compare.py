"""Runs beside a baseline on the same turns: means, differences, and whether they are more than chance.

The statistics are those of ``measures.paired``, with p corrected over the runs that are compared with the baseline, for each
measure apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from retort.errors import InputError
from retort.measures.paired import compare_pairs
from retort.measures.registry import is_cost

__all__ = ["ComparisonRow", "PerTurn", "compare", "gains", "has_measure"]

_NAMED: Final = 10

PerTurn = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One run and one measure; everything below ``mean`` is None for the baseline itself.

    Attributes:
        run: Its label.
        mean: Mean over the turns; None where the run has no such measure, as another system's has no FLOPS.
        difference: Mean less the baseline's; None, like all below, where one of both has no such measure.
        t_test_p: p of the paired t test, Holm-corrected.
        t_test_p_bonferroni: The same, Bonferroni-corrected.
        randomization_p: p of the paired randomization test, Holm-corrected.
        randomization_p_bonferroni: The same, Bonferroni-corrected.
        interval: 95 % interval of the difference, by conversation; None too where there is only one conversation.
        wins: Turns on which the run is better than the baseline; of a cost, less is better.
        ties: Turns on which both are equal.
        losses: Turns on which the run is worse.
    """

    run: str
    measure: str
    n: int
    mean: float | None
    difference: float | None = None
    t_test_p: float | None = None
    t_test_p_bonferroni: float | None = None
    randomization_p: float | None = None
    randomization_p_bonferroni: float | None = None
    interval: tuple[float, float] | None = None
    wins: int | None = None
    ties: int | None = None
    losses: int | None = None


def compare(
    per_turn: Mapping[str, PerTurn],
    conversations: Mapping[str, str],
    baseline: str,
    measures: Sequence[str],
    *,
    seed: int = 0,
) -> list[ComparisonRow]:
    """Compare runs with a baseline.

    Args:
        per_turn: run -> query_id -> measure -> value.
        conversations: query_id -> conversation_id.
        baseline: The run that the others are compared with.
        measures: Which measures.
        seed: Seed of the randomization test and of the bootstrap.

    Returns:
        By measure, then the baseline and the other runs in the order given.

    Raises:
        InputError: If the baseline is unknown, there are fewer than two turns, or a run lacks a turn or a measure.
    """
    if baseline not in per_turn:
        raise InputError(f"the baseline {baseline} is not among the runs: {', '.join(per_turn) or 'none'}")
    query_ids = sorted({query_id for turns in per_turn.values() for query_id in turns})
    _check(per_turn, query_ids, conversations, measures)
    conversation_ids = [conversations[query_id] for query_id in query_ids]
    others = [run for run in per_turn if run != baseline]

    rows = []
    for measure in measures:
        values = {
            run: np.array([turns[query_id][measure] for query_id in query_ids], dtype=np.float64)
            for run, turns in per_turn.items()
            if has_measure(turns, measure)
        }
        base = values.get(baseline)
        rows.append(ComparisonRow(baseline, measure, len(query_ids), None if base is None else float(base.mean())))
        compared = [run for run in others if base is not None and run in values]
        pairs = [(values[run], base) for run in compared if base is not None]
        paired = dict(zip(compared, compare_pairs(pairs, conversation_ids, seed=seed), strict=True))
        for run in others:
            mean = float(values[run].mean()) if run in values else None
            if base is None or run not in paired:
                rows.append(ComparisonRow(run, measure, len(query_ids), mean))
                continue
            own = paired[run]
            better = gains(values[run] - base, measure)
            wins, losses = int((better > 0).sum()), int((better < 0).sum())
            rows.append(
                ComparisonRow(
                    run=run,
                    measure=measure,
                    n=len(base),
                    mean=mean,
                    difference=own.difference,
                    t_test_p=own.t_test.holm,
                    t_test_p_bonferroni=own.t_test.bonferroni,
                    randomization_p=own.randomization.holm,
                    randomization_p_bonferroni=own.randomization.bonferroni,
                    interval=own.interval,
                    wins=wins,
                    ties=len(base) - wins - losses,
                    losses=losses,
                )
            )
    return rows


def has_measure(turns: PerTurn, measure: str) -> bool:
    """Whether a run has a measure for any turn: another system's run has neither FLOPS nor L0."""
    return any(measure in values for values in turns.values())


def gains(differences: NDArray[np.float64], measure: str) -> NDArray[np.float64]:
    """By how much each turn is better, (N,): costs with the sign turned, and 0 where only the rounding differs."""
    better = -differences if is_cost(measure) else differences
    # Means over ranks such as .1 + .2 and .3 differ by rounding alone, which is no win.
    return np.where(np.abs(better) > 1e-12, better, 0.0)


def _check(
    per_turn: Mapping[str, PerTurn],
    query_ids: Sequence[str],
    conversations: Mapping[str, str],
    measures: Sequence[str],
) -> None:
    problems = []
    for run, turns in per_turn.items():
        if missing := [query_id for query_id in query_ids if query_id not in turns]:
            problems.append(f"{run} lacks {_named(missing)}, which other runs have: evaluate all on the same split")
        for measure in measures:
            if is_cost(measure) and not has_measure(turns, measure):
                continue
            if missing := [query_id for query_id in turns if measure not in turns[query_id]]:
                known = sorted(set.intersection(*(set(values) for values in turns.values())))
                problems.append(f"{run} lacks {measure} for {_named(missing)}; every turn has: {', '.join(known)}")
    if missing := [query_id for query_id in query_ids if query_id not in conversations]:
        problems.append(f"the conversation is unknown of {_named(missing)}")
    if len(query_ids) < 2:
        problems.append(f"a paired test needs at least 2 turns, got {len(query_ids)}")
    if problems:
        raise InputError("these runs cannot be compared:\n" + "\n".join(problems))


def _named(query_ids: Sequence[str]) -> str:
    shown = ", ".join(query_ids[:_NAMED])
    more = f" and {len(query_ids) - _NAMED} more" if len(query_ids) > _NAMED else ""
    return f"{len(query_ids)} {'turn' if len(query_ids) == 1 else 'turns'} ({shown}{more})"
