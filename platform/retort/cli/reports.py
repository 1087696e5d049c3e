"""``retort front``, ``compare``, ``report`` and ``ui``: what came of it."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from retort.cli.shared import (
    JsonOption,
    WorkspaceOption,
    open_workspace,
    print_json,
    program,
    say,
    terminal_progress,
)
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


def report(
    what: Annotated[str, typer.Argument(help="paper, or fronts.")],
    workspace: WorkspaceOption,
    sweeps: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SWEEP]...", help="fronts: recipes, each a sweep's beginning (one per seed); A,B joins."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="The split that is reported on.")] = "dev",
    sweep: Annotated[
        list[str] | None, typer.Option("--sweep", help="paper: only these sweeps, or beginnings of names; repeatable.")
    ] = None,
    baseline: Annotated[str | None, typer.Option(help="fronts: compared with; by default the first recipe.")] = None,
    out: Annotated[Path | None, typer.Option(help="A directory; by default below reports/ in the workspace.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Report on several sweeps: the paper's questions beside its published figures, or fronts of recipes against each other.

    Example: retort report paper --workspace w --split dev

    Example: retort report fronts l1_recipe our_recipe --workspace w
    """
    place = open_workspace(workspace)
    if what == "paper":
        _report_paper(place, [*(sweeps or ()), *(sweep or ())], split, out, as_json)
    elif what == "fronts":
        _report_fronts(place, [*(sweeps or ()), *(sweep or ())], split, baseline, out, as_json)
    else:
        raise InputError(
            f"{what!r} is no report: there are paper and fronts; a sweep's own front: {program()} front {what} "
            f"--workspace {workspace}"
        )


def _report_paper(place: Any, names: list[str], split: str, out: Path | None, as_json: bool) -> None:
    from retort.report.paper import claims_table, differences_table, rows_table
    from retort.report.paper_pages import paper_pages, write_pages
    from retort.report.paper_runs import paper_report
    from retort.terminal import table_console

    with terminal_progress() as progress:
        done = paper_report(place, split=split, names=names, progress=progress)
    where = write_pages(paper_pages(done), place, f"paper-{split}", out)
    if as_json:
        print_json({"directory": where, **done.to_json()})
        return
    console = table_console()
    for one in done.sweeps:
        console.print(rows_table(one, split))
        if one.grid.differences:
            console.print(differences_table(one.grid))
    console.print(claims_table(done))
    say(f"all of it, with figures by turn number and the rules of the verdicts: {where}")


def _report_fronts(
    place: Any, names: list[str], split: str, baseline: str | None, out: Path | None, as_json: bool
) -> None:
    from retort.report.paper_pages import write_pages
    from retort.report.recipe_pages import recipe_notes, recipe_pages, recipes_table
    from retort.report.recipe_runs import fronts_report
    from retort.terminal import table_console

    with terminal_progress() as progress:
        done = fronts_report(place, names, split=split, baseline=baseline, progress=progress)
    where = write_pages(recipe_pages(done), place, f"fronts-{split}", out)
    if as_json:
        print_json({"directory": where, **done.to_json()})
        return
    table_console().print(recipes_table(done))
    for note in recipe_notes(done):
        say(note)
    say(f"all of it, with the fronts as a figure: {where}")


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
    for command in (front, compare, report, ui):
        app.command()(command)
