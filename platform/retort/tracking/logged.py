"""Whether MLflow's sqlite file has a run, found without MLflow: importing that takes 2.6 s, and opening its database two more."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from retort.tracking.places import sqlite_file

__all__ = ["holds_run", "surely_logged"]

_QUERY: Final = """
    SELECT runs.run_uuid FROM runs JOIN experiments ON experiments.experiment_id = runs.experiment_id
    WHERE runs.status = 'FINISHED' AND runs.lifecycle_stage = 'active'
      AND experiments.name = ? AND experiments.lifecycle_stage = 'active'
"""
_TAGGED: Final = (
    " AND EXISTS (SELECT 1 FROM tags WHERE tags.run_uuid = runs.run_uuid AND tags.key = ? AND tags.value = ?)"
)


def surely_logged(uri: str, experiment: str, *, tags: Mapping[str, str]) -> bool:
    """Whether a finished run with these tags is there; False means only that MLflow itself is to be asked.

    The tables are MLflow's own affair. Where they are not those that are known here, or the file is locked, nothing is claimed.

    Args:
        uri: The tracking URI; a server cannot be looked into, and is always to be asked.
        experiment: The name of MLflow's experiment.
        tags: All of them must be the run's.
    """
    file = sqlite_file(uri)
    if file is None or not file.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
            words = [experiment, *(word for tag in tags.items() for word in tag)]
            return database.execute(_QUERY + _TAGGED * len(tags), words).fetchone() is not None
    except sqlite3.OperationalError:
        return False


def holds_run(file: Path, run_id: str) -> bool:
    """Whether a sqlite file of MLflow's has a run of this id, deleted or not; False where it is no such file."""
    if not file.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
            return database.execute("SELECT 1 FROM runs WHERE run_uuid = ?", (run_id,)).fetchone() is not None
    except sqlite3.DatabaseError:
        return False
