"""A sweep: Optuna proposes, Tune runs the trials on warm actors, the front is computed from their own results.

``sweeps/<name>-<fingerprint>/`` holds ``sweep.json``, one file per ended trial, and at the end the front as JSON, PNG and
HTML. Every ended trial is on disk before the next is told of, so that a killed sweep goes on (``resume``) with all of them:
Optuna's study is built again from the trials' own files, not from Tune's state.
"""

import logging
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from ray import tune
from ray.tune.search.optuna import OptunaSearch

from retort.config import MIN_REFERENCE_FLOPS, EvaluationConfig, SearchSpaceConfig
from retort.deploy.engines import ENGINES
from retort.distill import identity as checkpoint
from retort.distill.trainer import training_device
from retort.distill.worker import check_precision
from retort.errors import InputError, RunError
from retort.evaluation import evaluate
from retort.evaluation.evaluate import VALIDATION, evaluate_baseline, evaluate_run
from retort.measures.registry import Direction
from retort.progress import Progress
from retort.search.space import SearchSpace
from retort.search.study import add_study
from retort.search.trial import Trial
from retort.shards import rankings, training, vectors
from retort.shards.imported import teacher_source
from retort.shards.prepare import check_inputs, prepare
from retort.shards.session import cluster_cpus, cluster_gpus, ensure_ray, on_cluster, smallest_machine
from retort.shards.vectors import prepare_vectors
from retort.sparse.encoders.models import model_digest
from retort.storage import Folder, StageWriter, Workspace
from retort.storage.layout import SWEEP
from retort.sweeps.front import front_hypervolume, front_rows, mark_front
from retort.sweeps.listener import Listener
from retort.sweeps.sweep import Sweep, read_sweep, read_trials, write_description, write_front, write_trial
from retort.sweeps.trial import TrialPoint

__all__ = ["run_sweep", "sweep_folder"]

STAGE = "sweep"
VERSION = 1
STUDY = "retort"
GPU_TRIAL_CPUS = 4
PARTS = ("training", "evaluation", "overhead")  # of a trial's time, in the order in which they are told
STAGE_VERSIONS = (vectors.VERSION, rankings.VERSION, training.VERSION, checkpoint.VERSION, evaluate.VERSION)


def sweep_folder(workspace: Workspace, space: SearchSpace) -> Folder:
    """Where a search space's sweep stands in a workspace."""
    stage = workspace.stage(
        STAGE, VERSION, label=SWEEP.folder(space.name), config=space.identity(), inputs=_inputs(workspace, space)
    )
    return stage.folder


def _inputs(workspace: Workspace, space: SearchSpace) -> dict[str, str]:
    """All that a trial's result depends on beside its settings: corpus, rewrites, models, and the stages' versions."""
    names = {"passages"}
    inputs = {"stages": " ".join(map(str, STAGE_VERSIONS))}
    for experiment in (space.experiment({}), *space.prepared_variants()):
        corpus = experiment.corpus
        splits = [split for split in (corpus.train, corpus.validation, corpus.evaluate) if isinstance(split, str)]
        names |= {f"{kind}/{split}" for kind in ("turns", "judgements") for split in splits}
        names |= {teacher_source(workspace, teacher, corpus.train) for teacher in experiment.teacher.names}
        encoder = experiment.encoder
        inputs[f"model/{encoder.family}/{encoder.model}/{encoder.layers}"] = model_digest(encoder)
    way_out = "import it first: retort import --help"
    return inputs | {name: workspace.folder(name).require(way_out).fingerprint for name in sorted(names)}


