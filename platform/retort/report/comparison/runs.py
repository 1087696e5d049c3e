"""Runs, baselines and other systems, compared on one split: everything that ``retort compare`` shows, as plain values."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from retort.errors import InputError
from retort.measures.registry import SHOWN
from retort.naming import Named
from retort.report.comparison.changed import ChangedTurn, changed_turns
from retort.report.comparison.compare import ComparisonRow, compare, has_measure
from retort.report.comparison.groups import GroupRow, compare_groups, turns_by
from retort.report.comparison.systems import System, load_systems
from retort.storage import Workspace

__all__ = ["Comparison", "compare_runs"]


@dataclass(frozen=True)
class Comparison:
    """Systems compared with a baseline.

    Attributes:
        split: The split on which all were measured.
        turns: Number of its judged turns.
        conversations: How many conversations the turns come from.
        systems: Those that are compared, the baseline first.
        rows: By measure, the baseline first.
        groups: By column, measure and run.
        changed: By run: wins, then losses.
    """

    split: str
    turns: int
    conversations: int
    systems: tuple[System, ...]
    rows: tuple[ComparisonRow, ...]
    groups: tuple[GroupRow, ...] = ()
    changed: tuple[ChangedTurn, ...] = ()

    @property
    def baseline(self) -> str:
        """What the others are compared with."""
        return self.systems[0].label

    @property
    def notes(self) -> list[str]:
        """What a reader must know of the systems: where each comes from, and what was odd about a file; a line each."""
        named = [
            f"{system.label} is {system.source}"
            for system in self.systems
            if system.label not in (system.source, system.named.target)
        ]
        return [*named, *(f"{system.label}: {note}" for system in self.systems for note in system.notes)]

    def to_json(self) -> dict[str, Any]:
        """All of it as one JSON document."""
        return {
            "split": self.split,
            "turns": self.turns,
            "conversations": self.conversations,
            "baseline": self.baseline,
            "systems": [
                {
                    "name": system.label,
                    "kind": system.named.kind,
                    "source": system.source,
                    "evaluation": None if system.folder is None else system.folder.url(),
                    "notes": list(system.notes),
                }
                for system in self.systems
            ],
            "rows": [asdict(row) for row in self.rows],
            "groups": [asdict(row) for row in self.groups],
            "changed": [asdict(turn) for turn in self.changed],
        }


def compare_runs(
    workspace: Workspace,
    named: Sequence[Named],
    *,
    split: str,
    baseline: Named | None = None,
    by: Sequence[str] = (),
    measures: Sequence[str] = SHOWN[:1],
    show: int = 0,
) -> Comparison:
    """Compare finished evaluations of one split, and other systems' runs with them.

    Args:
        workspace: Holds the runs, baselines and judgements.
        named: The systems to compare.
        split: The split on which all were evaluated.
        baseline: The system with which the others are compared, among ``named`` or not; None: the first of them.
        by: Columns of the turns; the effect is computed for each value of each.
        measures: The measures of the groups; the first decides which turns changed most.
        show: How many wins and how many losses of each run are shown.

    Raises:
        InputError: If fewer than two are given, one was not evaluated on the split, or a measure or column is unknown.
    """
    first = baseline if baseline is not None else named[0] if named else None
    every = [] if first is None else [first, *(one for one in named if one != first)]
    if len(every) < 2 or first is None:
        raise InputError(f"a comparison needs two runs, got {', '.join(one.label for one in every) or 'none'}")
    if unknown := [measure for measure in measures if measure not in SHOWN]:
        raise InputError(f"there is no measure {', '.join(unknown)}; there are: {', '.join(SHOWN)}")
    systems, questions = load_systems(workspace, every, split=split)
    per_turn = {system.label: system.per_turn for system in systems}
    conversations = {turn.query_id: turn.conversation_id for turn in questions.turns}
    known = [measure for measure in SHOWN if any(has_measure(turns, measure) for turns in per_turn.values())]
    rows = compare(per_turn, conversations, first.label, known)

    groups: list[GroupRow] = []
    for column in by:
        members = turns_by(questions.turns, column, of_split=questions.of_split)
        for measure in measures:
            groups += compare_groups(per_turn, conversations, first.label, measure, members, by=column)
    changed: list[ChangedTurn] = []
    if show:
        if without := [system.label for system in systems if not has_measure(system.per_turn, measures[0])]:
            raise InputError(f"{', '.join(without)} has no {measures[0]}: --measure names another")
        changed = changed_turns(workspace, systems, systems[0], questions, measure=measures[0], count=show)
    return Comparison(
        split=split,
        turns=len(questions.turns),
        conversations=len(set(conversations.values())),
        systems=tuple(systems),
        rows=tuple(rows),
        groups=tuple(groups),
        changed=tuple(changed),
    )
