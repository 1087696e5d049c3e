"""What each searched setting did: a small chart for each setting and objective, parallel coordinates, importances."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from retort.measures.registry import measure
from retort.report.render.axes import Axis, choice_axis, measure_axis, tick_values, value_axis
from retort.report.render.figure import BLACK, BLUE, GREY, ORANGE, Chart, Figure, Note, Series
from retort.report.sweep.report import SweepReport
from retort.report.sweep.texts import front_numbers, hover_text
from retort.sweeps.sweep import Sweep
from retort.sweeps.trial import Scalar, TrialPoint, knob_text, short_knobs, varying_knobs

__all__ = ["importance_figure", "parallel_figure", "slice_figure"]

MOST_TEXT: Final = 18  # characters of a choice below an axis
_PLANE, _LETTER = 720, 7.6  # pixels that a chart has on a page of 800, and that a letter takes
_ROOM: Final = 40  # characters that stand side by side below a small chart


@dataclass(frozen=True)
class _Knob:
    """A searched setting, and where its values lie: choices side by side, a range in its own unit."""

    key: str
    choices: tuple[str, ...] | None
    ends: tuple[float, ...] = ()
    log: bool = False

    def at(self, point: TrialPoint) -> float:
        """Where a trial's value lies."""
        value = point.config.get(self.key)
        if self.choices is not None:
            return float(self.choices.index(knob_text(value)))
        assert isinstance(value, int | float), "a range holds numbers"
        return float(value)

    def axis(self) -> Axis:
        """The axis that holds all values."""
        if self.choices is None:
            return value_axis(self.key, self.ends, log=self.log, most=5)
        texts = [_cut(text, MOST_TEXT) for text in self.choices]
        return choice_axis(self.key, texts, slanted=sum(len(text) + 2 for text in texts) > _ROOM)


def _knobs(sweep: Sweep) -> list[_Knob]:
    """The searched settings that differ between the trials, in their order."""
    search: Mapping[str, Any] = sweep.settings["search"]
    finished = _finished(sweep)
    knobs = []
    for key in varying_knobs(finished):
        dimension = search.get(key, [])
        values = [point.config.get(key) for point in finished]
        numbers = [float(value) for value in values if isinstance(value, int | float)]
        if isinstance(dimension, Mapping) and len(numbers) == len(values):
            ends = (*numbers, float(dimension["low"]), float(dimension["high"]))
            knobs.append(_Knob(key, None, ends, bool(dimension.get("log"))))
        else:
            choices: Sequence[Scalar] = [] if isinstance(dimension, Mapping) else dimension
            tried = {knob_text(value) for value in values}
            texts = dict.fromkeys(knob_text(value) for value in (*choices, *values))
            knobs.append(_Knob(key, tuple(text for text in texts if text in tried)))
    return knobs


def _finished(sweep: Sweep) -> list[TrialPoint]:
    """The finished trials that have both objectives, in the order in which they ended."""
    return [
        point
        for point in sweep.points
        if point.status == "finished"
        and all(math.isfinite(point.validation.get(name, math.nan)) for name in sweep.objectives)
    ]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _objective_axes(sweep: Sweep) -> dict[str, Axis]:
    return {
        name: measure_axis(name, [point.validation[name] for point in _finished(sweep)], short=True, margin=0.1, most=6)
        for name in sweep.objectives
    }


def slice_figure(report: SweepReport) -> Figure | None:
    """One chart for each setting and objective; None where no setting differs."""
    sweep = report.sweep
    knobs, finished, numbers = _knobs(sweep), _finished(sweep), front_numbers(sweep)
    if not knobs:
        return None
    charts = []
    for knob in knobs:
        for name, axis in _objective_axes(sweep).items():
            series = []
            for label, colour, size, opacity, on_front in (
                ("dominated trials", GREY, 8.0, 0.6, False),
                ("front", BLUE, 9.0, 0.9, True),
            ):
                points = [point for point in finished if point.on_front == on_front]
                series.append(
                    Series(
                        label,
                        [knob.at(point) for point in points],
                        [axis.drawn(point.validation[name]) for point in points],
                        colour,
                        "circle",
                        size=size,
                        opacity=opacity,
                        hover=[hover_text(point, numbers.get(point.trial), sweep.split) for point in points],
                    )
                )
            charts.append(Chart(knob.axis(), axis, [*_medians(knob, finished, name, axis), *series]))
    text = (
        "All finished trials on the validation turns, each setting by itself: what else differs between the trials is not held "
        "still. Bars: the median of a choice that several trials have."
    )
    return Figure("slices", "Each setting by itself", text, charts, columns=2)


def _medians(knob: _Knob, points: Sequence[TrialPoint], name: str, axis: Axis) -> list[Series]:
    if knob.choices is None:
        return []
    values: dict[float, list[float]] = {}
    for point in points:
        values.setdefault(knob.at(point), []).append(point.validation[name])
    medians = {position: median(own) for position, own in sorted(values.items()) if len(own) > 1}
    if not medians:
        return []
    hover = [f"median of {knob.choices[int(x)]}\n{name} {measure(name).text(y)}" for x, y in medians.items()]
    drawn = [axis.drawn(value) for value in medians.values()]
    return [Series("median", list(medians), drawn, ORANGE, "line-ew", size=26, hover=hover)]


