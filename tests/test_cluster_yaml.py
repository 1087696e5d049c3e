"""cluster.yaml against Ray's own checks, without a cloud.

Ray has no public validator, so this calls the functions that ``ray up`` calls first. They are private: constraints.txt
pins the version, and an upgrade that moves them fails here rather than in front of a paying user.
"""

import copy
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parents[1]


@pytest.fixture
def raw():
    return yaml.safe_load((ROOT / "cluster.yaml").read_text())


@pytest.fixture
def prepared(raw):
    config = prepare_config(copy.deepcopy(raw))
    validate_config(config)
    return config


def test_cpu_and_gpu_workers_start_on_demand_and_stop_at_their_limits(prepared):
    types = prepared["available_node_types"]
    limits = {name: (node["min_workers"], node["max_workers"]) for name, node in types.items()}

    assert prepared["provider"]["type"] == "aws"
    assert limits == {"head": (0, 0), "cpu": (0, 8), "gpu": (0, 4)}
    assert prepared["max_workers"] == 8 + 4
    assert types["gpu"]["resources"]["GPU"] == 1
    assert all("GPU" not in types[name]["resources"] for name in ("head", "cpu"))


def test_the_head_knows_the_mlflow_server_and_every_node_demands_the_token(prepared):
    (head,) = [line for line in prepared["head_start_ray_commands"] if "ray start" in line]
    (worker,) = [line for line in prepared["worker_start_ray_commands"] if "ray start" in line]

    assert re.search(r"export [^&]*MLFLOW_TRACKING_URI=https?://\S+", head)
    assert "--head" in head
    assert "--autoscaling-config" in head
    assert "--address=$RAY_HEAD_IP" in worker
    for line in (head, worker):
        # What is exported after `ray start` reaches nobody.
        exported = line.split("ray start")[0]
        assert "RAY_AUTH_MODE=token" in exported
        assert "RAY_USAGE_STATS_ENABLED=0" in exported
    assert "~/.ray/auth_token" in prepared["file_mounts"]


def test_nodes_install_the_pinned_torch_before_retort(prepared):
    pin = re.search(r"^torch==\S+$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    installs = [line for line in prepared["worker_setup_commands"] if "pip install" in line]

    assert pin is not None
    assert f"{pin[0]} " in installs[0]
    assert "/retort[" in installs[1]
    assert all("-c ~/retort/constraints.txt" in line for line in installs)


def test_every_command_is_whole_shell(prepared):
    # YAML ends a plain text at " #": half a command would be sent to every node.
    sections = [name for name in prepared if name.endswith("_commands")]
    commands = [line for name in sections for line in prepared[name]]
    broken = [line for line in commands if subprocess.run(["bash", "-n", "-c", line], check=False).returncode]

    assert len(commands) > len(sections)
    assert broken == []


def test_what_is_mounted_is_there(raw):
    local = [path for path in raw["file_mounts"].values() if not path.startswith("~")]

    assert "platform" in local
    assert [path for path in local if not (ROOT / path).exists()] == []


def misspell_a_key(config):
    config["available_node_types"]["gpu"]["max_worker"] = 4


def name_no_such_head(config):
    config["head_node_type"] = "haed"


def demand_more_than_allowed(config):
    config["available_node_types"]["cpu"]["min_workers"] = config["max_workers"] + 1


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (misspell_a_key, jsonschema.ValidationError, "max_worker"),
        (name_no_such_head, ValueError, "head_node_type"),
        (demand_more_than_allowed, ValueError, "max_workers"),
    ],
)
def test_a_broken_copy_is_refused(raw, damage, error, message):
    broken = copy.deepcopy(raw)
    damage(broken)

    with pytest.raises(error, match=message):
        validate_config(prepare_config(broken))
