"""Secrets of every shape are planted, whatever can fail is made to fail, and all that comes out is searched for them.

Whoever answers repeats every secret in its message, as servers and drivers do with what they were sent.
"""

import json
import logging
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from tests.chat_server import ChatServer, refusal

from retort.tracking import MlflowTracker, TrackedInput, public_uri

# In the environment, under names that tools give them; each value is different, and none is a word.
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIAPLANTED000000001",
    "AWS_SECRET_ACCESS_KEY": "pl4nted/aws+secret/0000000000000000000002",
    "AWS_SESSION_TOKEN": "pl4nted-session-03==",
    "AZURE_STORAGE_KEY": "pl4nted-azure-04==",
    "AZURE_STORAGE_SAS_TOKEN": "sv=1&sig=pl4nted-sas-05",
    "AZURE_STORAGE_CONNECTION_STRING": "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=pl4nted-06==;",
    "MLFLOW_TRACKING_PASSWORD": "pl4nted-mlflow-07",
    "MLFLOW_TRACKING_TOKEN": "pl4nted-mlflow-08",
    "MLFLOW_S3_SECRET_KEY": "pl4nted-09",
    "OPENAI_API_KEY": "sk-pl4nted-0000000000000010",
    "HF_TOKEN": "hf_pl4nted000000000000000011",
    "GITHUB_TOKEN": "ghp_pl4nted0000000000000000000000000012",
    "DATABRICKS_TOKEN": "dapi00000000000000000000000pl4nted13",
    "RAY_AUTH_TOKEN": "pl4nted-ray-14",
    "PGPASSWORD": "pl4nted-pg-15",
    "WANDB_API_KEY": "pl4nted-wandb-16",
    "CLIENT_SECRET": "pl4nted-17",
    "TLS_PRIVATE_KEY": "-----BEGIN PRIVATE KEY-----\npl4nted000000018\n-----END PRIVATE KEY-----",
    "KEY_PASSPHRASE": "pl4nted-19",
    "HTTPS_PROXY_AUTH": "http://proxy:pl4nted-20@127.0.0.1:9",
    "DATABASE_URL": "postgresql://app:pl4nted-21@127.0.0.1:9/app",
}
SHORT = ("pl4nted", "PLANTED")  # what all of them have in common


def places(server: str) -> dict[str, str]:
    """Tracking URIs that cannot be used, each with a secret in another place."""
    odbc = quote_plus("DRIVER={ODBC Driver 18};SERVER=127.0.0.1,9;UID=sa;PWD={pl4nted;22}")
    return {
        "nobody there": "http://user:pl4nted-23@127.0.0.1:9",
        "a server that repeats it": server.replace("http://", "http://user:pl4nted-24@"),
        "a database that is not there": "postgresql://user:pl4nted-25@127.0.0.1:9/mlflow",
        "a slash and an at": "postgresql://user:pl4nted/2@6@127.0.0.1:9/mlflow",
        "quoted": f"postgresql://user:{quote('pl4nted@27', safe='')}@127.0.0.1:9/mlflow",
        "in the query": "postgresql:///mlflow?host=/nowhere&user=user&password=pl4nted-28",
        "no driver": "mysql+pymysql://user:pl4nted-29@127.0.0.1:9/mlflow",
        "no such dialect": "postgresql+nothing://user:pl4nted-30@127.0.0.1:9/mlflow",
        "no port": "postgresql://user:pl4nted-31@127.0.0.1:port/mlflow",
        "odbc": f"mssql+pyodbc:///?odbc_connect={odbc}",
        "databricks": "databricks://pl4nted-32:pl4nted-33@127.0.0.1",
    }


@pytest.fixture(scope="module")
def repeating():
    """An MLflow server that is healthy, and answers everything else with all secrets, the caller's among them."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            healthy = self.path == "/health"
            told = f"{self.headers.get('Authorization')} {json.dumps(ENVIRONMENT)} {'; '.join(ENVIRONMENT.values())}"
            body = b"OK" if healthy else json.dumps({"error_code": "INTERNAL_ERROR", "message": told}).encode()
            self.send_response(200 if healthy else 400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def planted(monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def leaks(text: str) -> list[str]:
    return [line for line in text.splitlines() if any(part in line for part in SHORT)]


def search(done, caplog, folder: Path) -> None:
    """No secret in what a command printed and logged, nor in any file or file's name."""
    assert leaks(done.out) == [] and leaks(done.err) == []
    formatter = logging.Formatter()
    assert leaks("\n".join(formatter.format(record) for record in caplog.records)) == []
    for path in folder.rglob("*"):
        assert leaks(str(path)) == []
        if path.is_file():
            content = path.read_bytes()
            assert not any(part.encode() in content for part in SHORT), path


