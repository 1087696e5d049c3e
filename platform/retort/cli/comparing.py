"""``retort compare``: runs, baselines and other systems on the same turns."""

from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from retort.cli.shared import JsonOption, WorkspaceOption, open_workspace, print_json, say
from retort.errors import InputError

__all__ = ["compare"]

Format = Literal["terminal", "markdown", "latex", "csv", "json"]
ENDINGS: Final[dict[str, Format]] = {".md": "markdown", ".tex": "latex", ".csv": "csv", ".json": "json"}


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Runs (or beginnings or ends of their names), baselines, points of a front (SWEEP#3), MLflow run ids, and TREC "
            "run files of other systems. NAME=RUN: how a table calls one."
        ),
    ],
    workspace: WorkspaceOption,
    split: Annotated[str, typer.Option(help="Split that they were evaluated on.")] = "dev",
    baseline: Annotated[
        str | None, typer.Option(help="What the others are compared with; by default the first run.")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            help="Show differences by turn_number, topic_switch, or any column of the turns (domain...); repeatable.",
        ),
    ] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option(
            "--measure", help="Measure that --by shows, and --show if it is the first; repeatable. By default R@100."
        ),
    ] = None,
    show: Annotated[
        int, typer.Option(min=0, help="Show that many wins and as many losses: the turns that changed most.")
    ] = 0,
    form: Annotated[
        Format | None, typer.Option("--format", help="By default what the ending of --out says, or terminal.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write to this file, which must not exist yet.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare runs on the same turns, with tests of significance.

    Differences come with intervals by conversation; --show adds the turns that changed most.

    Example: retort compare RUN1 RUN2 baseline:last --split dev --workspace w

    Example: retort compare ours=pareto#2 bm25=bm25.trec.gz --by turn_number --show 3 --workspace w

    Example: retort compare RUN1 RUN2 --workspace w --out table.tex
    """
    if as_json and form not in (None, "json"):
        raise InputError(f"--json and --format {form} are two formats; choose one")
    if out is not None and out.exists():
        raise InputError(f"{out} exists already; nothing was overwritten: name another file")
    chosen = "json" if as_json else form or (ENDINGS.get(out.suffix, "terminal") if out else "terminal")
    if show and chosen in ("latex", "csv"):
        raise InputError(f"--show is for reading (terminal, markdown, json), not for {chosen}")

    from retort.naming import check_split, name_all

    opened = open_workspace(workspace)
    named, reference = name_all(opened, runs, baseline)
    check_split(opened, split)
    from retort.measures.registry import SHOWN
    from retort.report.comparison.runs import compare_runs

    comparison = compare_runs(
        opened, named, split=split, baseline=reference, by=by or (), measures=measure or SHOWN[:1], show=show
    )
    if out is None and chosen == "json":
        print_json(comparison.to_json())
    elif out is None and chosen == "terminal":
        from retort.report.comparison.tables import comparison_tables
        from retort.report.render.terminal import table_console

        table_console().print(*comparison_tables(comparison))
    else:
        from retort.report.comparison.pages import comparison_text

        text = comparison_text(comparison, chosen)
        if out is None:
            say(text.rstrip("\n"))
        else:
            from retort.storage.files import write_all, write_aside

            write_aside(out, lambda stream: write_all(stream, text.encode()))
            say(f"{chosen}: {out}")
