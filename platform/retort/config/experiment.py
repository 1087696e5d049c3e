"""An experiment's settings, section by section, and those of the generated corpus."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, cast

from pydantic import Discriminator, Field, PositiveInt, Tag, model_validator

from retort.config.base import Name, Settings, kind_of_value

__all__ = [
    "ContextConfig",
    "CorpusConfig",
    "EncoderConfig",
    "EvaluationConfig",
    "ExperimentConfig",
    "HoldoutConfig",
    "ObjectiveConfig",
    "RegularizationConfig",
    "SamplingConfig",
    "SyntheticConfig",
    "TeacherConfig",
    "TrainingConfig",
]


class HoldoutConfig(Settings):
    """A share of the training conversations, kept out of training and used to choose on."""

    share: float = Field(default=0.15, gt=0, lt=1, description="of the training conversations")
    seed: int = Field(default=0, ge=0)


class SyntheticConfig(Settings):
    """Size of the generated corpus; 520 entities make about 4,000 passages."""

    conversations: PositiveInt = Field(default=240, description="training conversations, about 6 turns each")
    dev_conversations: PositiveInt = 60
    entities: int = Field(default=520, ge=40, description="fewer would leave nothing to confuse an entity with")
    seed: int = Field(default=0, ge=0)


class CorpusConfig(Settings):
    """Which turns are trained on, chosen on and reported on: three different sets."""

    train: Name = "train"
    validation: (
        Annotated[
            Annotated[HoldoutConfig, Tag("(settings)")] | Annotated[Name, Tag("(name)")], Discriminator(kind_of_value)
        ]
        | None
    ) = Field(
        default=HoldoutConfig(),
        alias="validate",
        description="a share of the training conversations, a named split, or null: train on every conversation",
    )
    evaluate: Name | None = Field(default="dev", description="split that the chosen points are reported on")


class ContextConfig(Settings):
    """How a turn becomes the student's text; the current question is always in it."""

    order: Literal["newest_first", "oldest_first"] = Field(
        default="newest_first", description="the question first and the newest message next (DiSCo), or as it was said"
    )
    answers: bool = Field(default=True, description="the agent's messages are part of the context")
    last_turns: PositiveInt | None = Field(default=None, description="only so many earlier turns; null: all")


class EncoderConfig(Settings):
    """The frozen passage encoder and the student that starts from it (design: two families)."""

    family: Literal["lexical", "splade"] = "lexical"
    model: str = Field(default="tiny", min_length=1, description="tiny, minilm, a hub id, or a local path")
    layers: PositiveInt | None = Field(default=None, description="use only the lowest layers of the body; null: all")
    query_tokens: int = Field(default=128, ge=4, le=8192, description="budget of the context, special tokens included")
    rewrite_tokens: int = Field(default=128, ge=4, le=8192, description="budget of a rewrite, special tokens included")
    passage_tokens: int = Field(default=400, ge=4, le=8192, description="word pieces of a passage that are indexed")
    passage_precision: Literal["fp32", "bf16_scan", "bf16"] = Field(
        default="fp32",
        description="of encoding passages (splade): bf16_scan looks for the head's maxima in bfloat16 and scores them in "
        "float32, bf16 runs the body in it too",
    )
    score_scale: float = Field(
        default=0.125,
        gt=0,
        description="factor on every score before a softmax; 1.0 by default for the splade family",
    )
    k1: float = Field(default=0.9, ge=0, description="BM25 term frequency saturation (lexical)")
    b: float = Field(default=0.4, ge=0, le=1, description="BM25 length normalisation (lexical)")
    rewrite_terms: Literal["set", "counts"] = Field(
        default="set", description="a rewrite's word pieces count once, or as often as they occur (lexical)"
    )
    vocabulary_size: int = Field(default=16_384, ge=128, description="upper bound for the vocabulary of model tiny")
    hidden_size: int = Field(default=64, ge=8, description="width of model tiny, a multiple of its 4 attention heads")

    @model_validator(mode="before")
    @classmethod
    def _scale_follows_the_family(cls, data: object) -> object:
        # SPLADE's scores are trained for a softmax as they are; BM25's are not (perplexity 1.3 unscaled).
        if isinstance(data, Mapping) and data.get("family") == "splade" and "score_scale" not in data:
            return {**data, "score_scale": 1.0}
        return data

    @model_validator(mode="after")
    def _only_a_model_has_a_precision(self) -> Self:
        if self.family == "lexical" and self.passage_precision != "fp32":
            raise ValueError(
                f"passage_precision={self.passage_precision} is for the splade family; lexical passages are counted, not encoded"
            )
        return self

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.hidden_size % 4:
            raise ValueError(f"hidden_size must be a multiple of 4, got {self.hidden_size}")
        return self


