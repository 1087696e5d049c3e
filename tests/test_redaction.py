"""No shape of a secret comes through, and no text without one is touched."""

import json
import os
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retort.errors import InputError
from retort.identity import fingerprint
from retort.redaction import HIDDEN, learn_from, public_uri, redacted, redacted_json, without_known

ODBC = "DRIVER={ODBC Driver 18};SERVER=db;DATABASE=mlflow;UID=sa;PWD={pw}"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAxyz\nabc+/123==\n-----END RSA PRIVATE KEY-----"
# What stands in a message, and what of it must not.
SHAPES = {
    "password": ("postgresql://user:s3cr-t@host/mlflow", "s3cr-t"),
    "an at in it": ("postgresql+psycopg2://user:s3@cr@host/mlflow", "s3@cr"),
    "a slash in it": ("mysql+pymysql://user:s3/cr@host:3306/mlflow", "s3/cr"),
    "quoted": ("postgresql://user:s3%40cr@host/mlflow", "s3%40cr"),
    "no host": ("postgresql:///mlflow?user=u&password=s3cr&host=/tmp", "s3cr"),
    "s3": ("s3://AKIAIOSFODNN7EXAMPLE:wJalr/XUtn@bucket/key", "wJalr"),
    "http": ("could not reach http://user:s3cr@host:5000/api", "s3cr"),
    "a user that is a token": ("https://0123tok@github.com/a/b", "0123tok"),
    "git": ("git+https://x-oauth:0123tok@github.com/a/b", "0123tok"),
    "databricks": ("databricks://0123tok@workspace", "0123tok"),
    "a quoted address": ("next=postgresql%3A%2F%2Fu%3As3cr%40host%2Fdb", "s3cr"),
    "odbc": (
        f"mssql+pyodbc:///?odbc_connect={quote_plus(ODBC.format_map({'pw': 's3cr', 'ODBC Driver 18': ''}))}",
        "s3cr",
    ),
    "odbc, braces": (f"odbc_connect={quote('SERVER=h;PWD={s3;cr};', safe='')}", "cr%7D"),
    "connection string": ("DRIVER={x};SERVER=h;UID=sa;PWD=s3cr;", "s3cr"),
    "azure": ("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=Zm9vYmFy==;", "Zm9vYmFy"),
    "sas": ("https://a.blob.core.windows.net/c?sv=2022&sig=Zm9v%3D&se=2030", "Zm9v"),
    "signed": ("https://b.s3.amazonaws.com/k?X-Amz-Signature=0a1b2c&X-Amz-Expires=60", "0a1b2c"),
    "signed, key id": ("https://b.s3.amazonaws.com/k?AWSAccessKeyId=AKIAX&Expires=60", "AKIAX"),
    "token parameter": ("GET /api?token=s3cr HTTP/1.1", "s3cr"),
    "libpq": ("connection to host=h user=u password='s3 cr' dbname=m failed", "s3 cr"),
    "keyword": ("connect(host='h', password=\"s3cr\")", "s3cr"),
    "json": ('{"secret_access_key": "s3cr/+", "region": "x"}', "s3cr"),
    "repr": ("{'key': 'x', 'secret': 's3cr'}", "s3cr"),
    "environment": ("MLFLOW_TRACKING_PASSWORD=s3cr is set", "s3cr"),
    "environment token": ("GITHUB_TOKEN=s3cr", "s3cr"),
    "bearer": ("Authorization: Bearer s3cr.abc", "s3cr"),
    "basic": ("headers={'Authorization': 'Basic dXNlcjpzM2Ny'}", "dXNlcjpzM2Ny"),
    "aws key": ("InvalidAccessKeyId: AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    "openai": ("Incorrect API key provided: sk-proj-abc0123456789abcdef", "sk-proj"),
    "hugging face": ("token hf_abcdefghijklmnopqrstuvwx is invalid", "hf_abc"),
    "github": ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "ghp_abc"),
    "databricks token": ("dapi0123456789abcdef0123456789abcdef", "dapi0"),
    "jwt": (f"cookie {JWT}", "eyJzdWIi"),
    "private key": (PEM, "MIIEow"),
}

PLAIN = [
    "pareto-1f3a2b4c: 3 trials, R@100 0.7813, FLOPS 12.4",
    "runs/splade-kld-0a1b2c3d/checkpoint/model.safetensors",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "s3://bucket/workspace/runs/x@y",
    "gs://bucket/a:b@c",
    "sqlite:////data/w/mlflow.db",
    "sqlite:////data/a:b@c/mlflow.db?mode=ro",
    "http://127.0.0.1:5000/#/experiments/1/runs?viewStateShareKey=retort",
    "http://host:8000/v1/user@example.org",
    "http://[::1]:5000/x@y",
    "postgresql://user@host/mlflow",
    "the key in OPENAI_API_KEY is not set; --key-env OPENAI_API_KEY, endpoint.key_env=OPENAI_API_KEY",
    'encoder.passage_tokens=48 max_tokens=256 {"token": "paris", "pad_token": "[PAD]", "mask_token": "[MASK]"}',
    "who won the token ring? what is a bearer of internationalization-2024?",
    "a basic question about scikit sk-learn and task-0123456789abcdef01",
    "password authentication failed for user u; password=None",
]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_a_secret_is_hidden(shape):
    text, secret = SHAPES[shape]
    assert secret in text
    hidden = redacted(f"failed: {text} (once)")
    assert secret not in hidden and HIDDEN in hidden and redacted(hidden) == hidden
    assert secret not in json.dumps(redacted_json({"error": [text]}))


