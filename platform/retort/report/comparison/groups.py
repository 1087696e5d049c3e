"""The effect by groups of turns: by turn number, or by any column that the corpus has (domain, topic...).

A group's difference has an interval and no p: groups are looked at, not tested.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from retort.errors import InputError
from retort.measures.paired import interval_by_conversation
from retort.records import Turn
from retort.report.comparison.compare import PerTurn, has_measure
from retort.report.paper.grid import turn_groups

__all__ = ["GroupRow", "compare_groups", "turns_by"]

TURN_NUMBER: Final = "turn_number"
TOPIC_SWITCH: Final = "topic_switch"
MISSING: Final = "(none)"
MOST_GROUPS: Final = 40  # a column with more values is text, not a grouping
FIRST, SAME, SWITCH = "first turn", "same topic", "topic switch"


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One run on one group of turns, less the baseline on the same turns.

    Attributes:
        by: The column by whose values turns are grouped.
        group: Its value; of turn numbers the deepest may be one group, as ``9+``.
        n: Number of turns in the group.
        conversations: How many conversations they come from.
        baseline_mean: The baseline's mean over the turns.
        mean: The run's mean over them.
        difference: The run's mean less the baseline's.
        interval: 95 % interval of the difference, by conversation; None where there is only one.
    """

    by: str
    group: str
    run: str
    measure: str
    n: int
    conversations: int
    baseline_mean: float
    mean: float
    difference: float
    interval: tuple[float, float] | None


def compare_groups(
    per_turn: Mapping[str, PerTurn],
    conversations: Mapping[str, str],
    baseline: str,
    measure: str,
    groups: Mapping[str, Sequence[str]],
    *,
    by: str,
    seed: int = 0,
) -> list[GroupRow]:
    """Compare runs with a baseline on each group of turns.

    Args:
        per_turn: run -> query_id -> measure -> value, as for :func:`retort.report.comparison.compare.compare`, which checks it.
        conversations: query_id -> conversation_id.
        baseline: The run that the others are compared with.
        measure: Which measure.
        groups: Label of each group -> its query_ids.
        by: The column by whose values the turns are grouped.
        seed: Seed of the bootstrap.

    Returns:
        By run, then by group, in the orders given.

    Raises:
        InputError: If a run has no such measure.
    """
    if without := [run for run, turns in per_turn.items() if not has_measure(turns, measure)]:
        raise InputError(f"{', '.join(without)} has no {measure}, so that it cannot be looked at by {by}")
    rows = []
    for run in (run for run in per_turn if run != baseline):
        for label, query_ids in groups.items():
            own = np.array([per_turn[run][query_id][measure] for query_id in query_ids])
            base = np.array([per_turn[baseline][query_id][measure] for query_id in query_ids])
            of = [conversations[query_id] for query_id in query_ids]
            rows.append(
                GroupRow(
                    by=by,
                    group=label,
                    run=run,
                    measure=measure,
                    n=len(of),
                    conversations=len(set(of)),
                    baseline_mean=float(base.mean()),
                    mean=float(own.mean()),
                    difference=float((own - base).mean()),
                    interval=interval_by_conversation(own - base, of, seed=seed),
                )
            )
    return rows


def turns_by(turns: Sequence[Turn], column: str, *, of_split: Sequence[Turn] | None = None) -> dict[str, list[str]]:
    """Turns by the value of a column: ``turn_number``, any attribute, or ``topic_switch``.

    ``topic_switch`` is the corpus's own column where it has one; else it follows from a column ``topic``: whether the turn
    before it in the conversation has another topic.

    Args:
        turns: Those that are grouped.
        column: The column.
        of_split: All turns of their split, judged or not, to find the turn before; None: ``turns``.

    Returns:
        Value -> query_ids; numbers ascend, texts are sorted, turns without a value come last.

    Raises:
        InputError: If no turn has the column, or it has too many values to be a grouping.
    """
    if column == TURN_NUMBER:
        by_number = turn_groups([turn.turn_number for turn in turns])
        return {label: [turns[position].query_id for position in positions] for label, positions in by_number.items()}
    values = {turn.query_id: turn.attributes.get(column, "") for turn in turns}
    if not any(values.values()) and column == TOPIC_SWITCH:
        values = _switches(turns, of_split if of_split is not None else turns)
    if not any(values.values()):
        known = sorted({key for turn in turns for key in turn.attributes})
        raise InputError(
            f"no turn has a column {column!r}; there are: {', '.join([TURN_NUMBER, *known])}"
            + (f" ({TOPIC_SWITCH} needs a column topic)" if column == TOPIC_SWITCH else "")
        )
    groups: dict[str, list[str]] = {}
    for query_id, value in values.items():
        groups.setdefault(value or MISSING, []).append(query_id)
    if len(groups) > MOST_GROUPS:
        raise InputError(f"the column {column!r} has {len(groups)} values; at most {MOST_GROUPS} make a readable table")
    return {label: groups[label] for label in sorted(groups, key=_order)}


def _switches(turns: Sequence[Turn], of_split: Sequence[Turn]) -> dict[str, str]:
    topics: dict[str, str] = {}  # of the turn before, by conversation
    switches: dict[str, str] = {}
    for turn in sorted(of_split, key=lambda turn: turn.turn_number):
        topic = next((value for key, value in turn.attributes.items() if key.lower() == "topic"), "")
        earlier = topics.get(turn.conversation_id)
        if topic:
            switches[turn.query_id] = FIRST if earlier is None else SAME if earlier == topic else SWITCH
            topics[turn.conversation_id] = topic
    return {turn.query_id: switches.get(turn.query_id, "") for turn in turns}


def _order(label: str) -> tuple[bool, bool, float, str]:
    try:
        return label == MISSING, False, float(label), label
    except ValueError:
        return label == MISSING, True, 0.0, label
