"""Latency of several runs, for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from retort.measures.registry import figure

__all__ = ["correlation_text", "latency_by_turn_table", "latency_table"]

PERCENTILES = ("p50", "p95", "p99")


def latency_table(measured: Sequence[Mapping[str, Any]]) -> Table:
    """A line for each run and engine: what a turn takes in one stream, and of which steps; then several at a time (median)."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title="milliseconds a turn", title_justify="left")
    table.add_column("run", overflow="fold")
    table.add_column("engine")
    for name in ("FLOPS", *PERCENTILES, "encode", "search", "several", "turns/s"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in measured:
        single, concurrent = one["single"], one["concurrent"]
        table.add_row(
            one["run"],
            one["engine"],
            figure("FLOPS", one["FLOPS"]),
            *(f"{single['total'][name]:.1f}" for name in PERCENTILES),
            *(f"{single[step]['p50']:.1f}" for step in ("encode", "search")),
            f"{concurrent['total']['p50']:.1f}",
            f"{concurrent['queries_per_second']:.0f}",
        )
    return table


def latency_by_turn_table(one: Mapping[str, Any]) -> Table:
    """One run and engine, by turn number, in one stream."""
    table = Table(
        box=SIMPLE_HEAD, pad_edge=False, title=f"{one['run']}, {one['engine']}, by turn", title_justify="left"
    )
    for name in ("turn", "n", *PERCENTILES):
        table.add_column(name, justify="right")
    for number, values in one["by_turn"].items():
        table.add_row(number, f"{values['n']:.0f}", *(f"{values[name]:.1f}" for name in PERCENTILES))
    return table


def correlation_text(engine: str, runs: int, correlations: Mapping[str, float | None]) -> str:
    """How well FLOPS predicts milliseconds."""
    search, total = correlations["search"], correlations["total"]
    if search is None or total is None:
        return f"{engine}: how well FLOPS predicts milliseconds takes three runs that differ to tell; there are {runs}"
    return (
        f"{engine}: rank correlation of FLOPS with milliseconds over {runs} runs: {search:+.2f} of the search, "
        f"{total:+.2f} of everything"
    )
