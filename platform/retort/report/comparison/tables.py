"""A comparison as tables: runs by measures, every difference, the effect by groups of turns, and the turns that changed most."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

from retort.measures.paired import SIGNIFICANT
from retort.measures.registry import figure, is_cost
from retort.report.comparison.compare import ComparisonRow
from retort.report.render.table import (
    Cell,
    Column,
    Heading,
    Row,
    Table,
    interval_text,
    measure_columns,
    one_line,
    p_text,
    row,
)

if TYPE_CHECKING:  # they read workspaces, for which torch is imported; a table is made of plain values
    from retort.report.comparison.changed import ChangedTurn, Placed
    from retort.report.comparison.groups import GroupRow
    from retort.report.comparison.runs import Comparison

__all__ = [
    "DAGGER",
    "DOUBLE_DAGGER",
    "changed_tables",
    "compare_table",
    "comparison_tables",
    "groups_table",
    "labelled",
    "shortened",
    "summary_table",
    "values_table",
]

DAGGER: Final = "†"
DOUBLE_DAGGER: Final = "‡"
SAID: Final = 200  # characters of an utterance of the history that are shown
SNIPPET: Final = 140  # characters of a passage

# Columns of the values, in the order of the file.
_VALUES: Final = (
    "n",
    "conversations",
    "baseline_mean",
    "mean",
    "difference",
    "interval_low",
    "interval_high",
    "t_test_p_holm",
    "t_test_p_bonferroni",
    "randomization_p_holm",
    "randomization_p_bonferroni",
    "wins",
    "ties",
    "losses",
)


def comparison_tables(comparison: "Comparison") -> list[Table]:
    """Everything that was compared but the summary, in reading order."""
    grouped = groupby(comparison.groups, key=lambda group: (group.by, group.measure))
    return [
        compare_table(comparison.rows, comparison),
        *(groups_table(list(members), comparison.baseline) for _, members in grouped),
        *(table for turn in comparison.changed for table in changed_tables(turn)),
    ]


def summary_table(comparison: "Comparison") -> Table:
    """The table that papers have: runs by measures, the best in bold, significance as daggers, and what both mean."""
    measures = tuple(dict.fromkeys(each.measure for each in comparison.rows))
    of_run = {(each.run, each.measure): each for each in comparison.rows}
    labels = [system.label for system in comparison.systems]
    best = {}
    for measure in measures:
        means = [mean for label in labels if (mean := of_run[label, measure].mean) is not None]
        best[measure] = figure(measure, (min if is_cost(measure) else max)(means, default=None))
    rows = []
    for label in labels:
        cells = []
        for measure in measures:
            own = of_run[label, measure]
            text = figure(measure, own.mean)
            style = "bold" if own.mean is not None and text == best[measure] else ""
            cells.append(Cell(text, own.mean, style, _mark(own, several=len(labels) > 2)))
        rows.append(row(labelled(label, comparison.baseline), *cells))
    return Table("", (Column("run", "name"), *measure_columns(measures)), rows, (_legend(comparison),))


def labelled(label: str, baseline: str) -> str:
    """A run's label, which says so where it is the baseline."""
    return f"{label} (baseline)" if label == baseline else label


def _mark(own: ComparisonRow, *, several: bool) -> str:
    if own.randomization_p is None or own.randomization_p >= SIGNIFICANT:
        return ""
    bonferroni = own.randomization_p_bonferroni
    return DOUBLE_DAGGER if several and bonferroni is not None and bonferroni < SIGNIFICANT else DAGGER


def _legend(comparison: "Comparison") -> str:
    test = f"p < {SIGNIFICANT} in a two-sided paired randomization test"
    over = f"differs from {comparison.baseline} with {test}"
    if len(comparison.systems) > 2:
        over += f", Holm's correction over the runs of a column; {DOUBLE_DAGGER}: after Bonferroni's too"
    return (
        f"{comparison.split}, {comparison.turns} turns of {comparison.conversations} conversations. "
        f"Bold: the best of a column (FLOPS and L0: the lowest). {DAGGER}: {over}."
    )


