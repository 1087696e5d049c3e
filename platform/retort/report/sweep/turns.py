"""Sparsity and recall by turn number: what a sweep's front is worth as conversations go on."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Final

from retort.measures.registry import measure
from retort.report.paper.grid import turn_groups
from retort.report.render.by_turn import TurnLine, turn_charts
from retort.report.render.figure import Figure, Marker
from retort.report.sweep.report import ByTurn, SweepReport
from retort.report.sweep.texts import baseline_looks, baseline_name, worth_and_cost

__all__ = ["turn_figure"]

MOST_RUNS: Final = 8  # of the front: more lines than that can't be told apart
# From cheap to dear, told apart by lightness too.
_RAMP: Final = ((0xD5, 0x9B, 0x00), (0x8A, 0x86, 0x79), (0x00, 0x2F, 0x6C))
_MARKERS: Final[tuple[Marker, ...]] = ("circle", "square", "diamond", "triangle-up", "triangle-down", "star")


def turn_figure(report: SweepReport) -> Figure | None:
    """L0 and the front's worth by turn number, of the front's runs and the baselines; None where nothing was measured by turn."""
    sweep, by_turn = report.sweep, report.by_turn
    runs = [(number, point) for number, point in enumerate(sweep.front, start=1) if point.run in by_turn]
    if not runs:
        return None
    step = max(1.0, (len(runs) - 1) / (MOST_RUNS - 1))
    shown = [runs[round(position * step)] for position in range(min(len(runs), MOST_RUNS))]
    measures = list(dict.fromkeys(("L0", worth_and_cost(sweep)[0])))
    groups = _groups(by_turn[str(shown[0][1].run)])
    lines = []
    for position, ((number, point), marker) in enumerate(zip(shown, cycle(_MARKERS), strict=False)):
        cost = (point.evaluation or point.validation).get("FLOPS")
        means = {name: _means(by_turn[str(point.run)], name, groups) for name in measures}
        colour = _ramp(position / max(1, len(shown) - 1))
        lines.append(TurnLine(f"{number}: FLOPS {measure('FLOPS').text(cost)}", means, colour, marker, "solid", 2.0))
    for baseline, (colour, _) in baseline_looks(sweep).items():
        if baseline in by_turn:
            means = {name: _means(by_turn[baseline], name, groups) for name in measures}
            lines.append(TurnLine(baseline_name(baseline), means, colour, None, "dash", 2.4))
    counts = {label: sum(turns.values()) for label, turns in groups.items()}
    left_out = f" {len(shown)} of the front's {len(runs)} runs are shown." if len(shown) < len(runs) else ""
    text = (
        f"On {report.turns_split}: the front's runs, numbered as in the table, from cheap (light) to dear (dark); dashed: the "
        "baselines. In brackets: how many turns have the number; the deepest are one group, since few conversations go so "
        f"far.{left_out}"
    )
    title = f"{' and '.join(measures)} by turn number"
    return Figure("turns", title, text, turn_charts(measures, counts, lines), columns=2)


def _groups(by_turn: ByTurn) -> dict[str, dict[str, int]]:
    """Label of each group of turn numbers -> the numbers in it, with how many turns have each."""
    numbers = [int(number) for number, measures in by_turn.items() for _ in range(int(measures["n"]))]
    groups: dict[str, dict[str, int]] = {}
    for label, positions in turn_groups(numbers).items():
        held = [str(numbers[position]) for position in positions]
        groups[label] = {number: held.count(number) for number in dict.fromkeys(held)}
    return groups


def _means(by_turn: ByTurn, name: str, groups: Mapping[str, Mapping[str, int]]) -> Sequence[float | None]:
    """A measure's mean over the turns of each group; None where none was measured."""
    means = []
    for numbers in groups.values():
        measured = [by_turn[number] for number in numbers if name in by_turn.get(number, {})]
        n = sum(own["n"] for own in measured)
        means.append(sum(own["n"] * own[name] for own in measured) / n if n else None)
    return means


def _ramp(share: float) -> str:
    """A colour between those of the ramp."""
    at = share * (len(_RAMP) - 1)
    first = min(int(at), len(_RAMP) - 2)
    mixed = (round(a + (at - first) * (b - a)) for a, b in zip(_RAMP[first], _RAMP[first + 1], strict=True))
    return "#" + "".join(f"{part:02X}" for part in mixed)
