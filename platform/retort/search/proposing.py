"""Optuna's search as Tune drives it, with a number for every trial: open proposals first, then Optuna's own.

A trial's number and configuration are on disk before Tune knows of it, so that no trial is forgotten.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ray.tune.search.optuna import OptunaSearch

from retort.search.trial import FAILED
from retort.storage import Folder
from retort.sweeps.proposals import Proposal, next_number, propose

__all__ = ["Proposing"]


class Proposing(OptunaSearch):
    """Optuna's search, which keeps what it proposes.

    Args:
        folder: The sweep's.
        again: Proposals without a result, which are proposed first.
        points: Configurations that are proposed next, before Optuna's own.
        settings: What Optuna's search takes besides.

    Attributes:
        proposals: The sweep's trials by Tune's own names of them.
    """

    def __init__(
        self, folder: Folder, again: Sequence[Proposal], points: Sequence[Mapping[str, Any]], **settings: Any
    ) -> None:
        enqueued = [dict(proposal.config) for proposal in again] + [dict(point) for point in points]
        super().__init__(points_to_evaluate=enqueued, **settings)
        self._folder, self._again, self._next = folder, list(again), next_number(folder)
        self.proposals: dict[str, Proposal] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The configuration of one more trial."""
        config: dict[str, Any] | None = super().suggest(trial_id)
        if config is None:
            return None
        if self._again:
            self.proposals[trial_id] = self._again.pop(0)
            return dict(self.proposals[trial_id].config)
        self.proposals[trial_id] = propose(self._folder, self._next, config)
        self._next += 1
        return config

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial that failed by itself has no values for Optuna to learn from."""
        failed = result is not None and FAILED in result
        super().on_trial_complete(trial_id, None if failed else result, error or failed)

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing: the sweep's own files are what a search goes on from."""
