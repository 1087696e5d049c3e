"""Search spaces: those that are delivered load, and what no trial could run is told of at once."""

import pytest
import yaml
from optuna.distributions import FloatDistribution, IntDistribution

from retort.config import load_experiment
from retort.errors import ConfigError
from retort.search.space import load_space

MANY = 50


PAPER = ("contrastive", "regularization", "samples", "sampling_strategy", "teachers", "temperature")


def delivered(folder):
    """Every search space and every profile that is laid over one."""
    paths = sorted(folder.rglob("*.yaml"))
    profiles = [path for path in paths if path.parent.name == "profiles"]
    return [path for path in paths if path not in profiles], profiles


def test_every_delivered_space_loads_and_asks_a_question(smoke_space):
    paths, _ = delivered(smoke_space.parent)
    assert smoke_space in paths and {f"paper_{name}" for name in PAPER} <= {path.stem for path in paths}
    for path in paths:
        space = load_space(path)
        assert space.name == path.stem and set(space.distributions()) == set(space.settings.search)
        assert path.read_text(encoding="utf-8").startswith("# Question: ")
        for start in space.settings.start:
            space.experiment(start)


def test_every_delivered_profile_fits_every_one_of_the_papers_spaces(smoke_space):
    paths, profiles = delivered(smoke_space.parent)
    assert {path.name for path in profiles} >= {"mtrag.yaml"}
    for path in paths:
        for profile in profiles if path.stem.startswith("paper_") else ():
            data = yaml.safe_load(profile.read_text(encoding="utf-8"))
            space = load_space(path, profiles=[profile])
            assert space.name == f"{path.stem}+{profile.stem}"
            assert profile.read_text(encoding="utf-8").startswith("# Profile: ")
            for section in set(data) & {"encoder", "sampling", "objective", "training"}:
                assert space.base[section].items() >= data[section].items()


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("contrastive", 4),
        ("regularization", 8),
        ("samples", 6),
        ("sampling_strategy", 8),
        ("teachers", 4),
        ("temperature", 3),
    ],
)
def test_the_papers_grids_have_its_settings_and_three_seeds(smoke_space, name, size):
    space = load_space(smoke_space.with_name(f"paper_{name}.yaml"))
    grid = space.grid()
    experiments = [space.experiment(point) for point in grid]

    assert space.settings.trials == len(grid) == 3 * size
    # As many trials as the comment says are the whole grid with the first seed.
    assert [point["training.seed"] for point in grid] == [0] * size + [1] * size + [2] * size
    assert len({experiment.model_dump_json() for experiment in experiments}) == len(grid)
    for experiment in experiments:
        training = experiment.training
        assert (training.learning_rate, training.batch_turns, training.epochs) == (2e-5, 10, 5)
        assert (training.precision, training.warmup_fraction) == ("fp16", 0.01)
        assert experiment.encoder.model == "naver/splade-cocondenser-ensembledistil"
        assert experiment.encoder.query_tokens == 256 and experiment.objective.positive_score == "own"


def test_the_five_presets_stand_beside_expected_flops(smoke_space):
    space = load_space(smoke_space.with_name("paper_regularization.yaml"))
    penalties = {
        name: (settings.query, settings.query_weight)
        for name in space.settings.search["variant"]
        for settings in [space.experiment({"variant": name}).regularization]
    }

    assert penalties["disco"] == ("none", 0.0) and penalties["highest"] == ("l1", 0.1)
    assert penalties["splade"] == ("l1", 1e-3) and penalties["expected_flops .1"] == ("expected_flops", 0.1)


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
        ({"sampler": "grit"}, "sampler: "),
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


@pytest.mark.parametrize(
    ("variant", "word"),
    [
        ({"regularization.query": "l1"}, "regularization.ramp_fraction=0.1"),
        ({"regularization.query": "l1"}, "regularization.query_weight=0.5"),
        ({"teacher.names": ["synthetic", "other"]}, "teacher.fusion=rrf"),
        ({"training.epochs": 1}, "encoder.passage_precision=bf16"),
        ({"regularization.preset": "high"}, "paper=as_published"),
    ],
)
def test_what_a_trial_alone_uses_is_part_of_a_sweeps_identity(changed, variant, word):
    path = changed(regularization={}, variants={"one": variant}, search={"training.seed": [0, 1]})
    family = ["encoder.family=splade"] if "passage_precision" in word else []
    plain, other = load_space(path, family), load_space(path, [*family, word])
    point = {"variant": "one", "training.seed": 0}
    assert plain.experiment(point) != other.experiment(point)
    assert plain.identity() != other.identity()


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


