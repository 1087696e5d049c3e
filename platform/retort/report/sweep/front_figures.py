"""A sweep's front as figures, over each cost: FLOPS, L0, and latency where it was measured."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import cycle

from retort.measures.registry import figure
from retort.report.paper.published import SOURCE
from retort.report.render.figure import (
    BLACK,
    BLUE,
    GREY,
    VERMILLION,
    Axis,
    Chart,
    Figure,
    Series,
    bounds,
    tick_values,
)
from retort.report.sweep.report import SweepReport
from retort.report.sweep.texts import BASELINES, LOG, TITLES, baseline_name, hover_text
from retort.sweeps.trial import TrialPoint

__all__ = ["front_figures"]

Measures = Mapping[str, float]


def front_figures(report: SweepReport) -> list[Figure]:
    """The worth of the trials over each cost: the objective's first, then FLOPS, L0 and latency as far as they are known."""
    worth, cost = sorted(report.sweep.objectives, key=lambda measure: report.sweep.objectives[measure] == "min")
    known = {measure for point in report.sweep.points for measure in point.validation}
    costs = [cost, *(name for name in ("FLOPS", "L0") if name not in (worth, cost) and name in known)]
    figures = [_Front(report, worth, name).figure() for name in costs]
    if report.latencies and report.sweep.split is not None:
        figures.append(_Front(report, worth, "latency").figure())
    return [figure for figure in figures if figure is not None]


