"""From YAML files and ``key=value`` words to checked settings."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retort.config.base import validated
from retort.config.experiment import ExperimentConfig
from retort.config.strict_yaml import MAX_CHARACTERS, parse_yaml
from retort.errors import ConfigError, shown

__all__ = [
    "experiment_from",
    "load_experiment",
    "parse_overrides",
    "read_yaml",
    "shipped_spaces",
    "with_overrides",
    "with_profiles",
]

# In a checkout, and in an installation.
SPACES = (Path(__file__).parents[3] / "search_spaces", Path(sys.prefix) / "share" / "retort" / "search_spaces")


def shipped_spaces() -> dict[str, Path]:
    """The search spaces and profiles that come with Retort, by name: ``pareto``, ``profiles/mtrag``."""
    for folder in SPACES:
        if folder.is_dir():
            return {str(file.relative_to(folder).with_suffix("")): file for file in sorted(folder.rglob("*.yaml"))}
    return {}


def _found(path: str | Path) -> Path:
    """A file, or, where there is none, the one of that name that comes with Retort."""
    path = Path(path)
    if path.exists():
        return path
    name = str(path.with_suffix("") if path.suffix == ".yaml" else path).removeprefix("search_spaces/")
    return shipped_spaces().get(name, path)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file that holds one mapping.

    Args:
        path: The file; where there is none, the name of one that comes with Retort, such as ``pareto``.

    Raises:
        ConfigError: If the file is missing, no UTF-8, no YAML, holds a key twice, or holds something else.
    """
    source = str(path)
    try:
        with _found(path).open("rb") as stream:
            content = stream.read(4 * MAX_CHARACTERS + 1)  # a character has at most four bytes
        if len(content) > 4 * MAX_CHARACTERS:
            raise ConfigError([f"is larger than any file of settings, {4 * MAX_CHARACTERS:,} bytes"], source=source)
        text = content.decode("utf-8")
    except FileNotFoundError as error:
        known = ", ".join(shipped_spaces())
        raise ConfigError([f"no such file; with Retort come {known}"], source=source) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"cannot be read: {error}"], source=source) from error
    try:
        data = parse_yaml(text)
    except ValueError as error:
        raise ConfigError([str(error)], source=source) from error
    if data is None:
        raise ConfigError(["is empty"], source=source)
    if not isinstance(data, dict):
        raise ConfigError([f"must hold key: value settings, got a {type(data).__name__}"], source=source)
    return data


def parse_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """Parse ``key=value`` words of a command line; values are YAML.

    Raises:
        ConfigError: For every word that has no ``=`` or whose value is no YAML, or holds a key twice.
    """
    parsed: dict[str, Any] = {}
    problems = []
    for word in overrides:
        key, equals, value = word.partition("=")
        if not equals or not key:
            problems.append(f"{shown(word)} is no key=value, as in objective.contrastive_weight=0.1")
            continue
        try:
            parsed[key] = parse_yaml(value)
        except ValueError as error:
            problems.append(f"{key}: the value {shown(value)} {error}")
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
                raise ConfigError([f"{key}: {section} holds {shown(below)}, not settings"])
            node[section] = dict(below)
            node = node[section]
        node[last] = value
    return result


def with_profiles(data: Mapping[str, Any], profiles: Sequence[str | Path]) -> dict[str, Any]:
    """Lay profiles over settings, in the order given: YAMLs that say what another corpus or machine needs.

    A section of the experiment is merged key by key; everything else, what is searched included, is replaced as a whole.

    Raises:
        ConfigError: If a profile can't be read; what its keys mean is checked by the model, not here.
    """
    merged = dict(data)
    for path in profiles:
        for key, value in read_yaml(path).items():
            below = merged.get(key)
            together = (
                key in ExperimentConfig.model_fields and isinstance(value, Mapping) and isinstance(below, Mapping)
            )
            merged[key] = {**below, **value} if together and below is not None else value
    return merged


def experiment_from(data: Mapping[str, Any], *, source: str | None = None) -> ExperimentConfig:
    """Check plain data and build an experiment from it; every problem is in the ``ConfigError``."""
    return validated(ExperimentConfig, data, source=source)


def load_experiment(
    path: str | Path, overrides: Sequence[str] = (), *, profiles: Sequence[str | Path] = ()
) -> ExperimentConfig:
    """Read an experiment's YAML, with profiles and ``key=value`` overrides; raises ``ConfigError`` with every problem."""
    data = with_profiles(read_yaml(path), profiles)
    if "search" in data or "objectives" in data:
        raise ConfigError(["is a search space, not an experiment: retort sweep takes it"], source=str(path))
    return experiment_from(with_overrides(data, parse_overrides(overrides)), source=str(path))