def run_sweep(
    workspace: Workspace,
    space: SearchSpace,
    *,
    concurrent: int | None = None,
    resume: bool = False,
    progress: Progress,
    listener: Listener | None = None,
) -> Sweep:
    """Search a space, evaluate its front, and keep both.

    Args:
        workspace: Where the corpus is, and the sweep goes.
        space: What to search.
        concurrent: Trials at a time; None: what the space says.
        resume: Go on with a sweep that was interrupted, or that shall have more trials now.
        progress: Called for each stage and each ended trial.
        listener: Told of the sweep's course.

    Returns:
        The sweep; its failed trials are in it.

    Raises:
        InputError: If inputs are missing, or the sweep was interrupted and ``resume`` is not set.
        RunError: If every trial failed.
    """
    listener = listener if listener is not None else Listener()
    base = space.experiment({})
    if base.training.workers == 0 and not on_cluster():
        check_precision(base, training_device())
    for experiment in (base, *space.prepared_variants()):
        check_inputs(workspace, experiment)
    folder = sweep_folder(workspace, space)
    record = folder.record()
    begun = len(read_trials(folder))
    complete = record is not None and int(record.counts["trials"]) >= space.settings.trials
    if complete and record is not None and record.config["reference"] == space.settings.reference:
        progress(STAGE, 1, 1, f"{folder.name} is there already")
        return read_sweep(folder)
    if begun and not complete and not resume:
        why = "was interrupted" if record is None else f"has {begun} trials, and {space.settings.trials} are asked for"
        raise InputError(f"{folder.name} {why}; nothing was started: go on with --resume ({begun} trials are kept)")
    config = space.identity() | {"trials": space.settings.trials, "reference": space.settings.reference}
    with folder.writing(
        STAGE, VERSION, config=config, inputs=_inputs(workspace, space), keep_parts=True, extend=True
    ) as writer:
        writer.add(write_description(folder, space.description()))
        writer.add(*listener.started(folder, space.description()))
        # The baselines are measured with the base's encoder, which need not be one of those that are searched.
        prepare_vectors(workspace, base.encoder, progress)
        for experiment in space.prepared_variants():
            prepare(workspace, experiment, progress)
        _search(workspace, space, folder, concurrent or space.settings.concurrent, progress, listener)
        sweep = _conclude(workspace, space, folder, writer, progress)
        writer.add(*listener.concluded(sweep))
    if not sweep.front:
        errors = {point.error or "" for point in sweep.points}
        raise RunError(f"all {len(sweep.points)} trials failed: {'; '.join(sorted(errors))[:500]}")
    return sweep


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


def _search(
    workspace: Workspace,
    space: SearchSpace,
    folder: Folder,
    concurrent: int,
    progress: Progress,
    listener: Listener,
) -> None:
    """Run the trials that are missing."""
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


def _conclude(
    workspace: Workspace, space: SearchSpace, folder: Folder, writer: StageWriter, progress: Progress
) -> Sweep:
    """Front, its evaluation on the reported split, baselines, and figures."""
    objectives: dict[str, Direction] = {str(name): way for name, way in space.settings.objectives.items()}
    points = mark_front(read_trials(folder), objectives)
    experiment = space.experiment({})
    split = experiment.corpus.evaluate
    front = front_rows(points)
    baselines: dict[str, dict[str, Any]] = {}
    reference = space.settings.reference
    if reference is None:
        context = evaluate_baseline(workspace, "baseline:context", experiment, split=VALIDATION, engines=ENGINES)
        reference = {name: float(context.measures[name]) for name in space.settings.objectives}
        if "FLOPS" in reference:
            reference["FLOPS"] = max(reference["FLOPS"], MIN_REFERENCE_FLOPS)
    if split is not None:
        names = ["context", "last", *(f"rewrite:{teacher}" for teacher in experiment.teacher.names)]
        steps = len(front) + len(names)
        for number, name in enumerate(names):
            baseline = f"baseline:{name}"
            if name.startswith("rewrite:") and workspace.folder(f"rewrites/{name[8:]}/{split}").record() is None:
                continue  # a teacher need not have rewritten the turns that are reported on
            measured = evaluate_baseline(workspace, baseline, experiment, split=split, engines=ENGINES)
            baselines[baseline] = {key: value for key, value in measured.measures.items() if key != "by_turn"}
            progress("evaluation", number + 1, steps, f"{baseline} on {split}")
        for number, point in enumerate(front):
            assert point.run is not None, "a finished trial has a run"
            settings: EvaluationConfig = space.experiment(point.config).evaluation
            measures = evaluate_run(workspace, point.run, split=split, settings=settings, engines=ENGINES).measures
            kept = {key: value for key, value in measures.items() if key != "by_turn"}
            points[points.index(point)] = replace(point, evaluation=kept)
            progress("evaluation", len(names) + number + 1, steps, f"point {number + 1} of the front on {split}")
    sweep = replace(
        read_sweep(folder),
        points=tuple(points),
        ended=True,
        hypervolume=front_hypervolume(points, objectives, reference),
        reference=reference,
        split=split,
        baselines=baselines,
    )
    for point in points:
        writer.add(folder.entry(SWEEP.trial(point.trial)))
    writer.add(write_front(sweep))
    writer.counts |= {
        "trials": len(points),
        "failed": len(sweep.failed),
        "front": len(front),
        "hypervolume": sweep.hypervolume,
    }
    return sweep
