"""Trials, run: Optuna proposes, Tune runs them on warm actors, and each is on disk before the next is proposed.

So a killed sweep goes on (``resume``) with all of them: Optuna's study is built again from the trials' own files, not from
Tune's state.
"""

import logging
import time

import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from ray import tune
from ray.tune.search.optuna import OptunaSearch

from retort.config import SearchSpaceConfig
from retort.errors import RunError
from retort.progress import Progress
from retort.search.following import Follower
from retort.search.resources import trial_share
from retort.search.space import SearchSpace
from retort.search.study import add_study
from retort.search.sweep import STAGE
from retort.search.trial import Trial
from retort.shards.session import ensure_ray
from retort.storage import Folder, Workspace
from retort.sweeps.listener import Listener
from retort.sweeps.sweep import read_trials

__all__ = ["search_trials"]

STUDY = "retort"


def _sampler(settings: SearchSpaceConfig, *, ended: int) -> BaseSampler:
    # A resumed sampler with the first one's seed would propose its first points again.
    seed = settings.seed + 1000 * ended
    if settings.sampler == "nsga2":
        return NSGAIISampler(seed=seed, population_size=max(4, min(50, settings.trials // 4)))
    if settings.sampler in ("random", "grid"):  # a grid's points are all given; nothing is left to propose
        return RandomSampler(seed=seed)
    # constant_liar: a trial that is still running keeps the next from being proposed beside it.
    return TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=max(4, settings.trials // 4))


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
    logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)  # a failed trial is reported here, once
    share = trial_share(concurrent, space.experiment({}).training)
    tried = [dict(point.config) for point in done]
    study = optuna.storages.InMemoryStorage()  # Optuna's search in Tune opens the study in it by its name
    add_study(study, STUDY, space, done)
    search = OptunaSearch(
        space=space.distributions(),
        metric=list(settings.objectives),
        mode=list(settings.objectives.values()),
        sampler=_sampler(settings, ended=len(done)),
        storage=study,
        study_name=STUDY,
        points_to_evaluate=[point for point in space.first_points() if point not in tried],
    )
    # A name of its own for every start of the sweep: Tune continues a run by its name, and we continue by our files.
    name = f"{folder.name.rsplit('/', 1)[-1]}-{time.time_ns():x}"
    storage = f"{workspace.root}/.ray_tune" if workspace.is_local else f"{workspace.url}/.ray_tune"
    follower = Follower(folder, len(done), settings, progress, listener)
    tuner = tune.Tuner(
        tune.with_resources(Trial, share.resources),
        param_space={"fixed": {"url": workspace.url, "threads": share.threads, **space.description()}},
        tune_config=tune.TuneConfig(
            search_alg=search,
            num_samples=missing,
            max_concurrent_trials=share.concurrent,
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