def compare_table(rows: Sequence[ComparisonRow], comparison: "Comparison | None" = None) -> Table:
    """Every difference from the baseline; a star marks p of the randomization test below 0.05 after Holm's correction."""
    several = len({each.run for each in rows}) > 2
    holm, bonferroni = (" Holm", " Bonf.") if several else ("", "")
    columns = [
        Column("run", "name"),
        Column("mean", importance=90),
        Column("difference", importance=89),
        Column("95 % interval", importance=88),
        Column(f"t test{holm}" if several else "p t test", importance=85),
        *([Column(f"t test{bonferroni}", importance=83)] if several else []),
        Column(f"rand.{holm}" if several else "p random.", importance=87),
        *([Column(f"rand.{bonferroni}", importance=84)] if several else []),
        Column("win/tie/loss", importance=86),
    ]
    lines: list[Row | Heading] = []
    for measure, members in groupby(rows, key=lambda each: each.measure):
        lines.append(Heading(measure))
        for number, own in enumerate(members):
            cells = ["baseline", *[""] * (len(columns) - 3)] if number == 0 else _differences(own, several=several)
            lines.append(row(own.run, figure(measure, own.mean), *cells))
    counts = ", ".join(str(count) for count in sorted({each.n for each in rows}))
    turns = f"n = {counts} turns"
    if comparison is not None:
        turns += f" of {comparison.conversations} conversations, {comparison.split}"
    corrected = "p: two-sided, paired" + (", corrected over the runs of a measure" if several else "")
    star = f"* randomization p < {SIGNIFICANT}{' (Holm)' if several else ''}"
    notes = [f"{turns}. {corrected}; {star}. Intervals resample conversations."]
    return Table("", tuple(columns), lines, [*notes, *(comparison.notes if comparison is not None else ())])


def _differences(own: ComparisonRow, *, several: bool) -> list[Cell | str]:
    t_test, randomization = [p_text(own.t_test_p)], [p_text(own.randomization_p)]
    if several:
        t_test.append(p_text(own.t_test_p_bonferroni))
        randomization.append(p_text(own.randomization_p_bonferroni))
    if own.difference is None or own.randomization_p is None:
        return ["-", "-", *t_test, *randomization, "-"]
    difference = Cell(f"{own.difference:+.3f}", own.difference, mark="*" if own.randomization_p < SIGNIFICANT else "")
    return [difference, interval_text(own.interval), *t_test, *randomization, f"{own.wins}/{own.ties}/{own.losses}"]


def groups_table(groups: "Sequence[GroupRow]", baseline: str) -> Table:
    """One measure by the groups of one column, for each run."""
    by, measure = groups[0].by, groups[0].measure
    columns = (
        Column(by, "name"),
        Column("turns", importance=85),
        Column("conversations", importance=84),
        Column("baseline", importance=86),
        Column("run", importance=87),
        Column("difference", importance=89),
        Column("95 % interval", importance=88),
    )
    runs = list(dict.fromkeys(group.run for group in groups))
    lines: list[Row | Heading] = []
    for run, members in groupby(groups, key=lambda group: group.run):
        lines += [Heading(run)] if len(runs) > 1 else []
        lines += [
            row(
                group.group,
                str(group.n),
                str(group.conversations),
                figure(measure, group.baseline_mean),
                figure(measure, group.mean),
                f"{group.difference:+.3f}",
                interval_text(group.interval),
            )
            for group in members
        ]
    return Table(f"{measure} by {by}: {f'{runs[0]} ' if len(runs) == 1 else ''}less {baseline}", columns, lines)


