"""A comparison for the terminal: the table of runs, the effect by groups of turns, and the turns that changed most."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from retort.measures.registry import figure
from retort.report.comparison.compare import SIGNIFICANT, ComparisonRow

if TYPE_CHECKING:  # they read workspaces, for which torch is imported; a table is made of plain values
    from retort.report.comparison.changed import ChangedTurn, Placed
    from retort.report.comparison.groups import GroupRow
    from retort.report.comparison.runs import Comparison

__all__ = ["changed_view", "compare_table", "comparison_view", "groups_table", "interval_text", "p_text", "shortened"]

LONGEST = 24  # characters of a run's name in a table of 100 columns
SAID = 200  # characters of an utterance of the history that are shown
SNIPPET = 140  # of a passage


def comparison_view(comparison: "Comparison") -> RenderableType:
    """All that was compared, one below the other; names that leave no room for figures are abbreviated."""
    comparison = comparison.abbreviated(LONGEST)
    parts: list[RenderableType] = [compare_table(comparison.rows, comparison)]
    parts += [Text(note, style="dim") for note in comparison.notes]
    if comparison.groups:
        parts.append(groups_table(comparison.groups, comparison.baseline))
    parts += [changed_view(turn) for turn in comparison.changed]
    if comparison.changed:
        parts.append(Text("rel: the judged relevance; - is not judged.", style="dim"))
    return Group(*parts)


def compare_table(rows: Sequence[ComparisonRow], comparison: "Comparison | None" = None) -> Table:
    """The rows as a table; a star marks p of the randomization test below 0.05 after Holm's correction."""
    several = len({row.run for row in rows}) > 2
    p = ["t test\nHolm", "t test\nBonf.", "rand.\nHolm", "rand.\nBonf."] if several else ["p\nt test", "p\nrandom."]
    headers = ["mean", "difference", "95 % interval", *p, "win/tie\n/loss"]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("run", overflow="fold")
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)
    for position, row in enumerate(rows):
        if position == 0 or rows[position - 1].measure != row.measure:
            if position:
                table.add_section()
            table.add_row(Text(row.measure, style="bold"))
        first = position == 0 or rows[position - 1].measure != row.measure
        cells = ["baseline", *[""] * (len(headers) - 2)] if first else _comparison(row, several=several)
        table.add_row(Text(row.run), figure(row.measure, row.mean), *cells)
    counts = sorted({row.n for row in rows})
    turns = f"n = {', '.join(map(str, counts))} turns"
    if comparison is not None:
        turns += f" of {comparison.conversations} conversations, {comparison.split}"
    corrected = "p: two-sided, paired" + (", corrected over the runs of a measure" if several else "")
    table.caption = (
        f"{turns}. {corrected}; * randomization p < {SIGNIFICANT}{' (Holm)' if several else ''}. "
        "Intervals resample conversations."
    )
    table.caption_justify = "left"
    return table


def _comparison(row: ComparisonRow, *, several: bool) -> list[str]:
    holm, bonferroni = (row.t_test_p, row.randomization_p), (row.t_test_p_bonferroni, row.randomization_p_bonferroni)
    p = [holm[0], bonferroni[0], holm[1], bonferroni[1]] if several else list(holm)
    if row.difference is None or row.randomization_p is None:
        return ["- ", "-", *["-"] * len(p), "-"]
    star = "*" if row.randomization_p < SIGNIFICANT else " "
    outcomes = f"{row.wins}/{row.ties}/{row.losses}"
    return [f"{row.difference:+.3f}{star}", interval_text(row.interval), *map(p_text, p), outcomes]


def interval_text(interval: tuple[float, float] | None) -> str:
    """An interval of a difference; - where there is none."""
    return "-" if interval is None else f"[{interval[0]:+.3f}, {interval[1]:+.3f}]"


