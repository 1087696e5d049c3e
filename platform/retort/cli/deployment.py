"""``retort export``: what is taken away."""

from pathlib import Path
from typing import Annotated

import typer

from retort.cli.shared import JsonOption, WorkspaceOption, open_workspace, print_json, say, terminal_progress

__all__ = ["register"]


def export(
    run: Annotated[str, typer.Argument(help="The run.")],
    directory: Annotated[Path, typer.Argument(help="A directory that does not exist yet.")],
    workspace: WorkspaceOption,
    onnx: Annotated[bool, typer.Option("--onnx", help="The query encoder as ONNX too (extra onnx).")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a run's encoders as a directory that sentence-transformers loads, with a model card.

    Example: retort export RUN student/ --workspace w --onnx
    """
    from retort.retrieval.export import check_new_directory, export_run
    from retort.retrieval.students import find_run

    check_new_directory(directory)
    place = open_workspace(workspace)
    find_run(place, run)
    with terminal_progress() as progress:
        done = export_run(place, run, directory, onnx=onnx, progress=progress)
    if as_json:
        print_json({"run": done.run, "directory": str(done.directory), "files": done.files})
        return
    say(f"{done.run} -> {done.directory}: {len(done.files)} files, {sum(done.files.values()) / 2**20:.1f} MiB")
    say("  load it: sentence_transformers.SparseEncoder(DIRECTORY, ...), as its README.md says")


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(export)
