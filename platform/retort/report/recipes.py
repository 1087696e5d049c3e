"""Fronts of several recipes against each other, seed by seed: their areas, and what 2 % of R@100 buys in FLOPS.

A recipe is what one or several sweeps have tried, such as L1 and its weight. Everything is *chosen* on the validation turns and
*reported* on others:

- the unregularised student of a seed: of all recipes' trials without a regulariser, the one with the highest R@100;
- a recipe's choice: the fewest FLOPS at no more than 2 % (relative) less R@100 than that student, or, stricter where a little
  regularisation helps, than the best of it and the recipe's own settings (``loss_from``); on the mean alone, or surely: at the
  worse end of the loss's interval, as a trial of non-inferiority asks for. Where a recipe has tried each
  of its settings with each of its seeds, one setting is chosen for all seeds, on their means; otherwise each seed has its own;
- the front of a seed: its trials that no other dominates. Its area lies over R@100 and log10 FLOPS, with the reference point .60
  and 14, FLOPS below .05 counted as .05.

Everything here is a function of plain points; ``recipe_runs`` reads them from a workspace.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from retort.errors import InputError
from retort.measures.pareto import log_flops_hypervolume, non_dominated
from retort.measures.significance import bootstrap_totals_by_conversation
from retort.report.grid import Turns
from retort.report.points import Scalar

__all__ = [
    "FLOPS_REFERENCE",
    "LOSS",
    "RECALL_REFERENCE",
    "Choice",
    "FrontPoint",
    "LossFrom",
    "Recalls",
    "Recipe",
    "RecipeReport",
    "RecipeRow",
    "RecipeTrial",
    "choose",
    "recipe_report",
    "unregularised_students",
]

RECALL_REFERENCE: Final = 0.60
FLOPS_REFERENCE: Final = 14.0
FLOPS_FLOOR: Final = 0.05
LOSS: Final = 0.02  # relative, of R@100
LossFrom = Literal["unregularised", "best"]
Recalls = tuple[
    Sequence[str], NDArray[np.float64]
]  # a run's turns: conversation_ids and R@100, in one order for every run of a seed


@dataclass(frozen=True, slots=True)
class RecipeTrial:
    """A finished trial.

    Attributes:
        run: Its run.
        setting: The searched keys with its values, the seed left out.
        seed: Of its training.
        recall: R@100 on the validation turns.
        flops: FLOPS on them.
        regularised: Whether a penalty or a hard limit made it sparse.
    """

    run: str
    setting: Mapping[str, Scalar]
    seed: int
    recall: float
    flops: float
    regularised: bool


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one recipe's sweeps have tried."""

    name: str
    trials: tuple[RecipeTrial, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Its seeds, ascending."""
        return tuple(sorted({trial.seed for trial in self.trials}))


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen of a recipe, on the validation turns.

    Attributes:
        recipe: The recipe.
        one_setting: Whether all seeds have the same setting.
        chosen: By seed.
        fronts: By seed, the trials that no other dominates, the cheapest first.
        areas: By seed, the hypervolume of all its trials.
    """

    recipe: Recipe
    one_setting: bool
    chosen: Mapping[int, RecipeTrial]
    fronts: Mapping[int, tuple[RecipeTrial, ...]]
    areas: Mapping[int, float]

    def runs(self) -> list[str]:
        """The runs that are reported on."""
        fronts = [trial.run for front in self.fronts.values() for trial in front]
        return list(dict.fromkeys([*fronts, *(trial.run for trial in self.chosen.values())]))


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """A trial of a front, with its figures on the turns that are reported on."""

    run: str
    recall: float
    flops: float


@dataclass(frozen=True, slots=True)
class RecipeRow:
    """A recipe's figures on the turns that are reported on.

    Attributes:
        recipe: Its name.
        trials: How many it tried with each seed.
        one_setting: Whether one setting was chosen for all seeds.
        settings: What was chosen, by seed.
        runs: The chosen runs, by seed.
        fronts: The validation turns' front by seed, the cheapest first: run, and its figures on the turns reported on.
        areas_validation: Hypervolume by seed, on the validation turns.
        areas: Hypervolume of ``fronts``, by seed.
        area_gains: ``areas`` less the baseline recipe's, for the seeds that both have.
        recall: R@100 of the choices, mean over seeds.
        flops: FLOPS, mean over seeds.
        recall_change: R@100 less the unregularised students', as a share of it.
        recall_interval: Its 95 % interval, by conversation; None with a single conversation.
        times_fewer_flops: FLOPS of the unregularised students over the choices'.
        times_interval: Its 95 % interval.
    """

    recipe: str
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
class RecipeReport:
    """Recipes beside each other.

    Attributes:
        split: What is reported on.
        n: Its turns.
        baseline: The recipe that areas are compared with.
        unregularised: The unregularised students' runs, by seed.
        unregularised_recall: Their R@100, mean over seeds.
        unregularised_flops: Their FLOPS, mean over seeds.
        rows: The recipes.
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
    rows: tuple[RecipeRow, ...]
    baselines: Mapping[str, Mapping[str, Any]]
    loss_from: LossFrom = "unregularised"
    sure: bool = False

    def to_json(self) -> dict[str, Any]:
        """The report as one JSON document; what no finite number says is null."""
        reference = {"R@100": RECALL_REFERENCE, "FLOPS": FLOPS_REFERENCE, "FLOPS floor": FLOPS_FLOOR}
        data = {"reference": reference, "loss": LOSS, **asdict(self)}
        for row in data["rows"]:
            row |= {key: None for key in ("recall_change", "times_fewer_flops") if not math.isfinite(row[key])}
        return data


def unregularised_students(recipes: Sequence[Recipe]) -> dict[int, RecipeTrial]:
    """For each seed, of all recipes' trials without a regulariser the one with the highest R@100 (then the fewest FLOPS).

    Raises:
        InputError: If a seed of some recipe has none.
    """
    best: dict[int, RecipeTrial] = {}
    for trial in (trial for recipe in recipes for trial in recipe.trials if not trial.regularised):
        held = best.get(trial.seed)
        if held is None or (trial.recall, -trial.flops) > (held.recall, -held.flops):
            best[trial.seed] = trial
    for recipe in recipes:
        if missing := [seed for seed in recipe.seeds if seed not in best]:
            raise InputError(
                f"{recipe.name}: no trial of any recipe with seed {', '.join(map(str, missing))} is unregularised, so that "
                "there is nothing to compare with: name a sweep that has one, or add one as `start` or as a variant"
            )
    return dict(sorted(best.items()))


def choose(
    recipe: Recipe,
    unregularised: Mapping[int, RecipeTrial],
    *,
    loss_from: LossFrom = "unregularised",
    by_turn: Mapping[str, Recalls] | None = None,
) -> Choice:
    """Choose on the validation turns; where nothing is within the loss, the unregularised student is the choice.

    Args:
        recipe: What was tried.
        unregularised: By seed.
        loss_from: What R@100 is lost from: the unregularised student's, or that of the best candidate, it included. On few
            turns a student that happens to be worse unregularised leaves more to lose than there is.
        by_turn: Run -> its R@100 on each validation turn: the loss must then be within bounds at the worse end of its 95 %
            interval, by conversation. None: on the mean.
    """
    by_setting: dict[str, dict[int, RecipeTrial]] = {}
    for trial in recipe.trials:
        by_seed = by_setting.setdefault(repr(sorted(trial.setting.items())), {})
        if trial.seed in by_seed:  # sweeps of one name over different experiments: neither may stand for the setting
            setting = ", ".join(f"{key}={value}" for key, value in trial.setting.items())
            raise InputError(
                f"{recipe.name}: the setting {setting} has seed {trial.seed} twice, in {by_seed[trial.seed].run} and "
                f"{trial.run}: name the folders of the sweeps that belong together"
            )
        by_seed[trial.seed] = trial
    fronts, areas = {}, {}
    for seed in recipe.seeds:
        own = [trial for trial in recipe.trials if trial.seed == seed]
        values = np.array([[trial.recall, trial.flops] for trial in own])
        kept = [trial for trial, best in zip(own, non_dominated(values, (True, False)), strict=True) if best]
        fronts[seed] = tuple(sorted(kept, key=lambda trial: trial.flops))
        areas[seed] = _area(values)
    one_setting = len(recipe.seeds) > 1 and all(set(own) == set(recipe.seeds) for own in by_setting.values())
    # Each candidate is a trial for each seed of its group: one group of all seeds, or one for each seed.
    groups = [recipe.seeds] if one_setting else [(seed,) for seed in recipe.seeds]
    chosen: dict[int, RecipeTrial] = {}
    for seeds in groups:
        base = {seed: unregularised[seed] for seed in seeds}
        alone = [{trial.seed: trial} for trial in recipe.trials if trial.seed in seeds]
        candidates: list[dict[int, RecipeTrial]] = [base, *(by_setting.values() if one_setting else alone)]
        recalls = [math.fsum(trial.recall for trial in own.values()) for own in candidates]
        reference = candidates[0 if loss_from == "unregularised" else recalls.index(max(recalls))]
        least = (1 - LOSS) * math.fsum(trial.recall for trial in reference.values())
        within = [
            own
            for own, recall in zip(candidates, recalls, strict=True)
            if recall >= least and (by_turn is None or own == reference or _surely_within(own, reference, by_turn))
        ] or [reference]
        best = min(within, key=_total_flops)
        chosen.update(best)
    return Choice(recipe, one_setting, dict(sorted(chosen.items())), fronts, areas)


def _surely_within(
    own: Mapping[int, RecipeTrial], reference: Mapping[int, RecipeTrial], by_turn: Mapping[str, Recalls]
) -> bool:
    """Whether the relative change in R@100 is above the loss at its interval's worse end, over the turns of all seeds."""
    conversations: list[str] = []
    columns = []
    for seed, trial in own.items():
        ids, recalls = by_turn[trial.run]
        conversations += ids  # one that two seeds hold out is one conversation
        columns.append(np.column_stack([recalls, by_turn[reference[seed].run][1]]))
    values = np.concatenate(columns)
    if len(set(conversations)) < 2 or not values[:, 1].any():
        return False  # there is no interval, and so nothing is sure
    low, _ = bootstrap_totals_by_conversation(values, conversations, lambda totals: totals[:, 0] / totals[:, 1])
    return low >= 1 - LOSS


def _total_flops(own: dict[int, RecipeTrial]) -> float:
    return math.fsum(trial.flops for trial in own.values())


def recipe_report(
    choices: Sequence[Choice],
    unregularised: Mapping[int, RecipeTrial],
    measured: Mapping[str, Mapping[str, NDArray[np.float64]]],
    turns: Turns,
    *,
    split: str,
    baseline: str,
    baselines: Mapping[str, Mapping[str, Any]] | None = None,
    loss_from: LossFrom = "unregularised",
    sure: bool = False,
) -> RecipeReport:
    """Report the choices on other turns than they were chosen on.

    Args:
        choices: Of every recipe.
        unregularised: The students that they are compared with, by seed.
        measured: Run -> measure -> (N,), by turn; of every run that ``Choice.runs`` names and of the unregularised.
        turns: Of the values.
        split: Their name.
        baseline: The recipe that areas are compared with.
        baselines: What else is worth showing beside them.
        loss_from: What ``choose`` was told.
        sure: Whether it was told the values by turn.
    """
    fronts = {choice.recipe.name: _measured_fronts(choice, measured) for choice in choices}
    areas = {
        name: {seed: _area(np.array([[point.recall, point.flops] for point in front])) for seed, front in own.items()}
        for name, own in fronts.items()
    }
    rows = []
    for choice in choices:
        name, seeds = choice.recipe.name, tuple(choice.chosen)
        own = {m: _mean([measured[choice.chosen[s].run][m] for s in seeds]) for m in ("R@100", "FLOPS")}
        base = {m: _mean([measured[unregularised[s].run][m] for s in seeds]) for m in ("R@100", "FLOPS")}
        change, change_interval = _ratio(own["R@100"], base["R@100"], turns)
        times, times_interval = _ratio(base["FLOPS"], own["FLOPS"], turns)
        rows.append(
            RecipeRow(
                recipe=name,
                trials={s: sum(trial.seed == s for trial in choice.recipe.trials) for s in choice.recipe.seeds},
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
    return RecipeReport(
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


def _area(values: NDArray[np.float64]) -> float:
    return log_flops_hypervolume(
        values[:, 0],
        values[:, 1],
        recall_reference=RECALL_REFERENCE,
        flops_reference=FLOPS_REFERENCE,
        flops_floor=FLOPS_FLOOR,
    )


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
