"""Latency of several runs as tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from retort.measures.registry import figure
from retort.report.render.table import Column, Table, row

__all__ = ["correlation_text", "latency_by_turn_table", "latency_table"]

PERCENTILES = ("p50", "p95", "p99")


def latency_table(measured: Sequence[Mapping[str, Any]]) -> Table:
    """A line for each run and engine: what a turn takes in one stream, and of which steps; then several at a time (median)."""
    columns = (
        Column("run", "name"),
        Column("engine", "name", 88),
        Column("FLOPS", importance=87),
        Column("p50", importance=90),
        Column("p95", importance=89),
        Column("p99", importance=82),
        Column("encode", importance=85),
        Column("search", importance=86),
        Column("several", importance=83),
        Column("turns/s", importance=84),
    )
    rows = [
        row(
            each["run"],
            each["engine"],
            figure("FLOPS", each["FLOPS"]),
            *(f"{each['single']['total'][name]:.1f}" for name in PERCENTILES),
            *(f"{each['single'][step]['p50']:.1f}" for step in ("encode", "search")),
            f"{each['concurrent']['total']['p50']:.1f}",
            f"{each['concurrent']['queries_per_second']:.0f}",
        )
        for each in measured
    ]
    return Table("milliseconds a turn", columns, rows)


def latency_by_turn_table(measured: Mapping[str, Any]) -> Table:
    """One run and engine, by turn number, in one stream."""
    rows = [
        row(number, f"{values['n']:.0f}", *(f"{values[name]:.1f}" for name in PERCENTILES))
        for number, values in measured["by_turn"].items()
    ]
    columns = (Column("turn", "name"), *(Column(name) for name in ("n", *PERCENTILES)))
    return Table(f"{measured['run']}, {measured['engine']}, by turn", columns, rows)


def correlation_text(engine: str, runs: int, correlations: Mapping[str, float | None]) -> str:
    """A sentence on how well FLOPS predicts milliseconds."""
    search, total = correlations["search"], correlations["total"]
    if search is None or total is None:
        return f"{engine}: how well FLOPS predicts milliseconds takes three runs that differ to tell; there are {runs}"
    return (
        f"{engine}: rank correlation of FLOPS with milliseconds over {runs} runs: {search:+.2f} of the search, "
        f"{total:+.2f} of everything"
    )
