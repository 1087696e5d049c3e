"""``retort front``, ``report`` and ``ui``: what sweeps found."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from retort.cli.shared import (
    JsonOption,
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
    from retort.storage import Workspace
    from retort.sweeps.sweep import Sweep

__all__ = ["front", "print_sweep", "report", "ui"]


def print_sweep(done: "Sweep", workspace: str, as_json: bool) -> None:
    """Print a sweep's front, its baselines, and where everything about it is."""
    from retort.report.render.terminal import table_console

    if as_json:
        print_json(done.to_json())
        return
    from retort.report.sweep.front import front_tables
    from retort.report.views.measures import baselines_table
    from retort.storage.layout import SWEEP
    from retort.tracking import default_tracking_uri, public_uri

    console = table_console()
    console.print(
        *front_tables(
            done.points,
            done.objectives,
            hypervolume=done.hypervolume,
            reference=done.reference,
            unregularised=done.unregularised,
        )
    )
    if done.baselines:
        console.print(baselines_table(done.baselines, done.split))
    say(f"front: {done.folder.url('front.html')}\n       {done.folder.url('front.png')}")
    made = done.folder.exists(SWEEP.page)
    command = f"{program()} report {done.label} --workspace {workspace}"
    say(f"report: {done.folder.url(SWEEP.page)}" if made else f"all of it as one page for the browser: {command}")
    say(f"all of it as JSON: {program()} front {done.label} --workspace {workspace} --json")
    opened = done.folder.workspace
    if opened.is_local or "MLFLOW_TRACKING_URI" in os.environ:
        say(f"MLflow: {program()} ui --workspace {workspace}   ({public_uri(default_tracking_uri(opened))})")


