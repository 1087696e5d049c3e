"""A search space: an experiment, what is searched around it, and the experiment of each point. Checked before anything runs."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retort.config import (
    MAX_GRID,
    VARIANT,
    ExperimentConfig,
    Range,
    SearchSpaceConfig,
    experiment_from,
    parse_overrides,
    point_settings,
    read_yaml,
    validated,
    with_overrides,
    with_profiles,
)
from retort.errors import ConfigError, shown

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

__all__ = ["SearchSpace", "load_space"]

# Settings that the stages before training depend on: what they may be is prepared before the first trial starts.
PREPARED = ("corpus", "context", "encoder", "teacher", "sampling.filter_score_ratio", "sampling.filter_overlap")
MAX_PREPARED = 64
MAX_NAME_BYTES = 200  # of a sweep: file systems take 255, of which the fingerprint and a lock's name need some
MAX_TOLD = 10  # of the combinations of a grid that can't be built
HARDWARE = ("training.workers", "training.accumulation")
# What an experiment's identity leaves out where the experiment itself does not use it.
UNUSED_BY_SOME = (
    "paper",
    "encoder.passage_precision",
    "teacher.fusion",
    *(f"regularization.{key}" for key in ("query_weight", "turn_exponent", "saturation", "ramp", "ramp_fraction")),
)


@dataclass(frozen=True)
class SearchSpace:
    """A checked search space.

    Attributes:
        name: The YAML's, without its ending, and a ``+`` before the name of each profile.
        base: The experiment's plain settings, from which every trial starts.
        settings: What is searched, and how.
    """

    name: str
    base: dict[str, Any]
    settings: SearchSpaceConfig

    def description(self) -> dict[str, Any]:
        """What a sweep's folder says of the space; :meth:`described` reads it."""
        return {"name": self.name, "base": self.base, "settings": self.settings.model_dump(mode="json")}

    @classmethod
    def described(cls, description: Mapping[str, Any]) -> "SearchSpace":
        """The space that a sweep's folder describes."""
        settings = SearchSpaceConfig.model_validate(description["settings"])
        return cls(description["name"], description["base"], settings)

    def experiment(self, point: Mapping[str, object]) -> ExperimentConfig:
        """The experiment of one point.

        Raises:
            ConfigError: If the point's settings do not go together.
        """
        return experiment_from(with_overrides(self.base, point_settings(self.settings.variants, point)))

    def grid(self) -> list[dict[str, Any]]:
        """Every combination of the searched values, the last key changing fastest."""
        keys = list(self.settings.search)
        combinations = itertools.product(*(self._values(key) for key in keys))
        return [dict(zip(keys, values, strict=True)) for values in combinations]

    def first_points(self) -> list[dict[str, Any]]:
        """The points that are tried before the sampler proposes any: a grid's as many as there shall be trials."""
        if self.settings.sampler == "grid":
            return self.grid()[: self.settings.trials]
        return [dict(start) for start in self.settings.start]

    def distributions(self) -> "dict[str, BaseDistribution]":
        """The searched settings as Optuna has them."""
        from optuna.distributions import CategoricalDistribution  # 0.2 s, which a space that is only read need not take

        if self.settings.sampler == "grid":
            return {key: CategoricalDistribution(self._values(key)) for key in self.settings.search}
        return {
            key: _distribution(dimension, integer=self.is_integer(key))
            for key, dimension in self.settings.search.items()
        }

    def is_integer(self, key: str) -> bool:
        """Whether a searched range is of whole numbers: its bounds and step are, and the setting takes nothing between."""
        dimension = self.settings.search[key]
        if not isinstance(dimension, Range):
            return False
        whole = (dimension.low, dimension.high, dimension.step or 1.0)
        if not all(float(value).is_integer() for value in whole):
            return False
        return self._takes(key, dimension.high) and not self._takes(key, dimension.high - 0.5)

    def _takes(self, key: str, value: float) -> bool:
        try:
            self.experiment({key: value})
        except ConfigError:
            return False
        return True

    def prepared_variants(self) -> Iterator[ExperimentConfig]:
        """One experiment for every combination of searched settings that the stages before training depend on."""
        keys = [key for key in self.settings.search if self.concerns_stages(key)]
        for values in itertools.product(*(self._values(key) for key in keys)):
            yield self.experiment(dict(zip(keys, values, strict=True)))

    def concerns_stages(self, key: str) -> bool:
        """Whether a searched key changes what is prepared before training."""
        variants = self.settings.variants.values()
        keys = [key] if key != VARIANT else [setting for settings in variants for setting in settings]
        return any(setting in PREPARED or setting.partition(".")[0] in PREPARED for setting in keys)

    def _values(self, key: str) -> Sequence[Any]:
        dimension = self.settings.search[key]
        return _steps(dimension, integer=self.is_integer(key)) if isinstance(dimension, Range) else dimension

    def identity(self) -> dict[str, object]:
        """What the sweep's name stands for; how many trials, and how they are run, may change when it goes on."""
        data = self.settings.model_dump(mode="json", exclude={"trials", "concurrent", "retries", "reference"})
        if not data["variants"]:
            del data["variants"]  # they came later: sweeps from before keep their names
        experiment = experiment_from(self.base)
        identity = experiment.training_identity()
        unused = _unused(experiment, identity)
        return data | {
            "base": identity,
            "evaluate": experiment.corpus.evaluate,
            "evaluation": experiment.evaluation.identity(),
            # Only where there are any: sweeps from before keep their names.
            **({"unused": unused} if unused else {}),
        }


