"""Our rows beside the paper's: what was measured of every grid, what it says of the paper's claims, as tables and JSON.

Everything here is a function of plain points; ``paper_runs`` reads them from a workspace, ``paper_pages`` writes the directory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from retort.measures.registry import figure
from retort.report.paper.claims import CLAIMS, RULES, Grid, Verdict, verdict, verdict_without_grid
from retort.report.paper.grid import Difference, Row, SeededRun, Turns, by_turn, compare_rows, grid_rows, turn_groups
from retort.report.paper.published import MEASURES, REFERENCES, SOURCE, Question

__all__ = [
    "COMPARED",
    "SHOWN",
    "PaperReport",
    "SweepGrid",
    "claims_table",
    "difference_cells",
    "differences_table",
    "grid_of",
    "row_lines",
    "rows_table",
]

SHOWN: Final = (*MEASURES, "L0")
COMPARED: Final = ("RR", "nDCG@3", "R@10", "R@100", "FLOPS", "L0")
TOLD: Final = ("RR", "nDCG@3", "R@100", "FLOPS")  # of the differences, on the terminal; the pages have all


@dataclass(frozen=True)
class SweepGrid:
    """One sweep that asks one of the paper's questions.

    Attributes:
        sweep: Its folder's name.
        trials: How many there shall be.
        failed: How many of those that ended have failed.
        grid: What it measured.
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
        split: What they were measured on.
        sweeps: The grids, in the paper's order.
    """

    split: str
    sweeps: tuple[SweepGrid, ...]

    def verdicts(self) -> list[tuple[str | None, str, Verdict]]:
        """Sweep (None: there is none), question and verdict, for each of the paper's claims, in the paper's order."""
        found: list[tuple[str | None, str, Verdict]] = []
        for space in CLAIMS:
            told = [
                (one.sweep, space, said)
                for one in self.sweeps
                if one.grid.question.space == space and (said := verdict(one.grid)) is not None
            ]
            found += told or [(None, space, verdict_without_grid(space))]
        return found

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
    return Grid(question, rows, baseline, compare_rows(rows, baseline, turns, COMPARED), turns)


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
        "turns_by_number": {label: len(places) for label, places in groups.items()},
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
    names = ("p", "p_holm", "p_bonferroni")
    return asdict(one) | {
        "t_test": dict(zip(names, one.t_test, strict=True)),
        "randomization": dict(zip(names, one.randomization, strict=True)),
    }


def row_lines(grid: Grid, row: Row) -> list[tuple[str, Mapping[str, float | None]]]:
    """A row's lines: ours, the seeds' standard deviation where there are several, and the published figures."""
    count = len(row.runs)
    lines: list[tuple[str, Mapping[str, float | None]]] = [
        (f"ours, {count} {'seed' if count == 1 else 'seeds'}", row.means)
    ]
    if count > 1:
        lines.append(("  s.d.", row.deviations))
    published = grid.published(row)
    if published is not None:
        lines.append(("  paper", published))
    return lines


def rows_table(one: SweepGrid, split: str) -> Table:
    """The grid's means, their spread between seeds, and the published figures."""
    grid = one.grid
    title = f"{one.sweep} on {split} ({len(grid.turns.query_ids)} turns)"
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", title_style="bold")
    table.add_column(grid.question.title, overflow="fold", max_width=24)
    table.add_column("")
    for name in SHOWN:
        table.add_column(name, justify="right", no_wrap=True)
    for row in grid.rows:
        for number, (whose, values) in enumerate(row_lines(grid, row)):
            label = Text(f"{row.label}{' (baseline)' if row is grid.baseline else ''}") if number == 0 else ""
            cells = [figure(name, values.get(name)) for name in SHOWN]
            table.add_row(label, whose, *cells, style="" if number == 0 else "dim")
    table.caption = "; ".join(part for part in (f"paper: {SOURCE}", one.progress) if part)
    table.caption_justify = "left"
    return table


def differences_table(grid: Grid, measures: Sequence[str] = TOLD) -> Table:
    """Every row less the baseline's, with intervals and p; a star marks both tests below .05 after Holm's correction."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(f"less {grid.baseline.label}", overflow="fold", max_width=24)
    for header in (
        "seeds",
        "difference",
        "relative",
        "95 % interval",
        "p\nt test",
        "p\nrandom.",
        "Bonferroni\nrandom.",
    ):
        table.add_column(header, justify="right", no_wrap=True)
    for measure in measures:
        table.add_row(Text(measure, style="bold"))
        for one in grid.differences:
            if one.measure == measure:
                table.add_row(Text(one.row), *difference_cells(one))
        table.add_section()
    table.caption = (
        "p: two-sided, Holm over the rows of a measure unless said; * both below 0.05. Turns are averaged over the seeds that "
        "both have. Intervals resample conversations."
    )
    table.caption_justify = "left"
    return table


def difference_cells(one: Difference) -> list[str]:
    """A difference as text: seeds, difference, relative, interval, Holm's p of both tests, Bonferroni's."""
    star = "*" if max(one.t_test[1], one.randomization[1]) < 0.05 else " "
    interval = "-" if one.interval is None else f"[{one.interval[0]:+.3f}, {one.interval[1]:+.3f}]"
    relative = "-" if one.relative is None else f"{100 * one.relative:+.1f} %"
    p_values = (one.t_test[1], one.randomization[1], one.randomization[2])
    return [str(one.seeds), f"{one.difference:+.3f}{star}", relative, interval, *map(_p, p_values)]


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def claims_table(report: PaperReport) -> Table:
    """The paper's claims and what our grids say of them, with the figures that decided."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title="the paper's claims", title_justify="left", title_style="bold")
    table.add_column("claim", ratio=2, overflow="fold")
    table.add_column("here", no_wrap=True)
    table.add_column("because", ratio=4, overflow="fold")
    for sweep, _, said in report.verdicts():
        reasons = [*([f"{sweep}:"] if sweep else []), *said.reasons]
        table.add_row(Text(said.claim), Text(said.direction, style="bold"), Text("\n".join(reasons)))
        table.add_section()
    return table
