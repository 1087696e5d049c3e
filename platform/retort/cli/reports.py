"""``retort front``, ``compare``, ``report`` and ``ui``: what came of it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from retort.cli.comparing import compare
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

__all__ = ["register", "tell_sweep"]


def tell_sweep(done: Any, workspace: str, as_json: bool) -> None:
    """A sweep's front, its baselines, and where everything about it is."""
    from retort.report.render.terminal import table_console

    if as_json:
        print_json(done.to_json())
        return
    from retort.report.sweep.front import front_tables
    from retort.report.sweep.page import PAGE
    from retort.report.views.measures import baselines_table
    from retort.tracking import default_tracking_uri, without_credentials

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
    made = done.folder.exists(PAGE)
    command = f"{program()} report {done.folder.name.split('/')[-1]} --workspace {workspace}"
    say(f"report: {done.folder.url(PAGE)}" if made else f"all of it as one page for the browser: {command}")
    say(f"all of it as JSON: {program()} front {done.folder.name.split('/')[-1]} --workspace {workspace} --json")
    place = done.folder.workspace
    if place.is_local or "MLFLOW_TRACKING_URI" in os.environ:
        say(f"MLflow: {program()} ui --workspace {workspace}   ({without_credentials(default_tracking_uri(place))})")


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
            help="Registered is this point of the front; by default the cheapest with at most 2 % less than the best.",
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
        tell_sweep(done, workspace, as_json)
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
    tell_sweep(done, workspace, as_json)
    say(
        f"registered: {register_as} version {version}, alias champion: point {1 + numbered.index(chosen)}, {chosen.run}"
    )
    say(f'    mlflow.pyfunc.load_model("models:/{register_as}@champion")')


def report(
    what: Annotated[str, typer.Argument(metavar="KIND|SWEEP", help="sweep, paper or fronts; or a sweep itself.")],
    workspace: WorkspaceOption,
    sweeps: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SWEEP]...",
            help="sweep: the one; fronts: recipes, each a sweep's beginning (one per seed); A,B joins.",
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="paper, fronts: the split that is reported on; by default dev.")
    ] = None,
    sweep: Annotated[
        list[str] | None, typer.Option("--sweep", help="paper: only these sweeps, or beginnings of names; repeatable.")
    ] = None,
    baseline: Annotated[str | None, typer.Option(help="fronts: compared with; by default the first recipe.")] = None,
    loss_from: Annotated[
        Literal["unregularised", "best"] | None,
        typer.Option(
            help="fronts: the choice may lose 2 % of the unregularised student's R@100 (so by default), or of the best "
            "setting's."
        ),
    ] = None,
    sure: Annotated[
        bool,
        typer.Option(
            "--sure", help="fronts: within that loss at the worse end of its interval, not on the mean alone."
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="A directory; by default the sweep's own, or one below reports/ in the workspace."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Report on a sweep as one page for the browser; or on several: the paper's questions, or recipes against each other.

    Example: retort report pareto --workspace w

    Example: retort report paper --workspace w --split dev

    Example: retort report fronts recipe_l1 recipe_pruned --workspace w
    """
    place = open_workspace(workspace)
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
        _report_paper(place, [*(sweeps or ()), *(sweep or ())], split or "dev", out, as_json)
    elif what == "fronts":
        names = [*(sweeps or ()), *(sweep or ())]
        _report_fronts(place, names, split or "dev", baseline, loss_from or "unregularised", sure, out, as_json)
    elif what == "sweep" and len(sweeps or ()) == 1:
        _report_sweep(place, (sweeps or [""])[0], out, as_json)
    elif what == "sweep" or sweeps:
        raise InputError(
            f"a report is on one sweep, got {', '.join(sweeps or ()) or 'none'}: {program()} report SWEEP; "
            "several are compared by: report fronts, report paper"
        )
    else:
        _report_sweep(place, what, out, as_json)


def _report_sweep(place: "Workspace", name: str, out: Path | None, as_json: bool) -> None:
    from retort.report.render.pages import write_pages
    from retort.report.sweep.page import PAGE, report_pages
    from retort.report.sweep.report import sweep_report

    found = sweep_report(place, name)
    pages = report_pages(found)
    where = write_pages(pages, place, found.sweep.folder.name, out)
    if as_json:
        print_json({"sweep": found.sweep.label, "page": f"{where}/{PAGE}", "files": sorted(pages)})
        return
    say(f"report: {where}/{PAGE}")
    say(f"        its figures as PNG and SVG in {where}/figures, what it takes to run it again in {where}/reproduce")


def _report_paper(place: Any, names: list[str], split: str, out: Path | None, as_json: bool) -> None:
    from retort.report.paper.pages import paper_pages
    from retort.report.paper.runs import paper_report
    from retort.report.paper.tables import claims_table, differences_table, rows_table
    from retort.report.render.pages import write_pages
    from retort.report.render.terminal import table_console

    with terminal_progress() as progress:
        done = paper_report(place, split=split, names=names, progress=progress)
    where = write_pages(paper_pages(done), place, f"reports/paper-{split}", out)
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
    place: Any,
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
            place, names, split=split, baseline=baseline, loss_from=loss_from, sure=sure, progress=progress
        )
    name = f"reports/fronts-{split}" + ("" if loss_from == "unregularised" else "-best") + ("-sure" if sure else "")
    where = write_pages(family_pages(done), place, name, out)
    if as_json:
        print_json({"directory": where, **done.to_json()})
        return
    table_console().print(families_table(done))
    say(f"all of it, with the fronts as a figure: {where}")


def ui(
    workspace: WorkspaceOption,
    port: Annotated[int, typer.Option(min=1, max=65534, help="MLflow's; Optuna's dashboard has the next one.")] = 5000,
    optuna: Annotated[
        bool, typer.Option("--optuna/--no-optuna", help="Optuna's dashboard too, where it is installed.")
    ] = True,
) -> int:
    """Open MLflow's server on what the workspace holds, and Optuna's dashboard on its sweeps.

    MLflow takes half a minute to start and about 2 GB. The dashboard (pip install optuna-dashboard) shows the sweeps as
    they are now.

    Example: retort ui --workspace w --port 5000
    """
    from retort.cli.servers import serve

    return serve(open_workspace(workspace), port, optuna=optuna)


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    for command in (front, compare, report, ui):
        app.command()(command)
