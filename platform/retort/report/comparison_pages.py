"""A comparison as text to take away: Markdown, LaTeX (booktabs alone), and CSV with one line per figure."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Final

from retort.report.changed import ChangedTurn, Placed
from retort.report.compare import LESS_IS_BETTER, SIGNIFICANT, ComparisonRow
from retort.report.comparison_tables import SAID, SNIPPET, comparison_view, interval_text, p_text, shortened
from retort.report.groups import GroupRow
from retort.report.latex import latex_bold, latex_table, latex_text
from retort.report.paper_pages import markdown_table
from retort.report.points import figure
from retort.report.runs import Comparison

__all__ = ["comparison_text"]

FIGURES: Final = (
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
DAGGER, DOUBLE_DAGGER = "†", "‡"


def comparison_text(comparison: Comparison, form: str) -> str:
    """A comparison as ``terminal``, ``markdown``, ``latex``, ``csv`` or ``json``."""
    return _FORMS[form](comparison)


def _terminal(comparison: Comparison) -> str:
    from rich.console import Console

    text = io.StringIO()
    Console(file=text, width=100, highlight=False).print(comparison_view(comparison))
    return "".join(line.rstrip() + "\n" for line in text.getvalue().splitlines())


def _json(comparison: Comparison) -> str:
    return json.dumps(comparison.to_json(), indent=1, ensure_ascii=False) + "\n"


def _csv(comparison: Comparison) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["split", "by", "group", "run", "measure", *FIGURES])
    base = {row.measure: row.mean for row in comparison.rows if row.run == comparison.baseline}
    for row in comparison.rows:
        figures = {
            "n": row.n,
            "conversations": comparison.conversations,
            "baseline_mean": base[row.measure],
            "mean": row.mean,
            "difference": row.difference,
            "t_test_p_holm": row.t_test_p,
            "t_test_p_bonferroni": row.t_test_p_bonferroni,
            "randomization_p_holm": row.randomization_p,
            "randomization_p_bonferroni": row.randomization_p_bonferroni,
            "wins": row.wins,
            "ties": row.ties,
            "losses": row.losses,
        }
        writer.writerow([comparison.split, "", "", row.run, row.measure, *_cells(figures, row.interval)])
    for group in comparison.groups:
        figures = {
            "n": group.n,
            "conversations": group.conversations,
            "baseline_mean": group.baseline_mean,
            "mean": group.mean,
            "difference": group.difference,
        }
        first = [comparison.split, group.by, group.group, group.run, group.measure]
        writer.writerow([*first, *_cells(figures, group.interval)])
    return text.getvalue()


def _cells(figures: Mapping[str, float | None], interval: tuple[float, float] | None) -> list[object]:
    low, high = (None, None) if interval is None else interval
    known = {**figures, "interval_low": low, "interval_high": high}
    return [known.get(name) for name in FIGURES]


def _summary(comparison: Comparison) -> tuple[list[str], list[tuple[str, list[tuple[str, bool, str]]]]]:
    """Measures, and for each system its cells: the figure, whether it is the best, and its mark."""
    measures = list(dict.fromkeys(row.measure for row in comparison.rows))
    rows = {(row.run, row.measure): row for row in comparison.rows}
    labels = [system.label for system in comparison.systems]
    best = {}
    for measure in measures:
        means = [mean for label in labels if (mean := rows[label, measure].mean) is not None]
        chosen = (min if measure in LESS_IS_BETTER else max)(means, default=None)
        best[measure] = figure(measure, chosen)
    several = len(labels) > 2
    lines = []
    for label in labels:
        cells = []
        for measure in measures:
            row = rows[label, measure]
            text = figure(measure, row.mean)
            cells.append((text, row.mean is not None and text == best[measure], _mark(row, several=several)))
        lines.append((label, cells))
    return measures, lines


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


def _markdown(comparison: Comparison) -> str:
    measures, lines = _summary(comparison)
    rows = []
    for label, cells in lines:
        name = f"{_plain(label)} (baseline)" if label == comparison.baseline else _plain(label)
        rows.append([name, *(f"{f'**{text}**' if best else text}{mark}" for text, best, mark in cells)])
    page = [*markdown_table(["run", *measures], rows), "", _plain(_legend(comparison)), ""]
    page += [f"- {_plain(note)}" for note in comparison.notes]
    page += ["", f"Less {_plain(comparison.baseline)}; intervals: 95 %, bootstrap over conversations:", ""]
    header = ["run", "measure", "difference", "95 % interval"]
    header += ["t test, Holm", "Bonferroni", "randomization, Holm", "Bonferroni", "wins/ties/losses"]
    page += markdown_table(header, [_details(row) for row in comparison.rows if row.difference is not None])
    for (by, measure), members in groupby(comparison.groups, key=lambda row: (row.by, row.measure)):
        page += ["", f"{measure} by {_plain(by)}, less {_plain(comparison.baseline)}:", ""]
        head = [by, "run", "turns", "conversations", "baseline", "mean", "difference", "95 % interval"]
        page += markdown_table(head, [_group(row) for row in members])
    for turn in comparison.changed:
        page += ["", *_changed(turn)]
    return "\n".join(page) + "\n"


def _details(row: ComparisonRow) -> list[str]:
    p = (row.t_test_p, row.t_test_p_bonferroni, row.randomization_p, row.randomization_p_bonferroni)
    outcomes = f"{row.wins}/{row.ties}/{row.losses}"
    cells = [f"{row.difference:+.3f}", interval_text(row.interval), *map(_plain, map(p_text, p)), outcomes]
    return [_plain(row.run), row.measure, *cells]


def _group(row: GroupRow) -> list[str]:
    means = [figure(row.measure, mean) for mean in (row.baseline_mean, row.mean)]
    counts = [str(row.n), str(row.conversations)]
    return [_plain(row.group), _plain(row.run), *counts, *means, f"{row.difference:+.3f}", interval_text(row.interval)]


def _changed(turn: ChangedTurn) -> list[str]:
    what = "better" if turn.outcome == "win" else "worse"
    values = [figure(turn.measure, value) for value in (turn.before, turn.after)]
    about = "".join(f", {key} {value}" for key, value in turn.attributes.items())
    lines = [
        f"### {_plain(turn.run)} {what} than {_plain(turn.baseline)}, {turn.number} of {turn.of}: "
        f"{turn.measure} {values[0]} to {values[1]}",
        "",
        _plain(f"{turn.query_id}, turn {turn.turn_number} of {turn.conversation_id}{about}"),
        "",
    ]
    lines += [f"- {message.role}: {_plain(shortened(message.text, SAID))}" for message in turn.history]
    lines += [f"- **question: {_plain(turn.question)}**"]
    lines += [f"- rewrite ({_plain(teacher)}): {_plain(text)}" for teacher, text in turn.rewrites.items()]
    ranks = [
        [
            _plain(shortened(_passage(passage.title, passage.text), SNIPPET)),
            *("-" if rank is None else str(rank) for rank in (passage.baseline_rank, passage.rank)),
        ]
        for passage in turn.relevant
    ]
    lines += ["", *markdown_table(["relevant passage", *(f"rank in {n}" for n in (turn.baseline, turn.run))], ranks)]
    for label, top in ((turn.baseline, turn.baseline_top), (turn.run, turn.top)):
        lines += ["", f"Top of {_plain(label)}:", "", *(_placed(passage) for passage in top)]
    return lines


def _placed(passage: Placed) -> str:
    judged = "not judged" if passage.relevance is None else f"relevance {passage.relevance}"
    return f"{passage.rank}. ({judged}) {_plain(shortened(_passage(passage.title, passage.text), SNIPPET))}"


def _passage(title: str, text: str) -> str:
    return f"{title}: {text}" if title else text


def _plain(text: str) -> str:
    """Text in which Markdown sees no markup."""
    return "".join(f"\\{character}" if character in "\\`*_[]<>#~" else character for character in text)


def _latex(comparison: Comparison) -> str:
    measures, lines = _summary(comparison)
    marks = {DAGGER: r"$^{\dagger}$", DOUBLE_DAGGER: r"$^{\ddagger}$", "": ""}
    rows = []
    for label, cells in lines:
        name = f"{label} (baseline)" if label == comparison.baseline else label
        figures = [
            (latex_bold(latex_text(text)) if best else latex_text(text)) + marks[mark] for text, best, mark in cells
        ]
        rows.append([latex_text(name), *figures])
    caption = latex_text(_legend(comparison)).replace(f"p {latex_text('<')} {SIGNIFICANT}", f"$p < {SIGNIFICANT}$")
    for mark, command in ((DAGGER, marks[DAGGER]), (DOUBLE_DAGGER, marks[DOUBLE_DAGGER])):
        caption = caption.replace(mark, command)
    named = [latex_text(measure) for measure in measures]
    tables = [latex_table(["run", *named], rows, caption=caption, label=f"tab:compare-{comparison.split}")]
    for (by, measure), found in groupby(comparison.groups, key=lambda row: (row.by, row.measure)):
        tables.append(_latex_groups(comparison, by, measure, list(found)))
    notes = [f"% {' '.join(note.split())}" for note in comparison.notes]
    return "\n".join(["% \\usepackage{booktabs}", *notes, *tables]) + "\n"


def _latex_groups(comparison: Comparison, by: str, measure: str, found: Sequence[GroupRow]) -> str:
    groups: dict[str, list[GroupRow]] = {}
    for row in found:
        groups.setdefault(row.group, []).append(row)
    rows = []
    for group, members in groups.items():
        first = members[0]
        about = f"{group}: {first.n} turns of {first.conversations} conversations"
        rows.append([rf"\multicolumn{{4}}{{l}}{{\emph{{{latex_text(about)}}}}}"])
        rows.append([latex_text(f"{comparison.baseline} (baseline)"), figure(measure, first.baseline_mean), "", ""])
        for row in members:
            interval = "-" if row.interval is None else f"[${row.interval[0]:+.3f}$, ${row.interval[1]:+.3f}$]"
            rows.append([latex_text(row.run), figure(measure, row.mean), f"${row.difference:+.3f}$", interval])
    caption = latex_text(f"{measure} by {by} on {comparison.split}; intervals: bootstrap over conversations.")
    label = f"tab:compare-{comparison.split}-{by}-{measure}"
    return latex_table(
        ["run", latex_text(measure), "difference", r"95 \% interval"], rows, caption=caption, label=label
    )


_FORMS: Final[dict[str, Callable[[Comparison], str]]] = {
    "terminal": _terminal,
    "markdown": _markdown,
    "latex": _latex,
    "csv": _csv,
    "json": _json,
}
