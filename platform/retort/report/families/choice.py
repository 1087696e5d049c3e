"""What is chosen of a family on the validation turns: the fewest FLOPS for at most 2 % of R@100, by the rules of ``report``."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from retort.errors import InputError
from retort.measures.pareto import log_flops_hypervolume, non_dominated
from retort.measures.registry import ACCEPTED_LOSS
from retort.measures.significance import bootstrap_totals_by_conversation
from retort.sweeps.trial import Scalar

__all__ = [
    "FLOPS_FLOOR",
    "FLOPS_REFERENCE",
    "RECALL_REFERENCE",
    "Choice",
    "Family",
    "FamilyTrial",
    "LossFrom",
    "Recalls",
    "area",
    "choose",
    "unregularised_students",
]

RECALL_REFERENCE: Final = 0.60
FLOPS_REFERENCE: Final = 14.0
FLOPS_FLOOR: Final = 0.05
LossFrom = Literal["unregularised", "best"]
# A run's turns: conversation_ids and R@100, in one order for every run of a seed.
Recalls = tuple[Sequence[str], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class FamilyTrial:
    """A finished trial.

    Attributes:
        run: The name of its run.
        setting: The searched keys with the trial's values, the seed left out.
        seed: Seed of the training.
        recall: R@100 on the validation turns.
        flops: FLOPS on the validation turns.
        regularised: Whether a penalty or a hard limit made it sparse.
    """

    run: str
    setting: Mapping[str, Scalar]
    seed: int
    recall: float
    flops: float
    regularised: bool


@dataclass(frozen=True, slots=True)
class Family:
    """All trials of one family of ablations, which one or several sweeps have tried."""

    name: str
    trials: tuple[FamilyTrial, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the trials, ascending."""
        return tuple(sorted({trial.seed for trial in self.trials}))


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen of a family, on the validation turns.

    Attributes:
        one_setting: Whether all seeds have the same setting.
        chosen: Seed -> the chosen trial.
        fronts: Seed -> the trials that no other dominates, the cheapest first.
        areas: Seed -> the hypervolume of all its trials.
    """

    family: Family
    one_setting: bool
    chosen: Mapping[int, FamilyTrial]
    fronts: Mapping[int, tuple[FamilyTrial, ...]]
    areas: Mapping[int, float]

    def runs(self) -> list[str]:
        """The runs that are measured on the turns of the report: the fronts' and the chosen ones."""
        fronts = [trial.run for front in self.fronts.values() for trial in front]
        return list(dict.fromkeys([*fronts, *(trial.run for trial in self.chosen.values())]))


def unregularised_students(families: Sequence[Family]) -> dict[int, FamilyTrial]:
    """For each seed, of all families' trials without a regulariser the one with the highest R@100 (then the fewest FLOPS).

    Raises:
        InputError: If a seed of some family has none.
    """
    best: dict[int, FamilyTrial] = {}
    for trial in (trial for family in families for trial in family.trials if not trial.regularised):
        held = best.get(trial.seed)
        if held is None or (trial.recall, -trial.flops) > (held.recall, -held.flops):
            best[trial.seed] = trial
    for family in families:
        if missing := [seed for seed in family.seeds if seed not in best]:
            raise InputError(
                f"{family.name}: no trial of any family with seed {', '.join(map(str, missing))} is unregularised, so that "
                "there is nothing to compare with: name a sweep that has one, or add one as `start` or as a variant"
            )
    return dict(sorted(best.items()))


def choose(
    family: Family,
    unregularised: Mapping[int, FamilyTrial],
    *,
    loss_from: LossFrom = "unregularised",
    by_turn: Mapping[str, Recalls] | None = None,
) -> Choice:
    """Choose on the validation turns; where nothing is within the loss, the unregularised student is the choice.

    Args:
        family: The family whose trials are the candidates.
        unregularised: Seed -> the unregularised student.
        loss_from: Whose R@100 the loss is counted from: the unregularised student's, or that of the best candidate, the
            unregularised student among them. On few turns a student that happens to be worse unregularised leaves more to
            lose than there is.
        by_turn: Run -> R@100 on each validation turn: the loss must then be within bounds at the worse end of its 95 %
            interval, by conversation. None: the loss must be within bounds on the mean.
    """
    by_setting: dict[str, dict[int, FamilyTrial]] = {}
    for trial in family.trials:
        by_seed = by_setting.setdefault(repr(sorted(trial.setting.items())), {})
        if trial.seed in by_seed:  # sweeps of one name over different experiments: neither may stand for the setting
            setting = ", ".join(f"{key}={value}" for key, value in trial.setting.items())
            raise InputError(
                f"{family.name}: the setting {setting} has seed {trial.seed} twice, in {by_seed[trial.seed].run} and "
                f"{trial.run}: name the folders of the sweeps that belong together"
            )
        by_seed[trial.seed] = trial
    fronts, areas = {}, {}
    for seed in family.seeds:
        own = [trial for trial in family.trials if trial.seed == seed]
        values = np.array([[trial.recall, trial.flops] for trial in own])
        kept = [trial for trial, best in zip(own, non_dominated(values, (True, False)), strict=True) if best]
        fronts[seed] = tuple(sorted(kept, key=lambda trial: trial.flops))
        areas[seed] = area(values)
    one_setting = len(family.seeds) > 1 and all(set(own) == set(family.seeds) for own in by_setting.values())
    # Each candidate is a trial for each seed of its group: one group of all seeds, or one for each seed.
    groups = [family.seeds] if one_setting else [(seed,) for seed in family.seeds]
    chosen: dict[int, FamilyTrial] = {}
    for seeds in groups:
        base = {seed: unregularised[seed] for seed in seeds}
        alone = [{trial.seed: trial} for trial in family.trials if trial.seed in seeds]
        candidates: list[dict[int, FamilyTrial]] = [base, *(by_setting.values() if one_setting else alone)]
        recalls = [math.fsum(trial.recall for trial in own.values()) for own in candidates]
        reference = candidates[0 if loss_from == "unregularised" else recalls.index(max(recalls))]
        least = (1 - ACCEPTED_LOSS) * math.fsum(trial.recall for trial in reference.values())
        within = [
            own
            for own, recall in zip(candidates, recalls, strict=True)
            if recall >= least and (by_turn is None or own == reference or _surely_within(own, reference, by_turn))
        ] or [reference]
        best = min(within, key=lambda own: math.fsum(trial.flops for trial in own.values()))
        chosen.update(best)
    return Choice(family, one_setting, dict(sorted(chosen.items())), fronts, areas)


def _surely_within(
    own: Mapping[int, FamilyTrial], reference: Mapping[int, FamilyTrial], by_turn: Mapping[str, Recalls]
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
    return low >= 1 - ACCEPTED_LOSS


def area(values: NDArray[np.float64]) -> float:
    """Hypervolume over R@100 and log10 FLOPS of (N, 2) pairs of both, with the references above."""
    return log_flops_hypervolume(
        values[:, 0],
        values[:, 1],
        recall_reference=RECALL_REFERENCE,
        flops_reference=FLOPS_REFERENCE,
        flops_floor=FLOPS_FLOOR,
    )
