"""Every setting of an experiment and of a search space, with its default, unit and bounds. No other module holds a default.

The models are frozen and refuse unknown keys, so that a misspelled key fails before anything is started; all problems are
reported at once. YAML holds plain values: numbers such as ``1e-5``, which PyYAML reads as text, are converted here.
Hardware, worker counts and paths are no part of a run's identity: see ``ExperimentConfig.training_identity``.

- ``base``: what all settings have in common; names.
- ``experiment``: an experiment's sections; the generated corpus.
- ``objective``: of those, what a student is trained for: samples, losses, sparsity, the paper's presets.
- ``description``: an experiment's objective in words, and its run's label.
- ``search_space``: what a sweep searches.
- ``rewriting``: how a teacher's rewrites are generated.
- ``strict_yaml``: YAML without what only looks valid, such as a key that is there twice.
- ``reading``: from YAML and command-line words to checked settings, with every problem in one error.
"""

from retort.config.base import checked_name, did_you_mean, validated
from retort.config.description import Description, describe, run_label
from retort.config.experiment import (
    ContextConfig,
    CorpusConfig,
    EncoderConfig,
    EvaluationConfig,
    ExperimentConfig,
    HoldoutConfig,
    SyntheticConfig,
    TeacherConfig,
    TrainingConfig,
)
from retort.config.objective import ObjectiveConfig, RegularizationConfig, SamplingConfig
from retort.config.reading import (
    experiment_from,
    load_experiment,
    parse_overrides,
    read_yaml,
    shipped_spaces,
    with_overrides,
    with_profiles,
)
from retort.config.reference import Setting, settings_markdown, settings_of
from retort.config.rewriting import EndpointConfig, RewritingConfig
from retort.config.search_space import MAX_GRID, MIN_REFERENCE_FLOPS, VARIANT, Range, SearchSpaceConfig, point_settings
from retort.config.strict_yaml import parse_yaml

__all__ = [
    "MAX_GRID",
    "MIN_REFERENCE_FLOPS",
    "VARIANT",
    "ContextConfig",
    "CorpusConfig",
    "Description",
    "EncoderConfig",
    "EndpointConfig",
    "EvaluationConfig",
    "ExperimentConfig",
    "HoldoutConfig",
    "ObjectiveConfig",
    "Range",
    "RegularizationConfig",
    "RewritingConfig",
    "SamplingConfig",
    "SearchSpaceConfig",
    "Setting",
    "SyntheticConfig",
    "TeacherConfig",
    "TrainingConfig",
    "checked_name",
    "describe",
    "did_you_mean",
    "experiment_from",
    "load_experiment",
    "parse_overrides",
    "parse_yaml",
    "point_settings",
    "read_yaml",
    "run_label",
    "settings_markdown",
    "settings_of",
    "shipped_spaces",
    "validated",
    "with_overrides",
    "with_profiles",
]
