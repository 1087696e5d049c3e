"""Fronts of families of ablations for reading: a table, and a directory with ``fronts.md``, ``fronts.json`` and a figure."""

import json
from collections.abc import Mapping

from retort.measures.registry import ACCEPTED_LOSS, figure
from retort.report.families.choice import FLOPS_REFERENCE, RECALL_REFERENCE
from retort.report.families.report import FamilyReport, FamilyRow
from retort.report.render.axes import measure_axis
from retort.report.render.figure import BLACK, DASHES, LOOKS, Chart, Figure, Series
from retort.report.render.files import drawn_files
from retort.report.render.markdown import markdown_section
from retort.report.render.table import Column, Heading, Row, Table, row
from retort.storage.layout import BASELINE
from retort.sweeps.trial import Scalar, knob_text

__all__ = ["families_table", "family_pages", "fronts_figure"]


def families_table(report: FamilyReport) -> Table:
    """A line for each seed's areas, then the choice's figures over all seeds."""
    columns = (
        Column("family", "name"),
        Column("seed", importance=95),
        Column("trials", importance=80),
        Column("area valid.", importance=81),
        Column("area", importance=88),
        Column("gain", importance=89),
        Column("R@100", importance=92),
        Column("change", importance=91),
        Column("FLOPS", importance=93),
        Column("times fewer", importance=90),
    )
    plain = [figure("R@100", report.unregularised_recall), "", figure("FLOPS", report.unregularised_flops), ""]
    lines: list[Row | Heading] = [row("unregularised", "mean", "", "", "", "", *plain)]
    for own in report.rows:
        lines += [Heading(), *_lines(own)]
    return Table(_title(report), columns, lines, [_caption(report), *_notes(report)])


def _title(report: FamilyReport) -> str:
    return f"Fronts, chosen on the validation turns, on {report.split} ({report.n} turns)"


def _caption(report: FamilyReport) -> str:
    surely = ", at the worse end of the loss's 95 % interval by conversation" if report.sure else ""
    whose = "best setting" if report.loss_from == "best" else "unregularised student"
    return (
        f"area: hypervolume over R@100 and log10 FLOPS, reference {RECALL_REFERENCE:g} and {FLOPS_REFERENCE:g}; gain: less "
        f"{report.baseline}'s with the same seed. R@100 and FLOPS are those of the choice: the fewest FLOPS at no more than "
        f"{100 * ACCEPTED_LOSS:g} % less R@100 than the {whose} has on the validation turns{surely}."
    )


def _lines(own: FamilyRow) -> list[Row]:
    seeds = [
        row(
            own.family if number == 0 else "",
            str(seed),
            str(trials),
            f"{own.areas_validation[seed]:.4f}",
            f"{own.areas[seed]:.4f}",
            f"{own.area_gains[seed]:+.4f}" if seed in own.area_gains else "-",
            *[""] * 4,
        )
        for number, (seed, trials) in enumerate(own.trials.items())
    ]
    count = len(own.areas)
    mean = row(
        "",
        "mean",
        str(sum(own.trials.values())),
        f"{sum(own.areas_validation.values()) / count:.4f}",
        f"{sum(own.areas.values()) / count:.4f}",
        f"{sum(own.area_gains.values()) / len(own.area_gains):+.4f}" if own.area_gains else "-",
        figure("R@100", own.recall),
        f"{100 * own.recall_change:+.1f} %",
        figure("FLOPS", own.flops),
        f"{own.times_fewer_flops:.1f}",
    )
    return [*seeds, mean]


def _notes(report: FamilyReport) -> list[str]:
    """What was chosen, and how sure its figures are, a line each."""
    notes = []
    for own in report.rows:
        change, times = own.recall_interval, own.times_interval
        intervals = "no interval: a single conversation"
        if change is not None and times is not None:
            intervals = (
                f"95 % by conversation: R@100 [{100 * change[0]:+.1f}, {100 * change[1]:+.1f}] %, "
                f"FLOPS [{times[0]:.1f}, {times[1]:.1f}] times fewer"
            )
        settings = {_setting(setting): None for setting in own.settings.values()}
        how = "one setting for all seeds" if own.one_setting else "a setting for each seed"
        notes.append(f"{own.family}: {intervals}; {how}: {'; '.join(settings)}")
        if own.family != report.baseline:
            wins = sum(gain > 0 for gain in own.area_gains.values())
            notes.append(
                f"{own.family}: its area is above {report.baseline}'s in {wins} of {len(own.area_gains)} seeds"
            )
    for name, measures in report.baselines.items():
        figures = f"R@100 {figure('R@100', measures['R@100'])} at FLOPS {figure('FLOPS', measures['FLOPS'])}"
        notes.append(f"{BASELINE.kind(name)}: {figures}")
    return notes


def _setting(setting: Mapping[str, Scalar]) -> str:
    return ", ".join(f"{key} {knob_text(value)}" for key, value in setting.items()) or "nothing searched"


def fronts_figure(report: FamilyReport, title: str) -> Figure:
    """A line for each family and seed: colours and markers tell families apart, dashes their seeds; the choice is filled."""
    points = [point for own in report.rows for front in own.fronts.values() for point in front]
    x_axis = measure_axis("FLOPS", [*(point.flops for point in points), report.unregularised_flops])
    y_axis = measure_axis("R@100", [*(point.recall for point in points), report.unregularised_recall])
    lines, choices = [], []
    for number, own in enumerate(report.rows):
        colour, marker = LOOKS[number % len(LOOKS)]
        for position, (seed, front) in enumerate(own.fronts.items()):
            x, y = [x_axis.drawn(point.flops) for point in front], [point.recall for point in front]
            chosen = [index for index, point in enumerate(front) if point.run == own.runs.get(seed)]
            dash = DASHES[position % len(DASHES)]
            lines.append(Series(own.family, x, y, colour, marker, dash, hollow=True, width=1, legend=position == 0))
            x, y = [x[index] for index in chosen], [y[index] for index in chosen]
            choices.append(Series(own.family, x, y, colour, marker, size=11, legend=False))
    reference = Series(
        "unregularised, mean of the seeds",
        [x_axis.drawn(report.unregularised_flops)],
        [report.unregularised_recall],
        BLACK,
        "star",
        size=15,
    )
    text = "A line for each seed, a colour for each family; filled: the choice, where it lies on the front."
    return Figure("fronts", title, text, [Chart(x_axis, y_axis, [*lines, *choices, reference])])


def family_pages(report: FamilyReport) -> dict[str, bytes]:
    """File name -> content."""
    pages = {"fronts.json": (json.dumps(report.to_json(), indent=1, ensure_ascii=False) + "\n").encode()}
    for kind, content in drawn_files(fronts_figure(report, _title(report))).items():
        pages[f"fronts.{kind}"] = content
    title, *lines = markdown_section(families_table(report))
    pages["fronts.md"] = "\n".join([title.removeprefix("##"), *lines, "", "![fronts](fronts.png)", ""]).encode()
    return pages
