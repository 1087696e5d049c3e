"""The one list of measures: what every place that names one agrees with, and how values are written."""

import subprocess
import sys
from typing import get_args

import ir_measures
import pytest

from retort.config import SearchSpaceConfig, validated
from retort.errors import ConfigError
from retort.measures.registry import ACCEPTED_LOSS, COST, RANKING, SHOWN, figure, is_cost, measure
from retort.tracking.view import COLUMNS


def test_the_measures_are_those_of_the_papers_table():
    assert RANKING == ("R@100", "R@10", "RR", "nDCG@3") and COST == ("FLOPS", "L0") and (*RANKING, *COST) == SHOWN
    assert ACCEPTED_LOSS == 0.02


@pytest.mark.parametrize("name", [*RANKING, "AP@100", "nDCG@10", "P(rel=2)@5"])
def test_any_name_of_ir_measures_is_a_measure_of_a_ranking(name):
    assert str(ir_measures.parse_measure(name)) == name
    found = measure(name)
    assert (found.name, found.direction, found.title, found.log) == (name, "max", name, False)
    assert figure(name, 0.12345) == "0.123" and not is_cost(name)


@pytest.mark.parametrize("name", [*COST, "latency"])
def test_less_of_a_cost_is_better_and_its_axis_is_logarithmic(name):
    assert is_cost(name) and measure(name).log and measure(name).title.startswith(name)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("FLOPS", 12.345, "12.3"),
        ("FLOPS", 1234.5, "1234"),
        ("FLOPS", 0.001234, "0.00123"),
        ("FLOPS", 0.0001234, "1.23e-04"),
        ("FLOPS", 0.0, "0"),
        ("FLOPS", float("inf"), "inf"),
        ("L0", 12.345, "12.3"),
        ("latency", 0.04, "0.0"),
        ("RR", 1.0, "1.000"),
        ("RR", None, "-"),
        ("L0", float("nan"), "-"),
    ],
)
def test_values_are_written_with_the_digits_that_tell_them_apart(name, value, text):
    assert figure(name, value) == text


def test_a_sweeps_objectives_are_the_measures_that_are_shown():
    names = get_args(get_args(SearchSpaceConfig.model_fields["objectives"].annotation)[0])
    assert set(names) == set(SHOWN)


@pytest.mark.parametrize("name", SHOWN)
def test_the_reference_of_a_cost_alone_may_exceed_one(name):
    other = "RR" if name != "RR" else "R@10"
    objectives = {name: measure(name).direction, other: "max"}
    data = {"search": {"a": [1]}, "objectives": objectives, "reference": {name: 2.0, other: 0.5}}
    if is_cost(name):
        assert validated(SearchSpaceConfig, data).reference == data["reference"]
    else:
        with pytest.raises(ConfigError, match=rf"reference\.{name} must lie in \[0, 1\]"):
            validated(SearchSpaceConfig, data)


def test_mlflows_columns_are_measures_that_are_shown():
    assert {column.removeprefix("dev/") for column in COLUMNS} <= set(SHOWN)


@pytest.mark.parametrize(
    ("module", "libraries"),
    [
        ("registry", ["numpy", "scipy", "ir_measures", "torch", "ray", "mlflow"]),
        ("significance", ["scipy", "ir_measures", "torch", "ray", "mlflow"]),
        ("ranking", ["scipy", "torch", "ray", "mlflow"]),
        ("pareto", ["scipy", "torch", "ray", "mlflow"]),
        ("sparsity", ["scipy", "torch", "ray", "mlflow"]),
    ],
)
def test_a_module_loads_no_more_than_it_computes_with(module, libraries):
    code = f"import sys, retort.measures.{module}; print([name for name in {libraries} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
