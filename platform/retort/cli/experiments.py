"""``retort prepare``, ``distill``, ``evaluate`` and ``sweep``: from an experiment to measured students."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from retort.cli.reports import print_sweep
from retort.cli.shared import (
    TRACKED,
    JsonOption,
    Overrides,
    ProfileOption,
    WorkspaceOption,
    open_tracker,
    open_workspace,
    print_json,
    program,
    say,
    terminal_progress,
)
from retort.errors import InputError

if TYPE_CHECKING:
    from retort.config import EvaluationConfig, ExperimentConfig
    from retort.distill.identity import Distilled
    from retort.storage import Workspace

__all__ = ["distill", "evaluate", "prepare", "sweep"]


def prepare(
    experiment: Annotated[Path, typer.Argument(help="The experiment's YAML.")],
    workspace: WorkspaceOption,
    overrides: Overrides = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the stages that an experiment trains from.

    They are the passages' vectors, their index, the teachers' rankings and the training shards.

    Example: retort prepare experiment.yaml --workspace w encoder.model=minilm
    """
    from retort.config import load_experiment
    from retort.shards.prepare import prepare as run

    config = load_experiment(experiment, overrides or (), profiles=profile or ())
    opened = open_workspace(workspace)
    with terminal_progress() as progress:
        done = run(opened, config, progress)
    folders = [done.vectors, done.index, *done.rankings.values(), done.training]
    if as_json:
        records = {folder.name: folder.require("it was just prepared") for folder in folders}
        print_json({name: {"fingerprint": r.fingerprint, "counts": r.counts} for name, r in records.items()})
        return
    for folder in folders:
        record = folder.require("it was just prepared")
        say(f"{folder.name}: {', '.join(f'{key} {value}' for key, value in record.counts.items())}")


