"""Work on Ray Data: results of every unit, and errors as they were raised."""

import pytest

from retort.errors import ConfigError
from retort.shards.session import map_units


class Doubler:
    """Doubles a unit's number; refuses 13."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, unit):
        if unit["number"] == 13:
            raise ConfigError(["encoder.layers: 13 asked for", "encoder.model: none"], source="unit")
        return {"number": int(unit["number"]), "doubled": int(unit["number"]) * self.factor}


def test_every_unit_is_worked_on_once(ray_session):
    found = {}
    map_units(
        [{"number": n} for n in range(7)], Doubler, {"factor": 2}, on_result=lambda r: found.update({r["number"]: r})
    )

    assert {number: row["doubled"] for number, row in found.items()} == {n: 2 * n for n in range(7)}


def test_a_workers_error_arrives_as_what_it_was(ray_session):
    with pytest.raises(ConfigError) as caught:
        map_units([{"number": 13}], Doubler, {"factor": 2}, on_result=lambda row: None)

    assert caught.value.problems == ("encoder.layers: 13 asked for", "encoder.model: none")
