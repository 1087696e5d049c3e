"""Our rows beside the paper's: what was measured of every grid, and what it says of the paper's claims, as values and JSON.

Everything here is a function of plain points: ``runs`` reads them from a workspace, ``tables`` and ``pages`` show them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from retort.measures.paired import Corrected
from retort.report.paper.claims import CLAIMS, RULES, Grid, Verdict, verdict
from retort.report.paper.grid import Difference, Row, SeededRun, Turns, by_turn, compare_rows, grid_rows, turn_groups
from retort.report.paper.published import MEASURES, REFERENCES, SOURCE, Question

__all__ = ["SHOWN", "PaperReport", "SweepGrid", "grid_of"]

SHOWN: Final = (*MEASURES, "L0")  # in the order of the paper's tables, to be read beside them


@dataclass(frozen=True)
class SweepGrid:
    """One sweep that asks one of the paper's questions.

    Attributes:
        sweep: Name of its folder.
        trials: Number of trials that it is to have.
        failed: Number of those that ended in an error.
        grid: The measures of its finished trials.
        ended: Whether the sweep has ended.
    """

    sweep: str
    trials: int
    failed: int
    grid: Grid
    ended: bool

    @property
    def progress(self) -> str:
        """How far it is, where it is not all there; empty otherwise."""
        finished = sum(len(row.runs) for row in self.grid.rows)
        failed = f", {self.failed} failed" if self.failed else ""
        if self.ended and not failed:
            return ""
        return f"{finished} of {self.trials} trials finished{failed}{'' if self.ended else '; the sweep has not ended'}"


@dataclass(frozen=True)
class PaperReport:
    """All of the paper's grids in a workspace.

    Attributes:
        split: The split on which they were measured.
        sweeps: The grids, in the paper's order.
    """

    split: str
    sweeps: tuple[SweepGrid, ...]

    def verdicts(self) -> list[tuple[str | None, str, Verdict]]:
        """Sweep (None: no sweep asks it), question and verdict, for each of the paper's claims, in the paper's order."""
        verdicts: list[tuple[str | None, str, Verdict]] = []
        for space in CLAIMS:
            of_claim = [
                (one.sweep, space, said)
                for one in self.sweeps
                if one.grid.question.space == space and (said := verdict(one.grid)) is not None
            ]
            missing = Verdict(CLAIMS[space], "can't be told", (f"no sweep of {space} in the workspace",))
            verdicts += of_claim or [(None, space, missing)]
        return verdicts

    def to_json(self) -> dict[str, Any]:
        """The report as one JSON document."""
        return {
            "split": self.split,
            "published": {"source": SOURCE, "references": REFERENCES},
            "claims": [
                {"sweep": sweep, "question": space, **asdict(said), "rule": RULES[space]}
                for sweep, space, said in self.verdicts()
            ],
            "sweeps": [_sweep_json(one) for one in self.sweeps],
        }


def grid_of(question: Question, runs: Sequence[SeededRun], turns: Turns) -> Grid:
    """A grid's rows and differences; the baseline's row is the question's, or the first where the grid lacks it."""
    rows = grid_rows(runs)
    own = [row for row in rows if _is_value(row, question)]
    baseline = own[0] if own else rows[0]
    return Grid(question, rows, baseline, compare_rows(rows, baseline, turns, SHOWN), turns)


def _is_value(row: Row, question: Question) -> bool:
    value = row.setting.get(question.key)
    return not isinstance(value, bool) and value == question.baseline


def _sweep_json(one: SweepGrid) -> dict[str, Any]:
    grid = one.grid
    groups = turn_groups(grid.turns.turn_numbers)
    return {
        "sweep": one.sweep,
        "question": grid.question.title,
        "key": grid.question.key,
        "n": len(grid.turns.query_ids),
        "conversations": len(set(grid.turns.conversation_ids)),
        "baseline": grid.baseline.label,
        "progress": one.progress or None,
        "turns_by_number": {label: len(positions) for label, positions in groups.items()},
        "rows": [
            {
                "row": row.label,
                "setting": dict(row.setting),
                "seeds": list(row.seeds),
                "runs": [run.run for run in row.runs],
                "means": {name: row.means[name] for name in SHOWN},
                "standard_deviations": {name: row.deviations[name] for name in SHOWN},
                "published": grid.published(row),
                "by_turn": {name: by_turn(row, grid.turns, name) for name in ("L0", "R@100", "FLOPS")},
            }
            for row in grid.rows
        ],
        "differences": [_difference_json(difference) for difference in grid.differences],
    }


def _difference_json(one: Difference) -> dict[str, Any]:
    def p_values(test: Corrected) -> dict[str, float]:
        return {"p": test.p, "p_holm": test.holm, "p_bonferroni": test.bonferroni}

    return {
        "row": one.row,
        "measure": one.measure,
        "seeds": one.seeds,
        "difference": one.difference,
        "relative": one.relative,
        "interval": one.interval,
        "t_test": p_values(one.paired.t_test),
        "randomization": p_values(one.paired.randomization),
    }
