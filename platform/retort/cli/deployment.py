"""``retort export``: what is taken away."""

from pathlib import Path
from typing import Annotated

import typer

from retort.cli.shared import JsonOption, WorkspaceOption, open_workspace, print_json, say, terminal_progress
from retort.errors import InputError

__all__ = ["register"]

FORMATS = ("sentence-transformers", "pyserini")


def export(
    run: Annotated[str, typer.Argument(help="The run.")],
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
    from retort.retrieval.export import check_new_directory, export_pyserini, export_run
    from retort.retrieval.students import find_run

    check_new_directory(directory)
    place = open_workspace(workspace)
    find_run(place, run)
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


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(export)