class _Front:
    """One figure: which measure lies on which axis, and where a point is drawn: FLOPS of 0 have no place on a log axis."""

    def __init__(self, report: SweepReport, worth: str, cost: str) -> None:
        self.report, self.worth, self.cost = report, worth, cost
        self.split = report.sweep.split
        self.numbers = report.numbers()
        self.chosen = set(report.sweep.objectives) == {worth, cost}
        finished = [point for point in report.sweep.points if point.status == "finished"]
        by_validation: Callable[[TrialPoint], Measures] = lambda point: point.validation  # noqa: E731
        self.front = [] if cost == "latency" else self._with(report.sweep.front, by_validation)
        self.dominated = self._with([p for p in finished if not p.on_front], by_validation)
        self.evaluated = self._with(report.sweep.front, self._evaluation)
        self.baselines = [
            (name, place)
            for name, measures in report.sweep.baselines.items()
            if (place := self._place(self._with_latency(name, measures))) is not None
        ]
        self.published = list(report.published.items()) if cost == "FLOPS" else []
        across = [place[0] for _, place in (*self.front, *self.dominated, *self.evaluated, *self.baselines)]
        across += [row[cost] for _, row in self.published if cost in row]
        positive = [value for value in across if value > 0]
        self.floor = min(positive) / 2 if positive else 0.01
        self.floored = cost in LOG and len(positive) < len(across)
        self.across = [self._drawn(value) for value in across]
        # The front's line ends where the costliest trial lies: what lies beyond was not tried.
        self.right = max((self._drawn(place[0]) for _, place in (*self.front, *self.dominated)), default=0.0)

    def _evaluation(self, point: TrialPoint) -> Measures:
        return self._with_latency(point.run or "", point.evaluation or {})

    def _with_latency(self, name: str, measures: Measures) -> Measures:
        told = self.report.latencies.get(name)
        return measures if told is None else {**measures, "latency": told}

    def _with(
        self, points: Iterable[TrialPoint], measures: Callable[[TrialPoint], Measures]
    ) -> list[tuple[TrialPoint, tuple[float, float]]]:
        placed = ((point, self._place(measures(point))) for point in points)
        return [(point, place) for point, place in placed if place is not None]

    def _place(self, measures: Measures) -> tuple[float, float] | None:
        place = measures.get(self.cost, math.nan), measures.get(self.worth, math.nan)
        return place if all(map(math.isfinite, place)) else None

    def _drawn(self, across: float) -> float:
        return self.floor if self.cost in LOG and across <= 0 else across

    def figure(self) -> Figure | None:
        if not self.across:
            return None
        log = self.cost in LOG
        upward = [place[1] for _, place in (*self.front, *self.dominated, *self.evaluated, *self.baselines)]
        upward += [row[self.worth] for _, row in self.published if self.worth in row]
        left, right = bounds(self.across, log=log)
        bottom, top = bounds(upward, margin=0.08)
        floored = f"; 0 is drawn at {self.floor:.2g}" if self.floored else ""
        chart = Chart(
            x=Axis(TITLES.get(self.cost, self.cost) + floored, (left, right), tick_values(left, right, log=log), log),
            y=Axis(self.worth, (bottom, top), tick_values(bottom, top)),
            series=[*self._reference_series(left, right), *self._trial_series(), *self._mark_series()],
        )
        file = f"front-{self.cost.lower().replace('@', '')}"
        return Figure(file, f"{self.worth} against {self.cost}", self._text(), [chart])

    def _text(self) -> str:
        better = ["up" if self.report.sweep.objectives.get(self.worth, "max") == "max" else "down"]
        better.append("left" if self.report.sweep.objectives.get(self.cost, "min") == "min" else "right")
        parts = [f"Better: {' and '.join(better)}."]
        if self.front:
            parts.append(
                f"Filled: the validation turns{_count([p.validation for p, _ in self.front])}, which chose the front."
            )
        if self.evaluated:
            on = _count([self._evaluation(point) for point, _ in self.evaluated])
            whose = "the same" if self.front else "the front's"
            parts.append(f"Hollow: {whose} runs on {self.split}{on}, which they are reported on.")
        if self.front and self.evaluated:
            parts.append("The two sets of turns differ: compare within one of them.")
        if self.baselines:
            parts.append(f"Dotted: the baselines on {self.split}.")
        if self.published:
            parts.append(f"Black: published figures, for orientation ({SOURCE}).")
        if self.cost == "latency" and (correlation := self.report.flops_predict_latency()) is not None:
            parts.append(f"FLOPS order these runs by milliseconds with a rank correlation of {correlation:+.2f}.")
        if not self.chosen and self.front:
            objectives = " and ".join(self.report.sweep.objectives)
            parts.append(f"The front is that of {objectives}: over {self.cost} it need not be one, and has no line.")
        return " ".join(parts)

    def _reference_series(self, left: float, right: float) -> list[Series]:
        lines = [
            Series(
                baseline_name(name), (left, right), (place[1], place[1]), colour, line="dot", width=1.2, legend=False
            )
            for (name, place), (colour, _) in zip(self.baselines, cycle(BASELINES), strict=False)
        ]
        lines += [
            Series(
                "published",
                (left, right),
                (row[self.worth], row[self.worth]),
                BLACK,
                line="dot",
                width=1,
                hover=[f"{name}\n{SOURCE}: {self.worth} {row[self.worth]:.3f}"] * 2,
                legend=False,
            )
            for name, row in self.published
            if self.cost not in row and self.worth in row
        ]
        pairs = dict[str, tuple[float, float]]((point.trial, place) for point, place in self.front)
        x: list[float | None] = []
        y: list[float | None] = []
        for point, place in self.evaluated:
            if point.trial in pairs:
                x += [self._drawn(pairs[point.trial][0]), self._drawn(place[0]), None]
                y += [pairs[point.trial][1], place[1], None]
        name = f"front, {self.split} (reported on)"
        return [*lines, *([Series(name, x, y, VERMILLION, line="dot", width=0.9, legend=False)] if x else [])]

    def _trial_series(self) -> list[Series]:
        series = []
        if self.dominated:
            points = [point for point, _ in self.dominated]
            series.append(
                Series(
                    "dominated trials, validation",
                    [self._drawn(place[0]) for _, place in self.dominated],
                    [place[1] for _, place in self.dominated],
                    GREY,
                    "circle",
                    size=8,
                    opacity=0.55,
                    hover=[hover_text(point, None, self.split) for point in points],
                )
            )
        if not self.front:
            return series
        front = sorted(self.front, key=lambda one: one[1][0])
        x = [self._drawn(place[0]) for _, place in front]
        y = [place[1] for _, place in front]
        name = "front, validation (chosen on)"
        if self.chosen and (self.report.sweep.objectives[self.worth], self.report.sweep.objectives[self.cost]) == (
            "max",
            "min",
        ):
            # At a cost between two points the cheaper one is what can be had: the line is flat up to the next point.
            series.append(Series(name, [*x, self.right], [*y, y[-1]], BLUE, line="steps", width=2, legend=False))
        series.append(
            Series(
                name,
                x,
                y,
                BLUE,
                "circle",
                size=11,
                hover=[hover_text(point, self.numbers[point.trial], self.split) for point, _ in front],
                labels=[str(self.numbers[point.trial]) for point, _ in front],
            )
        )
        return series

    def _mark_series(self) -> list[Series]:
        series = []
        if self.evaluated:
            numbers = [str(self.numbers[point.trial]) for point, _ in self.evaluated]
            series.append(
                Series(
                    f"front, {self.split} (reported on)",
                    [self._drawn(place[0]) for _, place in self.evaluated],
                    [place[1] for _, place in self.evaluated],
                    VERMILLION,
                    "diamond-open",
                    size=10,
                    hover=[hover_text(point, self.numbers[point.trial], self.split) for point, _ in self.evaluated],
                    labels=numbers,
                )
            )
        for (name, place), (colour, marker) in zip(self.baselines, cycle(BASELINES), strict=False):
            told = self._with_latency(name, self.report.sweep.baselines[name])
            shown = ", ".join(
                f"{measure} {figure(measure, value)}" for measure, value in told.items() if measure != "n"
            )
            series.append(
                Series(
                    f"{baseline_name(name)}, {self.split}",
                    [self._drawn(place[0])],
                    [place[1]],
                    colour,
                    marker,
                    size=11,
                    hover=[f"{baseline_name(name)}\n{self.split}: {shown}"],
                )
            )
        placed = [(name, row) for name, row in self.published if self.cost in row and self.worth in row]
        if placed:
            series.append(
                Series(
                    "published",
                    [row[self.cost] for _, row in placed],
                    [row[self.worth] for _, row in placed],
                    BLACK,
                    "star",
                    size=11,
                    hover=[f"{name}\n{SOURCE}: {self.worth} {row[self.worth]:.3f}" for name, row in placed],
                )
            )
        return series


def _count(measures: Sequence[Measures]) -> str:
    counts = {int(one["n"]) for one in measures if math.isfinite(one.get("n", math.nan))}
    return f" ({counts.pop()})" if len(counts) == 1 else ""
