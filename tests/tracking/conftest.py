"""One sqlite database for all tests of tracking: making it takes seconds. Each test has an experiment of its own."""

from pathlib import Path

import pytest

from retort.tracking import MemoryTracker, MlflowTracker, Tracker


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('a workspace')}/mlflow.db"


@pytest.fixture
def mlflow_tracker(tracking_uri: str, request: pytest.FixtureRequest, tmp_path: Path) -> MlflowTracker:
    return MlflowTracker(tracking_uri, request.node.name, artifact_root=f"{tmp_path}/art ifacts")


@pytest.fixture(params=["memory", "mlflow"])
def tracker(request: pytest.FixtureRequest) -> Tracker:
    return MemoryTracker() if request.param == "memory" else request.getfixturevalue("mlflow_tracker")