def p_text(value: float | None) -> str:
    """A p as papers have it."""
    if value is None:
        return "-"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def groups_table(rows: "Sequence[GroupRow]", baseline: str) -> Table:
    """The effect by group: one block for each column, measure and run."""
    blocks = groupby(rows, key=lambda row: (row.by, row.measure, row.run))
    grid = Table.grid()
    for (by, measure, run), members in blocks:
        block = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        block.title = Text(f"{measure} by {by}: {run} less {baseline}", style="bold")
        block.title_justify = "left"
        block.add_column(Text(by), overflow="fold", min_width=14)
        for header in ("turns", "conversations", "baseline", "run", "difference", "95 % interval"):
            block.add_column(header, justify="right", no_wrap=True)
        for row in members:
            block.add_row(
                Text(row.group),
                str(row.n),
                str(row.conversations),
                figure(measure, row.baseline_mean),
                figure(measure, row.mean),
                f"{row.difference:+.3f}",
                interval_text(row.interval),
            )
        grid.add_row(block)
    return grid


def changed_view(turn: "ChangedTurn") -> RenderableType:
    """One turn: what was said and asked, the rewrite, where the relevant passages are ranked, and both tops."""
    what = "better" if turn.outcome == "win" else "worse"
    head = Text.assemble(
        (f"{turn.measure} {figure(turn.measure, turn.before)} -> {figure(turn.measure, turn.after)}", "bold"),
        f"  {turn.query_id}, turn {turn.turn_number} of {turn.conversation_id}",
        "".join(f", {key} {value}" for key, value in turn.attributes.items()),
    )
    said = Table.grid(padding=(0, 2))
    said.add_column(no_wrap=True, style="bold")
    said.add_column(overflow="fold")
    for message in turn.history:
        said.add_row(message.role, Text(shortened(message.text, SAID), style="dim"))
    said.add_row("question", Text(turn.question, style="bold"))
    for teacher, rewrite in turn.rewrites.items():
        said.add_row("rewrite", Text.assemble(rewrite, (f"  ({teacher})", "dim")))

    style = "green" if turn.outcome == "win" else "red"
    title = Text(f"{turn.run} is {what} than {turn.baseline}, {turn.number} of {turn.of}", style=f"bold {style}")
    return Group(Rule(title, align="left", style=style), head, Padding(said, (0, 0, 1, 2)), _ranks(turn), _tops(turn))


def _ranks(turn: "ChangedTurn") -> RenderableType:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left", expand=True)
    table.add_column(Text("  relevant passages"), ratio=1, no_wrap=True, overflow="ellipsis")
    for label in (turn.baseline, turn.run):
        table.add_column(Text(f"rank in\n{label}"), justify="right", overflow="fold", max_width=20)
    for passage in turn.relevant:
        places = ["-" if rank is None else str(rank) for rank in (passage.baseline_rank, passage.rank)]
        table.add_row(Text(f"  {_passage(passage.title, passage.text)}"), *places)
    return table


def _tops(turn: "ChangedTurn") -> RenderableType:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(justify="right", no_wrap=True, min_width=3)
    table.add_column(justify="center", no_wrap=True)
    table.add_column(overflow="fold")
    for label, top in ((turn.baseline, turn.baseline_top), (turn.run, turn.top)):
        table.add_row("", Text("rel", style="bold"), Text(f"top of {label}", style="bold"))
        if not top:
            table.add_row("", "", Text("nothing retrieved", style="dim"))
        for passage in top:
            relevant = passage.relevance is not None and passage.relevance > 0
            table.add_row(
                str(passage.rank),
                Text(_relevance(passage), style="bold green" if relevant else "dim"),
                Text(shortened(_passage(passage.title, passage.text), SNIPPET)),
            )
    return Padding(table, (1, 0, 1, 0))


def _relevance(passage: "Placed") -> str:
    return "-" if passage.relevance is None else str(passage.relevance)


def _passage(title: str, text: str) -> str:
    return " ".join(f"{title}: {text}".split() if title else text.split())


def shortened(text: str, characters: int) -> str:
    """One line of at most so many characters, cut between words."""
    line = " ".join(text.split())
    if len(line) <= characters:
        return line
    cut = line[:characters]
    return f"{cut[: cut.rfind(' ')] if ' ' in cut[characters // 2 :] else cut}…"