@pytest.mark.parametrize("place", list(places("http://")))
def test_no_tracking_uri_gets_out(place, planted, repeating, imported_copy, tmp_path, retort, caplog, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", places(repeating)[place])
    caplog.set_level(logging.DEBUG)
    for words in (["ui", "--no-optuna"], ["evaluate", "0" * 32, "--split", "dev"]):
        done = retort(*words, "-w", imported_copy)
        assert done.code == 2 and "MLflow" in done.err, done.err
        assert "Traceback" not in done.err
        search(done, caplog, tmp_path)


def test_a_missing_driver_names_what_brings_it(planted, imported_copy, retort, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as where it is not installed
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://user:pl4nted-34@127.0.0.1:9/mlflow")
    done = retort("ui", "-w", imported_copy)
    assert done.code == 2 and "pip install 'retort[postgres]'" in done.err and leaks(done.err) == []


def test_no_endpoints_answer_gets_a_secret_out(planted, imported_copy, tmp_path, retort, caplog):
    message = "; ".join(ENVIRONMENT.values())
    with ChatServer(lambda question, attempt: refusal(400, message)) as server:
        words = ["rewrites", "generate", "--teacher", "t", "--split", "dev", "-w", imported_copy, "--yes"]
        done = retort(*words, "--base-url", server.url, "--model", "m", "--max-retries", "0")
    assert done.code == 1
    search(done, caplog, tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        ["show", "corpus", "-w", "s3://AKIAPLANTED000000035:pl4nted-36@bucket/w"],
        ["show", "corpus", "-w", "/nowhere/https://user:pl4nted-37@host/w"],
        [
            "rewrites",
            "generate",
            "--teacher",
            "t",
            "--split",
            "dev",
            "--model",
            "m",
            "--base-url",
            "http://u:pl4nted-38@h/v1",
        ],
        ["import", "synthetic", "entities=https://user:pl4nted-39@host"],
        ["distill", "https://user:pl4nted-40@host/e.yaml"],
        ["evaluate", "https://user:pl4nted-41@host/run", "--split", "dev"],
    ],
    ids=["s3", "a folder", "an endpoint", "a setting", "a file", "a run"],
)
def test_no_word_of_the_command_line_gets_out(words, planted, imported_copy, tmp_path, retort, caplog, monkeypatch):
    with socket.socket() as refused:
        refused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{refused.getsockname()[1]}")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        done = retort(*words, *([] if "-w" in words else ["-w", imported_copy]))
    assert done.code in (1, 2)
    search(done, caplog, tmp_path)


def test_what_nobody_foresaw_is_told_without_secrets(planted, tmp_path, caplog, monkeypatch):
    # A fault inside a command, which no code expects: the standard input is none.
    from retort.cli.process import without_secrets

    caplog.set_level(logging.DEBUG)
    with without_secrets():
        try:
            raise ValueError(f"bad: {ENVIRONMENT['OPENAI_API_KEY']}")
        except ValueError:
            logging.getLogger("some.library").exception("connecting to %s", ENVIRONMENT["DATABASE_URL"])
    text = "\n".join(logging.Formatter().format(record) for record in caplog.records)
    assert leaks(text) == [] and "postgresql://app:***@127.0.0.1:9/app" in text and "ValueError: bad: ***" in text


def test_mlflow_is_told_no_secret(planted, tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    secret = "postgresql://user:pl4nted-42@host/db"
    tracker = MlflowTracker(uri, "retort")
    run = tracker.start(f"run {secret}", tags={"where": secret, "key": ENVIRONMENT["HF_TOKEN"]})
    run.log_config({"url": secret, "nested": [{"password": "pl4nted-43", "plain": "lexical"}]})
    run.set_tags({"error": f"failed: {ENVIRONMENT['AWS_SECRET_ACCESS_KEY']}"})
    run.set_note(f"failed: {ENVIRONMENT['DATABASE_URL']}")
    run.log_inputs([TrackedInput("turns", "0a1b", "s3://key:pl4nted-44@bucket/w", "training")])
    run.log_config({"url": f"{secret}/other"})
    run.end()

    assert tracker.find()[0].params["nested"] == '[{"password": "***", "plain": "lexical"}]'
    assert public_uri(secret) == "postgresql://host/db"
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert not any(part.encode() in path.read_bytes() for part in SHORT), path


def test_a_store_that_fails_is_told_in_one_line(capsys):
    from botocore.exceptions import EndpointConnectionError, HTTPClientError

    from retort.cli import _failed

    for error in (EndpointConnectionError(endpoint_url="http://store"), HTTPClientError(error="cut off")):
        assert _failed(error) == 1
        told = capsys.readouterr().err
        assert told.startswith(f"failed: {type(error).__name__}: ") and told.count("\n") == 1
        assert told.endswith("; what was finished is kept, run the command again\n")
