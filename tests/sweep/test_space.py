"""Search spaces: those that are delivered load, and what no trial could run is told of at once."""

import pytest
import yaml
from optuna.distributions import FloatDistribution, IntDistribution

from retort.config import load_experiment
from retort.errors import ConfigError
from retort.sweep.space import load_space

MANY = 50


def delivered(folder):
    return sorted(folder.rglob("*.yaml"))


def test_every_delivered_space_loads_and_asks_a_question(smoke_space):
    paths = delivered(smoke_space.parent)
    assert smoke_space in paths and len(paths) >= 3
    for path in paths:
        space = load_space(path)
        assert space.name == path.stem and set(space.distributions()) == set(space.settings.search)
        assert path.read_text(encoding="utf-8").startswith("# Question: ")
        for start in space.settings.start:
            space.experiment(start)


@pytest.fixture
def changed(tmp_path, smoke_space):
    """The smoke space with some of its keys replaced (None: without them), as a file."""

    def write(**keys):
        data = yaml.safe_load(smoke_space.read_text(encoding="utf-8"))
        for key, value in keys.items():
            data.pop(key, None) if value is None else data.update({key: value})
        path = tmp_path / "space.yaml"
        path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"search": {"objective.contrastive_wight": [0, 1]}},
            "objective.contrastive_wight: unknown key; did you mean contrastive_weight",
        ),
        (
            {"search": {"objective.contrastive_weight": [0.1, 1.5]}},
            r"search.objective.contrastive_weight=1.5: .*less than or equal to 1",
        ),
        (
            {"search": {"regularization.query_weight": {"low": -1.0, "high": 1.0}}},
            "search.regularization.query_weight=-1.0: ",
        ),
        ({"search": {"sampling.count": [8, 60]}}, r"count=60 samples do not fit into window=\[0, 50\]"),
        ({"search": {"training.learning_rate": {"low": 0.0, "high": 1.0, "log": True}}}, "log needs low above 0"),
        ({"search": {"training.learning_rate": {"low": 2.0, "high": 1.0}}}, "low=2.0 must be below high=1.0"),
        ({"search": {"training.learning_rate": []}}, "search.training.learning_rate has no choices"),
        (
            {"search": {"encoder.query_tokens": {"low": 16, "high": 64}}},
            "shards are prepared before the trials; give it choices, or a step",
        ),
        (
            {"search": {"sampling.filter_overlap": {"low": 0.2, "high": 0.9}}},  # near-duplicates are in the shards too
            "shards are prepared before the trials; give it choices, or a step",
        ),
        (
            {"search": {"encoder.query_tokens": {"low": 16, "high": 116, "step": 1}}},
            "101 variants of the shards would be prepared",
        ),
        ({"search": None}, "search: is missing"),
        ({"search": {}}, "search: "),
        ({"objectives": None}, "objectives: is missing"),
        ({"objectives": {"R@100": "max"}}, "objectives: .*at least 2"),
        ({"objectives": {"R@100": "up", "FLOPS": "min"}}, "objectives.R@100: .*'max' or 'min'"),
        ({"objectives": {"accuracy": "max", "FLOPS": "min"}}, "objectives"),
        ({"corpus": {"validate": None}}, "corpus.validate: is null; a sweep needs turns to choose on"),
        (
            {"start": [{"sampling.count": 4}]},
            r"start\[0\] lacks objective.contrastive_weight, regularization.query_weight",
        ),
        (
            {
                "start": [
                    {"sampling.count": 5, "objective.contrastive_weight": 0.1, "regularization.query_weight": 0.001}
                ]
            },
            r"start\[0\].sampling.count: 5 is not in search.sampling.count",
        ),
        (
            {"start": [{"sampling.count": 4, "objective.contrastive_weight": 0.1, "regularization.query_weight": 0.5}]},
            r"start\[0\].regularization.query_weight: 0.5 is not in search",
        ),
        ({"start": [{"sampling.cuont": 4}]}, r"start\[0\] sets sampling.cuont, which search does not hold"),
        ({"reference": {"R@100": 0.5}}, "reference must name the objectives R@100, FLOPS"),
        ({"sampler": "grid"}, "sampler: "),
        ({"trials": 0}, "trials: "),
        ({"smapler": "tpe"}, "smapler: unknown key"),
    ],
)
def test_what_no_trial_could_run_is_refused(changed, keys, message):
    path = changed(**keys)
    with pytest.raises(ConfigError, match=message) as caught:
        load_space(path)
    assert all(line.startswith(f"{path}: ") for line in str(caught.value).splitlines())


