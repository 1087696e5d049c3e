"""``retort``: the command line. Parse, load, call, print; everything slow is imported by the command that needs it.

Longer than other modules, because every command, with its options, stands here and nowhere else.

Exit codes: 0 done, 1 something failed while running, 2 the input or the configuration is wrong and nothing was started.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retort.errors import InputError, RetortError

if TYPE_CHECKING:
    from retort.corpora.report import ImportReport
    from retort.storage import Workspace
    from retort.terminal import TerminalProgress
    from retort.tracking import MlflowTracker

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Distil an LLM's query rewriting into sparse conversational retrievers, and see what each costs.",
)
imports = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Import a corpus into a workspace.")
rewrites = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Add the rewrites of a teacher.")
show = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at what a workspace holds.")
app.add_typer(imports, name="import")
app.add_typer(rewrites, name="rewrites")
app.add_typer(show, name="show")

WorkspaceOption = Annotated[str, typer.Option("--workspace", "-w", help="Folder or URL (s3://...) of the workspace.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings that replace the file's.")
]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    try:
        result = app(args=None if argv is None else list(argv), standalone_mode=False, prog_name="retort")
    except typer.TyperException as error:
        # typer carries a click of its own, whose errors are no click.ClickException. Without a command it is the help.
        text = error.format_message()
        sys.stderr.write(f"{text}\n" if "\n" in text else f"error: {text} See --help.\n")
        return 2
    except (typer.Abort, KeyboardInterrupt):
        sys.stderr.write("interrupted; what was finished is kept\n")
        return 130
    except InputError as error:
        sys.stderr.write("".join(f"error: {line}\n" for line in str(error).splitlines()))
        return 2
    except RetortError as error:
        sys.stderr.write(f"failed: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"failed: {error.strerror or error}{f': {error.filename}' if error.filename else ''}\n")
        return 1
    return result if isinstance(result, int) else 0


@contextmanager
def _progress() -> Iterator["TerminalProgress"]:
    from retort.terminal import TerminalProgress

    with TerminalProgress() as progress:
        yield progress


def _open(url: str, *, create: bool = False) -> "Workspace":
    from retort.storage import Workspace

    return Workspace(url, create=create)


def _tracker(workspace: "Workspace", experiment: str = "retort") -> "MlflowTracker":
    from retort.tracking import MlflowTracker, default_artifact_root, default_tracking_uri

    uri = default_tracking_uri(workspace)
    return MlflowTracker(uri, experiment, default_artifact_root(workspace, uri))


def _program() -> str:
    """How the program is called here: by its path where it is not on the PATH, as after ``make sweep`` alone."""
    import shutil

    called = Path(sys.argv[0])
    if shutil.which("retort") is not None or called.name != "retort":
        return "retort"
    return str(called)


def _print_json(document: object) -> None:
    from retort.terminal import print_json

    print_json(document)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


# -- corpora and teachers -------------------------------------------------------------------------------------------------


def _tell_import(report: "ImportReport", as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        _print_json(asdict(report))
        return
    what = "there already" if report.skipped else "imported"
    _say(
        f"{report.split}: {what}: {report.turns:,} turns of {report.conversations:,} conversations, "
        f"{report.judgements:,} judgements ({report.positives_per_turn:.2f} positives a turn); "
        f"passages: {report.passages_added:,} added, {report.passages_known:,} known"
    )
    for reason, count in report.dropped.items():
        _say(f"  dropped: {count:,} {reason}")
    for warning in report.warnings:
        _say(f"  note: {warning}")


@imports.command("topiocqa")
def import_topiocqa(
    topics: Annotated[Path, typer.Argument(help="all_history JSON: train.json or dev.json.")],
    collection: Annotated[Path, typer.Argument(help="TSV with header id, text, title; may be gzipped.")],
    split: Annotated[str, typer.Option(help="Name of the split in the workspace.")],
    workspace: WorkspaceOption,
    qrels: Annotated[
        Path | None, typer.Option(help="TREC qrels; without them, positive_ctxs are the judgements.")
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option(help="Drop positives that the collection lacks, and count them.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Import TopiOCQA, or any corpus in its format.

    Example: retort import topiocqa dev.json full_wiki_segments.tsv --split dev --workspace w
    """
    from retort.corpora import import_topiocqa as run

    with _progress() as progress:
        report = run(
            topics,
            collection,
            split=split,
            workspace=_open(workspace, create=True),
            qrels=qrels,
            allow_missing=allow_missing,
            progress=progress,
        )
    _tell_import(report, as_json)


