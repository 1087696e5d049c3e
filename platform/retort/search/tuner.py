"""Trials, run: Optuna proposes, Tune runs them on warm actors, and each is on disk before the next is proposed.

So a killed sweep goes on (``resume``) with all of them: Optuna's study is built again from the trials' own files, not from
Tune's state.
"""

import logging
import math
import time
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from ray import tune
from ray.tune.search.optuna import OptunaSearch

from retort.config import SearchSpaceConfig
from retort.errors import RunError
from retort.progress import Progress
from retort.search.space import SearchSpace
from retort.search.study import add_study
from retort.search.sweep import STAGE
from retort.search.trial import Trial
from retort.shards.session import cluster_cpus, cluster_gpus, ensure_ray, on_cluster, smallest_machine
from retort.storage import Folder, Workspace
from retort.sweeps.listener import Listener
from retort.sweeps.sweep import read_trials, write_trial
from retort.sweeps.trial import TrialPoint

__all__ = ["search_trials", "trial_resources"]

STUDY = "retort"
GPU_TRIAL_CPUS = 4
PARTS = ("training", "evaluation", "overhead")  # of a trial's time, in the order in which they are told


def _sampler(settings: SearchSpaceConfig, *, ended: int) -> BaseSampler:
    # A resumed sampler with the first one's seed would propose its first points again.
    seed = settings.seed + 1000 * ended
    if settings.sampler == "nsga2":
        return NSGAIISampler(seed=seed, population_size=max(4, min(50, settings.trials // 4)))
    if settings.sampler in ("random", "grid"):  # a grid's points are all given; nothing is left to propose
        return RandomSampler(seed=seed)
    # constant_liar: a trial that is still running keeps the next from being proposed beside it.
    return TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=max(4, settings.trials // 4))


def _study(space: SearchSpace, points: list[TrialPoint]) -> optuna.storages.BaseStorage:
    """A study that knows the ended trials; Optuna's search in Tune opens it by its name."""
    storage = optuna.storages.InMemoryStorage()
    add_study(storage, STUDY, space, points)
    return storage


def search_trials(
    workspace: Workspace,
    space: SearchSpace,
    folder: Folder,
    concurrent: int,
    progress: Progress,
    listener: Listener,
) -> None:
    """Run the trials that a sweep is missing; an ended one is written, then reported to the listener."""
    done = read_trials(folder)
    settings = space.settings
    missing = settings.trials - len(done)
    progress(STAGE, len(done), settings.trials, f"{len(done)} trials are kept" if done else "")
    if missing <= 0:
        return
    ensure_ray()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)  # a failed trial is told of here, once
    base = space.experiment({})
    cpus = cluster_cpus()
    if base.training.workers:
        # The trial waits for its workers: it must reserve next to nothing, and no more may run than have workers.
        concurrent = concurrent if on_cluster() else min(concurrent, max(1, cpus // base.training.workers))
        resources: dict[str, float] = {"memory": 1 << 20}
        threads = 1
    else:
        # A cluster may start nodes for trials that wait; this machine has the processors that it has.
        concurrent = concurrent if on_cluster() else min(concurrent, cpus)
        resources = trial_resources(
            concurrent,
            cpus=cpus,
            smallest=smallest_machine(),
            gpus=cluster_gpus(),
            grows=on_cluster(),
            needs_gpu=base.training.precision == "fp16",
        )
        threads = int(resources["cpu"])
    tried = [dict(point.config) for point in done]
    search = OptunaSearch(
        space=space.distributions(),
        metric=list(settings.objectives),
        mode=list(settings.objectives.values()),
        sampler=_sampler(settings, ended=len(done)),
        storage=_study(space, done),
        study_name=STUDY,
        points_to_evaluate=[point for point in space.first_points() if point not in tried],
    )
    # A name of its own for every start of the sweep: Tune continues a run by its name, and we continue by our files.
    name = f"{folder.name.rsplit('/', 1)[-1]}-{time.time_ns():x}"
    storage = f"{workspace.root}/.ray_tune" if workspace.is_local else f"{workspace.url}/.ray_tune"
    follower = _Follower(folder, len(done), settings, progress, listener)
    tuner = tune.Tuner(
        tune.with_resources(Trial, resources),
        param_space={"fixed": {"url": workspace.url, "threads": threads, **space.description()}},
        tune_config=tune.TuneConfig(
            search_alg=search,
            num_samples=missing,
            max_concurrent_trials=concurrent,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=storage,
            verbose=0,
            callbacks=[follower],
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    )
    tuner.fit()
    ended = len(read_trials(folder))
    if ended < settings.trials:
        # Tune ends quietly on an interrupt. What is missing must not be taken for a finished sweep.
        raise RunError(f"interrupted after {ended} of {settings.trials} trials, which are kept; go on with --resume")
    leftovers = f"{workspace.root}/.ray_tune/{name}"
    if workspace.fs.exists(leftovers):
        workspace.fs.rm(leftovers, recursive=True)


def trial_resources(
    concurrent: int, *, cpus: int, smallest: int, gpus: int, grows: bool, needs_gpu: bool
) -> dict[str, float]:
    """What a trial asks Ray for, such that one machine can give it.

    Args:
        concurrent: Trials at a time.
        cpus: Processors of all machines that are up.
        smallest: Processors of the smallest of them.
        gpus: GPUs of all of them.
        grows: Whether a trial may wait for a machine that is not up yet.
        needs_gpu: Whether training runs on nothing else.
    """
    resources: dict[str, float] = {"cpu": max(1, min(smallest, cpus // concurrent))}
    if grows and (gpus or needs_gpu):
        # A GPU's machine may have few processors, and a trial on a GPU needs few.
        resources |= {"cpu": min(resources["cpu"], GPU_TRIAL_CPUS), "gpu": 1}
    elif gpus:
        # Of this machine's: several trials on one where there are fewer, in parts that add up to it.
        resources["gpu"] = min(1.0, math.floor(1e4 * gpus / concurrent) / 1e4)
    return resources


class _Follower(tune.Callback):
    """Tune's callback: writes an ended trial's file, then tells of it."""

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
        result = trial.last_result
        seconds = dict(result["seconds"])
        wall = time.monotonic() - self.began[trial.trial_id]
        seconds["overhead"] = round(wall - seconds["training"] - seconds["evaluation"], 3)
        self._keep(trial, run=result["run"], validation=dict(result["measures"]), seconds=seconds)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Keep a failed trial: it is part of the sweep's result."""
        self._keep(trial, run=None, validation={}, seconds={}, error=_error_of(trial))

    def _keep(self, trial: Any, *, error: str | None = None, **values: Any) -> None:
        point = TrialPoint(
            trial=f"{self.ended:04d}",
            config={key: trial.config[key] for key in self.settings.search},
            status="finished" if error is None else "failed",
            error=error,
            **values,
        )
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
