"""Settings: their defaults fit together, wrong ones are reported all at once, and only results have an identity."""

import tomllib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from retort.config import (
    EncoderConfig,
    ExperimentConfig,
    HoldoutConfig,
    Range,
    SearchSpaceConfig,
    checked_name,
    experiment_from,
    load_experiment,
    parse_overrides,
    read_yaml,
    shipped_spaces,
    validated,
    with_overrides,
)
from retort.errors import ConfigError
from retort.identity import canonical_json

SPACES = Path(__file__).parents[1] / "search_spaces"
OBJECTIVES = {"R@100": "max", "FLOPS": "min"}


def problems_of(data, model=ExperimentConfig):
    with pytest.raises(ConfigError) as caught:
        validated(model, data)
    return list(caught.value.problems)


# -- values ------------------------------------------------------------------------------------------------------------


def test_nothing_set_is_a_valid_experiment():
    assert experiment_from({}) == ExperimentConfig()


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        ExperimentConfig().training.epochs = 3


@pytest.mark.parametrize(("family", "scale"), [("lexical", 0.125), ("splade", 1.0)])
def test_the_score_scale_follows_the_family_unless_it_is_set(family, scale):
    assert EncoderConfig(family=family).score_scale == scale
    assert EncoderConfig(family=family, score_scale=0.5).score_scale == 0.5


def test_a_number_that_yaml_reads_as_text_is_a_number(tmp_path):
    path = tmp_path / "experiment.yaml"
    path.write_text("training: {learning_rate: 1e-5}\n")

    assert isinstance(read_yaml(path)["training"]["learning_rate"], str)
    assert load_experiment(path).training.learning_rate == 1e-5
    assert load_experiment(path, ["training.learning_rate=3e-4"]).training.learning_rate == 3e-4


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"share": 0.2}, HoldoutConfig(share=0.2)),
        ({"share": 0.1, "seed": 4}, HoldoutConfig(share=0.1, seed=4)),
        ("dev", "dev"),
        (None, None),
    ],
)
def test_validation_turns_are_a_share_or_a_split_or_none(value, expected):
    assert experiment_from({"corpus": {"validate": value}}).corpus.validation == expected


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"share": 1.0}, "corpus.validate.share: Input should be less than 1, got 1.0"),
        ({"share": 0}, "corpus.validate.share: Input should be greater than 0, got 0"),
        (["dev"], "corpus.validate: ['dev'] is neither settings nor one of the allowed values"),
        ("a/b", "corpus.validate: String should match pattern '^[A-Za-z0-9][A-Za-z0-9._-]*$', got 'a/b'"),
    ],
)
def test_other_validation_turns_are_refused_with_the_problem_that_was_meant(value, problem):
    assert problems_of({"corpus": {"validate": value}}) == [problem]


# -- problems ----------------------------------------------------------------------------------------------------------


def test_a_misspelled_key_is_met_with_the_one_that_was_meant():
    assert problems_of({"trainin": {}}) == ["trainin: unknown key; did you mean training?"]
    assert problems_of({"objective": {"temprature": 2}}) == [
        "objective.temprature: unknown key; did you mean temperature?"
    ]
    assert problems_of({"corpus": {"validat": None}}) == ["corpus.validat: unknown key; did you mean validate?"]
    assert problems_of({"corpus": {"validate": {"shar": 0.2}}}) == [
        "corpus.validate.shar: unknown key; did you mean share?"
    ]


def test_a_key_like_no_other_is_met_with_all_that_are_known():
    assert problems_of({"context": {"xyz": 1}}) == [
        "context.xyz: unknown key; known here: order, answers, last_turns, first_turn, separator, ptkb"
    ]


