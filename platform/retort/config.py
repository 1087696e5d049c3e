"""Every setting of an experiment and of a search space, with its default, unit and bounds. No other module holds a default.

The models are frozen and refuse unknown keys, so that a misspelled key fails before anything is started; all problems are
reported at once. YAML holds plain values: numbers such as ``1e-5``, which PyYAML reads as text, are converted here.
Hardware, worker counts and paths are no part of a run's identity: see ``ExperimentConfig.training_identity``.
"""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, cast, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PositiveInt,
    Tag,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from retort.errors import ConfigError

__all__ = [
    "ContextConfig",
    "CorpusConfig",
    "EncoderConfig",
    "EvaluationConfig",
    "ExperimentConfig",
    "HoldoutConfig",
    "ObjectiveConfig",
    "Range",
    "RegularizationConfig",
    "SamplingConfig",
    "SearchSpaceConfig",
    "SyntheticConfig",
    "TeacherConfig",
    "TrainingConfig",
    "checked_name",
    "experiment_from",
    "load_experiment",
    "parse_overrides",
    "read_yaml",
    "validated",
    "with_overrides",
]

Model = TypeVar("Model", bound=BaseModel)
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]


class _Settings(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


def _kind_of_value(value: object) -> str:
    # Tells pydantic which member of a union was meant, so that only that member's problems are reported.
    if isinstance(value, Mapping | BaseModel):
        return "(settings)"
    return "(choices)" if isinstance(value, list | tuple) else "(name)"


class HoldoutConfig(_Settings):
    """A share of the training conversations, kept out of training and used to choose on."""

    share: float = Field(default=0.15, gt=0, lt=1, description="of the training conversations")
    seed: int = Field(default=0, ge=0)


class SyntheticConfig(_Settings):
    """Size of the generated corpus; 520 entities make about 4,000 passages."""

    conversations: PositiveInt = Field(default=240, description="training conversations, about 6 turns each")
    dev_conversations: PositiveInt = 60
    entities: int = Field(default=520, ge=40, description="fewer would leave nothing to confuse an entity with")
    seed: int = Field(default=0, ge=0)


class CorpusConfig(_Settings):
    """Which turns are trained on, chosen on and reported on: three different sets."""

    train: Name = "train"
    validation: (
        Annotated[
            Annotated[HoldoutConfig, Tag("(settings)")] | Annotated[Name, Tag("(name)")], Discriminator(_kind_of_value)
        ]
        | None
    ) = Field(
        default=HoldoutConfig(),
        alias="validate",
        description="a share of the training conversations, a named split, or null: train on every conversation",
    )
    evaluate: Name | None = Field(default="dev", description="split that the chosen points are reported on")


class ContextConfig(_Settings):
    """How a turn becomes the student's text; the current question is always in it."""

    order: Literal["newest_first", "oldest_first"] = Field(
        default="newest_first", description="the question first and the newest message next (DiSCo), or as it was said"
    )
    answers: bool = Field(default=True, description="the agent's messages are part of the context")
    last_turns: PositiveInt | None = Field(default=None, description="only so many earlier turns; null: all")


class EncoderConfig(_Settings):
    """The frozen passage encoder and the student that starts from it (design: two families)."""

    family: Literal["lexical", "splade"] = "lexical"
    model: str = Field(default="tiny", min_length=1, description="tiny, minilm, a hub id, or a local path")
    layers: PositiveInt | None = Field(default=None, description="use only the lowest layers of the body; null: all")
    query_tokens: int = Field(default=128, ge=4, le=8192, description="budget of the context, special tokens included")
    rewrite_tokens: int = Field(default=128, ge=4, le=8192, description="budget of a rewrite, special tokens included")
    passage_tokens: int = Field(default=400, ge=4, le=8192, description="word pieces of a passage that are indexed")
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
    def _heads_divide_the_width(self) -> Self:
        if self.hidden_size % 4:
            raise ValueError(f"hidden_size must be a multiple of 4, got {self.hidden_size}")
        return self


class TeacherConfig(_Settings):
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


class SamplingConfig(_Settings):
    """Which passages of the teacher's ranking the divergence is taken over, beside the positive."""

    strategy: Literal["window"] = Field(default="window", description="uniformly from a rank window")
    count: int = Field(default=16, ge=1, le=10_000, description="samples per turn, the positive not counted")
    window: tuple[int, int] = Field(default=(10, 950), description="ranks of the teacher, zero-based, half-open")

    @model_validator(mode="after")
    def _window_holds_the_samples(self) -> Self:
        low, high = self.window
        if low < 0 or high <= low:
            raise ValueError(f"window must be [low, high) with 0 <= low < high, got {list(self.window)}")
        if self.count > high - low:
            raise ValueError(
                f"count={self.count} samples do not fit into window={list(self.window)}, which has {high - low} ranks; "
                "lower count or widen window"
            )
        return self


class ObjectiveConfig(_Settings):
    """``(1 - w) * KLD + w * contrastive``, w the contrastive weight."""

    divergence: Literal["kld"] = "kld"
    temperature: float = Field(default=1.0, gt=0, description="of both softmaxes in the KLD")
    temperature_squared: bool = Field(default=False, description="multiply the KLD by its temperature squared")
    positive_score: Literal["own", "pool_max"] = Field(
        default="own",
        description="the positive's teacher score: its own, or the maximum of the pool that the softmax runs over "
        "(as the paper's code has it)",
    )
    contrastive_weight: float = Field(default=0.0, ge=0, le=1)
    contrastive_temperature: float = Field(default=1.0, gt=0)


class RegularizationConfig(_Settings):
    """The sparsity penalty on student queries."""

    query: Literal["none", "l1", "flops", "expected_flops"] = "none"
    query_weight: float = Field(default=0.0, ge=0)
    ramp: Literal["quadratic", "linear", "constant"] = "quadratic"
    ramp_fraction: float = Field(default=0.33, gt=0, le=1, description="of all steps, after which the weight is full")


class TrainingConfig(_Settings):
    """Optimisation. ``workers`` and ``accumulation`` are about hardware: they leave losses and results as they are."""

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


class EvaluationConfig(_Settings):
    """How a student is measured."""

    engine: Literal["exact"] = "exact"
    top_k: int = Field(default=1000, ge=100, description="passages retrieved for a turn; R@100 needs 100")


class ExperimentConfig(_Settings):
    """One experiment: everything that changes its result, and what hardware it runs on."""

    corpus: CorpusConfig = CorpusConfig()
    context: ContextConfig = ContextConfig()
    encoder: EncoderConfig = EncoderConfig()
    teacher: TeacherConfig = TeacherConfig()
    sampling: SamplingConfig = SamplingConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    regularization: RegularizationConfig = RegularizationConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _window_lies_in_the_ranking(self) -> Self:
        if self.sampling.window[1] > self.teacher.top_k:
            raise ValueError(
                f"sampling.window={list(self.sampling.window)} reaches beyond teacher.top_k={self.teacher.top_k}: "
                "those ranks are not kept"
            )
        return self

    def training_identity(self) -> dict[str, object]:
        """The settings that change a trained student, as plain data.

        Left out: workers and accumulation (tested to give the same losses), how a student is evaluated, and on which split.
        """
        data: dict[str, Any] = self.model_dump(mode="json", exclude={"evaluation": True, "corpus": {"evaluate"}})
        del data["training"]["workers"], data["training"]["accumulation"]
        if data["regularization"]["query"] == "none":
            # Without a regulariser its weight and ramp change nothing: one run, one name.
            data["regularization"] = {"query": "none"}
        return cast(dict[str, object], data)


class Range(_Settings):
    """One searched setting between two bounds, both included."""

    low: float
    high: float
    log: bool = False
    step: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _bounds_make_sense(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low={self.low} must be below high={self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs low above 0, got {self.low}")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        return self

    @property
    def integral(self) -> bool:
        """Whether bounds and step are whole numbers: then the setting is searched as an integer."""
        return all(float(value).is_integer() for value in (self.low, self.high, self.step or 1.0)) and (
            self.step is not None
        )


Choice = bool | int | float | str | None
Dimension = Annotated[
    Annotated[tuple[Choice, ...], Tag("(choices)")] | Annotated[Range, Tag("(settings)")], Discriminator(_kind_of_value)
]


class SearchSpaceConfig(_Settings):
    """What a sweep searches, beside the experiment that it varies."""

    search: dict[str, Dimension] = Field(min_length=1, description="key -> choices, or low and high")
    objectives: dict[Literal["R@100", "R@10", "RR", "nDCG@3", "FLOPS", "L0"], Literal["max", "min"]] = Field(
        min_length=2, max_length=2, description="two measures and their directions"
    )
    sampler: Literal["tpe", "nsga2", "random"] = "tpe"
    trials: PositiveInt = 16
    concurrent: PositiveInt = Field(default=2, description="trials at a time; no part of the result's identity")
    seed: int = Field(default=0, ge=0)
    start: tuple[dict[str, Choice], ...] = Field(default=(), description="configurations that are tried first")
    reference: dict[str, float] | None = Field(
        default=None, description="of the hypervolume; null: the raw context's own measures on the validation turns"
    )

    @model_validator(mode="after")
    def _choices_and_starts_fit(self) -> Self:
        for key, choices in self.search.items():
            if isinstance(choices, tuple) and not choices:
                raise ValueError(f"search.{key} has no choices")
        for number, start in enumerate(self.start):
            if unknown := sorted(set(start) - set(self.search)):
                raise ValueError(f"start[{number}] sets {', '.join(unknown)}, which search does not hold")
            if missing := sorted(set(self.search) - set(start)):
                raise ValueError(f"start[{number}] lacks {', '.join(missing)}")
        if self.reference is not None and set(self.reference) != set(self.objectives):
            raise ValueError(f"reference must name the objectives {', '.join(self.objectives)}")
        return self


def _problems(error: ValidationError, model: type[BaseModel]) -> list[str]:
    problems = []
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"] if not str(part).startswith("("))
        if item["type"] == "extra_forbidden":
            known = _known_keys(model, item["loc"][:-1])
            close = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; known here: {', '.join(known)}" if known else ""
            problems.append(f"{key}: unknown key{hint}")
        elif item["type"] == "union_tag_invalid":
            problems.append(f"{key}: {item['input']!r} is neither settings nor one of the allowed values")
        elif item["type"] == "missing":
            problems.append(f"{key}: is missing")
        else:
            message = item["msg"].removeprefix("Value error, ")
            got = "" if item["type"] == "value_error" else f", got {item['input']!r}"
            problems.append(f"{key}: {message}{got}" if key else message)
    return problems


def _known_keys(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    for part in path:
        found = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
        if found is None:
            continue  # the tag of a union, or the key of a mapping: the model is what its field holds
        models = _models_in(found.annotation)
        if len(models) != 1:
            return []
        (model,) = models
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def validated(model: type[Model], data: object, *, source: str | None = None) -> Model:
    """Build a settings model from plain data.

    Raises:
        ConfigError: With every problem of ``data``, one line each.
    """
    if not isinstance(data, Mapping):
        raise ConfigError([f"expected settings as key: value, got {type(data).__name__}"], source=source)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_problems(error, model), source=source) from error


def checked_name(value: str, what: str) -> str:
    """A name that becomes a folder of the workspace: a split, a teacher.

    Raises:
        ConfigError: If it is no plain name; the message begins with ``what``.
    """
    try:
        return TypeAdapter(Name).validate_python(value)
    except ValidationError as error:
        allowed = "letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 100 characters"
        raise ConfigError([f"{what}: {value!r} is no name; use {allowed}"]) from error


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file that holds one mapping.

    Raises:
        ConfigError: If the file is missing, no UTF-8, no YAML, or holds something else.
    """
    source = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(["no such file"], source=source) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"cannot be read: {error}"], source=source) from error
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark is not None else ""
        raise ConfigError([f"{line}is no valid YAML: {getattr(error, 'problem', error)}"], source=source) from error
    if data is None:
        raise ConfigError(["is empty"], source=source)
    if not isinstance(data, dict):
        raise ConfigError([f"must hold key: value settings, got a {type(data).__name__}"], source=source)
    return data


def parse_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """Parse ``key=value`` words of a command line; values are YAML.

    Raises:
        ConfigError: For every word that has no ``=`` or whose value is no YAML.
    """
    parsed: dict[str, Any] = {}
    problems = []
    for word in overrides:
        key, equals, value = word.partition("=")
        if not equals or not key:
            problems.append(f"{word!r} is no key=value, as in objective.contrastive_weight=0.1")
            continue
        try:
            parsed[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            problems.append(f"{key}: the value {value!r} is no valid YAML")
    if problems:
        raise ConfigError(problems, source="command line")
    return parsed


def with_overrides(data: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Copy nested settings with some dotted keys set; what the keys mean is checked by the model, not here.

    Raises:
        ConfigError: If a dotted key descends into something that is no mapping.
    """
    result: dict[str, Any] = {k: dict(v) if isinstance(v, Mapping) else v for k, v in data.items()}
    for key, value in overrides.items():
        *sections, last = key.split(".")
        node = result
        for section in sections:
            below = node.get(section)
            if below is None:
                below = {}
            if not isinstance(below, Mapping):
                raise ConfigError([f"{key}: {section} holds {below!r}, not settings"])
            node[section] = dict(below)
            node = node[section]
        node[last] = value
    return result


def experiment_from(data: Mapping[str, Any], *, source: str | None = None) -> ExperimentConfig:
    """Check plain data and build an experiment from it; every problem is in the ``ConfigError``."""
    return validated(ExperimentConfig, data, source=source)


def load_experiment(path: str | Path, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """Read an experiment's YAML, with ``key=value`` overrides; raises ``ConfigError`` with every problem."""
    return experiment_from(with_overrides(read_yaml(path), parse_overrides(overrides)), source=str(path))
