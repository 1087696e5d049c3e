"""Names that MLflow accepts: every one, and back again."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from retort.config import ExperimentConfig
from retort.tracking import flat_params, measure_name, metric_name

TRICKY = st.text(alphabet="@_atx-2f./ :(=é\n", min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("measure", "metric"),
    [
        ("R@100", "R_at_100"),
        ("nDCG@3", "nDCG_at_3"),
        ("FLOPS", "FLOPS"),
        ("loss/kld", "loss/kld"),
        ("L0 at turn 1.5", "L0 at turn 1.5"),
        ("f(x)=1", "f-x28-x-x29--x3d-1"),
    ],
)
def test_a_measure_reads_well_in_mlflow(measure, metric):
    assert metric_name(measure) == metric
    assert measure_name(metric) == measure


@given(measure=st.one_of(TRICKY, st.text(min_size=1, max_size=20)))
@example("_at_")
@example("_at@")
@example("@at_at_@")
@example("-x40-")
@example("--x_at_")
@example("..")
@example("a//b/.")
def test_every_name_comes_back_and_is_accepted(measure):
    from mlflow.utils.validation import _validate_metric_name, _validate_param_name

    name = metric_name(measure)

    assert measure_name(name) == measure
    _validate_metric_name(name)
    _validate_param_name(name)


@given(metric=st.from_regex(r"[a-zA-Z0-9_\-x@]{1,20}", fullmatch=True))
@example("-xffffff-")
def test_names_that_others_logged_can_be_read(metric):
    assert isinstance(measure_name(metric), str)


@pytest.mark.parametrize("measure", ["", "m" * 231])
def test_a_name_without_or_with_too_many_characters_is_refused(measure):
    with pytest.raises(ValueError, match="1 to 230 characters"):
        metric_name(measure)


def test_a_configuration_becomes_dotted_keys_with_the_texts_of_the_command_line():
    params = flat_params(
        {
            "sampling": {"count": 16, "window": (10, 950)},
            "context": {"answers": True, "last_turns": None},
            "training": {"learning_rate": 2e-5, "precision": "fp32"},
            "objectives": {"R@100": "max"},
            "start": {},
        }
    )

    assert params == {
        "sampling.count": "16",
        "sampling.window": "[10, 950]",
        "context.answers": "true",
        "context.last_turns": "null",
        "training.learning_rate": "2e-05",
        "training.precision": "fp32",
        "objectives.R_at_100": "max",
        "start": "{}",
    }


def test_long_values_and_keys_are_cut_but_stay_apart():
    params = flat_params({"notes": "x" * 10_000, "k" * 400: 1, "k" * 401: 2})

    assert len(params) == 3
    assert len(params["notes"]) == 500 and params["notes"].endswith("…")
    assert max(len(key) for key in params) <= 230


def test_a_real_experiment_fits():
    params = flat_params(ExperimentConfig().model_dump(mode="json"))

    assert params["objective.contrastive_weight"] == "0.0"
    assert params["corpus.validate.share"] == "0.15"