@pytest.mark.parametrize("text", PLAIN)
def test_ordinary_text_is_left_as_it_is(text):
    assert redacted(text) == text and redacted_json({text: [text, 1, None]}) == {text: [text, 1, None]}


def test_what_says_where_it_is_stays():
    assert redacted("postgresql://user:s3cr@host:5432/mlflow?sslmode=require") == (
        "postgresql://user:***@host:5432/mlflow?sslmode=require"
    )


WORDS = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=0, max_size=60)
NAMES = st.from_regex(r"[a-z][a-z0-9_.-]{0,30}", fullmatch=True)


@given(st.lists(WORDS | NAMES | st.binary(min_size=32, max_size=32).map(bytes.hex), max_size=5))
def test_text_without_marks_is_never_touched(parts):
    text = "/".join(part.replace("=", "").replace(":", "").replace("%", "") for part in parts)
    if not any(mark in text.lower() for mark in ("bearer", "basic", "authorization")):
        assert redacted(text) == text and redacted_json([text]) == [text]


@given(scheme=st.sampled_from(["s3", "gs", "http", "sqlite", "file"]), bucket=NAMES, keys=st.lists(NAMES, max_size=4))
def test_addresses_without_a_password_are_never_touched(scheme, bucket, keys):
    text = f"{scheme}://{'/'.join([bucket, *keys])}"
    assert redacted(text) == text == public_uri(text)


@given(st.lists(st.sampled_from([text for text, _ in SHAPES.values()] + PLAIN) | WORDS, max_size=4).map(" ".join))
def test_what_is_hidden_once_is_hidden(text):
    assert redacted(redacted(text)) == redacted(text)


@given(password=st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1, max_size=20))
def test_a_quoted_password_never_comes_through(password):
    uri = f"postgresql://u:{quote(password, safe='')}@host/db"
    assert redacted(uri) == "postgresql://u:***@host/db" and public_uri(uri) == "postgresql://host/db"


def test_known_values_are_hidden_wherever_they_stand(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCY")
    monkeypatch.setenv("SOME_SERVICE_TOKEN", "tok3n-for-it")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://mlflow:p%40ss-w0rd@host/mlflow")
    monkeypatch.setenv("TLS_PRIVATE_KEY", PEM)
    text = "a wJalrXUtnFEMI/K7MDENG+bPxRfiCY b wJalrXUtnFEMI%2FK7MDENG%2BbPxRfiCY c tok3n-for-itx d p@ss-w0rd e p%40ss-w0rd"
    assert redacted(text) == "a *** b *** c ***x d *** e ***" == without_known(text)
    assert redacted_json(text) == redacted(text)
    assert redacted("line MIIEowIBAAKCAQEAxyz of it") == "line *** of it"


def test_a_known_value_that_may_be_a_name_is_hidden_in_messages_only(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "informative")
    assert redacted("refused: informative") == "refused: ***" and redacted("uninformative") == "uninformative"
    assert redacted_json({"teacher": "informative"}) == {"teacher": "informative"}
    assert redacted_json({"password": "informative"}) == {"password": HIDDEN}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PWD", "/home/me/retort-w0rk"),
        ("RAY_AUTH_TOKEN_PATH", "/home/me/.ray/auth_t0ken"),
        ("POSTGRES_PASSWORD", "postgres"),
        ("API_KEY", "x"),
        ("BUILD_TOKEN", "12345678"),
    ],
)
def test_what_is_no_secret_or_any_word_is_no_known_value(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    assert redacted(f"it is {value} here") == f"it is {value} here"


def test_the_password_of_the_same_name_as_its_user_is_no_known_value(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://grapefruit:grapefruit@host/db")
    assert redacted("grapefruit") == "grapefruit"


def test_what_the_command_line_says_is_known():
    learn_from(["retort", "-w", "s3://key:cl1-secret-0815@bucket/w"])
    assert redacted("InvalidKey cl1-secret-0815") == "InvalidKey ***"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://user:pa55@host:5000/path?token=s", "https://host:5000/path"),
        ("postgresql+psycopg2://user:pa@55@host/mlflow", "postgresql+psycopg2://host/mlflow"),
        ("postgresql://u:a/b@host/mlflow?sslmode=require&password=x", "postgresql://host/mlflow?sslmode=require"),
        ("postgresql:///db?user=me&password=s&host=/tmp", "postgresql:///db?host=/tmp"),
        ("mssql+pyodbc:///?odbc_connect=SERVER%3Dh%3BUID%3Dsa%3BPWD%3Dx", "mssql+pyodbc:///?odbc_connect=SERVER%3Dh"),
        ("databricks://tok@host", "databricks://host"),
        ("databricks", "databricks"),
        ("sqlite:////data/w/mlflow.db", "sqlite:////data/w/mlflow.db"),
        ("file:///data/mlruns", "file:///data/mlruns"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    ],
)
def test_an_address_is_shown_and_compared_without_secrets(uri, shown):
    assert public_uri(uri) == shown == public_uri(shown)


def test_a_long_text_is_done_with_at_once():
    for text in ("a" * 2_000_000, "a_" * 200_000, "eyJ" * 100_000, "x://a:" * 10_000, "%3A%2F%2F" * 10_000):
        before = os.times().user
        redacted(text)
        assert os.times().user - before < 10


def test_no_secret_gets_into_a_fingerprint():
    with pytest.raises(InputError, match=r"vectors\.model holds what looks like a password") as failed:
        fingerprint("vectors", 1, config={"model": "https://user:s3cr@hub/model"}, inputs={})
    assert "s3cr" not in str(failed.value)
