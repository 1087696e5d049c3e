"""A sweep from its search space to its front: what is there already is found, the rest is prepared, searched and evaluated.

``sweeps/<name>-<fingerprint>/`` holds ``sweep.json``, one file per trial that was begun and one per trial that has ended, and at
the end the front as JSON, PNG and HTML. The trials themselves are run by ``tuner``.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from retort.config import MIN_REFERENCE_FLOPS, EvaluationConfig
from retort.deploy.engines import ENGINES
from retort.distill import identity as run_identity
from retort.errors import InputError, RunError
from retort.evaluation import stage as evaluation
from retort.evaluation.evaluate import evaluate_baseline, evaluate_run
from retort.evaluation.questions import VALIDATION
from retort.identity import canonical_json
from retort.measures.registry import Direction
from retort.progress import Progress
from retort.search.space import SearchSpace
from retort.shards import rankings, training, vectors
from retort.shards.imported import teacher_source
from retort.shards.prepare import check_inputs, prepare
from retort.shards.session import on_cluster
from retort.shards.vectors import prepare_vectors
from retort.sparse.encoders.models import model_digest
from retort.storage import Folder, StageWriter, Workspace
from retort.storage.layout import SWEEP
from retort.sweeps.front import front_hypervolume, front_rows, mark_front
from retort.sweeps.listener import Listener
from retort.sweeps.proposals import next_number, open_proposals, propose, trial_numbers
from retort.sweeps.sweep import Sweep, read_sweep, read_trials, write_description, write_front

__all__ = ["STAGE", "run_sweep", "sweep_folder"]

STAGE = "sweep"
VERSION = 1
STAGE_VERSIONS = (vectors.VERSION, rankings.VERSION, training.VERSION, run_identity.VERSION, evaluation.VERSION)


def sweep_folder(workspace: Workspace, space: SearchSpace) -> Folder:
    """Where a search space's sweep stands in a workspace."""
    stage = workspace.stage(
        STAGE, VERSION, label=SWEEP.folder(space.name), config=space.identity(), inputs=_inputs(workspace, space)
    )
    return stage.folder


def _inputs(workspace: Workspace, space: SearchSpace) -> dict[str, str]:
    """What a trial's result depends on besides its settings: corpus, rewrites, models, and the stages' versions."""
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
    retry_failed: bool = False,
    progress: Progress,
    listener: Listener | None = None,
) -> Sweep:
    """Search a space, evaluate its front, and keep both.

    Args:
        workspace: Where the corpus is, and the sweep goes.
        space: What to search.
        concurrent: Trials at a time; None: what the space says.
        resume: Go on with a sweep that was interrupted, that lost trials, or that shall have more trials now.
        retry_failed: Go on as well, and run the failed trials again; their results are kept, and count no more once there
            are newer ones.
        progress: Called for each stage and each ended trial.
        listener: Called when the search starts, after each trial, and when the front is known.

    Returns:
        The sweep; its failed trials are in it.

    Raises:
        InputError: If inputs are missing, or the sweep was interrupted and ``resume`` is not set.
        RunError: If every trial failed, or trials were lost to machines that failed: the sweep is not complete then.
    """
    base = space.experiment({})
    for experiment in (base, *space.prepared_variants()):
        check_inputs(workspace, experiment)
    folder = sweep_folder(workspace, space)
    resume = resume or retry_failed

    def found() -> Sweep | None:
        """The sweep, where nothing is left to do."""
        if not _is_complete(folder, space, resume=resume, retry_failed=retry_failed):
            return None
        progress(STAGE, 1, 1, f"{folder.name} is there already")
        return read_sweep(folder)

    if (sweep := found()) is not None:
        return sweep
    # Here and not above: Tune, Optuna and torch take ten seconds, which a sweep that is there already does not need.
    from retort.distill.trainer import check_distillation

    if not on_cluster():
        check_distillation(workspace, base)
    listener = listener if listener is not None else Listener()
    try:
        sweep = _search_and_conclude(
            workspace, space, folder, concurrent or space.settings.concurrent, found, retry_failed, progress, listener
        )
    except _FoundMeanwhileError as other:
        return other.sweep
    if not sweep.front:
        errors = {point.error or "" for point in sweep.points}
        raise RunError(f"all {len(sweep.points)} trials failed: {'; '.join(sorted(errors))[:500]}")
    return sweep


