"""The whole way on an object store: a real S3 protocol over HTTP, with the sweep as a process of its own."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SPACE = ROOT / "search_spaces" / "smoke.yaml"


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An environment that names an empty S3 with one bucket."""
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
        environment = keys | {
            "AWS_ENDPOINT_URL": endpoint,
            "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
            "RETORT_CACHE": str(tmp_path / "cache"),
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield
    finally:
        server.stop()


@pytest.mark.slow
@pytest.mark.ray
def test_a_sweep_runs_on_an_object_store_and_is_there_the_second_time(
    s3: None, retort: Callable[..., Any], started: Any, tmp_path: Path
) -> None:
    workspace = "s3://bucket/conversations"
    imported = retort("import", "synthetic", "-w", workspace, "conversations=30", "dev_conversations=6", "entities=50")
    assert imported.code == 0, imported.err
    # A cluster of its own: the one that the tests share was started with another environment.
    words = ["sweep", str(SPACE), "-w", workspace, "--trials", "2", "--concurrent", "1", "--json"]
    first = started.finish(
        [sys.executable, "-m", "retort.cli", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT / "platform")},
        seconds=300,
    )
    assert first.returncode == 0, first.stderr
    done = json.loads(first.stdout)
    assert [trial["status"] for trial in done["trials"]] == ["finished", "finished"]
    assert done["front"] and all(point["evaluation"]["R@100"] > 0.5 for point in done["front"])
    # Remote parts are read through the node's cache, which holds them by their checksum.
    assert any((tmp_path / "cache").rglob("*.values.npy"))

    again = retort(*words)
    assert again.code == 0, again.err
    assert again.json() == done
    assert "is there already" in again.err
