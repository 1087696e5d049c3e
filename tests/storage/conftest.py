"""A workspace on a local folder, and on an S3 of the tests' own."""

import boto3
import fsspec
import numpy as np
import pytest
from moto.server import ThreadedMotoServer

from retort.storage import Workspace

BUCKET = "retort"


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """A client of a server of the tests' own, with one bucket; the credentials are made up."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    nowhere = str(tmp_path_factory.mktemp("aws") / "none")
    filesystem = fsspec.get_filesystem_class("s3")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
            ("AWS_ACCESS_KEY_ID", "nobody"),
            ("AWS_SECRET_ACCESS_KEY", "nothing"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_CONFIG_FILE", nowhere),
            ("AWS_SHARED_CREDENTIALS_FILE", nowhere),
        ):
            patch.setenv(name, value)
        # fsspec keeps its filesystems: one that was made before would ask the real S3.
        filesystem.clear_instance_cache()
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield client
        filesystem.clear_instance_cache()
    server.stop()


@pytest.fixture
def s3_url(s3, monkeypatch, tmp_path):
    """A place in the bucket where nothing is yet; the node's cache is the test's own, too."""
    monkeypatch.setenv("RETORT_CACHE", str(tmp_path / "cache"))
    return f"s3://{BUCKET}/{tmp_path.name}"


@pytest.fixture(params=["local", "s3"])
def workspace(request, tmp_path):
    url = str(tmp_path / "workspace") if request.param == "local" else request.getfixturevalue("s3_url")
    return Workspace(url, create=True)


@pytest.fixture
def local(tmp_path):
    return Workspace(tmp_path / "workspace", create=True)


@pytest.fixture
def remote(s3_url):
    """A finished stage with the array ``a.npy`` on S3."""
    folder = Workspace(s3_url, create=True).folder("stage")
    with folder.writing("vectors", 1, config={"k1": 0.9}, inputs={"passages": "ab"}) as writer:
        writer.add(folder.write_array("a.npy", np.arange(5)))
    return folder
