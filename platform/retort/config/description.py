"""What an experiment minimises, on which samples and within which limits, put into words once.

The model card's table, MLflow's tag, what the command line says of an experiment, and the label of its run come from here.
Terms and samplings are called what the settings call them, so that a new one is described without a change here.
"""

import re
from dataclasses import dataclass

from retort.config.experiment import ExperimentConfig
from retort.config.objective import ObjectiveConfig, RegularizationConfig, SamplingConfig

__all__ = ["Description", "Part", "describe", "run_label"]


@dataclass(frozen=True, slots=True)
class Part:
    """One summand of what is minimised.

    Attributes:
        name: As the settings have it.
        weight: The weight at the end of training.
        start: The weight at the beginning, where a schedule moves it; else the same.
        details: What is set otherwise than by default.
    """

    name: str
    weight: float
    start: float
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        amount = f"{self.weight:g}" if self.start == self.weight else f"{self.start:g} to {self.weight:g}"
        words = self.name if amount == "1" else f"{amount} {self.name}"
        return words + (f" ({', '.join(self.details)})" if self.details else "")


@dataclass(frozen=True, slots=True)
class Description:
    """An experiment's objective.

    Attributes:
        terms: The loss's terms, those of weight 0 included; one of them is ``contrastive``.
        weighting: How the terms' weights are adapted in training, in words; "" where they are not.
        penalty: The penalty on queries, perhaps of weight 0; None without one.
        passage_penalty: The penalty on passages, perhaps of weight 0; None where they are not trained.
        anti_zero: The penalty on queries that vanish.
        budget: FLOPS that the penalty's weight is adapted to.
        limits: Hard limits of a query, in words.
        pruning: ``regularization.cost_threshold``.
        sample_count: Samples of a turn.
        sampling: How they are drawn, in words.
    """

    terms: tuple[Part, ...]
    weighting: str
    penalty: Part | None
    passage_penalty: Part | None
    anti_zero: Part
    budget: float | None
    limits: tuple[str, ...]
    pruning: float
    sample_count: int
    sampling: str

    def rows(self) -> dict[str, str]:
        """A table's rows: every heading with what there is to say."""
        rows = {
            "objective": _sum(self.terms) + self.weighting,
            "samples": f"{self.sample_count} a turn: {self.sampling}",
        }
        rows["regularisation"] = _sum((self.penalty, self.passage_penalty, self.anti_zero)) or "none"
        if self.budget is not None:
            rows["budget"] = f"{self.budget:g} FLOPS, to which the penalty's weight is adapted"
        if limits := [*self.limits, *self._pruning()]:
            rows["limits"] = "; ".join(limits)
        return rows

    def line(self) -> str:
        """All of it in one line."""
        rows = self.rows()
        first = rows.pop("objective")
        if rows["regularisation"] == "none":
            del rows["regularisation"]
        return "; ".join([first, *(f"{name}: {words}" for name, words in rows.items())])

    def _pruning(self) -> list[str]:
        words = f"pruned after training: weights up to {self.pruning:g} times the share of passages with the term"
        return [words] if self.pruning else []


def _sum(parts: tuple[Part | None, ...]) -> str:
    return " + ".join(str(part) for part in parts if part is not None and (part.weight or part.start))


def describe(experiment: ExperimentConfig) -> Description:
    """Put an experiment's objective into words."""
    objective, settings = experiment.objective, experiment.regularization
    adapted = {
        "uncertainty": ", weights learned from there",
        "gradient_norm": ", weights as shares of the gradient's norm",
    }
    limits = []
    if settings.max_terms is not None:
        limits.append(f"at most {settings.max_terms} terms")
    if settings.threshold:
        limits.append(f"no weights up to {settings.threshold:g}")
    return Description(
        terms=_terms(objective),
        weighting=adapted.get(objective.weighting, ""),
        penalty=_penalty(settings) if settings.query != "none" else None,
        passage_penalty=_part("flops on passages", settings.passage_weight, (_ramp(settings),))
        if experiment.trains_passages
        else None,
        anti_zero=_part("anti_zero", settings.anti_zero_weight),
        budget=settings.flops_budget,
        limits=tuple(limits),
        pruning=settings.cost_threshold,
        sample_count=experiment.sampling.count,
        sampling=_sampling(experiment.sampling),
    )