def changed_tables(turn: "ChangedTurn") -> list[Table]:
    """One turn: what was said and asked, the rewrites, where the relevant passages are ranked, and the top of both rankings."""
    won = turn.outcome == "win"
    change = f"{figure(turn.measure, turn.before)} -> {figure(turn.measure, turn.after)}"
    about = "".join(f", {key} {value}" for key, value in turn.attributes.items())
    said = [
        row(turn.measure, Cell(change, style=f"bold {'green' if won else 'red'}")),
        row("turn", f"{turn.query_id}, turn {turn.turn_number} of {turn.conversation_id}{about}"),
        *(row(message.role, Cell(shortened(message.text, SAID), style="dim")) for message in turn.history),
        row("question", Cell(one_line(turn.question), style="bold")),
        *(row(f"rewrite: {teacher}", one_line(rewrite)) for teacher, rewrite in turn.rewrites.items()),
    ]
    title = f"{turn.run} is {'better' if won else 'worse'} than {turn.baseline}, {turn.number} of {turn.of}"
    ranks = [
        row(
            shortened(_passage(passage.title, passage.text), SNIPPET),
            *("-" if rank is None else str(rank) for rank in (passage.baseline_rank, passage.rank)),
        )
        for passage in turn.relevant
    ]
    ranked = (Column("relevant passage", "text"), Column("baseline's rank"), Column("run's rank"))
    return [
        Table(title, (Column("", "name"), Column("", "text")), said, headless=True),
        Table("", ranked, ranks),
        _top(turn.baseline, turn.baseline_top),
        _top(turn.run, turn.top),
    ]


def _top(label: str, top: "Sequence[Placed]") -> Table:
    rows = []
    for passage in top:
        relevant = passage.relevance is not None and passage.relevance > 0
        relevance = Cell(
            "-" if passage.relevance is None else str(passage.relevance), style="bold green" if relevant else "dim"
        )
        rows.append(row(str(passage.rank), relevance, shortened(_passage(passage.title, passage.text), SNIPPET)))
    columns = (Column("rank"), Column("relevance"), Column("passage", "text"))
    notes = ["relevance -: nobody judged the passage."] if any(passage.relevance is None for passage in top) else []
    return Table(f"top of {label}", columns, rows, notes if top else ["nothing retrieved"])


def _passage(title: str, text: str) -> str:
    return f"{title}: {text}" if title else text


def shortened(text: str, characters: int) -> str:
    """One line of at most so many characters, cut between words."""
    line = one_line(text)
    if len(line) <= characters:
        return line
    cut = line[:characters]
    return f"{cut[: cut.rfind(' ')] if ' ' in cut[characters // 2 :] else cut}…"


def values_table(comparison: "Comparison") -> Table:
    """Every figure with all its digits: a row for each run and measure, then for each of its groups."""
    base = {each.measure: each.mean for each in comparison.rows if each.run == comparison.baseline}
    rows = []
    for own in comparison.rows:
        low, high = own.interval or (None, None)
        values = (own.n, comparison.conversations, base[own.measure], own.mean, own.difference, low, high)
        p = (own.t_test_p, own.t_test_p_bonferroni, own.randomization_p, own.randomization_p_bonferroni)
        names = (comparison.split, "", "", own.run, own.measure)
        rows.append(row(*names, *_cells((*values, *p, own.wins, own.ties, own.losses))))
    for group in comparison.groups:
        low, high = group.interval or (None, None)
        values = (group.n, group.conversations, group.baseline_mean, group.mean, group.difference, low, high)
        names = (comparison.split, group.by, group.group, group.run, group.measure)
        rows.append(row(*names, *_cells((*values, *[None] * 7))))
    columns = [Column(name, "name") for name in ("split", "by", "group", "run", "measure")]
    return Table("", (*columns, *(Column(name) for name in _VALUES)), rows)


def _cells(values: Iterable[float | None]) -> list[Cell]:
    return [Cell("" if value is None else str(value), value) for value in values]
