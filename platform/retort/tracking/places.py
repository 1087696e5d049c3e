"""Where MLflow keeps runs and files: a workspace's own database, or what MLFLOW_TRACKING_URI names; and whether it answers."""

import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit, urlunsplit

from retort.errors import InputError, WorkspaceError

__all__ = [
    "beside_sqlite",
    "check_server",
    "default_artifact_root",
    "default_tracking_uri",
    "sqlite_file",
    "without_credentials",
]

SERVER_TIMEOUT_SECONDS: Final = 10
_DATABASES: Final = ("sqlite", "postgresql", "mysql", "mssql")


class _Place(Protocol):
    # What is needed of a workspace; storage stands beside tracking and is not imported here.
    @property
    def is_local(self) -> bool: ...
    @property
    def root(self) -> str: ...


def default_tracking_uri(workspace: _Place) -> str:
    """MLFLOW_TRACKING_URI where it is set, else a sqlite file in the workspace.

    Raises:
        WorkspaceError: If it is not set and the workspace is on an object store, where sqlite can't be.
    """
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        return uri
    if not workspace.is_local:
        raise WorkspaceError(
            f"the workspace {workspace.root} is not local, so that it cannot hold MLflow's database: set "
            "MLFLOW_TRACKING_URI to a server, or to a file such as sqlite:////path/mlflow.db"
        )
    return f"sqlite:///{workspace.root}/mlflow.db"


def without_credentials(uri: str) -> str:
    """A tracking URI as it may be shown and kept: without user, password and query."""
    parts = urlsplit(uri)
    if not parts.netloc:
        return uri  # a file
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def default_artifact_root(workspace: _Place, uri: str) -> str | None:
    """Where artifacts go: into the workspace for a database; None for a server, which decides itself."""
    if not uri.startswith(_DATABASES) or not workspace.is_local:
        return None
    return f"{workspace.root}/mlartifacts"


def check_server(uri: str) -> None:
    """Check that a server answers; a database is not checked. Raises ``InputError`` if no server does."""
    # MLflow's own retries take four minutes to say that nobody is there.
    if not uri.startswith(("http://", "https://")):
        return
    shown = without_credentials(uri)  # urllib takes none; whoever asks for some is there
    try:
        with urllib.request.urlopen(f"{shown.rstrip('/')}/health", timeout=SERVER_TIMEOUT_SECONDS):
            return
    except urllib.error.HTTPError as error:
        error.close()  # whoever answers, with whatever code, is there
    except OSError as error:
        raise InputError(
            f"no MLflow server answers at {shown} ({error}): start it, or change MLFLOW_TRACKING_URI"
        ) from error


def sqlite_file(uri: str) -> Path | None:
    """The file of a sqlite database; None for everything else."""
    name = uri.removeprefix("sqlite:///")
    return None if name in (uri, "", ":memory:") else Path(name).absolute()


def beside_sqlite(uri: str) -> str | None:
    """Where artifacts of a sqlite database go; None for everything else."""
    # MLflow's own default is the current folder, wherever that happens to be.
    file = sqlite_file(uri)
    return None if file is None else str(file.parent / "mlartifacts")
