"""The paper's four claims, and by which rules a grid of ours says that one holds, does not, or can't be told.

Every rule looks at rows that share at least three seeds with the grid's baseline row. A difference is *significant* where the
larger p of the paired t test and the paired randomisation test (turns averaged over seeds) is below .05 after Holm's correction
over all the rows and measures that the claim looks at. Intervals are the 95 % bootstrap over conversations. "Can't be told" is a
verdict too: it is what a grid says that is too small to decide, and no evidence for either side.

The rules are the docstrings of ``contrastive``, ``strategy``, ``samples`` and ``sparsity``; ``RULES`` says them to the reader.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from retort.measures.paired import SIGNIFICANT
from retort.measures.registry import ACCEPTED_LOSS, figure
from retort.measures.significance import bootstrap_totals_by_conversation, holm
from retort.report.paper.grid import Difference, Row, Turns, seed_mean
from retort.report.paper.published import Published, Question
from retort.sweeps.trial import Scalar

__all__ = ["CLAIMS", "RULES", "Direction", "Grid", "Verdict", "verdict"]

MIN_SEEDS: Final = 3
HALF: Final = 0.5
EARLY, DEEP = 3, 8  # turns up to the third, and from the eighth on

Direction = Literal["holds", "does not hold", "can't be told"]

CLAIMS: Final[Mapping[str, str]] = {
    "paper_contrastive": "a contrastive loss beside the divergence improves precision (RR, nDCG@3)",
    "paper_sampling_strategy": "it matters how the passages of the divergence are sampled",
    "paper_samples": "beyond about 16, more samples bring less and less",
    "paper_regularization": "strong regularisation halves FLOPS for at most 2 % of R@100, most of all in long conversations",
}

RULES: Final[Mapping[str, str]] = {
    "paper_contrastive": (
        "Holds: some weight is significantly better than none on RR or nDCG@3, and none significantly worse. Does not: the "
        "reverse, or every weight's interval lies below the gain that the paper published for it, on both measures."
    ),
    "paper_sampling_strategy": (
        "Holds: some strategy differs significantly from the window, for better or worse, on RR or R@100. Does not: every "
        "strategy's interval lies within 2 % of the window's mean, on both."
    ),
    "paper_samples": (
        "On RR and on R@100: holds if 16 samples are significantly better than the fewest, and for every larger n the interval "
        "of its gain over 16 ends below that rise; does not if a larger n is significantly better than 16 by at least the rise, "
        "or the fewest are significantly better than 16. The claim: what one measure says and the other doesn't contradict."
    ),
    "paper_regularization": (
        "Two parts, both of which must hold. Cost: holds if some preset has at most half the FLOPS of the unregularised row and, "
        "at its interval's worse end, at most 2 % less R@100; does not if no preset halves FLOPS, or every one that does loses "
        "more than 2 % at the interval's better end. Long conversations: the share of FLOPS saved at turns from 8 on, less the "
        "share saved at turns up to 3, by the interval's sign."
    ),
}


@dataclass(frozen=True)
class Grid:
    """A sweep that asks one of the paper's questions.

    Attributes:
        rows: One for each setting.
        baseline: The row with which the others are compared.
        differences: All rows less the baseline's, on every measure, as ``grid.compare_rows`` gives them.
        turns: The turns of the values.
    """

    question: Question
    rows: Sequence[Row]
    baseline: Row
    differences: Sequence[Difference]
    turns: Turns

    def value(self, row: Row | str) -> Scalar:
        """A row's value of the key that the question is about."""
        own = row if isinstance(row, Row) else next(each for each in self.rows if each.label == row)
        return own.setting.get(self.question.key)

    def published(self, row: Row | str) -> Published | None:
        """The published figures of a row, where there are any."""
        value = self.value(row)
        # True == 1 in Python, and a sample count is no switch.
        return None if isinstance(value, bool) else self.question.rows.get(value)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a grid says of a claim.

    Attributes:
        claim: The claim's text.
        direction: Whether the claim holds by the rules.
        reasons: The figures that decided, a line each.
    """

    claim: str
    direction: Direction
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Tested:
    difference: Difference
    p: float

    @property
    def better(self) -> bool:
        return self.p < SIGNIFICANT and self.difference.difference > 0

    @property
    def worse(self) -> bool:
        return self.p < SIGNIFICANT and self.difference.difference < 0

    def text(self) -> str:
        """The figures on one line."""
        one = self.difference
        low, high = one.interval or (np.nan, np.nan)
        interval = f", 95 % [{low:+.4f}, {high:+.4f}]" if one.interval else ""
        return f"{one.row}: {one.measure} {one.difference:+.4f}{interval}, p {self.p:.3g} ({one.seeds} seeds)"


def verdict(grid: Grid) -> Verdict | None:
    """What a grid says of its claim by the rules; None: the paper claims nothing that this grid could decide."""
    rule = _DECIDE.get(grid.question.space)
    if rule is None:
        return None
    value = grid.value(grid.baseline)
    if isinstance(value, bool) or value != grid.question.baseline:
        reason = f"the grid has no row {grid.question.key} {grid.question.baseline}, from which the claim counts"
        return Verdict(CLAIMS[grid.question.space], "can't be told", (reason,))
    few = [row for row in grid.rows if len(_shared_seeds(grid, row)) < MIN_SEEDS]
    direction, reasons = rule(grid)
    if few:
        names = ", ".join(row.label for row in few)
        reasons = [*reasons, f"left out, with fewer than {MIN_SEEDS} seeds beside the baseline's: {names}"]
    return Verdict(CLAIMS[grid.question.space], direction, tuple(reasons))


def contrastive(grid: Grid) -> tuple[Direction, list[str]]:
    """Does a contrastive loss make the top better: RR and nDCG@3 of every weight above 0, against 0.

    Holds if some (weight, measure) is significantly better and none significantly worse. Does not if some is worse and none
    better; or if all intervals of weights with published figures end below the published gain on the same measure.
    """
    tested = _tested(grid, ("RR", "nDCG@3"))
    reasons = [one.text() for one in tested]
    better, worse = any(one.better for one in tested), any(one.worse for one in tested)
    if better != worse:
        return ("holds" if better else "does not hold"), reasons
    excluded = []
    for one in tested:
        published, base = grid.published(one.difference.row), grid.published(grid.baseline)
        if published is not None and base is not None and one.difference.interval is not None:
            gain = published[one.difference.measure] - base[one.difference.measure]
            excluded.append(one.difference.interval[1] < gain)
    if excluded and all(excluded) and not better:
        return "does not hold", [*reasons, "every interval ends below the gain that the paper published"]
    return "can't be told", reasons


def strategy(grid: Grid) -> tuple[Direction, list[str]]:
    """Does the sampling matter: RR and R@100 of every strategy, against the window.

    Holds if some (strategy, measure) differs significantly in either direction. Does not if every interval lies within 2 % of
    the window's mean.
    """
    tested = _tested(grid, ("RR", "R@100"))
    reasons = [one.text() for one in tested]
    if any(one.better or one.worse for one in tested):
        return "holds", reasons
    within = []
    for one in tested:
        bound = ACCEPTED_LOSS * grid.baseline.means[one.difference.measure]
        low, high = one.difference.interval or (-np.inf, np.inf)
        within.append(-bound < low and high < bound)
    if within and all(within):
        return "does not hold", [*reasons, f"every interval lies within {100 * ACCEPTED_LOSS:g} % of the window's mean"]
    return "can't be told", reasons


def samples(grid: Grid) -> tuple[Direction, list[str]]:
    """Do more samples bring less and less: RR and R@100 of every n, against the baseline's 16.

    The rise is 16's mean less that of the fewest n. On one measure: holds if the rise is significant and for every larger n the
    interval of its gain over 16 ends below the rise; does not if some larger n is significantly better than 16 by at least the
    rise, or the fewest are significantly better than 16. The measures are then joined by ``_joined``.
    """
    tested = _tested(grid, ("RR", "R@100"))
    directions: list[Direction] = []
    for measure in ("RR", "R@100"):
        by_count = {_number(grid.value(one.difference.row)): one for one in tested if one.difference.measure == measure}
        base = _number(grid.value(grid.baseline))
        larger = [one for count, one in by_count.items() if count > base]
        if not by_count or min(by_count) >= base or not larger:
            continue
        fewest = by_count[min(by_count)]
        rise = -fewest.difference.difference
        if fewest.better or any(one.better and one.difference.difference >= rise for one in larger):
            directions.append("does not hold")
        elif fewest.worse and all(one.difference.interval and one.difference.interval[1] < rise for one in larger):
            directions.append("holds")
        else:
            directions.append("can't be told")
    return _joined(directions), [one.text() for one in tested]


def sparsity(grid: Grid) -> tuple[Direction, list[str]]:
    """Does strong regularisation halve FLOPS nearly for nothing: the paper's presets, against none.

    Cost: holds if some preset has at most half the baseline's FLOPS (means over seeds) and the worse end of its interval is less
    than 2 % of the baseline's R@100 away; does not if no preset halves FLOPS, or the better end of every one that does is more
    than 2 % away. Long conversations: over the sparsest preset that halves FLOPS at the least loss, the share of FLOPS saved at
    deep turns less that at early ones; holds or does not where its interval excludes 0. Both must hold.
    """
    presets = [row for row in grid.rows if row is not grid.baseline and len(_shared_seeds(grid, row)) >= MIN_SEEDS]
    known = [row for row in presets if grid.published(row) is not None]
    presets = known or presets
    if not grid.baseline.means["FLOPS"] or not grid.baseline.means["R@100"]:
        return "can't be told", [f"{grid.baseline.label} retrieves nothing: its R@100 or its FLOPS is 0"]
    recall = {one.row: one for one in grid.differences if one.measure == "R@100"}
    reasons, halved = [], []
    for row in presets:
        seeds = _shared_seeds(grid, row)  # as for the differences
        flops, base_flops = (float(seed_mean(one, "FLOPS", seeds).mean()) for one in (row, grid.baseline))
        base_recall = float(seed_mean(grid.baseline, "R@100", seeds).mean())
        if not base_flops or not base_recall:
            continue
        ratio = flops / base_flops
        low, high = (bound / base_recall for bound in recall[row.label].interval or (-np.inf, np.inf))
        reasons.append(
            f"{row.label}: FLOPS {figure('FLOPS', flops)} ({ratio:.2f} of {figure('FLOPS', base_flops)}), "
            f"R@100 {_percent(recall[row.label].difference / base_recall)}, 95 % [{_percent(low)}, {_percent(high)}]"
        )
        if ratio <= HALF:
            halved.append((row, recall[row.label].difference, low, high))
    cost: Direction = "can't be told"
    if any(low >= -ACCEPTED_LOSS for _, _, low, _ in halved):
        cost = "holds"
    elif presets and all(high < -ACCEPTED_LOSS for _, _, _, high in halved):
        cost = "does not hold"
    reasons.append(f"cost: {cost}")
    depth: Direction = "can't be told"
    if halved:
        row = max(halved, key=lambda one: one[1])[0]
        depth, reason = _depth(grid, row)
        reasons.append(reason)
    reasons.append(f"long conversations: {depth}")
    if cost == depth == "holds":
        return "holds", reasons
    return ("does not hold" if "does not hold" in (cost, depth) else "can't be told"), reasons


def _depth(grid: Grid, row: Row) -> tuple[Direction, str]:
    numbers = np.array(grid.turns.turn_numbers)
    seeds = _shared_seeds(grid, row)
    own, base = seed_mean(row, "FLOPS", seeds), seed_mean(grid.baseline, "FLOPS", seeds)
    early, deep = numbers <= EARLY, numbers >= DEEP
    conversations = {one for one, kept in zip(grid.turns.conversation_ids, early | deep, strict=True) if kept}
    if not base[early].sum() or not base[deep].sum() or len(conversations) < 2:
        return "can't be told", f"{row.label}: there are no turns up to {EARLY}, or none from {DEEP} on"

    def saved(totals: NDArray[np.float64]) -> NDArray[np.float64]:
        difference: NDArray[np.float64] = totals[:, 2] / totals[:, 3] - totals[:, 0] / totals[:, 1]
        return difference

    columns = np.column_stack([own * deep, base * deep, own * early, base * early])
    at = float(saved(columns.sum(axis=0, keepdims=True))[0])
    low, high = bootstrap_totals_by_conversation(columns, grid.turns.conversation_ids, saved)
    shares = [1 - own[turns].sum() / base[turns].sum() for turns in (deep, early)]
    reason = (
        f"{row.label}: FLOPS saved {100 * shares[0]:.0f} % at turns from {DEEP} on, {100 * shares[1]:.0f} % up to {EARLY}: "
        f"{100 * at:+.1f} points, 95 % [{100 * low:+.1f}, {100 * high:+.1f}]"
    )
    return ("holds" if low > 0 else "does not hold" if high < 0 else "can't be told"), reason


def _percent(share: float) -> str:
    return f"{100 * share:+.1f} %"


def _shared_seeds(grid: Grid, row: Row) -> list[int]:
    """The seeds that a row and the baseline both have."""
    return sorted(set(row.seeds) & set(grid.baseline.seeds))


def _tested(grid: Grid, measures: Sequence[str]) -> list[_Tested]:
    """The differences that a claim looks at, with p corrected over all of them."""
    chosen = [one for one in grid.differences if one.measure in measures and one.seeds >= MIN_SEEDS]
    return [_Tested(one, float(p)) for one, p in zip(chosen, holm([one.p for one in chosen]), strict=True)]


def _joined(directions: Sequence[Direction]) -> Direction:
    """What one measure says and no other contradicts."""
    said = {direction for direction in directions if direction != "can't be told"}
    return said.pop() if len(said) == 1 else "can't be told"


def _number(value: Scalar) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


_DECIDE: Final[Mapping[str, Callable[[Grid], tuple[Direction, list[str]]]]] = {
    "paper_contrastive": contrastive,
    "paper_sampling_strategy": strategy,
    "paper_samples": samples,
    "paper_regularization": sparsity,
}
