"""``retort export`` and ``latency``: what is taken away, and how it feels."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from retort.cli.shared import JsonOption, WorkspaceOption, open_workspace, print_json, say, terminal_progress

__all__ = ["export", "latency"]

ENGINES: Final[tuple[Literal["exact", "lucene"], ...]] = ("exact", "lucene")


class Engine(StrEnum):
    """The engines as choices: typer takes no list of literals."""

    EXACT = "exact"
    LUCENE = "lucene"


def export(
    run: Annotated[str, typer.Argument(help="The run; also SWEEP#3, SWEEP#champion, or an MLflow run id.")],
    directory: Annotated[Path, typer.Argument(help="A directory that does not exist yet.")],
    workspace: WorkspaceOption,
    form: Annotated[
        Literal["sentence-transformers", "pyserini"],
        typer.Option("--format", help="pyserini is a Lucene index with the model beside it."),
    ] = "sentence-transformers",
    bits: Annotated[int, typer.Option(min=2, max=12, help="Bits of a weight in the Lucene index.")] = 8,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write the query encoder as ONNX too (extra onnx).")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a run's encoders and its model card into a directory.

    sentence-transformers loads it; with --format pyserini there is a Lucene index of the passages too.

    Example: retort export RUN student/ --workspace w --onnx

    Example: retort export RUN deployed/ --format pyserini --bits 8 --workspace w
    """
    from retort.deploy.directory import check_new_directory
    from retort.naming import run_named

    check_new_directory(directory)
    opened = open_workspace(workspace)
    run = run_named(opened, run)
    from retort.deploy.export import export_pyserini, export_run

    with terminal_progress() as progress:
        if form == "pyserini":
            done = export_pyserini(opened, run, directory, bits=bits, onnx=onnx, progress=progress)
        else:
            done = export_run(opened, run, directory, onnx=onnx, progress=progress)
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
    split: Annotated[str, typer.Option(help="Split whose judged turns are queried.")] = "dev",
    engine: Annotated[
        list[Engine] | None, typer.Option(help="What searches; repeatable. By default exact.", show_default=False)
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each turn is queried.")] = 3,
    streams: Annotated[int, typer.Option(min=1, help="Queries at a time in the concurrent measurement.")] = 2,
    top_k: Annotated[int, typer.Option("--top-k", min=1, help="Passages retrieved for a query.")] = 100,
    bits: Annotated[int, typer.Option(min=2, max=12, help="Bits of a weight in the Lucene index.")] = 8,
    as_json: JsonOption = False,
) -> None:
    """Measure how long a turn takes from its text to its passages.

    Turns are queried in one stream and in several at a time; times are given by turn number too.

    Example: retort latency RUN1 RUN2 RUN3 --split dev --engine exact --engine lucene --workspace w

    Every student of a front, for the report to draw: retort latency mtrag#front --split dev --workspace w
    """
    engines = [kind for kind in ENGINES if kind in (engine or (Engine.EXACT,))]
    opened = open_workspace(workspace)
    from retort.naming import check_split, runs_named

    runs = runs_named(opened, runs)
    check_split(opened, split)
    from retort.deploy.java import find_java
    from retort.deploy.latency import LatencySettings, flops_correlations, measure_latency

    if "lucene" in engines:
        find_java()
    measured = []
    with terminal_progress() as progress:
        for kind in engines:
            settings = LatencySettings(kind, top_k=top_k, rounds=rounds, streams=streams, bits=bits)
            measured += measure_latency(opened, runs, split=split, settings=settings, progress=progress)
    correlations = {
        name: flops_correlations([latency for latency in measured if latency.figures["engine"] == name])
        for name in engines
    }
    if as_json:
        print_json({"runs": [latency.figures for latency in measured], "correlation_with_FLOPS": correlations})
        return
    from retort.report.render.terminal import table_console
    from retort.report.views.latency import correlation_text, latency_by_turn_table, latency_table

    console = table_console()
    console.print(latency_table([latency.figures for latency in measured]))
    if len(runs) == 1:
        for latency in measured:
            console.print(latency_by_turn_table(latency.figures))
    for name, correlation in correlations.items():
        say(correlation_text(name, len(runs), correlation))
