"""``retort rewrites`` and ``show``: what teachers add to a workspace, and a look at it."""

from pathlib import Path
from typing import Annotated

import typer

from retort.cli.shared import (
    JsonOption,
    WorkspaceOption,
    open_workspace,
    print_json,
    say,
)

__all__ = ["rewrites", "show"]

rewrites = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Add the rewrites of a teacher.")
show = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at what a workspace holds.")


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

    counts = run(open_workspace(workspace), file, teacher=teacher, split=split, select=select)
    if as_json:
        print_json(asdict(counts))
        return
    what = "there already" if counts.skipped else "added"
    say(
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

    described = describe_turn(open_workspace(workspace), query_id, split=split, context=ContextConfig())
    if as_json:
        print_json(described)
        return
    from retort.report.turn import turn_view
    from retort.terminal import table_console

    table_console().print(turn_view(described))
