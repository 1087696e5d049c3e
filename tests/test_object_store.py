"""The whole way on an object store: a real S3 protocol over HTTP, with the command line as a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SPACE = ROOT / "search_spaces" / "smoke.yaml"


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Environment of a process that finds an empty S3 with one bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
        boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        ).create_bucket(Bucket="bucket")
        yield {
            **os.environ,
            **keys,
            "AWS_ENDPOINT_URL": endpoint,
            "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "PYTHONPATH": str(ROOT / "platform"),
        }
    finally:
        server.stop()


def retort(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "retort.cli", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=540, check=False)


@pytest.mark.slow
@pytest.mark.ray
def test_a_sweep_runs_on_an_object_store_and_is_there_the_second_time(s3: dict[str, str], tmp_path: Path) -> None:
    workspace = "s3://bucket/conversations"
    imported = retort(
        s3, "import", "synthetic", "-w", workspace, "conversations=30", "dev_conversations=6", "entities=50"
    )
    assert imported.returncode == 0, imported.stderr
    first = retort(s3, "sweep", str(SPACE), "-w", workspace, "--trials", "2", "--json")
    assert first.returncode == 0, first.stderr
    done = json.loads(first.stdout)
    assert [trial["status"] for trial in done["trials"]] == ["finished", "finished"]
    assert done["front"] and all(point["evaluation"]["R@100"] > 0.5 for point in done["front"])
    # Remote parts are read through the node's cache, which holds them by their checksum.
    assert any((tmp_path / "cache").rglob("*.values.npy"))

    again = retort(s3, "sweep", str(SPACE), "-w", workspace, "--trials", "2", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == done
    assert "is there already" in again.stderr
