"""Work on Ray Data: results of every unit, and errors as they were raised."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.waiting import patience

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


GPU_SCRIPT = """
import ray
from retort.shards.session import map_units

class Shown:
    def __call__(self, unit):
        return {"number": int(unit["number"]), "gpus": len(ray.get_gpu_ids())}

if __name__ == "__main__":
    # A logical GPU: Ray hands it out, and no CUDA device stands behind it.
    ray.init("local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
    for gpu in (True, False):
        found = []
        map_units([{"number": n} for n in range(3)], Shown, {}, gpu=gpu, on_result=found.append)
        print(gpu, sorted((row["number"], row["gpus"]) for row in found))
"""


@pytest.mark.slow
def test_units_that_want_a_gpu_get_one_each_where_the_cluster_has_any(tmp_path):
    script = tmp_path / "shown.py"
    script.write_text(GPU_SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "platform")}
    environment.pop("RAY_ADDRESS", None)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, check=True)

    assert done.stdout.splitlines() == ["True [(0, 1), (1, 1), (2, 1)]", "False [(0, 0), (1, 0), (2, 0)]"]


def test_without_gpus_units_that_want_one_run_all_the_same(ray_session):
    found = []
    map_units([{"number": 3}], Doubler, {"factor": 3}, gpu=True, on_result=found.append)

    assert [row["doubled"] for row in found] == [9]


def test_an_actor_that_holds_every_processor_does_its_units_itself(ray_session):
    import ray

    @ray.remote(num_cpus=int(ray.cluster_resources()["CPU"]))
    class Trial:
        def doubled(self, numbers):
            from retort.shards.session import map_units

            found = []
            map_units([{"number": n} for n in numbers], Doubler, {"factor": 2}, on_result=found.append)
            return [row["doubled"] for row in found]

    trial = Trial.remote()
    assert ray.get(trial.doubled.remote([3, 1, 2]), timeout=patience(60)) == [6, 2, 4]
    ray.kill(trial)
