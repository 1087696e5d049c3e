"""The reference of settings: every one of them, each with a meaning, and the documentation's page as it is now."""

from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from retort.config import (
    ExperimentConfig,
    SearchSpaceConfig,
    experiment_from,
    settings_markdown,
    settings_of,
    with_overrides,
)

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"


def leaves(data, prefix=""):
    for name, value in data.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from leaves(value, f"{key}.")
        else:
            yield key


def test_every_setting_is_there_and_says_what_it_does():
    settings = {one.key: one for one in settings_of()}
    data = ExperimentConfig().model_dump(mode="json", by_alias=True)
    assert set(leaves(data)) <= settings.keys()
    assert [key for key, one in settings.items() if not one.meaning] == []
    assert {one.key for one in settings_of(SearchSpaceConfig)} == SearchSpaceConfig.model_fields.keys()
    assert [one.key for one in settings_of(SearchSpaceConfig) if not one.meaning] == []


@pytest.mark.parametrize(
    "key", ["sampling.count", "regularization.query_weight", "corpus.validate.seed", "context.last_turns"]
)
def test_a_key_of_the_reference_is_taken(key):
    (setting,) = [one for one in settings_of() if one.key == key]
    assert "number" in setting.kind
    config = experiment_from(with_overrides({}, {key: 3}))
    found = config.model_dump(mode="json", by_alias=True)
    for part in key.split("."):
        found = found[part]
    assert found == 3


def test_types_bounds_and_defaults_by_hand():
    class Inner(BaseModel):
        """One line."""

        share: float = Field(default=0.5, gt=0, le=1, description="of it")

    class Outer(BaseModel):
        inner: Inner | None = Field(default=None, description="or nothing")
        names: tuple[str, ...] = Field(default=("a",), description="several")
        window: tuple[int, int] = Field(description="two")

    assert [(one.key, one.kind, one.default, one.meaning) for one in settings_of(Outer)] == [
        ("inner", "settings or null", "null", "or nothing"),
        ("inner.share", "number, > 0 and <= 1", "0.5", "of it"),
        ("names", "list of text", '["a"]', "several"),
        ("window", "2 of whole number", "", "two"),
    ]


def test_the_page_is_what_the_models_say():
    assert PAGE.read_text(encoding="utf-8") == settings_markdown(), "retort show settings --markdown > docs/settings.md"


def test_the_command_shows_a_section(retort):
    done = retort("show", "settings", "sampling", "--json")
    assert done.code == 0 and all(one["key"].startswith("sampling.") for one in done.json())
    shown = retort("show", "settings", "sampling.count")
    assert shown.code == 0 and "sampling.count" in shown.out and "samples per turn" in shown.out
    assert retort("show", "settings", "nothing").code == 2
    assert retort("show", "settings", "--markdown").out == settings_markdown()