def test_a_grid_is_every_combination_the_last_key_fastest(changed):
    search = {
        "training.seed": [1, 0],
        "sampling.count": {"low": 4, "high": 9, "step": 2},
        "objective.temperature": {"low": 0.1, "high": 0.3, "step": 0.1},
    }
    space = load_space(changed(search=search, sampler="grid", trials=None))

    assert space.settings.trials == 18
    keys = list(search)
    assert space.grid() == [
        dict(zip(keys, (seed, count, temperature), strict=True))
        for seed in (1, 0)
        for count in (4, 6, 8)
        for temperature in (0.1, 0.2, 0.3)
    ]
    assert space.first_points() == space.grid()
    assert load_space(changed(search=search, sampler="grid"), trials=4).first_points() == space.grid()[:4]
    for key, distribution in space.distributions().items():
        assert all(distribution._contains(distribution.to_internal_repr(point[key])) for point in space.grid())


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "search.regularization.query_weight: a grid tries every value; give the range a step, or choices"),
        ({"search": {"sampling.count": [4, 8]}, "trials": 3}, "trials=3 exceeds the grid's 2 combinations"),
        ({"search": {"sampling.count": [4, 8, 4]}}, "search.sampling.count holds a choice twice"),
        ({"search": {"sampling.count": []}}, "search.sampling.count has no choices"),
        ({"search": {"sampling.count": [4]}, "start": [{"sampling.count": 4}]}, "start: a grid tries every comb"),
        ({"search": {"training.seed": {"low": 0, "high": 1000, "step": 1}}}, "the grid has 1001 combinations"),
        (
            {"search": {"sampling.count": [8, 30], "teacher.top_k": [100, 20]}, "sampling": {"window": [0, 100]}},
            "search.teacher.top_k=20: ",
        ),
        (
            {"search": {"sampling.count": [8], "sampling.strategy": ["window", "proportional"]}}
            | {"variants": {"plain": {}, "full": {"sampling.normalizer": "full"}}},
            "search: sampling.count=8, sampling.strategy=window, variant=full: .*strategy=proportional alone",
        ),
    ],
)
def test_a_grid_that_could_not_be_run_as_a_whole_is_refused(changed, keys, message):
    with pytest.raises(ConfigError, match=message):
        load_space(changed(**{"sampler": "grid", "trials": None} | keys))


VARIANTS = {
    "plain": {"regularization.query": "none"},
    "weighted": {"regularization.query": "expected_flops", "regularization.query_weight": 0.1},
    "both": {"teacher.names": ["synthetic", "other"]},
}


def test_variants_are_settings_that_belong_together(changed):
    path = changed(search={"training.seed": [0, 1]}, variants=VARIANTS, sampler="grid", trials=None)
    space = load_space(path)

    assert space.settings.search["variant"] == tuple(VARIANTS) and space.settings.trials == 6
    weighted = space.experiment({"variant": "weighted", "training.seed": 1})
    assert (weighted.regularization.query, weighted.regularization.query_weight) == ("expected_flops", 0.1)
    assert weighted.training.seed == 1 and weighted.teacher.names == ("synthetic",)
    # A variant's teachers are prepared before the trials, as searched ones are.
    assert {variant.teacher.names for variant in space.prepared_variants()} == {("synthetic",), ("synthetic", "other")}
    fewer = load_space(path, ["search={training.seed: [0], variant: [plain]}"])
    assert fewer.grid() == [{"training.seed": 0, "variant": "plain"}]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"search": {"variant": ["plane"]}}, "search.variant names 'plane', which is not in variants: plain, weighted"),
        ({"search": {"variant": {"low": 0, "high": 1}}}, "search.variant takes names of variants, not a range"),
        (
            {"search": {"regularization.query": ["l1"]}},
            "variants.plain sets regularization.query, which is searched too",
        ),
        ({"variants": {"a": {"sampling.cuont": 4}, "b": {}}}, "search.variant=a: sampling.cuont: unknown key"),
    ],
)
def test_variants_that_say_nothing_sensible_are_refused(changed, keys, message):
    with pytest.raises(ConfigError, match=message):
        load_space(changed(**{"variants": VARIANTS} | keys))


def test_spaces_without_variants_keep_their_names(smoke_space):
    assert "variants" not in load_space(smoke_space).identity()


def test_profiles_are_laid_over_sections_key_by_key_and_before_the_overrides(smoke_space, tmp_path):
    small, other = tmp_path / "small.yaml", tmp_path / "other.yaml"
    small.write_text("training: {epochs: 7, seed: 3}\nsearch: {sampling.count: [2, 4]}\n")
    other.write_text("training: {seed: 4}\n")
    space = load_space(smoke_space, ["training.epochs=9"], profiles=[small, other])

    assert space.name == "smoke+small+other"
    training = space.experiment({}).training
    assert (training.epochs, training.seed, training.batch_turns) == (9, 4, 16)
    assert space.settings.search == {"sampling.count": (2, 4)}
    small.write_text("trainig: {epochs: 7}\n")
    with pytest.raises(ConfigError, match=r"smoke.yaml \+ .*small.yaml: trainig: unknown key"):
        load_space(smoke_space, profiles=[small])


def test_an_experiment_takes_profiles_too(experiment_file, tmp_path):
    profile = tmp_path / "small.yaml"
    profile.write_text("training: {epochs: 7}\n")

    assert load_experiment(experiment_file, profiles=[profile]) == load_experiment(
        experiment_file, ["training.epochs=7"]
    )
    profile.write_text("search: {training.epochs: [7]}\n")
    with pytest.raises(ConfigError, match="is a search space, not an experiment"):
        load_experiment(experiment_file, profiles=[profile])