def front(
    sweep: Annotated[str, typer.Argument(help="The sweep's folder below sweeps/, or its beginning.")],
    workspace: WorkspaceOption,
    register_as: Annotated[
        str | None,
        typer.Option("--register", metavar="NAME", help="Register its champion as a model of this name in MLflow."),
    ] = None,
    point: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Register this point of the front; by default the cheapest with at most 2 % less than the best.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print a sweep's Pareto front; register one of its students.

    Example: retort front pareto --workspace w --json

    Example: retort front pareto --workspace w --register assistant
    """
    from retort.sweeps.sweep import find_sweep

    if point is not None and register_as is None:
        raise InputError("--point says which student is registered: add --register NAME")
    done = find_sweep(open_workspace(workspace), sweep)
    if register_as is None:
        print_sweep(done, workspace, as_json)
        return
    from retort.search.tracked import register as register_student
    from retort.sweeps.front import front_rows

    numbered = front_rows(done.points)
    if point is not None and point > len(numbered):
        raise InputError(f"--point {point}: the front has {len(numbered)} points")
    chosen = done.champion() if point is None else numbered[point - 1]
    version = register_student(open_tracker(done.folder.workspace), done, chosen, register_as)
    if as_json:
        print_json({**done.to_json(), "registered": {"name": register_as, "version": version, "run": chosen.run}})
        return
    print_sweep(done, workspace, as_json)
    say(
        f"registered: {register_as} version {version}, alias champion: point {1 + numbered.index(chosen)}, {chosen.run}"
    )
    say(f'    mlflow.pyfunc.load_model("models:/{register_as}@champion")')


def report(
    what: Annotated[str, typer.Argument(metavar="KIND|SWEEP", help="paper or fronts, for several sweeps; or a sweep.")],
    workspace: WorkspaceOption,
    sweeps: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SWEEP]...",
            help="fronts: families, each the beginning of its sweeps' names (one sweep a seed); A,B is one of both.",
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="paper, fronts: the split that is reported on; by default dev.")
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option("--sweep", help="paper: only these sweeps, or beginnings of their names; repeatable."),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="fronts: what the others are compared with; by default the first family.")
    ] = None,
    loss_from: Annotated[
        Literal["unregularised", "best"] | None,
        typer.Option(
            help="fronts: the student with at most 2 % less R@100 than this one is chosen: the unregularised student (the "
            "default), or the best of all."
        ),
    ] = None,
    sure: Annotated[
        bool,
        typer.Option(
            "--sure", help="fronts: within those 2 % at the worse end of the interval, not on the mean alone."
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Directory to write to; by default the sweep's own, or one below reports/ in the workspace."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a page on one sweep, or compare several.

    Of several sweeps, paper answers the paper's questions, and fronts sets families of sweeps against each other.

    Example: retort report pareto --workspace w

    Example: retort report paper --workspace w --split dev

    Example: retort report fronts recipe_l1 recipe_pruned --workspace w
    """
    opened = open_workspace(workspace)
    given = {
        "--split": split,
        "--sweep": sweep,
        "--baseline": baseline,
        "--loss-from": loss_from,
        "--sure": sure or None,
    }
    known = {"fronts": set(given), "paper": {"--split", "--sweep"}}.get(what, set())
    if stray := [name for name, value in given.items() if value is not None and name not in known]:
        kind = "paper" if what == "paper" else "one sweep"
        raise InputError(f"{', '.join(stray)}: a report on {kind} has no such option; see {program()} report --help")
    if what == "paper":
        _report_paper(opened, [*(sweeps or ()), *(sweep or ())], split or "dev", out, as_json)
    elif what == "fronts":
        names = [*(sweeps or ()), *(sweep or ())]
        _report_fronts(opened, names, split or "dev", baseline, loss_from or "unregularised", sure, out, as_json)
    elif what == "sweep" and len(sweeps or ()) == 1:
        _report_sweep(opened, (sweeps or [""])[0], out, as_json)
    elif what == "sweep" or sweeps:
        raise InputError(
            f"a report is on one sweep, got {', '.join(sweeps or ()) or 'none'}: {program()} report SWEEP; "
            "several are compared by: report fronts, report paper"
        )
    else:
        _report_sweep(opened, what, out, as_json)


def _report_sweep(workspace: "Workspace", name: str, out: Path | None, as_json: bool) -> None:
    from retort.report.render.pages import write_pages
    from retort.report.sweep.page import report_pages
    from retort.report.sweep.report import sweep_report
    from retort.storage.layout import SWEEP

    found = sweep_report(workspace, name)
    pages = report_pages(found)
    where = write_pages(pages, workspace, found.sweep.folder.name, out)
    if as_json:
        print_json({"sweep": found.sweep.label, "page": f"{where}/{SWEEP.page}", "files": sorted(pages)})
        return
    say(f"report: {where}/{SWEEP.page}")
    say(f"        its figures as PNG and SVG in {where}/figures, what it takes to run it again in {where}/reproduce")


def _report_paper(workspace: "Workspace", names: list[str], split: str, out: Path | None, as_json: bool) -> None:
    from retort.report.paper.pages import paper_pages
    from retort.report.paper.runs import paper_report
    from retort.report.paper.tables import claims_table, differences_table, rows_table
    from retort.report.render.pages import write_pages
    from retort.report.render.terminal import table_console

    with terminal_progress() as progress:
        done = paper_report(workspace, split=split, names=names, progress=progress)
    where = write_pages(paper_pages(done), workspace, f"reports/paper-{split}", out)
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
    workspace: "Workspace",
    names: list[str],
    split: str,
    baseline: str | None,
    loss_from: Literal["unregularised", "best"],
    sure: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    from retort.report.families.pages import families_table, family_pages
    from retort.report.families.runs import fronts_report
    from retort.report.render.pages import write_pages
    from retort.report.render.terminal import table_console

    with terminal_progress() as progress:
        done = fronts_report(
            workspace, names, split=split, baseline=baseline, loss_from=loss_from, sure=sure, progress=progress
        )
    name = f"reports/fronts-{split}" + ("" if loss_from == "unregularised" else "-best") + ("-sure" if sure else "")
    where = write_pages(family_pages(done), workspace, name, out)
    if as_json:
        print_json({"directory": where, **done.to_json()})
        return
    table_console().print(families_table(done))
    say(f"all of it, with the fronts as a figure: {where}")


def ui(
    workspace: WorkspaceOption,
    port: Annotated[
        int, typer.Option(min=1, max=65534, help="Port of MLflow; Optuna's dashboard gets the next one.")
    ] = 5000,
    optuna: Annotated[
        bool, typer.Option("--optuna/--no-optuna", help="Start Optuna's dashboard too, where it is installed.")
    ] = True,
) -> int:
    """Show the workspace in MLflow and in Optuna's dashboard.

    MLflow's server takes half a minute to start and about 2 GB of memory. The dashboard (pip install optuna-dashboard) shows
    the sweeps as they are now.

    Example: retort ui --workspace w --port 5000
    """
    from retort.cli.servers import serve

    return serve(open_workspace(workspace), port, optuna=optuna)
