"""A workspace that was copied or moved takes its MLflow runs along: MLflow keeps absolute paths of their files.

The paths are changed in the database itself, before MLflow opens it: otherwise a copy would write into the folder that it
was copied from.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from retort.tracking.places import ARTIFACTS, local_path

__all__ = ["take_along"]

_COLUMNS: Final = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
_WAIT_SECONDS: Final = 60.0  # for somebody who writes at this moment


def take_along(database: Path, experiment: str, artifacts: Path) -> Path | None:
    """Let the files of an experiment's runs be those in the workspace that holds the database; nothing else is changed.

    Args:
        database: The workspace's own sqlite file.
        experiment: The name of MLflow's experiment.
        artifacts: Where its files are now.

    Returns:
        Where they were said to be, where that was changed.
    """
    if not database.is_file():
        return None
    with closing(sqlite3.connect(database, timeout=_WAIT_SECONDS, isolation_level=None)) as connection:
        before = _location(connection, experiment)
        if before is None or not _was_own(before, artifacts):
            return None
        connection.execute("BEGIN IMMEDIATE")
        try:
            for table, column in _COLUMNS:
                if column in {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}:
                    _replace(connection, table, column, before, str(artifacts))
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    return local_path(before)


def _location(connection: sqlite3.Connection, experiment: str) -> str | None:
    try:
        found = connection.execute("SELECT artifact_location FROM experiments WHERE name = ?", (experiment,)).fetchone()
    except sqlite3.OperationalError:
        return None  # a database without tables yet, or of another form: MLflow itself says what it thinks of it
    return None if found is None else found[0]


def _was_own(location: str, artifacts: Path) -> bool:
    # Whoever chose a place of their own chose another name, or no local folder.
    path = local_path(location)
    return path is not None and path.name == ARTIFACTS and path.resolve() != artifacts.resolve()


def _replace(connection: sqlite3.Connection, table: str, column: str, before: str, after: str) -> None:
    connection.execute(
        f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} = ? OR substr({column}, 1, ?) = ?",
        (after, len(before) + 1, before, len(before) + 1, f"{before}/"),
    )
