"""What there is to know of each measure, once: its name, which way is better, how it is written, and how it is drawn.

A measure of a ranking is known by its name in ir_measures' notation, whichever it is: more is better, and it lies in [0, 1].
What a ranking costs (FLOPS, L0, milliseconds) is listed here.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

__all__ = [
    "ACCEPTED_LOSS",
    "COST",
    "RANKING",
    "SHOWN",
    "Direction",
    "Measure",
    "figure",
    "is_cost",
    "measure",
]

Direction = Literal["max", "min"]

RANKING: Final[tuple[str, ...]] = ("R@100", "R@10", "RR", "nDCG@3")
COST: Final[tuple[str, ...]] = ("FLOPS", "L0")
SHOWN: Final[tuple[str, ...]] = (*RANKING, *COST)  # in the order in which every table has them

# Relative, of R@100: what strong sparsity may cost ("at most 2 %", arXiv:2606.04650).
ACCEPTED_LOSS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure's properties.

    Attributes:
        name: As it is written everywhere.
        direction: Whether more (``max``) or less (``min``) is better.
        title: An axis' title.
        log: Whether an axis is logarithmic: what matters of a cost is its ratio.
        decimals: Digits after the point; None: three significant digits.
    """

    name: str
    direction: Direction
    title: str
    log: bool = False
    decimals: int | None = 3

    def text(self, value: float | None) -> str:
        """A value as tables write it; ``-`` where there is none."""
        if value is None or math.isnan(value):
            return "-"
        if self.decimals is not None:
            return f"{value:.{self.decimals}f}"
        if value == 0 or not math.isfinite(value):
            return f"{value:.0f}"
        if abs(value) < 1e-3:
            return f"{value:.2e}"
        return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


_COSTS: Final = {
    cost.name: cost
    for cost in (
        Measure("FLOPS", "min", "FLOPS: multiplications per query-passage pair (log)", log=True, decimals=None),
        Measure("L0", "min", "L0: active terms of a query (log)", log=True, decimals=1),
        Measure("latency", "min", "latency: milliseconds per query, median (log)", log=True, decimals=1),
    )
}


def measure(name: str) -> Measure:
    """The properties of a measure; a name that is no cost is a ranking's, as ir_measures writes it."""
    return _COSTS.get(name) or Measure(name, "max", name)


def is_cost(name: str) -> bool:
    """Whether less of it is better."""
    return measure(name).direction == "min"


def figure(name: str, value: float | None) -> str:
    """A measure's value as text: FLOPS with three significant digits, L0 with one decimal, what lies in [0, 1] with three."""
    return measure(name).text(value)
