"""One trial: distil one configuration, evaluate it on the validation turns, report both and where the time went.

A class trainable whose actor is reused: torch, the collection and its index are opened once per actor, and a trial pays for
training and evaluation alone. Its run lies in the workspace like any other, so that a trial that was interrupted between its
training and its report is not trained twice, and a sweep's configuration has the measures that it has alone.

What a trial fails of by itself is its result, which the actor reports. What Tune sees as an error is therefore always a machine,
a process or a store that failed, and Tune runs the trial again.
"""

import math
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ray import tune

from retort.distill.infrastructure import InfrastructureError, infrastructure_failure
from retort.errors import RunError
from retort.search.space import SearchSpace
from retort.storage import Workspace

__all__ = ["FAILED", "Opened", "Trial", "run_trial"]

FAILED = "failed"  # the key under which a trial reports its own exception


class Opened:
    """What the trials of one process share: the workspace's collections, indexes and training turns, each opened once."""

    def __init__(self, workspace: Workspace) -> None:
        from retort.shards.index import open_index
        from retort.shards.reader import Collection, TrainingTurns

        self.workspace = workspace
        self.collection = lru_cache(maxsize=2)(lambda name: Collection(workspace.folder(name)))
        self.turns = lru_cache(maxsize=4)(lambda name: TrainingTurns(workspace.folder(name)))
        self.index = lru_cache(maxsize=2)(lambda name: open_index(workspace.folder(name)))


def run_trial(opened: Opened, space: SearchSpace, point: Mapping[str, object]) -> dict[str, Any]:
    """Distil and evaluate one point.

    Returns:
        The validation turns' measures, ``run``, and ``seconds`` of training and evaluation.

    Raises:
        RetortError: If the point's settings do not go together, or training fails.
    """
    from retort.deploy.engines import ENGINES
    from retort.distill.trainer import distil_prepared
    from retort.evaluation.evaluate import evaluate_student
    from retort.evaluation.questions import VALIDATION
    from retort.evaluation.stage import OpenCollection
    from retort.evaluation.students import Run, open_run
    from retort.progress import silent
    from retort.shards.prepare import prepare

    experiment = space.experiment(point)
    # Prepared before the first trial: this finds the folders and starts nothing.
    prepared = prepare(opened.workspace, experiment, silent)
    distilled = distil_prepared(
        opened.workspace,
        experiment,
        prepared,
        open_collection=lambda folder: opened.collection(folder.name),
        open_turns=lambda folder: opened.turns(folder.name),
        retries=0,  # the sweep's driver retries, and tells of it
    )
    started = time.monotonic()
    collection = opened.collection(prepared.vectors.name)
    student = distilled.student
    if student is None:
        run = open_run(opened.workspace, distilled.run)
    else:
        folder, name = distilled.folder, distilled.run
        run = Run(folder, name, experiment, prepared.vectors, lambda: (student, collection.tokenizer))
    evaluation = evaluate_student(
        opened.workspace,
        run,
        split=VALIDATION,
        settings=experiment.evaluation,
        opened=OpenCollection(collection, opened.index(prepared.index.name)),
        engines=ENGINES,
    )
    return {
        "run": distilled.run,
        "measures": {name: float(value) for name, value in evaluation.measures.items() if name != "by_turn"},
        "seconds": {
            "training": 0.0 if distilled.reused else float(distilled.record.counts["training_seconds"]),
            "evaluation": round(time.monotonic() - started, 3),
        },
    }


class Trial(tune.Trainable):
    """Tune's side of a trial; one step is all of it."""

    def setup(self, config: dict[str, Any]) -> None:
        """Open the workspace; torch gets this actor's share of the processors."""
        import torch

        fixed = config["fixed"]
        torch.set_num_threads(int(fixed["threads"]))
        self.opened = Opened(Workspace(fixed["url"]))
        self.space = SearchSpace.described(fixed)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial's configuration into the warm actor."""
        self.config = new_config
        return True

    def step(self) -> dict[str, Any]:
        """Run the trial and report it.

        Raises:
            InfrastructureError: If something failed under the trial, which is no result.
        """
        point = {key: value for key, value in self.config.items() if key != "fixed"}
        started = time.monotonic()
        try:
            result = run_trial(self.opened, self.space, point)
        except Exception as error:
            if (words := infrastructure_failure(error)) is not None:
                # One class that every driver can read again, whatever library the error came from.
                raise InfrastructureError(words) from error
            # Tune wants a value for each objective.
            return {**dict.fromkeys(self.space.settings.objectives, math.nan), FAILED: _told(error), "done": True}
        result["seconds"]["step"] = round(time.monotonic() - started, 3)
        return {**result["measures"], **result, "done": True}


def _told(error: Exception) -> str:
    """An error as the last line of its traceback would have it."""
    kind = type(error)
    module = "" if kind.__module__ in ("builtins", RunError.__module__) else f"{kind.__module__}."
    return f"{module}{kind.__qualname__}: {error}"