def parallel_figure(report: SweepReport) -> Figure | None:
    """Every finished trial as one line over the settings and both objectives; None where no setting differs."""
    sweep = report.sweep
    knobs, numbers = _knobs(sweep), front_numbers(sweep)
    if not knobs:
        return None
    names = short_knobs([knob.key for knob in knobs])
    knob_axes = [knob.axis() for knob in knobs]
    objectives = _objective_axes(sweep)
    count = len(knobs) + len(objectives)

    def share(name: str, value: float) -> float:
        """How far up a value of an objective lies: better is further up."""
        at = objectives[name].at(objectives[name].drawn(value))
        return at if sweep.objectives[name] == "max" else 1 - at

    most = max(5, int(_PLANE / count / _LETTER))
    notes = []
    for position, (knob, axis) in enumerate(zip(knobs, knob_axes, strict=True)):
        texts = enumerate(knob.choices) if knob.choices is not None else axis.ticks
        notes += [Note(float(position), axis.at(float(value)), _cut(text, most)) for value, text in texts]
    for position, (name, axis) in enumerate(objectives.items(), start=len(knobs)):
        notes += [Note(float(position), share(name, value), text) for value, text in axis.ticks]
    series = []
    for label, colour, width, opacity, on_front in (
        ("dominated trials", GREY, 1.2, 0.55, False),
        ("front", BLUE, 2.2, 0.9, True),
    ):
        x: list[float | None] = []
        y: list[float | None] = []
        hover: list[str] = []
        for point in (point for point in _finished(sweep) if point.on_front == on_front):
            shares = [axis.at(knob.at(point)) for knob, axis in zip(knobs, knob_axes, strict=True)]
            shares += [share(name, point.validation[name]) for name in objectives]
            x += [*map(float, range(count)), None]
            y += [*shares, None]
            hover += [hover_text(point, numbers.get(point.trial), sweep.split)] * count + [""]
        series.append(Series(label, x, y, colour, "circle", "solid", size=5, width=width, opacity=opacity, hover=hover))
    titles = [_broken(names[knob.key]) for knob in knobs] + [
        axis.title.partition(";")[0] for axis in objectives.values()
    ]
    slanted = max(len(line) for title in titles for line in title.split("\n")) * (_LETTER + 1) > _PLANE / count
    titles = [title.replace("\n", "") for title in titles] if slanted else titles
    # Left of the first axis there is as much room as its texts take.
    first = 14 + _LETTER * max(len(note.text) for note in notes if note.x == 0)
    first = max(first, _LETTER * len(titles[0])) if slanted else first
    left = first * (count - 0.85) / (_PLANE - first)
    ticks = tuple((float(position), title) for position, title in enumerate(titles))
    x_axis = Axis("", (-left, count - 0.85), ticks, slanted=slanted)
    chart = Chart(x_axis, Axis("", (-0.04, 1.04), ()), series, notes=notes)
    text = "A line is a trial: its settings from left to right, then its objectives on the validation turns, better further up."
    return Figure("parallel", "Settings and objectives together", text, [chart])


def _broken(name: str) -> str:
    """A name in two lines of about the same length, broken at an underscore or dot."""
    ends = [position + 1 for position, letter in enumerate(name) if letter in "_."]
    if len(name) <= 12 or not ends:
        return name
    middle = min(ends, key=lambda end: abs(end - len(name) / 2))
    return f"{name[:middle]}\n{name[middle:]}"


def importance_figure(report: SweepReport) -> Figure | None:
    """Bars for each setting and objective; None where their importance can't be told."""
    shares = report.importance.shares
    if not shares:
        return None
    keys = sorted(next(iter(shares.values())), key=lambda key: sum(own[key] for own in shares.values()))
    names = short_knobs(keys)
    series = [
        Series(
            f"{name} (its logarithm)" if measure(name).log else name,
            [own[key] for key in keys],
            [position + 0.19 - 0.38 * number for position in range(len(keys))],
            colour,
            bars=True,
            hover=[f"{key}\n{name}: {own[key]:.0%}" for key in keys],
        )
        for number, ((name, own), colour) in enumerate(zip(shares.items(), (BLUE, ORANGE, BLACK), strict=False))
    ]
    high = 1.05 * max(value for own in shares.values() for value in own.values())
    ticks = tuple((value, f"{value:.0%}") for value, _ in tick_values(0.0, high, most=6))
    x_axis = Axis("share of the variance between trials", (0.0, high), ticks)
    y_axis = choice_axis("", [names[key] for key in keys], margin=0.6)
    why = f" {report.importance.why}." if report.importance.why else ""
    text = (
        f"fANOVA over {report.importance.trials} finished trials: how much of the objective's variance each setting's own effect "
        "accounts for, as a share of all own effects. A hint and no measurement, least of all where an optimiser chose the "
        f"trials.{why}"
    )
    chart = Chart(x_axis, y_axis, series, height=110 + 52 * len(keys))
    return Figure("importance", "Which setting decides", text, [chart])