def _unused(experiment: ExperimentConfig, identity: Mapping[str, object]) -> dict[str, Any]:
    """What the base itself does not use but a trial may, such as the weight of a penalty that a variant sets."""
    own, default = experiment.model_dump(mode="json"), experiment_from({}, source="defaults").model_dump(mode="json")
    found = {}
    for key in UNUSED_BY_SOME:
        values = []
        for data in (own, default, identity):
            at: Any = data
            for part in key.split("."):
                at = at.get(part) if isinstance(at, Mapping) else None
            values.append(at)
        value, usual, known = values
        if value != usual and value != known:
            found[key] = value
    return found


def _distribution(dimension: tuple[Any, ...] | Range, *, integer: bool) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(dimension, Range):
        return CategoricalDistribution(dimension)
    if integer:
        return IntDistribution(
            int(dimension.low), int(dimension.high), log=dimension.log, step=int(dimension.step or 1)
        )
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


def _steps(dimension: Range, *, integer: bool) -> Sequence[float]:
    return [int(value) for value in dimension.steps()] if integer else dimension.steps()


def load_space(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    profiles: Sequence[str | Path] = (),
    trials: int | None = None,
) -> SearchSpace:
    """Read and check a search space.

    Every choice, every bound and every starting point is built into an experiment, so that what no trial could run is found
    here and not an hour later.

    Args:
        path: The YAML.
        overrides: ``key=value`` words, for the experiment's keys or the sweep's own.
        profiles: YAMLs that are laid over it before the overrides; their names are in the sweep's.
        trials: Replaces the number of trials.

    Raises:
        ConfigError: With every problem found.
    """
    data = with_overrides(with_profiles(read_yaml(path), profiles), parse_overrides(overrides))
    if trials is not None:
        data["trials"] = trials
    own = set(SearchSpaceConfig.model_fields)
    source = " + ".join(str(file) for file in (path, *profiles))
    base = {key: value for key, value in data.items() if key not in own}
    problems: list[str] = []
    settings = None
    try:
        experiment = experiment_from(base)
        if experiment.corpus.validation is None:
            problems.append(
                "corpus.validate: is null; a sweep needs turns to choose on that are not those it reports on"
            )
    except ConfigError as error:
        problems += error.problems
    try:
        settings = validated(SearchSpaceConfig, {key: value for key, value in data.items() if key in own})
    except ConfigError as error:
        problems += error.problems
    if problems or settings is None:
        raise ConfigError(problems, source=source)
    space = SearchSpace("+".join(Path(file).stem for file in (path, *profiles)), base, settings)
    problems = _unnameable(space.name) + _unusable(space)
    if problems:
        raise ConfigError(problems, source=source)
    return space


def _unnameable(name: str) -> list[str]:
    # It becomes a folder, is typed on command lines (SWEEP#3, LABEL=SWEEP), and stands in tables.
    if name.isprintable() and not set(name) & set("/\\#=:") and name[:1] not in (".", "-", "") and name.strip() == name:
        if len(name.encode()) <= MAX_NAME_BYTES:
            return []
        return [
            f"the files' names together name the sweep, and have {len(name.encode())} bytes, at most {MAX_NAME_BYTES} fit into a "
            "folder's name: rename them"
        ]
    return [
        f"the file's name names the sweep, and {shown(name)} can be no name: rename it; it must not begin with '.', '-' or a "
        "blank, nor hold '/', '\\', '#', '=', ':' or what cannot be printed"
    ]


