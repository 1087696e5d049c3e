"""How a sweep is run again: its search space as a file, its base as an experiment, and the commands over both."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retort.storage.layout import EXPERIMENT_YAML
from retort.sweeps.sweep import Sweep
from retort.sweeps.trial import TrialPoint

__all__ = ["Reproduction", "reproduction", "space_yaml"]


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What it takes to run a sweep again.

    Attributes:
        files: File name -> content: the search space, profiles and overrides laid in, and the experiment that its trials vary.
        sweep: The commands that run it again and report on it.
        runs: Run of the front -> the command that trains it alone.
        versions: Library -> version, as the sweep's record has them.
        inputs: Name of what the sweep read -> fingerprint.
        created: When the sweep ended; None: it has not.
        seconds: How long it took since it was last started; None: it has not ended.
    """

    files: Mapping[str, str]
    sweep: Sequence[str]
    runs: Mapping[str, str]
    versions: Mapping[str, str]
    inputs: Mapping[str, str]
    created: str | None
    seconds: float | None


def reproduction(sweep: Sweep) -> Reproduction:
    """What it takes to run the sweep and each run of its front again."""
    space = f"{sweep.name}.yaml"
    record = sweep.folder.record()
    commands = [
        f"retort sweep {shlex.quote(space)} --workspace w",
        f"retort report {shlex.quote(sweep.label)} --workspace w",
    ]
    runs = {point.run: _distil(sweep, point) for point in sweep.front if point.run is not None}
    return Reproduction(
        files={space: space_yaml(sweep), EXPERIMENT_YAML: _yaml(dict(sweep.base))},
        sweep=commands,
        runs=runs,
        versions={} if record is None else record.libraries,
        inputs={} if record is None else record.inputs,
        created=None if record is None else record.created,
        seconds=None if record is None else record.seconds,
    )


def space_yaml(sweep: Sweep) -> str:
    """The search space as one file; ``retort sweep`` on it finds the same sweep.

    It holds what was laid over the space: profiles, ``KEY=VALUE``, ``--trials``. Settings that are null are left out, since a
    space that does not set them has the same.
    """
    settings = {key: value for key, value in sweep.settings.items() if value not in (None, [], {})}
    if "search" in settings:
        settings["search"] = {key: _without_null(value) for key, value in settings["search"].items()}
    return _yaml({**settings, **sweep.base})


def _without_null(dimension: Any) -> Any:
    if not isinstance(dimension, Mapping):
        return dimension
    return {key: value for key, value in dimension.items() if value is not None}


def _distil(sweep: Sweep, point: TrialPoint) -> str:
    words = [shlex.quote(f"{key}={_word(value)}") for key, value in sweep.settings_of(point).items()]
    return " ".join(["retort distill", EXPERIMENT_YAML, "--workspace w", *words])


def _word(value: Any) -> str:
    import yaml

    # A text that YAML reads as itself needs no quotes; JSON is YAML too.
    return value if isinstance(value, str) and yaml.safe_load(value) == value else json.dumps(value)


def _yaml(data: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True, width=120)
