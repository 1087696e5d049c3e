"""An experiment's settings, section by section, and those of the generated corpus."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, cast

from pydantic import Discriminator, Field, PositiveInt, Tag, model_validator

from retort.config.base import MANY, MAX_SEED, Later, Name, Settings, kind_of_value
from retort.config.objective import ObjectiveConfig, RegularizationConfig, SamplingConfig, with_presets

__all__ = [
    "ContextConfig",
    "CorpusConfig",
    "EncoderConfig",
    "EvaluationConfig",
    "ExperimentConfig",
    "HoldoutConfig",
    "SyntheticConfig",
    "TeacherConfig",
    "TrainingConfig",
]


class HoldoutConfig(Settings):
    """A share of the training conversations, kept out of training and used to choose on."""

    share: float = Field(default=0.15, gt=0, lt=1, description="share of the training conversations that is held out")
    seed: int = Field(default=0, ge=0, le=MAX_SEED, description="another seed holds out other conversations")


class SyntheticConfig(Settings):
    """Size of the generated corpus; 520 entities make about 4,000 passages."""

    conversations: PositiveInt = Field(
        default=240, le=10_000_000, description="training conversations, about 6 turns each"
    )
    dev_conversations: PositiveInt = Field(
        default=60, le=10_000_000, description="conversations to choose and report on"
    )
    entities: int = Field(
        default=520, ge=40, le=10_000_000, description="fewer would leave nothing to confuse an entity with"
    )
    seed: int = Field(default=0, ge=0, le=MAX_SEED, description="seed of everything that is drawn")


class CorpusConfig(Settings):
    """Which turns are trained on, chosen on and reported on: three different sets."""

    train: Name = Field(default="train", description="split that is trained on")
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
    last_turns: PositiveInt | None = Field(
        default=None, le=1_000_000, description="only so many earlier turns; null: all"
    )
    first_turn: Later[bool] = Field(
        default=False, description="the conversation's first question is kept, whatever last_turns and the budget cut"
    )
    separator: Later[str] = Field(
        default="[SEP]", max_length=20, description="between messages: [SEP], the tokeniser's own token, or any text"
    )
    ptkb: Later[Literal["none", "all", "relevant"]] = Field(
        default="none",
        description="what is known of the user (iKAT), beside the question: nothing, all, or the statements that were "
        "judged relevant to the turn",
    )


class EncoderConfig(Settings):
    """The frozen passage encoder and the student that starts from it."""

    family: Literal["lexical", "splade"] = Field(
        default="lexical",
        description="lexical: BM25 impacts of word pieces against weights that the student gives to the context's own; splade: a "
        "masked language model's expansions on both sides",
    )
    model: str = Field(default="tiny", min_length=1, description="tiny, minilm, a hub id, or a local path")
    layers: PositiveInt | None = Field(
        default=None, le=10_000, description="use only the lowest layers of the body; null: all"
    )
    query_tokens: int = Field(default=128, ge=4, le=8192, description="budget of the context, special tokens included")
    rewrite_tokens: int = Field(default=128, ge=4, le=8192, description="budget of a rewrite, special tokens included")
    passage_tokens: int = Field(default=400, ge=4, le=8192, description="word pieces of a passage that are indexed")
    passage_precision: Literal["fp32", "bf16_scan", "bf16"] = Field(
        default="fp32",
        description="precision of encoding passages (splade): bf16_scan looks for the head's maxima in bfloat16, scores them in "
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
    vocabulary_size: int = Field(
        default=16_384, ge=128, le=10_000_000, description="upper bound for the vocabulary of model tiny"
    )
    hidden_size: int = Field(
        default=64, ge=8, le=65_536, description="width of model tiny, a multiple of its 4 attention heads"
    )

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
    """The teachers whose rewrites are distilled."""

    names: tuple[Name, ...] = Field(default=("synthetic",), min_length=1, description="teachers in the workspace")
    top_k: int = Field(default=1000, ge=2, le=100_000, description="passages kept of each rewrite's ranking")
    fusion: Literal["mean", "normalized_mean", "rrf", "one_per_step", "learned"] = Field(
        default="mean",
        description="several teachers: mean over those that have the passage (as published), or of standardised scores; "
        "reciprocal ranks; one teacher drawn per turn and epoch; weights learned on the conversations that "
        "corpus.validate holds out",
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"names holds a teacher twice: {list(self.names)}")
        return self


class TrainingConfig(Settings):
    """Optimisation.

    ``workers`` and ``accumulation`` are about hardware: losses are the same, exactly without dropout, and up to the units
    that are dropped with it.
    """

    epochs: PositiveInt = Field(default=5, le=1_000_000, description="passes over the training turns")
    batch_turns: PositiveInt = Field(default=10, le=1_000_000, description="turns in a step, over all workers")
    accumulation: PositiveInt = Field(
        default=1, le=1_000_000, description="parts that a worker's share of a batch is computed in"
    )
    learning_rate: float = Field(default=2e-5, gt=0, description="AdamW's learning rate at its peak")
    head_learning_rate_factor: float = Field(
        default=1.0, gt=0, description="factor on the learning rate of the weighing head (lexical)"
    )
    warmup_fraction: float = Field(
        default=0.01,
        ge=0,
        lt=1,
        description="share of all steps in which the learning rate rises; then it falls linearly to zero",
    )
    weight_decay: float = Field(default=0.01, ge=0, description="AdamW's decoupled weight decay, on every parameter")
    gradient_clip: float | None = Field(
        default=1.0, gt=0, description="largest norm of the gradient; null: no clipping"
    )
    dropout: float | None = Field(default=None, ge=0, lt=1, description="probability of dropout; null: the model's own")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        default="fp32",
        description="precision of the body and the head; weights and losses stay float32. bf16 pays on processors with bf16 "
        "instructions and on GPUs, fp16 on GPUs",
    )
    passage_encoder: Later[Literal["frozen", "trained"]] = Field(
        default="frozen",
        description="trained (splade): passages are encoded in every step, beside the queries, instead of read from the cache",
    )
    workers: int = Field(default=0, ge=0, le=100_000, description="0: in this process; n: a Ray Train group of n")
    seed: int = Field(default=0, ge=0, le=MAX_SEED, description="seed of batches, samples and dropout")

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

    engine: Literal["exact", "lucene"] = Field(
        default="exact",
        description="exact: every passage is scored, ties broken by doc_id; lucene: quantised, as it is deployed; needs Java and "
        "the extra lucene",
    )
    top_k: int = Field(default=1000, ge=100, le=MANY, description="passages retrieved for a turn; R@100 needs 100")
    quantization_bits: int = Field(
        default=8, ge=2, le=12, description="bits of a weight in Lucene's index, and in a query"
    )

    def identity(self) -> dict[str, object]:
        """The settings as plain data; the bits only where something is quantised."""
        return self.model_dump(mode="json", exclude=None if self.engine == "lucene" else {"quantization_bits"})


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
        return with_presets(data) if isinstance(data, Mapping) else data

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
    def _passages_outside_the_rankings_have_a_score(self) -> Self:
        strategy, fusion = self.sampling.strategy, self.teacher.fusion
        if strategy in ("in_batch", "student") and len(self.teacher.names) > 1 and fusion != "mean":
            raise ValueError(
                f"sampling.strategy={strategy} takes passages that no teacher ranked, for which several teachers have a "
                f"score with teacher.fusion=mean alone, not with {fusion}"
            )
        return self

    @model_validator(mode="after")
    def _weights_are_learned_on_held_out_turns(self) -> Self:
        if self.teacher.fusion == "learned" and not isinstance(self.corpus.validation, HoldoutConfig):
            raise ValueError(
                "teacher.fusion=learned needs corpus.validate to hold out a share of the training conversations: the "
                "weights are learned on those"
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
        if self.regularization.cost_threshold:
            raise ValueError(
                f"regularization.cost_threshold prunes by the collection's own share of each entry, which {trained} moves"
            )
        if self.regularization.flops_budget is not None:
            raise ValueError(
                f"regularization.flops_budget is kept against the collection's own share of each entry, which {trained} "
                "moves; set query_weight and passage_weight instead"
            )
        return self

    @property
    def needs_rewrite_vectors(self) -> bool:
        """Whether a step reads the rewrites' own vectors, beside the teachers' rankings."""
        return self.sampling.strategy in ("in_batch", "student") or self.objective.representation_weight > 0

    @property
    def trains_passages(self) -> bool:
        """Whether the passage encoder is trained too."""
        return self.training.passage_encoder == "trained"

    def training_identity(self) -> dict[str, object]:
        """The settings that change a trained student, as plain data.

        Left out: workers and accumulation (tested to give the same losses), how a student is evaluated, and on which split.
        """
        data: dict[str, Any] = {name: section.identity() for name, section in self if isinstance(section, Settings)}
        # What a preset stands for is in the settings that it sets.
        del data["evaluation"], data["corpus"]["evaluate"], data["regularization"]["preset"]
        del data["training"]["workers"], data["training"]["accumulation"]
        del data["encoder"]["passage_precision"]  # in the vectors' fingerprint
        if data["encoder"]["model"] not in ("tiny", "minilm"):
            # A path or a hub id says where a model is; its content is in the fingerprint by its digest.
            del data["encoder"]["model"]
        if len(self.teacher.names) == 1:
            data["teacher"]["fusion"] = "mean"  # there is nothing to fuse
        if data["regularization"]["query"] == "none":
            # Without a regulariser its weight and ramp change nothing: one run, one name.
            for key in ("query_weight", "turn_exponent", "saturation"):
                data["regularization"].pop(key, None)
            if not self.regularization.passage_weight:
                del data["regularization"]["ramp"], data["regularization"]["ramp_fraction"]
        return cast(dict[str, object], data)
