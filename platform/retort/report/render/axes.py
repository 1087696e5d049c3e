"""Axes as values: where they end, which ticks they have and how those read, and where a value lies.

The ticks are computed here and not by matplotlib or plotly, so that a file and a page have the same. On a logarithmic axis they
go in steps of 1, 3, 10; a number below one is written without the zero before its point: .03, .1, .3, 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from retort.measures.registry import measure

__all__ = ["Axis", "bounds", "choice_axis", "measure_axis", "tick_text", "tick_values", "value_axis"]

# On less than two decades steps of 1 and 3 are too few ticks: there the first of these that has three.
_DENSER: Final = ((1, 2, 3, 5), (1, 1.5, 2, 3, 5, 7))


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis, with all that is drawn of it.

    Attributes:
        title: What it measures; empty: no title.
        range: Its two ends, in the unit of the values.
        ticks: Value and text of each tick.
        log: Whether it is logarithmic.
        slanted: Whether its texts are too long to stand side by side.
        floor: Where smaller values are drawn, since a logarithmic axis has no place for 0; None: every value has its place.
    """

    title: str
    range: tuple[float, float]
    ticks: tuple[tuple[float, str], ...]
    log: bool = False
    slanted: bool = False
    floor: float | None = None

    def at(self, value: float) -> float:
        """Where a value lies: 0 and 1 are the ends."""
        low, high = self.range
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return (value - low) / (high - low)

    def drawn(self, value: float) -> float:
        """The value at which a value is drawn: itself, or the floor where it lies below that."""
        return value if self.floor is None else max(value, self.floor)


def value_axis(title: str, values: Sequence[float], *, log: bool = False, margin: float = 0.06, most: int = 7) -> Axis:
    """An axis that holds all values; on a logarithmic one, 0 is drawn at half the least positive value, and the title says so.

    Args:
        title: What it measures.
        values: All values that are to be drawn.
        log: Whether it is logarithmic.
        margin: Room beyond the values on both sides, as a share of their range.
        most: The most ticks that there may be.
    """
    floor = None
    if log:
        positive = [value for value in values if value > 0]
        floor = min(positive) / 2 if positive else 0.01
        if len(positive) < len(values):
            title = f"{title}; 0 is drawn at {tick_text(floor, digits=2)}"
            values = [*positive, floor]
    low, high = bounds(values, log=log, margin=margin)
    return Axis(title, (low, high), tick_values(low, high, log=log, most=most), log, floor=floor)


def measure_axis(
    name: str, values: Sequence[float], *, short: bool = False, margin: float = 0.08, most: int = 7
) -> Axis:
    """An axis of a measure, with the registry's title and scale; ``short``: with the measure's name in place of the title."""
    known = measure(name)
    title = known.title if not short else f"{name} (log)" if known.log else name
    return value_axis(title, values, log=known.log, margin=margin, most=most)


def choice_axis(title: str, texts: Sequence[str], *, margin: float = 0.5, slanted: bool = False) -> Axis:
    """An axis on which texts stand side by side, at 0, 1, 2, ...; the margin is in the same unit."""
    ticks = tuple((float(position), text) for position, text in enumerate(texts))
    return Axis(title, (-margin, len(texts) - 1 + margin), ticks, slanted=slanted)


def bounds(values: Sequence[float], *, log: bool = False, margin: float = 0.06) -> tuple[float, float]:
    """Ends of an axis that holds all values, with some room on both sides; of equal values, around them."""
    low, high = (min(values), max(values)) if values else (1.0, 10.0)
    if log:
        low, high = math.log10(low), math.log10(high)
    room = margin * (high - low) or (0.3 if log else 0.05 * abs(high) or 0.5)
    low, high = low - room, high + room
    return (10**low, 10**high) if log else (low, high)


def tick_text(value: float, *, digits: int = 6) -> str:
    """A number as axes have it, without the zero before its point: ``.03``."""
    text = f"{value:.{digits}g}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def tick_values(low: float, high: float, *, log: bool = False, most: int = 7) -> tuple[tuple[float, str], ...]:
    """Round values between two bounds with their texts: in steps of 1, 2 or 5; on a logarithmic axis at 1 and 3 of each decade.

    A logarithmic axis of many decades has every power of ten, or every second, third, ...; one of less than a decade that has
    hardly a round number has even steps.
    """
    values = _log_values(low, high, most) if log else []
    if len(values) < 3 and not (log and high >= 10 * low):
        power = 10.0 ** math.floor(math.log10((high - low) / most))
        for step in (power, 2 * power, 5 * power, 10 * power):
            values = [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
            if len(values) <= most:
                break
    return tuple((value, tick_text(value)) for value in values)


def _log_values(low: float, high: float, most: int) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)

    def values(steps: Sequence[float]) -> list[float]:
        every = (step * 10.0**power for power in powers for step in steps)
        return [value for value in every if low <= value <= high]

    chosen = values((1, 3))
    if len(chosen) > most:
        tens = values((1,))
        return tens[:: math.ceil(len(tens) / most)]
    if len(chosen) < 3:
        return next((found for found in map(values, _DENSER) if 3 <= len(found) <= most), chosen)
    return chosen
