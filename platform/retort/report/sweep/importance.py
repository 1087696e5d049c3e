"""How much each searched setting decides, for each objective: Optuna's fANOVA over a study built from the trials' own results."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from retort.measures.registry import Direction, measure
from retort.sweeps.trial import Scalar, TrialPoint, knob_text, varying_knobs

__all__ = ["LEAST_TRIALS", "Importance", "importance"]

LEAST_TRIALS: Final = 8
TRIALS_PER_KNOB: Final = 3
TREES: Final = 128  # a few trials make trees that differ much: twice Optuna's default


@dataclass(frozen=True, slots=True)
class Importance:
    """Shares of an objective's variance among the trials that tried it.

    Attributes:
        shares: Objective -> searched key -> share; they sum to 1. An objective whose shares can't be told is missing.
        why: Why an objective is missing; None: none is.
        trials: How many finished trials were looked at.
    """

    shares: Mapping[str, Mapping[str, float]]
    why: str | None
    trials: int


def importance(
    points: Sequence[TrialPoint],
    objectives: Mapping[str, Direction],
    search: Mapping[str, Any],
) -> Importance:
    """The share of each searched setting in each objective's variance, of a cost (FLOPS, L0) in that of its logarithm.

    fANOVA (Hutter et al., ICML 2014) fits a random forest to the trials and splits the variance of its prediction over the
    whole space; of every setting its own part is shown, without interactions, as a share of all such parts. Of a few trials,
    or of trials that an optimiser drew to one corner, it is a hint and no measurement.

    Args:
        points: All trials; the finished ones count.
        objectives: Two measures.
        search: What the space searches: key -> choices, or low, high and log.
    """
    finished = [point for point in points if point.status == "finished"]
    knobs = [key for key in varying_knobs(finished) if key in search]
    least = max(LEAST_TRIALS, TRIALS_PER_KNOB * len(knobs))
    if len(knobs) < 2:
        named = f"only {knobs[0]} differs" if knobs else "no searched setting differs"
        return Importance({}, f"{named} between the finished trials: there is nothing to share", len(finished))
    if len(finished) < least:
        why = f"{len(finished)} finished trials are too few to tell {len(knobs)} settings apart; it takes {least}"
        return Importance({}, why, len(finished))
    shares = {}
    constant = []
    for name in objectives:
        values = [_target(name, point.validation.get(name, math.nan)) for point in finished]
        usable = [(point, value) for point, value in zip(finished, values, strict=True) if math.isfinite(value)]
        if len({value for _, value in usable}) < 2 or len(usable) < least:
            constant.append(name)
            continue
        shares[name] = _fanova([point for point, _ in usable], [value for _, value in usable], knobs, search)
    alike = f"{', '.join(constant)} hardly differs between the trials" if constant else None
    return Importance(shares, alike, len(finished))


def _target(name: str, value: float) -> float:
    if not measure(name).log:
        return value
    return math.log10(value) if value > 0 else math.nan


def _fanova(
    points: Sequence[TrialPoint], values: Sequence[float], knobs: Sequence[str], search: Mapping[str, Any]
) -> dict[str, float]:
    import optuna
    from optuna.importance import FanovaImportanceEvaluator

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(direction="minimize")
    finally:
        optuna.logging.set_verbosity(before)
    distributions = {key: _distribution(search[key], [point.config.get(key) for point in points]) for key in knobs}
    for point, value in zip(points, values, strict=True):
        params = {key: _param(search[key], point.config.get(key)) for key in knobs}
        study.add_trial(optuna.trial.create_trial(value=value, params=params, distributions=distributions))
    own = FanovaImportanceEvaluator(seed=0, n_trees=TREES).evaluate(study)
    total = sum(own.values())
    return {key: own[key] / total if total else 0.0 for key in knobs}


def _param(dimension: Any, value: Scalar) -> Any:
    # Texts: Optuna takes 0 and False, or 1 and 1.0, for the same choice.
    return value if isinstance(dimension, Mapping) else knob_text(value)


def _distribution(dimension: Any, values: Sequence[Scalar]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(dimension, Mapping):
        return FloatDistribution(float(dimension["low"]), float(dimension["high"]), log=bool(dimension.get("log")))
    return CategoricalDistribution(list(dict.fromkeys(knob_text(value) for value in (*dimension, *values))))
