"""What a sweep searches, by which sampler, for which two objectives."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, PositiveInt, Tag, TypeAdapter, ValidationError, model_validator

from retort.config.base import MAX_SEED, Settings, kind_of_value
from retort.errors import shown

__all__ = ["MAX_GRID", "MIN_REFERENCE_FLOPS", "VARIANT", "Range", "SearchSpaceConfig", "point_settings"]

MIN_REFERENCE_FLOPS = 0.1  # the hypervolume's axis ends at 0.05, below which nothing is won any more
MAX_GRID = 1000  # combinations; all of them are checked before the first is run
VARIANT = "variant"  # the searched key whose choices are the names in `variants`


def point_settings(variants: Mapping[str, Mapping[str, Any]], point: Mapping[str, object]) -> dict[str, Any]:
    """What a point of a search space sets, by dotted key: its own values, and those of the variant that it names."""
    settings = dict(point)
    if VARIANT in settings:
        settings = {**variants[str(settings.pop(VARIANT))], **settings}
    return settings


class Range(Settings):
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

    def step_count(self) -> int:
        """How many values :meth:`steps` lists; needs a step. So small a step can be written that nobody could list them."""
        if self.step is None:
            raise ValueError(f"a range from {self.low} to {self.high} without a step has no list of values")
        return math.floor(min((self.high - self.low) / self.step, 1e18) + 1e-9) + 1

    def steps(self) -> tuple[float, ...]:
        """The values from low to at most high, a step apart, without the additions' rounding; needs a step."""
        if self.step is None:
            raise ValueError(f"a range from {self.low} to {self.high} without a step has no list of values")
        return tuple(float(f"{self.low + number * self.step:.12g}") for number in range(self.step_count()))


Choice = bool | int | float | str | None
Dimension = Annotated[
    Annotated[tuple[Choice, ...], Tag("(choices)")] | Annotated[Range, Tag("(settings)")], Discriminator(kind_of_value)
]


class SearchSpaceConfig(Settings):
    """What a sweep searches, beside the experiment that it varies."""

    search: dict[str, Dimension] = Field(min_length=1, description="key -> choices, or low and high")
    variants: dict[str, dict[str, Any]] = Field(
        default={},
        description="name -> settings that belong together, by dotted key; searched as `variant`, by default all of them",
    )
    objectives: dict[Literal["R@100", "R@10", "RR", "nDCG@3", "FLOPS", "L0"], Literal["max", "min"]] = Field(
        min_length=2, max_length=2, description="two measures and their directions"
    )
    sampler: Literal["tpe", "nsga2", "random", "grid"] = Field(
        default="tpe", description="grid: every combination once, the last searched key changing fastest"
    )
    trials: PositiveInt = Field(
        default=16, le=1_000_000, description="with sampler grid by default, and at most, the whole grid"
    )
    concurrent: PositiveInt = Field(
        default=2, le=100_000, description="trials at a time; no part of the result's identity"
    )
    retries: int = Field(
        default=3,
        ge=0,
        le=1000,
        description="how often a trial is run again whose process, machine or store failed; no part of the result's identity",
    )
    seed: int = Field(default=0, ge=0, le=MAX_SEED, description="seed of the sampler")
    start: tuple[dict[str, Choice], ...] = Field(default=(), description="configurations that are tried first")
    reference: dict[str, float] | None = Field(
        default=None,
        description="reference point of the hypervolume; null: the raw context's measures on the validation turns",
    )

    @model_validator(mode="before")
    @classmethod
    def _variants_are_searched_and_a_grid_has_its_size(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        filled = dict(data)
        variants, search = filled.get("variants"), filled.get("search", {})
        if isinstance(variants, Mapping) and variants and isinstance(search, Mapping) and VARIANT not in search:
            # Behind what is written in search: the seeds, if they stand there, change last.
            search = filled["search"] = {**search, VARIANT: list(variants)}
        if filled.get("sampler") == "grid" and "trials" not in filled:
            try:
                size = _grid_size(TypeAdapter(dict[str, Dimension]).validate_python(search))
            except (ValidationError, ValueError):
                return filled  # reported by the checks below
            if 1 <= size <= MAX_GRID:  # otherwise refused below
                filled["trials"] = size
        return filled

    @property
    def grid_size(self) -> int:
        """How many combinations of choices there are; every range needs a step."""
        return _grid_size(self.search)

    @model_validator(mode="after")
    def _variants_are_known_and_no_setting_is_searched_twice(self) -> Self:
        chosen = self.search.get(VARIANT, ())
        if isinstance(chosen, Range):
            raise ValueError(f"search.{VARIANT} takes names of variants, not a range")
        for name in chosen:
            if name not in self.variants:
                known = ", ".join(self.variants) or "none"
                raise ValueError(f"search.{VARIANT} names {shown(name)}, which is not in variants: {known}")
        for name, settings in self.variants.items():
            if twice := sorted(set(settings) & set(self.search)):
                raise ValueError(f"variants.{name} sets {', '.join(twice)}, which is searched too")
            if not settings and len(self.variants) == 1:
                raise ValueError(f"variants.{name} is alone and sets nothing")
        return self

    @model_validator(mode="after")
    def _a_grid_is_finite_and_no_larger_than_it_is(self) -> Self:
        if self.sampler != "grid":
            return self
        for key, dimension in self.search.items():
            if isinstance(dimension, Range):
                if dimension.step is None:
                    raise ValueError(f"search.{key}: a grid tries every value; give the range a step, or choices")
            elif len({(type(choice), choice) for choice in dimension}) < len(dimension):
                raise ValueError(f"search.{key} holds a choice twice: {shown(list(dimension))}")
        if self.start:
            raise ValueError("start: a grid tries every combination once, in the order of search; leave start out")
        if self.grid_size > MAX_GRID:
            raise ValueError(
                f"the grid has {self.grid_size} combinations, at most {MAX_GRID} are tried; use another sampler"
            )
        if self.grid_size and self.trials > self.grid_size:
            raise ValueError(f"trials={self.trials} exceeds the grid's {self.grid_size} combinations; leave trials out")
        return self

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
        for name, value in (self.reference or {}).items():
            if name == "FLOPS" and value < MIN_REFERENCE_FLOPS:
                raise ValueError(f"reference.FLOPS must be at least {MIN_REFERENCE_FLOPS}, got {value}")
            if name not in ("FLOPS", "L0") and not 0 <= value <= 1:
                raise ValueError(f"reference.{name} must lie in [0, 1], got {value}")
        return self


def _grid_size(search: Mapping[str, Dimension]) -> int:
    return math.prod(d.step_count() if isinstance(d, Range) else len(d) for d in search.values())
