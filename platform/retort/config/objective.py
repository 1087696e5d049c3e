"""What a student is trained for: which passages it is compared on, by which losses, at what price.

``docs/objectives.md`` has the formulas and their sources.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from retort.config.base import MANY, Later, Settings
from retort.errors import shown

__all__ = ["PRESETS", "ObjectiveConfig", "RegularizationConfig", "SamplingConfig", "with_presets"]


class SamplingConfig(Settings):
    """Which passages of the teacher's ranking the divergence is taken over, beside the positive."""

    strategy: Literal["window", "hardest", "stratified", "geometric", "proportional", "in_batch", "student"] = Field(
        default="window",
        description="window: uniformly from the rank window (the paper); hardest: its first ranks; stratified: one from each of "
        "as many strata of equal width; geometric: strata that widen with the rank; proportional: as likely as the teacher finds "
        "them, importance-weighted; in_batch: other turns' positives; student: from what the student itself retrieves",
    )
    count: int = Field(default=16, ge=1, le=10_000, description="samples per turn, the positive not counted")
    window: tuple[int, int] = Field(default=(10, 950), description="ranks of the teacher, zero-based, half-open")
    temperature: Later[float] = Field(
        default=1.0, gt=0, description="temperature of the distribution that proportional draws from"
    )
    normalizer: Later[Literal["sampled", "full"]] = Field(
        default="sampled",
        description="proportional: the student's log Z over the samples, with a bias of 1/count, or over the whole window",
    )
    refresh_steps: Later[PositiveInt] = Field(
        default=50, le=MANY, description="student: steps after which it retrieves anew"
    )
    filter_score_ratio: Later[float | None] = Field(
        default=None,
        gt=0,
        description="never sample what the teacher scores at least so many times as high as the turn's best positive",
    )
    filter_overlap: Later[float | None] = Field(
        default=None,
        gt=0,
        le=1,
        description="never sample what shares so much of its word pieces (Jaccard) with a positive of the turn",
    )

    @model_validator(mode="after")
    def _window_holds_the_samples(self) -> Self:
        low, high = self.window
        if low < 0 or high <= low or high > MANY:
            raise ValueError(
                f"window must be [low, high) with 0 <= low < high <= {MANY}, got {shown(list(self.window))}"
            )
        # Drawn with replacement, or not from the window at all: there can be more samples than ranks.
        if self.strategy not in ("proportional", "in_batch") and self.count > high - low:
            raise ValueError(
                f"count={self.count} samples do not fit into window={list(self.window)}, which has {high - low} ranks; "
                "lower count or widen window"
            )
        if self.normalizer == "full" and self.strategy != "proportional":
            raise ValueError(f"normalizer=full goes with strategy=proportional alone, not with {self.strategy}")
        return self


class ObjectiveConfig(Settings):
    """``(1 - w) * divergence + w * contrastive`` and, where they weigh anything, two more terms; w the contrastive weight."""

    divergence: Literal["kld", "margin_mse", "none"] = Field(
        default="kld",
        description="divergence of the student's scores from the teacher's, over the positive and the samples",
    )
    temperature: float = Field(default=1.0, gt=0, description="temperature of both softmaxes in the KLD")
    temperature_squared: bool = Field(default=False, description="multiply the KLD by its temperature squared")
    positive_score: Literal["own", "pool_max"] = Field(
        default="own",
        description="the positive's teacher score: its own, or the maximum of the pool that the softmax runs over "
        "(as the paper's code has it)",
    )
    positive_weight: Later[float | Literal["balanced"]] = Field(
        default=1.0,
        description="how many times the positive counts in both softmaxes of the KLD; balanced: as often as there are samples",
    )
    contrastive_weight: float = Field(
        default=0.0, ge=0, le=1, description="w, the weight of InfoNCE; the divergence has 1 - w"
    )
    contrastive_temperature: float = Field(default=1.0, gt=0, description="temperature of the softmax in InfoNCE")
    contrastive_negatives: Later[Literal["all", "samples", "positives", "samples_and_positives"]] = Field(
        default="all",
        description="all passages of the batch, over all workers; the turn's own samples; other turns' positives; the last two",
    )
    contrastive_schedule: Later[Literal["constant", "linear", "cosine"]] = Field(
        default="constant",
        description="how the contrastive weight gets from contrastive_start to its value in training",
    )
    contrastive_start: Later[float] = Field(
        default=0.0, ge=0, le=1, description="where a linear or cosine schedule begins"
    )
    margin_mse_weight: Later[float] = Field(default=0.0, ge=0, description="weight of MarginMSE beside the divergence")
    representation_weight: Later[float] = Field(
        default=0.0, ge=0, description="weight of the squared distance to the teacher's rewrite vector"
    )
    weighting: Later[Literal["fixed", "uncertainty", "gradient_norm"]] = Field(
        default="fixed",
        description="the weights as they are, as the start of learned ones (uncertainty), or as shares of the gradient's norm",
    )

    @model_validator(mode="after")
    def _terms_go_together(self) -> Self:
        if self.positive_weight != "balanced" and self.positive_weight <= 0:
            raise ValueError(f"positive_weight must be positive, or balanced; got {self.positive_weight}")
        if self.divergence == "margin_mse" and self.margin_mse_weight:
            raise ValueError(
                "margin_mse_weight is for MarginMSE beside another divergence; divergence=margin_mse is it already"
            )
        if not (
            self.divergence != "none" or self.contrastive_weight or self.margin_mse_weight or self.representation_weight
        ):
            raise ValueError(
                "divergence=none needs another term: contrastive_weight, margin_mse_weight or representation_weight"
            )
        if self.weighting == "uncertainty" and self.contrastive_schedule != "constant":
            raise ValueError("weighting=uncertainty learns the weights: contrastive_schedule must be constant")
        return self


