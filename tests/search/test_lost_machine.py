"""A cluster of two machines that loses one: its trial is run again on the other."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from retort.storage import Workspace
from retort.sweeps.sweep import find_sweep

pytestmark = pytest.mark.slow

SCRIPT = """
import os, sys, threading, time
import psutil

def until(found):
    ended = time.monotonic() + 300
    while not (value := found()):
        assert time.monotonic() < ended, "never seen"
        time.sleep(0.02)
    return value

def told(process):
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""

def lose(cluster, node, raylet):
    # A trial on each machine: the second one's is a child of its raylet.
    until(lambda: any("ResourceTrainable.train" in told(one) for one in raylet.children(recursive=True)))
    cluster.remove_node(node, allow_graceful=False)

if __name__ == "__main__":
    from ray.cluster_utils import Cluster

    workspace, space = sys.argv[1:]
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    os.environ["RAY_ADDRESS"] = cluster.address
    raylet = psutil.Process(second.all_processes["raylet"][0].process.pid)
    thread = threading.Thread(target=lose, args=(cluster, second, raylet))
    thread.start()
    from retort.cli import main
    code = main(["sweep", space, "-w", workspace, "--trials", "2", "--concurrent", "2", "--json", "training.epochs=8"])
    thread.join()
    import ray
    ray.shutdown()
    cluster.shutdown()
    sys.exit(code)
"""


def test_a_machine_that_dies_costs_no_trial(prepared_copy, smoke_space, environment, tmp_path):
    script = tmp_path / "sweep.py"
    script.write_text(SCRIPT, encoding="utf-8")
    path = {"PYTHONPATH": str(Path(__file__).parents[2] / "platform")}
    command = [sys.executable, str(script), str(prepared_copy), str(smoke_space)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment | path, check=False)

    assert done.returncode == 0, done.stderr
    # Whether Ray hears of the process's death or of its machine's first is chance.
    (lost,) = re.findall(r"trial 000\d was lost: (.*); tried again, 1 of 3", done.stderr)
    assert lost in ("its machine died", "its process was killed, or crashed")
    trials = json.loads(done.stdout)["trials"]
    assert [(trial["trial"], trial["status"]) for trial in trials] == [("0000", "finished"), ("0001", "finished")]
    assert find_sweep(Workspace(prepared_copy), "smoke").ended
