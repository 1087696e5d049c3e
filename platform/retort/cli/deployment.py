"""``retort export`` and ``latency``: what is taken away, and how it feels."""

from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from retort.cli.shared import JsonOption, WorkspaceOption, open_workspace, print_json, say, terminal_progress
from retort.errors import InputError

__all__ = ["register"]

FORMATS = ("sentence-transformers", "pyserini")
ENGINES: Final[tuple[Literal["exact", "lucene"], ...]] = ("exact", "lucene")


def export(
    run: Annotated[str, typer.Argument(help="The run; also SWEEP#3, SWEEP#champion, or an MLflow run id.")],
    directory: Annotated[Path, typer.Argument(help="A directory that does not exist yet.")],
    workspace: WorkspaceOption,
    form: Annotated[
        str,
        typer.Option("--format", help="sentence-transformers, or pyserini: a Lucene index and the model beside it."),
    ] = "sentence-transformers",
    bits: Annotated[int, typer.Option(min=2, max=12, help="Of a weight in the Lucene index.")] = 8,
    onnx: Annotated[bool, typer.Option("--onnx", help="The query encoder as ONNX too (extra onnx).")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a run's encoders as a directory that sentence-transformers loads, with a model card.

    Example: retort export RUN student/ --workspace w --onnx

    Example: retort export RUN deployed/ --format pyserini --bits 8 --workspace w
    """
    if form not in FORMATS:
        raise InputError(f"--format {form!r} is none; there are {', '.join(FORMATS)}")
    from retort.deploy.export import check_new_directory, export_pyserini, export_run
    from retort.naming import run_named

    check_new_directory(directory)
    place = open_workspace(workspace)
    run = run_named(place, run)
    with terminal_progress() as progress:
        if form == "pyserini":
            done = export_pyserini(place, run, directory, bits=bits, onnx=onnx, progress=progress)
        else:
            done = export_run(place, run, directory, onnx=onnx, progress=progress)
    if as_json:
        print_json({"run": done.run, "directory": str(done.directory), "files": done.files})
        return
    say(f"{done.run} -> {done.directory}: {len(done.files)} files, {sum(done.files.values()) / 2**20:.1f} MiB")
    if form == "pyserini":
        say("  search it: LuceneImpactSearcher('index', RetortQueryEncoder()), as retort_query_encoder.py says")
    else:
        say("  load it: sentence_transformers.SparseEncoder(DIRECTORY, ...), as its README.md says")


def latency(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Runs, or SWEEP#front for all of a front; FLOPS is set against milliseconds over them.",
        ),
    ],
    workspace: WorkspaceOption,
    split: Annotated[str, typer.Option(help="Whose judged turns are asked.")] = "dev",
    engine: Annotated[
        list[str] | None, typer.Option(help="exact or lucene; repeatable. By default exact.", show_default=False)
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each turn is asked.")] = 3,
    streams: Annotated[int, typer.Option(min=1, help="Askers at a time in the concurrent measurement.")] = 2,
    top_k: Annotated[int, typer.Option("--top-k", min=1, help="Passages asked for.")] = 100,
    bits: Annotated[int, typer.Option(min=2, max=12, help="Of a weight in the Lucene index.")] = 8,
    as_json: JsonOption = False,
) -> None:
    """Measure how long a turn takes from its text to its passages, in one stream and in several at a time, by turn number too.

    Example: retort latency RUN1 RUN2 RUN3 --split dev --engine exact --engine lucene --workspace w

    Every student of a front, for the report to draw: retort latency mtrag#front --split dev --workspace w
    """
    engines = list(dict.fromkeys(engine or ["exact"]))
    if unknown := sorted(set(engines) - set(ENGINES)):
        raise InputError(f"--engine {unknown[0]!r} is none; there are {', '.join(ENGINES)}")
    place = open_workspace(workspace)
    from retort.deploy.java import find_java
    from retort.deploy.latency import LatencySettings, flops_correlations, measure_latency
    from retort.naming import runs_named

    runs = runs_named(place, runs)
    if "lucene" in engines:
        find_java()
    measured = []
    with terminal_progress() as progress:
        for kind in ENGINES:
            if kind in engines:
                settings = LatencySettings(kind, top_k=top_k, rounds=rounds, streams=streams, bits=bits)
                measured += measure_latency(place, runs, split=split, settings=settings, progress=progress)
    correlations = {
        name: flops_correlations([one for one in measured if one.figures["engine"] == name]) for name in engines
    }
    if as_json:
        print_json({"runs": [one.figures for one in measured], "correlation_with_FLOPS": correlations})
        return
    from retort.report.render.terminal import table_console
    from retort.report.views.latency import correlation_text, latency_by_turn_table, latency_table

    console = table_console()
    console.print(latency_table([one.figures for one in measured]))
    if len(runs) == 1:
        for one in measured:
            console.print(latency_by_turn_table(one.figures))
    for name, found in correlations.items():
        say(correlation_text(name, len(runs), found))


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    for command in (export, latency):
        app.command()(command)
