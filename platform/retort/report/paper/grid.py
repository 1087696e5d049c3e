"""A grid with seeds, from plain points: a row for each setting, and how it differs from the baseline's row.

A row's mean is over its seeds; its standard deviation (n - 1) is between them. Differences are paired by turn: each turn's
values are first averaged over the seeds that both rows have. p is corrected over the grid's rows, for each measure apart.
The tests take turns as independent, which those of one conversation are not; the interval resamples whole conversations.
Neither covers the spread between seeds, which stands beside the means.

Shapes: N turns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retort.errors import InputError
from retort.measures.paired import Paired, compare_pairs
from retort.sweeps.trial import Scalar, knob_text

__all__ = [
    "Difference",
    "Row",
    "SeededRun",
    "Turns",
    "by_turn",
    "compare_rows",
    "grid_rows",
    "seed_mean",
    "turn_groups",
]

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Turns:
    """The turns that all runs of a grid are measured on, in one order; all three are as long."""

    query_ids: tuple[str, ...]
    conversation_ids: tuple[str, ...]
    turn_numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SeededRun:
    """One trained student.

    Attributes:
        run: The name of its run.
        setting: The searched keys with the trial's values, the seed left out.
        seed: Seed of the training.
        values: Measure -> (N,), by turn.
    """

    run: str
    setting: Mapping[str, Scalar]
    seed: int
    values: Mapping[str, Values]


@dataclass(frozen=True, slots=True)
class Row:
    """All seeds of one setting.

    Attributes:
        label: The setting, readable.
        setting: The searched keys with their values.
        runs: By seed, ascending.
        means: Measure -> mean over turns and seeds.
        deviations: Measure -> standard deviation of the seeds' means; None with one seed.
    """

    label: str
    setting: Mapping[str, Scalar]
    runs: tuple[SeededRun, ...]
    means: Mapping[str, float]
    deviations: Mapping[str, float | None]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the runs, ascending."""
        return tuple(run.seed for run in self.runs)


@dataclass(frozen=True, slots=True)
class Difference:
    """One row less the baseline's, on one measure.

    Attributes:
        seeds: How many seeds both have, over which the turns' values are averaged.
        relative: The difference as a share of the baseline's mean; None where that is 0.
        paired: The difference, its interval, and both tests with p corrected over the grid's rows.
    """

    row: str
    measure: str
    seeds: int
    relative: float | None
    paired: Paired

    @property
    def difference(self) -> float:
        """Mean over turns."""
        return self.paired.difference

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the difference, by conversation; None with a single conversation."""
        return self.paired.interval

    @property
    def p(self) -> float:
        """The larger of both tests' p, uncorrected: what a verdict corrects over its own hypotheses."""
        return max(self.paired.t_test.p, self.paired.randomization.p)


def grid_rows(runs: Sequence[SeededRun]) -> list[Row]:
    """A row for each setting, in the order in which the settings appear.

    Raises:
        InputError: If there is no run, or a setting has a seed twice.
    """
    if not runs:
        raise InputError("the sweep has no finished trial")
    by_setting: dict[tuple[tuple[str, str], ...], list[SeededRun]] = {}
    for run in runs:
        by_setting.setdefault(tuple((key, repr(value)) for key, value in sorted(run.setting.items())), []).append(run)
    rows = []
    labels = [", ".join(knob_text(value) for value in own[0].setting.values()) or "all" for own in by_setting.values()]
    if len(set(labels)) < len(labels):  # three significant digits are not enough
        labels = [", ".join(str(value) for value in own[0].setting.values()) for own in by_setting.values()]
    for label, own in zip(labels, by_setting.values(), strict=True):
        own.sort(key=lambda run: run.seed)
        setting = own[0].setting
        if len({run.seed for run in own}) < len(own):
            raise InputError(f"the setting {label} has a seed twice: {', '.join(run.run for run in own)}")
        per_seed = {measure: [float(run.values[measure].mean()) for run in own] for measure in own[0].values}
        means = {measure: float(np.mean(values)) for measure, values in per_seed.items()}
        spread = {m: float(np.std(values, ddof=1)) if len(own) > 1 else None for m, values in per_seed.items()}
        rows.append(Row(label, setting, tuple(own), means, spread))
    return rows


def seed_mean(row: Row, measure: str, seeds: Sequence[int] | None = None) -> Values:
    """(N,), each turn's mean over the row's seeds, or over some of them."""
    chosen = [run.values[measure] for run in row.runs if seeds is None or run.seed in seeds]
    return np.asarray(np.mean(chosen, axis=0), dtype=np.float64)


def compare_rows(
    rows: Sequence[Row], baseline: Row, turns: Turns, measures: Sequence[str], *, seed: int = 0
) -> list[Difference]:
    """Each row that shares a seed with the baseline, less the baseline: by measure, then in the rows' order.

    Args:
        rows: The rows of the grid; the baseline's may be among them.
        baseline: The row with which the others are compared.
        turns: The turns of the values.
        measures: The measures that are compared.
        seed: Seed of the randomisation test and of the bootstrap.

    Raises:
        InputError: If there are fewer than two turns.
    """
    if len(turns.query_ids) < 2:
        raise InputError("a comparison needs 2 turns or more")
    shared = [(row, sorted(set(row.seeds) & set(baseline.seeds))) for row in rows if row is not baseline]
    shared = [(row, seeds) for row, seeds in shared if seeds]
    differences = []
    for measure in measures:
        pairs = [(seed_mean(row, measure, seeds), seed_mean(baseline, measure, seeds)) for row, seeds in shared]
        compared = compare_pairs(pairs, turns.conversation_ids, seed=seed)
        for (row, seeds), (_, base), paired in zip(shared, pairs, compared, strict=True):
            mean = float(base.mean())
            relative = paired.difference / mean if mean else None
            differences.append(Difference(row.label, measure, len(seeds), relative, paired))
    return differences


def turn_groups(turn_numbers: Sequence[int], *, least: int = 10) -> dict[str, list[int]]:
    """Positions of the turns by turn number; the deepest numbers are one group where it takes several to hold ``least`` turns.

    Returns:
        Label (``3``, ``9+``) -> positions in ``turn_numbers``, by ascending turn number.
    """
    positions: dict[int, list[int]] = {}
    for position, number in enumerate(turn_numbers):
        positions.setdefault(number, []).append(position)
    numbers = sorted(positions)
    held = 0
    last = len(numbers)
    while last and held < least:
        last -= 1
        held += len(positions[numbers[last]])
    groups = {str(number): positions[number] for number in numbers[:last]}
    if numbers:
        deepest = numbers[last:]
        label = str(deepest[0]) if len(deepest) == 1 else f"{deepest[0]}+"
        groups[label] = [position for number in deepest for position in positions[number]]
    return groups


def by_turn(row: Row, turns: Turns, measure: str) -> dict[str, float]:
    """Mean over the turns of each group of :func:`turn_groups`, and over the row's seeds."""
    values = seed_mean(row, measure)
    return {label: float(values[positions].mean()) for label, positions in turn_groups(turns.turn_numbers).items()}
