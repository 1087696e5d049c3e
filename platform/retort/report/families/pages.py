"""Fronts of recipes for reading: a table, and a directory with ``fronts.md``, ``fronts.json`` and the fronts as a figure."""

import json
from collections.abc import Mapping
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from retort.measures.registry import figure
from retort.report.families.choice import FLOPS_REFERENCE, LOSS, RECALL_REFERENCE
from retort.report.families.figure import fronts_figure
from retort.report.families.report import RecipeReport, RecipeRow
from retort.report.paper.pages import markdown_table
from retort.report.render.files import drawn_files
from retort.sweeps.trial import Scalar, knob_text

__all__ = ["recipe_notes", "recipe_pages", "recipes_table"]

HEADERS: Final = ("seed", "trials", "area\nvalid.", "area", "gain", "R@100", "change", "FLOPS", "times\nfewer")


def recipes_table(report: RecipeReport) -> Table:
    """A line for each seed's areas, then the choice's figures over all seeds."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.title, table.title_justify, table.title_style = _title(report), "left", "bold"
    table.add_column("recipe", overflow="fold")
    for header in HEADERS:
        table.add_column(header, justify="right", no_wrap=True)
    plain = [figure("R@100", report.unregularised_recall), "", figure("FLOPS", report.unregularised_flops), ""]
    table.add_row("unregularised", "mean", "", "", "", "", *plain)
    table.add_section()
    for row in report.rows:
        for number, cells in enumerate(_lines(row)):
            table.add_row(Text(row.recipe) if number == 0 else "", *cells)
        table.add_section()
    table.caption = _caption(report)
    table.caption_justify = "left"
    return table


def _title(report: RecipeReport) -> str:
    return f"fronts, chosen on the validation turns, on {report.split} ({report.n} turns)"


def _caption(report: RecipeReport) -> str:
    surely = ", at the worse end of the loss's 95 % interval by conversation" if report.sure else ""
    whose = "best setting" if report.loss_from == "best" else "unregularised student"
    return (
        f"area: hypervolume over R@100 and log10 FLOPS, reference {RECALL_REFERENCE:g} and {FLOPS_REFERENCE:g}; gain: less "
        f"{report.baseline}'s with the same seed. Below, the choice: the fewest FLOPS at no more than {100 * LOSS:g} % less "
        f"R@100 than the {whose} has on the validation turns{surely}, its figures on {report.split}."
    )


def _lines(row: RecipeRow) -> list[list[str]]:
    lines = [
        [
            str(seed),
            str(trials),
            f"{row.areas_validation[seed]:.4f}",
            f"{row.areas[seed]:.4f}",
            f"{row.area_gains[seed]:+.4f}" if seed in row.area_gains else "-",
            "",
            "",
            "",
            "",
        ]
        for seed, trials in row.trials.items()
    ]
    count = len(row.areas)
    mean = sum(row.areas.values()) / count
    validation = sum(row.areas_validation.values()) / count
    gain = f"{sum(row.area_gains.values()) / len(row.area_gains):+.4f}" if row.area_gains else "-"
    choice = [
        figure("R@100", row.recall),
        f"{100 * row.recall_change:+.1f} %",
        figure("FLOPS", row.flops),
        f"{row.times_fewer_flops:.1f}",
    ]
    return [*lines, ["mean", str(sum(row.trials.values())), f"{validation:.4f}", f"{mean:.4f}", gain, *choice]]


def recipe_notes(report: RecipeReport) -> list[str]:
    """What was chosen, and how sure its figures are, a line each."""
    notes = []
    for row in report.rows:
        change, times = row.recall_interval, row.times_interval
        intervals = "no interval: a single conversation"
        if change is not None and times is not None:
            intervals = (
                f"95 % by conversation: R@100 [{100 * change[0]:+.1f}, {100 * change[1]:+.1f}] %, "
                f"FLOPS [{times[0]:.1f}, {times[1]:.1f}] times fewer"
            )
        settings = {_setting(setting): None for setting in row.settings.values()}
        how = "one setting for all seeds" if row.one_setting else "a setting for each seed"
        notes.append(f"{row.recipe}: {intervals}; {how}: {'; '.join(settings)}")
        wins = sum(gain > 0 for gain in row.area_gains.values())
        if row.recipe != report.baseline:
            notes.append(
                f"{row.recipe}: its area is above {report.baseline}'s in {wins} of {len(row.area_gains)} seeds"
            )
    for name, measures in report.baselines.items():
        figures = f"R@100 {figure('R@100', measures['R@100'])} at FLOPS {figure('FLOPS', measures['FLOPS'])}"
        notes.append(f"{name.removeprefix('baseline:')}: {figures}")
    return notes


def _setting(setting: Mapping[str, Scalar]) -> str:
    return ", ".join(f"{key} {knob_text(value)}" for key, value in setting.items()) or "nothing searched"


def recipe_pages(report: RecipeReport) -> dict[str, bytes]:
    """File name -> content."""
    lines = [f"# {_title(report).capitalize()}", ""]
    plain = [figure("R@100", report.unregularised_recall), "", figure("FLOPS", report.unregularised_flops), ""]
    rows = [["unregularised", "mean", "", "", "", "", *plain]]
    rows += [[row.recipe, *cells] for row in report.rows for cells in _lines(row)]
    lines += markdown_table(["recipe", *(header.replace("\n", " ") for header in HEADERS)], rows)
    lines += ["", _caption(report), ""]
    lines += [f"- {note}" for note in recipe_notes(report)]
    lines += ["", "![fronts](fronts.png)", ""]
    pages = {"fronts.json": (json.dumps(report.to_json(), indent=1, ensure_ascii=False) + "\n").encode()}
    for kind, content in drawn_files(fronts_figure(report, _title(report))).items():
        pages[f"fronts.{kind}"] = content
    pages["fronts.md"] = "\n".join(lines).encode()
    return pages