def _part(name: str, weight: float, details: tuple[str, ...] = ()) -> Part:
    return Part(name, weight, weight, details)


def _terms(objective: ObjectiveConfig) -> tuple[Part, ...]:
    scheduled = objective.contrastive_schedule != "constant"
    weight = objective.contrastive_weight
    start = objective.contrastive_start if scheduled else weight
    schedule: list[str] = [objective.contrastive_schedule] if scheduled else []
    teacher = ["positive scored as its pool's maximum"] if objective.positive_score == "pool_max" else []
    softmax = []
    if objective.temperature != 1:
        square = ", times its square" if objective.temperature_squared else ""
        softmax.append(f"temperature {objective.temperature:g}{square}")
    if objective.positive_weight != 1:
        softmax.append(f"positive weight {objective.positive_weight}")
    negatives = []
    if objective.contrastive_temperature != 1:
        negatives.append(f"temperature {objective.contrastive_temperature:g}")
    if objective.contrastive_negatives != "all":
        negatives.append(f"negatives: {objective.contrastive_negatives.replace('_', ' ')}")
    terms = [
        Part("contrastive", weight, start, (*schedule, *negatives)),
        _part("margin_mse", objective.margin_mse_weight, tuple(teacher)),
        _part("representation", objective.representation_weight),
    ]
    if objective.divergence != "none":
        details = teacher if objective.divergence == "margin_mse" else [*softmax, *teacher]
        terms.insert(0, Part(objective.divergence, 1.0 - weight, 1.0 - start, (*schedule, *details)))
    return tuple(terms)


def _penalty(settings: RegularizationConfig) -> Part:
    details = [_ramp(settings)]
    if settings.saturation is not None:
        details.append(f"saturated at {settings.saturation:g}")
    if settings.turn_exponent:
        details.append(f"times the turn number to the power {settings.turn_exponent:g}")
    return _part(settings.query, settings.query_weight, tuple(details))


def _ramp(settings: RegularizationConfig) -> str:
    if settings.ramp == "constant":
        return "no ramp"
    return f"{settings.ramp} ramp over {settings.ramp_fraction:.0%} of the steps"


def _sampling(sampling: SamplingConfig) -> str:
    words: list[str] = [sampling.strategy]
    if sampling.strategy != "in_batch":
        words.append(f"ranks {sampling.window[0]} to {sampling.window[1]}")
    if sampling.strategy == "proportional":
        words += [f"temperature {sampling.temperature:g}"] if sampling.temperature != 1 else []
        words += ["the whole window normalises"] if sampling.normalizer == "full" else []
    if sampling.strategy == "student":
        words.append(f"retrieved anew every {sampling.refresh_steps} steps")
    if sampling.filter_score_ratio is not None:
        words.append(f"none scored {sampling.filter_score_ratio:g} times as high as the best positive")
    if sampling.filter_overlap is not None:
        words.append(f"none that shares {sampling.filter_overlap:g} of its word pieces with a positive")
    return ", ".join(words)


def run_label(experiment: ExperimentConfig) -> str:
    """The readable beginning of a run's folder name; runs are found by it, so that it never changes for an experiment."""
    description = describe(experiment)
    (contrastive,) = (part for part in description.terms if part.name == "contrastive")
    penalty, passages = description.penalty, description.passage_penalty
    words = [
        "+".join(experiment.teacher.names),
        experiment.encoder.model.rstrip("/").rsplit("/", 1)[-1],
        f"w{contrastive.weight:.3g}",
        f"n{description.sample_count}",
    ]
    if penalty is not None:
        words.append(f"{penalty.name.replace('_', '')}{penalty.weight:.3g}")
    if description.pruning:
        words.append(f"pruned{description.pruning:.3g}")
    if passages is not None:
        words.append(f"passages{passages.weight:.3g}")
    words.append(f"s{experiment.training.seed}")
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", "-".join(words))[:80]