def _unusable(space: SearchSpace) -> list[str]:
    problems = []
    prepared = 1
    for key, dimension in space.settings.search.items():
        concerns_stages = space.concerns_stages(key)
        if key in HARDWARE:
            problems.append(f"search.{key}: is about hardware and changes no result; set it beside search")
            continue
        integer = space.is_integer(key)
        if isinstance(dimension, Range):
            bounds = (dimension.low, dimension.high)
            tried: Sequence[object] = tuple(int(value) for value in bounds) if integer else bounds
            if concerns_stages and dimension.step is None:
                problems.append(f"search.{key}: shards are prepared before the trials; give it choices, or a step")
                continue
            prepared *= dimension.step_count() if concerns_stages else 1
        else:
            if len(dimension) > MAX_GRID:
                problems.append(
                    f"search.{key}: has {len(dimension):,} choices, at most {MAX_GRID:,} are checked and tried"
                )
                continue
            tried = dimension
            prepared *= len(dimension) if concerns_stages else 1
            problems += _repeated(f"search.{key}", "the choice", dimension)
        for value in tried:
            named = value if isinstance(value, int | float) else shown(value).strip("'")
            problems += [f"search.{key}={named}: {problem}" for problem in _problems_of(space, {key: value})]
    if len(space.settings.start) > MAX_GRID:
        return [
            *problems,
            f"start: has {len(space.settings.start):,} points, at most {MAX_GRID:,} are checked and tried",
        ]
    problems += _repeated(
        "start", "the point", [tuple(start[key] for key in space.settings.search) for start in space.settings.start]
    )
    for number, start in enumerate(space.settings.start):
        problems += [f"start[{number}]: {problem}" for problem in _problems_of(space, start)]
        problems += [
            f"start[{number}].{key}: {shown(value)} is not in search.{key}"
            for key, value in start.items()
            if not _contains(space.settings.search[key], value)
        ]
    if space.settings.sampler == "grid" and not problems:
        # None of a grid's points is left to chance: one that can't be built would be a trial that fails.
        for point in space.grid():
            named = ", ".join(f"{key}={value}" for key, value in point.items())
            problems += [f"search: {named}: {problem}" for problem in _problems_of(space, point)]
        problems[MAX_TOLD:] = [f"search: {len(problems) - MAX_TOLD} more such problems"] * (len(problems) > MAX_TOLD)
    if prepared > MAX_PREPARED:
        problems.append(f"search: {prepared} variants of the shards would be prepared; at most {MAX_PREPARED} are")
    return problems


def _repeated(where: str, what: str, values: Sequence[object]) -> list[str]:
    """Say which values are there twice: a sampler would try them twice as often, and a grid count its trials wrong."""
    first: dict[object, object] = {}
    problems = []
    for value in values:
        same = tuple(map(_compared, value)) if isinstance(value, tuple) else _compared(value)
        if same in first:
            there = "" if repr(first[same]) == repr(value) else f", as {shown(first[same])}"
            problems.append(f"{where}: {what} {shown(value)} is there already{there}; remove one of the two")
        first.setdefault(same, value)
    return problems


def _compared(value: object) -> object:
    # 1, 1.0 and "1.0" are one setting: YAML reads 1e-5 as text, which the settings take as a number. True is no number.
    if isinstance(value, bool) or value is None:
        return repr(value)
    try:
        return float(value) if isinstance(value, int | float | str) else value
    except (ValueError, OverflowError):
        return value


def _contains(dimension: tuple[Any, ...] | Range, value: object) -> bool:
    if isinstance(dimension, Range):
        return isinstance(value, int | float) and dimension.low <= value <= dimension.high
    return value in dimension


def _problems_of(space: SearchSpace, point: Mapping[str, object]) -> tuple[str, ...]:
    # A setting may only make sense together with another searched one (a count and its window): what the base refuses
    # is a problem of the point alone if no other searched key stands in the message.
    try:
        space.experiment(point)
    except ConfigError as error:
        others = [key.rpartition(".")[2] for key in space.settings.search if key not in point]
        return tuple(p for p in error.problems if "unknown key" in p or not any(other in p for other in others))
    return ()
