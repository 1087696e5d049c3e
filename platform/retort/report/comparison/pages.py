"""A comparison as text to take away: Markdown, LaTeX (booktabs alone), and CSV with one line per figure."""

import csv
import io
import json
from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Final

from retort.measures.registry import figure
from retort.report.comparison.changed import ChangedTurn, Placed
from retort.report.comparison.compare import ComparisonRow
from retort.report.comparison.groups import GroupRow
from retort.report.comparison.latex import comparison_latex
from retort.report.comparison.runs import Comparison
from retort.report.comparison.summary import summarise
from retort.report.comparison.tables import SAID, SNIPPET, comparison_view, interval_text, p_text, shortened
from retort.report.paper.pages import markdown_table

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


def _markdown(comparison: Comparison) -> str:
    summary = summarise(comparison)
    rows = [
        [_plain(name), *(f"{f'**{cell.text}**' if cell.best else cell.text}{cell.mark}" for cell in cells)]
        for name, cells in summary.lines
    ]
    page = [*markdown_table(["run", *summary.measures], rows), "", _plain(summary.legend), ""]
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


_FORMS: Final[dict[str, Callable[[Comparison], str]]] = {
    "terminal": _terminal,
    "markdown": _markdown,
    "latex": comparison_latex,
    "csv": _csv,
    "json": _json,
}
