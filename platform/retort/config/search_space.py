"""What a sweep searches, by which sampler, for which two objectives."""

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, PositiveInt, Tag, model_validator

from retort.config.base import Settings, kind_of_value

__all__ = ["MIN_REFERENCE_FLOPS", "Range", "SearchSpaceConfig"]

MIN_REFERENCE_FLOPS = 0.1  # the hypervolume's axis ends at 0.05, below which nothing is won any more


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


Choice = bool | int | float | str | None
Dimension = Annotated[
    Annotated[tuple[Choice, ...], Tag("(choices)")] | Annotated[Range, Tag("(settings)")], Discriminator(kind_of_value)
]


class SearchSpaceConfig(Settings):
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
        for name, value in (self.reference or {}).items():
            if name == "FLOPS" and value < MIN_REFERENCE_FLOPS:
                raise ValueError(f"reference.FLOPS must be at least {MIN_REFERENCE_FLOPS}, got {value}")
            if name not in ("FLOPS", "L0") and not 0 <= value <= 1:
                raise ValueError(f"reference.{name} must lie in [0, 1], got {value}")
        return self