def test_every_problem_is_reported_at_once():
    data = {
        "objective": {"contrastive_weight": 1.5, "temperature": 0},
        "training": {"epochs": 0, "dropuot": 0.1},
        "sampling": {"count": 20, "window": [0, 10]},
        "encoder": {"family": "dense"},
    }
    problems = problems_of(data)

    assert "objective.contrastive_weight: Input should be less than or equal to 1, got 1.5" in problems
    assert "objective.temperature: Input should be greater than 0, got 0" in problems
    assert "training.epochs: Input should be greater than 0, got 0" in problems
    assert "training.dropuot: unknown key; did you mean dropout?" in problems
    assert "encoder.family: Input should be 'lexical' or 'splade', got 'dense'" in problems
    (window,) = [problem for problem in problems if problem.startswith("sampling")]
    assert window == (
        "sampling: count=20 samples do not fit into window=[0, 10], which has 10 ranks; lower count or widen window"
    )
    assert len(problems) == 6


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"sampling": {"window": [5, 5]}}, r"sampling: window must be \[low, high\)"),
        ({"sampling": {"window": [-1, 50]}}, r"sampling: window must be \[low, high\)"),
        ({"sampling": {"window": [10, 1001]}}, r"sampling.window=\[10, 1001\] reaches beyond teacher.top_k=1000"),
        ({"encoder": {"hidden_size": 50}}, "encoder: hidden_size must be a multiple of 4, got 50"),
        ({"teacher": {"names": ["a", "a"]}}, r"teacher: names holds a teacher twice: \['a', 'a'\]"),
        ({"teacher": {"names": []}}, "teacher.names: .*at least 1 item"),
        ({"training": {"workers": 3, "accumulation": 4}}, "training: batch_turns=10 cannot be split over workers=3"),
        ({"training": {"learning_rate": float("nan")}}, "training.learning_rate: Input should be a finite number"),
        ({"evaluation": {"top_k": 99}}, "evaluation.top_k: Input should be greater than or equal to 100, got 99"),
    ],
)
def test_settings_that_do_not_fit_together_or_their_bounds_are_refused(data, problem):
    with pytest.raises(ConfigError, match=problem):
        experiment_from(data)


@given(count=st.integers(1, 60), low=st.integers(0, 60), width=st.integers(1, 60))
def test_a_window_is_valid_where_it_has_as_many_ranks_as_samples(count, low, width):
    data = {"sampling": {"count": count, "window": [low, low + width]}}

    if count <= width:
        assert experiment_from(data).sampling.window == (low, low + width)
    else:
        assert len(problems_of(data)) == 1


def test_data_that_are_no_settings_are_refused():
    assert problems_of(["training"]) == ["expected settings as key: value, got list"]


@pytest.mark.parametrize("name", ["train", "dev-2", "t5.large_v1", "9"])
def test_names_of_folders_are_plain(name):
    assert checked_name(name, "split") == name


@pytest.mark.parametrize("name", ["", "../dev", "a b", "-dev", ".dev", "a" * 101, "dev\n"])
def test_other_names_are_refused(name):
    with pytest.raises(ConfigError, match=r"^split: .* is no name; use letters"):
        checked_name(name, "split")


# -- YAML and overrides ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "is empty"),
        (b"- 1\n", "must hold key: value settings, got a list"),
        (b"a: 1\nb: [1\n", "line 3: is no valid YAML"),
        (b"a: \xff\n", "cannot be read"),
    ],
)
def test_a_file_that_holds_no_settings_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "experiment.yaml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_problems_of_a_file_are_led_by_its_name(tmp_path):
    path = tmp_path / "experiment.yaml"
    path.write_text("training: {epochs: 0, epoch: 1}\n")

    with pytest.raises(ConfigError) as caught:
        load_experiment(path)
    assert [line.startswith(f"{path}: training.epoch") for line in str(caught.value).splitlines()] == [True, True]


def test_overrides_are_yaml_values():
    words = ["a.b=0.1", "c=null", "d=[1, 2]", "e=text", "f=x=y", "g=true", "h="]

    assert parse_overrides(words) == {
        "a.b": 0.1,
        "c": None,
        "d": [1, 2],
        "e": "text",
        "f": "x=y",
        "g": True,
        "h": None,
    }


