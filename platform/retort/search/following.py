"""What happens when a trial ends or is lost: its file is written, then the user and the sweep's listener hear of it."""

import pickle
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import tune

from retort.config import SearchSpaceConfig
from retort.distill.infrastructure import infrastructure_failure
from retort.progress import Progress
from retort.search.proposing import Proposing
from retort.search.sweep import STAGE
from retort.search.trial import FAILED
from retort.storage import Folder
from retort.sweeps.listener import Listener
from retort.sweeps.sweep import write_trial
from retort.sweeps.trial import Scalar, TrialPoint

__all__ = ["Follower", "finished_point"]

PARTS = ("training", "evaluation", "overhead")  # of a trial's time, in the order in which they are printed


def finished_point(
    number: str, config: Mapping[str, Scalar], result: Mapping[str, Any], wall: float, *, retries: str | None = None
) -> TrialPoint:
    """A finished trial.

    Args:
        number: The trial's number in its sweep, ``0003``.
        config: Its searched settings.
        result: What :func:`retort.search.trial.run_trial` returned.
        wall: Seconds from its start to its end; what training and evaluation did not take is overhead.
        retries: The failed trial that it runs again.
    """
    seconds = dict(result["seconds"])
    seconds["overhead"] = round(wall - seconds["training"] - seconds["evaluation"], 3)
    return TrialPoint(result["run"], number, config, dict(result["measures"]), seconds=seconds, retries=retries)


class Follower(tune.Callback):
    """Tune's callback: writes an ended trial's file, then calls progress and listener; tells of a trial that was lost.

    Attributes:
        ended: How many trials of the sweep have ended.
        lost: The trials that Tune has given up, which have no result: what failed under them, by number.
        losses: How often each trial was lost, in this search and those before it; counted on here.
    """

    def __init__(
        self,
        folder: Folder,
        search: Proposing,
        ended: int,
        losses: dict[str, int],
        settings: SearchSpaceConfig,
        progress: Progress,
        listener: Listener,
    ) -> None:
        self.folder, self.search, self.ended, self.losses = folder, search, ended, losses
        self.settings, self.progress, self.listener = settings, progress, listener
        self.began: dict[str, float] = {}
        self.lost: dict[str, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks into a state of its own, from which nothing is ever restored here.
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial's time begins when Tune gives it an actor."""
        self.began[trial.trial_id] = time.monotonic()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Keep an ended trial: one that failed by itself is part of the sweep's result, too."""
        proposal, result = self.search.proposals[trial.trial_id], trial.last_result
        if FAILED in result:
            config, retries = proposal.config, proposal.retries
            error = str(result[FAILED])
            point = TrialPoint(None, proposal.trial, config, {}, status="failed", error=error, retries=retries)
        elif "run" in result:
            seconds = time.monotonic() - self.began[trial.trial_id]
            point = finished_point(proposal.trial, proposal.config, result, seconds, retries=proposal.retries)
        else:
            return  # Tune stops what runs when it is interrupted, and calls that complete
        write_trial(self.folder, point)
        self.ended += 1
        self.progress(STAGE, self.ended, self.settings.trials, _line(point, self.settings))
        self.listener.ended(point)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell of a trial that was lost and is tried again."""
        self._tell_lost(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Remember a trial that Tune does not try again: it has no result."""
        number, words = self._tell_lost(trial)
        self.lost[number] = words

    def _tell_lost(self, trial: Any) -> tuple[str, str]:
        number, words = self.search.proposals[trial.trial_id].trial, _failure_of(trial)
        self.losses[number] = attempt = self.losses.get(number, 0) + 1
        follows = f"tried again, {attempt} of {self.settings.retries}"
        if attempt > self.settings.retries:
            follows = "not tried again"
        self.progress(STAGE, self.ended, self.settings.trials, f"trial {number} was lost: {words}; {follows}")
        return number, words


def _failure_of(trial: Any) -> str:
    # From Tune's files on the driver's disk; the trial's storage, which get_error() reads, has them only when all is over.
    pickled, text = trial.pickled_error_file, trial.error_file
    if pickled and Path(pickled).exists():
        error = pickle.loads(Path(pickled).read_bytes())
        if (words := infrastructure_failure(error)) is not None:
            return words
    lines = Path(text).read_text(encoding="utf-8").strip().splitlines() if text and Path(text).exists() else []
    return lines[-1] if lines else "unknown error"


def _line(point: TrialPoint, settings: SearchSpaceConfig) -> str:
    again = "" if point.retries is None else f", again for {point.retries}"
    if point.status == "failed":
        return f"trial {point.trial}{again} failed: {point.error}"
    figures = ", ".join(f"{name} {point.validation[name]:.3f}" for name in settings.objectives)
    time_of = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in point.seconds.items() if part in PARTS)
    return f"trial {point.trial}{again}: {figures}; {time_of}"