def distill(
    experiment: Annotated[Path, typer.Argument(help="The experiment's YAML.")],
    workspace: WorkspaceOption,
    overrides: Overrides = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Distil a student, running the stages that are missing.

    The same experiment again is the same run.

    Example: retort distill experiment.yaml --workspace w objective.contrastive_weight=0.1 training.seed=1
    """
    from retort.config import describe, load_experiment

    config = load_experiment(experiment, overrides or (), profiles=profile or ())
    opened = open_workspace(workspace)
    from retort.distill.identity import find_distilled

    with terminal_progress() as progress:
        found = find_distilled(opened, config, progress)
    done = found or _distil(opened, config)
    _log_run(opened, done.run)
    if as_json:
        print_json({"run": done.run, "reused": done.reused, "folder": done.folder.url(), **done.record.counts})
        return
    counts = done.record.counts
    last = ", ".join(f"{name} {value:.4g}" for name, value in counts["last"].items())
    say(f"{done.run}{' (there already)' if done.reused else ''}")
    say(f"  {describe(config).line()}")
    say(f"  {counts['steps']} steps in {counts['training_seconds']:.0f} s on {counts['device']}; last step: {last}")
    split = config.corpus.evaluate or (None if config.corpus.validation is None else "validate")
    if split is not None:
        say(f"  evaluate it: {program()} evaluate {done.run} --split {split} --workspace {workspace}")


def _distil(workspace: "Workspace", config: "ExperimentConfig") -> "Distilled":
    from retort.distill.trainer import check_distillation, distil

    check_distillation(workspace, config)
    open_tracker(workspace)  # before the work, so that a tracker that cannot be reached is reported first
    with terminal_progress() as progress:
        return distil(workspace, config, progress=progress)


def _log_run(workspace: "Workspace", run: str) -> None:
    """Log a run with MLflow, unless its database says that this was done, or it would be in a workspace that is read-only."""
    from retort.search.tracked import distilled_tags, log_missing
    from retort.tracking import default_artifact_root, default_tracking_uri, surely_logged

    uri = default_tracking_uri(workspace)
    if surely_logged(uri, TRACKED, tags=distilled_tags(workspace, run)):
        return
    if default_artifact_root(workspace, uri) is not None and not workspace.can_be_written:
        sys.stderr.write(f"{run} is not logged with MLflow: {workspace.root} can only be read\n")
        return
    log_missing(open_tracker(workspace), workspace, run)


def evaluate(
    run: Annotated[
        str,
        typer.Argument(
            help="A run, SWEEP#3, SWEEP#champion; or baseline:context, baseline:last, baseline:rewrite:TEACHER."
        ),
    ],
    workspace: WorkspaceOption,
    split: Annotated[str, typer.Option(help="A split, or 'validate': what the experiment holds out of training.")],
    overrides: Overrides = None,
    engine: Annotated[
        Literal["exact", "lucene"],
        typer.Option(help="What searches; lucene has quantised weights, as deployed. The experiment's is ignored."),
    ] = "exact",
    experiment: Annotated[
        Path | None, typer.Option(help="Experiment whose encoder a baseline uses; by default the latest prepared.")
    ] = None,
    on: Annotated[
        str | None, typer.Option(help="Another workspace, on whose corpus a run is measured, out of its domain.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a run or a baseline on a split.

    R@100, R@10, RR, nDCG@3, FLOPS and L0 are measured, all of them by turn number too.

    Example: retort evaluate baseline:last --split dev --workspace w

    Example: retort evaluate RUN --split dev --engine lucene --workspace w evaluation.quantization_bits=8
    """
    from retort.deploy.engines import ENGINES
    from retort.evaluation.evaluate import evaluate_baseline, evaluate_elsewhere, evaluate_run
    from retort.naming import check_split, run_named
    from retort.storage.layout import BASELINE

    words = overrides or []
    if any(word.startswith("evaluation.engine=") for word in words):
        raise InputError("evaluation.engine is an option here: --engine lucene, or --engine exact")
    if on is not None and BASELINE.is_name(run):
        raise InputError(f"--on is for runs; a baseline is measured in its own workspace: --workspace {on}")
    opened = open_workspace(workspace)
    other = None if on is None else open_workspace(on)
    if not BASELINE.is_name(run):
        run = run_named(opened, run)
    check_split(opened if other is None else other, split)
    with terminal_progress() as progress:
        if BASELINE.is_name(run):
            config = _baseline_experiment(opened, experiment, [*words, f"evaluation.engine={engine}"])
            done = evaluate_baseline(opened, run, config, split=split, engines=ENGINES, progress=progress)
        else:
            settings = _run_settings(opened, run, words, engine)
            if other is None:
                done = evaluate_run(opened, run, split=split, settings=settings, engines=ENGINES, progress=progress)
            else:
                done = evaluate_elsewhere(
                    opened, run, on=other, split=split, settings=settings, engines=ENGINES, progress=progress
                )
    beside = None if other is None else _in_domain(opened, run)
    if as_json:
        document = {"run": run, "split": split, "folder": done.folder.url(), **done.measures}
        print_json(document if other is None else document | {"on": other.url, "in_domain": beside})
        return
    from retort.report.render.terminal import table_console
    from retort.report.views.measures import domains_table, measures_table

    table_console().print(measures_table(run, split if on is None else f"{split} of {on}", done.measures))
    if engine == "lucene":
        say(_loss(done.measures))
    if other is not None:
        table_console().print(domains_table({f"{on} {split}": done.measures}, beside))
    say(f"run and per-turn measures: {done.folder.url()}")


def _baseline_experiment(workspace: "Workspace", experiment: Path | None, words: list[str]) -> "ExperimentConfig":
    from retort.config import load_experiment
    from retort.evaluation.latest import latest_experiment

    return latest_experiment(workspace, words) if experiment is None else load_experiment(experiment, words)


def _run_settings(workspace: "Workspace", run: str, words: list[str], engine: str) -> "EvaluationConfig":
    """As deep as the run's experiment says, like the baselines beside it."""
    from retort.config import EvaluationConfig, parse_overrides, validated, with_overrides
    from retort.evaluation.runs import find_run, run_experiment

    own = run_experiment(find_run(workspace, run)).evaluation.model_dump(mode="json") | {"engine": engine}
    data = with_overrides({"evaluation": own}, parse_overrides(words))
    settings = validated(EvaluationConfig, data.pop("evaluation"), source="command line")
    if data:
        raise InputError(f"a run is evaluated as it was trained; only evaluation.* can be set, not {list(data)}")
    return settings


def _loss(measures: dict[str, Any]) -> str:
    return (
        f"against the exact scores: R@100 {measures['R@100']:.4f}, exactly {measures['exact_R@100']:.4f}; of the exact 10 best "
        f"{measures['overlap@10']:.1%} are found, of the 100 best {measures['overlap@100']:.1%}; scores are off by "
        f"{measures['score_error']:.2%} on average; the index has {measures['index_bytes'] / 2**20:.1f} MiB"
    )


def _in_domain(workspace: "Workspace", run: str) -> dict[str, Any] | None:
    """The run's measures on what its experiment evaluates on, where that was done."""
    from retort.errors import WorkspaceError
    from retort.evaluation.latest import latest_evaluation
    from retort.evaluation.runs import find_run, run_experiment
    from retort.storage.layout import EVALUATION

    split = run_experiment(find_run(workspace, run)).corpus.evaluate
    try:
        folder = latest_evaluation(workspace, run, split=str(split))
    except WorkspaceError:
        return None  # not measured yet: there is nothing to set beside
    measures: dict[str, Any] = folder.read_json(EVALUATION.measures)
    return {"split": split, "folder": folder.url(), **measures}


def sweep(
    space: Annotated[
        Path,
        typer.Argument(help="The search space's YAML, or the name of one that comes with Retort: retort show spaces."),
    ],
    workspace: WorkspaceOption,
    overrides: Overrides = None,
    profile: ProfileOption = None,
    trials: Annotated[int | None, typer.Option(min=1, help="How many trials; by default what the space says.")] = None,
    concurrent: Annotated[int | None, typer.Option(min=1, help="Trials at a time.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a sweep that was interrupted, or that lost trials to machines.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Go on, and run the failed trials again; their results are kept.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Search a space against two objectives; print its Pareto front.

    Example: retort sweep search_spaces/pareto.yaml --workspace w --trials 8

    The paper's grids on another corpus: retort sweep search_spaces/paper_samples.yaml --profile
    search_spaces/profiles/mtrag.yaml --workspace w
    """
    from retort.search.space import load_space

    loaded = load_space(space, overrides or (), profiles=profile or (), trials=trials)
    opened = open_workspace(workspace)
    from retort.report.sweep.drawn import DrawnFront
    from retort.search.sweep import run_sweep
    from retort.search.tracked import TrackedSweep
    from retort.sweeps.listener import Listeners

    tracked = TrackedSweep(lambda: open_tracker(opened), opened)
    listener = Listeners([DrawnFront(), tracked])
    with terminal_progress() as progress, tracked:
        done = run_sweep(
            opened,
            loaded,
            concurrent=concurrent,
            resume=resume,
            retry_failed=retry_failed,
            progress=progress,
            listener=listener,
        )
    print_sweep(done, workspace, as_json)
    return 1 if done.failed else 0
