"""Runs beside a baseline on the same turns: means, differences, and whether they are more than chance.

Both paired tests take turns as independent, which those of one conversation are not; the interval resamples whole
conversations. p is corrected over the runs that are compared with the baseline, for each measure apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from retort.errors import InputError
from retort.measures.significance import bootstrap_by_conversation, holm, paired_t_test, randomization_test
from retort.report.points import figure

__all__ = ["ComparisonRow", "compare", "compare_table"]

LESS_IS_BETTER: Final = frozenset({"FLOPS", "L0"})
SIGNIFICANT: Final = 0.05
_NAMED: Final = 10

PerTurn = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One run and one measure; everything below ``mean`` is None for the baseline itself.

    Attributes:
        run: The run.
        measure: The measure, spelled as in the paper.
        n: Turns.
        mean: Mean over the turns.
        difference: Mean less the baseline's.
        t_test_p: Of the paired t test, Holm-corrected.
        randomization_p: Of the paired randomization test, Holm-corrected.
        interval: 95 % interval of the difference, by conversation; None too where there is only one conversation.
        wins: Turns on which the run is better than the baseline (for FLOPS and L0: lower).
        ties: Turns on which both are equal.
        losses: Turns on which the run is worse.
    """

    run: str
    measure: str
    n: int
    mean: float
    difference: float | None = None
    t_test_p: float | None = None
    randomization_p: float | None = None
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
        seed: Of the randomization test and of the bootstrap.

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
        }
        base = values[baseline]
        rows.append(ComparisonRow(baseline, measure, len(base), float(base.mean())))
        t_test = holm([paired_t_test(values[run], base) for run in others])
        randomization = holm([randomization_test(values[run], base, seed=seed) for run in others])
        for position, run in enumerate(others):
            wins, ties, losses = _outcomes(values[run] - base, less_is_better=measure in LESS_IS_BETTER)
            rows.append(
                ComparisonRow(
                    run=run,
                    measure=measure,
                    n=len(base),
                    mean=float(values[run].mean()),
                    difference=float((values[run] - base).mean()),
                    t_test_p=float(t_test[position]),
                    randomization_p=float(randomization[position]),
                    interval=_interval(values[run] - base, conversation_ids, seed),
                    wins=wins,
                    ties=ties,
                    losses=losses,
                )
            )
    return rows


def compare_table(rows: Sequence[ComparisonRow]) -> Table:
    """The rows as a table; a star marks p of the randomization test below 0.05 after Holm's correction."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("run", overflow="fold")
    for header in ("mean", "difference", "95 % interval", "p\nt test", "p\nrandom.", "win/tie\n/loss"):
        table.add_column(header, justify="right", no_wrap=True)
    for position, row in enumerate(rows):
        if position == 0 or rows[position - 1].measure != row.measure:
            if position:
                table.add_section()
            table.add_row(Text(row.measure, style="bold"))
        table.add_row(Text(row.run), figure(row.measure, row.mean), *_comparison(row))
    counts = sorted({row.n for row in rows})
    table.caption = (
        f"n = {', '.join(map(str, counts))} turns. p: two-sided, Holm over the runs of a measure; * randomization "
        f"p < {SIGNIFICANT}. Intervals resample conversations."
    )
    table.caption_justify = "left"
    return table


def _comparison(row: ComparisonRow) -> list[str]:
    if row.difference is None or row.t_test_p is None or row.randomization_p is None:
        return ["baseline", "", "", "", ""]
    star = "*" if row.randomization_p < SIGNIFICANT else " "
    interval = "-" if row.interval is None else f"[{row.interval[0]:+.3f}, {row.interval[1]:+.3f}]"
    outcomes = f"{row.wins}/{row.ties}/{row.losses}"
    return [f"{row.difference:+.3f}{star}", interval, _p(row.t_test_p), _p(row.randomization_p), outcomes]


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _outcomes(differences: NDArray[np.float64], *, less_is_better: bool) -> tuple[int, int, int]:
    gains = -differences if less_is_better else differences
    # Means over ranks such as .1 + .2 and .3 differ by rounding alone, which is no win.
    wins, losses = int((gains > 1e-12).sum()), int((gains < -1e-12).sum())
    return wins, len(gains) - wins - losses, losses


def _interval(
    differences: NDArray[np.float64], conversation_ids: Sequence[str], seed: int
) -> tuple[float, float] | None:
    if len(set(conversation_ids)) < 2:
        return None
    return bootstrap_by_conversation(differences, conversation_ids, seed=seed)


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
