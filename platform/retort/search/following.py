"""What happens when a trial has ended: its file is written, then the user and the sweep's listener hear of it."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import tune

from retort.config import SearchSpaceConfig
from retort.errors import RunError
from retort.progress import Progress
from retort.search.sweep import STAGE
from retort.storage import Folder
from retort.sweeps.listener import Listener
from retort.sweeps.sweep import write_trial
from retort.sweeps.trial import Scalar, TrialPoint

__all__ = ["Follower", "finished_point"]

PARTS = ("training", "evaluation", "overhead")  # of a trial's time, in the order in which they are printed


def finished_point(number: str, config: Mapping[str, Scalar], result: Mapping[str, Any], wall: float) -> TrialPoint:
    """A finished trial.

    Args:
        number: The trial's number in its sweep, ``0003``.
        config: Its searched settings.
        result: What :func:`retort.search.trial.run_trial` returned.
        wall: Seconds from its start to its end; what training and evaluation did not take is overhead.
    """
    seconds = dict(result["seconds"])
    seconds["overhead"] = round(wall - seconds["training"] - seconds["evaluation"], 3)
    return TrialPoint(result["run"], number, config, dict(result["measures"]), seconds=seconds)


class Follower(tune.Callback):
    """Tune's callback: writes an ended trial's file, then calls progress and listener."""

    def __init__(
        self, folder: Folder, ended: int, settings: SearchSpaceConfig, progress: Progress, listener: Listener
    ) -> None:
        self.folder, self.ended, self.settings = folder, ended, settings
        self.progress, self.listener = progress, listener
        self.began: dict[str, float] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks into a state of its own, from which nothing is ever restored here.
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial's time begins when Tune gives it an actor."""
        self.began[trial.trial_id] = time.monotonic()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Keep a finished trial."""
        seconds = time.monotonic() - self.began[trial.trial_id]
        self._keep(finished_point(self._number, self._config(trial), trial.last_result, seconds))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Keep a failed trial: it is part of the sweep's result."""
        error = _error_of(trial)
        self._keep(TrialPoint(None, self._number, self._config(trial), {}, status="failed", error=error))

    @property
    def _number(self) -> str:
        return f"{self.ended:04d}"

    def _config(self, trial: Any) -> dict[str, Any]:
        return {key: trial.config[key] for key in self.settings.search}

    def _keep(self, point: TrialPoint) -> None:
        write_trial(self.folder, point)
        self.ended += 1
        self.progress(STAGE, self.ended, self.settings.trials, _line(point, self.settings))
        self.listener.ended(point)


def _error_of(trial: Any) -> str:
    # From Tune's file on the driver's disk: the trial's storage, which get_error() reads, has it only when all is over.
    file = trial.error_file
    lines = Path(file).read_text(encoding="utf-8").strip().splitlines() if file and Path(file).exists() else []
    # The last line of a remote traceback is the error; above it are Ray's frames.
    return lines[-1].removeprefix(f"{RunError.__module__}.") if lines else "unknown error"


def _line(point: TrialPoint, settings: SearchSpaceConfig) -> str:
    if point.status == "failed":
        return f"trial {point.trial} failed: {point.error}"
    figures = ", ".join(f"{name} {point.validation[name]:.3f}" for name in settings.objectives)
    time_of = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in point.seconds.items() if part in PARTS)
    return f"trial {point.trial}: {figures}; {time_of}"
