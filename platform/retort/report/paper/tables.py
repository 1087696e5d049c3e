"""The paper's report as tables: each grid's rows beside the published figures, its differences, and the claims."""

from collections.abc import Mapping

from retort.measures.paired import SIGNIFICANT
from retort.report.paper.claims import Grid
from retort.report.paper.grid import Difference, Row
from retort.report.paper.published import REFERENCES, SOURCE
from retort.report.paper.report import SHOWN, PaperReport, SweepGrid
from retort.report.render import table
from retort.report.render.table import (
    Cell,
    Column,
    Heading,
    Table,
    interval_text,
    measure_cells,
    measure_columns,
    p_text,
    row,
)

__all__ = ["claims_table", "differences_table", "references_table", "rows_table"]


def rows_table(one: SweepGrid, split: str) -> Table:
    """The grid's means, their spread between seeds, and the published figures."""
    grid = one.grid
    rows = []
    for own in grid.rows:
        label = f"{own.label} (baseline)" if own is grid.baseline else own.label
        for number, (whose, values) in enumerate(_lines(grid, own)):
            name = "" if number else label
            rows.append(row(name, whose, *measure_cells(SHOWN, values), style="dim" if number else ""))
    columns = (Column(grid.question.title, "name"), Column("whose", "name"), *measure_columns(SHOWN))
    notes = [f"paper: {SOURCE}", *([one.progress] if one.progress else [])]
    turns = f"{len(grid.turns.query_ids)} turns of {len(set(grid.turns.conversation_ids))} conversations"
    return Table(f"{one.sweep} on {split} ({turns})", columns, rows, notes)


def _lines(grid: Grid, own: Row) -> list[tuple[str, Mapping[str, float | None]]]:
    """A row's lines: ours, the seeds' standard deviation where there are several, and the published figures."""
    count = len(own.runs)
    lines: list[tuple[str, Mapping[str, float | None]]] = [
        (f"ours, {count} {'seed' if count == 1 else 'seeds'}", own.means)
    ]
    if count > 1:
        lines.append(("s.d.", own.deviations))
    if (published := grid.published(own)) is not None:
        lines.append(("paper", published))
    return lines


def references_table() -> Table:
    """What the paper compares its students with."""
    rows = [row(name, *measure_cells(SHOWN, values)) for name, values in REFERENCES.items()]
    return Table("Published baselines", (Column("baseline", "name"), *measure_columns(SHOWN)), rows)


def differences_table(grid: Grid) -> Table:
    """Every row less the baseline's, with intervals and p; a star marks both tests below .05 after Holm's correction."""
    columns = (
        Column(f"less {grid.baseline.label}", "name"),
        Column("seeds", importance=84),
        Column("difference", importance=90),
        Column("relative", importance=86),
        Column("95 % interval", importance=89),
        Column("p t test", importance=87),
        Column("p random.", importance=88),
        Column("Bonferroni random.", importance=85),
    )
    lines: list[table.Row | Heading] = []
    for measure in SHOWN:
        own = [difference for difference in grid.differences if difference.measure == measure]
        lines += [Heading(measure)] if own else []
        lines += [row(difference.row, *_cells(difference)) for difference in own]
    notes = [
        f"p: two-sided, Holm over the rows of a measure unless said; * both below {SIGNIFICANT}. Turns are averaged over the "
        "seeds that both have. Intervals resample conversations."
    ]
    return Table("", columns, lines, notes)


def _cells(own: Difference) -> list[Cell | str]:
    t_test, randomization = own.paired.t_test, own.paired.randomization
    star = "*" if max(t_test.holm, randomization.holm) < SIGNIFICANT else ""
    return [
        str(own.seeds),
        Cell(f"{own.difference:+.3f}", own.difference, mark=star),
        "-" if own.relative is None else f"{100 * own.relative:+.1f} %",
        interval_text(own.interval),
        p_text(t_test.holm),
        p_text(randomization.holm),
        p_text(randomization.bonferroni),
    ]


def claims_table(report: PaperReport) -> Table:
    """The paper's claims and what our grids say of them, with the figures that decided."""
    lines: list[table.Row | Heading] = []
    for sweep, _, verdict in report.verdicts():
        reasons = [*([f"{sweep}:"] if sweep else []), *verdict.reasons]
        lines += [Heading()] if lines else []
        lines.append(row(verdict.claim, Cell(verdict.direction, style="bold"), "\n".join(reasons)))
    columns = (Column("claim", "text"), Column("here", "name"), Column("because", "text", 90))
    return Table("the paper's claims", columns, lines)
