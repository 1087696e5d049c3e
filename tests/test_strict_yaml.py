"""YAML that only looks valid is refused with its line; what people write in it, merge keys included, is read."""

import time

import pytest
import yaml
from tests.waiting import patience

from retort.config import (
    RewritingConfig,
    experiment_from,
    parse_yaml,
    read_yaml,
    settings_of,
    shipped_spaces,
    validated,
    with_overrides,
)
from retort.errors import ConfigError
from retort.search.space import load_space

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 500))
REFUSED = {
    "a key twice": ("training:\n  seed: 1\n  epochs: 2\n  seed: 3\n", "line 4: the key 'seed' is on line 2 already"),
    "a section twice": (
        "training: {seed: 1}\ncontext: {}\n'training': {epochs: 2}",
        "line 3: the key 'training' is on line 1",
    ),
    "a key twice in one line": ("{a: 1, a: 2}", "the key 'a' is there already; remove one"),
    "one number as two keys": ("1: a\n0x1: b", "line 2: the key '0x1' is on line 1 already"),
    "two merges": ("x: &x {a: 1}\ny: {<<: *x, <<: *x}", "line 2: the key '<<' is there already; give `<<` one list"),
    "a bomb": (BOMB, "line 5: stands for more than 50,000 values"),
    "a chain": (CHAIN, "stands for more than 50,000 values or 40 levels"),
    "itself": ("a: &a [1, *a]", "holds itself, through an alias"),
    "itself in a mapping": ("a: &a {b: *a}", "holds itself, through an alias"),
    "deep": ("[" * 5000, "is nested more than 40 levels deep"),
    "long": ("a: " + "x" * 300_000, "has 300,003 characters, at most 262,144 are read"),
    "a date": ("a: 2020-99-99", "holds a value that YAML cannot read: month must be in 1..12"),
    "digits": ("a: " + "9" * 9000, "holds a value that YAML cannot read: Exceeds the limit"),
    "half a pair": ('a: "\\ud800"', "holds half a surrogate pair or a NUL"),
    "NUL": ('a: "x\\0y"', "holds half a surrogate pair or a NUL"),
    "code": ("a: !!python/object/apply:os.system [ls]", "is no valid YAML: could not determine a constructor"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_yaml_that_only_looks_valid_is_refused_at_once(case, tmp_path):
    text, message = REFUSED[case]
    (tmp_path / "x.yaml").write_text(text)
    began = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        read_yaml(tmp_path / "x.yaml")
    assert time.monotonic() - began < patience(3)
    (problem,) = caught.value.problems
    assert message in problem and len(problem) < 400


def test_merge_keys_and_aliases_are_read():
    text = "base: &base {a: 1, b: 2}\nother: &other {b: 3, c: 4}\nboth: {<<: [*base, *other], a: 9}\none:\n  a: 5\n  <<: *base\n"
    assert parse_yaml(text) == yaml.safe_load(text)
    assert parse_yaml(text)["both"] == {"a": 9, "b": 2, "c": 4} and parse_yaml(text)["one"] == {"a": 5, "b": 2}


def test_what_comes_with_retort_is_read_as_before():
    assert shipped_spaces()
    for path in shipped_spaces().values():
        assert read_yaml(path) == yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        (
            "training.epochs",
            99999999999999999999,
            "training.epochs: Input should be less than or equal to 1000000, got 999999",
        ),
        ("training.seed", 2**32, "training.seed: Input should be less than or equal to 4294967295"),
        ("sampling.window", (10, 10**30), "sampling.window: the number does not fit into 64 bits"),
        ("training.learning_rate", 1e300, "training.learning_rate: 1e+300 does not fit into 32 bits"),
        (
            "training.epochs",
            16**9000,
            "training.epochs: Input should be less than or equal to 1000000, got a value of type int",
        ),
        ("encoder.model", ["x" * 3_000_000], "encoder.model: Input should be a valid string, got ['xxx"),
        ("k" * 3_000_000, 1, "kkk"),
    ],
    ids=["epochs", "seed", "window", "rate", "digits", "list", "key"],
)
def test_numbers_and_values_of_any_length_are_refused_in_a_few_words(key, value, problem):
    data = value
    for part in reversed(key.split(".")):
        data = {part: data}
    with pytest.raises(ConfigError) as caught:
        experiment_from(data)
    assert caught.value.problems[0].startswith(problem) and len(caught.value.problems[0]) < 700


def test_every_whole_number_has_an_upper_bound():
    whole = [one for one in settings_of() if one.kind.startswith("whole number")]
    assert len(whole) > 15 and all("<" in one.kind for one in whole)
    for one in whole:
        with pytest.raises(ConfigError, match=f"{one.key}: Input should be less than or equal to"):
            experiment_from(with_overrides({}, {one.key: 10**40}))
    with pytest.raises(ConfigError, match="timeout_seconds: Input should be less than or equal to 86400"):
        validated(
            RewritingConfig,
            {"backend": "endpoint", "model": "m", "endpoint": {"base_url": "http://a", "timeout_seconds": 1e30}},
        )


SPACE = "search: {%s}\nobjectives: {R@100: max, FLOPS: min}\n%s"


@pytest.mark.parametrize(
    ("search", "more", "problem"),
    [
        (
            "objective.contrastive_weight: [0.1, 0.1]",
            "",
            "search.objective.contrastive_weight: the choice 0.1 is there already",
        ),
        ("sampling.count: [1, 4, 1.0]", "", "search.sampling.count: the choice 1.0 is there already, as 1; remove one"),
        ("training.learning_rate: [1e-5, 0.00001]", "", "the choice 1e-05 is there already, as '1e-5'"),
        ("encoder.model: [tiny, tiny]", "sampler: grid", "holds a choice twice: ['tiny', 'tiny']"),
        (
            "sampling.count: [1, 4]",
            "start: [{sampling.count: 4}, {sampling.count: 4}]",
            "start: the point (4,) is there already",
        ),
        (
            f"sampling.count: {list(range(1, 1200))}",
            "",
            "has 1,199 choices, at most 1,000 are checked",
        ),
        (
            "objective.contrastive_weight: {low: 0, high: 1, step: 1.0e-18}",
            "sampler: grid",
            "combinations, at most 1000",
        ),
    ],
)
def test_a_search_space_says_what_is_there_twice(search, more, problem, tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(SPACE % (search, more))
    with pytest.raises(ConfigError) as caught:
        load_space(path)
    assert problem in str(caught.value)


def test_true_and_one_are_two_choices(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(SPACE % ("objective.temperature_squared: [true, false]", ""))
    assert load_space(path).settings.search["objective.temperature_squared"] == (True, False)


@pytest.mark.parametrize("name", ["..", ".hidden", "-x", "a#b", "a=b", "a:b", "a\nb", "a ", "x" * 240])
def test_a_sweep_is_not_named_by_what_is_no_name(name, tmp_path):
    path = tmp_path / f"{name}.yaml"
    path.write_text(SPACE % ("sampling.count: [1, 4]", ""))
    with pytest.raises(ConfigError, match=r"name the sweep|names the sweep"):
        load_space(path)
