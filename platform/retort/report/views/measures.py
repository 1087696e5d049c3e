"""Measures of one evaluation, of a sweep's baselines, and of a run on several corpora, as tables."""

from collections.abc import Mapping
from typing import Any

from retort.measures.registry import SHOWN
from retort.report.render.table import Cell, Column, Row, Table, measure_cells, measure_columns, row
from retort.storage.layout import BASELINE

__all__ = ["baselines_table", "domains_table", "measures_table"]

_COLUMNS = (Column("n", importance=40), *measure_columns(SHOWN))


def _row(name: str, measures: Mapping[str, Any], *further: Cell | str, style: str = "") -> Row:
    return row(name, f"{measures['n']:.0f}", *measure_cells(SHOWN, measures), *further, style=style)


def measures_table(run: str, split: str, measures: Mapping[str, Any]) -> Table:
    """One evaluation: all turns, then by turn number."""
    rows = [_row("all", measures, style="bold")]
    rows += [_row(number, values) for number, values in measures["by_turn"].items()]
    return Table(f"{run} on {split}", (Column("turn", "name"), *_COLUMNS), rows)


def baselines_table(baselines: Mapping[str, Mapping[str, Any]], split: str | None) -> Table:
    """A sweep's baselines on the split on which its front was evaluated."""
    rows = [_row(BASELINE.kind(name), measures) for name, measures in baselines.items()]
    return Table(f"baselines on {split}", (Column("baseline", "name"), *_COLUMNS), rows)


def domains_table(elsewhere: Mapping[str, Mapping[str, Any]], in_domain: Mapping[str, Any] | None) -> Table:
    """A run out of its domain, beside what it was trained for, with the share of its ten best passages that was judged.

    Args:
        elsewhere: Corpus and split -> measures.
        in_domain: Measures on its own corpus, with ``split``; None: not measured.
    """
    own = {} if in_domain is None else {f"in domain: {in_domain['split']}": in_domain}
    # Evaluations of earlier versions did not count what was judged.
    rows = [
        _row(name, measures, f"{measures['Judged@10']:.3f}" if "Judged@10" in measures else "-")
        for name, measures in {**own, **elsewhere}.items()
    ]
    columns = (Column("corpus", "name"), *_COLUMNS, Column("Judged@10", importance=45))
    return Table("in domain and out of it", columns, rows)
