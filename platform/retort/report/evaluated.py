"""Runs of sweeps, measured on one split: what the reports over several sweeps are made of.

Evaluations are a stage: what was measured before is read, and what is missing is measured with one open collection.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from retort.config import ExperimentConfig
from retort.deploy.engines import ENGINES
from retort.errors import InputError
from retort.evaluation.evaluate import evaluate_student
from retort.evaluation.runs import find_run, run_experiment
from retort.evaluation.stage import OpenCollection
from retort.evaluation.students import open_run
from retort.measures.registry import SHOWN
from retort.progress import Progress, silent
from retort.report.paper.grid import SeededRun, Turns
from retort.shards.index import open_index, prepare_index
from retort.shards.reader import Collection
from retort.storage import Folder, Workspace
from retort.storage.layout import EVALUATION
from retort.sweeps.sweep import Sweep

__all__ = ["SEED", "Evaluator"]

SEED = "training.seed"
STAGE = "report"


class Evaluator:
    """Measures runs on a split, by turn; all of them must be of the same turns.

    Args:
        workspace: Where the runs are.
        split: What they are measured on.
        progress: Called for every run.
    """

    def __init__(self, workspace: Workspace, split: str, progress: Progress = silent) -> None:
        self.workspace, self.split, self.progress = workspace, split, progress
        self._opened = lru_cache(maxsize=2)(self._open)
        self._values: dict[str, dict[str, np.ndarray]] = {}
        self._turns: Turns | None = None

    @property
    def turns(self) -> Turns:
        """The turns of the runs that were measured."""
        if self._turns is None:
            raise InputError("no run was measured: the sweeps have no finished trial")
        return self._turns

    def experiment(self, run: str) -> ExperimentConfig:
        """What a run was trained with."""
        return run_experiment(find_run(self.workspace, run))

    def seeded(self, sweep: Sweep) -> list[SeededRun]:
        """Every finished trial of a sweep, measured."""
        finished = sweep.finished
        runs = []
        for number, point in enumerate(finished):
            assert point.run is not None, "a finished trial has a run"
            self.progress(STAGE, number, len(finished), f"{sweep.label}: {point.run} on {self.split}")
            setting = {key: value for key, value in point.config.items() if key != SEED}
            seed = self.experiment(point.run).training.seed
            runs.append(SeededRun(point.run, setting, seed, self.values(point.run)))
        self.progress(STAGE, len(finished), len(finished), f"{sweep.label}: {len(finished)} runs on {self.split}")
        return runs

    def values(self, run: str) -> Mapping[str, np.ndarray]:
        """Measure -> (N,), by turn, in the order of ``turns``.

        Raises:
            InputError: If the run's turns are not those of the runs before it.
        """
        if run not in self._values:
            opened = open_run(self.workspace, run)
            done = evaluate_student(
                self.workspace,
                opened,
                split=self.split,
                settings=opened.config.evaluation,
                opened=self._opened(opened.vectors.name),
                engines=ENGINES,
            )
            self._values[run] = self._read(done.folder, run)
        return self._values[run]

    def measure_all(self, runs: Sequence[str]) -> None:
        """Measure runs; progress is called before each."""
        for number, run in enumerate(runs):
            self.progress(STAGE, number, len(runs), f"{run} on {self.split}")
            self.values(run)
        self.progress(STAGE, len(runs), len(runs))

    def _open(self, name: str) -> OpenCollection:
        vectors = self.workspace.folder(name)
        return OpenCollection(Collection(vectors), open_index(prepare_index(self.workspace, vectors, silent)))

    def _read(self, folder: Folder, run: str) -> dict[str, np.ndarray]:
        table = folder.read_table(EVALUATION.per_turn).sort_by("query_id")
        columns = {name: tuple(table[name].to_pylist()) for name in ("query_id", "conversation_id", "turn_number")}
        turns = Turns(columns["query_id"], columns["conversation_id"], columns["turn_number"])
        if self._turns is None:
            self._turns = turns
        if turns != self._turns:
            raise InputError(
                f"{run} was measured on {len(turns.query_ids)} turns of {self.split}, the runs before it on "
                f"{len(self._turns.query_ids)} others: report on sweeps with the same corpus settings only (--sweep)"
            )
        return {name: np.asarray(table[name].to_numpy(), dtype=np.float64) for name in SHOWN}
