"""The paper's report as a directory: ``paper.md`` for reading, ``paper.json`` for programs, a figure for each grid."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from retort.errors import InputError
from retort.measures.registry import figure
from retort.report.paper.by_turn import by_turn_figure
from retort.report.paper.claims import RULES
from retort.report.paper.published import REFERENCES, SOURCE
from retort.report.paper.report import COMPARED, SHOWN, PaperReport, SweepGrid, difference_cells, row_lines
from retort.report.render.files import drawn_files
from retort.storage import Workspace
from retort.storage.files import write_all, write_aside

__all__ = ["markdown_table", "paper_pages", "write_pages"]


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table; the first column is text, the others are figures."""
    cells = [[cell.replace("|", r"\|").strip() for cell in row] for row in (header, *rows)]
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return [lines[0], "|---|" + "---:|" * (len(header) - 1), *lines[1:]]


def paper_pages(report: PaperReport) -> dict[str, bytes]:
    """File name -> content."""
    pages = {"paper.json": (json.dumps(report.to_json(), indent=1, ensure_ascii=False) + "\n").encode()}
    for one in report.sweeps:
        figure_of_grid = by_turn_figure(one.grid, one.sweep)
        for kind, content in drawn_files(figure_of_grid, f"{one.sweep} on {report.split}").items():
            pages[f"{one.sweep}.{kind}"] = content
    pages["paper.md"] = _markdown(report).encode()
    return pages


def _markdown(report: PaperReport) -> str:
    lines = [f"# The paper's questions on {report.split}", ""]
    lines += [
        f"Ours beside the published figures ({SOURCE}): another corpus, so that directions compare, levels do not.",
        "",
    ]
    lines += ["## Claims", ""]
    for sweep, space, said in report.verdicts():
        lines += [f"**{said.claim}: {said.direction}**{f' ({sweep})' if sweep else ''}", ""]
        lines += [f"- {reason}" for reason in said.reasons]
        lines += ["", f"Rule: {RULES[space]}", ""]
    lines += [
        "A row counts with three seeds beside the baseline's. Significant: the larger p of the paired t test and the paired "
        "randomisation test, turns averaged over seeds, is below .05 after Holm's correction over the rows and measures that the "
        "claim looks at. Intervals: 95 %, bootstrap over conversations.",
        "",
    ]
    for one in report.sweeps:
        lines += _sweep_lines(one, report.split)
    lines += ["## Published baselines", ""]
    lines += markdown_table(
        ["", *SHOWN],
        [[name, *(figure(measure, row.get(measure)) for measure in SHOWN)] for name, row in REFERENCES.items()],
    )
    return "\n".join(lines) + "\n"


def _sweep_lines(one: SweepGrid, split: str) -> list[str]:
    grid = one.grid
    conversations = len(set(grid.turns.conversation_ids))
    lines = [f"## {one.sweep}", "", f"{split}: {len(grid.turns.query_ids)} turns of {conversations} conversations."]
    lines += [f"{one.progress}.", ""] if one.progress else [""]
    rows = []
    for row in grid.rows:
        for number, (whose, values) in enumerate(row_lines(grid, row)):
            label = f"{row.label}{' (baseline)' if row is grid.baseline else ''}, {whose}" if number == 0 else whose
            rows.append([label, *(figure(measure, values.get(measure)) for measure in SHOWN)])
    lines += markdown_table([grid.question.title, *SHOWN], rows)
    lines += [
        "",
        f"Less {grid.baseline.label}; p after Holm's correction over the rows of a measure, the last Bonferroni's:",
        "",
    ]
    header = [
        "",
        "measure",
        "seeds",
        "difference",
        "relative",
        "95 % interval",
        "p t test",
        "p randomisation",
        "Bonferroni",
    ]
    compared = [
        [difference.row, difference.measure, *difference_cells(difference)]
        for measure in COMPARED
        for difference in grid.differences
        if difference.measure == measure
    ]
    lines += markdown_table(header, compared)
    return [*lines, "", f"![L0 and R@100 by turn number]({one.sweep}.png)", ""]


def write_pages(pages: Mapping[str, bytes], workspace: Workspace, name: str, out: Path | None) -> str:
    """Write a report's files, over those of an earlier report; returns where they are.

    Args:
        pages: File name -> content; a name may have folders.
        workspace: Where they go by default.
        name: The report's folder there.
        out: A local directory instead.

    Raises:
        InputError: If ``out`` is a file.
    """
    if out is None:
        folder = workspace.folder(name)
        for file, content in pages.items():
            folder.write_bytes(file, content)
        return folder.url()
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; name a directory")
    out.mkdir(parents=True, exist_ok=True)
    for file, content in pages.items():
        write_aside(out / file, partial(write_all, content=content))
    return str(out)
