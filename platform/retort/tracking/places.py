"""Where MLflow keeps runs and files: a workspace's own database, or what MLFLOW_TRACKING_URI names; and whether it answers.

A sweep records where it was logged: without secrets, and its workspace's own database by a word that holds wherever the
workspace goes.
"""

import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

from retort.errors import InputError, WorkspaceError
from retort.redaction import public_uri, redacted

__all__ = [
    "ARTIFACTS",
    "beside_sqlite",
    "check_server",
    "default_artifact_root",
    "default_tracking_uri",
    "is_own",
    "local_path",
    "recorded_uri",
    "resolved_uri",
    "sqlite_file",
]

SERVER_TIMEOUT_SECONDS: Final = 10
ARTIFACTS: Final = "mlartifacts"  # the folder of a workspace's own files in MLflow
_DATABASE: Final = "mlflow.db"
_OWN: Final = f"workspace:{_DATABASE}"
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
    return f"sqlite:///{workspace.root}/{_DATABASE}"


def is_own(workspace: _Place, uri: str) -> bool:
    """Whether a tracking URI is the workspace's own database."""
    file = sqlite_file(uri)
    return file is not None and workspace.is_local and file.resolve() == Path(workspace.root, _DATABASE).resolve()


def recorded_uri(workspace: _Place, uri: str) -> str:
    """A tracking URI as a sweep of the workspace records it: without secrets, and free of the workspace's own place."""
    return _OWN if is_own(workspace, uri) else public_uri(uri)


def resolved_uri(workspace: _Place, recorded: str, *, uri: str, has_run: Callable[[Path], bool]) -> str:
    """What a sweep has recorded, as the URI that it is now, without secrets.

    Retort 0.1 recorded a workspace's database with the place where it then was. Where that is gone, or where the
    workspace's own database has the run, the workspace was moved or copied, and its own is meant.

    Args:
        workspace: Which has the sweep.
        recorded: What it recorded.
        uri: The tracking URI that is used now.
        has_run: Whether a sqlite file has the sweep's run.
    """
    now, file = public_uri(uri), sqlite_file(recorded)
    if workspace.is_local:
        own = Path(workspace.root, _DATABASE)
        moved = file is not None and file.name == _DATABASE and (not file.exists() or has_run(own))
        if recorded == _OWN or moved or is_own(workspace, recorded):
            used = sqlite_file(uri)
            # Of a copy, the database of the original may be named on purpose: it has the run too.
            here = is_own(workspace, uri) or (used is not None and has_run(used))
            return now if here else public_uri(f"sqlite:///{own}")
    shown = public_uri(recorded)
    return now if shown == now.partition("?")[0] else shown  # 0.1 recorded no parameters at all


def default_artifact_root(workspace: _Place, uri: str) -> str | None:
    """Where artifacts go: into the workspace for a database; None for a server, which decides itself."""
    if not uri.startswith(_DATABASES) or not workspace.is_local:
        return None
    return f"{workspace.root}/{ARTIFACTS}"


def check_server(uri: str) -> None:
    """Check that a server, or a database's, answers; a sqlite file is not checked. Raises ``InputError`` if it does not."""
    # MLflow's own retries take four minutes to say that no server is there, and two that no database is.
    if uri.startswith(_DATABASES) and not uri.startswith("sqlite"):
        _check_database(uri)
    if not uri.startswith(("http://", "https://")):
        return
    shown = public_uri(uri)  # urllib takes none; whoever asks for some is there
    try:
        with urllib.request.urlopen(f"{shown.rstrip('/')}/health", timeout=SERVER_TIMEOUT_SECONDS):
            return
    except urllib.error.HTTPError as error:
        error.close()  # whoever answers, with whatever code, is there
    except OSError as error:
        raise InputError(
            f"no MLflow server answers at {shown} ({error}): start it, or change MLFLOW_TRACKING_URI"
        ) from error


def _check_database(uri: str) -> None:
    import sqlalchemy

    shown = public_uri(uri)
    limit = {"connect_timeout": SERVER_TIMEOUT_SECONDS} if uri.startswith("postgresql") else {}
    try:
        engine = sqlalchemy.create_engine(uri, connect_args=limit)
        try:
            engine.connect().close()
        finally:
            engine.dispose()
    except ImportError as error:
        way_out = (
            "pip install 'retort[postgres]'" if uri.startswith("postgresql") else "install the driver that it names"
        )
        raise InputError(f"MLflow at {shown} needs a database driver ({redacted(str(error))}): {way_out}") from error
    except (sqlalchemy.exc.SQLAlchemyError, ValueError) as error:
        what = redacted(str(error)).partition("\n(Background on this error")[0]
        raise InputError(
            f"MLflow's database at {shown} cannot be used: start it, or change MLFLOW_TRACKING_URI ({what})"
        ) from error


def sqlite_file(uri: str) -> Path | None:
    """The file of a sqlite database; None for everything else."""
    name = uri.removeprefix("sqlite:///")
    file = name.partition("?")[0]
    return None if name == uri or file in ("", ":memory:") else Path(file).absolute()


def local_path(location: str) -> Path | None:
    """The path of a local place, given as such or as ``file:`` URI; None for every other place."""
    parts = urlsplit(location)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme else Path(location)


def beside_sqlite(uri: str) -> str | None:
    """Where artifacts of a sqlite database go; None for everything else."""
    # MLflow's own default is the current folder, wherever that happens to be.
    file = sqlite_file(uri)
    return None if file is None else str(file.parent / ARTIFACTS)
