"""What each searched setting did: a small chart for each setting and objective, parallel coordinates, importances."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from retort.report.render.figure import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    Axis,
    Chart,
    Figure,
    Note,
    Series,
    bounds,
    tick_values,
)
from retort.report.sweep.report import SweepReport
from retort.report.sweep.texts import LOG, hover_text
from retort.sweeps.trial import Scalar, TrialPoint, knob_text, short_knobs, varying_knobs

__all__ = ["importance_figure", "parallel_figure", "slice_figure"]

MOST_TEXT: Final = 18  # characters of a choice below an axis
_PLANE, _LETTER = 720, 7.6  # pixels that a chart has on a page of 800, and that a letter takes
_ROOM: Final = 40  # characters that stand side by side below a small chart
_FRONT, _OTHERS = "front", "dominated trials"


@dataclass(frozen=True)
class _Knob:
    """A searched setting, and where its values lie: choices side by side, a range in its own unit."""

    key: str
    choices: tuple[str, ...] | None
    low: float = 0.0
    high: float = 0.0
    log: bool = False

    def at(self, value: Scalar) -> float:
        if self.choices is not None:
            return float(self.choices.index(knob_text(value)))
        assert isinstance(value, int | float), "a range holds numbers"
        return float(value)

    def axis(self) -> Axis:
        if self.choices is None:
            low, high = bounds([self.low, self.high], log=self.log)
            return Axis(self.key, (low, high), tick_values(low, high, log=self.log, most=5), self.log)
        ticks = tuple((float(place), _cut(text, MOST_TEXT)) for place, text in enumerate(self.choices))
        slanted = sum(len(text) + 2 for _, text in ticks) > _ROOM
        return Axis(self.key, (-0.5, len(self.choices) - 0.5), ticks, slanted=slanted)


def _knobs(report: SweepReport) -> list[_Knob]:
    """The searched settings that differ between the trials, in their order."""
    search: Mapping[str, Any] = report.sweep.settings["search"]
    finished = _finished(report)
    found = []
    for key in varying_knobs(finished):
        dimension = search.get(key, [])
        values = [point.config.get(key) for point in finished]
        numbers = [value for value in values if isinstance(value, int | float)]
        if isinstance(dimension, Mapping) and len(numbers) == len(values):
            ends = [*numbers, float(dimension["low"]), float(dimension["high"])]
            found.append(_Knob(key, None, min(ends), max(ends), bool(dimension.get("log"))))
        else:
            choices = list(dimension) if not isinstance(dimension, Mapping) else []
            texts = dict.fromkeys(knob_text(value) for value in (*choices, *values))
            tried = {knob_text(value) for value in values}
            found.append(_Knob(key, tuple(text for text in texts if text in tried)))
    return found


def _finished(report: SweepReport) -> list[TrialPoint]:
    return [
        point
        for point in report.sweep.points
        if point.status == "finished"
        and all(math.isfinite(point.validation.get(measure, math.nan)) for measure in report.sweep.objectives)
    ]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _objective_axis(report: SweepReport, measure: str) -> tuple[Axis, float]:
    """The axis, and what stands for a value that a log axis has no place for."""
    values = [point.validation[measure] for point in _finished(report)]
    log = measure in LOG
    positive = [value for value in values if value > 0]
    floor = (min(positive) / 2 if positive else 0.01) if log else -math.inf
    low, high = bounds([max(value, floor) for value in values], log=log, margin=0.1)
    title = f"{measure} (log)" if log else measure
    return Axis(
        title,
        (low, high),
        tick_values(
            low,
            high,
            log=log,
            most=6,
        ),
        log,
    ), floor


def slice_figure(report: SweepReport) -> Figure | None:
    """One chart for each setting and objective; None where no setting differs."""
    knobs, finished, numbers = _knobs(report), _finished(report), report.numbers()
    if not knobs:
        return None
    charts = []
    for knob in knobs:
        for measure in report.sweep.objectives:
            axis, floor = _objective_axis(report, measure)
            series = []
            for name, colour, size, opacity, front in (
                (_OTHERS, GREY, 8.0, 0.6, False),
                (_FRONT, BLUE, 9.0, 0.9, True),
            ):
                points = [point for point in finished if point.on_front == front]
                series.append(
                    Series(
                        name,
                        [knob.at(point.config.get(knob.key)) for point in points],
                        [max(point.validation[measure], floor) for point in points],
                        colour,
                        "circle",
                        size=size,
                        opacity=opacity,
                        hover=[hover_text(point, numbers.get(point.trial), report.sweep.split) for point in points],
                    )
                )
            charts.append(Chart(knob.axis(), axis, [*_medians(knob, finished, measure, floor), *series]))
    text = (
        "All finished trials on the validation turns, each setting by itself: what else differs between the trials is not held "
        "still. Bars: the median of a choice that several trials have."
    )
    return Figure("slices", "Each setting by itself", text, charts, columns=2)


def _medians(knob: _Knob, points: Sequence[TrialPoint], measure: str, floor: float) -> list[Series]:
    if knob.choices is None:
        return []
    held: dict[float, list[float]] = {}
    for point in points:
        held.setdefault(knob.at(point.config.get(knob.key)), []).append(max(point.validation[measure], floor))
    several = {place: median(values) for place, values in sorted(held.items()) if len(values) > 1}
    if not several:
        return []
    x, y = list(several), list(several.values())
    hover = [f"median of {knob.choices[int(place)]}\n{measure} {value:.3g}" for place, value in several.items()]
    return [Series("median", x, y, ORANGE, "line-ew", size=26, hover=hover)]


def parallel_figure(report: SweepReport) -> Figure | None:
    """Every finished trial as one line over the settings and both objectives; None where no setting differs."""
    knobs, finished, numbers = _knobs(report), _finished(report), report.numbers()
    if not knobs:
        return None
    names = short_knobs([knob.key for knob in knobs])
    axes = [knob.axis() for knob in knobs]
    count = len(knobs) + len(report.sweep.objectives)
    most = max(5, int(_PLANE / count / _LETTER))
    notes = [
        Note(float(place), share, _cut(text, most))
        for place, (knob, axis) in enumerate(zip(knobs, axes, strict=True))
        for share, text in _notes(knob, axis)
    ]
    floors = {}
    objectives: dict[str, Axis] = {}
    for place, measure in enumerate(report.sweep.objectives, start=len(knobs)):
        objectives[measure], floors[measure] = _objective_axis(report, measure)
        notes += [
            Note(float(place), _upward(objectives[measure].at(value), report, measure), text)
            for value, text in objectives[measure].ticks
        ]
    series = []
    for name, colour, width, opacity, front in ((_OTHERS, GREY, 1.2, 0.55, False), (_FRONT, BLUE, 2.2, 0.9, True)):
        x: list[float | None] = []
        y: list[float | None] = []
        hover: list[str] = []
        for point in (point for point in finished if point.on_front == front):
            shares = [axis.at(knob.at(point.config.get(knob.key))) for knob, axis in zip(knobs, axes, strict=True)]
            for measure, axis in objectives.items():
                shares.append(_upward(axis.at(max(point.validation[measure], floors[measure])), report, measure))
            x += [*map(float, range(len(shares))), None]
            y += [*shares, None]
            hover += [hover_text(point, numbers.get(point.trial), report.sweep.split)] * len(shares) + [""]
        series.append(Series(name, x, y, colour, "circle", "solid", size=5, width=width, opacity=opacity, hover=hover))
    titles = [_broken(names[knob.key]) for knob in knobs]
    titles += [f"{measure}{' (log)' if measure in LOG else ''}" for measure in report.sweep.objectives]
    slanted = max(len(line) for title in titles for line in title.split("\n")) * (_LETTER + 1) > _PLANE / count
    titles = [title.replace("\n", "") for title in titles] if slanted else titles
    # Left of the first axis there is as much room as its texts take.
    first = 14 + _LETTER * max(len(note.text) for note in notes if note.x == 0)
    first = max(first, _LETTER * len(titles[0])) if slanted else first
    left = first * (count - 0.85) / (_PLANE - first)
    ticks = tuple((float(place), title) for place, title in enumerate(titles))
    x_axis = Axis("", (-left, count - 0.85), ticks, slanted=slanted)
    chart = Chart(x_axis, Axis("", (-0.04, 1.04), ()), series, notes=notes)
    text = "A line is a trial: its settings from left to right, then its objectives on the validation turns, better further up."
    return Figure("parallel", "Settings and objectives together", text, [chart])


def _notes(knob: _Knob, axis: Axis) -> list[tuple[float, str]]:
    if knob.choices is not None:
        return [(axis.at(float(place)), text) for place, text in enumerate(knob.choices)]
    return [(axis.at(value), text) for value, text in axis.ticks]


def _upward(share: float, report: SweepReport, measure: str) -> float:
    return share if report.sweep.objectives[measure] == "max" else 1 - share


def _broken(name: str) -> str:
    """A name in two lines of about the same length, broken at an underscore or dot."""
    ends = [place + 1 for place, letter in enumerate(name) if letter in "_."]
    if len(name) <= 12 or not ends:
        return name
    middle = min(ends, key=lambda end: abs(end - len(name) / 2))
    return f"{name[:middle]}\n{name[middle:]}"


def importance_figure(report: SweepReport) -> Figure | None:
    """Bars for each setting and objective; None where it can't be told."""
    shares = report.importance.shares
    if not shares:
        return None
    keys = sorted(next(iter(shares.values())), key=lambda key: sum(own[key] for own in shares.values()))
    names = short_knobs(keys)
    offsets = {measure: 0.19 - 0.38 * number for number, measure in enumerate(shares)}
    series = [
        Series(
            f"{measure}{' (its logarithm)' if measure in LOG else ''}",
            [own[key] for key in keys],
            [place + offsets[measure] for place in range(len(keys))],
            colour,
            bars=True,
            hover=[f"{key}\n{measure}: {own[key]:.0%}" for key in keys],
        )
        for (measure, own), colour in zip(shares.items(), (BLUE, ORANGE, BLACK), strict=False)
    ]
    high = max(value for own in shares.values() for value in own.values())
    ticks = tuple((value, f"{value:.0%}") for value, _ in tick_values(0.0, high * 1.05, most=6))
    y = Axis("", (-0.6, len(keys) - 0.4), tuple((float(place), names[key]) for place, key in enumerate(keys)))
    chart = Chart(
        Axis("share of the variance between trials", (0.0, high * 1.05), ticks), y, series, height=110 + 52 * len(keys)
    )
    told = f"{report.importance.trials} finished trials"
    why = f" {report.importance.why}." if report.importance.why else ""
    text = (
        f"fANOVA over {told}: which setting's own effect the objective's variance goes back to, as a share of all own effects. "
        f"A hint and no measurement, least of all where an optimiser chose the trials.{why}"
    )
    return Figure("importance", "Which setting decides", text, [chart])