def test_all_problems_are_told_of_at_once(changed):
    path = changed(
        objectives={"R@100": "max"},
        corpus={"validate": None},
        training={"epochs": 0},
        search={"sampling.count": [4], "regularization.query_weight": {"low": 2.0, "high": 1.0}},
    )
    with pytest.raises(ConfigError) as caught:
        load_space(path, ["objective.temperature=-1", "trials=0"])
    text = "\n".join(caught.value.problems)
    for word in ("objectives", "training.epochs", "query_weight", "objective.temperature", "trials"):
        assert word in text
    with pytest.raises(ConfigError) as several:
        load_space(changed(search={"sampling.count": [4, 60, 70], "objective.contrastive_weight": [2.0]}))
    assert len(several.value.problems) == 3


def test_choices_that_need_each_other_are_left_to_the_trials(changed):
    # 60 samples need another window than the base's, which is searched as well.
    search = {"sampling.count": [8, 60], "sampling.window": [None]}
    with pytest.raises(ConfigError, match=r"sampling\.window=None"):
        load_space(changed(search=search))


def test_prepared_variants_are_the_combinations_that_stages_depend_on(changed):
    search = {
        "encoder.query_tokens": [32, 48],
        "teacher.top_k": {"low": 100, "high": 200, "step": 100},
        "sampling.count": [4, 8],
    }
    variants = list(load_space(changed(search=search)).prepared_variants())
    assert [(v.encoder.query_tokens, v.teacher.top_k) for v in variants] == [(32, 100), (32, 200), (48, 100), (48, 200)]


def test_how_many_trials_is_no_part_of_a_sweeps_identity(smoke_space):
    plain = load_space(smoke_space).identity()
    assert load_space(smoke_space, ["concurrent=1"], trials=MANY).identity() == plain
    assert load_space(smoke_space, ["training.workers=2"]).identity() == plain
    for word in ("seed=1", "sampler=tpe", "training.epochs=2", "corpus.evaluate=other", "evaluation.top_k=200"):
        assert load_space(smoke_space, [word]).identity() != plain


def test_a_points_experiment_is_the_base_with_its_settings(smoke_space, experiment_file):
    point = {"objective.contrastive_weight": 0.2, "sampling.count": 4, "regularization.query_weight": 0.005}
    alone = load_experiment(experiment_file, [f"{key}={value}" for key, value in point.items()])
    assert load_space(smoke_space).experiment(point) == alone


@pytest.mark.parametrize(
    ("key", "bounds", "expected"),
    [
        ("sampling.count", {"low": 4, "high": 8}, IntDistribution(4, 8)),
        ("sampling.count", {"low": 1, "high": 32, "log": True}, IntDistribution(1, 32, log=True)),
        ("sampling.count", {"low": 4, "high": 8, "step": 2}, IntDistribution(4, 8, step=2)),
        ("regularization.query_weight", {"low": 0, "high": 1}, FloatDistribution(0.0, 1.0)),
        ("objective.temperature", {"low": 1, "high": 4, "step": 1}, FloatDistribution(1.0, 4.0, step=1.0)),
        ("objective.temperature", {"low": 0.5, "high": 4}, FloatDistribution(0.5, 4.0)),
    ],
)
def test_a_range_is_of_whole_numbers_where_the_setting_takes_nothing_between(changed, key, bounds, expected):
    space = load_space(changed(search={key: bounds}))

    assert space.distributions() == {key: expected}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"search": {"training.workers": [0, 2]}}, "search.training.workers: is about hardware"),
        ({"reference": {"R@100": 60, "FLOPS": 14}}, r"reference.R@100 must lie in \[0, 1\], got 60"),
        ({"reference": {"R@100": 0.6, "FLOPS": 0.01}}, "reference.FLOPS must be at least 0.1, got 0.01"),
    ],
)
def test_what_would_fail_at_the_end_is_refused_at_the_beginning(changed, keys, message):
    with pytest.raises(ConfigError, match=message):
        load_space(changed(**keys))
