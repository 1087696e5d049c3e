"""A sweep's front as figures, one over each cost: FLOPS, L0, and latency where it was measured."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from retort.measures.paired import rank_correlation
from retort.measures.registry import COST, measure
from retort.report.paper.published import SOURCE, Published
from retort.report.render.axes import measure_axis
from retort.report.render.figure import BLACK, BLUE, GREY, VERMILLION, Chart, Figure, Marker, Series
from retort.report.sweep.texts import baseline_looks, baseline_name, front_numbers, hover_text, worth_and_cost
from retort.sweeps.sweep import Sweep
from retort.sweeps.trial import TrialPoint, knob_text, short_knobs, varying_knobs

__all__ = ["front_figures"]

Measures = Mapping[str, float]

_LATENCY: Final = "latency"
_FRONT: Final = "front, validation (chosen on)"


def front_figures(
    sweep: Sweep, latencies: Mapping[str, float] | None = None, published: Mapping[str, Published] | None = None
) -> list[Figure]:
    """The trials' worth over each cost: first over the objective, then over FLOPS, L0 and latency as far as they are known.

    Args:
        sweep: The sweep, ended or not.
        latencies: Run of the front -> median milliseconds of a turn.
        published: Names and figures of the paper, where they are of the turns that the front was evaluated on.
    """
    worth, cost = worth_and_cost(sweep)
    known = {name for point in sweep.points for name in point.validation}
    costs = [cost, *(name for name in COST if name not in (worth, cost) and name in known)]
    costs += [_LATENCY] * bool(latencies and sweep.split is not None)
    figures = [_Front(sweep, worth, name, latencies or {}, published or {}).figure() for name in costs]
    return [figure for figure in figures if figure is not None]


@dataclass(frozen=True, slots=True)
class _Mark:
    """A point of the figure, with its text for the mouse."""

    x: float
    y: float
    hover: str


class _Front:
    """The figure over one cost: what is marked in it, and which lines lead there."""

    def __init__(
        self,
        sweep: Sweep,
        worth: str,
        cost: str,
        latencies: Mapping[str, float],
        published: Mapping[str, Published],
    ) -> None:
        self.sweep, self.worth, self.cost, self.latencies = sweep, worth, cost, latencies
        self.numbers = front_numbers(sweep)
        self.front = self._trial_marks([] if cost == _LATENCY else sweep.front, evaluated=False)
        self.dominated = self._trial_marks([p for p in sweep.finished if not p.on_front], evaluated=False)
        self.evaluated = self._trial_marks(sweep.front, evaluated=True)
        self.baselines: dict[str, _Mark] = {}
        for name, measures in sweep.baselines.items():
            shown = ", ".join(f"{key} {measure(key).text(value)}" for key, value in measures.items() if key != "n")
            if (mark := self._mark(measures, f"{baseline_name(name)}\n{sweep.split}: {shown}")) is not None:
                self.baselines[name] = mark
        # Published retrievers without FLOPS have a height but no place across.
        rows = {name: row for name, row in published.items() if cost == "FLOPS" and worth in row}
        text = {name: f"{name}\n{SOURCE}: {worth} {measure(worth).text(row[worth])}" for name, row in rows.items()}
        self.published = [_Mark(row[cost], row[worth], text[name]) for name, row in rows.items() if cost in row]
        self.published_heights = [(row[worth], text[name]) for name, row in rows.items() if cost not in row]
        trials = (*self.front.values(), *self.dominated.values(), *self.evaluated.values())
        self.marks = [*trials, *self.baselines.values(), *self.published]
        self.x = measure_axis(cost, [mark.x for mark in self.marks], margin=0.06, most=10)
        self.y = measure_axis(worth, [mark.y for mark in self.marks] + [y for y, _ in self.published_heights])

    def _mark(self, measures: Measures, hover: str) -> _Mark | None:
        x, y = measures.get(self.cost, math.nan), measures.get(self.worth, math.nan)
        return _Mark(x, y, hover) if math.isfinite(x) and math.isfinite(y) else None

    def _trial_marks(self, points: Sequence[TrialPoint], *, evaluated: bool) -> dict[str, _Mark]:
        """Trial -> its mark, for those that have both measures; from left to right."""
        marks = {}
        for point in points:
            measures = (point.evaluation or {}) if evaluated else point.validation
            if evaluated and point.run is not None and point.run in self.latencies:
                measures = {**measures, _LATENCY: self.latencies[point.run]}
            mark = self._mark(measures, hover_text(point, self.numbers.get(point.trial), self.sweep.split))
            if mark is not None:
                marks[point.trial] = mark
        return dict(sorted(marks.items(), key=lambda item: item[1].x))

    def figure(self) -> Figure | None:
        """The figure; None where nothing has both measures."""
        if not self.marks:
            return None
        series = [*self._lines(), *self._links(), *self._staircase(), *self._marked()]
        name = f"front-{self.cost.lower().replace('@', '')}"
        charts = [Chart(self.x, self.y, series)]
        return Figure(name, f"{self.worth} against {self.cost}", self._text(), charts, key=self._key())

    def _is_front_of_both(self) -> bool:
        return set(self.sweep.objectives) == {self.worth, self.cost}

    def _text(self) -> str:
        direction = {name: self.sweep.objectives.get(name, measure(name).direction) for name in (self.worth, self.cost)}
        up, left = direction[self.worth] == "max", direction[self.cost] == "min"
        parts = [f"Better: {'up' if up else 'down'} and {'left' if left else 'right'}."]
        split = self.sweep.split
        points = {point.trial: point for point in self.sweep.front}
        if self.front:
            turns = _turn_count([points[trial].validation for trial in self.front])
            parts.append(f"Filled: the validation turns{turns}, which chose the front.")
        if self.evaluated:
            turns = _turn_count([points[trial].evaluation or {} for trial in self.evaluated])
            whose = "the same" if self.front else "the front's"
            parts.append(f"Hollow: {whose} runs on {split}{turns}, which they are reported on.")
        if self.front and self.evaluated:
            parts.append("The two sets of turns differ: compare within one of them.")
        if self.baselines:
            parts.append(f"Dotted: the baselines on {split}.")
        if self.published or self.published_heights:
            parts.append(f"Black: published figures, for orientation ({SOURCE}).")
        if self.cost == _LATENCY and (correlation := self._rank_correlation()) is not None:
            parts.append(f"FLOPS order these runs by milliseconds with a rank correlation of {correlation:+.2f}.")
        if self.front and not self._is_front_of_both():
            objectives = " and ".join(self.sweep.objectives)
            parts.append(f"The front is that of {objectives}: over {self.cost} it need not be one, and has no line.")
        return " ".join(parts)

    def _rank_correlation(self) -> float | None:
        """Spearman's, of FLOPS with milliseconds over the front's runs; None for fewer than three that differ."""
        points = {point.trial: point.evaluation or {} for point in self.sweep.front}
        pairs = [(points[trial].get("FLOPS", math.nan), mark.x) for trial, mark in self.evaluated.items()]
        flops, milliseconds = zip(*pairs, strict=True) if pairs else ((), ())
        return rank_correlation(flops, milliseconds)

    def _key(self) -> list[str]:
        """A line for each numbered point: its two measures, and the settings in which the front's trials differ, in columns."""
        marks = self.front or self.evaluated
        points = [point for point in self.sweep.front if point.trial in marks]
        knobs = varying_knobs(points)
        names = short_knobs(knobs)
        rows = [["", self.cost, self.worth, *(names[key] for key in knobs)]] * bool(points)
        for point in points:
            mark = marks[point.trial]
            measured = [measure(self.cost).text(mark.x), measure(self.worth).text(mark.y)]
            settings = [knob_text(point.config.get(key)) for key in knobs]
            rows.append([str(self.numbers[point.trial]), *measured, *settings])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]

    def _lines(self) -> list[Series]:
        """How high the baselines lie, and what is published without this cost."""
        ends = self.x.range
        looks = baseline_looks(self.sweep)
        lines = [
            Series(baseline_name(name), ends, (y, y), looks[name][0], line="dot", width=1.2, legend=False)
            for name, y in ((name, self.y.drawn(mark.y)) for name, mark in self.baselines.items())
        ]
        return lines + [
            Series("published", ends, (y, y), BLACK, line="dot", width=1, hover=[hover] * 2, legend=False)
            for y, hover in self.published_heights
        ]

    def _links(self) -> list[Series]:
        """Dotted lines from each run's point on the validation turns to its point on the evaluation turns."""
        x: list[float | None] = []
        y: list[float | None] = []
        for trial, mark in self.evaluated.items():
            if trial in self.front:
                pair = (self.front[trial], mark)
                x += [*(self.x.drawn(end.x) for end in pair), None]
                y += [*(self.y.drawn(end.y) for end in pair), None]
        return [Series(self._evaluated_name(), x, y, VERMILLION, line="dot", width=0.9, legend=False)] * bool(x)

    def _staircase(self) -> list[Series]:
        """The front's line, flat up to the next point: at a cost between two points the cheaper one is what can be had.

        It ends where the costliest trial lies: what lies beyond was not tried.
        """
        aims = self.sweep.objectives
        if not self.front or not self._is_front_of_both() or (aims[self.worth], aims[self.cost]) != ("max", "min"):
            return []
        x = [self.x.drawn(mark.x) for mark in self.front.values()]
        y = [self.y.drawn(mark.y) for mark in self.front.values()]
        x.append(max(self.x.drawn(mark.x) for mark in (*self.front.values(), *self.dominated.values())))
        return [Series(_FRONT, x, [*y, y[-1]], BLUE, line="steps", width=2, legend=False)]

    def _marked(self) -> list[Series]:
        looks = baseline_looks(self.sweep)
        front, evaluated = [[str(self.numbers[trial]) for trial in marks] for marks in (self.front, self.evaluated)]
        dominated = list(self.dominated.values())
        series = [
            self._series("dominated trials, validation", dominated, GREY, "circle", size=8, opacity=0.55),
            self._series(_FRONT, list(self.front.values()), BLUE, "circle", labels=front),
            self._series(
                self._evaluated_name(),
                list(self.evaluated.values()),
                VERMILLION,
                "diamond",
                size=10,
                hollow=True,
                labels=evaluated,
            ),
            *(
                self._series(f"{baseline_name(name)}, {self.sweep.split}", [mark], *looks[name])
                for name, mark in self.baselines.items()
            ),
            self._series("published", self.published, BLACK, "star"),
        ]
        return [one for one in series if one.x]

    def _evaluated_name(self) -> str:
        return f"front, {self.sweep.split} (reported on)"

    def _series(
        self,
        name: str,
        marks: Sequence[_Mark],
        colour: str,
        marker: Marker,
        *,
        size: float = 11,
        opacity: float = 1.0,
        hollow: bool = False,
        labels: Sequence[str] = (),
    ) -> Series:
        return Series(
            name,
            [self.x.drawn(mark.x) for mark in marks],
            [self.y.drawn(mark.y) for mark in marks],
            colour,
            marker,
            hollow=hollow,
            size=size,
            opacity=opacity,
            hover=[mark.hover for mark in marks],
            labels=labels,
        )


def _turn_count(measures: Sequence[Measures]) -> str:
    """How many turns were measured, in brackets, where all agree."""
    counts = {int(known["n"]) for known in measures if math.isfinite(known.get("n", math.nan))}
    return f" ({counts.pop()})" if len(counts) == 1 else ""
