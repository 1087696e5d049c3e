"""Trials, run: Optuna proposes, Tune runs them on warm actors, and each is on disk before the next is proposed.

So a killed sweep goes on (``resume``) with all of them: Optuna's study is built again from the trials' own files, not from
Tune's state. A trial whose machine failed is run again on another one; one that no attempt has brought to an end has no result.
"""

import logging
import os
import re
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from ray import tune

from retort.config import SearchSpaceConfig
from retort.errors import RunError
from retort.progress import Progress
from retort.search.following import Follower
from retort.search.proposing import Proposing
from retort.search.resources import trial_share
from retort.search.space import SearchSpace
from retort.search.study import add_study
from retort.search.sweep import STAGE
from retort.search.trial import Trial
from retort.shards.session import ensure_ray
from retort.storage import Folder, Workspace
from retort.storage.layout import SWEEP
from retort.sweeps.listener import Listener
from retort.sweeps.proposals import next_number, open_proposals
from retort.sweeps.sweep import read_trials
from retort.sweeps.trial import TrialPoint

__all__ = ["search_trials"]

STUDY = "retort"
TUNE = ".ray_tune"
MAX_TOLD = 5  # of the lost trials in the last message


def _sampler(settings: SearchSpaceConfig, *, begun: int) -> BaseSampler:
    # A resumed sampler with the first one's seed would propose its first points again.
    seed = settings.seed + 1000 * begun
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
    """Run the trials that a sweep is missing; an ended one is written, then reported to the listener.

    Raises:
        RunError: If trials are still missing at the end: the search was interrupted, or machines failed too often.
    """
    settings = space.settings
    standing = len(_standing(folder))
    progress(STAGE, standing, settings.trials, f"{standing} trials are kept" if standing else "")
    losses: dict[str, int] = {}  # by trial
    given_up: dict[str, str] = {}  # what they were lost to
    while (missing := _missing(folder, settings)) > len(given_up):
        follower = _search(
            workspace,
            space,
            folder,
            concurrent,
            progress,
            listener,
            losses=losses,
            given_up=given_up,
            count=missing - len(given_up),
        )
        if (left := _missing(folder, settings)) > len(given_up) + len(follower.lost):
            # Tune ends quietly on an interrupt. What is missing must not be taken for a finished sweep.
            ended = settings.trials - left
            raise RunError(
                f"interrupted after {ended} of {settings.trials} trials, which are kept; go on with --resume"
            )
        # Tune gives a trial up at once where its warm actor died before it began: such a one has attempts left.
        given_up |= {number: words for number, words in follower.lost.items() if losses[number] > settings.retries}
    if given_up:
        told = "; ".join(f"{number}: {words}" for number, words in sorted(given_up.items())[:MAX_TOLD])
        more = f"; and {len(given_up) - MAX_TOLD} more" if len(given_up) > MAX_TOLD else ""
        raise RunError(
            f"{len(given_up)} of {settings.trials} trials were lost {settings.retries + 1} times each to machines, processes "
            f"or stores that failed, which is no result ({told}{more}): the sweep is not complete, what has ended is kept, and "
            "--resume runs them"
        )


def _standing(folder: Folder) -> list[TrialPoint]:
    """The ended trials, without those that are being run again."""
    replaced = {one.retries for one in open_proposals(folder)}
    return [point for point in read_trials(folder) if point.trial not in replaced]


def _missing(folder: Folder, settings: SearchSpaceConfig) -> int:
    """How many trials are to be run: as many as are asked for, and those that are run again in any case."""
    retried = sum(one.retries is not None for one in open_proposals(folder))
    return max(settings.trials - len(_standing(folder)), retried)


def _search(
    workspace: Workspace,
    space: SearchSpace,
    folder: Folder,
    concurrent: int,
    progress: Progress,
    listener: Listener,
    *,
    losses: dict[str, int],
    given_up: Collection[str],
    count: int,
) -> Follower:
    """Run so many trials: open proposals first, then first points, then Optuna's own."""
    ensure_ray()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)  # a failed trial is reported here, once
    # Nobody reads Tune's own logs of a trial, and TensorBoard's thread dies, for ever unnoticed, when the clock is set back.
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    logging.getLogger("ray.tune.analysis.experiment_analysis").setLevel(logging.ERROR)  # which misses them
    settings, done, proposals = space.settings, _standing(folder), open_proposals(folder)
    share = trial_share(concurrent, space.experiment({}).training)
    again = [one for one in proposals if one.trial not in given_up]
    again = sorted(again, key=lambda one: one.retries is None)[:count]  # those for failed ones first
    begun = [dict(point.config) for point in done] + [dict(one.config) for one in proposals]
    study = optuna.storages.InMemoryStorage()  # Optuna's search in Tune opens the study in it by its name
    add_study(study, STUDY, space, done)
    search = Proposing(
        folder,
        again,
        [point for point in space.first_points() if point not in begun],
        space=space.distributions(),
        metric=list(settings.objectives),
        mode=list(settings.objectives.values()),
        sampler=_sampler(settings, begun=next_number(folder)),
        storage=study,
        study_name=STUDY,
    )
    follower = Follower(folder, search, len(done), losses, settings, progress, listener)
    with _own_storage(workspace, folder) as (storage, name):
        tune.Tuner(
            tune.with_resources(Trial, share.resources),
            param_space={"fixed": {"url": workspace.url, "threads": share.threads, **space.description()}},
            tune_config=tune.TuneConfig(
                search_alg=search,
                num_samples=count,
                max_concurrent_trials=share.concurrent,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name=name,
                storage_path=storage,
                verbose=0,
                callbacks=[follower],
                failure_config=tune.FailureConfig(max_failures=settings.retries),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            ),
        ).fit()
    return follower


@contextmanager
def _own_storage(workspace: Workspace, folder: Folder) -> Iterator[tuple[str, str]]:
    """Where Tune keeps what it writes by itself, and the name of this search in it.

    Nothing is ever read from it. It is removed at the end, and what killed drivers of this sweep have left before: the sweep's
    folder is locked, so that none of them lives.
    """
    label = SWEEP.label(folder.name)
    # A name of its own for every start of the sweep: Tune continues a run by its name, and we continue by our files.
    name = f"{label}-{time.time_ns():x}"

    def clear() -> None:
        for left in workspace.names(TUNE):
            if re.fullmatch(rf"{re.escape(label)}-[0-9a-f]+", left):
                workspace.fs.rm(f"{workspace.root}/{TUNE}/{left}", recursive=True)

    clear()
    try:
        yield (f"{workspace.root}/{TUNE}" if workspace.is_local else f"{workspace.url}/{TUNE}"), name
    finally:
        clear()
