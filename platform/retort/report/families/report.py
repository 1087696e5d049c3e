"""Fronts of several families of ablations against each other, seed by seed: their areas, and what 2 % of R@100 buys in FLOPS.

A family of ablations is all trials of one or several sweeps about one idea, such as L1 and its weight. Everything is *chosen* on
the validation turns and *reported* on others:

- the unregularised student of a seed: of all families' trials without a regulariser, the one with the highest R@100;
- a family's choice: the fewest FLOPS at no more than 2 % (relative) less R@100 than that student, or, stricter where a little
  regularisation helps, than the best of it and the family's own settings (``loss_from``); on the mean alone, or surely: at the
  worse end of the loss's interval, as a trial of non-inferiority asks for. Where a family has tried each
  of its settings with each of its seeds, one setting is chosen for all seeds, on their means; otherwise each seed has its own;
- the front of a seed: its trials that no other dominates. Its area lies over R@100 and log10 FLOPS, with the reference point .60
  and 14, FLOPS below .05 counted as .05.

Everything here is a function of plain points; ``runs`` reads them from a workspace.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retort.measures.registry import ACCEPTED_LOSS
from retort.measures.significance import bootstrap_totals_by_conversation
from retort.report.families.choice import (
    FLOPS_FLOOR,
    FLOPS_REFERENCE,
    RECALL_REFERENCE,
    Choice,
    FamilyTrial,
    LossFrom,
    area,
)
from retort.report.paper.grid import Turns
from retort.sweeps.trial import Scalar

__all__ = ["FamilyReport", "FamilyRow", "FrontPoint", "family_report"]


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """A trial of a front, with its figures on the turns that are reported on."""

    run: str
    recall: float
    flops: float


@dataclass(frozen=True, slots=True)
class FamilyRow:
    """A family's figures on the turns that are reported on.

    Attributes:
        trials: Seed -> number of trials.
        one_setting: Whether one setting was chosen for all seeds.
        settings: Seed -> the chosen setting.
        runs: Seed -> the chosen run.
        fronts: The validation turns' front by seed, the cheapest first: run, and its figures on the turns reported on.
        areas_validation: Hypervolume by seed, on the validation turns.
        areas: Hypervolume of ``fronts``, by seed.
        area_gains: ``areas`` less the baseline family's, for the seeds that both have.
        recall: R@100 of the choices, mean over seeds.
        flops: FLOPS, mean over seeds.
        recall_change: R@100 less the unregularised students', as a share of it.
        recall_interval: Its 95 % interval, by conversation; None with a single conversation.
        times_fewer_flops: FLOPS of the unregularised students over the choices'.
        times_interval: Its 95 % interval.
    """

    family: str
    trials: Mapping[int, int]
    one_setting: bool
    settings: Mapping[int, Mapping[str, Scalar]]
    runs: Mapping[int, str]
    fronts: Mapping[int, Sequence[FrontPoint]]
    areas_validation: Mapping[int, float]
    areas: Mapping[int, float]
    area_gains: Mapping[int, float]
    recall: float
    flops: float
    recall_change: float
    recall_interval: tuple[float, float] | None
    times_fewer_flops: float
    times_interval: tuple[float, float] | None


@dataclass(frozen=True)
class FamilyReport:
    """Families beside each other.

    Attributes:
        split: The split that is reported on.
        n: Number of its turns.
        baseline: The family that areas are compared with.
        unregularised: The unregularised students' runs, by seed.
        unregularised_recall: Their R@100, mean over seeds.
        unregularised_flops: Their FLOPS, mean over seeds.
        rows: The families.
        baselines: Measures of the raw context, the last question and the teachers' rewrites, as a sweep has them.
        loss_from: What the choices' loss was counted from.
        sure: Whether it had to be within bounds at the worse end of its interval.
    """

    split: str
    n: int
    baseline: str
    unregularised: Mapping[int, str]
    unregularised_recall: float
    unregularised_flops: float
    rows: tuple[FamilyRow, ...]
    baselines: Mapping[str, Mapping[str, Any]]
    loss_from: LossFrom = "unregularised"
    sure: bool = False

    def to_json(self) -> dict[str, Any]:
        """The report as one JSON document; what no finite number says is null."""
        reference = {"R@100": RECALL_REFERENCE, "FLOPS": FLOPS_REFERENCE, "FLOPS floor": FLOPS_FLOOR}
        data = {"reference": reference, "loss": ACCEPTED_LOSS, **asdict(self)}
        for row in data["rows"]:
            row |= {key: None for key in ("recall_change", "times_fewer_flops") if not math.isfinite(row[key])}
        return data


def family_report(
    choices: Sequence[Choice],
    unregularised: Mapping[int, FamilyTrial],
    measured: Mapping[str, Mapping[str, NDArray[np.float64]]],
    turns: Turns,
    *,
    split: str,
    baseline: str,
    baselines: Mapping[str, Mapping[str, Any]] | None = None,
    loss_from: LossFrom = "unregularised",
    sure: bool = False,
) -> FamilyReport:
    """Report the choices on other turns than they were chosen on.

    Args:
        choices: One for each family.
        unregularised: Seed -> the student that the choices are compared with.
        measured: Run -> measure -> (N,), by turn; for every run that ``Choice.runs`` names and for the unregularised students.
        turns: The turns of the values.
        split: The split that they come from.
        baseline: The family that areas are compared with.
        baselines: Name -> measures of what is shown beside the families.
        loss_from: The argument with which ``choose`` was called.
        sure: Whether ``choose`` had the values by turn.
    """
    fronts = {choice.family.name: _measured_fronts(choice, measured) for choice in choices}
    areas = {
        name: {seed: area(np.array([[point.recall, point.flops] for point in front])) for seed, front in own.items()}
        for name, own in fronts.items()
    }
    rows = []
    for choice in choices:
        name, seeds = choice.family.name, tuple(choice.chosen)
        own = {m: _mean([measured[choice.chosen[s].run][m] for s in seeds]) for m in ("R@100", "FLOPS")}
        base = {m: _mean([measured[unregularised[s].run][m] for s in seeds]) for m in ("R@100", "FLOPS")}
        change, change_interval = _ratio(own["R@100"], base["R@100"], turns)
        times, times_interval = _ratio(base["FLOPS"], own["FLOPS"], turns)
        rows.append(
            FamilyRow(
                family=name,
                trials={s: sum(trial.seed == s for trial in choice.family.trials) for s in choice.family.seeds},
                one_setting=choice.one_setting,
                settings={seed: dict(trial.setting) for seed, trial in choice.chosen.items()},
                runs={seed: trial.run for seed, trial in choice.chosen.items()},
                fronts=fronts[name],
                areas_validation=dict(choice.areas),
                areas=areas[name],
                area_gains={s: area - areas[baseline][s] for s, area in areas[name].items() if s in areas[baseline]},
                recall=float(own["R@100"].mean()),
                flops=float(own["FLOPS"].mean()),
                recall_change=change - 1,
                recall_interval=None if change_interval is None else (change_interval[0] - 1, change_interval[1] - 1),
                times_fewer_flops=times,
                times_interval=times_interval,
            )
        )
    plain = {m: _mean([measured[trial.run][m] for trial in unregularised.values()]) for m in ("R@100", "FLOPS")}
    return FamilyReport(
        split=split,
        n=len(turns.query_ids),
        baseline=baseline,
        unregularised={seed: trial.run for seed, trial in unregularised.items()},
        unregularised_recall=float(plain["R@100"].mean()),
        unregularised_flops=float(plain["FLOPS"].mean()),
        rows=tuple(rows),
        baselines=baselines or {},
        loss_from=loss_from,
        sure=sure,
    )


def _measured_fronts(
    choice: Choice, measured: Mapping[str, Mapping[str, NDArray[np.float64]]]
) -> dict[int, tuple[FrontPoint, ...]]:
    return {
        seed: tuple(
            FrontPoint(t.run, float(measured[t.run]["R@100"].mean()), float(measured[t.run]["FLOPS"].mean()))
            for t in front
        )
        for seed, front in choice.fronts.items()
    }


def _mean(values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.asarray(np.mean(values, axis=0), dtype=np.float64)


def _ratio(
    above: NDArray[np.float64], below: NDArray[np.float64], turns: Turns
) -> tuple[float, tuple[float, float] | None]:
    """Ratio of two means over turns, and its interval over conversations; infinite where nothing is left to divide by."""
    ratio = float(above.sum() / below.sum()) if below.sum() else math.inf
    if len(set(turns.conversation_ids)) < 2 or not math.isfinite(ratio):
        return ratio, None
    columns = np.column_stack([above, below])
    return ratio, bootstrap_totals_by_conversation(
        columns, turns.conversation_ids, lambda totals: totals[:, 0] / totals[:, 1]
    )