class TeacherConfig(Settings):
    """Whose rewrites are distilled."""

    names: tuple[Name, ...] = Field(default=("synthetic",), min_length=1, description="teachers in the workspace")
    top_k: int = Field(default=1000, ge=2, le=100_000, description="passages kept of each rewrite's ranking")
    fusion: Literal["mean"] = Field(
        default="mean", description="several teachers: mean over those that have the passage"
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"names holds a teacher twice: {list(self.names)}")
        return self


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
    temperature: float = Field(default=1.0, gt=0, description="of the distribution that proportional draws from")
    normalizer: Literal["sampled", "full"] = Field(
        default="sampled",
        description="proportional: the student's log Z over the samples, with a bias of 1/count, or over the whole window",
    )
    refresh_steps: PositiveInt = Field(default=50, description="student: steps after which it retrieves anew")

    @model_validator(mode="after")
    def _window_holds_the_samples(self) -> Self:
        low, high = self.window
        if low < 0 or high <= low:
            raise ValueError(f"window must be [low, high) with 0 <= low < high, got {list(self.window)}")
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

    divergence: Literal["kld", "margin_mse", "none"] = "kld"
    temperature: float = Field(default=1.0, gt=0, description="of both softmaxes in the KLD")
    temperature_squared: bool = Field(default=False, description="multiply the KLD by its temperature squared")
    positive_score: Literal["own", "pool_max"] = Field(
        default="own",
        description="the positive's teacher score: its own, or the maximum of the pool that the softmax runs over "
        "(as the paper's code has it)",
    )
    positive_weight: float | Literal["balanced"] = Field(
        default=1.0,
        description="how many times the positive counts in both softmaxes of the KLD; balanced: as often as there are samples",
    )
    contrastive_weight: float = Field(default=0.0, ge=0, le=1)
    contrastive_temperature: float = Field(default=1.0, gt=0)
    contrastive_negatives: Literal["all", "samples", "positives", "samples_and_positives"] = Field(
        default="all",
        description="all passages of the batch, over all workers; the turn's own samples; other turns' positives; the last two",
    )
    contrastive_schedule: Literal["constant", "linear", "cosine"] = Field(
        default="constant",
        description="how the contrastive weight gets from contrastive_start to its value in training",
    )
    contrastive_start: float = Field(default=0.0, ge=0, le=1, description="where a linear or cosine schedule begins")
    margin_mse_weight: float = Field(default=0.0, ge=0, description="of MarginMSE, beside the divergence")
    representation_weight: float = Field(
        default=0.0, ge=0, description="of the squared distance to the teacher's rewrite vector"
    )
    weighting: Literal["fixed", "uncertainty", "gradient_norm"] = Field(
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
    query: Literal["none", "l1", "flops", "expected_flops"] = "none"
    query_weight: float = Field(default=0.0, ge=0)
    passage_weight: float = Field(
        default=0.0, ge=0, description="of the FLOPS penalty on a batch's passages; ramped as the queries' is"
    )
    ramp: Literal["quadratic", "linear", "constant"] = "quadratic"
    ramp_fraction: float = Field(default=0.33, gt=0, le=1, description="of all steps, after which the weight is full")
    turn_exponent: float = Field(
        default=0.0,
        ge=-4,
        le=4,
        description="a query's penalty is multiplied by its turn number to this power; 0: all alike",
    )
    saturation: float | None = Field(
        default=None,
        gt=0,
        description="a weight far above this is penalized no more than one at it: what counts is that an entry is active; "
        "null: in proportion",
    )
    anti_zero_weight: float = Field(default=0.0, ge=0, description="of a penalty on queries that vanish")
    flops_budget: float | None = Field(
        default=None, gt=0, description="FLOPS to end at: query_weight is then where the search for the weight begins"
    )
    max_terms: PositiveInt | None = Field(
        default=None, description="hard limit: a query keeps so many entries; null: all"
    )
    threshold: float = Field(default=0.0, ge=0, description="hard limit: entries up to it become 0")

    @model_validator(mode="after")
    def _budget_has_a_penalty(self) -> Self:
        if self.flops_budget is not None and (self.query == "none" or self.query_weight == 0):
            raise ValueError(
                "flops_budget needs a penalty that keeps it, and a weight to begin with: "
                "query=expected_flops query_weight=0.01, for example"
            )
        return self


class TrainingConfig(Settings):
    """Optimisation.

    ``workers`` and ``accumulation`` are about hardware: losses are the same, exactly without dropout, and up to the units
    that are dropped with it.
    """

    epochs: PositiveInt = 5
    batch_turns: PositiveInt = Field(default=10, description="turns in a step, over all workers")
    accumulation: PositiveInt = Field(default=1, description="parts that a worker's share of a batch is computed in")
    learning_rate: float = Field(default=2e-5, gt=0, description="AdamW's, at its peak")
    head_learning_rate_factor: float = Field(default=1.0, gt=0, description="on the weighing head (lexical)")
    warmup_fraction: float = Field(default=0.01, ge=0, lt=1, description="of all steps; then linear decay to zero")
    weight_decay: float = Field(default=0.01, ge=0)
    gradient_clip: float | None = Field(default=1.0, gt=0, description="norm; null: no clipping")
    dropout: float | None = Field(default=None, ge=0, lt=1, description="null: the model's own")
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    passage_encoder: Literal["frozen", "trained"] = Field(
        default="frozen",
        description="trained (splade): passages are encoded in every step, beside the queries, instead of read from the cache",
    )
    workers: int = Field(default=0, ge=0, description="0: in this process; n: a Ray Train group of n")
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _every_worker_gets_turns(self) -> Self:
        if max(self.workers, 1) * self.accumulation > self.batch_turns:
            raise ValueError(
                f"batch_turns={self.batch_turns} cannot be split over workers={self.workers} "
                f"with accumulation={self.accumulation}"
            )
        return self


class EvaluationConfig(Settings):
    """How a student is measured."""

    engine: Literal["exact"] = "exact"
    top_k: int = Field(default=1000, ge=100, description="passages retrieved for a turn; R@100 needs 100")


# Settings that came later: at their default they change nothing, and runs from before keep their names.
_LATER = {
    "sampling": ("temperature", "normalizer", "refresh_steps"),
    "objective": (
        "positive_weight",
        "contrastive_negatives",
        "contrastive_schedule",
        "contrastive_start",
        "margin_mse_weight",
        "representation_weight",
        "weighting",
    ),
    "regularization": (
        "passage_weight",
        "turn_exponent",
        "saturation",
        "anti_zero_weight",
        "flops_budget",
        "max_terms",
        "threshold",
    ),
    "training": ("passage_encoder",),
}


class ExperimentConfig(Settings):
    """One experiment: everything that changes its result, and what hardware it runs on."""

    paper: Literal["as_described", "as_published"] | None = Field(
        default=None,
        description="read arXiv:2606.04650 as its text says or as its released code does: sets objective.positive_score (own, "
        "pool_max) and what a regularisation preset means (lambda_q with a quadratic ramp, lambda_d without one)",
    )
    corpus: CorpusConfig = CorpusConfig()
    context: ContextConfig = ContextConfig()
    encoder: EncoderConfig = EncoderConfig()
    teacher: TeacherConfig = TeacherConfig()
    sampling: SamplingConfig = SamplingConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    regularization: RegularizationConfig = RegularizationConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="before")
    @classmethod
    def _paper_and_preset_say_the_rest(cls, data: object) -> object:
        return _with_presets(data) if isinstance(data, Mapping) else data

    @model_validator(mode="after")
    def _window_lies_in_the_ranking(self) -> Self:
        # The student's own ranking is retrieved as deep as the window asks for.
        if self.sampling.strategy != "student" and self.sampling.window[1] > self.teacher.top_k:
            raise ValueError(
                f"sampling.window={list(self.sampling.window)} reaches beyond teacher.top_k={self.teacher.top_k}: "
                "those ranks are not kept"
            )
        return self

    @model_validator(mode="after")
    def _trained_passages_fit(self) -> Self:
        trained = "training.passage_encoder=trained"
        if not self.trains_passages:
            if self.regularization.passage_weight:
                raise ValueError(
                    f"regularization.passage_weight={self.regularization.passage_weight} changes nothing while passages are "
                    f"frozen; train their encoder ({trained}) or leave it at 0"
                )
            return self
        if self.encoder.family != "splade":
            raise ValueError(
                f"{trained} is for the splade family; {self.encoder.family} passages are counted and hold nothing to train"
            )
        if self.sampling.strategy == "student":
            raise ValueError(
                f"sampling.strategy=student retrieves from the encoded collection, which {trained} leaves behind; choose "
                "another strategy"
            )
        if self.regularization.flops_budget is not None:
            raise ValueError(
                f"regularization.flops_budget is kept against the collection's own share of each entry, which {trained} "
                "moves; set query_weight and passage_weight instead"
            )
        return self

    @property
    def trains_passages(self) -> bool:
        """Whether the passage encoder is trained too."""
        return self.training.passage_encoder == "trained"

    def training_identity(self) -> dict[str, object]:
        """The settings that change a trained student, as plain data.

        Left out: workers and accumulation (tested to give the same losses), how a student is evaluated, and on which split.
        """
        data: dict[str, Any] = self.model_dump(
            mode="json",
            # What a preset stands for is in the settings that it sets.
            exclude={"paper": True, "evaluation": True, "corpus": {"evaluate"}, "regularization": {"preset"}},
        )
        for section, keys in _LATER.items():
            fields = type(getattr(self, section)).model_fields
            for key in keys:
                if data[section][key] == fields[key].default:
                    del data[section][key]
        del data["training"]["workers"], data["training"]["accumulation"]
        del data["encoder"]["passage_precision"]  # in the vectors' fingerprint
        if data["encoder"]["model"] not in ("tiny", "minilm"):
            # A path or a hub id says where a model is; its content is in the fingerprint by its digest.
            del data["encoder"]["model"]
        if data["regularization"]["query"] == "none":
            # Without a regulariser its weight and ramp change nothing: one run, one name.
            for key in ("query_weight", "turn_exponent", "saturation"):
                data["regularization"].pop(key, None)
            if not self.regularization.passage_weight:
                del data["regularization"]["ramp"], data["regularization"]["ramp_fraction"]
        return cast(dict[str, object], data)


def _with_presets(data: Mapping[Any, Any]) -> object:
    """Fill in what ``paper`` and ``regularization.preset`` stand for; refuse settings that contradict them."""
    paper, filled = data.get("paper"), dict(data)

    def fill(section: str, key: str, value: object, because: str) -> None:
        settings = filled.get(section, {})
        if not isinstance(settings, Mapping):
            return  # told of by the section's own check
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
