"""Measures of one evaluation, and of a sweep's baselines, for the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from retort.measures.registry import figure
from retort.storage.layout import BASELINE

__all__ = ["SHOWN", "baselines_table", "domains_table", "measures_table"]

SHOWN = ("R@100", "R@10", "RR", "nDCG@3", "FLOPS", "L0")


def _table(title: str, first: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", title_style="bold")
    table.add_column(first)
    for name in ("n", *SHOWN):
        table.add_column(name, justify="right")
    return table


def measures_table(run: str, split: str, measures: Mapping[str, Any]) -> Table:
    """One evaluation: all turns, then by turn number."""
    table = _table(f"{run} on {split}", "turn")
    table.add_row("all", str(measures["n"]), *(figure(name, measures[name]) for name in SHOWN), style="bold")
    for number, values in measures["by_turn"].items():
        table.add_row(number, f"{values['n']:.0f}", *(figure(name, values[name]) for name in SHOWN))
    return table


def baselines_table(baselines: Mapping[str, Mapping[str, Any]], split: str | None) -> Table:
    """A sweep's baselines on the split that its front was evaluated on."""
    table = _table(f"baselines on {split}", "baseline")
    for name, measures in baselines.items():
        table.add_row(BASELINE.kind(name), str(measures["n"]), *(figure(key, measures[key]) for key in SHOWN))
    return table


def domains_table(elsewhere: Mapping[str, Mapping[str, Any]], in_domain: Mapping[str, Any] | None) -> Table:
    """A run out of its domain, beside what it was trained for, with the share of its ten best passages that was judged.

    Args:
        elsewhere: Corpus and split -> measures.
        in_domain: Measures on its own corpus, with ``split``; None: not measured.
    """
    own = {} if in_domain is None else {f"in domain: {in_domain['split']}": in_domain}
    table = _table("in domain and out of it", "corpus")
    table.add_column("Judged@10", justify="right")
    for name, measures in {**own, **elsewhere}.items():
        # Evaluations of earlier versions did not count what was judged.
        judged = f"{measures['Judged@10']:.3f}" if "Judged@10" in measures else "-"
        table.add_row(name, str(measures["n"]), *(figure(key, measures[key]) for key in SHOWN), judged)
    return table
