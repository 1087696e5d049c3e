"""``retort front``, ``compare``, ``export`` and ``ui``: what came of it, and what is taken away."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from retort.cli.shared import JsonOption, WorkspaceOption, open_workspace, print_json, program, say
from retort.errors import InputError

__all__ = ["register", "tell_sweep"]


def tell_sweep(done: Any, workspace: str, as_json: bool) -> None:
    """A sweep's front, its baselines, and where everything about it is."""
    from retort.terminal import table_console

    if as_json:
        print_json(done.to_json())
        return
    from retort.report.front import front_table
    from retort.report.measures import baselines_table
    from retort.tracking import default_tracking_uri

    console = table_console()
    console.print(front_table(done.points, done.objectives, hypervolume=done.hypervolume, reference=done.reference))
    if done.baselines:
        console.print(baselines_table(done.baselines, done.split))
    say(f"front: {done.folder.url('front.html')}\n       {done.folder.url('front.png')}")
    say(f"all of it as JSON: {program()} front {done.folder.name.split('/')[-1]} --workspace {workspace} --json")
    place = done.folder.workspace
    if place.is_local or "MLFLOW_TRACKING_URI" in os.environ:
        say(f"MLflow: {program()} ui --workspace {workspace}   ({default_tracking_uri(place)})")


def front(
    sweep: Annotated[str, typer.Argument(help="The sweep's folder below sweeps/, or its beginning.")],
    workspace: WorkspaceOption,
    as_json: JsonOption = False,
) -> None:
    """Print a sweep's Pareto front.

    Example: retort front pareto --workspace w --json
    """
    from retort.sweep.results import find_sweep

    tell_sweep(find_sweep(open_workspace(workspace), sweep), workspace, as_json)


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

    rows = compare_runs(open_workspace(workspace), runs, split=split, baseline=baseline)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    table_console().print(compare_table(rows))


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

    folder = find_run(open_workspace(workspace), run)
    if directory.exists():
        raise InputError(f"{directory} exists already; nothing was overwritten: name another directory")
    shutil.copytree(folder.local_tree(CHECKPOINT_FOLDER), directory)
    if as_json:
        print_json({"run": folder.name.removeprefix("runs/"), "directory": str(directory)})
        return
    say(f"{folder.name} -> {directory}")


def ui(
    workspace: WorkspaceOption,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
) -> int:
    """Open MLflow's server on what the workspace holds; it takes half a minute to start and about 2 GB.

    Example: retort ui --workspace w --port 5000
    """
    import subprocess

    from retort.tracking import default_tracking_uri

    uri = default_tracking_uri(open_workspace(workspace))
    if uri.startswith("http"):
        say(f"MLFLOW_TRACKING_URI names a server: open {uri}")
        return 0
    say(f"http://127.0.0.1:{port} shows {uri} (Ctrl-C ends it)")
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--port", str(port)]
    return subprocess.run(command, env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}, check=False).returncode


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    for command in (front, compare, export, ui):
        app.command()(command)