@imports.command("synthetic")
def import_synthetic(
    workspace: WorkspaceOption,
    overrides: Overrides = None,
    as_json: JsonOption = False,
) -> None:
    """Generate a corpus of conversations with rewrites by the teacher "synthetic".

    Settings: conversations, dev_conversations, entities (about 8 passages each), seed.

    Example: retort import synthetic --workspace w conversations=1000 entities=2000
    """
    from dataclasses import asdict

    from retort.config import SyntheticConfig, parse_overrides, validated
    from retort.corpora.synthetic import TEACHER
    from retort.corpora.synthetic import import_synthetic as run
    from retort.teachers.imports import write_rewrites

    settings = validated(SyntheticConfig, parse_overrides(overrides or ()), source="command line")
    place = _open(workspace, create=True)
    done = run(place, **settings.model_dump())
    for split, own in done.rewrites.items():
        write_rewrites(place, own, teacher=TEACHER, split=split, inputs=done.inputs[split])
    if as_json:
        _print_json({split: asdict(report) for split, report in done.reports.items()})
        return
    for report in done.reports.values():
        _tell_import(report, as_json=False)


@rewrites.command("add")
def add_rewrites(
    file: Annotated[Path, typer.Argument(help="JSON lines with id or query_id, rewrite, and optionally teacher.")],
    teacher: Annotated[str, typer.Option(help="The teacher's name in the workspace.")],
    split: Annotated[str, typer.Option(help="The split that the rewrites are of.")],
    workspace: WorkspaceOption,
    select: Annotated[str | None, typer.Option(help="Keep the rows whose teacher equals this.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Add a teacher's rewrites of a split.

    Example: retort rewrites add rewrites.jsonl --teacher mistral --split train --workspace w
    """
    from dataclasses import asdict

    from retort.teachers.imports import add_rewrites as run

    counts = run(_open(workspace), file, teacher=teacher, split=split, select=select)
    if as_json:
        _print_json(asdict(counts))
        return
    what = "there already" if counts.skipped else "added"
    _say(
        f"{teacher}/{split}: {what}: {counts.rewrites:,} rewrites of {counts.turns:,} turns, {counts.without:,} without"
    )


@show.command("turn")
def show_turn(
    query_id: Annotated[str, typer.Argument(help="The turn's id.")],
    workspace: WorkspaceOption,
    split: Annotated[str | None, typer.Option(help="Where it is; by default every split is looked through.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a turn: its conversation, the student's text, the rewrites, the judged passages.

    Example: retort show turn 12_3 --workspace w
    """
    from retort.config import ContextConfig
    from retort.corpora.look import describe_turn

    described = describe_turn(_open(workspace), query_id, split=split, context=ContextConfig())
    if as_json:
        _print_json(described)
        return
    from retort.report.turn import turn_view
    from retort.terminal import table_console

    table_console().print(turn_view(described))


# -- experiments ----------------------------------------------------------------------------------------------------------


@app.command()
def prepare(
    experiment: Annotated[Path, typer.Argument(help="The experiment's YAML.")],
    workspace: WorkspaceOption,
    overrides: Overrides = None,
    as_json: JsonOption = False,
) -> None:
    """Run the stages that an experiment trains from: vectors, their index, teacher rankings, training shards.

    Example: retort prepare experiment.yaml --workspace w encoder.model=minilm
    """
    from retort.config import load_experiment
    from retort.shards.prepare import prepare as run

    config = load_experiment(experiment, overrides or ())
    place = _open(workspace)
    with _progress() as progress:
        done = run(place, config, progress)
    folders = [done.vectors, done.index, *done.rankings.values(), done.training]
    if as_json:
        records = {folder.name: folder.require("it was just prepared") for folder in folders}
        _print_json({name: {"fingerprint": r.fingerprint, "counts": r.counts} for name, r in records.items()})
        return
    for folder in folders:
        record = folder.require("it was just prepared")
        _say(f"{folder.name}: {', '.join(f'{key} {value}' for key, value in record.counts.items())}")


@app.command()
def distill(
    experiment: Annotated[Path, typer.Argument(help="The experiment's YAML.")],
    workspace: WorkspaceOption,
    overrides: Overrides = None,
    as_json: JsonOption = False,
) -> None:
    """Distil a student, running the stages that are missing; the same experiment again is the same run.

    Example: retort distill experiment.yaml --workspace w objective.contrastive_weight=0.1 training.seed=1
    """
    from retort.config import load_experiment

    config = load_experiment(experiment, overrides or ())
    place = _open(workspace)
    from retort.distill.trainer import check_distillation, distil
    from retort.sweep.tracked import log_missing

    check_distillation(place, config)
    tracker = _tracker(place)  # before the work, so that a tracker that cannot be reached is told of first
    with _progress() as progress:
        done = distil(place, config, progress=progress)
        log_missing(tracker, place, done.run)
    if as_json:
        _print_json({"run": done.run, "reused": done.reused, "folder": done.folder.url(), **done.record.counts})
        return
    counts = done.record.counts
    last = ", ".join(f"{name} {value:.4g}" for name, value in counts["last"].items())
    _say(f"{done.run}{' (there already)' if done.reused else ''}")
    _say(f"  {counts['steps']} steps in {counts['training_seconds']:.0f} s on {counts['device']}; last step: {last}")
    _say(f"  evaluate it: {_program()} evaluate {done.run} --split dev --workspace {workspace}")


@app.command()
def evaluate(
    run: Annotated[str, typer.Argument(help="A run, or baseline:context, baseline:last, baseline:rewrite:TEACHER.")],
    workspace: WorkspaceOption,
    split: Annotated[str, typer.Option(help="A split, or 'validate': what the experiment holds out of training.")],
    overrides: Overrides = None,
    engine: Annotated[str, typer.Option(help="exact")] = "exact",
    experiment: Annotated[
        Path | None, typer.Option(help="Of a baseline; by default the latest that was prepared.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a run or a baseline: R@100, R@10, RR, nDCG@3, FLOPS and L0, all of it by turn number too.

    Example: retort evaluate baseline:last --split dev --workspace w
    """
    from retort.config import EvaluationConfig, load_experiment, parse_overrides, validated, with_overrides

    place = _open(workspace)
    from retort.retrieval.evaluate import evaluate_baseline, evaluate_run
    from retort.retrieval.latest import latest_experiment
    from retort.retrieval.students import find_run

    with _progress() as progress:
        if run.startswith("baseline:"):
            words = [*(overrides or ()), f"evaluation.engine={engine}"]
            config = load_experiment(experiment, words) if experiment else latest_experiment(place, words)
            done = evaluate_baseline(place, run, config, split=split, progress=progress)
        else:
            # As deep as its experiment says, like the baselines beside it.
            own = find_run(place, run).read_json("experiment.json")["evaluation"] | {"engine": engine}
            data = with_overrides({"evaluation": own}, parse_overrides(overrides or ()))
            settings = validated(EvaluationConfig, data.pop("evaluation"), source="command line")
            if data:
                raise InputError(
                    f"a run is evaluated as it was trained; only evaluation.* can be set, not {list(data)}"
                )
            done = evaluate_run(place, run, split=split, settings=settings, progress=progress)
    if as_json:
        _print_json({"run": run, "split": split, "folder": done.folder.url(), **done.measures})
        return
    from retort.report.measures import measures_table
    from retort.terminal import table_console

    table_console().print(measures_table(run, split, done.measures))
    _say(f"run and per-turn measures: {done.folder.url()}")


@app.command()
def sweep(
    space: Annotated[Path, typer.Argument(help="The search space's YAML.")],
    workspace: WorkspaceOption,
    overrides: Overrides = None,
    trials: Annotated[int | None, typer.Option(min=1, help="How many; by default what the space says.")] = None,
    concurrent: Annotated[int | None, typer.Option(min=1, help="Trials at a time.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted sweep.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Search a space against two objectives and print its Pareto front.

    Example: retort sweep search_spaces/pareto.yaml --workspace w --trials 8
    """
    from retort.sweep.space import load_space

    # Mistakes are told of before Ray and torch are imported, which takes seconds.
    loaded = load_space(space, overrides or (), trials=trials)
    place = _open(workspace)
    from retort.sweep.tracked import TrackedSweep
    from retort.sweep.tuner import run_sweep

    listener = TrackedSweep(lambda: _tracker(place), place)
    with _progress() as progress, listener:
        done = run_sweep(place, loaded, concurrent=concurrent, resume=resume, progress=progress, listener=listener)
    _tell_sweep(done, workspace, as_json)
    return 1 if done.failed else 0


def _tell_sweep(done: Any, workspace: str, as_json: bool) -> None:
    from retort.terminal import table_console

    if as_json:
        _print_json(done.to_json())
        return
    from retort.report.front import front_table
    from retort.report.measures import baselines_table
    from retort.tracking import default_tracking_uri

    console = table_console()
    console.print(front_table(done.points, done.objectives, hypervolume=done.hypervolume, reference=done.reference))
    if done.baselines:
        console.print(baselines_table(done.baselines, done.split))
    _say(f"front: {done.folder.url('front.html')}\n       {done.folder.url('front.png')}")
    _say(f"all of it as JSON: {_program()} front {done.folder.name.split('/')[-1]} --workspace {workspace} --json")
    place = done.folder.workspace
    if place.is_local or "MLFLOW_TRACKING_URI" in os.environ:
        _say(f"MLflow: {_program()} ui --workspace {workspace}   ({default_tracking_uri(place)})")


@app.command()
def front(
    sweep: Annotated[str, typer.Argument(help="The sweep's folder below sweeps/, or its beginning.")],
    workspace: WorkspaceOption,
    as_json: JsonOption = False,
) -> None:
    """Print a sweep's Pareto front.

    Example: retort front pareto --workspace w --json
    """
    from retort.sweep.results import find_sweep

    _tell_sweep(find_sweep(_open(workspace), sweep), workspace, as_json)


@app.command()
def compare(
    runs: Annotated[list[str], typer.Argument(help="Runs or baselines that were evaluated on the split.")],
    workspace: WorkspaceOption,
    split: Annotated[str, typer.Option(help="What they were evaluated on.")] = "dev",
    baseline: Annotated[str | None, typer.Option(help="Compared with; by default the first run.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare runs on the same turns: differences, significance, intervals by conversation, wins and losses.

    Example: retort compare RUN1 RUN2 baseline:last --split dev --workspace w
    """
    from dataclasses import asdict

    from retort.report.compare import compare_table
    from retort.report.runs import compare_runs
    from retort.terminal import table_console

    rows = compare_runs(_open(workspace), runs, split=split, baseline=baseline)
    if as_json:
        _print_json([asdict(row) for row in rows])
        return
    table_console().print(compare_table(rows))


@app.command()
def export(
    run: Annotated[str, typer.Argument(help="The run.")],
    directory: Annotated[Path, typer.Argument(help="A directory that does not exist yet.")],
    workspace: WorkspaceOption,
    as_json: JsonOption = False,
) -> None:
    """Copy a run's checkpoint out of the workspace; the splade family's loads in sentence-transformers as it is.

    Example: retort export RUN student/ --workspace w
    """
    import shutil

    from retort.retrieval.students import find_run
    from retort.sparse.encoder import CHECKPOINT_FOLDER

    folder = find_run(_open(workspace), run)
    if directory.exists():
        raise InputError(f"{directory} exists already; nothing was overwritten: name another directory")
    shutil.copytree(folder.local_tree(CHECKPOINT_FOLDER), directory)
    if as_json:
        _print_json({"run": folder.name.removeprefix("runs/"), "directory": str(directory)})
        return
    _say(f"{folder.name} -> {directory}")


@app.command()
def ui(
    workspace: WorkspaceOption,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
) -> int:
    """Open MLflow's server on what the workspace holds; it takes half a minute to start and about 2 GB.

    Example: retort ui --workspace w --port 5000
    """
    import subprocess

    from retort.tracking import default_tracking_uri

    uri = default_tracking_uri(_open(workspace))
    if uri.startswith("http"):
        _say(f"MLFLOW_TRACKING_URI names a server: open {uri}")
        return 0
    _say(f"http://127.0.0.1:{port} shows {uri} (Ctrl-C ends it)")
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--port", str(port)]
    return subprocess.run(command, env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