def _is_complete(folder: Folder, space: SearchSpace, *, resume: bool, retry_failed: bool) -> bool:
    """Whether nothing is left to do.

    Raises:
        InputError: If something is, trials have ended already, and ``resume`` is not set.
    """
    record, points, asked = folder.record(), read_trials(folder), space.settings.trials
    ended = len(points)
    recorded = 0 if record is None else int(record.counts["trials"])
    begun_again = sum(one.retries is not None for one in open_proposals(folder))
    if record is None:
        why = "was interrupted"
    elif recorded < asked:
        why = f"has {ended} trials, and {asked} are asked for"
    elif ended < recorded:
        why = f"lacks the files of {recorded - ended} of its {recorded} trials"
    elif begun_again:
        why = f"has {begun_again} failed trials that were begun again and have not ended"
    elif retry_failed and any(point.status == "failed" for point in points):
        return False
    else:
        return bool(record.config["reference"] == space.settings.reference)
    if ended and not resume:
        raise InputError(f"{folder.name} {why}; nothing was started: go on with --resume ({ended} trials are kept)")
    return False


def _identity(folder: Folder, space: SearchSpace) -> dict[str, object]:
    """What the record is to say of the sweep."""
    config = space.identity() | {"trials": space.settings.trials, "reference": space.settings.reference}
    record = folder.record()
    recorded = {} if record is None else {key: record.config.get(key) for key in config}
    if record is not None and canonical_json(recorded) == canonical_json(config):
        # Nothing else is asked for than what is recorded: trials are run again, and the record is replaced by a newer one.
        config["revision"] = int(record.config.get("revision", 0)) + 1
    return config


class _FoundMeanwhileError(Exception):
    """Leaves a stage's writing without committing it: another driver finished the sweep while this one waited for it."""

    def __init__(self, sweep: Sweep) -> None:
        super().__init__(sweep.label)
        self.sweep = sweep


def _search_and_conclude(
    workspace: Workspace,
    space: SearchSpace,
    folder: Folder,
    concurrent: int,
    found: Callable[[], Sweep | None],
    retry_failed: bool,
    progress: Progress,
    listener: Listener,
) -> Sweep:
    from retort.search.tuner import search_trials

    with folder.writing(
        STAGE,
        VERSION,
        config=_identity(folder, space),
        inputs=_inputs(workspace, space),
        keep_parts=True,
        extend=True,
    ) as writer:
        # What was there was looked at before the folder was this process's own: another driver may have had it until now.
        if (sweep := found()) is not None:
            raise _FoundMeanwhileError(sweep)
        if writer.finished is not None:
            raise InputError(f"{folder.name} was finished by another process in the meantime; run the command again")
        writer.add(write_description(folder, space.description()))
        writer.add(*listener.started(folder, space.description()))
        # The baselines are measured with the base's encoder, which need not be one of those that are searched.
        prepare_vectors(workspace, space.experiment({}).encoder, progress)
        for experiment in space.prepared_variants():
            prepare(workspace, experiment, progress)
        if retry_failed:
            _propose_failed(folder)
        search_trials(workspace, space, folder, concurrent, progress, listener)
        sweep = _conclude(workspace, space, folder, writer, progress)
        writer.add(*listener.concluded(sweep))
    return sweep


def _propose_failed(folder: Folder) -> None:
    """Begin the failed trials again, each under a number of its own."""
    begun_again = {one.retries for one in open_proposals(folder)}
    failed = [one for one in read_trials(folder) if one.status == "failed" and one.trial not in begun_again]
    for number, point in enumerate(failed, start=next_number(folder)):
        propose(folder, number, point.config, retries=point.trial)


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
    # Also failed trials that were run again since, and how every trial was begun.
    writer.add(*(folder.entry(SWEEP.trial(number)) for number in trial_numbers(folder, SWEEP.trials)))
    writer.add(*(folder.entry(SWEEP.proposal(number)) for number in trial_numbers(folder, SWEEP.proposed)))
    writer.add(write_front(sweep))
    writer.counts |= {
        "trials": len(points),
        "failed": len(sweep.failed),
        "front": len(front),
        "hypervolume": sweep.hypervolume,
    }
    return sweep