def test_words_that_are_no_overrides_are_all_named():
    with pytest.raises(ConfigError) as caught:
        parse_overrides(["epochs", "=3", "a=[1", "b=1"])

    assert str(caught.value).splitlines() == [
        "command line: 'epochs' is no key=value, as in objective.contrastive_weight=0.1",
        "command line: '=3' is no key=value, as in objective.contrastive_weight=0.1",
        "command line: a: the value '[1' is no valid YAML: expected ',' or ']', but got '<stream end>'",
    ]


def test_overrides_are_set_in_a_copy():
    data = {"training": {"epochs": 3, "seed": 1}, "corpus": {"validate": {"share": 0.1}}}
    found = with_overrides(data, {"training.epochs": 4, "corpus.validate.seed": 2, "objective.temperature": 2})

    assert found == {
        "training": {"epochs": 4, "seed": 1},
        "corpus": {"validate": {"share": 0.1, "seed": 2}},
        "objective": {"temperature": 2},
    }
    assert data == {"training": {"epochs": 3, "seed": 1}, "corpus": {"validate": {"share": 0.1}}}


@given(key=st.lists(st.sampled_from("abc"), min_size=1, max_size=3), value=st.integers())
def test_an_override_reads_back_and_leaves_every_other_key(key, value):
    data = {"a": {"x": 1, "b": {"x": 2}}, "x": {"b": 3}}
    node = found = with_overrides(data, {".".join(key): value})
    for part in key:
        node = node[part]

    assert node == value
    assert found["x"] == {"b": 3} and data == {"a": {"x": 1, "b": {"x": 2}}, "x": {"b": 3}}
    assert key[0] != "a" or len(key) == 1 or found["a"]["x"] == 1


def test_an_override_below_a_plain_value_is_refused():
    with pytest.raises(ConfigError, match=r"training\.epochs\.many: epochs holds 3, not settings"):
        with_overrides({"training": {"epochs": 3}}, {"training.epochs.many": 1})


# -- identity ----------------------------------------------------------------------------------------------------------


def identity(**sections):
    return canonical_json(experiment_from(sections).training_identity())


@pytest.mark.parametrize(
    "sections",
    [
        {"training": {"workers": 4}},
        {"training": {"accumulation": 5}},
        {"evaluation": {"top_k": 200}},
        {"corpus": {"evaluate": "test"}},
        {"regularization": {"query": "none", "query_weight": 0.5, "ramp": "linear", "ramp_fraction": 0.9}},
    ],
)
def test_what_changes_no_student_is_no_part_of_its_identity(sections):
    assert identity(**sections) == identity()


@pytest.mark.parametrize(
    "sections",
    [
        {"training": {"seed": 1}},
        {"training": {"batch_turns": 11}},
        {"training": {"precision": "bf16"}},
        {"corpus": {"validate": None}},
        {"corpus": {"validate": {"seed": 1}}},
        {"sampling": {"window": [10, 949]}},
        {"objective": {"temperature_squared": True}},
        {"regularization": {"query": "l1"}},
        {"encoder": {"layers": 1}},
        {"teacher": {"names": ["other"]}},
        {"context": {"answers": False}},
    ],
)
def test_what_changes_the_student_changes_its_identity(sections):
    assert identity(**sections) != identity()


def test_the_weight_of_a_penalty_counts_once_there_is_one():
    assert identity(regularization={"query": "l1", "query_weight": 0.1}) != identity(
        regularization={"query": "l1", "query_weight": 0.2}
    )


def test_an_experiment_comes_back_from_its_own_dump():
    config = experiment_from({"corpus": {"validate": "dev"}, "training": {"epochs": 2}})

    assert experiment_from(config.model_dump(mode="json")) == config


# -- search spaces -----------------------------------------------------------------------------------------------------


