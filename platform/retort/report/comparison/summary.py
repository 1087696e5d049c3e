"""The table that papers have: runs by measures, the best in bold, significance as daggers, and what both mean."""

from dataclasses import dataclass
from typing import Final

from retort.measures.registry import figure
from retort.report.comparison.compare import LESS_IS_BETTER, SIGNIFICANT, ComparisonRow
from retort.report.comparison.runs import Comparison

__all__ = ["DAGGER", "DOUBLE_DAGGER", "Cell", "Summary", "summarise"]

DAGGER: Final = "†"
DOUBLE_DAGGER: Final = "‡"


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure, whether it is the best of its column, and its dagger or nothing."""

    text: str
    best: bool
    mark: str


@dataclass(frozen=True, slots=True)
class Summary:
    """The table.

    Attributes:
        measures: Its columns.
        lines: A run's name, and its cells; the baseline first.
        legend: What is measured, and what bold and daggers say.
    """

    measures: tuple[str, ...]
    lines: tuple[tuple[str, tuple[Cell, ...]], ...]
    legend: str


def summarise(comparison: Comparison) -> Summary:
    """A comparison as the table that papers have."""
    measures = tuple(dict.fromkeys(row.measure for row in comparison.rows))
    rows = {(row.run, row.measure): row for row in comparison.rows}
    labels = [system.label for system in comparison.systems]
    best = {}
    for measure in measures:
        means = [mean for label in labels if (mean := rows[label, measure].mean) is not None]
        best[measure] = figure(measure, (min if measure in LESS_IS_BETTER else max)(means, default=None))
    lines = []
    for label in labels:
        cells = []
        for measure in measures:
            row = rows[label, measure]
            text = figure(measure, row.mean)
            is_best = row.mean is not None and text == best[measure]
            cells.append(Cell(text, is_best, _mark(row, several=len(labels) > 2)))
        lines.append((f"{label} (baseline)" if label == comparison.baseline else label, tuple(cells)))
    return Summary(measures, tuple(lines), _legend(comparison))


def _mark(row: ComparisonRow, *, several: bool) -> str:
    if row.randomization_p is None or row.randomization_p >= SIGNIFICANT:
        return ""
    bonferroni = row.randomization_p_bonferroni
    return DOUBLE_DAGGER if several and bonferroni is not None and bonferroni < SIGNIFICANT else DAGGER


def _legend(comparison: Comparison) -> str:
    """What bold and daggers say; daggers as they are."""
    test = f"p < {SIGNIFICANT} in a two-sided paired randomization test"
    over = f"differs from {comparison.baseline} with {test}"
    if len(comparison.systems) > 2:
        over += f", Holm's correction over the runs of a column; {DOUBLE_DAGGER}: after Bonferroni's too"
    return (
        f"{comparison.split}, {comparison.turns} turns of {comparison.conversations} conversations. "
        f"Bold: the best of a column (FLOPS and L0: the lowest). {DAGGER}: {over}."
    )
