"""Where runs are logged: MLflow behind one small interface, and a tracker in memory for tests.

Nothing here imports mlflow before an :class:`MlflowTracker` is made: importing it takes seconds.

- ``interface``: what a tracker and a run that is tracked can do.
- ``names``: the reversible map between measures and the names that MLflow accepts; parameters from a configuration.
- ``mlflow_tracker``: a sqlite file in the workspace, or the server at MLFLOW_TRACKING_URI.
- ``places``: which of both it is, and whether it answers.
- ``moved``: takes the runs' files along where a workspace was copied or moved.
- ``logged``: finds out without mlflow whether a local database has a run.
- ``memory``: keeps everything in dictionaries.
"""

from retort.redaction import public_uri
from retort.tracking.interface import EndStatus, FoundRun, TrackedInput, TrackedRun, Tracker
from retort.tracking.logged import holds_run, surely_logged
from retort.tracking.memory import MemoryRun, MemoryTracker
from retort.tracking.mlflow_tracker import MlflowTracker, look_up
from retort.tracking.names import flat_params, measure_name, metric_name
from retort.tracking.places import default_artifact_root, default_tracking_uri, recorded_uri, resolved_uri

__all__ = [
    "EndStatus",
    "FoundRun",
    "MemoryRun",
    "MemoryTracker",
    "MlflowTracker",
    "TrackedInput",
    "TrackedRun",
    "Tracker",
    "default_artifact_root",
    "default_tracking_uri",
    "flat_params",
    "holds_run",
    "look_up",
    "measure_name",
    "metric_name",
    "public_uri",
    "recorded_uri",
    "resolved_uri",
    "surely_logged",
]