def test_a_search_space_holds_choices_and_ranges():
    space = validated(
        SearchSpaceConfig,
        {
            "search": {
                "objective.contrastive_weight": [0, 0.1],
                "training.learning_rate": {"low": "1e-6", "high": 1e-3},
            },
            "objectives": OBJECTIVES,
            "start": [{"objective.contrastive_weight": 0, "training.learning_rate": 1e-5}],
        },
    )

    assert space.search["objective.contrastive_weight"] == (0, 0.1)
    assert space.search["training.learning_rate"] == Range(low=1e-6, high=1e-3)


@pytest.mark.parametrize(
    ("data", "problems"),
    [
        ({"search": {"a": [1]}}, ["objectives: is missing"]),
        ({"objectives": OBJECTIVES}, ["search: is missing"]),
        ({}, ["search: is missing", "objectives: is missing"]),
        ({"search": {"a": []}, "objectives": OBJECTIVES}, ["search.a has no choices"]),
        (
            {"search": {"a": 3}, "objectives": OBJECTIVES},
            ["search.a: 3 is neither settings nor one of the allowed values"],
        ),
        (
            {"search": {"a": [1]}, "objectives": OBJECTIVES, "start": [{"a": 1}, {"a": 1, "b": 2}]},
            ["start[1] sets b, which search does not hold"],
        ),
        (
            {"search": {"a": [1], "b": [2]}, "objectives": OBJECTIVES, "start": [{"a": 1}]},
            ["start[0] lacks b"],
        ),
        (
            {"search": {"a": [1]}, "objectives": OBJECTIVES, "reference": {"R@100": 0}},
            ["reference must name the objectives R@100, FLOPS"],
        ),
        (
            {"search": {"a": {"low": 1, "high": 2, "stepp": 1}}, "objectives": OBJECTIVES},
            ["search.a.stepp: unknown key; did you mean step?"],
        ),
        (
            {"search": {"a": [1]}, "objectives": OBJECTIVES, "sampels": 3},
            ["sampels: unknown key; did you mean sampler?"],
        ),
    ],
)
def test_search_spaces_that_cannot_be_searched_are_refused(data, problems):
    assert problems_of(data, SearchSpaceConfig) == problems


@pytest.mark.parametrize("objectives", [{}, {"R@100": "max"}, {**OBJECTIVES, "L0": "min"}])
def test_a_sweep_has_two_objectives(objectives):
    (problem,) = problems_of({"search": {"a": [1]}, "objectives": objectives}, SearchSpaceConfig)

    assert problem.startswith("objectives: Dictionary should have at ")


@pytest.mark.parametrize(
    ("bounds", "problem"),
    [
        ({"low": 2, "high": 2}, "low=2.0 must be below high=2.0"),
        ({"low": 0, "high": 1, "log": True}, "log needs low above 0, got 0.0"),
        ({"low": 1, "high": 9, "log": True, "step": 1}, "log and step exclude each other"),
        ({"low": 1}, "search.a.high: is missing"),
        ({"low": 1, "high": 2, "step": 0}, "search.a.step: Input should be greater than 0, got 0"),
    ],
)
def test_bounds_must_make_sense(bounds, problem):
    (found,) = problems_of({"search": {"a": bounds}, "objectives": OBJECTIVES}, SearchSpaceConfig)

    assert found.endswith(problem) and found.startswith("search.a")


def test_the_precision_of_passages_is_for_models_and_in_no_runs_own_identity():
    splade = {"family": "splade", "model": "tiny"}
    half, whole = (
        experiment_from({"encoder": splade | {"passage_precision": precision}}) for precision in ("bf16_scan", "fp32")
    )

    # It is in the vectors' fingerprint, which is one of the run's inputs.
    assert half.training_identity() == whole.training_identity()
    with pytest.raises(ConfigError, match="passage_precision=bf16 is for the splade family"):
        experiment_from({"encoder": {"passage_precision": "bf16"}})


# -- trained passages --------------------------------------------------------------------------------------------------

TRAINED = {"encoder": {"family": "splade"}, "training": {"passage_encoder": "trained"}}


