"""Work on Ray Data: results of every unit, and errors as they were raised."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.waiting import patience

from retort.errors import ConfigError, RunError
from retort.shards.session import map_units, started_locally


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


TOO_SLOW = "The current node timed out during startup. This could happen because some of the raylet failed to startup"


class Starts:
    """Starts a cluster: the first attempts leave a process of their own and fail, as Ray's do on a machine that is too slow."""

    def __init__(self, *errors):
        self.errors, self.left = list(errors), []

    def __call__(self):
        if self.errors:
            self.left.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "raylet"]))
            raise self.errors.pop(0)


@pytest.fixture
def starts():
    made = []

    def make(*errors):
        made.append(Starts(*errors))
        return made[-1]

    yield make
    for process in (process for one in made for process in one.left):
        process.kill()
        process.wait()


def test_a_local_cluster_that_did_not_start_in_time_is_started_once_more(starts):
    start = starts(Exception(TOO_SLOW))
    started_locally(start)
    assert start.errors == [] and [psutil.pid_exists(process.pid) for process in start.left] == [False]


def test_a_machine_that_is_too_slow_for_ray_is_told_of_with_a_way_out(starts):
    start = starts(Exception(TOO_SLOW), Exception(TOO_SLOW))
    with pytest.raises(RunError, match=r"twice \(The current node timed out.*overloaded: .* set RAY_ADDRESS"):
        started_locally(start)
    assert [psutil.pid_exists(process.pid) for process in start.left] == [False, False]


def test_what_is_wrong_otherwise_is_not_tried_twice(starts):
    start = starts(ValueError("num_cpus must be at least 0"), Exception(TOO_SLOW))
    with pytest.raises(ValueError, match="num_cpus"):
        started_locally(start)
    assert len(start.errors) == 1