PRESETS = {  # the paper's names: lambda_d, lambda_q
    "disco": (0.0, 0.0),
    "splade": (5e-4, 1e-3),
    "high": (1e-3, 5e-3),
    "higher": (1e-2, 5e-2),
    "highest": (5e-2, 1e-1),
}


class RegularizationConfig(Settings):
    """The sparsity penalties on student queries and, where their encoder is trained, on passages."""

    preset: Literal["disco", "splade", "high", "higher", "highest"] | None = Field(
        default=None,
        description="one of the paper's: sets query, query_weight and ramp, as the experiment's `paper` reads them, and "
        "passage_weight where passages are trained",
    )
    query: Literal["none", "l1", "flops", "expected_flops"] = Field(
        default="none",
        description="l1 (the paper); flops: the squared mean activation of each entry; expected_flops: L1 with each entry "
        "weighted by its share of passages",
    )
    query_weight: float = Field(default=0.0, ge=0, description="weight of the queries' penalty at the end of its ramp")
    passage_weight: Later[float] = Field(
        default=0.0, ge=0, description="weight of the FLOPS penalty on a batch's passages; ramped as the queries' is"
    )
    ramp: Literal["quadratic", "linear", "constant"] = Field(
        default="quadratic", description="how the penalties' weights rise from 0 to their values"
    )
    ramp_fraction: float = Field(
        default=0.33, gt=0, le=1, description="share of all steps after which the weight is full"
    )
    turn_exponent: Later[float] = Field(
        default=0.0,
        ge=-4,
        le=4,
        description="a query's penalty is multiplied by its turn number to this power; 0: all alike",
    )
    saturation: Later[float | None] = Field(
        default=None,
        gt=0,
        description="a weight far above this is penalized no more than one at it: what counts is that an entry is active; "
        "null: in proportion",
    )
    anti_zero_weight: Later[float] = Field(default=0.0, ge=0, description="weight of a penalty on queries that vanish")
    flops_budget: Later[float | None] = Field(
        default=None, gt=0, description="FLOPS to end at: query_weight is then where the search for the weight begins"
    )
    max_terms: Later[PositiveInt | None] = Field(
        default=None, le=MANY, description="hard limit: a query keeps so many entries; null: all"
    )
    threshold: Later[float] = Field(default=0.0, ge=0, description="hard limit: entries up to it become 0")
    cost_threshold: Later[float] = Field(
        default=0.0,
        ge=0,
        description="pruning once training is over: entries become 0 whose weight is at most so many times the share of passages "
        "that hold them; trains nothing that its twin without it does not, which is distilled first",
    )

    @model_validator(mode="after")
    def _budget_has_a_penalty(self) -> Self:
        if self.flops_budget is not None and (self.query == "none" or self.query_weight == 0):
            raise ValueError(
                "flops_budget needs a penalty that keeps it, and a weight to begin with: "
                "query=expected_flops query_weight=0.01, for example"
            )
        return self

    @property
    def is_regularized(self) -> bool:
        """Whether anything keeps the queries sparse: a penalty with a weight, or a hard limit."""
        penalized = self.query != "none" and self.query_weight > 0
        return penalized or self.max_terms is not None or self.threshold > 0 or self.cost_threshold > 0


def with_presets(data: Mapping[Any, Any]) -> object:
    """Fill in what ``paper`` and ``regularization.preset`` stand for; refuse settings that contradict them."""
    paper, filled = data.get("paper"), dict(data)

    def fill(section: str, key: str, value: object, because: str) -> None:
        settings = filled.get(section, {})
        if not isinstance(settings, Mapping):
            return  # reported by the section's own check
        if settings.get(key, value) != value:
            raise ValueError(f"{section}.{key}={settings[key]} contradicts {because}, which sets it to {value}")
        filled[section] = {**settings, key: value}

    if paper in ("as_described", "as_published"):
        fill("objective", "positive_score", "own" if paper == "as_described" else "pool_max", f"paper={paper}")
    regularization = data.get("regularization")
    preset = regularization.get("preset") if isinstance(regularization, Mapping) else None
    if isinstance(preset, str) and preset in PRESETS:
        passages, queries = PRESETS[preset]
        weight = passages if paper == "as_published" else queries
        because = f"regularization.preset={preset}" + (f" with paper={paper}" if paper else "")
        fill("regularization", "query", "l1" if weight else "none", because)
        fill("regularization", "query_weight", weight, because)
        fill("regularization", "ramp", "constant" if paper == "as_published" else "quadratic", because)
        training = data.get("training")
        if isinstance(training, Mapping) and training.get("passage_encoder") == "trained":
            fill("regularization", "passage_weight", passages, because)
    return filled
