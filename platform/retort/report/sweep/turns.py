"""Sparsity and recall by turn number: what a sweep's front is worth as conversations go on."""

from collections.abc import Mapping
from itertools import cycle
from typing import Final

from retort.measures.registry import figure
from retort.report.paper.grid import turn_groups
from retort.report.render.figure import Axis, Chart, Figure, Marker, Series, bounds, tick_values
from retort.report.sweep.report import ByTurn, SweepReport
from retort.report.sweep.texts import BASELINES, TITLES, baseline_name

__all__ = ["turn_figure"]

MOST_RUNS: Final = 8  # of the front: more lines than that can't be told apart
_RAMP: Final = (
    (0xD5, 0x9B, 0x00),
    (0x8A, 0x86, 0x79),
    (0x00, 0x2F, 0x6C),
)  # cheap to dear, told apart by lightness too
_MARKERS: Final[tuple[Marker, ...]] = ("circle", "square", "diamond", "triangle-up", "triangle-down", "star")


def turn_figure(report: SweepReport) -> Figure | None:
    """L0 and the front's worth by turn number, of the front's runs and the baselines; None where nothing was measured by turn."""
    worth, _ = sorted(report.sweep.objectives, key=lambda measure: report.sweep.objectives[measure] == "min")
    runs = [(number, point) for number, point in enumerate(report.sweep.front, start=1) if point.run in report.by_turn]
    if not runs:
        return None
    step = max(1.0, (len(runs) - 1) / (MOST_RUNS - 1))
    shown = [runs[round(place * step)] for place in range(min(len(runs), MOST_RUNS))]
    groups = _groups(report.by_turn[str(shown[0][1].run)])
    ticks = tuple((float(place), f"{label}\n({int(n)})") for place, (label, (_, n)) in enumerate(groups.items()))
    charts = []
    for measure in dict.fromkeys(("L0", worth)):
        series = []
        for place, (number, point) in enumerate(shown):
            measures = point.evaluation or point.validation
            name = f"{number}: FLOPS {figure('FLOPS', measures.get('FLOPS'))}"
            colour, marker = _ramp(place / max(1, len(shown) - 1)), _MARKERS[place % len(_MARKERS)]
            series.append(_turn_series(name, report.by_turn[str(point.run)], measure, groups, colour, marker))
        for (name, found), (colour, _) in zip(
            ((name, report.by_turn[name]) for name in report.sweep.baselines if name in report.by_turn),
            cycle(BASELINES),
            strict=False,
        ):
            series.append(_turn_series(baseline_name(name), found, measure, groups, colour, None))
        log = measure == "L0"
        low, high = bounds([value for one in series for value in one.y if value is not None], log=log, margin=0.08)
        charts.append(
            Chart(
                x=Axis("turn number (turns)", (-0.3, len(groups) - 0.7), ticks),
                y=Axis(TITLES.get(measure, measure), (low, high), tick_values(low, high, log=log), log),
                series=series,
                height=380,
            )
        )
    left_out = f" {len(shown)} of the front's {len(runs)} runs are shown." if len(shown) < len(runs) else ""
    text = (
        f"On {report.turns_split}: the front's runs, numbered as in the table, from cheap (light) to dear (dark); dashed: the "
        "baselines. In brackets: how many turns have the number; the deepest are one group, since few conversations go so "
        f"far.{left_out}"
    )
    return Figure("turns", f"L0 and {worth} by turn number", text, charts, columns=2)


def _groups(by_turn: ByTurn) -> dict[str, tuple[list[str], float]]:
    """Label -> turn numbers in it and how many turns they have."""
    numbers = [int(number) for number, measures in by_turn.items() for _ in range(int(measures["n"]))]
    groups = {}
    for label, places in turn_groups(numbers).items():
        held = list(dict.fromkeys(str(numbers[place]) for place in places))
        groups[label] = (held, float(len(places)))
    return groups


def _turn_series(
    name: str,
    by_turn: ByTurn,
    measure: str,
    groups: Mapping[str, tuple[list[str], float]],
    colour: str,
    marker: Marker | None,
) -> Series:
    values = []
    for held, _ in groups.values():
        told = [by_turn[number] for number in held if number in by_turn and measure in by_turn[number]]
        n = sum(one["n"] for one in told)
        mean = sum(one["n"] * one[measure] for one in told) / n if n else None
        values.append(None if measure == "L0" and mean == 0 else mean)  # 0 has no place on a log axis
    hover = [
        f"{name}\nturn {label}: {measure} {figure(measure, value)} (n {int(n)})"
        for (label, (_, n)), value in zip(groups.items(), values, strict=True)
    ]
    return Series(
        name,
        [float(place) for place in range(len(groups))],
        values,
        colour,
        marker,
        "solid" if marker else "dash",
        size=8,
        width=2.0 if marker else 2.4,
        hover=hover,
    )


def _ramp(share: float) -> str:
    """A colour between those of the ramp."""
    at = share * (len(_RAMP) - 1)
    first = min(int(at), len(_RAMP) - 2)
    mixed = (round(a + (at - first) * (b - a)) for a, b in zip(_RAMP[first], _RAMP[first + 1], strict=True))
    return "#" + "".join(f"{part:02X}" for part in mixed)