def test_passages_are_trained_or_not_by_configuration():
    frozen, trained = experiment_from({"encoder": {"family": "splade"}}), experiment_from(TRAINED)
    assert trained.trains_passages and not frozen.trains_passages
    # At its default the setting is in no run's identity: runs from before keep their names.
    assert "passage_encoder" not in frozen.training_identity()["training"]
    assert "passage_weight" not in frozen.training_identity()["regularization"]
    assert trained.training_identity()["training"]["passage_encoder"] == "trained"


def test_the_passages_penalty_and_its_ramp_are_part_of_the_identity():
    def identity_of(**regularization):
        return identity(**TRAINED, regularization=regularization)

    assert identity_of(passage_weight=0.1) != identity_of(passage_weight=0.2) != identity_of()
    assert identity_of(passage_weight=0.1, ramp="linear") != identity_of(passage_weight=0.1)
    assert identity_of(passage_weight=0.1, query_weight=0.5) == identity_of(passage_weight=0.1)
    assert identity_of(ramp="linear") == identity_of()


@pytest.mark.parametrize(
    ("paper", "passages", "queries"), [("as_described", 1e-3, 5e-3), ("as_published", 1e-3, 1e-3), (None, 1e-3, 5e-3)]
)
def test_a_preset_penalizes_passages_where_they_are_trained(paper, passages, queries):
    trained = experiment_from(TRAINED | {"paper": paper, "regularization": {"preset": "high"}}).regularization
    assert (trained.passage_weight, trained.query_weight) == (passages, queries)
    frozen = experiment_from({"paper": paper, "regularization": {"preset": "high"}}).regularization
    assert (frozen.passage_weight, frozen.query_weight) == (0.0, queries)
    with pytest.raises(ConfigError, match=r"regularization\.passage_weight=0\.5 contradicts .*preset=high"):
        experiment_from(TRAINED | {"regularization": {"preset": "high", "passage_weight": 0.5}})


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"training": {"passage_encoder": "trained"}}, "passage_encoder=trained is for the splade family; lexical"),
        ({"regularization": {"passage_weight": 0.1}}, r"passage_weight=0\.1 changes nothing while passages are frozen"),
        (TRAINED | {"sampling": {"strategy": "student"}}, "sampling.strategy=student retrieves from the encoded"),
        (
            TRAINED | {"regularization": {"query": "l1", "query_weight": 0.1, "flops_budget": 1.0}},
            r"regularization\.flops_budget is kept against the collection's own share",
        ),
        (
            {"training": {"passage_encoder": "thawed"}},
            r"training\.passage_encoder: Input should be 'frozen' or 'trained'",
        ),
    ],
)
def test_trained_passages_that_do_not_fit_are_refused(data, problem):
    with pytest.raises(ConfigError, match=problem):
        experiment_from(data)


def test_what_comes_with_retort_is_found_by_name(tmp_path, monkeypatch, retort):
    files = {str(file.relative_to(SPACES).with_suffix("")): file for file in SPACES.rglob("*.yaml")}
    assert shipped_spaces() == files and len(files) > 10
    monkeypatch.chdir(tmp_path)  # not in a checkout
    for name in ("smoke", "smoke.yaml", "search_spaces/smoke.yaml"):
        assert read_yaml(name) == yaml.safe_load(files["smoke"].read_text())
    own = tmp_path / "smoke"
    own.write_text("seed: 7")
    assert read_yaml("smoke") == {"seed": 7}  # a file of one's own goes first
    with pytest.raises(ConfigError, match=r"no such file; with Retort come .*pareto"):
        read_yaml("nothing")
    listed = retort("show", "spaces", "--json")
    assert listed.code == 0 and listed.json().keys() == files.keys()
    assert listed.json()["smoke"] == "does everything run?"
    assert retort("show", "spaces", "pareto").out == files["pareto"].read_text()
    assert retort("show", "spaces", "nothing").code == 2


def test_an_installation_has_all_of_them():
    data = tomllib.loads((SPACES.parent / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    shipped = {file for patterns in data.values() for pattern in patterns for file in SPACES.parent.glob(pattern)}
    assert shipped == set(SPACES.rglob("*.yaml"))
