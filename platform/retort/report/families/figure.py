"""The fronts of several families of ablations in one figure."""

from retort.report.families.report import FamilyReport
from retort.report.render.axes import measure_axis
from retort.report.render.figure import BLACK, DASHES, LOOKS, Chart, Figure, Series

__all__ = ["fronts_figure"]


def fronts_figure(report: FamilyReport, title: str) -> Figure:
    """A line for each family and seed: colours and markers tell families apart, dashes their seeds; the choice is filled."""
    points = [point for row in report.rows for front in row.fronts.values() for point in front]
    x_axis = measure_axis("FLOPS", [*(point.flops for point in points), report.unregularised_flops])
    y_axis = measure_axis("R@100", [*(point.recall for point in points), report.unregularised_recall])
    lines, choices = [], []
    for number, row in enumerate(report.rows):
        colour, marker = LOOKS[number % len(LOOKS)]
        for position, (seed, front) in enumerate(row.fronts.items()):
            x, y = [x_axis.drawn(point.flops) for point in front], [point.recall for point in front]
            chosen = [index for index, point in enumerate(front) if point.run == row.runs.get(seed)]
            dash = DASHES[position % len(DASHES)]
            lines.append(Series(row.family, x, y, colour, marker, dash, hollow=True, width=1, legend=position == 0))
            choices.append(
                Series(
                    row.family, [x[i] for i in chosen], [y[i] for i in chosen], colour, marker, size=11, legend=False
                )
            )
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
